"""A lab is a folder: what is wrong in its lab.toml is told by file and key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmlocks.errors import AnswerError
from mmlocks.labs import LABS, lab_named, read_lab
from mmlocks.labs.folder import HERE
from mmlocks.labs.lab import Finding
from tests.labs.banks import lab07_bank

LAB07 = LABS["lab07_fork_vs_fault"]
GOOD = """
title = "a lab"
release = "6.4.0"
functions = ["dup_mmap"]
hints = ["a plan"]

[[check]]
name = "alone"
points = 1
about = "fork"
scenarios = ["fork_alone"]

[[pattern]]
verdict = "wrong"
rejected = { alone = "fork_alone: snapshot" }
[pattern.fixes]
One = "does one thing"
"""


def written(folder: Path, text: str) -> Path:
    lab, pattern, bank = text.partition("[[pattern]]")
    (folder / "lab.toml").write_text(lab, encoding="utf-8")
    (folder / "bank.toml").write_text(pattern + bank, encoding="utf-8")
    return folder


def test_every_folder_with_a_lab_toml_is_a_lab() -> None:
    assert {lab.folder for lab in LABS.values()} == {
        file.parent for file in HERE.glob("*/lab.toml")
    }


def test_a_path_names_a_lab_of_ones_own(tmp_path: Path) -> None:
    lab = lab_named(str(written(tmp_path, GOOD)))
    assert (lab.title, lab.points, [check.name for check in lab.checks]) == ("a lab", 1, ["alone"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hints", "hint", "hint: not a key of a lab. Did you mean hints? Allowed: "),
        ('"6.4.0"', '"6.4.00"', "release: "),
        ("dup_mmap", "dup_map", "functions: 'dup_map' is not one of the kernel functions. Did you"),
        ("points = 1", "points = 0", "check 1 ('alone'), points: a whole number from 1"),
        ("points = 1", 'points = "1"', "check 1 ('alone'), points: a whole number from 1"),
        ("points = 1", "points = 1\nafter = ['last']", "check 1 ('alone'), after: 'last' is not"),
        ("fork_alone", "fork_lone", "check 1 ('alone'), scenarios: there is no scenario called"),
        ("about", "abut", "check 1 ('alone'), abut: not a key of a lab. Did you mean about?"),
        ('about = "fork"', "", "check 1 ('alone'), about: a text in quotes, and this is missing"),
        ("points = 1", 'points = 1\njudge = "x.py:f"', "judge: the folder has no file x.py"),
        ('"wrong"', '"bad"', "pattern 1, verdict: 'bad' is not one of the words"),
        ("{ alone =", "{ along =", "pattern 1, rejected: 'along' is not one of the checks"),
        ("[[check]]", "[check]", "check: at least one table that begins with [[check]]"),
        ('"a lab"', '"a lab', "is not TOML: "),
        ('One = "does', 'One = 1 # "', "pattern 1, fixes: One needs a sentence in quotes"),
        (
            "[[check]]",
            '[parsons]\ncode = "if"\nlines = ["x"]\n[[check]]',
            "parsons, code: Python, and line 1 is not",
        ),
    ],
)
def test_what_is_wrong_is_told_by_file_and_key(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in GOOD
    with pytest.raises(AnswerError) as told:
        read_lab(written(tmp_path, GOOD.replace(old, new, 1)))
    file = "bank.toml" if words.startswith("pattern") else "lab.toml"
    assert str(tmp_path / file) in str(told.value)
    assert words in str(told.value)


def test_a_folder_without_a_lab_says_what_a_lab_is(tmp_path: Path) -> None:
    with pytest.raises(AnswerError, match=r"has no lab\.toml: a lab is a folder with that file"):
        read_lab(tmp_path)


def test_a_check_waits_for_those_that_its_data_names() -> None:
    """The order is data: without `after`, the same check is judged at once."""
    unsolved = lab07_bank().names("Unsolved")
    cost = LAB07.check("cost", unsolved)
    assert cost.finding is Finding.WRONG
    assert cost.message.endswith("First make 'lost_store' hold.")
    free = tuple(replace(check, after=()) for check in LAB07.checks)
    assert "First make" not in replace(LAB07, checks=free).check("cost", unsolved).message


def test_a_smaller_scenario_explains_and_never_judges() -> None:
    names = lab07_bank().names("LockAfterCopy")
    result = LAB07.check("reproducer", names)
    assert result.shown is not None and result.smaller is not None and result.explained is not None
    assert result.shown.scenario.name == "young_reproducer+all"
    assert result.explained.scenario.name == "fork_lost_store+all"
    judging, explaining = result.shown.verdict, result.explained.verdict
    assert judging.violation is not None and explaining.violation is not None
    assert judging.violation.oracle == explaining.violation.oracle
    assert len(explaining.schedule or ()) < len(judging.schedule or ())
    # SkipTheFirstVma breaks the smaller scenario, and the check still holds.
    assert LAB07.check("reproducer", lab07_bank().names("SkipTheFirstVma")).passed
