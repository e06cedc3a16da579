"""The claim: no wrong answer is called CORRECT. Here are those that were written to be."""

from __future__ import annotations

import linecache
from dataclasses import replace
from typing import Any

import pytest

import mmlocks.mm
from mmlocks.errors import ModelError
from mmlocks.labs import LABS
from mmlocks.labs.lab import Examination, Finding
from mmlocks.labs.lab07_fork_vs_fault.cost import others_for, overlap
from mmlocks.machine import Step
from mmlocks.machine.wire import plain_from_abroad
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.stubs import kernel_text
from mmlocks.scenarios import check, scenario_named
from mmlocks.scenarios.asked import ALL
from mmlocks.scenarios.fork_somewhere import NAME as SOMEWHERE
from mmlocks.scenarios.fork_somewhere import somewhere
from tests.labs.attacks import Attack, fork, nearly, notes, operations, parts

pytestmark = pytest.mark.slow  # all of it together

LAB = LABS["lab07_fork_vs_fault"]
KINDS = {
    "A": operations.ATTACKS,
    "B": parts.ATTACKS,
    "C": nearly.ATTACKS,
    "D": notes.ATTACKS,
}
ATTACKS = {f"{kind}-{attack.name}": attack for kind, attacks in KINDS.items() for attack in attacks}
COST = "cost"


def names_of(source: str, name: str) -> dict[str, Any]:
    """What the file of an answer defines, beside what the lab's first cell imports."""
    names: dict[str, Any] = {"__name__": "answer"}
    names |= {each: getattr(mmlocks.mm, each) for each in mmlocks.mm.__all__}
    file = f"{name}.py"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)
    return names


def kernel_of(attack: Attack) -> Kernel:
    return LAB.kernel(names_of(attack.source, attack.name))


def test_there_are_enough_of_every_kind_and_each_says_what_is_wrong_with_it() -> None:
    assert len(ATTACKS) == sum(map(len, KINDS.values())) >= 80
    assert all(len(attacks) >= 25 for attacks in KINDS.values())
    assert all(attack.why and attack.where for attack in ATTACKS.values())
    assert len({attack.source for attack in ATTACKS.values()}) == len(ATTACKS)
    assert all(attack.rejected for attack in ATTACKS.values())


def test_what_they_are_made_of_is_right() -> None:
    """Else they would be rejected for something else."""
    judgement = LAB.judge(names_of(fork(), "linux"))
    assert judgement.finding is Finding.CORRECT, [result.message for result in judgement.results]


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.where != COST])
def test_a_wrong_answer_is_rejected_where_it_should_be(name: str) -> None:
    attack = ATTACKS[name]
    kernel = kernel_of(attack)
    scenario = somewhere(kernel) if attack.where == SOMEWHERE else attack.where
    verdict = check(scenario_named(scenario + ALL), kernel).verdict
    if verdict.violation is None:
        assert verdict.outcome == "unproved" and attack.rejected in verdict.reason, verdict
    else:
        assert attack.rejected in f"{verdict.violation.oracle}: {verdict.violation.message}"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.where == COST])
def test_a_costly_answer_is_not_called_cheap(name: str) -> None:
    attack = ATTACKS[name]
    judgement = LAB.judge(names_of(attack.source, attack.name))
    assert judgement.finding is Finding.COSTLY
    assert attack.rejected in judgement.results[-1].message


@pytest.mark.long
@pytest.mark.parametrize("name", ATTACKS)
def test_no_wrong_answer_is_called_correct(name: str) -> None:
    attack = ATTACKS[name]
    judgement = LAB.judge(names_of(attack.source, attack.name))
    assert judgement.finding is not Finding.CORRECT
    assert judgement.points < LAB.points
    if attack.where != COST:
        assert judgement.finding in (Finding.WRONG, Finding.UNPROVED)


# -- what was mended ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("race", "name"),
    [
        ("look_again", "C-fault_flushes_when_it_has_unlocked"),
        ("touch_beside_munmap", "B-look_up_without_the_anon_vma"),
        ("map_again", "B-downgrade_that_gives_up"),
    ],
)
def test_each_race_is_the_only_scenario_to_reject_some_wrong_answer(race: str, name: str) -> None:
    examination = Examination(LAB, kernel_of(ATTACKS[name]), None, None)
    own = {each for one in LAB.checks for each in (*one.scenarios, *one.elsewhere)}
    asked_for = {*own, *examination.concerned(LAB.passes)}
    violated = {
        each for each in asked_for if examination.search(each).verdict.violation is not None
    }
    assert violated == {race}


@pytest.mark.parametrize(
    "name",
    ["C-copies_without_an_anon_vma", "C-lock_of_the_vma_before", "C-unlock_before_the_flush"],
)
def test_a_suspect_gets_the_same_finding_and_the_same_schedule(name: str) -> None:
    """Only the order of the two searches differs."""
    scenario = scenario_named(ATTACKS[name].where + ALL)
    one, other = (
        check(scenario, kernel_of(ATTACKS[name]), suspect=suspect) for suspect in (False, True)
    )
    assert one.verdict.violation == other.verdict.violation is not None
    assert (one.schedule, one.verdict.states) == (other.schedule, other.verdict.states)


def test_a_vma_that_is_never_freed_breaks_no_other_rule() -> None:
    kernel = kernel_of(ATTACKS["B-frees_nothing"])
    for name in ("forget_memory", "move_memory"):
        scenario = scenario_named(name + ALL)
        assert check(scenario, kernel).verdict.violation is not None
        others = tuple(oracle for oracle in scenario.oracles if oracle != "leak")
        assert check(replace(scenario, oracles=others), kernel).verdict.outcome == "safe"


@pytest.mark.parametrize("release", ["6.3", "6.4.0", "6.4.3", "6.6-like"])
def test_what_is_expected_of_a_fork_somewhere_is_so_wherever_that_is(release: str) -> None:
    for number in (0, 5, 822_619, 999_999):
        scenario = scenario_named(f"{SOMEWHERE}_{number}")
        found = check(scenario, release).verdict
        assert found.outcome == scenario.expected[release], (number, found)
    with pytest.raises(ModelError, match="no scenario"):
        scenario_named(f"{SOMEWHERE}_1000000")


def test_another_text_is_judged_in_another_process_and_the_same_one_in_the_same() -> None:
    linux = [somewhere(LAB.kernel(names_of(fork(), "one"))) for _ in range(2)]
    other = somewhere(LAB.kernel(names_of(fork(before="pass"), "two")))
    assert linux[0] == linux[1] != other
    worlds = [scenario_named(name).world() for name in (linux[0], other)]
    assert worlds[0].pages != worlds[1].pages


def test_the_cost_of_an_answer_is_looked_at_with_a_number_of_vmas_that_it_cannot_count_on() -> None:
    names = {
        others_for(LAB.kernel(names_of(fork(before=f"_ = {number}"), "one")))
        for number in range(40)
    }
    assert names == {1, 2, 3, 4}
    right = LAB.kernel(names_of(fork(), "one"))
    counts = ATTACKS["B-locks_all_but_in_two_vmas"]
    for others in (0, *sorted(names)):
        assert overlap(right, None, None, others).found
        assert bool(overlap(kernel_of(counts), None, None, others).found) == (others == 0)


def test_what_is_no_plain_value_is_refused_at_once_whatever_it_says_that_it_is() -> None:
    class Liar:
        __class__ = int  # type: ignore[assignment]

    class Pte(tuple):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            raise AssertionError("foreign code was run")

    class Yes(str):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("foreign code was run")

        __hash__ = str.__hash__

    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)
    for value in (Liar(), Pte((1,)), deep, Step("load", deep), Step("load", Liar())):  # type: ignore[arg-type]
        with pytest.raises(ModelError):
            plain_from_abroad(value)
    plain = plain_from_abroad(Step(Yes("load"), ([1, Yes("a")],)))  # type: ignore[arg-type]
    assert type(plain.op) is str and plain.args == ((1, "a"),) and type(plain.args[0][1]) is str


def test_a_step_is_what_it_was_when_it_was_asked_for() -> None:
    source = fork(
        imports="from mmlocks.machine.step import Step",
        lock="""
            asked = Step('load', (mpnt.vm_lock_seq.index,))
            await asked
            asked.args = (mpnt.vm_start.index,)
            await vma_start_write(mpnt)
            """,
    )
    verdict = check("fork_lost_store", LAB.kernel(names_of(source, "changes"))).verdict
    assert verdict.outcome == "safe", verdict


def test_an_operation_that_is_given_what_does_not_belong_together_is_the_answers_mistake() -> None:
    verdict = check("fork_lost_store" + ALL, kernel_of(ATTACKS["A-copy_of_the_copy"])).verdict
    assert verdict.violation is not None and verdict.violation.oracle == "mistake"
    assert (
        "vm_area_dup" in verdict.violation.message
        and "belong together" in verdict.violation.message
    )


def test_code_that_runs_on_when_it_is_ended_is_stopped() -> None:
    source = fork(
        lock="try:\n    await vma_start_write(mpnt)\nexcept BaseException:\n    while True:\n        pass"
    )
    assert (
        check("fork_lost_store", LAB.kernel(names_of(source, "runs_on"))).verdict.outcome == "safe"
    )


@pytest.mark.parametrize("count", range(1, 6))
def test_code_that_keeps_no_notes_does_the_same_when_it_is_run_anew(count: int) -> None:
    """Functions that are replaced by the kernel's own, called by way of the answer: nothing may be said of them."""
    functions = (
        "vm_area_dup",
        "copy_page_range",
        "vma_start_read",
        "do_wp_page",
        "mmap_write_unlock",
    )[:count]
    lines = [
        f"from {kernel_text()[name].__module__} import {name} as kernels_{name}\n"
        f"log = []\nasync def {name}(*args):\n    log.append('{name}')\n    return await kernels_{name}(*args)"
        for name in functions
    ]
    kernel = LAB.kernel(names_of(fork(also="\n\n".join(lines)), f"passes_on_{count}"))
    for name in ("fork_torn_snapshot", "fork_twice"):
        found = check(scenario_named(name + ALL), kernel).verdict
        assert found.outcome == "safe", found
