"""Read-copy-update: readers never wait, and whoever frees waits until all readers of the old time have left.

Each CPU has a section number: odd inside a read section, even outside. A grace period remembers which CPUs were inside and
waits until each of their numbers has changed. (Kernel: Documentation/RCU/whatisRCU.rst.)
"""

from __future__ import annotations

from mmlocks.machine.locks import lock_operation
from mmlocks.machine.state import Layout, Record, View
from mmlocks.machine.step import Footprint, Step, ViolationSignal, together, touching

SECTIONS = 16
"""Section numbers wrap around here; a grace period would have to outlast seven read sections of one CPU to be fooled."""


class Rcu(Record):
    """One RCU domain: a section number for every CPU."""

    def __init__(self, layout: Layout, name: str = "rcu") -> None:
        super().__init__(layout, name)
        self.sections = tuple(layout.counter(f"{name}.cpu{cpu}", 0, bits=4) for cpu in range(layout.cpus))
        layout.locks(self.sections)

    def read_lock(self) -> Step:
        """Enter a read section (rcu_read_lock)."""
        return Step("rcu_read_lock", (self.sections[0].index,))

    def read_unlock(self) -> Step:
        """Leave the read section (rcu_read_unlock)."""
        return Step("rcu_read_unlock", (self.sections[0].index,))

    async def synchronize(self) -> None:
        """Wait for a grace period: all read sections that are open now (synchronize_rcu)."""
        began = await together(
            *self.sections
        )  # one look at all CPUs, as the grace period's start is one moment
        for section, number in zip(self.sections, began, strict=True):
            if number % 2 == 1:
                await section.wait_until_not(number)


def _enter(view: View, cpu: int, first: int) -> None:
    number = view[first + cpu]
    if number % 2 == 1:
        raise ViolationSignal(
            "lock_misuse", f"cpu{cpu}: rcu_read_lock inside a read section; the model has no nesting."
        )
    view[first + cpu] = (number + 1) % SECTIONS


def _leave(view: View, cpu: int, first: int) -> None:
    number = view[first + cpu]
    if number % 2 == 0:
        raise ViolationSignal(
            "lock_misuse", f"cpu{cpu}: rcu_read_unlock outside a read section. Enter one first."
        )
    view[first + cpu] = (number + 1) % SECTIONS


def _own(layout: Layout, cpu: int, first: int) -> Footprint:
    return touching(reads=[first + cpu], writes=[first + cpu])


lock_operation("rcu_read_lock", _own, _enter, lambda *_: "enters an RCU read section")
lock_operation("rcu_read_unlock", _own, _leave, lambda *_: "leaves the RCU read section")
