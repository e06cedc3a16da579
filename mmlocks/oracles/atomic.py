"""No task sleeps inside an RCU read section, or with a spinlock held.

A grace period would have to wait for what the sleeper waits for, and a CPU that spins for the lock
would spin that long. (Kernel: might_sleep(), with CONFIG_DEBUG_ATOMIC_SLEEP.)

Differs: a CPU that would have to wait is caught when it gets the lock, not when it asks for it.
Only waiting for semaphores counts. Waiting for memory is not modelled, so allocations are not
judged.
"""

from __future__ import annotations

from mmlocks.machine import Layout, Rcu, SpinLock, Step, View, Violation
from mmlocks.machine.step import parts
from mmlocks.machine.task import Place
from mmlocks.machine.watch import parts_of
from mmlocks.oracles.lock_order import kernel_lines


class AtomicSleep:
    """The watch.

    It looks at what its own CPU is in, which no other CPU can change (see `mmlocks.machine.Watch`).
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rcus = [record for record in layout.records.values() if isinstance(record, Rcu)]
        self._spinlocks = [
            record for record in layout.records.values() if isinstance(record, SpinLock)
        ]

    def looks_at(self, cpu: int, step: Step) -> int:
        """The CPU's RCU sections, and the owners of the spinlocks."""
        if not may_sleep(step):
            return 0
        looks = 0
        for cell in (
            *(rcu.sections[cpu] for rcu in self._rcus),
            *(lock.owner for lock in self._spinlocks),
        ):
            looks |= 1 << cell.index
        return looks

    def judge(self, view: View, cpu: int, step: Step, where: tuple[Place, ...]) -> Violation | None:
        """The first part of the step that may sleep and must not."""
        if not may_sleep(step):
            return None
        for part in parts_of(view, cpu, step):
            inside = self._inside(part.before, cpu) if may_sleep(part.step) else ""
            if inside:
                lines = kernel_lines(where)
                at = f", in {lines[-1].function} ({lines[-1].spot})" if lines else ""
                lock = self._layout.cells[part.step.args[0]].name
                return Violation(
                    "atomic_sleep",
                    f"cpu{cpu} may have to wait for {lock}{at}, {inside}. "
                    "Leave that first, or only try to take the lock",
                )
        return None

    def _inside(self, view: View, cpu: int) -> str:
        if any(view[rcu.sections[cpu].index] % 2 for rcu in self._rcus):
            return "inside an RCU read section"
        held = [lock.name for lock in self._spinlocks if view[lock.owner.index] == cpu + 1]
        return f"while it holds the spinlock {held[0]}" if held else ""


def may_sleep(step: Step) -> bool:
    """Whether a step, or a part of it, waits for a semaphore."""
    return any(
        part.op in ("down_read", "down_write") and part.args[1] is True for part in parts(step)
    )
