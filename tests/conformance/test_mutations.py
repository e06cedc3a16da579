"""Deliberate errors in the model are found by comparing it with the kernel: the comparison is not blind."""

import pytest

from mmlocks.conformance.compare import Mismatch
from mmlocks.conformance.diff import run_some
from mmlocks.conformance.generate import numbered
from mmlocks.conformance.nursery import Nursery
from mmlocks.conformance.rules import running_release
from tests.conformance.mutations import MUTATIONS, Mutation, replacements
from tests.conformance.test_agent import pytestmark as needs_linux

PROGRAMS = 1000
"""Within so many programs of forty operations every error must show."""


def found_within(
    programs: int, replacements: dict[str, object], seed: str = "mutations"
) -> tuple[int, Mismatch | None]:
    """How many programs it took until the model with these kernel functions showed a mismatch, and that mismatch."""
    with Nursery() as nursery:
        outcome = run_some(
            ((number, numbered(seed, number, 40)) for number in range(programs)),
            nursery,
            running_release(),
            replacements,  # type: ignore[arg-type]
        )
    assert not outcome.trouble, outcome.trouble
    return outcome.programs + 1, outcome.mismatch


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.about for mutation in MUTATIONS])
def test_an_error_is_found(mutation: Mutation) -> None:
    programs, mismatch = found_within(PROGRAMS, replacements(mutation))
    assert mismatch is not None, f"not in {programs} programs"


def test_there_are_enough_errors() -> None:
    assert len(MUTATIONS) >= 15
    assert len({mutation.about for mutation in MUTATIONS}) == len(MUTATIONS)
