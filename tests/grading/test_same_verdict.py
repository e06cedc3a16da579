"""The claim: an answer gets the same verdict in a process of its own as in the judge's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmlocks.errors import MmlocksError
from mmlocks.grading.examine import examine
from mmlocks.labs import LABS, read_answer
from tests.grading.answers import sources

LAB = LABS["lab07_fork_vs_fault"]
SOURCES = sources()
QUICK = [
    "right-abstract_base_class", "right-asserts", "right-class_decorator_on_dup_mmap",
    "A-copy_of_the_copy", "C-lock_of_the_vma_before", "bank-Linux", "D-global_dict",
]  # fmt: skip
OWN_WORLD = re.compile(r"[\d,]+ (states?|transitions?|scenarios?|steps?)|the child sees .* is torn")
"""What depends on the process that is made for an answer: it is another one for the two."""


def here(file: Path) -> tuple[object, ...]:
    try:
        judgement = LAB.judge(read_answer(file))
    except MmlocksError as problem:
        return None, 0, str(problem).replace(str(file), file.name)
    checks = [
        (result.check.name, result.points, result.finding, OWN_WORLD.sub("", result.message))
        for result in judgement.results
    ]
    return judgement.finding, judgement.points, checks, judgement.compared


def there(file: Path) -> tuple[object, ...]:
    found = examine(LAB, file)
    assert found.isolation == "bubblewrap"
    if found.finding is None:
        return None, 0, found.said
    checks = [
        (check.name, check.points, check.finding, OWN_WORLD.sub("", check.message))
        for check in found.checks
    ]
    return found.finding, found.points, checks, found.compared


def same(name: str, tmp_path: Path) -> None:
    file = tmp_path / "answer.py"
    file.write_text(SOURCES[name])
    assert there(file) == here(file)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_the_verdict_is_the_same_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    same(name, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", SOURCES)
def test_every_answer_gets_the_same_verdict_in_a_process_of_its_own(
    name: str, tmp_path: Path
) -> None:
    same(name, tmp_path)
