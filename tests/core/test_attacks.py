"""The claim: no wrong answer is called CORRECT. Here are those that were written to be."""

from __future__ import annotations

import linecache
from typing import Any

import pytest

import mmlocks.mm
from mmlocks.labs import LABS
from mmlocks.labs.lab import Finding
from mmlocks.mm.kernel import Kernel
from mmlocks.scenarios import check, scenario_named
from mmlocks.scenarios.asked import ALL
from mmlocks.scenarios.fork_somewhere import NAME as SOMEWHERE
from mmlocks.scenarios.fork_somewhere import somewhere
from tests.core.attacks import Attack, fork, nearly, notes, operations, parts

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
