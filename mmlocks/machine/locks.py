"""Locks, each a handful of cells: a state shows which CPU holds which lock.

A reader/writer lock has one cell for its writer and one bit for every CPU that may read. So two
readers touch different cells, and the search sees that their order does not matter.

This differs from Linux in one point: waiting tasks do not queue. In Linux a waiting writer keeps
new readers out (and makes `down_read_trylock` fail). Here a reader may still overtake it. Every
such run is also a run in which the writer came a moment later. So what is safe here is safe there,
with one exception that a queue adds: a task that takes the same lock twice for reading deadlocks
when a writer waits in between. The model forbids taking it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine.state import Cell, Layout, Poison, Record, View
from mmlocks.machine.step import BLOCKED, Footprint, ViolationSignal, operation, touching
from mmlocks.machine.values import Step

FREE = 0
"""The value of an owner cell while the lock is free; cpu n owns it as n + 1."""


def owned_by(owner: int, numbers: Sequence[int]) -> int:
    """The value of an owner cell once cpu n is called `numbers[n]`."""
    return numbers[owner - 1] + 1 if 0 < owner <= len(numbers) else owner


class SpinLock(Record):
    """A mutual-exclusion lock (kernel: spinlock_t)."""

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__(layout, name)
        self.owner = layout.counter(name, FREE, bits=(layout.cpus + 1).bit_length())
        layout.locks([self.owner])
        self.owner.with_cpus = owned_by

    def lock(self) -> Step:
        """Block until the lock is free, then own it."""
        return Step("spin_lock", (self.owner.index,))

    def try_lock(self) -> Step:
        """Own the lock if it is free; says whether it did, and never blocks (spin_trylock)."""
        return Step("spin_trylock", (self.owner.index,))

    def unlock(self) -> Step:
        """Give the lock up."""
        return Step("spin_unlock", (self.owner.index,))


class RwSem(Record):
    """A reader/writer semaphore (kernel: struct rw_semaphore): many readers, or one writer.

    `poison` is what is found there once the object has been freed that the lock is part of, if
    ever.
    """

    def __init__(self, layout: Layout, name: str, poison: Poison | None = None) -> None:
        super().__init__(layout, name)
        self.writer = layout.counter(name, FREE, bits=(layout.cpus + 1).bit_length())
        self.readers = tuple(
            layout.counter(f"{name}.reader{cpu}", 0, bits=1) for cpu in range(layout.cpus)
        )
        layout.locks([self.writer, *self.readers])
        self.writer.poison = poison
        self.writer.with_cpus = owned_by

    def down_read(self) -> Step:
        """Block until there is no writer, then share the lock."""
        return Step("down_read", (self.writer.index, True))

    def try_read(self) -> Step:
        """Share the lock if there is no writer, and never block (down_read_trylock).

        The result says whether it did.
        """
        return Step("down_read", (self.writer.index, False))

    def up_read(self) -> Step:
        """Leave the lock."""
        return Step("up_read", (self.writer.index,))

    def down_write(self) -> Step:
        """Block until there is neither reader nor writer, then own the lock."""
        return Step("down_write", (self.writer.index, True))

    def try_write(self) -> Step:
        """Own the lock if it is free, and never block (down_write_trylock).

        The result says whether it did.
        """
        return Step("down_write", (self.writer.index, False))

    def up_write(self) -> Step:
        """Give the lock up."""
        return Step("up_write", (self.writer.index,))

    def downgrade(self) -> Step:
        """Turn the write lock into a read lock; no writer comes in between (downgrade_write)."""
        return Step("downgrade_write", (self.writer.index,))

    def free(self, view: View) -> None:
        """Free the lock with what it is part of: no CPU may hold it now, or use it from now on."""
        holders = [cpu for cpu, reader in enumerate(self.readers) if view[reader.index]]
        if view[self.writer.index] != FREE:
            holders.append(view[self.writer.index] - 1)
        if holders:
            poison = self.writer.poison
            assert poison is not None, f"{self} is part of nothing that is freed"
            who = " and ".join(f"cpu{cpu}" for cpu in holders)
            raise ViolationSignal(poison.oracle, f"{poison.what} is freed while {who} holds {self}")
        view[self.writer.index] = view.layout.cpus + 1

    def cells(self) -> tuple[Cell[Any], ...]:
        """All that `free` touches."""
        return (self.writer, *self.readers)


class SeqCount(Record):
    """A sequence counter (kernel: seqcount_t): odd while a writer is at work.

    So readers can notice that, and try again.
    """

    MODULUS = 16

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__(layout, name)
        self.sequence = layout.counter(name, 0, bits=4)

    async def write_begin(self) -> None:
        """Make the count odd. The caller holds whatever keeps other writers out."""
        await self.sequence.set((await self.sequence + 1) % self.MODULUS)

    async def write_end(self) -> None:
        """Make the count even again, and different from what any reader in between began with."""
        await self.sequence.set((await self.sequence + 1) % self.MODULUS)

    def read_begin(self) -> Step:
        """Block while a writer is at work (the kernel spins), then return the count."""
        return Step("seq_read_begin", (self.sequence.index,))

    async def read_retry(self, began: int) -> bool:
        """Whether a writer has been at work since `began`, so that the reader must try again."""
        return await self.sequence != began


# -- operations ------------------------------------------------------------------------------------


def _misuse(view: View, cpu: int, call: str, index: int, problem: str) -> ViolationSignal:
    name = view.layout.cells[index].name
    return ViolationSignal("lock_misuse", f"cpu{cpu}: {call}({name}) {problem}")


def _alive(view: View, cpu: int, call: str, writer: int) -> None:
    """A violation if what the lock is part of was freed.

    A CPU that does not exist then owns the lock.
    """
    poison = view.layout.cells[writer].poison
    if poison is not None and view[writer] > view.layout.cpus:
        name = view.layout.cells[writer].name
        raise ViolationSignal(
            poison.oracle, f"cpu{cpu}: {call}({name}), but {poison.what} has been freed"
        )


def _spin_lock(view: View, cpu: int, owner: int) -> Any:
    if view[owner] != FREE:
        return BLOCKED
    view[owner] = cpu + 1
    return None


def _spin_trylock(view: View, cpu: int, owner: int) -> bool:
    return _spin_lock(view, cpu, owner) is not BLOCKED


def _spin_unlock(view: View, cpu: int, owner: int) -> None:
    if view[owner] != cpu + 1:
        raise _misuse(
            view, cpu, "spin_unlock", owner, "by a CPU that does not hold it. Take the lock first."
        )
    view[owner] = FREE


def _reader(writer: int, cpu: int) -> int:
    return writer + 1 + cpu


def _readers(layout: Layout, writer: int) -> range:
    return range(writer + 1, writer + 1 + layout.cpus)


def _down_read(view: View, cpu: int, writer: int, wait: bool) -> Any:
    _alive(view, cpu, "down_read", writer)
    if view[_reader(writer, cpu)]:
        raise _misuse(
            view,
            cpu,
            "down_read",
            writer,
            "taken twice for reading; with a writer waiting in between, Linux would deadlock. "
            "Release it first.",
        )
    if view[writer] != FREE:
        return BLOCKED if wait else False
    view[_reader(writer, cpu)] = 1
    return True


def _up_read(view: View, cpu: int, writer: int) -> None:
    if not view[_reader(writer, cpu)]:  # `free` has made sure that no CPU holds it
        raise _misuse(
            view,
            cpu,
            "up_read",
            writer,
            "by a CPU that does not hold it for reading. Take it first.",
        )
    view[_reader(writer, cpu)] = 0


def _down_write(view: View, cpu: int, writer: int, wait: bool) -> Any:
    _alive(view, cpu, "down_write", writer)
    if view[writer] != FREE or any(view[reader] for reader in _readers(view.layout, writer)):
        return BLOCKED if wait else False
    view[writer] = cpu + 1
    return True


def _up_write(view: View, cpu: int, writer: int) -> None:
    if view[writer] != cpu + 1:
        raise _misuse(
            view,
            cpu,
            "up_write",
            writer,
            "by a CPU that does not hold it for writing. Take it first.",
        )
    view[writer] = FREE


def _downgrade(view: View, cpu: int, writer: int) -> None:
    if view[writer] != cpu + 1:
        raise _misuse(
            view, cpu, "downgrade_write", writer, "by a CPU that does not hold it for writing."
        )
    view[writer] = FREE
    view[_reader(writer, cpu)] = 1


def _seq_read_begin(view: View, cpu: int, index: int) -> Any:
    return view[index] if view[index] % 2 == 0 else BLOCKED


def _owner(view: View, cpu: int, index: int, *_: Any) -> tuple[int, ...]:
    return (view[index] - 1,) if view[index] != FREE else ()


def _everyone(view: View, cpu: int, writer: int, *_: Any) -> tuple[int, ...]:
    reading = tuple(other for other in range(view.layout.cpus) if view[_reader(writer, other)])
    return _owner(view, cpu, writer) + reading


def _write_footprint(layout: Layout, cpu: int, writer: int, *_: Any) -> Footprint:
    return touching(reads=[writer, *_readers(layout, writer)], writes=[writer])


def _says(text: str) -> Any:
    def tell(
        layout: Layout, before: int, after: int, cpu: int, result: Any, index: int, *_: Any
    ) -> str:
        name = layout.cells[index].name
        return f"cannot have {name}" if result is False else text.format(name)

    return tell


def _wants(mode: str) -> Any:
    return lambda view, cpu, index, *_: f"{view.layout.cells[index].name}{mode}"


def lock_operation(name: str, touches: Callable[..., Footprint], *rest: Any, **more: Any) -> None:
    """Add an operation that works on locks only."""

    def on_locks(layout: Layout, cpu: int, *args: Any) -> Footprint:
        footprint = touches(layout, cpu, *args)
        for index, cell in enumerate(layout.cells):
            if (footprint.reads | footprint.writes) >> index & 1 and not cell.is_lock:
                raise ModelError(f"{cell.name} is not a lock")
        return footprint

    operation(name, on_locks, *rest, **more)


def _cell(layout: Layout, cpu: int, index: int) -> Footprint:
    return touching(reads=[index], writes=[index])


def _own_reader(layout: Layout, cpu: int, writer: int) -> Footprint:
    own = _reader(writer, cpu)
    return touching(reads=[own], writes=[own])


def _reading(layout: Layout, cpu: int, writer: int, _: bool) -> Footprint:
    own = _reader(writer, cpu)
    return touching(reads=[writer, own], writes=[own])


def _downgrading(layout: Layout, cpu: int, writer: int) -> Footprint:
    both = [writer, _reader(writer, cpu)]
    return touching(reads=both, writes=both)


def _tell_count(layout: Layout, before: int, after: int, cpu: int, result: Any, index: int) -> str:
    return f"{layout.cells[index].name} is {result}"


lock_operation("spin_lock", _cell, _spin_lock, _says("takes {}"), _wants(""), _owner)
lock_operation("spin_trylock", _cell, _spin_trylock, _says("takes {}"))
lock_operation("spin_unlock", _cell, _spin_unlock, _says("releases {}"))
lock_operation(
    "down_read",
    _reading,
    _down_read,
    _says("takes {} for reading"),
    _wants(" for reading"),
    _owner,
)
lock_operation("up_read", _own_reader, _up_read, _says("releases {} (read)"))
lock_operation(
    "down_write",
    _write_footprint,
    _down_write,
    _says("takes {} for writing"),
    _wants(" for writing"),
    _everyone,
)
lock_operation("up_write", _cell, _up_write, _says("releases {} (write)"))
lock_operation("downgrade_write", _downgrading, _downgrade, _says("downgrades {} to reading"))
operation(
    "seq_read_begin",
    lambda layout, cpu, index: touching(reads=[index]),
    _seq_read_begin,
    _tell_count,
    awaits=_wants(" to become even"),
)
