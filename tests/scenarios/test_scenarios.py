"""Scenarios: bugs shown in few steps and replayable, proofs, and what each line of fork is for. test_truth_table.py has the table."""

from __future__ import annotations

import dataclasses

import pytest

from mmlocks.errors import ModelError, ScheduleError
from mmlocks.machine import Layout, Machine, Run, Schedule, require, together
from mmlocks.mm import (
    Kernel,
    Pte,
    copy_page_range,
    flush_tlb_mm,
    flush_tlb_page,
    folio_put,
    for_each_vma,
    mmap_write_lock,
    mmap_write_unlock,
    set_pte_at,
    store,
    vm_area_dup,
    vma_alloc_folio,
    vma_start_write,
)
from mmlocks.mm.stubs import kernel_functions
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.world import STACK, World
from mmlocks.oracles import ORACLES
from mmlocks.releases import FORK_LOCKS_VMAS, RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, Scenario, check, machine_for, replay, scenario_named
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.scenarios.fork_other_vma import OTHER
from mmlocks.scenarios.scenario import as_kernel
from mmlocks.scenarios.table import searches
from mmlocks.search import Budget, judge, possible

TABLE = [
    (one.scenario, one.release, SCENARIOS[one.scenario].expected[one.release])
    for one in searches(RELEASES, SCENARIOS)
    if one.release in SCENARIOS[one.scenario].expected
    and not SCENARIOS[one.scenario].lacking(RELEASES[one.release])
]
VIOLATED = [(name, release) for name, release, ending in TABLE if ending == "violated"]


# -- releases and scenarios -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "release"), VIOLATED)
def test_a_bug_is_explained(name: str, release: str) -> None:
    violation = check(SCENARIOS[name], release).verdict.violation
    assert violation is not None
    assert violation.oracle in SCENARIOS[name].explain


@pytest.mark.parametrize(
    "name", ["fork_lost_store", "fork_torn_snapshot", "fork_other_vma", "young_reproducer"]
)
def test_the_one_patch_makes_the_difference(name: str) -> None:
    scenario = SCENARIOS[name]
    expected = scenario.expected
    assert check(scenario, "6.4.0+fork_locks_vmas").verdict.outcome == expected["6.4.3"]
    assert check(scenario, "6.4.3-fork_locks_vmas").verdict.outcome == expected["6.4.0"]
    assert check(scenario, "6.4.3-per_vma_locks").verdict.outcome == expected["6.3"]


def test_a_release_is_the_set_of_its_patches() -> None:
    july = "+fork_locks_vmas+stack_locks_vma+new_vma_locked+new_vma_locked_first"
    assert release_named(f"6.4.1{july}").patches == RELEASES["6.4.3"].patches
    assert (
        release_named("6.4.0-per_vma_locks-first_fault_falls_back").patches
        == RELEASES["6.3"].patches
    )
    assert (
        release_named("6.4.0+fb49c455323f").patches
        == release_named("6.4.0+fork_locks_vmas").patches
    )
    assert release_named("6.4.3-fork_locks_vmas").patches == RELEASES["6.4.3"].patches - {
        FORK_LOCKS_VMAS
    }


@pytest.mark.parametrize(
    "text", ["6.5.17", "", "6.4.0+no_such_patch", "6.4.0+", "+fork_locks_vmas", "6.4.0 "]
)
def test_an_unknown_release_is_a_clear_error(text: str) -> None:
    with pytest.raises(ModelError, match=r"there is no (release|patch)"):
        release_named(text)


def test_a_release_that_is_a_number_is_a_clear_error() -> None:
    with pytest.raises(
        ModelError, match=r"a text such as '6\.4\.0', not by 6\.4\. Put it in quotes"
    ):
        release_named(6.4)  # type: ignore[arg-type]


def test_an_unknown_scenario_is_a_clear_error() -> None:
    with pytest.raises(
        ModelError, match=r"no scenario called 'fork_bomb'\. Known scenarios: fork_lost_store"
    ):
        scenario_named("fork_bomb")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_is(name: str) -> None:
    scenario = SCENARIOS[name]
    assert scenario.name == name
    assert scenario.title
    assert scenario.story
    assert scenario.source
    assert set(scenario.oracles) <= ORACLES.keys()
    assert scenario.cpus == len(scenario.world().layout.pc_shifts)


def test_the_torn_snapshot_is_labelled_a_model_observation() -> None:
    assert SCENARIOS["fork_torn_snapshot"].remark.startswith("A model observation.")


# -- counterexamples --------------------------------------------------------------------------------------------------


def test_the_lost_store_is_shown_on_three_cpus_in_at_most_twenty_steps() -> None:
    checked = check(SCENARIOS["fork_lost_store"], "6.4.0")
    assert checked.verdict.schedule is not None
    assert len(checked.verdict.schedule) <= 20
    assert checked.verdict.minimal
    assert set(checked.verdict.schedule) == {0, 1, 2}


def test_the_torn_snapshot_needs_two_cpus() -> None:
    assert SCENARIOS["fork_torn_snapshot"].cpus == 2
    schedule = check(SCENARIOS["fork_torn_snapshot"], "6.4.0").verdict.schedule
    assert schedule is not None
    assert set(schedule) == {0, 1}


@pytest.mark.parametrize(("name", "release"), VIOLATED)
def test_a_counterexample_replays_from_its_text_to_the_same_violation(
    name: str, release: str
) -> None:
    checked = check(SCENARIOS[name], release)
    assert checked.schedule is not None
    text = str(checked.schedule)
    assert Schedule.parse(text) == checked.schedule
    scenario, _, run = replay(text)
    assert scenario is SCENARIOS[name]
    assert run.violation == checked.verdict.violation
    assert run.cpus == checked.verdict.schedule
    assert all(run.at(step).violation is None for step in range(len(run))), (
        "it is bad at its very end and no earlier"
    )


def test_the_lost_store_does_not_replay_to_a_loss_on_the_fixed_kernel() -> None:
    schedule = check(SCENARIOS["fork_lost_store"], "6.4.0").schedule
    assert schedule is not None
    with pytest.raises(ScheduleError, match=r"step \d+ of the schedule"):
        replay(Schedule(schedule.scenario, "6.4.3", schedule.cpus))


def test_a_schedule_of_somebodys_own_kernel_needs_that_kernel() -> None:
    async def dup_mmap(mm, oldmm):
        await oldmm.mmap_lock.down_write()

    kernel = Kernel(RELEASES["6.4.3"], {"dup_mmap": dup_mmap})
    schedule = check(SCENARIOS["fork_lost_store"], kernel).schedule
    assert schedule is not None
    text = str(schedule)
    with pytest.raises(ScheduleError, match=r"recorded on 6\.4\.3 with somebody's own dup_mmap"):
        replay(text)
    with pytest.raises(
        ScheduleError, match=r"recorded on 6\.4\.3~dup_mmap\.\w+, and the kernel here is 6\.4\.3"
    ):
        replay(text, Kernel(RELEASES["6.4.3"]))
    assert replay(text, kernel)[2].violation is not None


# -- proofs, and how far they reach -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "release", "ending"), TABLE)
def test_a_shipped_scenario_is_small(name: str, release: str, ending: str) -> None:
    assert check(SCENARIOS[name], release).verdict.states < 20_000


@pytest.mark.slow  # all of it together
@pytest.mark.parametrize(("name", "release", "ending"), TABLE)
@pytest.mark.parametrize("reduced", [True, False], ids=["reduced", "full"])
def test_taking_steps_together_changes_no_verdict(
    name: str, release: str, ending: str, reduced: bool
) -> None:
    """Every `together` is a claim that nobody could tell; taken one by one, the parts must come to the same."""
    machine, _ = machine_for(SCENARIOS[name], as_kernel(release), split_together=True)
    verdict = judge(machine, Budget(5_000_000, 300.0), reduced=reduced)
    assert verdict.outcome == ending


def test_taking_steps_together_that_can_be_told_apart_would_be_noticed() -> None:
    def build(split: bool) -> Machine:
        layout = Layout(2)
        x, y = layout.cell("x", 0), layout.cell("y", 0)

        async def write() -> None:
            await together(x.set(1), y.set(1))

        async def read() -> None:
            seen = await together(x, y)
            await require(seen[0] == seen[1], "torn", "sees one without the other")

        return Machine(layout, [("write", write), ("read", read)], split_together=split)

    assert judge(build(False)).outcome == "safe"
    assert judge(build(True)).outcome == "violated"


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (2, 3)], ids=str)
def test_fork_beside_many_writers(shape: tuple[int, int]) -> None:
    scenario = fork_many(*shape)
    outcomes = {
        release: check(scenario, release).verdict.outcome for release in ("6.3", "6.4.0", "6.4.3")
    }
    alone_on_its_page = shape[1] <= shape[0]
    assert outcomes == {
        "6.3": "safe",
        "6.4.0": "safe" if alone_on_its_page else "violated",
        "6.4.3": "safe",
    }


# -- there is an execution where ... ----------------------------------------------------------------------------------


def faults_elsewhere(release: str) -> tuple[Machine, World]:
    return machine_for(SCENARIOS["fork_other_vma"], as_kernel(release))


@pytest.mark.parametrize(("release", "can"), [("6.3", False), ("6.4.0", True), ("6.4.3", True)])
def test_a_fault_in_another_vma_can_finish_during_fork_since_per_vma_locks(
    release: str, can: bool
) -> None:
    machine, world = faults_elsewhere(release)
    last = world.child.page_table.pte[OTHER]

    def cpu1_is_done_and_fork_is_not(state: int) -> bool:
        return machine.done(state, 1) and last.of(state) is None

    witness = possible(machine, cpu1_is_done_and_fork_is_not)
    assert witness.found is can
    if can:
        assert witness.schedule is not None
        run = Run.replay(machine, witness.schedule)
        assert cpu1_is_done_and_fork_is_not(run.state)
        assert run.violation is None
    else:
        assert witness.schedule is None


def test_a_witness_takes_the_fewest_steps() -> None:
    machine, _ = faults_elsewhere("6.4.3")
    witness = possible(machine, lambda state: machine.done(state, 0))
    assert witness.schedule == (0,) * len(witness.schedule or ())


def test_possible_says_when_it_does_not_know() -> None:
    scenario = fork_many(2, 3)
    machine, _ = machine_for(scenario, as_kernel("6.4.3"))
    witness = possible(machine, lambda state: False, Budget(states=10))
    assert witness.found is None
    assert "10 states" in witness.reason


# -- discipline of fork, one claim each -------------------------------------------------------------------------------


def test_fork_lock_must_precede_the_first_pte_copy() -> None:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await vma_start_write(mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    assert (
        check(
            SCENARIOS["fork_lost_store"], Kernel(RELEASES["6.4.0"], {"dup_mmap": dup_mmap})
        ).verdict.outcome
        == "violated"
    )


@pytest.mark.parametrize("release", ["6.3", "6.4.3"])
def test_fork_must_flush_before_it_unlocks(release: str) -> None:
    """kernel-facts 4.1: this fails even without per-VMA locks."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await mmap_write_unlock(oldmm)
        await flush_tlb_mm(oldmm)

    assert (
        check(
            SCENARIOS["fork_lost_store"], Kernel(RELEASES[release], {"dup_mmap": dup_mmap})
        ).verdict.outcome
        == "violated"
    )


def test_fork_must_lock_the_parents_vma_and_not_the_childs() -> None:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await vma_start_write(tmp)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    assert (
        check(
            SCENARIOS["fork_lost_store"], Kernel(RELEASES["6.4.0"], {"dup_mmap": dup_mmap})
        ).verdict.outcome
        == "violated"
    )


def read_only_at_first() -> World:
    """fork_lost_store's world, had the process forked before and the child exited: P3 is ours alone, and still read-only."""
    world = SCENARIOS["fork_lost_store"].world()
    pte = world.mm.page_table.pte[3]
    frame = pte.of(world.layout.initial).frame
    world.layout.preset(pte, Pte(frame, False))
    world.layout.preset(world.mm.tlb.entry(1, 3), None)
    return world


async def writer_who_comes_back(world: World) -> None:
    await store(world.mm, 0x3000, 1)
    await store(world.mm, 0x3000, 2)


@pytest.mark.parametrize(
    ("again", "ending"), [(True, "safe"), (False, "violated")], ids=["with", "without"]
)
def test_a_fault_must_look_at_the_sequence_again_under_the_lock(again: bool, ending: str) -> None:
    """kernel-facts 3.4: the first comparison may be wrong; the second one counts. It takes a fault that began before fork."""

    async def vma_start_read(vma):
        vma_seq, mm_seq = await together(vma.vm_lock_seq, vma.vm_mm.mm_lock_seq)
        return vma_seq != mm_seq and await vma.vm_lock.try_read()

    scenario = SCENARIOS["fork_lost_store"]
    threads = (
        scenario.threads[0],
        ("stores P3[0] = 1, then 2", writer_who_comes_back),
        scenario.threads[2],
    )
    oracles = tuple(oracle for oracle in scenario.oracles if oracle != "snapshot")
    scenario = dataclasses.replace(
        scenario, world=read_only_at_first, threads=threads, oracles=oracles
    )
    kernel = Kernel(RELEASES["6.4.3"], {} if again else {"vma_start_read": vma_start_read})
    assert check(scenario, kernel).verdict.outcome == ending


def test_a_copied_page_must_be_compared_again_under_its_lock() -> None:
    """kernel-facts 3.11: without pte_same, two faults on one page replace each other's copy."""

    async def wp_page_copy(vma, page, entry):
        mm, table, old = vma.vm_mm, vma.vm_mm.page_table, entry.frame
        new = await vma_alloc_folio(mm, page, old)
        await table.ptl[page].lock()
        await together(flush_tlb_page(mm, page), set_pte_at(mm, page, Pte(new, True)))
        await table.ptl[page].unlock()
        await folio_put(mm.memory, old)
        await folio_put(mm.memory, old)

    checked = check(
        SCENARIOS["young_reproducer"], Kernel(RELEASES["6.4.3"], {"wp_page_copy": wp_page_copy})
    )
    assert checked.verdict.outcome == "violated"


def test_two_kernel_functions_of_one_name_are_an_error() -> None:
    with pytest.raises(ModelError, match="two kernel functions called"):
        kernel_functions(("fork", "fork"))


@pytest.mark.parametrize(
    ("release", "downgrades"), [("6.4.0", False), ("6.4.10", False), ("6.6-like", True)]
)
def test_munmap_keeps_the_whole_lock_below_a_stack_until_6_5(
    release: str, downgrades: bool
) -> None:
    async def unmapper(world: World) -> None:
        await munmap(world.mm, 0x7000, 0x1000)

    def world() -> World:
        made = World(1, pages={7: None, 8: None}, faulting={}, cached={}, slots=1, referee=False)
        made.map("data", 7, 7)
        made.map("stack", 8, 8, flags=STACK)
        made.may_change(nodes=1)
        return made

    story = Scenario("test", "", "", (("unmaps what lies below", unmapper),), world, (), {}, "")
    run = Run.of(machine_for(story, as_kernel(release))[0])
    while run.enabled():
        run = run.step(0)
    assert any(taken.step.op == "downgrade_write" for taken in run.taken) is downgrades
