"""Random small programs over cells, a counter, locks of all kinds, a sequence count and RCU, for hypothesis to find and to shrink.

A program is a tuple with the body of each task. A body is a tuple of instructions, and an instruction may hold a body:

    (("load", "a"), ("if", "b", 1, (("store", "a", 2),))),          # cpu0
    (("spin", "a", 1), ("under", "lock", (("add", -1),))),          # cpu1
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mmlocks.machine import Layout, Machine, Rcu, RwSem, SeqCount, SpinLock, require, together

Body = tuple[Any, ...]
CELLS = ("a", "b")
VALUES = st.integers(0, 2)
CHANGES = st.sampled_from([1, 2, -1])
"""What is added to the counter, which cannot hold less than nothing."""


class Shared:
    def __init__(self, cpus: int) -> None:
        self.layout = Layout(cpus)
        self.cells = {name: self.layout.cell(name, 0) for name in CELLS}
        self.counter = self.layout.counter("n")
        self.locks = {
            "lock": SpinLock(self.layout, "lock"),
            "other": SpinLock(self.layout, "other"),
        }
        self.rwsem = RwSem(self.layout, "sem")
        self.count = SeqCount(self.layout, "count")
        self.rcu = Rcu(self.layout)
        self.saw = [self.layout.cell(f"saw{cpu}", (), bits=16) for cpu in range(cpus)]


def machine(program: tuple[Body, ...]) -> Machine:
    """Each task runs its body and, at the end, leaves what it saw where everybody can see it."""
    shared = Shared(len(program))
    cells, counter, locks, saw = shared.cells, shared.counter, shared.locks, shared.saw
    rwsem, count, rcu = shared.rwsem, shared.count, shared.rcu

    async def run(body: Body, seen: tuple[Any, ...]) -> tuple[Any, ...]:
        for what, *args in body:
            if what == "load":
                seen = (*seen, await cells[args[0]])
            elif what == "store":
                await cells[args[0]].set(args[1])
            elif what == "copy":
                await cells[args[1]].set(await cells[args[0]])
            elif what == "same":
                seen = (*seen, await cells["a"] == await cells["b"])
            elif what == "both":
                seen = (*seen, *await together(cells["a"], counter))
            elif what == "swap":
                seen = (*seen, await cells[args[0]].swap(args[1], args[2]))
            elif what == "add":
                await counter.add(args[0])
            elif what == "fetch":
                seen = (*seen, await counter.fetch_add(args[0]))
            elif what == "count":
                seen = (*seen, await counter)
            elif what == "spin":
                while await cells[args[0]] != args[1]:
                    pass
            elif what == "wait":
                await cells[args[0]].wait_for(args[1])
            elif what == "check":
                await require(await cells[args[0]] != args[1], "check", "sees a forbidden value")
            elif what == "if":
                if await cells[args[0]] == args[1]:
                    seen = await run(args[2], seen)
            elif what == "under":
                await locks[args[0]].lock()
                seen = await run(args[1], seen)
                await locks[args[0]].unlock()
            elif what == "try":
                if await rwsem.try_read():
                    seen = await run(args[0], seen)
                    await rwsem.up_read()
            elif what == "reading":
                await rwsem.down_read()
                seen = await run(args[0], seen)
                await rwsem.up_read()
            elif what == "writing":
                await rwsem.down_write()
                seen = await run(args[0], seen)
                await rwsem.up_write()
            elif what == "changing":
                await count.write_begin()
                seen = await run(args[0], seen)
                await count.write_end()
            elif what == "glance":
                began = await count.read_begin()
                value = await cells[args[0]]
                seen = (*seen, value, await count.read_retry(began))
            elif what == "section":
                await rcu.read_lock()
                seen = await run(args[0], seen)
                await rcu.read_unlock()
            elif what == "synchronize":
                await rcu.synchronize()
        return seen

    async def task(cpu: int, body: Body) -> None:
        await saw[cpu].set(await run(body, ()))

    tasks = [
        (f"task{cpu}", lambda cpu=cpu, body=body: task(cpu, body))
        for cpu, body in enumerate(program)
    ]
    return Machine(shared.layout, tasks)


def programs(spinning: bool = True) -> st.SearchStrategy[tuple[Body, ...]]:
    """Two tasks of up to four instructions, or three of up to three."""
    two = st.tuples(*[bodies(4, spinning)] * 2)
    three = st.tuples(*[bodies(3, spinning)] * 3)
    return st.one_of(two, three)


def bodies(longest: int, spinning: bool, depth: int = 0) -> st.SearchStrategy[Body]:
    cell = st.sampled_from(CELLS)
    simple = [
        st.tuples(st.just("load"), cell),
        st.tuples(st.just("store"), cell, VALUES),
        st.sampled_from(
            [
                ("copy", "a", "b"),
                ("copy", "b", "a"),
                ("same",),
                ("both",),
                ("count",),
                ("synchronize",),
            ]
        ),
        st.tuples(st.sampled_from(["add", "fetch"]), CHANGES),
        st.tuples(st.just("glance"), cell),
        st.tuples(st.just("swap"), cell, VALUES, VALUES),
        st.tuples(st.just("wait"), cell, VALUES),
        st.tuples(st.just("check"), cell, VALUES),
    ]
    if spinning:
        simple.append(st.tuples(st.just("spin"), cell, VALUES))
    if depth < 2:
        inner = bodies(2, spinning, depth + 1)
        simple += [
            st.tuples(st.just("if"), cell, VALUES, inner),
            st.tuples(st.just("under"), st.sampled_from(["lock", "other"]), inner),
            st.tuples(st.sampled_from(["try", "reading", "writing", "changing", "section"]), inner),
        ]
    return st.lists(st.one_of(simple), min_size=0 if depth else 1, max_size=longest).map(tuple)
