"""What a store or a load did to pages and to stacks, or why it was refused."""

from __future__ import annotations

from collections.abc import Iterator

from mmlocks.conformance.events import Moment, Row, area_above, area_at, area_below
from mmlocks.conformance.program import PAGE
from mmlocks.mm.area import Area


def touch_events(name: str, moment: Moment) -> Iterator[Row]:
    """The events of a store or a load."""
    address = moment.args[0]
    area, page = area_at(moment.before, address), address & -PAGE
    if moment.result is None:
        yield from _refused_touch(name, moment, area)
        return
    if area is None:
        grown = area_at(moment.after, address)
        if grown is not None:
            yield from _growth(moment, grown)
    if name == "store":
        yield from _stored(moment, page)


def _stored(moment: Moment, page: int) -> Iterator[Row]:
    """What a store did to a page: the process's own, and the same page of other processes."""
    before, after = dict(moment.last.words), dict(moment.now.words)
    own_pages, own = before.pop(moment.process), after.pop(moment.process).get(page)
    own_before = own_pages.get(page)
    others_before = [words.get(page) for words in before.values()]
    others = [words.get(page) for words in after.values()]
    if page not in own_pages:
        yield "pages", "first store to a page"
    if own == own_before:
        return
    if own in others and others != others_before:
        yield "pages", "a store was seen in another process"
    elif others and own_before in others_before and own not in others:
        yield "pages", "a store parted what parent and child shared"


def _growth(moment: Moment, grown: Area) -> Iterator[Row]:
    old = area_above(moment.before, moment.args[0])
    if old is None:
        return
    pages = (old.start - grown.start) // PAGE
    if grown.end == moment.stack:
        length = "a page" if pages == 1 else "several" if pages < 100 else "hundreds"
        yield "stack", f"[stack] grew by {length}"
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
