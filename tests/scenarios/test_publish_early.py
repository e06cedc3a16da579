"""A new VMA that others can find too early: the scenario, what files need of the model for it, and what becomes of each fix in the bank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mmlocks.conformance.process import Process
from mmlocks.machine import Step
from mmlocks.mm import Kernel, SegmentationFault
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.mm_types import SMALL, File, Pte, Vma
from mmlocks.mm.syscalls.mmap import MAP_FIXED, MAP_PRIVATE, MAP_SHARED, mmap
from mmlocks.mm.syscalls.mprotect import mprotect
from mmlocks.mm.syscalls.mremap import mremap
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.user import fork, load, store
from mmlocks.mm.vm_flags import VM_MAY_ACCESS, VM_MAYSHARE, VM_READ, VM_SHARED, VM_WRITE
from mmlocks.mm.world import World
from mmlocks.releases import RELEASES, release_named
from mmlocks.scenarios import SCENARIOS
from mmlocks.scenarios.checking import Checked, check
from mmlocks.scenarios.scenario import Scenario

SCENARIO = SCENARIOS["publish_early"]
WITHOUT = release_named("6.6-like-new_vma_locked")
RW, SHARED = VM_READ | VM_WRITE, VM_READ | VM_WRITE | VM_SHARED | VM_MAYSHARE | VM_MAY_ACCESS
FIRST, LAST, MOVED = 4, 6, 8


# -- the scenario -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_no_release_shows_it(release):
    assert check(SCENARIO, release).verdict.outcome == "safe" == SCENARIO.expected[release]


def test_fast_faults_on_files_make_it_reachable_and_the_repair_mends_it():
    checked = check(SCENARIO, WITHOUT)
    assert checked.verdict.violation.oracle == "unnoticed_store"
    assert checked.verdict.minimal
    assert len(checked.verdict.schedule) <= 25
    assert (
        check(SCENARIO, "6.6-like-new_vma_locked_first").verdict.outcome == "safe"
    )  # the order is another matter


def test_both_are_needed():
    """Neither the missing lock nor the fast faults harm anybody alone."""
    assert check(SCENARIO, "6.4.10-new_vma_locked").verdict.outcome == "safe"
    assert (
        check(SCENARIO, "6.4.10-new_vma_locked+file_faults_lock_vma").verdict.outcome == "violated"
    )


def test_someone_gets_the_page_under_the_vma_lock_and_someone_gets_a_signal():
    """The scenario would be empty if the load always came before the mapping, or the file's faults always took mmap_lock."""
    met = set()

    async def do_user_addr_fault(mm, address, flags):
        vma = await lock_vma_under_rcu(mm, address)  # noqa: F821  linked
        if vma is not None:
            handled = await handle_mm_fault(vma, address, flags | 2)  # noqa: F821
            await vma_end_read(vma)  # noqa: F821
            if handled:
                met.add("fast")
                return
        vma = await lock_mm_and_find_vma(mm, address)  # noqa: F821
        if vma is None:
            met.add("signal")
            raise SegmentationFault("none")
        met.add("slow")
        await handle_mm_fault(vma, address, flags)  # noqa: F821
        await mmap_read_unlock(mm)  # noqa: F821

    kernel = Kernel(RELEASES["6.6-like"], text={"do_user_addr_fault": do_user_addr_fault})
    assert check(SCENARIO, kernel).verdict.outcome == "safe"
    assert met == {"fast", "slow", "signal"}


# -- what a file that wants to be told needs --------------------------------------------------------------------------


def alone(
    program: Callable[[World], Any],
    kernel: Kernel | str = "6.6-like",
    notified: bool = True,
    flags: int = SHARED,
    also: tuple[str, ...] = (),
    second: Callable[[World], Any] | None = None,
) -> Checked:
    """A program in a process that maps a file of three pages from page 4, on its own CPU or beside another one."""

    def world() -> World:
        cpus = 1 if second is None else 2
        pages = dict.fromkeys([*range(FIRST, LAST + 1), MOVED])
        made = World(
            cpus,
            pages,
            dict.fromkeys(range(cpus), pages),
            cached={},
            slots=1,
            frames=2,
            referee=False,
        )
        file = made.file("journal", pages=3, at=FIRST, notified=notified)
        made.memory.behind[MOVED].append(made.memory.behind[FIRST][-1])
        made.map("view", FIRST, LAST, faulted=False, flags=flags, file=file)
        made.may_change(nodes=8, vmas=4)
        return made

    threads = [("it", program), *([("the other", second)] if second else [])]
    oracles = ("references", "held_at_end", *also)
    return check(Scenario("test", "", "", tuple(threads), world, oracles, {}, ""), kernel)


def dirty(checked: Checked) -> list[bool]:
    """Of which pages the file system was told, after the only CPU has come to its end."""
    assert checked.verdict.outcome == "safe", checked.verdict
    file, state = checked.world.files["journal"], only_ending(checked)
    return [frame.dirty.of(state) for frame in map(file.frame, range(3))]


def only_ending(checked: Checked) -> int:
    state = checked.machine.initial
    while not checked.machine.finished(state):
        state = checked.machine.step(state, 0).state
    return state


async def stores(world: World) -> None:
    await store(world.mm, address_of(FIRST), 1)


async def loads_then_stores(world: World) -> None:
    await load(world.mm, address_of(FIRST))
    await store(world.mm, address_of(FIRST), 1)
    await load(world.mm, address_of(FIRST + 1))


async def protects_and_stores(world: World) -> None:
    await load(world.mm, address_of(FIRST))
    await mprotect(world.mm, FIRST * PAGE_SIZE, 3 * PAGE_SIZE, VM_READ)
    await mprotect(world.mm, FIRST * PAGE_SIZE, 3 * PAGE_SIZE, RW)
    await load(world.mm, address_of(FIRST + 1))
    await store(world.mm, address_of(FIRST), 1)
    await store(world.mm, address_of(FIRST + 1), 1)


async def splits_and_stores(world: World) -> None:
    await munmap(world.mm, (FIRST + 1) * PAGE_SIZE, PAGE_SIZE)
    await load(world.mm, address_of(FIRST))
    await load(world.mm, address_of(LAST))
    await store(world.mm, address_of(FIRST), 1)
    await store(world.mm, address_of(LAST), 1)


async def moves_and_stores(world: World) -> None:
    await mremap(world.mm, FIRST * PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, 3, MOVED * PAGE_SIZE)
    await load(world.mm, address_of(MOVED))
    await store(world.mm, address_of(MOVED), 1)


async def maps_beside_and_stores(world: World) -> None:
    """The new range merges with what is there."""
    await munmap(world.mm, LAST * PAGE_SIZE, PAGE_SIZE)
    flags, file = MAP_SHARED | MAP_FIXED, world.files["journal"]
    await mmap(world.mm, LAST * PAGE_SIZE, PAGE_SIZE, RW, flags, file, 2 * PAGE_SIZE)
    assert await world.mm.map_count == 1
    await load(world.mm, address_of(LAST))
    await store(world.mm, address_of(LAST), 1)


PROGRAMS = {
    stores: [True, False, False],
    loads_then_stores: [True, False, False],
    protects_and_stores: [True, True, False],
    splits_and_stores: [True, False, True],
    moves_and_stores: [True, False, False],
    maps_beside_and_stores: [False, False, True],
}


@pytest.mark.parametrize("release", ["6.3", "6.6-like"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_file_system_is_told_of_every_first_store_and_of_nothing_else(program, release):
    assert dirty(alone(program, release)) == PROGRAMS[program]


async def tells_nobody(folio: Any) -> None:
    pass


async def forgets_what_is_copied(
    mm: Any, start: int, end: int, pgoff: int, flags: int, file: Any, page_prot: Any = None
) -> Vma:
    vma: Vma = await Step("vm_area_alloc", (mm, start, end, pgoff, flags, file, None))
    return vma


async def goes_by_the_flags_alone(vma: Any) -> None:
    await vma.vm_page_prot.set(await vma.vm_flags & (VM_SHARED | VM_WRITE) == VM_SHARED | VM_WRITE)


@pytest.mark.parametrize(
    ("program", "name", "instead"),
    [
        (stores, "page_mkwrite", tells_nobody),
        (loads_then_stores, "page_mkwrite", tells_nobody),
        (protects_and_stores, "vma_set_page_prot", goes_by_the_flags_alone),
        (maps_beside_and_stores, "vma_set_page_prot", goes_by_the_flags_alone),
        (splits_and_stores, "vm_area_alloc", forgets_what_is_copied),
        (moves_and_stores, "vm_area_alloc", forgets_what_is_copied),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_kernel_that_forgets_it_is_caught(program, name, instead):
    checked = alone(program, Kernel(RELEASES["6.6-like"], text={name: instead}))
    assert checked.verdict.violation.oracle == "unnoticed_store"


def test_files_that_need_not_be_told_get_entries_that_are_writable_from_the_start():
    checked = alone(loads_then_stores, notified=False)
    state, file = only_ending(checked), checked.world.files["journal"]
    table = checked.world.mm.page_table
    assert table.pte[FIRST + 1].of(state) == Pte(file.frame(1), True)  # which was only read
    assert file.frame(1).dirty is None
    private = alone(loads_then_stores, notified=False, flags=RW | VM_MAY_ACCESS)
    assert private.world.mm.page_table.pte[FIRST + 1].of(only_ending(private)).write is False


def test_two_first_stores_at_once_and_one_that_is_mapped_away():
    for release in ("6.3", "6.6-like"):
        for second in (loads_then_stores, stores):
            found = alone(loads_then_stores, release, second=second)
            assert found.verdict.outcome == "safe", found.verdict

    async def maps_away(world: World) -> None:
        await munmap(world.mm, FIRST * PAGE_SIZE, PAGE_SIZE)

    async def stores_if_it_can(world: World) -> None:
        try:
            await loads_then_stores(world)
        except SegmentationFault:
            return

    assert alone(stores_if_it_can, second=maps_away).verdict.outcome == "safe"


@pytest.mark.parametrize(
    "program", [stores, loads_then_stores], ids=lambda program: program.__name__
)
def test_the_first_private_store_to_a_file_is_left_to_the_slow_path(program):
    """Whoever gives the VMA its anon_vma looks at its neighbours, and needs mmap_lock for that; `discipline` knows."""
    flags = RW | VM_MAY_ACCESS
    checked = alone(program, flags=flags, notified=False, also=("discipline",))
    assert checked.verdict.outcome == "safe", checked.verdict
    state, mm = only_ending(checked), checked.world.mm
    assert mm.vmas[0].anon_vma.of(state) is not None
    assert mm.page_table.pte[FIRST].of(state).frame.anonymous

    async def vmf_anon_prepare(vma, flags):
        await anon_vma_prepare(vma)  # noqa: F821  linked
        return True

    hasty = Kernel(RELEASES["6.6-like"], text={"vmf_anon_prepare": vmf_anon_prepare})
    found = alone(program, hasty, flags=flags, notified=False, also=("discipline",))
    assert found.verdict.violation.oracle == "discipline"


async def forks(world: World) -> None:
    await fork(world.mm, world.child)


@pytest.mark.parametrize("notified", [True, False], ids=["notified", "not notified"])
def test_a_forked_child_keeps_what_the_file_wants(notified):
    checked = alone(forks, notified=notified)
    state = only_ending(checked)
    assert [vma.vm_page_prot.of(state) for vma in checked.world.child.mm_mt.contents(state)] == [
        not notified
    ]


def test_one_cpu_alone_keeps_a_list_of_who_maps_a_file():
    process = Process.started(
        [], SMALL, RELEASES["6.6-like"], files={1: (4, lambda page: (page, page))}
    )
    mm, file = process.mm, process._files[1]
    assert isinstance(file, File)

    def mapped() -> list[tuple[int, int]]:
        now = process._layout.now
        return sorted(
            (vma.vm_start.of(now) // PAGE_SIZE, vma.vm_end.of(now) // PAGE_SIZE)
            for vma in file.i_mmap.of(now)
        )

    def call(name: str, first: int, last: int, *more: int) -> None:
        assert process.call(name, first * PAGE_SIZE, (last - first) * PAGE_SIZE, *more) >= 0

    call("mmap", 2, 6, RW, MAP_SHARED | MAP_FIXED, 1, 0)
    assert mapped() == [(2, 6)]
    call("mprotect", 3, 4, VM_READ)
    assert mapped() == [(2, 3), (3, 4), (4, 6)]
    call("mprotect", 3, 4, RW)
    assert mapped() == [(2, 6)]
    call("munmap", 3, 4)
    assert mapped() == [(2, 3), (4, 6)]
    call("mremap", 4, 6, 2 * PAGE_SIZE, 3, 9 * PAGE_SIZE)
    assert mapped() == [(2, 3), (9, 11)]
    call("mmap", 2, 3, RW, MAP_PRIVATE | MAP_FIXED, 0, 0)
    assert mapped() == [(9, 11)]
    assert file.i_mmap_rwsem.writer.of(process._layout.now) == 0
    assert mm.map_count.of(process._layout.now) == 2
