"""What happened in a run: counted from areas before and after each operation and from results, not from what was asked for.

A run in which nothing merged proves nothing about merging. So every kind of event that kernel and model could disagree about has a row
here, and a row that stays low after thousands of programs says that the generator is to be mended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from mmlocks.host.compare import Observation, Start, bases, visible
from mmlocks.host.program import (
    HUGE_PAGE,
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    PAGE,
    PROT_GROWSDOWN,
    Operation,
    Program,
    errno_name,
    is_address,
)
from mmlocks.mm.area import Area, Limits

ENOUGH = 100
"""A row below this, in a run of ten thousand programs, is pointed out."""

ROWS: dict[str, tuple[str, ...]] = {
    "who": ("operations of a parent", "operations of a child", "operations of a third process", "forks"),
    "areas": (
        "two became one",
        "three became one",
        "became one in a child",
        "a part joined its neighbour",
        "one became two",
        "one became three",
        "alike and adjacent, still two",
        "alike and adjacent, still two, in a child",
    ),
    "pages": (
        "first store to a page",
        "a store parted what parent and child shared",
        "a store was seen in another process",
        "words followed mremap",
        "words were dropped by MADV_DONTNEED",
        "store refused: no area",
        "store refused: not writable",
        "store refused: behind the end of the file",
        "load refused: no area",
        "load refused: not readable",
        "load refused: behind the end of the file",
    ),
    "stack": (
        "[stack] grew by a page",
        "[stack] grew by several",
        "[stack] grew by hundreds",
        "another MAP_GROWSDOWN area grew",
        "grew to exactly the guard gap",
        "grew closer than the guard gap",
        "refused: guard gap",
        "refused: RLIMIT_STACK",
        "a growing area was split",
        "PROT_GROWSDOWN reached down to the start",
        "PROT_GROWSDOWN refused",
    ),
    "brk": (
        "heap began",
        "heap grew in its area",
        "heap grew into a new area",
        "heap shrank",
        "heap shrank to nothing",
        "refused by a neighbour",
        "refused by a growing neighbour's guard gap",
        "below its start: unchanged",
    ),
    "mmap": (
        "placed by the kernel",
        "placed into a hole between areas",
        "2 MiB placed at a multiple of 2 MiB",
        "longer than 2 MiB, placed anywhere",
        "hint used",
        "hint rounded",
        "hint too low: raised",
        "hint ignored: occupied",
        "hint ignored: guard gap",
        "MAP_FIXED replaced areas",
        "MAP_FIXED_NOREPLACE refused",
        "file mapped",
    ),
    "munmap": ("areas gone", "hole: nothing done", "the middle of an area"),
    "mprotect": ("over several areas", "stopped at a hole after it had changed something"),
    "mremap": (
        "moved by the kernel",
        "moved to a fixed place",
        "moved to a fixed place over areas",
        "moved several areas",
        "grew in place",
        "shrank",
        "length unchanged: nothing done",
        "old area kept (MREMAP_DONTUNMAP)",
        "shared pages mapped twice",
        "merged at its new place",
        "moved a growing area",
    ),
    "refused": (
        "brk unchanged", "madvise EINVAL", "madvise ENOMEM", "mmap EEXIST", "mmap EINVAL", "mmap ENOMEM", "mprotect EINVAL", "mprotect ENOMEM", "mremap EFAULT", "mremap EINVAL", "mremap ENOMEM", "munmap EINVAL",
    ),
}  # fmt: skip
"""Everything that a run is expected to show, by heading."""

Row = tuple[str, str]
"""A heading and one of its rows."""


def rare(counts: Counter[Row], least: int = ENOUGH) -> list[Row]:
    """The expected rows that are below `least`."""
    return [(heading, row) for heading, rows in ROWS.items() for row in rows if counts[heading, row] < least]


def in_order(counts: Counter[Row]) -> dict[str, dict[str, int]]:
    """All rows by heading: those that are expected, then others that were seen."""
    table = {heading: {row: counts[heading, row] for row in rows} for heading, rows in ROWS.items()}
    for heading, row in sorted(counts):
        table.setdefault(heading, {}).setdefault(row, counts[heading, row])
    return table


class Moment(NamedTuple):
    """One operation, seen from the process that did it: what it is, and the areas of that process before and after."""

    process: int
    args: tuple[int, ...]
    result: int | None
    before: list[Area]
    after: list[Area]
    brk: int
    stack: int
    """Where the stack ends."""
    limits: Limits


def count(program: Program, seen: list[Observation], start: Start, counts: Counter[Row]) -> None:
    """Add to `counts` what happened in a run of a program."""
    last = Observation((), None, {0: list(map(visible, start.areas))}, {0: {}})
    breaks, stack = {0: start.limits.brk}, bases(start)["stack"]
    for operation, observation in zip(program, seen, strict=False):
        if not observation.areas:
            continue
        shown = {process: list(map(visible, areas)) for process, areas in observation.areas.items()}
        now = observation._replace(areas=shown)
        process, name = operation.process, operation.name
        moment = Moment(
            process, now.args, now.result, last.areas[process], now.areas[process], breaks[process], stack, start.limits
        )  # fmt: skip
        counts["who", f"operations of a {('parent', 'child', 'third process')[process]}"] += 1
        for row in _events(operation, moment, last, now):
            counts[row] += 1
        if name == "brk" and now.result is not None:
            breaks[process] = now.result
        elif name == "fork":
            breaks[now.args[0]] = breaks[process]
        last = now


def _events(operation: Operation, moment: Moment, last: Observation, now: Observation) -> Iterator[Row]:
    name = operation.name
    if moment.result is not None and moment.result < 0:
        yield "refused", f"{name} {errno_name(moment.result)}"
    if name in ("store", "load"):
        yield from _touch_events(name, moment, last, now)
    else:
        yield from _OTHER[name](moment, last, now)
    if moment.before != moment.after and name != "fork":
        yield from _area_events(name, moment)


# -- areas ------------------------------------------------------------------------------------------------------------


def _area_events(name: str, moment: Moment) -> Iterator[Row]:
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
    for low, high in zip(moment.after, moment.after[1:], strict=False):
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
        return result, result + _up(args[1])
    if name == "mremap" and result != args[0]:
        return result, result + _up(args[2])
    if name == "mremap" and args[2] > args[1]:
        return args[0] + _up(args[1]), args[0] + _up(args[2])
    if name == "brk" and result > moment.brk:
        return _up(moment.brk), _up(result)
    return 0, 0


def _up(length: int) -> int:
    return length + PAGE - 1 & -PAGE


def _alike(low: Area, high: Area) -> bool:
    return (
        low.end == high.start
        and low.perms == high.perms
        and low.flags == high.flags
        and not low.file
        and not high.file
    )


def _at(areas: list[Area], address: int) -> Area | None:
    return next((area for area in areas if area.start <= address < area.end), None)


def _within(areas: list[Area], start: int, end: int) -> list[Area]:
    return [area for area in areas if area.start < end and start < area.end]


def _below(areas: list[Area], address: int) -> Area | None:
    return next((area for area in reversed(areas) if area.end <= address), None)


def _above(areas: list[Area], address: int) -> Area | None:
    return next((area for area in areas if area.start >= address), None)


# -- stores and loads, and the stacks that they make grow -------------------------------------------------------------


def _touch_events(name: str, moment: Moment, last: Observation, now: Observation) -> Iterator[Row]:
    (address, *_), before, after = moment.args, moment.before, moment.after
    area, page = _at(before, address), address & -PAGE
    if moment.result is None:
        yield from _refused_touch(name, moment, area)
        return
    if area is None:
        grown = _at(after, address)
        if grown is not None:
            yield from _growth(moment, grown)
    if name == "store":
        if page not in last.words[moment.process]:
            yield "pages", "first store to a page"
        others = [words.get(page) for process, words in now.words.items() if process != moment.process]
        mine = now.words[moment.process].get(page)
        befores = [words.get(page) for process, words in last.words.items() if process != moment.process]
        if others and mine != last.words[moment.process].get(page):
            if mine in others and others != befores:
                yield "pages", "a store was seen in another process"
            elif last.words[moment.process].get(page) in befores and mine not in others:
                yield "pages", "a store parted what parent and child shared"


def _growth(moment: Moment, grown: Area) -> Iterator[Row]:
    old = _above(moment.before, moment.args[0])
    if old is None:
        return
    pages = (old.start - grown.start) // PAGE
    if grown.end == moment.stack:
        yield (
            "stack",
            f"[stack] grew by {'a page' if pages == 1 else 'several' if pages < 100 else 'hundreds'}",
        )
    else:
        yield "stack", "another MAP_GROWSDOWN area grew"
    below = _below(moment.before, grown.start)
    if below is not None and grown.start - below.end == moment.limits.stack_guard_gap:
        yield "stack", "grew to exactly the guard gap"
    elif below is not None and grown.start - below.end < moment.limits.stack_guard_gap:
        yield "stack", "grew closer than the guard gap"


def _refused_touch(name: str, moment: Moment, area: Area | None) -> Iterator[Row]:
    address, limits = moment.args[0], moment.limits
    if area is not None:
        allowed = area.perms[1] == "w" if name == "store" else area.perms[:3] != "---"
        if allowed and area.file:
            yield "pages", f"{name} refused: behind the end of the file"
        else:
            yield "pages", f"{name} refused: not {'writable' if name == 'store' else 'readable'}"
        return
    yield "pages", f"{name} refused: no area"
    above = _above(moment.before, address)
    if above is None or "gd" not in (above.flags or ()) or above.start - address > 2 * limits.rlimit_stack:
        return
    below = _below(moment.before, address)
    if below is not None and (address & -PAGE) - below.end < limits.stack_guard_gap:
        yield "stack", "refused: guard gap"
    elif above.end - (address & -PAGE) > limits.rlimit_stack:
        yield "stack", "refused: RLIMIT_STACK"


# -- the other operations ---------------------------------------------------------------------------------------------


def _mmap(moment: Moment, _last: Observation, _now: Observation) -> Iterator[Row]:
    addr, length, _prot, flags, _file, _offset = moment.args
    result, before = moment.result, moment.before
    if result is None or result < 0:
        if flags & MAP_FIXED_NOREPLACE and result == -17:
            yield "mmap", "MAP_FIXED_NOREPLACE refused"
        return
    if not flags & MAP_ANONYMOUS:
        yield "mmap", "file mapped"
    if flags & MAP_FIXED:
        if _within(before, addr, addr + length):
            yield "mmap", "MAP_FIXED replaced areas"
        return
    if addr == 0 or result & -PAGE != addr & -PAGE:
        yield "mmap", "placed by the kernel"
        if any(area.end <= result and area.end > moment.limits.mmap_base // 2 for area in before):
            yield "mmap", "placed into a hole between areas"
        if length % HUGE_PAGE == 0 and result % HUGE_PAGE == 0:
            yield "mmap", "2 MiB placed at a multiple of 2 MiB"
        elif length > HUGE_PAGE:
            yield "mmap", "longer than 2 MiB, placed anywhere"
    if addr and not flags & MAP_FIXED_NOREPLACE:
        yield "mmap", _hint(moment, addr, _up(length), result)


def _hint(moment: Moment, addr: int, length: int, result: int) -> str:
    if result == addr & -PAGE:
        return "hint used" if addr % PAGE == 0 else "hint rounded"
    if result == moment.limits.mmap_min_addr > addr:
        return "hint too low: raised"
    hint = max(addr & -PAGE, moment.limits.mmap_min_addr)
    above = _above(moment.before, hint)
    if _within(moment.before, hint, hint + length):
        return "hint ignored: occupied"
    if (
        above is not None
        and "gd" in (above.flags or ())
        and above.start - hint - length < moment.limits.stack_guard_gap
    ):
        return "hint ignored: guard gap"
    return "hint ignored: too high"


def _munmap(moment: Moment, _last: Observation, _now: Observation) -> Iterator[Row]:
    if moment.result == 0:
        yield "munmap", "areas gone" if moment.before != moment.after else "hole: nothing done"


def _mprotect(moment: Moment, _last: Observation, _now: Observation) -> Iterator[Row]:
    addr, length, prot = moment.args
    if moment.result == 0 and len(_within(moment.before, addr, addr + length)) > 1:
        yield "mprotect", "over several areas"
    elif moment.result == -12 and moment.before != moment.after:
        yield "mprotect", "stopped at a hole after it had changed something"
    if prot & PROT_GROWSDOWN:
        area = _at(moment.before, addr)
        if moment.result != 0:
            yield "stack", "PROT_GROWSDOWN refused"
        elif area is not None and area.start < addr:
            yield "stack", "PROT_GROWSDOWN reached down to the start"


def _madvise(moment: Moment, last: Observation, now: Observation) -> Iterator[Row]:
    if moment.result == 0 and moment.args[2] == MADV_DONTNEED and _words_changed(moment.process, last, now):
        yield "pages", "words were dropped by MADV_DONTNEED"


def _words_changed(process: int, last: Observation, now: Observation) -> bool:
    old = last.words[process]
    return any(page in old and old[page] != words for page, words in now.words[process].items())


def _brk(moment: Moment, _last: Observation, _now: Observation) -> Iterator[Row]:
    asked, result, limits, before = moment.args[0], moment.result, moment.limits, moment.before
    if result is None:
        return
    if result != asked:
        yield "refused", "brk unchanged"
        if asked < limits.start_brk:
            yield "brk", "below its start: unchanged"
            return
        neighbour = _above(before, _up(moment.brk))
        if neighbour is not None and neighbour.start < _up(asked) + PAGE:
            yield "brk", "refused by a neighbour"
        elif neighbour is not None and "gd" in (neighbour.flags or ()):
            yield "brk", "refused by a growing neighbour's guard gap"
        return
    old, new = _up(moment.brk), _up(result)
    if new > old:
        area = _at(moment.after, old)
        if old == _up(limits.start_brk):
            yield "brk", "heap began"
        elif area is not None:
            yield "brk", "heap grew in its area" if area.start < old else "heap grew into a new area"
    elif new < old:
        yield "brk", "heap shrank to nothing" if new == _up(limits.start_brk) else "heap shrank"


def _mremap(moment: Moment, last: Observation, now: Observation) -> Iterator[Row]:
    addr, length, new_length, flags, _ = moment.args
    result, before = moment.result, moment.before
    if result is None or result < 0:
        return
    old = _within(before, addr, addr + max(length, 1))
    if flags & MREMAP_DONTUNMAP:
        yield "mremap", "old area kept (MREMAP_DONTUNMAP)"
    if length == 0:
        yield "mremap", "shared pages mapped twice"
    if result == addr:
        new, was = _up(new_length), _up(length)
        yield (
            "mremap",
            "grew in place" if new > was else "shrank" if new < was else "length unchanged: nothing done",
        )
        return
    if any("gd" in (area.flags or ()) for area in old):
        yield "mremap", "moved a growing area"
    if len(old) > 1:
        yield "mremap", "moved several areas"
    if not flags & MREMAP_FIXED:
        yield "mremap", "moved by the kernel"
    elif _within(before, result, result + new_length):
        yield "mremap", "moved to a fixed place over areas"
    else:
        yield "mremap", "moved to a fixed place"
    pages = now.words[moment.process]
    words = last.words[moment.process]
    if any(
        addr <= page < addr + length
        and both not in ((0, 0), (None, None))
        and pages.get(page - addr + result) == both
        for page, both in words.items()
    ):
        yield "pages", "words followed mremap"


def _fork(_moment: Moment, _last: Observation, _now: Observation) -> Iterator[Row]:
    yield "who", "forks"


_OTHER = {
    "mmap": _mmap, "munmap": _munmap, "mprotect": _mprotect, "madvise": _madvise, "brk": _brk, "mremap": _mremap, "fork": _fork,
}  # fmt: skip
