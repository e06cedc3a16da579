"""What a store or a load did: to pages, to other processes' pages, and to the stacks that it made grow; or why it was refused."""

from __future__ import annotations

from collections.abc import Iterator

from mmlocks.conformance.events import Moment, Row, area_above, area_at, area_below
from mmlocks.conformance.program import PAGE
from mmlocks.mm.area import Area


def touch_events(name: str, moment: Moment) -> Iterator[Row]:
    (address, *_), before, after = moment.args, moment.before, moment.after
    area, page = area_at(before, address), address & -PAGE
    if moment.result is None:
        yield from _refused_touch(name, moment, area)
        return
    if area is None:
        grown = area_at(after, address)
        if grown is not None:
            yield from _growth(moment, grown)
    if name == "store":
        if page not in moment.last.words[moment.process]:
            yield "pages", "first store to a page"
        others = [
            words.get(page)
            for process, words in moment.now.words.items()
            if process != moment.process
        ]
        mine = moment.now.words[moment.process].get(page)
        befores = [
            words.get(page)
            for process, words in moment.last.words.items()
            if process != moment.process
        ]
        if others and mine != moment.last.words[moment.process].get(page):
            if mine in others and others != befores:
                yield "pages", "a store was seen in another process"
            elif moment.last.words[moment.process].get(page) in befores and mine not in others:
                yield "pages", "a store parted what parent and child shared"


def _growth(moment: Moment, grown: Area) -> Iterator[Row]:
    old = area_above(moment.before, moment.args[0])
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
    below = area_below(moment.before, grown.start)
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
    above = area_above(moment.before, address)
    if (
        above is None
        or "gd" not in (above.flags or ())
        or above.start - address > 2 * limits.rlimit_stack
    ):
        return
    below = area_below(moment.before, address)
    if below is not None and (address & -PAGE) - below.end < limits.stack_guard_gap:
        yield "stack", "refused: guard gap"
    elif above.end - (address & -PAGE) > limits.rlimit_stack:
        yield "stack", "refused: RLIMIT_STACK"
