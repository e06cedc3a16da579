"""Feedback says what the answer's own code did, and which known mistake it behaves like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmlocks.labs import LABS, read_answer
from mmlocks.labs.feedback import BEHAVIOURS, Feedback, feedback_on
from mmlocks.labs.likeness import Known, known_in
from mmlocks.show.feedback_text import feedback_text
from tests.labs.banks import lab07_bank
from tools.behaviours import behaviour_of

LAB = LABS["lab07_fork_vs_fault"]
BANK = lab07_bank()
WRONG = BANK.that_are("wrong")
KNOWN = Known(known_in(LAB.folder / BEHAVIOURS), LAB.bank.mistakes)

ANSWER = """\
from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


async def share(mm, mpnt):
    tmp = await vm_area_dup(mm, mpnt)
    await copy_page_range(tmp, mpnt)
    await vma_start_write(mpnt)
"""


def feedback(file: Path, text: str) -> Feedback:
    file.write_text(text, encoding="utf-8")
    answer = read_answer(file)
    judgement = LAB.judge(answer)
    return feedback_on(
        judgement.examination, judgement.results, answer.judged, compared=judgement.compared
    )


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Feedback:
    return feedback(tmp_path_factory.mktemp("answers") / "mine.py", ANSWER)


def test_each_step_of_the_run_names_the_authors_line(wrong: Feedback) -> None:
    found = wrong.counterexample
    assert found is not None and found.scenario == "fork_lost_store" and found.shortest
    lines = ANSWER.splitlines()
    theirs = [step for step in found.steps if step.line is not None]
    assert theirs and {step.cpu for step in theirs} == {0}
    for step in theirs:
        assert step.line is not None
        assert step.line.text == lines[step.line.number - 1].strip()
        assert step.line.spot == f"mine.py, line {step.line.number}"
    copies = [step for step in theirs if step.function == "copy_present_pte"]
    assert {step.line.number for step in copies if step.line} == {14}  # of the helper, not its call


def test_it_says_which_lines_matter_and_which_was_not_reached(wrong: Feedback) -> None:
    found = wrong.counterexample
    assert found is not None and found.sliced
    assert 14 in [line.number for line in found.lines]
    assert sum(step.matters for step in found.steps) < len(found.steps) / 2
    assert [str(one) for one in found.standing] == [
        "cpu0 has not reached your line 15 yet: await vma_start_write(mpnt)"
    ]


def test_it_names_the_mistake_and_says_how_many_scenarios_agree(wrong: Feedback) -> None:
    assert wrong.likeness is not None
    assert str(wrong.likeness) == (
        "Yours behaves like: locks each VMA only after copying it; 5 of 5 scenarios agree."
    )
    assert str(wrong.likeness) in " ".join(feedback_text(wrong).split())


def test_text_and_json_hold_the_same(wrong: Feedback) -> None:
    told = json.loads(json.dumps(wrong.as_json()))
    assert wrong.counterexample is not None
    assert len(told["counterexample"]["steps"]) == len(wrong.counterexample.steps)
    text = feedback_text(wrong)
    for step in told["counterexample"]["steps"]:
        if step["line"] is not None:
            assert f"{step['line']['spot']}: {step['line']['text']}" in text
    assert told["points"] == 0 and told["of"] == 10 and told["finding"] == "WRONG"


def test_a_success_is_told_how_linux_did_it_and_what_was_not_judged(tmp_path: Path) -> None:
    text = ANSWER.replace("    await vma_start_write(mpnt)\n", "").replace(
        "    tmp =", "    await vma_start_write(mpnt)\n    tmp ="
    )
    told = feedback(tmp_path / "mine.py", text)
    assert told.points == 10 and told.counterexample is None and told.likeness is None
    assert "Linux 6.4.3" in told.linux and "sequentially consistent" in told.unjudged


def test_a_behaviour_that_no_fix_has_gets_no_name() -> None:
    for fix in ("AnonVmaWithoutSecondLook", "LookUpWithoutItsChecks"):
        assert KNOWN.nearest(KNOWN.behaviours[fix], without=fix) is None


def test_nine_of_ten_wrong_fixes_are_named_rightly_without_their_own_entry() -> None:
    """The figure of November 2026: 95 of 103 rightly, 2 wrongly, of 6 nothing is said."""
    assert sorted(KNOWN.behaviours) == sorted(WRONG)
    named = {fix: KNOWN.nearest(KNOWN.behaviours[fix], without=fix) for fix in WRONG}
    right = [fix for fix, found in named.items() if found and found.mistake == mistake_of(fix)]
    wrongly = [fix for fix, found in named.items() if found and found.mistake != mistake_of(fix)]
    assert len(right) >= 0.9 * len(WRONG), sorted(set(WRONG) - set(right))
    assert len(wrongly) <= 0.03 * len(WRONG), wrongly


def mistake_of(fix: str) -> str:
    return LAB.bank.mistakes[fix]


SOME = [
    pytest.param(fix, marks=() if at % 8 == 0 else pytest.mark.long) for at, fix in enumerate(WRONG)
]
"""Each takes seconds, so `make test` looks at one in eight of them."""


@pytest.mark.slow
@pytest.mark.parametrize("fix", SOME)
def test_the_file_of_behaviours_says_what_judging_says_today(fix: str) -> None:
    assert behaviour_of(LAB.folder, fix) == KNOWN.behaviours[fix]
