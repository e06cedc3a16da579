"""Whatever the interleaving: munmap, mprotect, mmap, fork and faults end in a state that some order of them explains.

Programs are drawn at random, searched whole, and compared with the same operations taken one after another, in every order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmlocks.machine import Machine
from mmlocks.mm import Kernel, SegmentationFault
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.mmap import MAP_FIXED, MAP_PRIVATE
from mmlocks.mm.user import fork, load, store
from mmlocks.mm.vm_flags import VM_ACCOUNT, flags_text
from mmlocks.mm.world import World
from mmlocks.oracles.bookkeeping import nothing_is_held, references_add_up
from mmlocks.releases import RELEASES
from mmlocks.search import Budget
from mmlocks.search.exhaustive import explore
from mmlocks.search.verdict import Meter

FIRST, LAST = 3, 5
KERNEL = Kernel(RELEASES["6.4.3"])


class Operation(NamedTuple):
    """What one CPU does: a name, the first page, and one number more (pages, permissions, or the value stored)."""

    name: str
    page: int
    number: int = 0


Ending = tuple[Any, ...]
"""What can be told apart at the end: results, both processes' areas, and what is in their pages."""


async def carry_out(world: World, operation: Operation, out: Any, kernel: Kernel) -> None:
    """One operation of a program, and its result."""
    name, page, number = operation
    address, length = page * PAGE_SIZE, PAGE_SIZE * max(1, min(number, LAST + 1 - page))
    result: Any = None
    try:
        match name:
            case "store":
                await kernel.link(store)(world.mm, address_of(page), 10 + number)
            case "load":
                result = await kernel.link(load)(world.mm, address_of(page))
            case "munmap":
                result = await kernel.munmap(world.mm, address, length)
            case "forget":
                result = await kernel.madvise(world.mm, address, length, 4)
            case "mprotect":
                result = await kernel.mprotect(world.mm, address, PAGE_SIZE * (LAST + 1 - page), number)
            case "mmap":
                result = await kernel.mmap(world.mm, address, length, 3, MAP_PRIVATE | MAP_FIXED)
            case "fork":
                await kernel.link(fork)(world.mm, world.child)
    except SegmentationFault:
        result = "segmentation fault"
    await out.set(result)


def program(
    operations: tuple[Operation, ...], faulted: bool, cached: bool, kernel: Kernel = KERNEL
) -> tuple[World, Machine]:
    """A machine with one CPU for each operation, on an area of three pages of which the first holds 1 and the last 3."""
    cpus = range(len(operations))
    pages = {3: (1,) if faulted else None, 4: None, 5: (3,) if faulted else None}
    world = World(
        len(operations),
        pages=pages,
        faulting=dict.fromkeys(cpus, pages),
        cached={0: [3, 5]} if faulted and cached else {},
        slots=1,
        frames=3,
        referee=False,
    )
    world.map("heap", FIRST, LAST, faulted=faulted)
    world.may_change(nodes=12, vmas=9)
    world.child.spare_vmas.set_aside(3)
    outs = [world.layout.cell(f"result{cpu}", "none yet", bits=4) for cpu in cpus]

    def task(cpu: int) -> Callable[[], Any]:
        return lambda: carry_out(world, operations[cpu], outs[cpu], kernel)

    return world, Machine(world.layout, [(operations[cpu].name, task(cpu)) for cpu in cpus])


def ending(world: World, state: int) -> Ending:
    """What a state looks like to programs.

    They cannot see VM_ACCOUNT, and no order explains it: a store may fault, be given its page, and find when it is tried again that mprotect was
    faster. It never happened, but the area has an anon_vma from it, and stays accounted.
    """
    results = tuple(world.layout.named(f"result{cpu}").of(state) for cpu in range(world.layout.cpus))
    spaces = []
    for mm in (world.mm, world.child):
        areas = tuple(
            (
                vma.vm_start.of(state),
                vma.vm_end.of(state),
                vma.vm_pgoff.of(state),
                flags_text(vma.vm_flags.of(state) & ~VM_ACCOUNT),
            )
            for vma in mm.mm_mt.contents(state)
        )
        covered = [
            page for page in world.pages if any(low <= page * PAGE_SIZE < high for low, high, *_ in areas)
        ]
        assert mm.map_count.of(state) == len(areas)
        stray = [
            page
            for page in world.pages
            if page not in covered and mm.page_table.pte[page].of(state) is not None
        ]
        assert not stray, f"pages {stray} of {mm} are mapped where no VMA is"
        spaces.append((areas, tuple((page, world.content(mm, state, page)) for page in covered)))
    return (results, *spaces)


def interleaved(
    operations: tuple[Operation, ...], faulted: bool, cached: bool, kernel: Kernel = KERNEL
) -> set[Ending]:
    """The endings of all interleavings; fails for any broken rule, deadlock, leak, or lock that is left behind."""
    world, machine = program(operations, faulted, cached, kernel)
    found = explore(machine, Meter(Budget(2_000_000, 120.0)), reduced=True, stop=False)
    assert not found.reason, found.reason
    assert not found.violations, min(found.violations).message
    for state in found.endings:
        for oracle in (references_add_up, nothing_is_held):
            assert (problem := oracle(world, state)) is None, problem.message
    return {ending(world, state) for state in found.endings}


def one_after_another(operations: tuple[Operation, ...], faulted: bool, cached: bool) -> Iterator[Ending]:
    """The endings of every order in which each operation is finished before the next one begins."""
    for order in permutations(range(len(operations))):
        world, machine = program(operations, faulted, cached)
        state = machine.initial
        for cpu in order:
            while not machine.done(state, cpu):
                taken = machine.step(state, cpu)
                assert taken is not None and taken.violation is None
                state = taken.state
        yield ending(world, state)


PAGES = st.integers(FIRST, LAST)
OPERATIONS = st.one_of(
    st.builds(Operation, st.just("store"), PAGES, st.integers(0, 3)),
    st.builds(Operation, st.just("load"), PAGES),
    st.builds(Operation, st.sampled_from(["munmap", "forget", "mmap"]), PAGES, st.integers(1, 3)),
    st.builds(Operation, st.just("mprotect"), PAGES, st.sampled_from([0, 1, 3])),
)
PROGRAMS = st.one_of(
    st.tuples(OPERATIONS, OPERATIONS),
    st.tuples(st.just(Operation("fork", 0)), OPERATIONS),
    st.tuples(
        st.just(Operation("fork", 0)),
        OPERATIONS,
        st.builds(Operation, st.just("store"), PAGES, st.integers(0, 3)),
    ),
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(PROGRAMS, st.booleans(), st.booleans())
def test_every_interleaving_ends_as_some_order_does(
    operations: tuple[Operation, ...], faulted: bool, cached: bool
) -> None:
    explained = set(one_after_another(operations, faulted, cached))
    strange = interleaved(operations, faulted, cached) - explained
    assert not strange, f"{operations}: no order ends in {min(strange, key=repr)}"
