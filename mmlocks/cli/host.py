"""`mmlocks host ...`: the model compared with a real kernel. What the commands need is imported when they run."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmlocks.cli.terminal import ASIDE, BAD, GOOD, STATUSES, TITLE, Meter, Status, command, complain, gap, paragraph, write
from mmlocks.errors import MmlocksError

if TYPE_CHECKING:
    from mmlocks.host.compare import Mismatch
    from mmlocks.host.diff import Order, Outcome
    from mmlocks.host.program import Program
    from mmlocks.host.recorded import Recording
    from mmlocks.releases import Release

host = typer.Typer(
    name="host",
    rich_markup_mode=None,
    help="Compare the model's address spaces with those of the running kernel.",
    epilog=STATUSES,
)

Sequences = Annotated[int, typer.Option(min=1, metavar="N", help="How many random programs.")]
Ops = Annotated[int, typer.Option(min=1, max=1000, metavar="K", help="Operations in each program.")]
Seed = Annotated[
    str | None, typer.Option(metavar="S", help="Makes the programs; the same ones again.", show_default="a fresh one")
]
First = Annotated[int, typer.Option(min=0, metavar="N", help="Number of the first program.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]


class Count(Meter):
    """The progress of a comparison."""

    def __init__(self, programs: int) -> None:
        super().__init__("")
        self.programs = programs

    def __call__(self, done: int, operations: int, seconds: float) -> bool:
        """What a comparison calls several times a second, with what it has done; False ends it."""
        import time

        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            bar = "#" * (20 * done // self.programs)
            left = f", {seconds / done * (self.programs - done):.0f} s left" if done else ""
            self._show(
                f"[{bar:<20}] {done:,} of {self.programs:,} programs, {operations:,} operations, {seconds:.0f} s{left}"
            )
        return not self.interrupted


@host.command(epilog=STATUSES)
def diff(
    sequences: Sequences = 1000, ops: Ops = 40, seed: Seed = None, first: First = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Programs at a time.", show_default="processor cores")
    ] = None,
    program: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run the one program in a JSON file, as --json prints it.")
    ] = None,
    recorded: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with a recording; on any computer.")
    ] = None,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Run random programs on the kernel and in the model, and compare after every operation.

    What is compared: results, areas with their flags, and the contents of touched pages, in parents and forked children.
    A program that shows a difference is made as small as it gets, and printed in Python and in C.
    """
    if program is not None and recorded is not None:
        raise MmlocksError("--program and --recorded are two ways to choose what is run. Leave one of them out.")
    if program is not None:
        return _one_program(program, as_json)
    if recorded is not None:
        return _recording(recorded, as_json)
    return _many(_order(seed, sequences, ops, first, jobs or _cores()), as_json)


@host.command()
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON; compressed if the name ends in .gz.")],
    sequences: Sequences = 100, ops: Ops = 40, seed: Seed = None, first: First = 0,
) -> int:  # fmt: skip
    """Run random programs on the kernel, and keep what it did in a file."""
    from mmlocks.host.diff import record as recorded
    from mmlocks.host.recorded import check_writable, save

    check_writable(file)
    order = _order(seed, sequences, ops, first, 1)
    with Count(sequences) as progress:
        try:
            recording = recorded(order, progress)
        except KeyboardInterrupt:
            complain(f"interrupted; {file} was not written.")
            sys.exit(Status.INTERRUPTED)
    save(file, recording)
    write(f"{len(recording.runs):,} programs of seed {order.seed} on Linux {recording.kernel}: {file}")
    paragraph("To compare the model with it, on any computer:")
    command(f"mmlocks host diff --recorded {_quoted(file)}")
    return Status.FINE


@host.command()
def rules(as_json: Json = False) -> int:
    """List the named differences between kernels, and which of them the running kernel has."""
    from mmlocks.host.errors import HostError
    from mmlocks.host.rules import all_rules, doubts, running_version, spelled

    version, reason = None, ""
    try:
        version = running_version()
    except HostError as problem:
        reason = str(problem)
    known = all_rules(version)
    doubt = doubts(version) if version is not None else reason
    if as_json:
        _print_json(
            {
                "kernel": None if version is None else spelled(version),
                "doubt": doubt,
                "rules": [
                    {
                        "name": rule.patch.name,
                        "commit": rule.patch.commit,
                        "since": rule.patch.shipped,
                        "earlier": rule.earlier,
                        "active": rule.active,
                        "compared": rule.compared,
                        "about": rule.patch.about,
                    }
                    for rule in known
                ],
            }
        )
        return Status.FINE
    if version is not None:
        paragraph(f"Linux {spelled(version)}", TITLE)
    for rule in known:
        gap()
        here = {True: "active here", False: "not here", None: ""}[rule.active]
        since = f"since {rule.patch.shipped}" + "".join(f", {stable}" for stable in rule.earlier)
        checked = "" if rule.compared else "not compared yet"
        write("   ".join(filter(None, [f"{rule.patch.name:<26}", rule.patch.commit, since, here, checked])))
        paragraph(f"{rule.patch.about}.", indent=4)
    if doubt:
        gap()
        paragraph(doubt, ASIDE)
    return Status.FINE


# -- what is run ------------------------------------------------------------------------------------------------------


def _many(order: Order, as_json: bool) -> int:
    from mmlocks.host.errors import HostError
    from mmlocks.host.nursery import unsupported
    from mmlocks.host.rules import doubts, running_release, running_version, spelled

    version, release = running_version(), running_release()
    if (reason := unsupported()) is not None:
        raise HostError(f"{reason}. To compare with a recording: mmlocks host diff --recorded FILE")
    from mmlocks.host.workers import diff as compared

    if not as_json:
        paragraph(f"Linux {spelled(version)}; {order.sequences:,} programs of {order.operations} operations, seed {order.seed}", TITLE)
    with Count(order.sequences) as progress:
        outcome = compared(order, progress, release)
        if outcome.mismatch is not None and not outcome.interrupted:
            outcome.mismatch = _shrunk(outcome.mismatch, release)
    if outcome.interrupted:
        complain(
            f"interrupted after {outcome.programs:,} of {order.sequences:,} programs of seed {order.seed}: "
            + ("no mismatch so far." if outcome.mismatch is None else f"program {outcome.number} shows a mismatch.")
        )
        sys.exit(Status.INTERRUPTED)
    origin = {"seed": order.seed, "number": outcome.number, "ops": order.operations}
    again = f"mmlocks host diff --seed {_quoted(order.seed)} --first {outcome.number} --sequences 1" + (
        f" --ops {order.operations}" if order.operations != 40 else ""
    )
    return _report(outcome, f"Linux {spelled(version)}", origin, again, doubts(version), as_json)


def _shrunk(mismatch: Mismatch, release: Release) -> Mismatch:
    from mmlocks.host.diff import in_model, run_both, start_of
    from mmlocks.host.nursery import Nursery
    from mmlocks.host.shrink import shrink

    with Nursery() as nursery:
        start = start_of(nursery)
        return shrink(
            mismatch, lambda one: run_both(one, nursery.process(), in_model(start, release), start)[0]
        )


def _one_program(file: Path, as_json: bool) -> int:
    from mmlocks.host.diff import run_some
    from mmlocks.host.errors import HostError
    from mmlocks.host.nursery import Nursery
    from mmlocks.host.rules import doubts, running_release, running_version, spelled

    program, release, version = _program_in(file), running_release(), running_version()
    with Nursery() as nursery:
        part = run_some([(0, program)], nursery, release)
    if part.trouble:
        raise HostError(part.trouble)
    outcome = _outcome(part.programs, part.operations, part.counts, part.mismatch, part.number)
    again = f"mmlocks host diff --program {_quoted(file)}"
    return _report(outcome, f"Linux {spelled(version)}", {"file": str(file)}, again, doubts(version), as_json)


def _recording(file: Path, as_json: bool) -> int:
    from mmlocks.host.diff import against_recording, replay
    from mmlocks.host.recorded import Run, load
    from mmlocks.host.rules import release_with

    recording = load(file)
    release = release_with(recording.kernel, recording.rules)
    with Count(len(recording.runs)) as progress:
        try:
            outcome = replay(recording, release, progress)
        except KeyboardInterrupt:
            complain("interrupted; nothing was decided.")
            sys.exit(Status.INTERRUPTED)
    again = f"mmlocks host diff --recorded {_quoted(file)}"
    return _report(outcome, f"the recording of Linux {recording.kernel}", {"file": str(file), "number": outcome.number}, again, None, as_json)


def _order(seed: str | None, sequences: int, operations: int, first: int, jobs: int) -> Order:
    from mmlocks.host.diff import Order

    if seed is not None and (not seed.strip() or len(seed) > 100 or not seed.isprintable()):
        raise MmlocksError("--seed is a number or a word of at most 100 characters. Leave it out for a fresh one.")
    return Order(seed or os.urandom(4).hex(), sequences, operations, first, min(jobs, sequences))


def _cores() -> int:
    """Those that this process may use, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
