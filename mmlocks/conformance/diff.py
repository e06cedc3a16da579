"""Compares the model with the running kernel, or with a recording, one program after another.

Programs have numbers. A seed and a number always give the same program, so that each can be run
again. `mmlocks.conformance.workers` runs many at a time. Only real processes need Linux.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mmlocks.conformance.compare import Mismatch, Observation, Start, compare, observe
from mmlocks.conformance.coverage import count
from mmlocks.conformance.events import Row
from mmlocks.conformance.generate import numbered
from mmlocks.conformance.process import Process
from mmlocks.conformance.program import Program
from mmlocks.conformance.recorded import Recording, Run
from mmlocks.conformance.rules import release_of, running_version, spelled
from mmlocks.conformance.subject import FILE, FILE_PAGES, FILE_WORD, Subject
from mmlocks.errors import HostError
from mmlocks.releases import Release

if TYPE_CHECKING:
    from mmlocks.conformance.nursery import Nursery

Progress = Callable[[int, int, float], bool]
"""Called several times a second.

Its arguments: the programs and operations that are done, and the seconds since the start. Its
answer: whether to go on.
"""
Replacements = Mapping[str, Callable[..., Any]]


class Order(NamedTuple):
    """What to run: programs `first` to `first + sequences - 1` of a seed, and their length."""

    seed: str
    sequences: int
    operations: int = 40
    first: int = 0
    jobs: int = 1


@dataclass
class Outcome:
    """The findings so far.

    `programs` were run to their end without a mismatch, and did `operations` (without those that
    were left out). `different` has a digest of each program. Program `number` showed `mismatch`, or
    could not be run because of `trouble`.
    """

    programs: int = 0
    operations: int = 0
    different: set[bytes] = field(default_factory=set)
    counts: Counter[Row] = field(default_factory=Counter)
    seconds: float = 0.0
    mismatch: Mismatch | None = None
    number: int | None = None
    trouble: str = ""
    interrupted: bool = False

    def ran(self, program: Program, seen: list[Observation], start: Start) -> None:
        """Count a program in which there was no mismatch."""
        self.programs += 1
        self.operations += sum(bool(one.areas) for one in seen)
        self.different.add(hashlib.blake2b(repr(program).encode(), digest_size=8).digest())
        count(program, seen, start, self.counts)

    def add(self, other: Outcome) -> None:
        """Add the findings on other programs.

        Of two mismatches, keep the one with the lower number.
        """
        self.programs += other.programs
        self.operations += other.operations
        self.different |= other.different
        self.counts.update(other.counts)
        if other.mismatch is not None and (
            self.number is None or (other.number or 0) < self.number
        ):
            self.mismatch, self.number = other.mismatch, other.number


# -- one program -----------------------------------------------------------------------------------


def in_model(start: Start, release: Release, text: Replacements | None = None) -> Process:
    """A process of the model that starts like a real one. `text` are variants of functions."""
    return Process.started(
        start.areas, start.limits, release, files={FILE: (FILE_PAGES, _words_of_file)}, text=text
    )


def _words_of_file(page: int) -> tuple[int, ...]:
    return FILE_WORD + page, FILE_WORD + page


def start_of(nursery: Nursery) -> Start:
    """How the nursery's processes start.

    Raises HostError if the model does not cover this computer.
    """
    if nursery.overcommit == 2:
        raise HostError(
            "here Linux promises no more memory than there is (vm.overcommit_memory is 2), which "
            "changes what merges; the model knows the usual ways only. Set it to 0 for this, or "
            "compare with a recording: mmlocks host diff --recorded FILE"
        )
    return Start(nursery.limits, tuple(nursery.areas))


def run_both(
    program: Program, real: Subject, model: Subject, start: Start
) -> tuple[Mismatch | None, list[Observation]]:
    """Run a program on both until they differ; the mismatch, and what the real one showed."""
    seen: list[Observation] = []
    return compare(
        program, _kept(observe(program, real, start), seen), observe(program, model, start)
    ), seen


def _kept(observations: Iterator[Observation], into: list[Observation]) -> Iterator[Observation]:
    for one in observations:
        into.append(one)
        yield one


def run_some(
    programs: Iterable[tuple[int, Program]],
    nursery: Nursery,
    release: Release,
    text: Replacements | None = None,
) -> Outcome:
    """Run numbered programs in this process, until one shows a mismatch or cannot be run."""
    start, outcome = start_of(nursery), Outcome()
    for number, program in programs:
        try:
            mismatch, seen = run_both(
                program, nursery.process(), in_model(start, release, text), start
            )
        except HostError as problem:
            outcome.trouble, outcome.number = str(problem), number
            break
        if mismatch is not None:
            outcome.mismatch, outcome.number = mismatch, number
            break
        outcome.ran(program, seen, start)
    return outcome


# -- recordings ------------------------------------------------------------------------------------


def record(order: Order, progress: Progress) -> Recording:
    """Run an order's programs on the running kernel, and record them. Raises HostError as `diff`.

    If `progress` answers False, the recording ends early with the programs that are done.
    """
    from mmlocks.conformance.nursery import Nursery

    kernel = spelled(running_version())
    runs, began = [], time.monotonic()
    with Nursery() as nursery:
        start = start_of(nursery)
        for number in range(order.first, order.first + order.sequences):
            program = numbered(order.seed, number, order.operations)
            runs.append(Run(program, tuple(observe(program, nursery.process(), start))))
            if not progress(len(runs), len(runs) * order.operations, time.monotonic() - began):
                break
    return Recording(kernel, start, tuple(runs))


def replay(recording: Recording, progress: Progress) -> Outcome:
    """Compare the model with a recording, in this process, until there is a mismatch."""
    outcome, began, release = Outcome(), time.monotonic(), release_of(recording.kernel)
    for number, run in enumerate(recording.runs):
        mismatch, seen = against_recording(run, recording.start, release)
        if mismatch is not None:
            outcome.mismatch, outcome.number = mismatch, number
            break
        outcome.ran(run.program, seen, recording.start)
        outcome.seconds = time.monotonic() - began
        if not progress(outcome.programs, outcome.operations, outcome.seconds):
            outcome.interrupted = True
            break
    outcome.seconds = time.monotonic() - began
    return outcome


def against_recording(
    run: Run, start: Start, release: Release, text: Replacements | None = None
) -> tuple[Mismatch | None, list[Observation]]:
    """Compare the model with one recorded run; the mismatch, and what the model showed."""
    seen: list[Observation] = []
    model = observe(run.program, in_model(start, release, text), start)
    return compare(run.program, run.seen, _kept(model, seen)), seen
