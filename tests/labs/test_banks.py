"""The kill table of every bank of fixes, and that each scenario is there for a reason."""

from __future__ import annotations

import pytest

from mmlocks.releases import FIRST_FAULT_FALLS_BACK, PATCHES
from mmlocks.scenarios import SCENARIOS
from mmlocks.scenarios.table import REPAIRS
from tests.labs.banks import FIXES, Bank, bank_in, banks, lab07_bank, verdicts

pytestmark = pytest.mark.slow  # all of it together

BANKS = banks()
RIGHT = [(topic, fix) for topic, bank in BANKS.items() for fix in bank.that_are("right")]
WRONG = [(topic, fix) for topic, bank in BANKS.items() for fix in bank.that_are("wrong")]
EVERY = {**BANKS, "speculative": bank_in(FIXES / "speculative.toml"), "lab07": lab07_bank()}


@pytest.mark.parametrize(("topic", "fix"), RIGHT)
def test_a_right_fix_is_safe_however_it_differs_from_linux(topic: str, fix: str) -> None:
    bank = BANKS[topic]
    assert verdicts(bank, fix) == dict.fromkeys(bank.scenarios, "safe")


@pytest.mark.parametrize(("topic", "fix"), WRONG)
def test_a_wrong_fix_is_rejected_where_it_should_be(topic: str, fix: str) -> None:
    bank = BANKS[topic]
    expected = bank.fixes[fix].rejected
    assert expected, f"{fix} is rejected by nothing"
    assert verdicts(bank, fix) == {name: expected.get(name, "safe") for name in bank.scenarios}


@pytest.mark.parametrize("topic", BANKS)
def test_a_bank_is_worth_its_name(topic: str) -> None:
    bank = BANKS[topic]
    assert len(bank.that_are("wrong")) >= 8
    assert len(bank.that_are("right")) >= 4
    assert set(bank.scenarios) <= SCENARIOS.keys()
    assert all(set(fix.rejected) <= set(bank.scenarios) for fix in bank.fixes.values())


@pytest.mark.parametrize("topic", EVERY)
def test_each_fix_has_one_text_that_differs_from_the_others_and_a_sentence(topic: str) -> None:
    bank = EVERY[topic]
    codes = {}
    for fix in bank.fixes:
        (texts,) = (texts for texts in bank.texts if fix in texts.sections)
        codes[texts.code(fix)] = fix
    assert len(codes) == len(bank.fixes)
    for known in bank.fixes.values():
        assert known.verdict in ("right", "costly", "wrong", "unproved", "unseen")
        assert " " in known.says and not known.says.endswith("."), known.name


def test_no_text_is_without_a_fix() -> None:
    known: dict[str, set[str]] = {}
    for bank in EVERY.values():
        for texts in bank.texts:
            known.setdefault(texts.file.name, set()).update(bank.fixes)
    for bank in EVERY.values():
        for texts in bank.texts:
            assert texts.sections.keys() <= known[texts.file.name]


def needed(bank: Bank) -> set[str]:
    """The scenarios without which some wrong fix of the bank would pass."""
    patterns = [fix.rejected for fix in bank.fixes.values() if fix.verdict == "wrong"]
    return {name for where in patterns if len(where) == 1 for name in where}


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_is_needed(name: str) -> None:
    assert any(name in needed(bank) for bank in BANKS.values())


def test_each_repair_has_a_bank() -> None:
    # The excepted repair is a part of the scheme; see the bank of fork.
    repairs = {patch.name for patch in REPAIRS} - {FIRST_FAULT_FALLS_BACK.name}
    assert repairs <= {bank.repair for bank in BANKS.values()} <= {*PATCHES, ""}
