"""What `mmlocks releases` prints: the table, violations, releases and patches; words or JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmlocks.cli import terminal
from mmlocks.cli.names import the_release
from mmlocks.cli.terminal import ASIDE, BAD, GOOD, TITLE, UNSURE, gap, paragraph, write
from mmlocks.releases import NEWEST, PATCHES, RELEASES, Release, patch_named
from mmlocks.scenarios.table import Cell, RepairTable, Table
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from rich.text import Text

SIGNS = {"safe": "safe", "not applicable": "-", "unproved": "?"}
FEWEST = 3
"""Columns of releases side by side. If fewer fit, a list is easier to read."""


def print_tables(table: Table, many: int, repairs: RepairTable | None) -> None:
    """Print the table of `many` searches, then its violations, repairs, releases and patches."""
    _print_table(table, many)
    _print_violations(table)
    if repairs is not None:
        _print_repairs(repairs)
    _print_releases([the_release(name) for name in table.releases])


# -- the table -------------------------------------------------------------------------------------


def _print_table(table: Table, many: int) -> None:
    stories = counted(len(table.scenarios), "scenario")
    kernels = counted(len(table.releases), "release")
    paragraph(f"Every interleaving of {stories} on {kernels}", TITLE)
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
    legend = ["safe: no order of steps breaks a rule; otherwise, the rule that some order breaks."]
    legend += ["-: the scenario does not apply to that release."] if "-" in signs else []
    legend += ["?: not settled."] if "?" in signs else []
    legend += ["(!): not as recorded."] if "(!)" in signs else []
    paragraph(" ".join(legend), ASIDE)
    paragraph(f"{counted(many, 'search', 'searches')} in {table.seconds:.1f} s.", ASIDE)
    for cell in table:
        if cell.unexpected:
            paragraph(
                f"{cell.scenario} on {cell.release} is expected to be {cell.expected}, "
                f"and is {cell.outcome}."
            )
    reasons = {cell.message for cell in table if cell.outcome == "unproved"}
    if reasons:
        paragraph(f"Not settled: {'; '.join(sorted(reasons))}.")
        if any("seconds" in reason for reason in reasons):
            paragraph("To search further, raise --seconds.")


def _sign(cell: Cell) -> str:
    return SIGNS.get(cell.outcome, cell.oracle) + " (!)" * cell.unexpected


def _column(table: Table, release: str) -> int:
    return max(
        len(release), *(len(_sign(table[scenario, release])) for scenario in table.scenarios)
    )


def _blocks(table: Table, width: int) -> list[list[str]]:
    """The releases that stand side by side; an empty list if they do not fit."""
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
        line = [
            head.ljust(left),
            *(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)),
        ]
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
    """Print each violation once, and how to see it."""
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
            f"{scenario}: {oracle}, in {counted(steps, 'step')}: "
            f"{', '.join(cell.release for cell in cells)}"
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
        paragraph(
            f"Without it: {', '.join(wrong) or 'nothing goes wrong in these scenarios'}.", indent=4
        )
    masked = repairs.masked
    if masked:
        gap()
        paragraph(
            f"{NEWEST.name} without two of them, each of which hides what the other prevents", TITLE
        )
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
    """How a release differs from the nearest earlier one: `6.4.0 +stack_grows_exclusively`."""
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


# -- for programs ----------------------------------------------------------------------------------


def tables_json(table: Table, repairs: RepairTable | None, stopped: bool) -> dict[str, Any]:
    """The tables for programs. `mmlocks.cli.releases.SCHEMA` describes them."""
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
            {
                "name": patch.name,
                "commit": patch.commit,
                "shipped": patch.shipped,
                "about": patch.about,
            }
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
            {
                "without": list(row.patches),
                "violated": dict(row.violated),
                "together": list(row.together),
            }
            for row in found
        ]

    return {
        "release": NEWEST.name,
        "repairs": rows(repairs.rows),
        "pairs": rows(repairs.masked),
        "cells": [_cell_json(cell) for cell in (*repairs.alone, *repairs.pairs)],
    }
