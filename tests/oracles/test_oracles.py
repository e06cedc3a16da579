"""Every oracle can fail: for each there is a kernel, or a program, that it and no other finds fault with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mmlocks.machine import Layout, Machine, Run, Step, together
from mmlocks.mm import (
    Kernel,
    Pte,
    copy_page_range,
    flush_tlb_mm,
    folio_put,
    for_each_vma,
    fork,
    load,
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
    set_pte_at,
    store,
    vm_area_dup,
    vma_start_write,
)
from mmlocks.mm.cow import do_wp_page
from mmlocks.mm.fault import do_anonymous_page
from mmlocks.mm.stack import expand_downwards
from mmlocks.mm.world import World
from mmlocks.oracles import ORACLES
from mmlocks.releases import RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, Scenario, asked, check
from mmlocks.scenarios.everyday import TRESPASS
from mmlocks.search import judge

OF_ANSWERS = (
    "filed_wrong",
    "whole_child",
    "same_parent",
    "sound_entries",
    "anon_vmas",
    "leak",
    "stores_made",
)
"""What is asked of answers: everything, and so also what the others ask."""
ALWAYS = tuple(name for name in ORACLES if name not in ("discipline", "lock_order", *OF_ANSWERS))
"""All but those, and those that speak of more than harm, and would have the first word."""


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


async def bystander(world: World) -> None:
    """Has the page in its TLB, and does nothing."""


async def reader(world: World) -> None:
    await load(world.mm, 0x3000)


def one_page() -> World:
    made = World(2, pages={3: (5,)}, faulting={1: [3]}, cached={1: [3]}, slots=1)
    made.map("heap", 3, 3)
    made.remember_history()
    return made


QUIET = Scenario(
    name="quiet",
    title="A fork that nobody disturbs",
    story="cpu0 forks; cpu1 has stored to the page before.",
    threads=(("fork()", forker), ("does nothing", bystander)),
    world=one_page,
    oracles=ALWAYS,
    expected={},
    source="tests",
)
READING = dataclasses.replace(
    QUIET, name="reading", threads=(("fork()", forker), ("reads P3", reader))
)

WATCHING = dataclasses.replace(
    SCENARIOS["fork_lost_store"], oracles=(*SCENARIOS["fork_lost_store"].oracles, "stale_copy")
)
SLEEPY = dataclasses.replace(QUIET, oracles=("atomic_sleep",))
AUDITED = dataclasses.replace(SCENARIOS["fork_other_vma"], oracles=("discipline",))


# -- replaced kernel functions, each with one thing wrong --------------------------------------------------------------


async def fork_of_nothing(mm, oldmm):
    await mmap_write_lock(oldmm)
    await mmap_write_unlock(oldmm)


async def left_writable(dst_vma, src_vma, page):
    mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
    ptl = oldmm.page_table.ptl[page]
    await ptl.lock()
    entry = await oldmm.page_table.pte[page]
    await entry.frame.refcount.add(1)
    await set_pte_at(mm, page, entry.wrprotected())
    await ptl.unlock()


async def never_flushed(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await mmap_write_unlock(oldmm)


async def not_counted(dst_vma, src_vma, page):
    mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
    ptl = oldmm.page_table.ptl[page]
    await ptl.lock()
    entry = await oldmm.page_table.pte[page]
    await set_pte_at(oldmm, page, entry.wrprotected())
    await set_pte_at(mm, page, entry.wrprotected())
    await ptl.unlock()


async def lock_kept(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)


async def freed_too_early(mm, oldmm):
    await mmap_write_lock(oldmm)
    entry = await oldmm.page_table.pte[3]
    await folio_put(mm.memory, entry.frame)
    await mmap_write_unlock(oldmm)


async def unlocked_twice(mm, oldmm):
    await mmap_write_lock(oldmm)
    await mmap_write_unlock(oldmm)
    await mmap_write_unlock(oldmm)


async def locked_twice(mm, oldmm):
    await mmap_write_lock(oldmm)
    await mmap_read_lock(oldmm)


async def raises(mm, oldmm):
    raise ValueError("no memory")


async def forgets_to_await(mm, oldmm):
    mmap_write_lock(oldmm)


async def page_replaced(mm, oldmm):
    """Maps another frame in the parent, which does not hold what the parent stored."""
    await mmap_write_lock(oldmm)
    await set_pte_at(oldmm, 3, Pte(mm.memory.zero, False))
    await mmap_write_unlock(oldmm)


async def tells_nobody(folio):
    return


async def not_found_again(mm, vma, address):
    await mmap_read_unlock(mm)
    await mmap_write_lock(mm)
    if await expand_downwards(mm, vma, address) == 0:
        await mmap_write_downgrade(mm)
        return vma
    await mmap_write_unlock(mm)
    return None


async def linked_to_what_was_left(mm, oldmm):
    """A VMA leaves its file, which frees it, and is linked to it again."""
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        (anon_vma,) = await mpnt.anon_vma_chain
        await anon_vma.put()
        await anon_vma.get()
    await mmap_write_unlock(oldmm)


async def moved_by_itself(mm, oldmm):
    """A VMA that begins elsewhere, with the number that its first page had."""
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await mpnt.vm_pgoff.set(7)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


async def leaves_the_pages(mm, start, end):
    return


async def sleeps_in_rcu(mm, oldmm):
    await oldmm.rcu.read_lock()
    await mmap_write_lock(oldmm)
    await mmap_write_unlock(oldmm)
    await oldmm.rcu.read_unlock()


async def _forked(mm, oldmm):
    await mmap_write_lock(oldmm)
    (mpnt,) = await for_each_vma(oldmm)
    await vma_start_write(mpnt)
    tmp = await vm_area_dup(mm, mpnt)
    await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    return mpnt, tmp


async def child_without_its_mark(mm, oldmm):
    _, tmp = await _forked(mm, oldmm)
    await tmp.detached.set(True)
    await mmap_write_unlock(oldmm)


async def parent_made_shorter(mm, oldmm):
    mpnt, _ = await _forked(mm, oldmm)
    await mpnt.vm_end.set(0x3000)
    await mmap_write_unlock(oldmm)


async def anon_vma_forgotten(mm, oldmm):
    _, tmp = await _forked(mm, oldmm)
    await tmp.anon_vma.set(None)
    await mmap_write_unlock(oldmm)


async def asks_no_rights(vma, address, flags):
    page = address // 0x1000
    entry = await vma.vm_mm.page_table.pte[page]
    if entry is None:
        await do_anonymous_page(vma, page, flags)
    elif not entry.write:
        await do_wp_page(vma, page, entry)
    return True


def asking(*oracles: str) -> Scenario:
    return dataclasses.replace(QUIET, oracles=oracles)


async def frees_nothing(vma):
    """A VMA that nothing leads to any more stays as it is."""


LEAKING = dataclasses.replace(SCENARIOS["munmap_downgrade"], oracles=("leak",))

CASES: dict[str, tuple[Scenario, str, Mapping[str, Callable[..., Any]]]] = {
    "lost_store": (SCENARIOS["fork_lost_store"], "6.4.0", {}),
    "snapshot": (QUIET, "6.4.3", {"dup_mmap": fork_of_nothing}),
    "isolation": (QUIET, "6.4.3", {"copy_present_pte": left_writable}),
    "stale_translation": (QUIET, "6.4.3", {"dup_mmap": never_flushed}),
    "stale_copy": (WATCHING, "6.4.0", {}),
    "references": (QUIET, "6.4.3", {"copy_present_pte": not_counted}),
    "held_at_end": (QUIET, "6.4.3", {"dup_mmap": lock_kept}),
    "freed_frame": (READING, "6.4.3", {"dup_mmap": freed_too_early}),
    "unnoticed_store": (SCENARIOS["publish_early"], "6.6-like", {"page_mkwrite": tells_nobody}),
    "freed_vma": (SCENARIOS["stack_find_again"], "6.4.10", {"expand_stack": not_found_again}),
    "freed_node": (SCENARIOS["stackrot"], "6.4.0", {}),
    "freed_anon_vma": (QUIET, "6.4.3", {"dup_mmap": linked_to_what_was_left}),
    "misfiled": (QUIET, "6.4.3", {"dup_mmap": moved_by_itself}),
    "stray_page": (SCENARIOS["munmap_downgrade"], "6.4.10", {"zap_page_range": leaves_the_pages}),
    "filed_wrong": (asking("filed_wrong"), "6.4.3", {"dup_mmap": moved_by_itself}),
    "whole_child": (asking("whole_child"), "6.4.3", {"dup_mmap": child_without_its_mark}),
    "same_parent": (asking("same_parent"), "6.4.3", {"dup_mmap": parent_made_shorter}),
    "sound_entries": (asking("sound_entries"), "6.4.3", {"copy_present_pte": left_writable}),
    "anon_vmas": (asking("anon_vmas"), "6.4.3", {"dup_mmap": anon_vma_forgotten}),
    "leak": (LEAKING, "6.4.10", {"vm_area_free": frees_nothing}),
    "stores_made": (asked(dataclasses.replace(QUIET, stores=((3, 0, 7),))), "6.4.3", {}),
    "promise": (TRESPASS, "6.4.3", {"handle_mm_fault": asks_no_rights}),
    "discipline": (AUDITED, "6.4.3", {}),
    "atomic_sleep": (SLEEPY, "6.4.3", {"dup_mmap": sleeps_in_rcu}),
    "lock_order": (SCENARIOS["imap_lock_order"], "6.6-like-new_vma_locked_first", {}),
    "lock_misuse": (QUIET, "6.4.3", {"dup_mmap": unlocked_twice}),
    "deadlock": (QUIET, "6.4.3", {"dup_mmap": locked_twice}),
    "exception": (QUIET, "6.4.3", {"dup_mmap": raises}),
    "mistake": (QUIET, "6.4.3", {"dup_mmap": forgets_to_await}),
}


def test_every_oracle_has_a_case() -> None:
    assert CASES.keys() == ORACLES.keys()


@pytest.mark.parametrize("name", CASES)
def test_an_oracle_can_fail(name: str) -> None:
    scenario, release, replacements = CASES[name]
    verdict = check(scenario, Kernel(release_named(release), replacements)).verdict
    assert verdict.violation is not None
    assert verdict.violation.oracle == name


@pytest.mark.parametrize(
    "name",
    [name for name, oracle in ORACLES.items() if oracle.judge or oracle.watch or oracle.after],
)
def test_no_other_final_oracle_sees_it(name: str) -> None:
    """Without the oracle in question, and the ones that are always on, the case passes: so it is that one which looks."""
    scenario, release, replacements = CASES[name]
    if name == "lost_store":
        pytest.skip("watched in steps as well, where no scenario can leave it out")
    others = tuple(other for other in scenario.oracles if other != name)
    without = dataclasses.replace(scenario, oracles=others)
    assert check(without, Kernel(release_named(release), replacements)).verdict.outcome == "safe"


@pytest.mark.parametrize("scenario", [QUIET, READING], ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("release", RELEASES)
def test_no_oracle_finds_fault_with_an_undisturbed_fork(scenario: Scenario, release: str) -> None:
    assert check(scenario, release).verdict.outcome == "safe"


def test_a_lost_store_is_seen_when_the_page_table_begins_to_show_it() -> None:
    stored = dataclasses.replace(
        QUIET, threads=(("stores", storing_forker), ("does nothing", bystander))
    )
    violation = check(
        stored, Kernel(RELEASES["6.4.3"], {"dup_mmap": page_replaced})
    ).verdict.violation
    assert violation is not None
    assert violation.oracle == "lost_store"
    assert violation.message == (
        "cpu0 maps P3 to zero, where P3[0] is 0. The last completed store there wrote 9: that store is lost"
    )


async def storing_forker(world: World) -> None:
    await store(world.mm, 0x3000, 9)
    await fork(world.mm, world.child)


async def storing_before_and_after(world: World) -> None:
    await store(world.mm, 0x3000, 1)
    await fork(world.mm, world.child)
    await store(world.mm, 0x3000, 2)


def without_history() -> World:
    made = World(1, pages={3: (5,)}, faulting={0: [3]}, cached={}, slots=1)
    made.map("heap", 3, 3)
    return made


def test_a_child_may_see_a_value_that_was_overwritten_later() -> None:
    """P3 was 5, is 1 at the fork, and becomes 2: where no history is kept, too, 1 is a value that it once had."""
    alone = dataclasses.replace(
        QUIET, world=without_history, threads=(("stores, forks, stores", storing_before_and_after),)
    )
    assert check(alone, "6.4.3").verdict.violation is None


def test_a_stale_translation_can_be_caught_at_the_copy_itself() -> None:
    """Before anything is lost: kernel-facts 9 (b)."""
    violation = check(WATCHING, "6.4.0").verdict.violation
    assert violation is not None
    assert violation.oracle == "stale_copy"
    assert "copies P3 from F0 while cpu1 can still write to F0 through its TLB" in violation.message
    assert check(WATCHING, "6.4.3").verdict.outcome == "safe"


def test_a_freed_frame_is_poisoned() -> None:
    scenario = dataclasses.replace(QUIET, oracles=())
    checked = check(scenario, Kernel(RELEASES["6.4.3"], {"dup_mmap": freed_too_early}))
    frame = checked.world.memory.frames[0]
    assert [cell.of(end(checked.machine)) for cell in frame.data] == ["freed"]


def end(machine: Machine) -> int:
    run = Run.of(machine)
    while enabled := run.enabled():
        run = run.step(enabled[0])
    return run.state


ACCESSES: dict[str, Callable[[Any], Step]] = {
    "reads": lambda cell: cell.load(),
    "writes": lambda cell: cell.set(0),
    "swaps": lambda cell: cell.swap(0, 0),
    "waits": lambda cell: cell.wait_until_not("never"),
    "reads_together": lambda cell: together(cell, cell),
}
HIDDEN: dict[str, Callable[[Any], Any]] = {
    "truth": lambda mm: mm.truth[3, 0],
    "history": lambda mm: mm.history,
    "tlb": lambda mm: mm.tlb.entry(1, 3),
}


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_kernel_code_cannot_touch_what_belongs_to_the_hardware_or_an_oracle(
    hidden: str, access: str
) -> None:
    """An answer that could would be told what nobody can know, or forge its verdict."""

    async def dup_mmap(mm, oldmm):
        await ACCESSES[access](HIDDEN[hidden](oldmm))

    violation = check(QUIET, Kernel(RELEASES["6.4.3"], {"dup_mmap": dup_mmap})).verdict.violation
    assert violation is not None
    assert violation.oracle == "mistake"
    assert "like a variable" in violation.message


def test_a_page_table_entry_is_stored_with_set_pte_at_alone() -> None:
    async def dup_mmap(mm, oldmm):
        await oldmm.page_table.pte[3].set(None)

    violation = check(QUIET, Kernel(RELEASES["6.4.3"], {"dup_mmap": dup_mmap})).verdict.violation
    assert violation is not None
    assert violation.message.startswith("cpu0, in dup_mmap (test_oracles.py, line ")
    assert "P3 cannot be stored to like a variable. Use the function" in violation.message


def test_a_judge_sees_every_ending() -> None:
    layout = Layout(1)
    cell = layout.cell("cell", 0)
    seen = []

    async def task() -> None:
        await cell.set(1)

    judge(Machine(layout, [("task", task)], lambda state: seen.append(cell.of(state))))
    assert seen == [1]


def test_a_count_of_writers_that_is_left_odd_is_a_lock_that_is_still_held() -> None:
    async def dup_mmap(mm, oldmm):
        await oldmm.mm_seq.add(1)

    quiet = dataclasses.replace(QUIET, oracles=("held_at_end",))
    violation = check(
        quiet, Kernel(RELEASES["speculative"], {"dup_mmap": dup_mmap})
    ).verdict.violation
    assert violation is not None
    assert "mm_seq is" in violation.message
