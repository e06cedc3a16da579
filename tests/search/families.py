"""Programs with published numbers of distinct executions (Mazurkiewicz traces), with which searches are compared in the literature.

The numbers: Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic partial order reduction", POPL 2014, table 1. `indexer` and `filesystem` come from
Flanagan, Godefroid, "Dynamic partial-order reduction for model checking software", POPL 2005, figures 1 and 11.
"""

from __future__ import annotations

from functools import partial

from mmlocks.machine import Layout, Machine, SpinLock
from tests.helpers import each


def readers(count: int) -> Machine:
    """One CPU writes a variable and `count` read it: each reader is early or late, so 2**count executions."""
    layout = Layout(count + 1)
    x = layout.cell("x", 0)

    async def write() -> None:
        await x.set(1)

    async def read() -> None:
        await x

    return Machine(layout, [("write", write), *[("read", read)] * count])


def lastzero(count: int) -> Machine:
    """CPU n of 1 to `count` sets cell n to one more than cell n - 1; cpu0 looks for the last cell that is still zero."""
    layout = Layout(count + 1)
    cells = [layout.counter(f"cell{number}") for number in range(count + 1)]

    async def search() -> None:
        number = count
        while await cells[number] != 0:
            number -= 1

    async def succeed(cpu: int) -> None:
        await cells[cpu].set(await cells[cpu - 1] + 1)

    succeeding = [("succeed", partial(succeed, cpu)) for cpu in range(1, count + 1)]
    return Machine(layout, [("search", search), *succeeding])


def indexer(cpus: int, slots: int = 128, messages: int = 4) -> Machine:
    """Every CPU puts a few messages into a hash table with compare-and-swap. Up to eleven CPUs never meet."""
    layout = Layout(cpus)
    table = [layout.cell(f"slot{number}", 0) for number in range(slots)]

    async def insert(cpu: int) -> None:
        for message in range(1, messages + 1):
            word = message * 11 + cpu
            slot = word * 7 % slots
            while not await table[slot].swap(0, word):
                slot = (slot + 1) % slots

    return Machine(layout, each(insert, cpus))


def filesystem(cpus: int, inodes: int = 32, blocks: int = 26) -> Machine:
    """Every CPU looks for a free block for its inode. Up to thirteen CPUs never meet."""
    layout = Layout(cpus)
    inode_locks = [SpinLock(layout, f"inode_lock{number}") for number in range(inodes)]
    block_locks = [SpinLock(layout, f"block_lock{number}") for number in range(blocks)]
    inode = [layout.cell(f"inode{number}", 0) for number in range(inodes)]
    busy = [layout.cell(f"busy{number}", False) for number in range(blocks)]

    async def allocate(cpu: int) -> None:
        mine = cpu % inodes
        await inode_locks[mine].lock()
        if await inode[mine] == 0:
            block = mine * 2 % blocks
            while True:
                await block_locks[block].lock()
                if not await busy[block]:
                    await busy[block].set(True)
                    await inode[mine].set(block + 1)
                    await block_locks[block].unlock()
                    break
                await block_locks[block].unlock()
                block = (block + 1) % blocks
        await inode_locks[mine].unlock()

    return Machine(layout, each(allocate, cpus))
