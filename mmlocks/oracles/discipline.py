"""The discipline: no access to a field without the locks that the table of fields demands.

The table is in `mmlocks.oracles.fields`. This oracle speaks at the first step that breaks the rule,
whether or not it does any harm: so would a kernel that had an assertion at every access. It finds
most of the bugs of July 2023 before they can happen, and it finds fault with much that is harmless.
It does not find the lost store: fork changed page-table entries under their lock and with mmap_lock
held for writing, and the table asks for no more. That the VMA must be write-locked then is a rule
about what fork does, not about a field (see ASSERTIONS in `mmlocks.explain.tools`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmlocks.machine import Cell, Layout, Step, View, Violation
from mmlocks.machine.step import footprint_of, parts
from mmlocks.machine.task import Place as Line
from mmlocks.machine.watch import Access, parts_of
from mmlocks.mm.mm_types import Mm, Vma
from mmlocks.oracles.fields import VMA, VMA_WRITE, LockSet
from mmlocks.oracles.holding import GuardedCell, Holding, places
from mmlocks.oracles.lock_order import kernel_lines
from mmlocks.releases import Release

NO_ACCESS = frozenset(
    {"rcu_read_unlock", "call_rcu", "vm_area_alloc", "anon_vma_alloc", "mas_build"}
)
"""Steps that touch fields of objects out of use: not yet allocated, or past their grace period."""


def _covered(vma: Vma, _address: int) -> list[Cell[Any]]:
    return [vma.vm_start, vma.vm_end, vma.detached]


def _duplicated(_mm: Mm, orig: Vma) -> list[Cell[Any]]:
    return [cell for cell in orig.fields() if cell is not orig.life]


OWN_CELLS: dict[str, Callable[..., list[Cell[Any]]]] = {
    "leave_rcu_if_covered": _covered,
    "vm_area_dup": _duplicated,
    "mas_retire": lambda _tree, node: [node.ranges],
}
"""Steps that do several things at once, and the cells that count as accessed."""


class Discipline:
    """The watch.

    It looks at the CPU's own locks alone, so no other CPU's step changes its answer (see
    `mmlocks.machine.Watch`).
    """

    def __init__(self, layout: Layout, release: Release) -> None:
        self._layout = layout
        self._places = places(layout)
        self._holding = Holding(layout, release)
        self._known = 0
        for index in self._places:
            self._known |= 1 << index

    def looks_at(self, cpu: int, step: Step) -> int:
        """For every field that the step may touch: its locks, and whether its VMA is in reach."""
        looks = 0
        for part in parts(step):
            reads, writes = self._touched(cpu, part)
            for index, place in self._places.items():
                if (reads | writes) >> index & 1:
                    for cell in self._holding.cells(cpu, place, bool(writes >> index & 1)):
                        looks |= 1 << cell
        return looks

    def judge(self, view: View, cpu: int, step: Step, where: tuple[Line, ...]) -> Violation | None:
        """The first access of the step that is not allowed."""
        if not any(self._judged(cpu, part) for part in parts(step)):
            return None
        for part in parts_of(view, cpu, step):
            judged = self._judged(cpu, part.step)
            for access in part.accesses:
                if judged >> access.cell & 1:
                    missing = self.missing(part.before, cpu, access)
                    if missing:
                        message = told(
                            cpu, self._places[access.cell], access.writes, missing, where
                        )
                        return Violation("discipline", message)
        return None

    def missing(self, view: View, cpu: int, access: Access) -> tuple[LockSet, ...]:
        """The sets of locks that an access lacks; () if it is allowed."""
        place = self._places[access.cell]
        return self._holding.missing(view, cpu, place, access.writes, access.found)

    def place(self, cpu: int, step: Step, access: Access) -> GuardedCell | None:
        """The field that an access of a step touches; None if it is not judged."""
        return self._places[access.cell] if self._judged(cpu, step) >> access.cell & 1 else None

    def _judged(self, cpu: int, step: Step) -> int:
        """The fields that a step may touch, as bits."""
        reads, writes = self._touched(cpu, step)
        return (reads | writes) & self._known

    def _touched(self, cpu: int, step: Step) -> tuple[int, int]:
        if step.op in NO_ACCESS or step.op.startswith("mmu_"):
            return 0, 0
        footprint = footprint_of(self._layout, cpu, step)
        reads, writes = footprint.reads, footprint.writes | footprint.adds
        if step.op in OWN_CELLS:
            own = 0
            for cell in OWN_CELLS[step.op](*step.args):
                own |= 1 << cell.index
            reads, writes = reads & own, writes & own
        return reads & self._known, writes & self._known


def told(
    cpu: int,
    place: GuardedCell,
    writes: bool,
    missing: tuple[LockSet, ...],
    where: tuple[Line, ...],
) -> str:
    """The sentence about an access that lacks its locks, and what to do."""
    lines = kernel_lines(where)
    at = f", in {lines[-1].function} ({lines[-1].spot})" if lines else ""
    does = "writes" if writes else "reads"
    if missing == ((),):
        return (
            f"cpu{cpu} {does} {place.cell.name}{at}, which never changes once others can find it. "
            "The table is in mmlocks fields."
        )
    lacks = " or ".join(" and ".join(lock.text for lock in each) for each in missing)
    ways = [
        each for each in missing if place.vma is not None or not {VMA, VMA_WRITE} & {*each}
    ] or missing
    take = " or ".join(" and ".join(place.words(lock.take) for lock in each) for each in ways)
    return (
        f"cpu{cpu} {does} {place.cell.name} without {lacks}{at}. Take {take} first; "
        "the table is in mmlocks fields."
    )
