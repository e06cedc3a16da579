"""What KASAN, KCSAN, lockdep and assertions would have said of the counterexamples."""

from __future__ import annotations

from typing import Any

import pytest

from mmlocks.explain.tools import ASSERTIONS, Saying, tools_text, what_tools_say
from mmlocks.machine import Machine, Run, SpinLock
from mmlocks.mm import Kernel, for_each_vma, mmap_write_lock
from mmlocks.mm.user import fork, store
from mmlocks.mm.world import World
from mmlocks.releases import NEWEST, RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.search import judge
from tests.mm import test_address_space_interleaved as interleaved
from tests.mutated import mutated
from tests.oracles.test_oracles import READING, freed_too_early


def sayings(name: str, release: str, also: tuple[str, ...] = ()) -> dict[str, Saying]:
    checked = check(SCENARIOS[name], release, also=also)
    assert checked.run is not None, checked.verdict
    said = what_tools_say(checked.world, checked.run, release_named(release))
    assert [saying.tool for saying in said] == ["KASAN", "KCSAN", "lockdep", "assertions"]
    return {saying.tool: saying for saying in said}


FINDS = (
    ("fork_lost_store", "6.4.0", {"assertions"}),
    ("fork_lost_store", "6.4.1", {"assertions"}),
    ("young_reproducer", "6.4.1", {"assertions"}),
    ("fork_torn_snapshot", "6.4.1", {"assertions"}),
    ("stackrot", "6.3", {"KASAN", "assertions"}),
    ("stackrot", "6.4.0", {"KASAN", "assertions"}),
    ("stack_expand_fault", "6.4.1", {"KCSAN", "assertions"}),
    ("stack_expand_fault", "speculative", {"KCSAN", "assertions"}),
    ("anon_vma_unlocked_check", "6.4.3", {"KASAN", "KCSAN", "lockdep", "assertions"}),
    ("merge_dup_anon_vma", "6.4.3", {"KCSAN", "assertions"}),
    ("publish_early", "6.6-like-new_vma_locked", {"KCSAN", "assertions"}),
)


@pytest.mark.parametrize(("name", "release", "finds"), FINDS)
def test_who_finds_what(name: str, release: str, finds: set[str]) -> None:
    said = sayings(name, release)
    assert {tool for tool, saying in said.items() if saying.found} == finds, tools_text(
        tuple(said.values())
    )


def test_nothing_but_an_assertion_that_was_not_there_finds_the_lost_store() -> None:
    said = sayings("fork_lost_store", "6.4.0")["assertions"]
    assert said.says.startswith("vma_assert_write_locked(heap) in copy_page_range (mm/fork.py:")
    assert said.says.endswith("fires on cpu0")
    assert "since 6.6; before, mmap_assert_write_locked stood there" in said.why


def test_the_assertion_is_content_once_fork_locks() -> None:
    world, run = played(Kernel(RELEASES["6.4.3"]))
    assert {
        saying.tool for saying in what_tools_say(world, run, RELEASES["6.4.3"]) if saying.found
    } == {"assertions"}, "of reading anon_vma before the lock: until 6.4.10"
    world, run = played(Kernel(NEWEST))
    assert not [saying for saying in what_tools_say(world, run, NEWEST) if saying.found]
    assert [assertion.function for assertion in ASSERTIONS] == ["copy_page_range"]


@pytest.mark.parametrize("release", ["6.3", "disabled"])
def test_where_there_are_no_vma_locks_the_assertion_asks_for_mmap_lock(release: str) -> None:
    world, run = played(Kernel(RELEASES[release]))
    assert not [saying for saying in what_tools_say(world, run, RELEASES[release]) if saying.found]


def played(kernel: Kernel) -> tuple[World, Run]:
    """A fork beside a store, each CPU running as far as it can."""
    world = World(2, pages={3: (5,)}, faulting={1: [3]}, cached={}, slots=1)
    world.map("heap", 3, 3)
    linked = kernel.link(fork), kernel.link(store)
    machine = Machine(
        world.layout,
        [
            ("fork", lambda: linked[0](world.mm, world.child)),
            ("store", lambda: linked[1](world.mm, 0x3000, 1)),
        ],
    )
    run = Run.of(machine)
    while enabled := run.enabled():
        run = run.step(enabled[0])
    return world, run


def test_kasan_sees_a_freed_vma_but_no_freed_page() -> None:
    """First a VMA is freed under a fault's feet, then a frame under a TLB's: that one is hardware's to use, and the user's."""
    program = (interleaved.MUNMAP, interleaved.TOUCH)
    early = Kernel(
        NEWEST,
        text=mutated("vma", "await vma.vm_mm.rcu.call(vma)", "await Step('free_at_once', (vma,))"),
    )
    said = {saying.tool: saying for saying in first_violation(program, early)}
    assert said["KASAN"].found
    assert "heap" in said["KASAN"].says
    checked = check(READING, Kernel(NEWEST, {"dup_mmap": freed_too_early}))
    assert (
        checked.verdict.violation is not None and checked.verdict.violation.oracle == "freed_frame"
    )
    assert checked.run is not None
    kasan = what_tools_say(checked.world, checked.run, NEWEST)[0]
    assert not kasan.found
    assert "what programs store is not watched" in kasan.why


def first_violation(operations: tuple[Any, ...], kernel: Kernel) -> tuple[Saying, ...]:
    world, machine = interleaved.program(operations, True, True, kernel)
    verdict = judge(machine)
    assert verdict.schedule is not None
    return what_tools_say(world, Run.replay(machine, verdict.schedule), kernel.release)


@pytest.mark.parametrize(
    ("file", "line", "instead", "says", "why"),
    [
        ("munmap", "await vma_start_write(vma)", "pass", "vma_assert_write_locked(heap) in do_vmi_munmap", "asserts it there since 6.4"),
        ("mprotect", "await vma_start_write(vma)", "pass", "vma_assert_write_locked(heap) in mprotect_fixup", "asserts nothing there"),
    ],
)  # fmt: skip
def test_linux_asserts_less_than_the_table_demands(
    file: str, line: str, instead: str, says: str, why: str
) -> None:
    operation = interleaved.MUNMAP if file == "munmap" else interleaved.READ_ONLY
    world, machine = interleaved.program(
        (operation,), True, True, Kernel(NEWEST, text=mutated(file, line, instead))
    )
    run = Run.of(machine)
    while enabled := run.enabled():
        run = run.step(enabled[0])
    said = what_tools_say(world, run, NEWEST)[3]
    assert said.says.startswith(says)
    assert why in said.why


def test_lockdep_sees_the_inversion_in_an_execution_where_nobody_waits() -> None:
    said = sayings("imap_lock_order", "6.6-like-new_vma_locked_first", also=("lock_order",))
    assert said["lockdep"].found
    assert said["lockdep"].says.startswith(
        "possible circular locking dependency: i_mmap_rwsem -> vm_lock"
    )
    assert not said["KASAN"].found and not said["KCSAN"].found


def test_lockdep_sees_a_lock_that_is_kept() -> None:
    world = World(1, pages={3: (5,)}, faulting={}, cached={}, slots=1)
    world.map("heap", 3, 3)

    async def keeps() -> None:
        await world.mm.page_table_lock.lock()

    run = Run.of(Machine(world.layout, [("keeps", keeps)])).step(0)
    said = what_tools_say(world, run, NEWEST)[2]
    assert said.found
    assert said.says.startswith("cpu0 returns and still holds page_table_lock, taken in keeps")


@pytest.mark.parametrize("kept_apart", [True, False])
def test_kcsan_goes_by_what_orders_two_accesses(kept_apart: bool) -> None:
    """The same schedule, with and without a lock: it is the order that is missed, not the luck."""
    world = World(2, pages={3: (5,)}, faulting={}, cached={}, slots=1)
    heap = world.map("heap", 3, 3)
    lock = SpinLock(world.layout, "lock")

    async def write() -> None:
        await lock.lock()
        await heap.vm_flags.set(0)
        await lock.unlock()

    async def read() -> None:
        if kept_apart:
            await lock.lock()
        await heap.vm_flags
        if kept_apart:
            await lock.unlock()

    run = Run.of(Machine(world.layout, [("write", write), ("read", read)]))
    while enabled := run.enabled():
        run = run.step(enabled[0])
    said = what_tools_say(world, run, NEWEST)[1]
    assert said.found is not kept_apart
    assert kept_apart or said.says.startswith("data race on heap.vm_flags: cpu0 writes it in write")


def test_two_readers_race_for_nothing_and_order_nothing() -> None:
    """A reader that gives a semaphore up comes before whoever wants it alone, not before another reader."""
    world = World(2, pages={3: (5,)}, faulting={}, cached={}, slots=1)
    heap = world.map("heap", 3, 3)
    semaphore = world.mm.mmap_lock

    async def write_as_reader() -> None:
        await semaphore.down_read()
        await heap.vm_flags.set(0)
        await semaphore.up_read()

    async def read_as_reader() -> None:
        await semaphore.down_read()
        await heap.vm_flags
        await semaphore.up_read()

    async def read_alone() -> None:
        await semaphore.down_write()
        await heap.vm_flags
        await semaphore.up_write()

    def raced(first: Any, second: Any) -> bool:
        run = Run.of(Machine(world.layout, [("first", first), ("second", second)]))
        while enabled := run.enabled():
            run = run.step(enabled[0])
        return what_tools_say(world, run, NEWEST)[1].found

    assert raced(write_as_reader, read_as_reader)
    assert not raced(write_as_reader, read_alone)
    assert not raced(read_as_reader, read_as_reader)


def test_what_a_writer_did_before_it_gave_the_vma_up_is_no_race() -> None:
    """Nothing but mm_lock_seq leads from mprotect's store to the fault that comes after it by the fast path."""
    world, machine = interleaved.program(
        (interleaved.READ_ONLY, interleaved.Operation("load", 4)), True, True, Kernel(NEWEST)
    )
    run = Run.of(machine)
    while enabled := run.enabled():
        run = run.step(enabled[0])
    assert any("mprotect" in str(machine.node(state, 0).answer.where) for state in run.states)
    assert not [saying for saying in what_tools_say(world, run, NEWEST) if saying.found]


def test_one_line_for_each_tool() -> None:
    lines = tools_text(tuple(sayings("fork_lost_store", "6.4.0").values())).splitlines()
    assert [line.split()[0] for line in lines] == ["KASAN", "KCSAN", "lockdep", "assertions"]
    assert [line.split()[1] for line in lines[:3]] == ["silent."] * 3


def test_an_assertion_that_the_model_has_as_well_is_said_to_fire() -> None:
    found = sayings("stackrot", "6.6-like-stack_grows_exclusively")["assertions"]
    assert found.found
    assert found.says.startswith("mmap_assert_write_locked in vma_start_write")


def test_kasan_keeps_off_anon_vmas() -> None:
    """Their memory stays what it was for a grace period and longer: SLAB_TYPESAFE_BY_RCU."""

    async def dup_mmap(mm, oldmm):
        for mpnt in await for_each_vma(oldmm):
            (anon_vma,) = await mpnt.anon_vma_chain
            await anon_vma.put()
            await anon_vma.get()

    async def locked(mm, oldmm):
        await mmap_write_lock(oldmm)
        await dup_mmap(mm, oldmm)

    kernel = Kernel(NEWEST, {"dup_mmap": locked})
    checked = check(SCENARIOS["fork_other_vma"], kernel)
    assert checked.verdict.violation is not None and checked.run is not None
    assert checked.verdict.violation.oracle == "freed_anon_vma"
    said = {saying.tool: saying for saying in what_tools_say(checked.world, checked.run, NEWEST)}
    assert not said["KASAN"].found
