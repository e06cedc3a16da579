"""Lab 07's kill table: the verdict on each fix in its bank, and that each check is needed."""

import re

import pytest

from mmlocks.errors import AnswerError
from mmlocks.labs import LABS, Judgement, lab_named
from mmlocks.labs.lab import Finding
from mmlocks.scenarios.asked import ALL
from mmlocks.search import Budget
from tests.labs.banks import lab07_bank

pytestmark = pytest.mark.slow  # a whole judgement takes seconds, and there are many

LAB = LABS["lab07_fork_vs_fault"]

LONG = pytest.mark.long
BANK = lab07_bank()
RIGHT, COSTLY, UNPROVED, WRONG = map(BANK.that_are, ("right", "costly", "unproved", "wrong"))
SAME_AS_LINUX = {"Linux", "HelperFunction"}


@pytest.fixture(scope="module")
def judged():
    """Every answer in the bank, judged once."""
    cache: dict[str, Judgement] = {}

    def judge(name: str) -> Judgement:
        if name not in cache:
            cache[name] = LAB.judge(BANK.names(name))
        return cache[name]

    return judge


def test_the_bank_is_large_enough():
    assert len(WRONG) - 1 >= 12 + 15 + 6  # without the unsolved one
    assert len(RIGHT) - 1 >= 5 + 8  # without Linux's own


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_are_accepted_however_they_are_written(name, judged):
    judgement = judged(name)
    assert judgement.finding is Finding.CORRECT, [result.message for result in judgement.results]
    assert judgement.points == LAB.points
    same = "operation by operation" in judgement.compared
    assert same == (name in SAME_AS_LINUX), judgement.compared


@pytest.mark.parametrize("name", COSTLY)
def test_costly_answers_are_called_costly_and_say_why(name, judged):
    judgement = judged(name)
    assert judgement.finding is Finding.COSTLY
    assert [result.check.name for result in judgement.results if not result.passed] == ["cost"]
    assert BANK.fixes[name].rejected["cost"] in judgement.results[-1].message


@pytest.mark.parametrize("name", UNPROVED)
def test_where_a_scenario_is_too_small_it_gets_the_blame(name, judged):
    judgement = judged(name)
    assert judgement.finding is Finding.UNPROVED
    first = next(result for result in judgement.results if not result.passed)
    assert "the answer is not to blame: the scenario " in first.message
    assert BANK.fixes[name].rejected[first.check.name] in first.message
    assert ALL not in first.message


ONE_OF_EACH = {mistake: name for name, mistake in reversed(LAB.bank.mistakes.items())}.values()
SOME = [
    pytest.param(name, marks=() if name in ONE_OF_EACH or name not in LAB.bank.mistakes else LONG)
    for name in WRONG
]
"""A whole judgement takes seconds, so `make test` judges one fix of each mistake."""


@pytest.mark.parametrize("name", SOME)
def test_wrong_answers_are_rejected_where_and_by_the_oracle_that_they_should_be(name, judged):
    judgement = judged(name)
    found = {}
    for result in judgement.results:
        if result.shown is not None and not result.passed:
            scenario = result.shown.scenario.name.removesuffix(ALL)
            found[result.check.name] = f"{scenario}: {result.shown.verdict.violation.oracle}"
    found.pop("cost", None)
    rejected = BANK.fixes[name].rejected
    assert found == rejected, judgement.results[0].message
    assert judgement.finding is Finding.WRONG
    earned = [check.points for check in LAB.checks if check.name not in (*rejected, "cost")]
    assert judgement.points == sum(earned)
    assert not judgement.results[-1].passed
    assert "first make" in judgement.results[-1].message.lower()


def test_every_check_is_needed_by_a_wrong_or_costly_answer():
    patterns = [set(BANK.fixes[name].rejected) for name in WRONG]
    assert all({check} in patterns for check in ("lost_store", "snapshot", "reproducer"))
    assert COSTLY  # nothing but the cost check rejects these


def test_flushing_alone_earns_the_first_check_and_not_the_second_and_says_what_was_never_promised(
    judged,
):
    for name in ("FlushBeforeTheCopy", "FlushAtWriteProtect"):
        first, second, *_ = judged(name).results
        assert first.points == first.check.points and second.points == 0
        for words in (
            "Up to 6.3 users got a snapshot",
            "POSIX does not promise",
            "no commit message mentions it",
        ):
            assert words in second.message


def test_the_unsolved_exercise_fails_every_check_with_a_message_that_teaches(judged):
    results = judged("Unsolved").results
    assert [result.check.name for result in results] == [
        "lost_store",
        "snapshot",
        "reproducer",
        "cost",
    ]
    assert not any(result.passed for result in results)
    assert "flushed" in results[0].message and "page table no longer shows" in results[0].message


def test_a_wrong_answer_comes_with_a_schedule_that_replays_to_the_same_violation(judged):
    shown = judged("LockAfterCopy").results[0].shown
    assert shown is not None and shown.run is not None
    assert shown.run.violation == shown.verdict.violation
    assert "~dup_mmap." in str(shown.schedule)


def test_a_budget_that_does_not_suffice_is_called_unproved_and_earns_nothing():
    judgement = LAB.judge(BANK.names("Linux"), Budget(states=50))
    assert judgement.finding is Finding.UNPROVED
    assert judgement.points == 0
    assert "nothing is proved" in judgement.results[0].message


def test_a_correct_answer_is_told_what_was_not_searched(judged):
    for result in judged("Linux").results:
        assert (
            "sequentially consistent" in result.message
            and "Beyond that nothing is proved" in result.message
        )


@pytest.mark.parametrize("name", ["07", "lab07", "lab07_fork_vs_fault"])
def test_labs_answer_to_short_names(name):
    assert lab_named(name) is LAB


def test_an_unknown_lab_or_check_or_hint_is_answered_with_those_there_are():
    with pytest.raises(AnswerError, match="lab07_fork_vs_fault"):
        lab_named("99")
    with pytest.raises(AnswerError, match="lost_store, snapshot"):
        LAB.check("nonsense", {})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def dup_mmap(mm, oldmm): pass", "must be a function written `async def dup_mmap"),
        ("async def dup_mmap(mm): pass", "called with 2 arguments"),
        ("async def dup_mmap(mm, oldmm):\n    yield 1", "generator"),
        ("dup_mmap = 5", ""),
        ("class dup_mmap: pass", "must be a function"),
    ],
)
def test_functions_that_cannot_be_placed_are_refused_in_one_sentence(source, words):
    names: dict[str, object] = {}
    exec(source, names)
    if source == "dup_mmap = 5":  # not callable, so it stands in for nothing
        assert LAB.kernel(names).replacements == {}
        return
    with pytest.raises(AnswerError, match=words):
        LAB.kernel(names)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("await oldmm.truth[3, 0].set(1)", "cannot be stored to"),
        ("await oldmm.tlb.entry(1, 3).set(None)", "cannot be stored to"),
        ("await oldmm.page_table.pte[3].set(None)", "cannot be stored to"),
        ("await set_pte_at(mm, 'x', None)", "cannot be carried out"),
        ("while True: pass", "without an await"),
        ("import asyncio; await asyncio.sleep(0)", "not a step of this machine"),
        (
            "import random; await oldmm.mm_lock_seq.set(random.randrange(10**6))",
            "counts from 0|with the same results",
        ),
        ("1 / 0", "ZeroDivisionError in dup_mmap"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_whatever_an_answer_does_the_judge_keeps_going_and_says_what_was_wrong(body, words):
    names = BANK.names("Linux")
    exec(f"async def dup_mmap(mm, oldmm):\n    {body}", names)
    result = LAB.check("lost_store", names)
    assert result.finding is Finding.WRONG
    assert re.search(words, result.message), result.message
    assert "cpu0" in result.message
