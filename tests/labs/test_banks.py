"""The kill table of every bank of fixes, and that each scenario is there for a reason."""

from __future__ import annotations

import pytest

from mmlocks.releases import FIRST_FAULT_FALLS_BACK, PATCHES
from mmlocks.scenarios import SCENARIOS
from mmlocks.scenarios.table import REPAIRS
from tests.labs.banks import Answer, Bank, banks, verdicts

pytestmark = pytest.mark.slow  # all of it together

BANKS = banks()
RIGHT = [(topic, answer) for topic, bank in BANKS.items() for answer in bank.right]
WRONG = [(topic, answer) for topic, bank in BANKS.items() for answer in bank.wrong]


def named(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(("topic", "answer"), RIGHT, ids=named)
def test_a_right_fix_is_safe_however_it_differs_from_linux(topic: str, answer: Answer) -> None:
    bank = BANKS[topic]
    assert verdicts(bank, answer) == dict.fromkeys(bank.scenarios, "safe")


@pytest.mark.parametrize(("topic", "answer"), WRONG, ids=named)
def test_a_wrong_fix_is_rejected_where_it_should_be(topic: str, answer: Answer) -> None:
    bank = BANKS[topic]
    expected = bank.wrong[answer]
    assert expected, f"{answer.__name__} is rejected by nothing"
    assert verdicts(bank, answer) == {name: expected.get(name, "safe") for name in bank.scenarios}


@pytest.mark.parametrize("topic", BANKS)
def test_a_bank_is_worth_its_name(topic: str) -> None:
    bank = BANKS[topic]
    assert len(bank.wrong) >= 8
    assert len(bank.right) >= 4
    assert set(bank.scenarios) <= SCENARIOS.keys()
    assert len({answer.__name__ for answer in (*bank.wrong, *bank.right)}) == len(bank.wrong) + len(
        bank.right
    )
    assert all(set(where) <= set(bank.scenarios) for where in bank.wrong.values())


def needed(bank: Bank) -> set[str]:
    """The scenarios without which some wrong fix of the bank would pass."""
    return {name for where in bank.wrong.values() if len(where) == 1 for name in where}


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_is_needed(name: str) -> None:
    assert any(name in needed(bank) for bank in BANKS.values())


def test_each_repair_has_a_bank() -> None:
    repairs = {patch.name for patch in REPAIRS} - {
        FIRST_FAULT_FALLS_BACK.name
    }  # a part of the scheme; see the bank of fork
    assert repairs <= {bank.repair for bank in BANKS.values()} <= {*PATCHES, ""}
