"""What an operation did, read off a process's areas before and after it: what merged, what was split."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from mmlocks.conformance.compare import Observation
from mmlocks.conformance.program import is_address
from mmlocks.mm.address import Limits, page_align
from mmlocks.mm.area import Area

Row = tuple[str, str]
"""A kind of event: a heading and a row of the table (mmlocks.conformance.coverage)."""


class Moment(NamedTuple):
    """One operation, seen from the process that did it: what it is, and the areas of that process before and after."""

    process: int
    args: tuple[int, ...]
    result: int | None
    before: list[Area]
    after: list[Area]
    last: Observation
    """All there was to see before it."""
    now: Observation
    """All there is to see after it."""
    brk: int
    stack: int
    """Where the stack ends."""
    limits: Limits


def area_events(name: str, moment: Moment) -> Iterator[Row]:
    """Merges and splits. What the operation itself put there (`new`) is one of the parts that can become one."""
    before, after = _changed(moment.before, moment.after)
    new = _new_range(name, moment)
    for area in after:
        old = [one for one in before if one.start < area.end and area.start < one.end]
        parts = [one for one in old if not (new[0] <= one.start and one.end <= new[1])]
        joined = len(parts) + (new[0] < area.end and area.start < new[1])
        if joined < 2:
            continue
        whole = all(area.start <= one.start and one.end <= area.end for one in parts)
        if not whole and name == "mprotect":
            yield "areas", "a part joined its neighbour"
        else:
            yield "areas", "two became one" if joined == 2 else "three became one"
            if moment.process:
                yield "areas", "became one in a child"
            if name == "mremap":
                yield "mremap", "merged at its new place"
    for one in before:
        children = [
            area
            for area in after
            if one.start <= area.start and area.end <= one.end
            and not (new[0] <= area.start and area.end <= new[1])
        ]  # fmt: skip
        if len(children) >= 2:
            yield "areas", "one became two" if len(children) == 2 else "one became three"
            if "gd" in (one.flags or ()):
                yield "stack", "a growing area was split"
            if name == "munmap":
                yield "munmap", "the middle of an area"
    for low, high in pairwise(moment.after):
        if (low in after or high in after) and _alike(low, high):
            child = ", in a child" * bool(moment.process)
            yield "areas", f"alike and adjacent, still two{child}"


def _changed(before: list[Area], after: list[Area]) -> tuple[list[Area], list[Area]]:
    """Both lists without what they have in common at their beginnings and ends."""
    shorter = min(len(before), len(after))
    first = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    shorter -= first
    last = next((n for n in range(shorter) if before[-1 - n] != after[-1 - n]), shorter)
    return before[first : len(before) - last], after[first : len(after) - last]


def _new_range(name: str, moment: Moment) -> tuple[int, int]:
    """What an operation put where something else was, or nothing."""
    args, result = moment.args, moment.result
    if not is_address(result):
        return 0, 0
    assert result is not None
    if name == "mmap":
        return result, result + page_align(args[1])
    if name == "mremap" and result != args[0]:
        return result, result + page_align(args[2])
    if name == "mremap" and args[2] > args[1]:
        return args[0] + page_align(args[1]), args[0] + page_align(args[2])
    if name == "brk" and result > moment.brk:
        return page_align(moment.brk), page_align(result)
    return 0, 0


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
    return [area for area in areas if area.start < end and start < area.end]


def area_below(areas: list[Area], address: int) -> Area | None:
    """The last area that ends at an address or before it."""
    return next((area for area in reversed(areas) if area.end <= address), None)


def area_above(areas: list[Area], address: int) -> Area | None:
    """The first area that begins at an address or after it."""
    return next((area for area in areas if area.start >= address), None)
