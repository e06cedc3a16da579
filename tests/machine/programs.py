"""Classic programs for the machine, each as one would write it for a lesson. None knows anything of memory management."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mmlocks.machine import Layout, Machine, Rcu, RwSem, SeqCount, SpinLock, Violation, require
from tests.helpers import each
from tests.search.exclusion import bakery, dekker, peterson

# -- counter += 1 -----------------------------------------------------------------------------------------------------


def increment(how: str = "plainly", cpus: int = 2) -> Machine:
    """`counter += 1` on every CPU: a read, then a write. In between, the other CPU may have done the same."""
    layout = Layout(cpus)
    counter = layout.counter("counter")
    lock = SpinLock(layout, "lock")

    async def plainly(cpu: int) -> None:
        await counter.set(await counter + 1)

    async def atomically(cpu: int) -> None:
        await counter.add(1)

    async def locked(cpu: int) -> None:
        await lock.lock()
        await counter.set(await counter + 1)
        await lock.unlock()

    def judge(state: int) -> Violation | None:
        total = counter.of(state)
        return (
            None if total == cpus else Violation("lost_update", f"counter is {total}, not {cpus}")
        )

    return Machine(
        layout,
        each({"plainly": plainly, "atomically": atomically, "locked": locked}[how], cpus),
        judge,
    )


def look_at_a_counter() -> Machine:
    """Additions commute with each other, not with somebody who looks at the sum."""
    layout = Layout(cpus=3)
    counter, seen = layout.counter("counter"), layout.cell("seen", 0)

    async def add(cpu: int) -> None:
        await counter.add(cpu + 1)

    async def look() -> None:
        await seen.set(await counter)

    return Machine(layout, [*each(add, 2), ("look", look)])


# -- readers and a writer ---------------------------------------------------------------------------------------------


def readers_and_writer(lock_read: bool = True, readers: int = 2) -> Machine:
    """X and y change together under a reader/writer lock; a reader that does not take it sees one old and one new."""
    layout = Layout(readers + 1)
    x, y = layout.cell("x", 0), layout.cell("y", 0)
    lock = RwSem(layout, "lock")

    async def write() -> None:
        await lock.down_write()
        await x.set(1)
        await y.set(1)
        await lock.up_write()

    async def read() -> None:
        if lock_read:
            await lock.down_read()
        await require(await x == await y, "torn", "sees x and y of different moments")
        if lock_read:
            await lock.up_read()

    return Machine(layout, [("write", write), *[("read", read)] * readers])


def sequence_count(retry: bool = True) -> Machine:
    """The same without making the reader write anything: it reads again if a writer has been at work meanwhile."""
    layout = Layout(cpus=2)
    x, y = layout.cell("x", 0), layout.cell("y", 0)
    count = SeqCount(layout, "count")

    async def write() -> None:
        await count.write_begin()
        await x.set(1)
        await y.set(1)
        await count.write_end()

    async def read() -> None:
        while True:
            began = await count.read_begin()
            seen = (await x, await y)
            if not retry or not await count.read_retry(began):
                break
        await require(seen[0] == seen[1], "torn", f"sees x and y of different moments: {seen}")

    return Machine(layout, [("write", write), ("read", read)])


def grace_period(wait: bool = True) -> Machine:
    """A node is replaced and the old one freed, once no reader can still be looking at it."""
    layout = Layout(cpus=2)
    current = layout.cell("current", 0)
    freed = [layout.cell(f"freed{node}", False) for node in range(2)]
    rcu = Rcu(layout)

    async def read() -> None:
        await rcu.read_lock()
        node = await current
        await require(not await freed[node], "freed", f"looks at node {node}, which has been freed")
        await rcu.read_unlock()

    async def replace() -> None:
        await current.set(1)
        if wait:
            await rcu.synchronize()
        await freed[0].set(True)

    return Machine(layout, [("read", read), ("replace", replace)])


# -- waiting in a circle ----------------------------------------------------------------------------------------------


def lock_order(agreed: bool = False, cpus: int = 2) -> Machine:
    """Every CPU takes its own lock and its neighbour's: the dining philosophers, who agree on an order or starve."""
    layout = Layout(cpus)
    locks = [SpinLock(layout, f"lock{cpu}") for cpu in range(cpus)]

    async def eat(me: int) -> None:
        pair = [me, (me + 1) % cpus]
        first, second = sorted(pair) if agreed else pair
        await locks[first].lock()
        await locks[second].lock()
        await locks[second].unlock()
        await locks[first].unlock()

    return Machine(layout, each(eat, cpus))


def message(flag_first: bool = False) -> Machine:
    """One CPU writes data and raises a flag, the other spins on the flag and reads. The broken one raises the flag first."""
    layout = Layout(cpus=2)
    data, flag = layout.cell("data", 0), layout.cell("flag", False)

    async def send() -> None:
        for step in (
            (flag.set(True), data.set(42)) if flag_first else (data.set(42), flag.set(True))
        ):
            await step

    async def receive() -> None:
        while not await flag:
            pass
        await require(await data == 42, "message", "reads data before it was written")

    return Machine(layout, [("send", send), ("receive", receive)])


def spinner_beside_a_failure() -> Machine:
    """cpu0 spins on what nobody ever changes. A search that follows it round and round never sees what cpu1 does."""
    layout = Layout(cpus=2)
    never, other = layout.cell("never", False), layout.cell("other", 0)

    async def spin() -> None:
        while not await never:
            pass

    async def fail() -> None:
        await other.set(1)
        await require(False, "failure", "fails")

    return Machine(layout, [("spin", spin), ("fail", fail)])


class Program(NamedTuple):
    """A way to build a program afresh, and the oracle that it falls foul of ("" for none)."""

    build: Callable[[], Machine]
    breaks: str


PROGRAMS = {
    "increment": Program(increment, "lost_update"),
    "increment_on_three_cpus": Program(lambda: increment(cpus=3), "lost_update"),
    "increment_atomically": Program(lambda: increment("atomically", cpus=3), ""),
    "increment_locked": Program(lambda: increment("locked", cpus=3), ""),
    "look_at_a_counter": Program(look_at_a_counter, ""),
    "peterson": Program(peterson, ""),
    "peterson_turn_first": Program(lambda: peterson("turn_first"), "exclusion"),
    "dekker": Program(dekker, ""),
    "dekker_look_first": Program(lambda: dekker("look_first"), "exclusion"),
    "bakery": Program(bakery, ""),
    "bakery_without_choosing": Program(lambda: bakery("no_choosing"), "exclusion"),
    "readers_and_writer": Program(readers_and_writer, ""),
    "readers_without_lock": Program(lambda: readers_and_writer(lock_read=False), "torn"),
    "sequence_count": Program(sequence_count, ""),
    "sequence_count_without_retry": Program(lambda: sequence_count(retry=False), "torn"),
    "grace_period": Program(grace_period, ""),
    "freed_without_grace_period": Program(lambda: grace_period(wait=False), "freed"),
    "lock_order": Program(lock_order, "deadlock"),
    "lock_order_of_three": Program(lambda: lock_order(cpus=3), "deadlock"),
    "lock_order_agreed": Program(lambda: lock_order(agreed=True, cpus=3), ""),
    "message": Program(message, ""),
    "message_flag_first": Program(lambda: message(flag_first=True), "message"),
    "spinner_beside_a_failure": Program(spinner_beside_a_failure, "failure"),
}
