"""`mmlocks host ...`: the model compared with a real kernel. What the commands need is imported when they run."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmlocks.cli.terminal import (
    ASIDE,
    TITLE,
    Meter,
    Status,
    command,
    complain,
    gap,
    paragraph,
    write,
)
from mmlocks.errors import MmlocksError
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from mmlocks.conformance.compare import Mismatch
    from mmlocks.conformance.diff import Order
    from mmlocks.conformance.program import Program
    from mmlocks.releases import Release

ENDINGS = (
    "Exit status: 0 no mismatch; 1 a mismatch; 2 bad usage, a file that cannot be read, or a computer that does not let us; "
    "130 interrupted."
)
host = typer.Typer(
    name="host",
    rich_markup_mode=None,
    help="Compare the model with the running kernel.",
    epilog=ENDINGS,
)

USUAL_OPS = 40
Sequences = Annotated[int, typer.Option(min=1, metavar="N", help="How many random programs.")]
Ops = Annotated[int, typer.Option(min=1, max=1000, metavar="K", help="Operations in each program.")]
Seed = Annotated[
    str | None,
    typer.Option(
        metavar="S", help="Makes the programs; the same ones again.", show_default="a fresh one"
    ),
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
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            bar = "#" * (20 * done // self.programs)
            left = f", {seconds / done * (self.programs - done):.0f} s left" if done else ""
            self._show(
                f"[{bar:<20}] {done:,} of {self.programs:,} programs, {operations:,} operations, {seconds:.0f} s{left}"
            )
        return not self.interrupted


@host.command(epilog=ENDINGS)
def diff(
    sequences: Sequences = 1000, ops: Ops = USUAL_OPS, seed: Seed = None, first: First = 0,
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
    """Run random programs on the kernel and in the model.

    After every operation both are compared: results, areas with their flags, and the contents of touched pages, in parents and forked children.
    A program that shows a difference is made as small as it gets, and printed in Python and in C.
    """
    if program is not None and recorded is not None:
        raise MmlocksError(
            "--program and --recorded are two ways to choose what is run. Leave one of them out."
        )
    if program is not None:
        return _one_program(program, as_json)
    if recorded is not None:
        return _recording(recorded, as_json)
    return _many(_order(seed, sequences, ops, first, jobs or _cores()), as_json)


@host.command()
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON; compressed if the name ends in .gz.")],
    sequences: Sequences = 100, ops: Ops = USUAL_OPS, seed: Seed = None, first: First = 0,
) -> int:  # fmt: skip
    """Keep what the kernel does with random programs in a file."""
    from mmlocks.conformance.diff import record as recorded
    from mmlocks.conformance.recorded import check_place, save

    check_place(file)
    order = _order(seed, sequences, ops, first, 1)
    with Count(sequences) as progress:
        try:
            recording = recorded(order, progress)
        except KeyboardInterrupt:
            complain(f"interrupted; {file} was not written.")
            sys.exit(Status.INTERRUPTED)
    save(file, recording)
    write(
        f"{counted(len(recording.runs), 'program')} of seed {order.seed} on Linux {recording.kernel}: {file}"
    )
    paragraph("To compare the model with it, on any computer:")
    command(f"mmlocks host diff --recorded {shlex.quote(str(file))}")
    return Status.FINE


@host.command()
def rules(as_json: Json = False) -> int:
    """List the named differences between kernels.

    Each is a patch that changed how Linux lays out memory. Which of them the running kernel has goes by its version.
    """
    from mmlocks.conformance.rules import all_rules, doubts, running_version, spelled
    from mmlocks.errors import HostError

    version, reason = None, ""
    try:
        version = running_version()
    except HostError as problem:
        reason = str(problem)
    known = all_rules(version)
    doubt = doubts(version) if version is not None else reason
    if as_json:
        from mmlocks.cli.report import print_json

        print_json(
            {
                "kernel": None if version is None else spelled(version),
                "doubt": doubt,
                "rules": [
                    {
                        "name": rule.patch.name,
                        "commit": rule.patch.commit,
                        "since": rule.patch.shipped,
                        "earlier": list(rule.earlier),
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
        write(
            "   ".join(
                filter(None, [f"{rule.patch.name:<26}", rule.patch.commit, since, here, checked])
            )
        )
        paragraph(f"{rule.patch.about}.", indent=4)
    if doubt:
        gap()
        paragraph(doubt, ASIDE)
    return Status.FINE


# -- what is run ------------------------------------------------------------------------------------------------------


def _many(order: Order, as_json: bool) -> int:
    from mmlocks.cli.host_report import Told, print_outcome
    from mmlocks.conformance.nursery import unsupported
    from mmlocks.conformance.rules import doubts, running_release, running_version, spelled

    version, release = running_version(), running_release()
    if (reason := unsupported()) is not None:
        raise MmlocksError(
            f"{reason}. To compare with a recording: mmlocks host diff --recorded FILE"
        )
    from mmlocks.conformance.workers import diff as compared  # can only be imported on Linux

    kernel = f"Linux {spelled(version)}"
    if not as_json:
        paragraph(
            f"{kernel}: {counted(order.sequences, 'program')} of {counted(order.operations, 'operation')}, seed {order.seed}",
            TITLE,
        )
    with Count(order.sequences) as progress:
        outcome = compared(order, progress)
        found = outcome.mismatch
        if found is not None and not outcome.interrupted:
            with suppress(KeyboardInterrupt):  # then it is shown as it was found
                outcome.mismatch = _shrunk(found, release)
    if outcome.interrupted:
        so_far = (
            "no mismatch so far" if found is None else f"program {outcome.number} shows a mismatch"
        )
        complain(
            f"interrupted after {outcome.programs:,} of {order.sequences:,} programs of seed {order.seed}; {so_far}."
        )
        sys.exit(Status.INTERRUPTED)
    ops = "" if order.operations == USUAL_OPS else f" --ops {order.operations}"
    told = Told(
        kernel=kernel,
        origin={
            "seed": order.seed,
            "first": order.first,
            "sequences": order.sequences,
            "ops": order.operations,
        },
        name=f"program {outcome.number} of seed {order.seed}",
        again=f"mmlocks host diff --seed {shlex.quote(order.seed)} --first {outcome.number} --sequences 1{ops}",
        doubt=doubts(version),
        original=None if found is None else found.program,
    )
    return print_outcome(outcome, told, as_json)


def _shrunk(mismatch: Mismatch, release: Release) -> Mismatch:
    from mmlocks.conformance.diff import in_model, run_both, start_of
    from mmlocks.conformance.nursery import Nursery
    from mmlocks.conformance.shrink import shrink

    with Nursery() as nursery:
        start = start_of(nursery)
        return shrink(
            mismatch,
            lambda one: run_both(one, nursery.process(), in_model(start, release), start)[0],
        )


def _one_program(file: Path, as_json: bool) -> int:
    from mmlocks.cli.host_report import Told, print_outcome
    from mmlocks.conformance.diff import run_some
    from mmlocks.conformance.rules import doubts, running_release, running_version, spelled

    program, version = _program_in(file), running_version()
    from mmlocks.conformance.nursery import Nursery  # can only be imported on Linux

    with Nursery() as nursery:
        outcome = run_some([(0, program)], nursery, running_release())
    if outcome.trouble:
        raise MmlocksError(outcome.trouble)
    told = Told(
        kernel=f"Linux {spelled(version)}",
        origin={"file": str(file)},
        name=f"the program in {file}",
        again=f"mmlocks host diff --program {shlex.quote(str(file))}",
        doubt=doubts(version),
    )
    return print_outcome(outcome, told, as_json)


def _recording(file: Path, as_json: bool) -> int:
    from mmlocks.cli.host_report import Told, print_outcome
    from mmlocks.conformance.diff import Outcome, replay
    from mmlocks.conformance.recorded import load

    recording = load(file)
    with Count(len(recording.runs)) as progress:
        try:
            outcome = replay(recording, progress)
        except KeyboardInterrupt:
            outcome = Outcome(interrupted=True)
    if outcome.interrupted:
        complain(f"interrupted while {file} was compared; nothing was decided.")
        sys.exit(Status.INTERRUPTED)
    told = Told(
        kernel=f"the recording of Linux {recording.kernel}",
        origin={"file": str(file)},
        name=f"program {outcome.number} in {file}",
        again=f"mmlocks host diff --recorded {shlex.quote(str(file))}",
    )
    return print_outcome(outcome, told, as_json)


def _order(seed: str | None, sequences: int, operations: int, first: int, jobs: int) -> Order:
    from mmlocks.conformance.diff import Order

    if seed is not None and (not seed.strip() or len(seed) > 100 or not seed.isprintable()):
        raise MmlocksError(
            "--seed takes a number or a word of at most 100 characters. Leave it out for a fresh one."
        )
    return Order(seed or os.urandom(4).hex(), sequences, operations, first, min(jobs, sequences))


def _program_in(file: Path) -> Program:
    """The program in a file: alone, or in what --json printed."""
    from mmlocks.conformance.program import from_json

    if file.exists() and not file.is_file():
        raise MmlocksError(f"{file} is no ordinary file. Name one that holds a program as JSON.")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MmlocksError(
            f"there is no file {file}. `mmlocks host diff --json` prints programs that show a mismatch."
        ) from None
    except OSError as problem:
        raise MmlocksError(f"{file} cannot be read: {problem.strerror or problem}.") from None
    except (ValueError, RecursionError):
        raise MmlocksError(
            f'{file} holds no JSON. A program is what `mmlocks host diff --json` prints as "program".'
        ) from None
    while isinstance(value, dict):
        value = value.get("mismatch", value.get("program"))
    return from_json(value, str(file))


def _cores() -> int:
    """Those that this process may use; in a container they can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
