"""What the system calls, and fork, did."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mmlocks.conformance.events import Moment, Row, area_above, area_at, areas_within
from mmlocks.conformance.program import (
    HUGE_PAGE,
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    PAGE,
    PROT_GROWSDOWN,
)
from mmlocks.mm.address import page_align


def _mmap(moment: Moment) -> Iterator[Row]:
    addr, length, _prot, flags, _file, _offset = moment.args
    result, before = moment.result, moment.before
    if result is None or result < 0:
        if flags & MAP_FIXED_NOREPLACE and result == -17:
            yield "mmap", "MAP_FIXED_NOREPLACE refused"
        return
    if not flags & MAP_ANONYMOUS:
        yield "mmap", "file mapped"
    if flags & MAP_FIXED:
        if areas_within(before, addr, addr + length):
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
        yield "mmap", _hint(moment, addr, page_align(length), result)


def _hint(moment: Moment, addr: int, length: int, result: int) -> str:
    if result == addr & -PAGE:
        return "hint used" if addr % PAGE == 0 else "hint rounded"
    if result == moment.limits.mmap_min_addr > addr:
        return "hint too low: raised"
    hint = max(addr & -PAGE, moment.limits.mmap_min_addr)
    above = area_above(moment.before, hint)
    if areas_within(moment.before, hint, hint + length):
        return "hint ignored: occupied"
    if (
        above is not None
        and "gd" in (above.flags or ())
        and above.start - hint - length < moment.limits.stack_guard_gap
    ):
        return "hint ignored: guard gap"
    return "hint ignored: too high"


def _munmap(moment: Moment) -> Iterator[Row]:
    if moment.result == 0:
        yield "munmap", "areas gone" if moment.before != moment.after else "hole: nothing done"


def _mprotect(moment: Moment) -> Iterator[Row]:
    addr, length, prot = moment.args
    if moment.result == 0 and len(areas_within(moment.before, addr, addr + length)) > 1:
        yield "mprotect", "over several areas"
    elif moment.result == -12 and moment.before != moment.after:
        yield "mprotect", "stopped at a hole after it had changed something"
    if prot & PROT_GROWSDOWN:
        area = area_at(moment.before, addr)
        if moment.result != 0:
            yield "stack", "PROT_GROWSDOWN refused"
        elif area is not None and area.start < addr:
            yield "stack", "PROT_GROWSDOWN reached down to the start"


def _madvise(moment: Moment) -> Iterator[Row]:
    if moment.result == 0 and moment.args[2] == MADV_DONTNEED and _words_changed(moment):
        yield "pages", "words were dropped by MADV_DONTNEED"


def _words_changed(moment: Moment) -> bool:
    old, new = moment.last.words[moment.process], moment.now.words[moment.process]
    return any(page in old and old[page] != words for page, words in new.items())


def _brk(moment: Moment) -> Iterator[Row]:
    asked, result, limits, before = moment.args[0], moment.result, moment.limits, moment.before
    if result is None:
        return
    if result != asked:
        yield "refused", "brk unchanged"
        if asked < limits.start_brk:
            yield "brk", "below its start: unchanged"
            return
        neighbour = area_above(before, page_align(moment.brk))
        if neighbour is not None and neighbour.start < page_align(asked) + PAGE:
            yield "brk", "refused by a neighbour"
        elif neighbour is not None and "gd" in (neighbour.flags or ()):
            yield "brk", "refused by a growing neighbour's guard gap"
        return
    old, new = page_align(moment.brk), page_align(result)
    if new > old:
        area = area_at(moment.after, old)
        if old == page_align(limits.start_brk):
            yield "brk", "heap began"
        elif area is not None:
            where = "in its area" if area.start < old else "into a new area"
            yield "brk", f"heap grew {where}"
    elif new < old:
        nothing = " to nothing" if new == page_align(limits.start_brk) else ""
        yield "brk", f"heap shrank{nothing}"


def _mremap(moment: Moment) -> Iterator[Row]:
    addr, length, new_length, flags, _ = moment.args
    result, before = moment.result, moment.before
    if result is None or result < 0:
        return
    old = areas_within(before, addr, addr + max(length, 1))
    if flags & MREMAP_DONTUNMAP:
        yield "mremap", "old area kept (MREMAP_DONTUNMAP)"
    if length == 0:
        yield "mremap", "shared pages mapped twice"
    if result == addr:
        new, was = page_align(new_length), page_align(length)
        if new == was:
            yield "mremap", "length unchanged: nothing done"
        else:
            yield "mremap", "grew in place" if new > was else "shrank"
        return
    if any("gd" in (area.flags or ()) for area in old):
        yield "mremap", "moved a growing area"
    if len(old) > 1:
        yield "mremap", "moved several areas"
    if not flags & MREMAP_FIXED:
        yield "mremap", "moved by the kernel"
    elif areas_within(before, result, result + new_length):
        yield "mremap", "moved to a fixed place over areas"
    else:
        yield "mremap", "moved to a fixed place"
    pages = moment.now.words[moment.process]
    words = moment.last.words[moment.process]
    if any(
        addr <= page < addr + length
        and both not in ((0, 0), (None, None))
        and pages.get(page - addr + result) == both
        for page, both in words.items()
    ):
        yield "pages", "words followed mremap"


def _fork(_moment: Moment) -> Iterator[Row]:
    yield "who", "forks"


CALL_EVENTS: dict[str, Callable[[Moment], Iterator[Row]]] = {
    "mmap": _mmap,
    "munmap": _munmap,
    "mprotect": _mprotect,
    "madvise": _madvise,
    "brk": _brk,
    "mremap": _mremap,
    "fork": _fork,
}
