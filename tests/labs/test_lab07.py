"""Lab 07's kill table: what becomes of each answer in the bank, and that every check and scenario earns its place."""

import pytest

from mmlocks.errors import AnswerError
from mmlocks.labs import LABS, Judgement, lab_named
from mmlocks.labs.lab import Finding
from mmlocks.search import Budget
from tests.labs import lab07_fixes
from tests.labs.lab07_fixes import answer_of

pytestmark = pytest.mark.slow  # a whole judgement takes seconds, and there are many

LAB = LABS["lab07_fork_vs_fault"]
ALL = ("lost_store", "snapshot", "reproducer", "cost")

RIGHT = (
    "Linux",
    "LockAfterDuplicatingTheVma",
    "HoldEveryRwsem",
    "LockInCopyPageRange",
    "LockOnlyWhatIsCopied",
    "SpinForTheRwsem",
    "HelperFunction",
)
COSTLY = {
    "LockAllFirst": "waits for the whole of fork",
    "MmapLockOnEveryFault": "waits for the whole of fork",
    "FlushAfterEveryVma": "flushes the TLBs 2 times",
}
# Answer -> for each check that must reject it, the oracle that sees why. Checks that are not named must pass.
WRONG = {
    "Unsolved": {"lost_store": "lost_store", "snapshot": "snapshot", "reproducer": "lost_store"},
    "LockAfterCopy": {
        "lost_store": "lost_store",
        "snapshot": "snapshot",
        "reproducer": "lost_store",
    },
    "LockOnlyTheChild": {
        "lost_store": "lost_store",
        "snapshot": "snapshot",
        "reproducer": "lost_store",
    },
    "UnlockBeforeFlush": {"lost_store": "lost_store", "reproducer": "lost_store"},
    "SetTheSequenceWithoutWaiting": {"snapshot": "snapshot"},
    "WaitWithoutSettingTheSequence": {
        "lost_store": "lost_store",
        "snapshot": "snapshot",
        "reproducer": "lost_store",
    },
    "SkipTheFirstVma": {"lost_store": "lost_store", "snapshot": "snapshot"},
    "LockOnlyTheFirstVma": {"reproducer": "lost_store"},
    "UnlockEachVmaAfterCopy": {
        "lost_store": "lost_store",
        "snapshot": "snapshot",
        "reproducer": "lost_store",
    },
    "DowngradeBeforeFlush": {"lost_store": "lost_store", "reproducer": "lost_store"},
    "DropMmapLockBetweenVmas": {
        "lost_store": "lost_store",
        "snapshot": "snapshot",
        "reproducer": "lost_store",
    },
    "FlushBeforeInsteadOfAfter": {
        "lost_store": "stale_translation",
        "snapshot": "stale_translation",
        "reproducer": "stale_translation",
    },
    "ForkUnderTheReadLock": {
        "lost_store": "lost_store",
        "snapshot": "snapshot",
        "reproducer": "lost_store",
    },
    "ForgetToUnlock": {
        "lost_store": "held_at_end",
        "snapshot": "deadlock",
        "reproducer": "held_at_end",
    },
    "ForgetToWriteProtect": {
        "lost_store": "isolation",
        "snapshot": "snapshot",
        "reproducer": "isolation",
    },
    "ForgetTheReference": {
        "lost_store": "references",
        "snapshot": "references",
        "reproducer": "references",
    },
    "ForgetTheAwait": {"lost_store": "mistake", "snapshot": "mistake", "reproducer": "mistake"},
    "AskForMmapLockInTheFault": {"snapshot": "snapshot"},
    "SkipTheSecondLook": {"snapshot": "snapshot"},
    "CopyNothing": {"lost_store": "snapshot", "snapshot": "snapshot", "reproducer": "snapshot"},
    "LockOnlyWhatWasNeverLocked": {
        "lost_store": "lost_store",
        "snapshot": "snapshot",
        "reproducer": "lost_store",
    },
    "LeaveTheVmasLocked": {
        "lost_store": "held_at_end",
        "snapshot": "held_at_end",
        "reproducer": "held_at_end",
    },
    "UnlockAndFlushInOneStep": {"lost_store": "lost_store", "reproducer": "lost_store"},
    "FlushBeforeTheCopy": {"snapshot": "snapshot"},
    "FlushAtWriteProtect": {"snapshot": "snapshot"},
}


@pytest.fixture(scope="module")
def judged():
    """Every answer in the bank, judged once."""
    cache: dict[str, Judgement] = {}

    def judge(name: str) -> Judgement:
        if name not in cache:
            cache[name] = LAB.judge(answer_of(getattr(lab07_fixes, name)))
        return cache[name]

    return judge


def test_the_bank_is_all_in_the_table_and_large_enough():
    bank = {
        name
        for name, kind in vars(lab07_fixes).items()
        if isinstance(kind, type) and kind.__module__.endswith("fixes")
    }
    assert bank == {*RIGHT, *COSTLY, *WRONG}
    assert len(WRONG) - 1 >= 12  # without the unsolved one
    assert len(RIGHT) - 1 >= 5  # without Linux's own


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_are_accepted_however_they_are_written(name, judged):
    judgement = judged(name)
    assert judgement.finding is Finding.CORRECT
    assert judgement.points == LAB.points
    same = "operation by operation" in judgement.compared
    assert same == (name in ("Linux", "HelperFunction")), judgement.compared


@pytest.mark.parametrize("name", COSTLY)
def test_costly_answers_are_called_costly_and_say_why(name, judged):
    judgement = judged(name)
    assert judgement.finding is Finding.COSTLY
    assert [result.check.name for result in judgement.results if not result.passed] == ["cost"]
    assert COSTLY[name] in judgement.results[-1].message


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_rejected_by_the_intended_oracle_and_keep_the_points_they_earned(
    name, judged
):
    judgement = judged(name)
    found = {
        result.check.name: result.shown.verdict.violation.oracle
        for result in judgement.results
        if result.shown is not None and not result.passed
    }
    assert found == WRONG[name]
    assert judgement.finding is Finding.WRONG
    earned = [check.points for check in LAB.checks if check.name not in (*WRONG[name], "cost")]
    assert judgement.points == sum(earned)
    assert (
        not judgement.results[-1].passed and "first make" in judgement.results[-1].message.lower()
    )


def test_every_scenario_is_needed_by_a_wrong_or_costly_answer():
    alone = {next(iter(checks)) for checks in WRONG.values() if len(checks) == 1}
    pairs = [set(checks) for checks in WRONG.values() if len(checks) == 2]
    assert "snapshot" in alone and "reproducer" in alone
    # Without lost_store, these two would lose only the reproducer's points or none at all.
    assert {"lost_store", "reproducer"} in pairs and {"lost_store", "snapshot"} in pairs
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
    assert [result.check.name for result in results] == list(ALL)
    assert not any(result.passed for result in results)
    assert "flushed" in results[0].message and "page table no longer shows" in results[0].message


def test_a_wrong_answer_comes_with_a_schedule_that_replays_to_the_same_violation(judged):
    shown = judged("LockAfterCopy").results[0].shown
    assert shown is not None and shown.run is not None
    assert shown.run.violation == shown.verdict.violation
    assert "~dup_mmap." in str(shown.schedule)


def test_a_budget_that_does_not_suffice_is_called_unproved_and_earns_nothing():
    judgement = LAB.judge(answer_of(lab07_fixes.Linux), Budget(states=50))
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
        ("import asyncio; await asyncio.sleep(0)", "no step of this machine"),
        (
            "import random; await oldmm.mm_lock_seq.set(random.randrange(10**6))",
            "counts from 0|with the same results",
        ),
        ("1 / 0", "ZeroDivisionError in dup_mmap"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_whatever_an_answer_does_the_judge_keeps_going_and_says_what_was_wrong(body, words):
    names = dict(vars(lab07_fixes))
    exec(f"async def dup_mmap(mm, oldmm):\n    {body}", names)
    result = LAB.check("lost_store", names)
    assert result.finding is Finding.WRONG
    import re

    assert re.search(words, result.message), result.message
    assert "cpu0" in result.message
