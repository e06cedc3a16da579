"""The tree of VMAs: what an operation costs with few areas and with many."""

from __future__ import annotations

import random
import time
from typing import Any

from mmlocks.machine import Rcu
from mmlocks.machine.sequential import Sequential
from mmlocks.mm.maple import find_vma, vma_iter_store
from mmlocks.mm.maple_node import MapleNode
from mmlocks.mm.mm_types import Memory, Mm, Vma

SIZES = (100, 1_000, 10_000, 65_530)
TRIES = 500
PAGE = 0x1000


def tree() -> list[dict[str, Any]]:
    """For each number of areas: levels, and microseconds of a find, an insertion and an erasure."""
    return [_measured(count) for count in SIZES]


def _measured(count: int) -> dict[str, Any]:
    layout = Sequential()
    mm = Mm(layout, Memory(layout, 1), Rcu(layout), [])
    vmas = [Vma(mm, layout, f"vma{number}") for number in range(count + 1)]
    for number, vma in enumerate(vmas[1:]):
        layout.run(vma_iter_store(mm, 4 * number * PAGE, (4 * number + 1) * PAGE, vma))
    places = random.Random(1).choices(range(count), k=TRIES)
    # Between the areas there are gaps of three pages; one page of such a gap is filled and emptied again.
    inside = [((4 * place + 2) * PAGE, (4 * place + 3) * PAGE) for place in places]
    row: dict[str, Any] = {"areas": count, "levels": _levels(mm, layout)}
    row["find_us"] = _microseconds(lambda low, _: layout.run(find_vma(mm, low)), inside)
    both = [0.0, 0.0]
    for low, high in inside:
        both[0] += _microseconds(
            lambda low, high: layout.run(vma_iter_store(mm, low, high, vmas[0])), [(low, high)]
        )
        both[1] += _microseconds(
            lambda low, high: layout.run(vma_iter_store(mm, low, high, None)), [(low, high)]
        )
    row["insert_us"], row["erase_us"] = (total / TRIES for total in both)
    return row


def _levels(mm: Mm, layout: Sequential) -> int:
    node, levels = mm.mm_mt.ma_root.of(layout.now), 1
    while isinstance(below := node.ranges.of(layout.now).slots[0], MapleNode):
        node, levels = below, levels + 1
    return levels


def _microseconds(call: Any, places: list[tuple[int, int]]) -> float:
    started = time.perf_counter()
    for low, high in places:
        call(low, high)
    return (time.perf_counter() - started) / len(places) * 1e6
