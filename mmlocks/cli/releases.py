"""`mmlocks releases`: the truth table of every scenario on every release, and what each release and each patch is."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mmlocks.cli import options, terminal
from mmlocks.cli.names import budget, in_file, the_release, the_scenario
from mmlocks.cli.terminal import (
    ASIDE,
    BAD,
    GOOD,
    TITLE,
    UNSURE,
    Meter,
    Status,
    complain,
    gap,
    paragraph,
    write,
)
from mmlocks.errors import ModelError
from mmlocks.releases import NEWEST, PATCHES, RELEASES, Release, patch_named
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from rich.text import Text

    from mmlocks.scenarios.table import Cell, RepairTable, Table

SCHEMA = (
    "--json prints one object: releases (name, date, about, patches), patches (name, commit, shipped, about), cells, without, seconds, "
    "interrupted. A cell has scenario, release, outcome (safe, violated, not applicable, unproved), oracle and message (of a violation; else "
    "empty, or why there is no answer), states, seconds, schedule, steps and minimal (of the run that shows it), and expected (or null). "
    "without is null, or has release, repairs and pairs (each with without, violated by scenario and oracle, and together: what neither "
    "shows alone), and cells."
)
ENDINGS = (
    f"{SCHEMA} Exit status: 0 all as the record has it; 1 some cell is not; 2 bad usage; 3 a cell is unproved, for a budget was used "
    "up, or Ctrl-C ended the search; 130 it came too early, or too late, for a table."
)
SIGNS = {"safe": "safe", "not applicable": "-", "unproved": "?"}
FEWEST = 3
"""Columns of releases side by side; where fewer fit, a list reads better."""


class Count(Meter):
    """The progress of a table."""

    def __init__(self) -> None:
        super().__init__("")
        self.began = time.monotonic()

    def show(self, done: int, of: int, what: str) -> bool:
        """What a table calls several times a second; False ends it."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            bar = "#" * (20 * done // max(of, 1))
            self._show(f"[{bar:<20}] {done} of {of} searches, {now - self.began:.0f} s, {what}")
        return not self.interrupted


@click.command(epilog=ENDINGS)
@options.as_json
@options.jobs("Searches at a time.", usual="processor cores")
@click.option("--scenario", metavar="NAME", multiple=True, help="Only this scenario. May be repeated.")
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
    """Search every scenario on every release: who loses what.

    Also tells what each release is, and each patch.
    """
    from mmlocks.cli.executors import executor
    from mmlocks.scenarios import SCENARIOS
    from mmlocks.scenarios.table import repair_table, searches, truth_table

    for name in filter(in_file, scenario):
        raise ModelError(
            f"--scenario takes the course's scenarios, and {name} is in a file. For each release: mmlocks run {name} -r R"
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
        from mmlocks.cli.report import print_json

        print_json(_json(table, repairs, stopped))
    else:
        _print_table(table, many)
        _print_violations(table)
        if repairs is not None:
            _print_repairs(repairs)
        _print_releases([the_release(name) for name in table.releases])
    if stopped:
        whole = [*table, *(() if repairs is None else (*repairs.alone, *repairs.pairs))]
        settled = sum(cell.outcome != "unproved" for cell in whole)
        complain(f"interrupted; {settled} of {len(whole)} cells were settled.")
    return _status([*table, *(() if repairs is None else (*repairs.alone, *repairs.pairs))])


def _status(cells: Iterable[Cell]) -> Status:
    cells = list(cells)
    if any(cell.unexpected for cell in cells):
        return Status.WRONG
    return Status.UNPROVED if any(cell.outcome == "unproved" for cell in cells) else Status.FINE


# -- the table --------------------------------------------------------------------------------------------------------


def _print_table(table: Table, many: int) -> None:
    paragraph(
        f"Every interleaving of {_number(table.scenarios, 'scenario')} on {_number(table.releases, 'release')}", TITLE
    )  # fmt: skip
    gap()
    blocks = _blocks(table, terminal.width())
    if blocks:
        for block in blocks:
            write("\n".join(_rows(table, block)), paint=_painter(table))
            gap()
    else:
        for scenario in table.scenarios:
            write(scenario, TITLE)
            for sign, names in _by_sign(table, scenario).items():
                paragraph(f"{sign}: {', '.join(names)}", indent=4)
            gap()
    signs = {sign for cell in table for sign in _sign(cell).split()}
    legend = ["safe: nothing is wrong in any order of steps; otherwise, the rule that some order breaks."]
    legend += ["-: the scenario has nothing to say of that release."] if "-" in signs else []
    legend += ["?: not settled."] if "?" in signs else []
    legend += ["(!): not what the record lets us expect."] if "(!)" in signs else []
    paragraph(" ".join(legend), ASIDE)
    paragraph(
        f"{_number(range(many), 'search')} in {table.seconds:.1f} s.".replace("searchs", "searches"), ASIDE
    )
    for cell in table:
        if cell.unexpected:
            paragraph(
                f"{cell.scenario} on {cell.release} is expected to be {cell.expected}, and is {cell.outcome}."
            )
    reasons = {cell.message for cell in table if cell.outcome == "unproved"}
    if reasons:
        paragraph(f"Not settled: {'; '.join(sorted(reasons))}.")
        if any("seconds" in reason for reason in reasons):
            paragraph("To search further, raise --seconds.")


def _sign(cell: Cell) -> str:
    return SIGNS.get(cell.outcome, cell.oracle) + " (!)" * cell.unexpected


def _column(table: Table, release: str) -> int:
    return max(len(release), *(len(_sign(table[scenario, release])) for scenario in table.scenarios))


def _blocks(table: Table, width: int) -> list[list[str]]:
    """The releases that stand side by side; none where they do not fit."""
    left = max(map(len, table.scenarios))
    blocks: list[list[str]] = []
    room = 0
    for release in table.releases:
        needed = 2 + _column(table, release)
        if not blocks or needed > room:
            blocks.append([])
            room = width - left
        if needed > room:
            return []
        blocks[-1].append(release)
        room -= needed
    crowded = any(len(block) < FEWEST for block in blocks[:-1])
    return [] if crowded else blocks


def _rows(table: Table, block: Sequence[str]) -> Iterator[str]:
    left = max(map(len, table.scenarios))
    widths = [_column(table, release) for release in block]
    for head, cells in [
        ("", block),
        *((name, [_sign(table[name, release]) for release in block]) for name in table.scenarios),
    ]:
        line = [head.ljust(left), *(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))]
        yield "  ".join(line).rstrip()


def _by_sign(table: Table, scenario: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for release in table.releases:
        found.setdefault(_sign(table[scenario, release]), []).append(release)
    return found


def _painter(table: Table) -> Any:
    bad = "|".join(sorted({re.escape(cell.oracle) for cell in table if cell.oracle}))

    def paint(shown: Text) -> None:
        shown.highlight_regex(r"\A.*", TITLE)
        shown.highlight_regex(r"(?m)^\w+", TITLE)
        shown.highlight_regex(r"(?<=  )safe\b", GOOD)
        shown.highlight_regex(r"(?<=  )\?", UNSURE)
        if bad:
            shown.highlight_regex(rf"(?<=  )({bad})\b", BAD)

    return paint


def _print_violations(table: Table) -> None:
    """What goes wrong, each once, and how to see it."""
    same: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in table:
        if cell.outcome == "violated":
            same.setdefault((cell.scenario, cell.oracle, cell.steps, cell.message), []).append(cell)
    if not same:
        return
    gap()
    write("What goes wrong", TITLE)
    for (scenario, oracle, steps, message), cells in same.items():
        gap()
        paragraph(
            f"{scenario}: {oracle}, in {_number(range(steps), 'step')}: {', '.join(cell.release for cell in cells)}"
        )
        paragraph(message, indent=4)
    gap()
    first = next(iter(same.values()))[0]
    paragraph("To see one of them step by step:")
    terminal.command(f"mmlocks run {first.scenario} --release {first.release}")


def _print_repairs(repairs: RepairTable) -> None:
    gap()
    paragraph(f"{NEWEST.name} without one of its repairs", TITLE)
    for row in repairs.rows:
        gap()
        _print_patch(row.patches[0])
        wrong = [f"{scenario} ({oracle})" for scenario, oracle in row.violated.items()]
        paragraph(f"Without it: {', '.join(wrong) or 'nothing goes wrong in these scenarios'}.", indent=4)
    masked = repairs.masked
    if masked:
        gap()
        paragraph(f"{NEWEST.name} without two of them, each of which hides what the other prevents", TITLE)
    for row in masked:
        gap()
        write(" and ".join(row.patches), TITLE)
        wrong = [f"{scenario} ({row.violated[scenario]})" for scenario in row.together]
        paragraph(f"Without both: {', '.join(wrong)}.", indent=4)


def _print_releases(kernels: Sequence[Release]) -> None:
    gap()
    write("The releases", TITLE)
    for release in kernels:
        gap()
        write(f"{release.name:<12}   {release.date}", paint=_title(release.name))
        made = _made_of(release)
        if made:
            paragraph(made, indent=4)
        if release.about:
            paragraph(f"{release.about}.", indent=4)
    gap()
    write("The patches", TITLE)
    for name in PATCHES:
        gap()
        _print_patch(name)
        paragraph(f"{patch_named(name).about}.", indent=4)


def _print_patch(name: str) -> None:
    patch = patch_named(name)
    head = f"{name:<25}  {patch.commit:<16}  {patch.shipped}"
    write(
        head if len(head) <= terminal.width() else f"{name}\n    {patch.commit}  {patch.shipped}",
        paint=_title(name),
    )


def _title(name: str) -> Callable[[Text], None]:
    return lambda shown: shown.stylize(TITLE, 0, len(name))


def _made_of(release: Release) -> str:
    """How a release differs from the earlier one that is nearest to it: `6.4.0 +stack_grows_exclusively`."""
    before = []
    for other in RELEASES.values():
        if other.name == release.name:
            break
        before.append(other)
    if not before:
        return ""
    near = min(reversed(before), key=lambda other: len(other.patches ^ release.patches))
    changes = [
        f"{'+' if patch in release.patches else '-'}{patch.name}"
        for patch in PATCHES.values()
        if patch in near.patches ^ release.patches
    ]
    return " ".join([near.name, *changes]) if changes else f"the same patches as {near.name}"


def _number(things: Sequence[Any], what: str) -> str:
    return counted(len(things), what)


# -- for programs -----------------------------------------------------------------------------------------------------


def _json(table: Table, repairs: RepairTable | None, stopped: bool) -> dict[str, Any]:
    kernels = [the_release(name) for name in table.releases]
    return {
        "releases": [
            {
                "name": release.name,
                "date": release.date,
                "about": release.about,
                "patches": [name for name, patch in PATCHES.items() if patch in release.patches],
            }
            for release in kernels
        ],
        "patches": [
            {"name": patch.name, "commit": patch.commit, "shipped": patch.shipped, "about": patch.about}
            for patch in PATCHES.values()
        ],
        "cells": [_cell_json(cell) for cell in table],
        "without": None if repairs is None else _repairs_json(repairs),
        "seconds": round(table.seconds, 3),
        "interrupted": stopped,
    }


def _cell_json(cell: Cell) -> dict[str, Any]:
    return {
        **cell._asdict(),
        "seconds": round(cell.seconds, 6),
        "schedule": cell.schedule or None,
        "expected": cell.expected,
    }


def _repairs_json(repairs: RepairTable) -> dict[str, Any]:
    def rows(found: Iterable[Any]) -> list[dict[str, Any]]:
        return [
            {"without": list(row.patches), "violated": dict(row.violated), "together": list(row.together)}
            for row in found
        ]

    return {
        "release": NEWEST.name,
        "repairs": rows(repairs.rows),
        "pairs": rows(repairs.masked),
        "cells": [_cell_json(cell) for cell in (*repairs.alone, *repairs.pairs)],
    }
