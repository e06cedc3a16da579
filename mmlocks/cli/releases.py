"""`mmlocks releases`: the table of every scenario on every release, and what they consist of."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from mmlocks.cli import options
from mmlocks.cli.names import budget, in_file, the_release, the_scenario
from mmlocks.cli.terminal import Meter, Status, complain, print_json
from mmlocks.errors import ModelError
from mmlocks.releases import RELEASES

if TYPE_CHECKING:
    from mmlocks.scenarios.table import Cell

SCHEMA = (
    "--json prints one object: releases (name, date, about, patches), patches (name, commit, "
    "shipped, about), cells, without, seconds, interrupted. A cell has scenario, release, outcome "
    "(safe, violated, not applicable, unproved), oracle and message (of a violation; else empty, "
    "or why there is no answer), states, seconds, schedule, steps and minimal (of the run that "
    "shows it), and expected (or null). without is null, or has release, repairs and pairs (each "
    "with without, violated by scenario and oracle, and together: what neither shows alone), and "
    "cells."
)
ENDINGS = (
    f"{SCHEMA} Exit status: 0 every cell is as recorded; 1 some cell is not; 2 bad usage; 3 a "
    "cell is unproved, because a budget was used up or Ctrl-C ended the search; 130 interrupted, "
    "and there is no table."
)


class Count(Meter):
    """The progress of a table."""

    def __init__(self) -> None:
        super().__init__("")
        self.began = time.monotonic()

    def show(self, done: int, of: int, what: str) -> bool:
        """Show the progress. A table calls this several times a second; False ends it."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            bar = "#" * (20 * done // max(of, 1))
            self._show(f"[{bar:<20}] {done} of {of} searches, {now - self.began:.0f} s, {what}")
        return not self.interrupted


@click.command(epilog=ENDINGS)
@options.as_json
@options.jobs("Searches at a time.", usual="processor cores")
@click.option(
    "--scenario", metavar="NAME", multiple=True, help="Only this scenario. May be repeated."
)
@click.option(
    "--release",
    "-r",
    metavar="R",
    multiple=True,
    help="Only this release, or one such as 6.4.0+fork_locks_vmas. May be repeated.",
)
@options.dask
@click.option(
    "--without",
    is_flag=True,
    help="Also take each repair out of the newest release, alone and in pairs.",
)
@options.seconds
def releases(
    as_json: bool,
    jobs: int | None,
    scenario: tuple[str, ...],
    release: tuple[str, ...],
    dask: str | None,
    without: bool,
    seconds: float | None,
) -> int:
    """Search every scenario on every release, and print the table.

    Also prints what each release and each patch is.
    """
    from mmlocks.cli.executors import executor
    from mmlocks.cli.releases_report import print_tables, tables_json
    from mmlocks.scenarios import SCENARIOS
    from mmlocks.scenarios.table import repair_table, searches, truth_table

    for name in filter(in_file, scenario):
        raise ModelError(
            f"--scenario takes scenarios of the course, and {name} is in a file. "
            f"For each release: mmlocks run {name} -r R"
        )
    stories = [the_scenario(name).name for name in scenario or SCENARIOS]
    kernels = [the_release(name).name for name in release or RELEASES]
    allowed = budget(None, seconds)
    repairs = None
    many = len(searches(kernels, stories))
    meter = Count()
    at_once = jobs if dask is not None else min(jobs or os.cpu_count() or 1, many)
    with meter, executor(at_once, dask) as helpers:
        table = truth_table(kernels, stories, helpers.executor, meter.show, allowed)
        if without and not table.stopped:
            repairs = repair_table(stories, helpers.executor, meter.show, allowed)
    stopped = table.stopped or (repairs is not None and repairs.stopped)
    if as_json:
        print_json(tables_json(table, repairs, stopped))
    else:
        print_tables(table, many, repairs)
    cells = [*table, *(() if repairs is None else (*repairs.alone, *repairs.pairs))]
    if stopped:
        settled = sum(cell.outcome != "unproved" for cell in cells)
        complain(f"interrupted; {settled} of {len(cells)} cells were settled.")
    return _status(cells)


def _status(cells: list[Cell]) -> Status:
    if any(cell.unexpected for cell in cells):
        return Status.WRONG
    return Status.UNPROVED if any(cell.outcome == "unproved" for cell in cells) else Status.FINE
