"""What is asked of an answer beside its stories: nothing may break, the child and the parent are whole, other numbers, cost by what it means."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import pytest

from mmlocks.labs import LABS
from mmlocks.labs.lab import Examination
from mmlocks.labs.lab07_fork_vs_fault.cost import left_alone, overlap
from mmlocks.mm import Kernel
from mmlocks.mm.reach import reached
from mmlocks.mm.stubs import kernel_functions
from mmlocks.releases import NEWEST, RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, VARIANTS, asked, check, machine_for, replay, scenario_named
from mmlocks.scenarios.asked import ALL
from mmlocks.scenarios.everyday_races import RACES
from mmlocks.scenarios.fork_somewhere import somewhere
from mmlocks.scenarios.table import REPAIRS, searches
from mmlocks.search import Budget
from tests.labs.banks import lab07_bank

pytestmark = pytest.mark.slow  # a whole judgement takes seconds, and there are many

LAB = LABS["lab07_fork_vs_fault"]

BANK = lab07_bank()
FIRST = {
    name: next(iter(fix.rejected.values())).split(": ")
    for name, fix in BANK.fixes.items()
    if fix.verdict == "wrong"
}
"""Of each wrong answer, the scenario and the oracle of the first check that rejects it."""


def kernel_with(**functions: FunctionType) -> Kernel:
    return Kernel(release_named(LAB.release), functions)


def fork_that(body: str) -> Kernel:
    """A kernel with a dup_mmap of these lines."""
    names = BANK.names("Linux")
    exec(
        "async def dup_mmap(mm, oldmm):\n" + "\n".join(f"    {line}" for line in body.splitlines()),
        names,
    )
    return LAB.kernel(names)


# -- the bank -----------------------------------------------------------------------------------------------------------


def test_the_stories_alone_would_pass_what_the_rest_rejects() -> None:
    """Else the rest would not be needed."""
    for name, (where, oracle) in FIRST.items():
        if where in SCENARIOS and oracle in SCENARIOS[where].oracles:
            continue
        kernel = LAB.kernel(BANK.names(name))
        for check_ in LAB.checks[:3]:
            for story in check_.scenarios:
                if story != "young_reproducer":
                    found = check(SCENARIOS[story], kernel).verdict.violation
                    assert found is None or found.oracle not in SCENARIOS[story].oracles, (
                        name,
                        story,
                        found,
                    )


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("fork_elsewhere", "LockBelowPageSix"),
        ("fork_alone", "ParentKeepsAWritableEntry"),
        ("fork_twice", "CopyWhatNobodyShares"),
        ("touch_same_vma", "AnonVmaWithoutSecondLook"),
        ("trespass", "FaultAsksForRightsOnlyAtFirst"),
        ("move_memory", "ProtectsNothing"),
        ("forget_memory", "ForgetsNothing"),
    ],
)
def test_every_variant_is_the_only_one_to_reject_some_wrong_answer(variant: str, name: str) -> None:
    kernel = LAB.kernel(BANK.names(name))
    examination = Examination(LAB, kernel, None, None)
    own = {name for each in LAB.checks for name in (*each.scenarios, *each.elsewhere)}
    asked_for = {*own, *examination.concerned(LAB.passes)}
    violated = {
        each for each in asked_for if examination.search(each).verdict.violation is not None
    }
    assert violated == {variant}


ELSEWHERE_NEEDED = {"touch_same_page"}
"""With all steps taken apart, lab 07's stories show two first touches as well: a page is absent for a moment while it is copied. Labs without a fork need it."""


def test_every_variant_has_such_an_answer() -> None:
    (cases,) = [
        mark.args[1]
        for mark in test_every_variant_is_the_only_one_to_reject_some_wrong_answer.pytestmark  # type: ignore[attr-defined]
    ]
    races = {race.name for race in RACES}  # theirs are in test_attacks
    assert {variant for variant, _ in cases} | races == VARIANTS.keys() - ELSEWHERE_NEEDED


def test_a_wrong_answer_comes_with_a_schedule_that_replays_to_the_same_violation() -> None:
    for name in ("LockByName", "ChildIsDetached", "ForgetsNothing"):
        results = LAB.judge(BANK.names(name)).results
        shown = next(result.shown for result in results if result.shown is not None)
        kernel = LAB.kernel(BANK.names(name))
        scenario, _, run = replay(str(shown.schedule), kernel)
        assert scenario.name == shown.scenario.name
        assert run.violation == shown.verdict.violation


# -- nothing that was right may break ---------------------------------------------------------------------------------


def test_which_scenarios_must_stay_right_follows_from_what_is_expected_of_the_release() -> None:
    for name, scenario in {**SCENARIOS, **VARIANTS}.items():
        passes = check(scenario, LAB.release).verdict.outcome == "safe"
        assert (name in LAB.passes) == (
            passes and not scenario.lacking(release_named(LAB.release))
        ), name


@pytest.mark.parametrize(
    ("functions", "scenarios"),
    [
        (("dup_mmap",), {"fork_alone", "fork_twice", "fork_other_vma", "fork_first_touch"}),
        (("madvise",), {"forget_memory"}),
        (("page_mkwrite",), {"publish_early", "imap_lock_order"}),
    ],
)
def test_scenarios_in_which_nothing_of_the_answer_can_run_are_left_out(
    functions: tuple[str, ...], scenarios: set[str]
) -> None:
    originals = kernel_functions()

    async def stand_in(*_: Any) -> None: ...

    kernel = Kernel(release_named(LAB.release))
    kernel.replacements = dict.fromkeys(functions, stand_in)
    found = set(Examination(LAB, kernel, None, None).concerned(LAB.passes))
    assert scenarios <= found
    if functions != ("page_mkwrite",):
        assert found == scenarios
    assert functions[0] in originals


@pytest.mark.parametrize("name", [*SCENARIOS, *VARIANTS])
def test_no_kernel_function_runs_that_was_not_said_to_be_in_reach(name: str) -> None:
    """Of the release's own kernel, by what its searches have met."""
    scenario = scenario_named(name)
    within = reached(thread for _, thread in scenario.threads)
    for release in ("6.4.0", "6.6-like"):
        if scenario.lacking(release_named(release)):
            continue
        machine = check(scenario, release).machine
        ran = {
            place.function
            for task in machine.tasks
            for node in task.nodes
            for place in node.answer.where
        }
        assert ran & kernel_functions().keys() <= within


# -- scenarios as they are put to answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "release"),
    [(one.scenario, one.release) for one in searches(RELEASES, [*SCENARIOS, *VARIANTS])],
)
def test_our_own_kernels_come_to_the_same_when_everything_is_asked(name: str, release: str) -> None:
    scenario = scenario_named(name)
    if scenario.lacking(release_named(release)):
        pytest.skip("says nothing of this release")
    whole = check(scenario_named(name + ALL), release).verdict
    assert whole.outcome == scenario.expected[release], whole
    story = check(scenario, release).verdict
    assert (whole.outcome, whole.violation, whole.states) == (
        story.outcome,
        story.violation,
        story.states,
    )


@pytest.mark.parametrize("name", [*SCENARIOS, *VARIANTS])
def test_a_scenario_names_all_stores_that_its_programs_make(name: str) -> None:
    scenario = scenario_named(name)
    machine, world = machine_for(scenario, Kernel(RELEASES["6.4.10"]))
    state = machine.initial
    while ready := machine.enabled(state):
        taken = machine.step(state, ready[0])
        assert taken is not None and taken.violation is None
        state = taken.state
    assert machine.finished(state)
    made = {
        (page, slot, value)
        for (page, slot), cell in world.mm.past.items()
        for value in cell.of(state)
        if value not in cell.of(machine.initial)
    }
    assert made == set(scenario.stores)


def test_asked_gives_an_answer_room_and_the_story_none() -> None:
    story, whole = (
        SCENARIOS["fork_lost_store"].world(),
        scenario_named("fork_lost_store" + ALL).world(),
    )
    assert (3, 0) not in story.memory.pools and len(whole.memory.pools[3, 0]) == 1
    assert len(whole.child.spare_vmas.members) == len(story.child.spare_vmas.members) + 1


# -- what a scenario explains -----------------------------------------------------------------------------------------


def test_a_story_is_told_only_of_what_went_as_it_tells() -> None:
    """Both tear the snapshot; only of one did a fault go ahead during fork."""
    story = SCENARIOS["fork_torn_snapshot"].explain["snapshot"]
    other = LAB.check("snapshot", BANK.names("CopiesAtOnceWhileTheParentStores"))
    same = LAB.check("snapshot", BANK.names("FlushAtWriteProtect"))
    assert story in same.message
    assert "the snapshot is torn" in other.message and story not in other.message
    assert other.message.startswith("In fork_torn_snapshot: ")


UNTOLD = {
    ("stack_expand_fault", "speculative"),  # its faults take no VMA lock, of which the story tells
    (
        "anon_vma_unlocked_check",
        "6.4.0-first_fault_falls_back",
    ),  # its faults never ask whether there is an anon_vma
    ("anon_vma_unlocked_check", "6.6-like-first_fault_falls_back"),
}
EVERY = [
    *RELEASES,
    *(f"{NEWEST.name}-{patch.name}" for patch in REPAIRS),
    "6.4.0-first_fault_falls_back",
]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_release_that_has_a_bug_is_told_its_story(name: str) -> None:
    scenario = SCENARIOS[name]
    for one in searches(EVERY, [name]):
        if (
            scenario.lacking(release_named(one.release))
            or scenario.expected.get(one.release) == "safe"
        ):
            continue
        checked = check(scenario, one.release)
        violation = checked.verdict.violation
        if violation is not None and violation.oracle in scenario.explain:
            assert checked.run is not None
            told = scenario.explanation(checked.world, checked.run)
            assert bool(told) == ((name, one.release) not in UNTOLD), one.release


def test_every_story_says_what_must_have_happened() -> None:
    for scenario in (*SCENARIOS.values(), *VARIANTS.values()):
        assert scenario.happened.keys() == scenario.explain.keys(), scenario.name


def test_an_answer_is_not_told_of_a_mark_that_it_has_not_touched() -> None:
    """munmap_downgrade tells of the detached mark. This fault respects it, and uses the VMA after it has let go of it."""

    async def vma_end_read(vma: Any) -> None:
        await vma.vm_lock.up_read()
        await vma.vm_flags

    async def leave_rcu_if_covered(*_: Any) -> bool:
        return True

    scenario = SCENARIOS["munmap_downgrade"]
    checked = check(scenario, kernel_with(vma_end_read=vma_end_read))
    assert checked.verdict.violation is not None and checked.run is not None
    assert checked.verdict.violation.oracle == "freed_vma"
    assert scenario.explanation(checked.world, checked.run) == ""


# -- cost by what it means --------------------------------------------------------------------------------------------

LOOP = """
await mmap_write_lock(oldmm)
for mpnt in {order}:
    await vma_start_write(mpnt)
    await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
await flush_tlb_mm(oldmm)
await mmap_write_unlock(oldmm)
"""
IN_ORDER, REVERSED = "await for_each_vma(oldmm)", "reversed(await for_each_vma(oldmm))"
LOCK_ALL = "for mpnt in await for_each_vma(oldmm):\n    await vma_start_write(mpnt)\n"


@pytest.mark.parametrize("order", [IN_ORDER, REVERSED])
def test_a_fault_in_the_vma_that_fork_has_yet_to_come_to_need_not_wait_in_either_order(
    order: str,
) -> None:
    witness = overlap(fork_that(LOOP.format(order=order)), None, None)
    assert witness.found and witness.schedule is not None


@pytest.mark.parametrize("order", [IN_ORDER, REVERSED])
def test_a_fault_that_waits_for_the_whole_of_fork_does_so_in_every_interleaving(order: str) -> None:
    body = LOOP.format(order=order).replace("\nfor", f"\n{LOCK_ALL}for", 1)
    assert overlap(fork_that(body), None, None).found is False


def test_an_overlap_is_not_looked_for_beyond_the_budget() -> None:
    witness = overlap(fork_that(LOOP.format(order=IN_ORDER)), Budget(states=20), None)
    assert witness.found is None and "budget" in witness.reason


def test_a_fork_that_waits_for_others_when_it_is_left_alone_never_ends() -> None:
    waits = "while not await oldmm.mmap_lock.readers[1]:\n    pass\n"
    alone = left_alone(fork_that(waits + LOOP.format(order=IN_ORDER)), cpus=3)
    assert not alone.ended
    assert left_alone(fork_that(LOOP.format(order=IN_ORDER)), cpus=3).ended


def test_flushes_are_counted_to_the_end_however_many_cpus_there_are() -> None:
    """6.4.0 flushes once. This one does so once for every other CPU, long after 500 steps."""
    body = LOOP.format(order=IN_ORDER).replace(
        "await flush_tlb_mm(oldmm)",
        "for _ in range(600):\n    await oldmm.brk\nfor _ in oldmm.mmap_lock.readers:\n    await flush_tlb_mm(oldmm)",
    )
    kernel = fork_that(body)
    assert [left_alone(kernel, cpus).count("flush_tlb") for cpus in (1, 3)] == [1, 3]


# -- what is said -----------------------------------------------------------------------------------------------------


def test_a_check_says_in_one_sentence_what_was_searched() -> None:
    for result in LAB.judge(BANK.names("Linux")).results[:3]:
        states = sum(found.verdict.states for found in result.searched)
        first = result.message.split(". ")[0]
        assert (
            first.startswith(f"All interleavings of {len(result.searched)} scenario")
            and f"{states:,} states" in first
        )
        assert len(first) < 120


def test_checks_of_one_examination_repeat_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmlocks.labs import lab as module

    names: list[str] = []
    real = module.check

    def counting(scenario: Any, *rest: Any, **named: Any) -> Any:
        names.append(scenario.name)
        return real(scenario, *rest, **named)

    monkeypatch.setattr(module, "check", counting)
    LAB.judge(BANK.names("Linux"))
    assert len(names) == len(set(names)) and set(names) <= {
        name + ALL for name in (*SCENARIOS, *VARIANTS, somewhere(LAB.kernel(BANK.names("Linux"))))
    }


def test_an_answer_is_judged_by_few_states() -> None:
    """A learner waits for this. `benchmarks/answers.py` says how many seconds it takes."""
    results = LAB.judge(BANK.names("Linux")).results
    states = {
        found.scenario.name: found.verdict.states for result in results for found in result.searched
    }
    assert 10_000 < sum(states.values()) < 60_000  # 31,651
    assert asked(SCENARIOS["stackrot"]).name == "stackrot" + ALL
