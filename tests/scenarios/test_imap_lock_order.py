"""Two locks in two orders: the scenario, reclaim, who changes a file's VMAs, and what becomes of each fix in the bank."""

from __future__ import annotations

import pytest

from mmlocks.mm import Kernel
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.frames import folio_put
from mmlocks.mm.mm_types import Pte
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.syscalls.mmap import MAP_FIXED, MAP_SHARED, mmap
from mmlocks.mm.syscalls.mprotect import mprotect
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.user import load, store
from mmlocks.mm.vm_flags import VM_MAY_ACCESS, VM_MAYSHARE, VM_READ, VM_SHARED, VM_WRITE
from mmlocks.mm.world import World
from mmlocks.releases import RELEASES, release_named
from mmlocks.scenarios import SCENARIOS
from mmlocks.scenarios.checking import check
from mmlocks.scenarios.scenario import Scenario
from tests.labs.banks import FIXES, bank_in, verdicts

SCENARIO = SCENARIOS["imap_lock_order"]
WITHOUT = release_named("6.6-like-new_vma_locked_first")
SHARED = VM_READ | VM_WRITE | VM_SHARED | VM_MAYSHARE | VM_MAY_ACCESS
HEAP, FIRST, LAST = 3, 5, 7


# -- the scenario -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_no_release_shows_it(release):
    assert check(SCENARIO, release).verdict.outcome == "safe" == SCENARIO.expected[release]


@pytest.mark.parametrize("release", ["6.6-like", "6.4.3"])
def test_the_first_version_of_the_repair_does(release):
    checked = check(SCENARIO, f"{release}-new_vma_locked_first")
    assert checked.verdict.violation.oracle == "lock_order"
    for part in (
        "i_mmap_rwsem -> vm_lock -> i_mmap_rwsem",
        "cpu0 takes vma0.vm_lock",
        "cpu1 takes journal.i_mmap_rwsem",
    ):
        assert part in checked.verdict.violation.message
    assert checked.run is not None  # it can be shown


def test_nobody_can_deadlock_there():
    """Which is why the order is judged, and not the executions."""
    harmless = Scenario(**{**vars(SCENARIO), "oracles": ("references", "held_at_end")})
    assert check(harmless, WITHOUT).verdict.outcome == "safe"


def test_without_reclaim_nobody_takes_them_in_the_other_order():
    """What remains is an order that is not the documented one."""

    def enough() -> World:
        made = SCENARIO.world()
        made.memory.reclaimable = None
        return made

    verdict = check(Scenario(**{**vars(SCENARIO), "world": enough}), WITHOUT).verdict
    assert verdict.violation.oracle == "lock_order"
    assert "i_mmap_rwsem -> vm_lock ->" not in verdict.violation.message


# -- reclaim ----------------------------------------------------------------------------------------------------------


def mapped(reclaim: bool = True) -> World:
    """A process that maps a file of three pages from page 5, has its first page in its page table, and an untouched heap."""
    pages = dict.fromkeys((HEAP, *range(FIRST, LAST + 1)))
    made = World(2, pages, {0: [HEAP], 1: [HEAP]}, cached={}, slots=1, referee=False)
    file = made.file("journal", pages=3, at=FIRST)
    made.map("heap", HEAP, HEAP)
    made.map("view", FIRST, LAST, faulted=False, flags=SHARED, file=file)
    made.may_change(nodes=8, vmas=4)
    frame = file.frame(0)
    made.layout.preset(made.mm.page_table.pte[FIRST], Pte(frame, True))
    made.layout.preset(made.mm.tlb.entry(1, FIRST), Pte(frame, True))
    made.layout.preset(frame.refcount, 2)
    if reclaim:
        made.memory.reclaimable = file
    return made


async def needs_memory(world: World) -> None:
    await store(world.mm, address_of(HEAP), 1)


async def nothing(world: World) -> None:
    return


async def uses_the_page(world: World) -> None:
    await store(world.mm, address_of(FIRST), 7)
    assert await load(world.mm, address_of(FIRST)) == 7


async def changes_the_areas(world: World) -> None:
    await mprotect(world.mm, (FIRST + 1) * PAGE_SIZE, PAGE_SIZE, VM_READ)
    await munmap(world.mm, FIRST * PAGE_SIZE, PAGE_SIZE)


async def changes_them_back(world: World) -> None:
    await mprotect(world.mm, (FIRST + 1) * PAGE_SIZE, PAGE_SIZE, VM_READ)
    await mprotect(world.mm, (FIRST + 1) * PAGE_SIZE, PAGE_SIZE, VM_READ | VM_WRITE)


async def maps_once_more(world: World) -> None:
    await munmap(world.mm, FIRST * PAGE_SIZE, PAGE_SIZE)
    flags, file = MAP_SHARED | MAP_FIXED, world.files["journal"]
    await mmap(world.mm, FIRST * PAGE_SIZE, PAGE_SIZE, VM_READ | VM_WRITE, flags, file, 0)


JUDGES = ("references", "held_at_end", "stale_translation", "freed_vma", "lock_order", "discipline")


def searched(first, second, kernel="6.6-like", world=mapped):
    scenario = Scenario(
        "test", "", "", (("first", first), ("second", second)), world, JUDGES, {}, ""
    )
    return check(scenario, kernel)


def test_a_page_that_is_reclaimed_is_in_no_page_table_and_no_tlb_any_more():
    checked = searched(needs_memory, nothing)
    assert checked.verdict.outcome == "safe", checked.verdict
    world, state = checked.world, checked.machine.initial
    while not checked.machine.finished(state):
        state = checked.machine.step(state, 0).state
    assert world.mm.page_table.pte[FIRST].of(state) is None
    assert world.mm.tlb.entry(1, FIRST).of(state) is None
    assert world.files["journal"].frame(0).refcount.of(state) == 1  # the page cache's own
    assert world.mm.page_table.pte[HEAP].of(state) is not None


def test_where_memory_is_not_short_allocation_takes_not_one_step_more():
    """All that is different for other scenarios must be nothing."""

    def steps(world):
        checked = searched(needs_memory, nothing, world=world)
        state, count = checked.machine.initial, 0
        while not checked.machine.finished(state):
            node = checked.machine.node(state, 0)
            assert (
                node.answer.where[-1].function not in ("rmap_walk_file", "try_to_unmap_one")
                or world is mapped
            )
            state, count = checked.machine.step(state, 0).state, count + 1
        return count

    assert steps(mapped) - steps(lambda: mapped(reclaim=False)) == 7


@pytest.mark.parametrize("release", ["6.3", "6.4.10", "6.6-like"])
@pytest.mark.parametrize(
    "other",
    [uses_the_page, changes_the_areas, changes_them_back, maps_once_more, needs_memory],
    ids=lambda program: program.__name__,
)
def test_reclaim_gets_along_with_everybody_and_all_keep_the_order(other, release):
    verdict = searched(needs_memory, other, release).verdict
    assert verdict.outcome == "safe", verdict


async def never_flushes(vma, folio, index):
    table = vma.vm_mm.page_table
    page = await vma.vm_start // PAGE_SIZE + index - await vma.vm_pgoff
    await table.ptl[page].lock()
    entry = await table.pte[page]
    if entry is not None and entry.frame is folio:
        await set_pte_at(vma.vm_mm, page, None)
        await folio_put(vma.vm_mm.memory, folio)
    await table.ptl[page].unlock()


async def never_leaves(file, vma):
    return


async def locks_the_file_first(mm, vma, address, below):
    """split_in_two with its locks the other way round."""
    start, end, pgoff, flags, file = (
        await vma.vm_start,
        await vma.vm_end,
        await vma.vm_pgoff,
        await vma.vm_flags,
        await vma.vm_file,
    )
    upper = pgoff + (address - start) // PAGE_SIZE
    range_of_new = (start, address, pgoff) if below else (address, end, upper)
    new = await vm_area_alloc(mm, *range_of_new, flags, file)  # noqa: F821
    await i_mmap_lock_write(file)  # noqa: F821
    await vma_start_write(vma)  # noqa: F821
    await vma_start_write(new)  # noqa: F821
    if below:
        await vma.vm_start.set(address)
        await vma.vm_pgoff.set(upper)
    else:
        await vma.vm_end.set(address)
    await vma_iter_store(mm, range_of_new[0], range_of_new[1], new)  # noqa: F821
    await vma_link_file(file, new)  # noqa: F821
    await i_mmap_unlock_write(file)  # noqa: F821
    await mm.map_count.add(1)
    return new


@pytest.mark.parametrize(
    ("other", "name", "instead", "oracle"),
    [
        (nothing, "try_to_unmap_one", never_flushes, "stale_translation"),
        (changes_the_areas, "vma_unlink_file", never_leaves, "freed_vma"),
        (changes_the_areas, "split_in_two", locks_the_file_first, "lock_order"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_kernel_that_gets_it_wrong_is_caught(other, name, instead, oracle):
    verdict = searched(
        needs_memory, other, Kernel(RELEASES["6.6-like"], text={name: instead})
    ).verdict
    assert verdict.violation.oracle == oracle, verdict


# -- what nobody sees -------------------------------------------------------------------------------------------------

ORDER = bank_in(FIXES / "order.toml")


@pytest.mark.parametrize("fix", ORDER.that_are("unseen"))
def test_no_oracle_sees_what_only_tries(fix: str) -> None:
    """Should this fail one day, an oracle has learnt something: the fix is wrong, then."""
    assert verdicts(ORDER, fix) == dict.fromkeys(ORDER.scenarios, "safe")
