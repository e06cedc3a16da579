"""The figures as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns of text: the first flush left, the others flush right."""
    cells = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def whole(value: float | None) -> str:
    """A count, with thousands separators."""
    return "-" if value is None else f"{value:,.0f}"


def seconds(value: float | None, limit: float) -> str:
    """A duration; None is one beyond the limit."""
    return f"> {limit:g} s" if value is None else f"{value:.2f}"


def ratio(theirs: float | None, ours: float | None, limit: float) -> str:
    """How many times longer they took. Where one was stopped at the limit, what can be said without it."""
    if theirs is None and ours is None:
        return "-"
    if ours is None:
        return f"< {(theirs or 0) / limit:.2f}"
    return f"> {limit / ours:.1f}" if theirs is None else f"{theirs / ours:.1f}"
