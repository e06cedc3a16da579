"""The comparison as a whole, on this kernel: nothing is found, on several workers, and whatever dies is reported."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mmlocks.conformance import workers
from mmlocks.conformance.compare import compare, observe, visible
from mmlocks.conformance.coverage import ROWS
from mmlocks.conformance.diff import Order, in_model, record, run_both, run_some, start_of
from mmlocks.conformance.generate import numbered
from mmlocks.conformance.nursery import Nursery
from mmlocks.conformance.program import NOTHING, PAGE, Operation, Place, from_json
from mmlocks.conformance.rules import running_release
from mmlocks.conformance.shrink import shrink
from mmlocks.conformance.workers import diff
from mmlocks.errors import HostError
from tests.conformance.test_agent import pytestmark as needs_linux

pytestmark = needs_linux
SEED = os.urandom(4).hex()
"""A fresh one each time: the slices of many runs of the tests add up."""


def always(*_: object) -> bool:
    return True


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


def test_the_model_does_what_the_kernel_does(record_property: Any) -> None:
    order = Order(SEED, 400, jobs=2)
    outcome = diff(order, always)
    assert outcome.mismatch is None, (
        f"mmlocks host diff --seed {SEED} --first {outcome.number} --sequences 1: {outcome.mismatch}"
    )
    assert (outcome.programs, len(outcome.different), outcome.interrupted) == (400, 400, False)
    assert outcome.operations > 0.95 * 400 * 40
    missing = [
        f"{heading}: {row}"
        for heading, rows in ROWS.items()
        for row in rows
        if not outcome.counts[heading, row]
    ]
    assert len(missing) < 5, missing
    record_property(
        "summary",
        f"400 programs of seed {SEED}, {outcome.operations:,} operations: model and kernel agree "
        f"({outcome.seconds:.0f} s)",
    )


FOUND = {
    # A write to a private page of a file gives the area an anon_vma before the file is asked for the page, which may be behind its end.
    "written behind the end of a file": [
        ["mmap", 0, ["arena", 0, 0], 2 * PAGE, 3, 0x12, 1, 15 * PAGE],
        ["store", 0, ["arena", 1, 0], 1],
        ["mprotect", 0, ["arena", 0, 0], PAGE, 1],
        ["fork", 0, 1],
        ["mprotect", 1, ["arena", 0, 0], PAGE, 3],
    ],
}
"""Programs that once showed a mismatch: so rarely that a slice of random ones would not show it again."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(nursery: Nursery, name: str) -> None:
    program = from_json(FOUND[name], name)
    outcome = run_some([(0, program)], nursery, running_release())
    assert outcome.mismatch is None, outcome.mismatch


def test_the_kernel_does_the_same_twice(nursery: Nursery) -> None:
    start = start_of(nursery)
    for number in range(20):
        program = numbered("twice", number, 40)
        seen = list(observe(program, nursery.process(), start))
        assert compare(program, seen, observe(program, nursery.process(), start)) is None


async def does_nothing(mm: object, start: int, length: int) -> int:
    """A munmap that reports success and does nothing."""
    return 0


def test_a_wrong_model_is_found_and_made_small(nursery: Nursery) -> None:
    release, replaced = running_release(), {"munmap": does_nothing}
    programs = ((number, numbered("wrong", number, 40)) for number in range(50))
    outcome = run_some(programs, nursery, release, replaced)
    assert outcome.mismatch is not None
    assert outcome.programs == outcome.number
    start = start_of(nursery)
    small = shrink(
        outcome.mismatch,
        lambda one: run_both(one, nursery.process(), in_model(start, release, replaced), start)[0],
    )
    assert [one.name for one in small.program if one != NOTHING][-1] == "munmap"
    assert len([one for one in small.program if one != NOTHING]) <= 2


def test_what_was_recorded_is_what_happens(nursery: Nursery) -> None:
    recording = record(Order("recorded", 3), always)
    start = start_of(nursery)
    assert recording.start.limits == start.limits
    assert list(map(visible, recording.start.areas)) == list(map(visible, start.areas))
    assert recording.kernel == running_release().name
    for number, run in enumerate(recording.runs):
        assert run.program == numbered("recorded", number, 40)
        again = observe(run.program, nursery.process(), recording.start)
        assert compare(run.program, run.seen, again) is None


def test_a_computer_that_the_model_does_not_know_is_told_so(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "overcommit", 2)
    with pytest.raises(HostError, match=r"vm\.overcommit_memory is 2"):
        start_of(nursery)


def test_recording_can_be_ended() -> None:
    recording = record(Order("recorded", 100), lambda programs, _operations, _seconds: programs < 2)
    assert len(recording.runs) == 2


# -- workers ----------------------------------------------------------------------------------------------------------


def test_progress_is_told_often_and_can_end_it() -> None:
    told: list[tuple[int, int, float]] = []

    def progress(programs: int, operations: int, seconds: float) -> bool:
        told.append((programs, operations, seconds))
        return programs < 20

    outcome = diff(Order(SEED, 100_000, jobs=2), progress)
    assert outcome.interrupted
    assert 20 <= outcome.programs < 200
    gaps = [later[2] - sooner[2] for sooner, later in pairwise(told)]
    assert max(gaps) < 1.5, "five times a second, as a rule"


def test_ctrl_c_ends_it_and_leaves_nothing() -> None:
    calls = 0

    def progress(*_: object) -> bool:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise KeyboardInterrupt
        return True

    outcome = diff(Order(SEED, 100_000, jobs=2), progress)
    assert outcome.interrupted
    assert children() == set()


def children() -> set[int]:
    """The workers, and real processes, that this process has."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    names = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in listed}
    return {pid for pid, name in names.items() if b"spawn_main" in name}


def test_a_worker_that_dies_is_reported() -> None:
    def progress(*_: object) -> bool:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        return True

    with pytest.raises(
        HostError, match=rf"a worker died .*mmlocks host diff --seed {SEED} --first \d+"
    ):
        diff(Order(SEED, 1000, jobs=2), progress)
    assert children() == set()


def test_workers_that_hang_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.5)

    def progress(*_: object) -> bool:
        for pid in children():
            os.kill(pid, signal.SIGSTOP)
        return True

    with pytest.raises(HostError, match=r"nothing has come from the workers for .* --first \d+"):
        diff(Order(SEED, 1000, jobs=2), progress)
    assert children() == set()


def test_a_real_process_that_dies_is_reported_with_its_program(nursery: Nursery) -> None:
    class Mortal(Nursery):
        def process(self) -> Any:
            made = super().process()
            os.kill(made.pid, signal.SIGKILL)
            return made

    with Mortal() as mortal:
        outcome = run_some(
            [(7, (Operation("munmap", 0, (Place("arena"), PAGE)),))], mortal, running_release()
        )
    assert outcome.number == 7
    assert "signal 9" in outcome.trouble
