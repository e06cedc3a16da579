"""Whatever the interleaving: munmap, mprotect, mmap, fork and faults end in a state that some order of them explains.

Every pair of operations, and three at random, are searched whole, and compared with the same operations taken one after another, in every
order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mmlocks.machine import Machine, operation
from mmlocks.machine.step import touching
from mmlocks.mm import Kernel, SegmentationFault
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.mm_types import FREED
from mmlocks.mm.syscalls.mmap import MAP_FIXED, MAP_PRIVATE
from mmlocks.mm.user import fork, load, store
from mmlocks.mm.vm_flags import (
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_MAY_ACCESS,
    VM_READ,
    VM_WRITE,
    flags_text,
)
from mmlocks.mm.world import World
from mmlocks.oracles.bookkeeping import frames_can_be_found, nothing_is_held, references_add_up
from mmlocks.releases import NEWEST, RELEASES
from mmlocks.search import Budget
from mmlocks.search.exhaustive import explore
from mmlocks.search.verdict import Meter
from tests.mutated import mutated

FIRST, LAST, STACK = 3, 5, 9
RW = VM_READ | VM_WRITE | VM_MAY_ACCESS | VM_ACCOUNT
KERNEL = Kernel(NEWEST)


class Operation(NamedTuple):
    """What one CPU does: a name, the first page, and one number more (pages, permissions, or the value stored)."""

    name: str
    page: int
    number: int = 0


Ending = tuple[Any, ...]
"""What can be told apart at the end: results, both processes' areas, and what is in their pages."""


class Stage(World):
    """A world that knows its kernel: tasks hold on to handles alone, so that their moments can be compared."""

    kernel = KERNEL


async def carry_out(world: Stage, operation: Operation, out: Any) -> None:
    """One operation of a program, and its result."""
    name, page, number = operation
    address, length = page * PAGE_SIZE, PAGE_SIZE * max(1, min(number, LAST + 1 - page))
    result: Any = None
    try:
        match name:
            case "store":
                await world.kernel.link(store)(world.mm, address_of(page), 10 + number)
            case "load":
                result = await world.kernel.link(load)(world.mm, address_of(page))
            case "munmap":
                result = await world.kernel.munmap(world.mm, address, length)
            case "forget":
                result = await world.kernel.madvise(world.mm, address, length, 4)
            case "mprotect":
                result = await world.kernel.mprotect(
                    world.mm, address, PAGE_SIZE * (LAST + 1 - page), number
                )
            case "mmap":
                result = await world.kernel.mmap(
                    world.mm, address, length, 3, MAP_PRIVATE | MAP_FIXED
                )
            case "shrink":
                result = await world.kernel.mremap(world.mm, address, 3 * PAGE_SIZE, PAGE_SIZE, 0)
            case "store and load":
                await world.kernel.link(store)(world.mm, address_of(page), number)
                result = await world.kernel.link(load)(world.mm, address_of(page))
            case "fork":
                await world.kernel.link(fork)(world.mm, world.child)
    except SegmentationFault:
        result = "segmentation fault"
    await out.set(result)


def program(
    operations: tuple[Operation, ...],
    faulted: bool,
    cached: bool,
    kernel: Kernel = KERNEL,
    read_only: int | None = None,
) -> tuple[World, Machine]:
    """A machine with one CPU for each operation: an area of three pages, of which the first holds 1 and the last 3, and an untouched stack.

    `read_only` is a page of an area of its own.
    """
    cpus = range(len(operations))
    pages = {
        3: (1,) if faulted else None,
        4: None,
        5: (3,) if faulted else None,
        6: None,
        STACK - 1: None,
        STACK: None,
    }
    world = Stage(
        len(operations),
        pages=pages,
        faulting=dict.fromkeys(cpus, pages),
        cached={0: [3, 5]} if faulted and cached else {},
        slots=1,
        frames=3,
        referee=False,
    )
    world.kernel = kernel
    world.map("heap", FIRST, LAST, faulted=faulted)
    world.map("stack", STACK, STACK, faulted=False, flags=RW | VM_GROWSDOWN)
    if read_only is not None:
        world.map("constant", read_only, read_only, faulted=False, flags=VM_READ | VM_MAY_ACCESS)
    world.may_change(nodes=12, vmas=9)
    world.child.spare_vmas.set_aside(3)
    outs = [world.layout.cell(f"result{cpu}", "none yet", bits=4) for cpu in cpus]

    def task(cpu: int) -> Callable[[], Any]:
        return lambda: carry_out(world, operations[cpu], outs[cpu])

    return world, Machine(world.layout, [(operations[cpu].name, task(cpu)) for cpu in cpus])


def ending(world: World, state: int) -> Ending:
    """What a state looks like to programs.

    They cannot see VM_ACCOUNT, and no order explains it: a store may fault, be given its page, and find when it is tried again that mprotect was
    faster. It never happened, but the area has an anon_vma from it, and stays accounted.
    """
    results = tuple(
        world.layout.named(f"result{cpu}").of(state) for cpu in range(world.layout.cpus)
    )
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
            page
            for page in world.pages
            if any(low <= page * PAGE_SIZE < high for low, high, *_ in areas)
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


def nothing_allows_too_much(world: World, state: int) -> None:
    """No page-table entry, and no translation in a TLB, allows what its area forbids, or is left where there is no area."""
    for mm in (world.mm, world.child):
        flags = {
            page: vma.vm_flags.of(state)
            for vma in mm.mm_mt.contents(state)
            for page in range(
                vma.vm_start.of(state) // PAGE_SIZE, vma.vm_end.of(state) // PAGE_SIZE
            )
        }
        entries = [
            (page, f"{mm}'s page table", cell.of(state)) for page, cell in mm.page_table.pte.items()
        ]
        cached = [
            (page, f"cpu{cpu}'s TLB", cell.of(state)) for (cpu, page), cell in mm.tlb.cached.items()
        ]
        for page, where, entry in entries + cached:
            if entry is None:
                continue
            assert page in flags, f"P{page} is in {where}, and no area is there"
            assert flags[page] & VM_WRITE or not entry.write, (
                f"P{page} is writable in {where}, and read-only"
            )
            assert flags[page] & VM_READ or entry.none, (
                f"P{page} is readable in {where}, and PROT_NONE"
            )
        for page, where, entry in cached:
            current = mm.page_table.pte[page].of(state)
            assert entry is None or (
                current is not None and entry in (current, current.wrprotected())
            ), f"{where} is stale for P{page}"


def interleaved(
    operations: tuple[Operation, ...], faulted: bool, cached: bool, kernel: Kernel = KERNEL
) -> set[Ending]:
    """The endings of all interleavings; fails for any broken rule, deadlock, leak, or lock that is left behind."""
    world, machine = program(operations, faulted, cached, kernel)
    found = explore(machine, Meter(Budget(2_000_000, 120.0)), reduced=True)
    if found.reason:
        pytest.fail(f"{operations}: {found.reason}")  # no AssertionError: nothing was found out
    assert found.violation is None, found.violation.message
    vmas = [vma for mm in (world.mm, world.child) for vma in (*mm.vmas, *mm.spare_vmas)]
    for state in found.seen:
        for vma in vmas:
            in_use = any(reader.of(state) for reader in vma.vm_lock.readers)
            assert not (in_use and vma.life.of(state) == FREED), (
                f"{vma} is freed while it is read-locked"
            )
    for state in found.endings:
        for oracle in (references_add_up, frames_can_be_found, nothing_is_held):
            assert (problem := oracle(world, state)) is None, problem.message
        nothing_allows_too_much(world, state)
    return {ending(world, state) for state in found.endings}


def one_after_another(
    operations: tuple[Operation, ...], faulted: bool, cached: bool
) -> Iterator[Ending]:
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


EACH = (
    Operation("store", 3, 1), Operation("store", 4, 2), Operation("load", 3), Operation("load", 4), Operation("store", STACK - 1, 3),
    Operation("munmap", 3, 3), Operation("munmap", 4, 1), Operation("munmap", STACK, 1), Operation("forget", 3, 2), Operation("mmap", 4, 2),
    Operation("mmap", 6, 1), Operation("mprotect", 3, 0), Operation("mprotect", 4, 1), Operation("shrink", 3, 1), Operation("fork", 0),
)  # fmt: skip
PAIRS = [
    (one, other)
    for number, one in enumerate(EACH)
    for other in EACH[number:]
    if other.name != "fork" or (one.name != "fork" and one.page < STACK - 1)
]
"""All pairs, but for two forks (there is one child), and for a fork beside an access that lets the stack grow: such a store may fault, and
fork come before it is tried again. The child then has the longer stack without what was stored, as on Linux."""
SETTINGS = [(False, False), (True, False), (True, True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", PAIRS, ids=lambda pair: " beside ".join(f"{one.name} {one.page}" for one in pair)
)
def test_every_interleaving_of_two_ends_as_some_order_does(pair: tuple[Operation, ...]) -> None:
    for faulted, cached in SETTINGS:
        strange = interleaved(pair, faulted, cached) - set(one_after_another(pair, faulted, cached))
        assert not strange, (
            f"{pair}, {faulted=}, {cached=}: no order ends in {min(strange, key=repr)}"
        )


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.tuples(*[st.sampled_from(EACH)] * 3), st.sampled_from(SETTINGS))
def test_every_interleaving_of_three_ends_as_some_order_does(
    operations: tuple[Operation, ...], setting: tuple[bool, bool]
) -> None:
    forks = sum(operation.name == "fork" for operation in operations)
    assume(
        forks == 0 or (forks == 1 and all(operation.page < STACK - 1 for operation in operations))
    )
    strange = interleaved(operations, *setting) - set(one_after_another(operations, *setting))
    assert not strange, f"{operations}: no order ends in {min(strange, key=repr)}"


def test_a_stack_does_not_grow_into_a_hole_that_is_still_being_emptied() -> None:
    """CVE-2020-29369: while stacks grew under mmap_lock held for reading, munmap below one must not go on with less than the whole lock."""

    def reads(release: str) -> set[Any]:
        world, machine = program(
            (Operation("munmap", STACK - 1, 1), Operation("store and load", STACK - 1, 7)),
            False,
            False,
            Kernel(RELEASES[release]),
            STACK - 1,
        )
        found = explore(machine, Meter(Budget(500_000, 60.0)), stop=False)
        assert not found.violations and not found.reason
        return {world.layout.named("result1").of(state) for state in found.endings}

    for release in ("6.3", "6.4.0", "6.4.3"):
        assert reads(release) == {7, "segmentation fault"}


# -- what holds this together -----------------------------------------------------------------------------------------

MUNMAP, FORGET, STORE, TOUCH = (
    Operation("munmap", 3, 3),
    Operation("forget", 3, 1),
    Operation("store", 3, 1),
    Operation("store", 4, 1),
)
operation(
    "free_at_once",
    lambda layout, cpu, vma: touching(writes=[cell.index for cell in vma.cells()]),
    lambda view, cpu, vma: vma.reclaim(view),
)
READ_ONLY, FORK = Operation("mprotect", 3, 1), Operation("fork", 0)


class Gap(NamedTuple):
    """A line without which some interleaving goes wrong: its file, the line, and the program that shows it."""

    about: str
    file: str
    line: str
    program: tuple[Operation, ...]
    instead: str = "pass"


GAPS = (
    Gap("munmap does not lock the area", "munmap", "await vma_start_write(vma)", (MUNMAP, TOUCH)),
    Gap("munmap does not mark it detached", "munmap", "await vma.detached.set(True)", (MUNMAP, TOUCH)),
    Gap("munmap does not flush", "munmap", "await flush_tlb_pages(mm, pages)", (FORGET, STORE)),
    Gap("mprotect does not lock the area", "mprotect", "await vma_start_write(vma)", (READ_ONLY, TOUCH)),
    Gap("mprotect does not flush", "mprotect", "await flush_tlb_pages(mm, changed)", (READ_ONLY, STORE)),
    Gap("VMAs are freed at once", "vma", "await vma.vm_mm.rcu.call(vma)", (MUNMAP, TOUCH), "await Step('free_at_once', (vma,))"),
    Gap("the RCU section ends before the lock of a detached VMA is given up", "vma_lock", "vma.detached, vma.vm_lock.up_read())\n        await mm.rcu.read_unlock()", (MUNMAP, TOUCH), "vma.detached, mm.rcu.read_unlock())\n        await vma.vm_lock.up_read()"),
    Gap("fork does not flush", "fork", "await flush_tlb_mm(oldmm)", (FORK, STORE)),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("gap", GAPS, ids=[gap.about for gap in GAPS])
def test_no_line_is_there_for_nothing(gap: Gap) -> None:
    kernel = Kernel(NEWEST, text=mutated(gap.file, gap.line, gap.instead))
    assert any(goes_wrong(gap.program, faulted, kernel) for faulted in (True, False))


def goes_wrong(operations: tuple[Operation, ...], faulted: bool, kernel: Kernel) -> bool:
    """Whether some interleaving breaks a rule, or ends as no order does."""
    explained = set(one_after_another(operations, faulted, cached=True))
    try:
        return bool(interleaved(operations, faulted, cached=True, kernel=kernel) - explained)
    except AssertionError:
        return True
