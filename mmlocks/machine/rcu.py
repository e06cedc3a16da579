"""Read-copy-update: readers never wait. A CPU that frees waits until all older readers have left.

Each CPU has a section number: odd inside a read section, even outside. A grace period remembers
which CPUs were inside and waits until each of their numbers has changed. (Kernel:
Documentation/RCU/whatisRCU.rst.)

What `call` defers happens as early as it may: in the step in which the last of these readers
leaves, or at once if there are none. A use of the thing after a later moment also comes after this
one, so no other moment needs to be searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine.locks import lock_operation
from mmlocks.machine.state import Cell, Layout, Record, View
from mmlocks.machine.step import Footprint, ViolationSignal, operation, together, touching
from mmlocks.machine.values import Step

SECTIONS = 16
"""Section numbers wrap around here.

A grace period would be fooled only if it outlasted seven read sections of one CPU.
"""

Waiting = tuple[tuple["Reclaimable", tuple[int, ...]], ...]
"""Deferred things, each with the CPUs whose read sections began before and are still open."""


class Reclaimable(Record):
    """Something that RCU readers may still be looking at when it is given up."""

    def cells(self) -> Iterable[Cell[object]]:
        """All that `reclaim` changes."""
        raise NotImplementedError

    def reclaim(self, view: View) -> None:
        """Free it: no CPU may use it from now on."""
        raise NotImplementedError


class Rcu(Record):
    """One RCU domain: a section number for every CPU, and what waits for a grace period.

    `reclaimable` are the things that may ever be deferred; `may_free` adds one in advance. While
    there are none, leaving a read section touches the CPU's own number alone, so it conflicts with
    no other CPU's steps.
    """

    def __init__(self, layout: Layout, name: str = "rcu") -> None:
        super().__init__(layout, name)
        self.sections = tuple(
            layout.counter(f"{name}.cpu{cpu}", 0, bits=4) for cpu in range(layout.cpus)
        )
        layout.locks(self.sections)
        for cpu, section in enumerate(self.sections):
            section.changed_by = cpu
        self.waiting: Cell[Waiting] = layout.cell(f"{name}.waiting", (), bits=12)
        self.waiting.show = lambda waiting: (
            ", ".join(str(thing) for thing, _ in waiting) or "nothing"
        )
        self.waiting.with_cpus = _waiting_for
        layout.read_only([self.waiting])
        self.reclaimable: list[Reclaimable] = []

    def may_free(self, thing: Reclaimable) -> None:
        """Say in advance that `thing` may be given to `call`."""
        if thing not in self.reclaimable:
            self.reclaimable.append(thing)

    def read_lock(self) -> Step:
        """Enter a read section (rcu_read_lock)."""
        return Step("rcu_read_lock", (self,))

    def read_unlock(self) -> Step:
        """Leave the read section (rcu_read_unlock)."""
        return Step("rcu_read_unlock", (self,))

    def call(self, thing: Reclaimable) -> Step:
        """Reclaim `thing` when all read sections that are open now have ended. Never blocks.

        Kernel: call_rcu, kfree_rcu.
        """
        return Step("call_rcu", (self, thing))

    async def synchronize(self) -> None:
        """Wait for a grace period: all read sections that are open now (synchronize_rcu)."""
        # One look at all CPUs, as a grace period starts at one moment.
        began = await together(*self.sections)
        for section, number in zip(self.sections, began, strict=True):
            if number % 2 == 1:
                await section.wait_until_not(number)


def _waiting_for(waiting: Waiting, numbers: Sequence[int]) -> Waiting:
    """What waits, once cpu n is called `numbers[n]`."""
    return tuple(
        (thing, tuple(sorted(numbers[reader] for reader in readers))) for thing, readers in waiting
    )


def _enter(view: View, cpu: int, rcu: Rcu) -> None:
    own = rcu.sections[cpu].index
    number = view[own]
    if number % 2 == 1:
        raise ViolationSignal(
            "lock_misuse",
            f"cpu{cpu}: rcu_read_lock inside a read section; the model has no nesting.",
        )
    view[own] = (number + 1) % SECTIONS


def _leave(view: View, cpu: int, rcu: Rcu) -> None:
    own = rcu.sections[cpu].index
    number = view[own]
    if number % 2 == 0:
        raise ViolationSignal(
            "lock_misuse", f"cpu{cpu}: rcu_read_unlock outside a read section. Enter one first."
        )
    view[own] = (number + 1) % SECTIONS
    if rcu.reclaimable:
        waiting: Waiting = view[rcu.waiting.index]
        left = [
            (thing, tuple(reader for reader in readers if reader != cpu))
            for thing, readers in waiting
        ]
        view[rcu.waiting.index] = tuple((thing, readers) for thing, readers in left if readers)
        for thing, readers in left:
            if not readers:
                thing.reclaim(view)


def _call(view: View, cpu: int, rcu: Rcu, thing: Reclaimable) -> None:
    readers = tuple(
        other for other, section in enumerate(rcu.sections) if view[section.index] % 2 == 1
    )
    if readers and thing not in rcu.reclaimable:
        raise ScenarioTooSmall(
            f"cpu{cpu} frees {thing} while RCU readers look on, which was not set up to be freed so"
        )
    if readers:
        view[rcu.waiting.index] = (*view[rcu.waiting.index], (thing, readers))
    else:
        thing.reclaim(view)


def _own(layout: Layout, cpu: int, rcu: Rcu) -> Footprint:
    return touching(reads=[rcu.sections[cpu].index], writes=[rcu.sections[cpu].index])


def _leaving(layout: Layout, cpu: int, rcu: Rcu) -> Footprint:
    own = _own(layout, cpu, rcu)
    return own.joined(_freeing(rcu, rcu.reclaimable)) if rcu.reclaimable else own


def _calling(layout: Layout, cpu: int, rcu: Rcu, thing: Reclaimable) -> Footprint:
    sections = touching(reads=[section.index for section in rcu.sections])
    return _freeing(rcu, [thing]).joined(sections)


def _freeing(rcu: Rcu, things: Iterable[Reclaimable]) -> Footprint:
    touched = [rcu.waiting.index, *(cell.index for thing in things for cell in thing.cells())]
    return touching(reads=touched, writes=touched)


def _left_told(layout: Layout, before: int, after: int, cpu: int, result: None, rcu: Rcu) -> str:
    freed = [
        str(thing)
        for thing, _ in rcu.waiting.of(before)
        if all(thing is not other for other, _ in rcu.waiting.of(after))
    ]
    return "leaves the RCU read section" + (f": frees {', '.join(freed)}" if freed else "")


def _call_told(
    layout: Layout, before: int, after: int, cpu: int, result: None, rcu: Rcu, thing: Reclaimable
) -> str:
    readers = dict(rcu.waiting.of(after)).get(thing, ())
    if readers:
        left = " and ".join(f"cpu{reader}" for reader in readers)
        return f"frees {thing} later, when {left} left the RCU read section"
    return f"frees {thing}"


lock_operation("rcu_read_lock", _own, _enter, lambda *_: "enters an RCU read section")
operation("rcu_read_unlock", _leaving, _leave, _left_told)
operation("call_rcu", _calling, _call, _call_told)
