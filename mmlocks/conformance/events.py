"""What one operation did to a process's areas: what merged, and what was split."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from mmlocks.conformance.compare import Observation, same_ends
from mmlocks.conformance.program import is_address
from mmlocks.mm.address import Limits, page_align
from mmlocks.mm.area import Area

Row = tuple[str, str]
"""A kind of event: a heading and a row of the table (mmlocks.conformance.coverage)."""


class Moment(NamedTuple):
    """One operation: what it is, and the areas of its process before and after it."""

    process: int
    args: tuple[int, ...]
    result: int | None
    before: list[Area]
    after: list[Area]
    last: Observation
    """Everything that was observed before it."""
    now: Observation
    """Everything that was observed after it."""
    brk: int
    stack: int
    """The end of the stack."""
    limits: Limits


class Range(NamedTuple):
    """Addresses from `start` up to `end`, which is not included."""

    start: int
    end: int

    def holds(self, area: Area) -> bool:
        """Whether all of an area lies in the range."""
        return self.start <= area.start and area.end <= self.end

    def meets(self, area: Area) -> bool:
        """Whether a part of an area lies in the range."""
        return area.start < self.end and self.start < area.end


def area_events(name: str, moment: Moment) -> Iterator[Row]:
    """The merges and splits of an operation, and the areas that could have merged and did not."""
    start, end = same_ends(moment.before, moment.after)
    before = moment.before[start : len(moment.before) - end]
    after = moment.after[start : len(moment.after) - end]
    new = _new_range(name, moment)
    for area in after:
        yield from _merge(name, moment, area, before, new)
    for area in before:
        yield from _split(name, area, after, new)
    for low, high in pairwise(moment.after):
        if (low in after or high in after) and _alike(low, high):
            child = ", in a child" if moment.process else ""
            yield "areas", f"alike and adjacent, still two{child}"


def _merge(name: str, moment: Moment, area: Area, before: list[Area], new: Range) -> Iterator[Row]:
    """What became one in `area`: parts of areas that were there, and what the operation mapped."""
    parts = [old for old in areas_within(before, area.start, area.end) if not new.holds(old)]
    joined = len(parts) + new.meets(area)
    if joined < 2:
        return
    if name == "mprotect" and not all(Range(area.start, area.end).holds(part) for part in parts):
        yield "areas", "a part joined its neighbour"
        return
    yield "areas", "two became one" if joined == 2 else "three became one"
    if moment.process:
        yield "areas", "became one in a child"
    if name == "mremap":
        yield "mremap", "merged at its new place"


def _split(name: str, area: Area, after: list[Area], new: Range) -> Iterator[Row]:
    """What became of `area`, if two or more areas lie within it now."""
    within = Range(area.start, area.end)
    pieces = [now for now in after if within.holds(now) and not new.holds(now)]
    if len(pieces) < 2:
        return
    yield "areas", "one became two" if len(pieces) == 2 else "one became three"
    if "gd" in (area.flags or ()):
        yield "stack", "a growing area was split"
    if name == "munmap":
        yield "munmap", "the middle of an area"


def _new_range(name: str, moment: Moment) -> Range:
    """Where an operation mapped memory; an empty range if it did not."""
    args, result = moment.args, moment.result
    if result is None or not is_address(result):
        return Range(0, 0)
    if name == "mmap":
        return Range(result, result + page_align(args[1]))
    if name == "mremap" and result != args[0]:
        return Range(result, result + page_align(args[2]))
    if name == "mremap" and args[2] > args[1]:
        return Range(args[0] + page_align(args[1]), args[0] + page_align(args[2]))
    if name == "brk" and result > moment.brk:
        return Range(page_align(moment.brk), page_align(result))
    return Range(0, 0)


def _alike(low: Area, high: Area) -> bool:
    return (
        low.end == high.start
        and low.perms == high.perms
        and low.flags == high.flags
        and not low.file
        and not high.file
    )


def area_at(areas: list[Area], address: int) -> Area | None:
    """The area that holds an address."""
    return next((area for area in areas if area.start <= address < area.end), None)


def areas_within(areas: list[Area], start: int, end: int) -> list[Area]:
    """The areas of which some part lies in a range."""
    return [area for area in areas if Range(start, end).meets(area)]


def area_below(areas: list[Area], address: int) -> Area | None:
    """The last area that ends at an address or before it."""
    return next((area for area in reversed(areas) if area.end <= address), None)


def area_above(areas: list[Area], address: int) -> Area | None:
    """The first area that begins at an address or after it."""
    return next((area for area in areas if area.start >= address), None)
