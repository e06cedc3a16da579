"""The boundary loses nothing: a kernel function's own text, pasted as an answer, gets the verdict of the release that it is from."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import mmlocks.mm
from mmlocks.mm import *  # noqa: F403  as in the labs' first cell
from mmlocks.mm import copy_page_range as by_another_name
from mmlocks.mm.fork import copy_page_range as from_its_file
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.source import release_code
from mmlocks.mm.stubs import kernel_text
from mmlocks.releases import RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, check, machine_for
from tests.core.pasted import Paste, different_releases, judged, own, pasted, replaced, said

LARGE = ("young_reproducer", "anon_vma_unlocked_check")
"""Scenarios whose searches are long. They judge what no other scenario calls, and on two releases: one with the bug, one without."""
LARGE_RELEASES = ("6.4.3", "6.6-like")


def chosen() -> dict[Any, tuple[int, Paste]]:
    """For every text that a scenario calls and every verdict, the smallest search that has both."""
    smallest: dict[Any, tuple[int, Paste]] = {}

    def look(scenario: str, release: str, functions: set[str]) -> None:
        outcome, called, states = own(scenario, release)
        for function in called & functions:
            key = function, release_code(function, release), outcome
            if replaced(function) and (key not in smallest or states < smallest[key][0]):
                smallest[key] = states, Paste(function, release, scenario)

    for release in different_releases():
        for scenario in SCENARIOS.keys() - set(LARGE):
            if not SCENARIOS[scenario].lacking(RELEASES[release]):
                look(scenario, release, set(kernel_text()))
    left = kernel_text().keys() - {function for function, *_ in smallest}
    for release in LARGE_RELEASES:
        for scenario in LARGE:
            look(scenario, release, left)
    return smallest


NEVER_CALLED = {
    "_expand_in_place", "_move_brk", "_move_several", "_mprotect_range", "brk", "change_protection", "finish_fault", "folio_get", "madvise", "mprotect",
    "mprotect_fixup", "room_ends", "shmem_zero_setup", "split_in_two", "split_vma", "unmapped_area", "unmapped_area_topdown", "vma_modify_flags",
    "vmf_anon_prepare",
}  # fmt: skip
"""What no scenario calls. Their text is linked and never run here; test_release_text.py sees to it that their names are there."""


@pytest.mark.slow
def test_a_pasted_text_gets_the_verdict_of_its_release() -> None:
    picked = chosen()
    otherwise = []
    for _, paste in picked.values():
        verdict = judged(paste)
        if said(verdict) != own(paste.scenario, paste.release).outcome:
            otherwise.append((paste, said(verdict), str(verdict.violation or verdict.reason)))
    assert not otherwise
    assert {"safe", "lost_store", "snapshot", "misfiled"} <= {outcome for *_, outcome in picked}
    # `_duplicate` runs inside a step, so nothing of an answer takes its place.
    assert kernel_text().keys() - {function for function, *_ in picked} == NEVER_CALLED | {"_duplicate"}


@pytest.mark.parametrize("function", sorted(NEVER_CALLED))
def test_a_text_that_no_scenario_calls_is_linked_and_changes_nothing(function: str) -> None:
    for release in {release_code(function, release): release for release in different_releases()}.values():
        kernel = Kernel(release_named(release), pasted(function, release))
        machine, _ = machine_for(SCENARIOS["fork_torn_snapshot"], kernel)
        assert machine.stillborn() is None


# -- an answer calls the function that it replaces --------------------------------------------------------------------


async def through_the_name_it_had(dst_vma: Any, src_vma: Any) -> None:
    await vma_start_write(src_vma)  # noqa: F405
    await by_another_name(dst_vma, src_vma)


async def through_its_file(dst_vma: Any, src_vma: Any) -> None:
    await vma_start_write(src_vma)  # noqa: F405
    await from_its_file(dst_vma, src_vma)


async def through_the_module(dst_vma: Any, src_vma: Any) -> None:
    await vma_start_write(src_vma)  # noqa: F405
    await mmlocks.mm.copy_page_range(dst_vma, src_vma)


async def through_a_partial(dst_vma: Any, src_vma: Any) -> None:
    await mmlocks.mm.vma_start_write(src_vma)
    await functools.partial(by_another_name, dst_vma)(src_vma)


async def through_a_helper(dst_vma: Any, src_vma: Any) -> None:
    async def rest(*vmas: Any) -> None:
        await by_another_name(*vmas)

    await vma_start_write(src_vma)  # noqa: F405
    await rest(dst_vma, src_vma)


async def with_nothing_added(dst_vma: Any, src_vma: Any) -> None:
    await by_another_name(dst_vma, src_vma)


ADDED = (through_the_name_it_had, through_its_file, through_the_module, through_a_partial, through_a_helper)


def kernel_of(answer: Callable[..., Any]) -> Kernel:
    return Kernel(RELEASES["6.4.1"], {"copy_page_range": answer})


@pytest.mark.parametrize("answer", ADDED, ids=lambda answer: answer.__name__)
def test_an_answer_can_add_a_line_to_the_function_that_it_replaces(answer: Callable[..., Any]) -> None:
    """It calls the kernel's own, not itself: so the line is added once, and the rest of fork is done."""
    checked = check("fork_torn_snapshot", kernel_of(answer))
    assert said(checked.verdict) == "safe"
    undisturbed = check("fork_other_vma", kernel_of(answer)).verdict
    assert said(undisturbed) == "safe"


def test_an_answer_that_adds_nothing_to_the_function_that_it_replaces_has_its_verdict() -> None:
    assert own("fork_torn_snapshot", "6.4.1").outcome == "snapshot"
    assert said(check("fork_torn_snapshot", kernel_of(with_nothing_added)).verdict) == "snapshot"


def test_what_an_answer_calls_itself_by_its_own_name_in_a_notebook_is_itself() -> None:
    """There `copy_page_range` is the answer from the moment of its `def`, as Python has it: a call without an end is found, and named."""
    names: dict[str, Any] = {}
    exec("from mmlocks.mm import *", names)
    exec("async def copy_page_range(dst_vma, src_vma):\n    await copy_page_range(dst_vma, src_vma)\n", names)
    verdict = check("fork_torn_snapshot", kernel_of(names["copy_page_range"])).verdict
    assert verdict.violation is not None
    assert verdict.violation.oracle == "exception"
    assert "RecursionError" in verdict.violation.message
