"""Which areas a picture draws together, as a block. Few areas are drawn one by one.

Areas that belong together form a block: those of one file, a thread's stack and its guard. If there
are still too many blocks, neighbours are merged: again and again the two whose merging hides least,
a small block and a small gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mmlocks.maps.describe import BSS, LITTLE, THREAD_ARENA, THREAD_STACK
from mmlocks.maps.kinds import HEAP, PROGRAM, STACK, Described, size_of
from mmlocks.maps.names import given_name, thread

SINGLY = 40
"""Up to so many areas are drawn one by one."""
LIMIT = 30
"""More areas are drawn as so many blocks at most."""
UNLIKE = 16
"""Merging blocks without a common kind counts as hiding so many times as much."""
LANDMARKS = {PROGRAM, HEAP, STACK}
"""A reader looks for these first: they are merged last. Stacks of threads do not count."""


class Block(NamedTuple):
    """Areas that are drawn together, in address order; only gaps lie between them."""

    members: tuple[Described, ...]

    @property
    def start(self) -> int:
        """The first address."""
        return self.members[0].area.start

    @property
    def end(self) -> int:
        """The address after the last."""
        return self.members[-1].area.end

    @property
    def mapped(self) -> int:
        """Bytes in areas, without the gaps between them."""
        return sum(size_of(one.area) for one in self.members)

    @property
    def file(self) -> str:
        """The file of all its areas, except its .bss; "" if there is no file, or more than one."""
        files = {one.area.file for one in self.members if not _hangs_on(one)}
        name = files.pop() if len(files) == 1 else ""
        return name if name.startswith("/") else ""


def blocks(described: Sequence[Described], limit: int = LIMIT) -> list[Block]:
    """The blocks to draw, in address order.

    At most SINGLY areas are a block each; more areas are at most `limit` blocks.
    """
    if len(described) <= SINGLY:
        return [Block((one,)) for one in described]
    together: list[list[Described]] = []
    for one in described:
        if together and _belong_together(together[-1][-1], one):
            together[-1].append(one)
        else:
            together.append([one])
    return _merged([Block(tuple(members)) for members in together], limit)


def _belong_together(lower: Described, upper: Described) -> bool:
    purposes = {purpose_of_pair(lower), purpose_of_pair(upper)}
    if purposes != {""}:
        # A stack and its guard, and the next stack above; a page or two may be free between them.
        return len(purposes) == 1 and upper.area.start - lower.area.end <= LITTLE
    if lower.area.end != upper.area.start:
        return False
    if upper.part.startswith(BSS):
        return True
    same = bool(upper.area.file.startswith("/")) and upper.area.file == lower.area.file
    return same and upper.kind is not PROGRAM  # a program's parts are worth a look each


def purpose_of_pair(one: Described) -> str:
    """What a thread's memory is for, or what its guard or reserve is for; else ""."""
    if thread(one.area.file):
        return THREAD_STACK
    if given_name(one.area.file):
        return ""
    return next(
        (purpose for purpose in (THREAD_STACK, THREAD_ARENA) if one.part.endswith(purpose)), ""
    )


def _hangs_on(one: Described) -> bool:
    return one.part.startswith(BSS)


def _merged(parts: list[Block], limit: int) -> list[Block]:
    """Neighbours merged, those first that hide the least, until at most `limit` blocks are left."""
    while len(parts) > limit:
        pairs = sorted(range(len(parts) - 1), key=lambda low: _hidden(parts[low], parts[low + 1]))
        merging: set[int] = set()
        for low in pairs[: max(1, len(pairs) // 3)]:
            if len(parts) - len(merging) > limit and not merging & {low - 1, low + 1}:
                merging.add(low)
        parts = [
            Block(part.members + parts[index + 1].members) if index in merging else part
            for index, part in enumerate(parts)
            if index - 1 not in merging
        ]
    return parts


def _is_landmark(one: Described) -> bool:
    return one.kind in LANDMARKS and not thread(one.area.file)


def _hidden(lower: Block, upper: Block) -> tuple[bool, int]:
    """What merging two neighbours hides: whether a landmark, and how many bytes."""
    below, above = ({one.kind for one in block.members} for block in (lower, upper))
    hidden = upper.start - lower.end + min(lower.mapped, upper.mapped)
    landmark = any(_is_landmark(one) for block in (lower, upper) for one in block.members)
    return landmark, hidden if below & above else UNLIKE * hidden
