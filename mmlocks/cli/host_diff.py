"""`mmlocks host diff`: give the model and a kernel the same programs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmlocks.cli import host_options, options
from mmlocks.cli.host_options import ENDINGS, USUAL_OPS, Count, order_of
from mmlocks.cli.terminal import TITLE, Status, complain, paragraph
from mmlocks.errors import MmlocksError
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from mmlocks.conformance.compare import Mismatch
    from mmlocks.conformance.diff import Order
    from mmlocks.conformance.program import Program
    from mmlocks.releases import Release


@click.command(epilog=ENDINGS)
@host_options.sequences(1000)
@host_options.ops
@host_options.seed
@host_options.first
@options.jobs("Programs at a time.", usual="processor cores")
@click.option(
    "--program",
    metavar="FILE",
    type=Path,
    help="Run the one program in a JSON file, as --json prints it.",
)
@click.option(
    "--recorded", metavar="FILE", type=Path, help="Compare with a recording, on any computer."
)
@options.as_json
def diff(
    sequences: int,
    ops: int,
    seed: str | None,
    first: int,
    jobs: int | None,
    program: Path | None,
    recorded: Path | None,
    as_json: bool,
) -> int:
    """Run random programs on the kernel and in the model.

    After every operation, compares results, areas with their flags, and the contents of touched
    pages, in parents and forked children. A program that shows a difference is made as small as
    possible, and printed in Python and in C.
    """
    if program is not None and recorded is not None:
        raise MmlocksError(
            "--program and --recorded are two ways to choose what is run. Leave one of them out."
        )
    if program is not None:
        return _one_program(program, as_json)
    if recorded is not None:
        return _recording(recorded, as_json)
    return _many(order_of(seed, sequences, ops, first, jobs or _cores()), as_json)


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
            f"{kernel}: {counted(order.sequences, 'program')} of "
            f"{counted(order.operations, 'operation')}, seed {order.seed}",
            TITLE,
        )
    with Count(order.sequences) as progress:
        outcome = compared(order, progress)
        found = outcome.mismatch
        if found is not None and not outcome.interrupted:
            with suppress(KeyboardInterrupt):  # the mismatch is then shown as it was found
                outcome.mismatch = _shrunk(found, release)
    if outcome.interrupted:
        so_far = (
            "no mismatch so far" if found is None else f"program {outcome.number} shows a mismatch"
        )
        complain(
            f"interrupted after {outcome.programs:,} of {order.sequences:,} programs of seed "
            f"{order.seed}; {so_far}."
        )
        sys.exit(Status.INTERRUPTED)
    ops = "" if order.operations == USUAL_OPS else f" --ops {order.operations}"
    chosen = f"--seed {shlex.quote(order.seed)} --first {outcome.number} --sequences 1{ops}"
    told = Told(
        kernel=kernel,
        origin={
            "seed": order.seed,
            "first": order.first,
            "sequences": order.sequences,
            "ops": order.operations,
        },
        name=f"program {outcome.number} of seed {order.seed}",
        again=f"mmlocks host diff {chosen}",
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


def _program_in(file: Path) -> Program:
    """The program in a file, which holds it alone or as --json printed it."""
    from mmlocks.conformance.program import from_json

    if file.exists() and not file.is_file():
        raise MmlocksError(
            f"{file} is not an ordinary file. Name one that holds a program as JSON."
        )
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MmlocksError(
            f"there is no file {file}. "
            "`mmlocks host diff --json` prints programs that show a mismatch."
        ) from None
    except OSError as problem:
        raise MmlocksError(f"{file} cannot be read: {problem.strerror or problem}.") from None
    except (ValueError, RecursionError):
        raise MmlocksError(
            f"{file} does not hold JSON. "
            'A program is what `mmlocks host diff --json` prints as "program".'
        ) from None
    while isinstance(value, dict):
        value = value.get("mismatch", value.get("program"))
    return from_json(value, str(file))


def _cores() -> int:
    """The cores that this process may use. A container may allow fewer than the computer has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
