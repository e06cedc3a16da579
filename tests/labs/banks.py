"""Banks of fixes: what people would try in place of a repair, and what becomes of each."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlocks.labs import LABS
from mmlocks.labs.bank import Fix, read_bank
from mmlocks.mm import Kernel
from mmlocks.mm.replacing import replacements_in
from mmlocks.releases import release_named
from mmlocks.scenarios import SCENARIOS, check
from tests.labs.texts import Texts

FIXES = Path(__file__).parent / "fixes"
LAB07 = Path(__file__).parents[2] / "mmlocks" / "labs" / "lab07_fork_vs_fault" / "fixes.patch"
"""In the repository: an installed package has no texts of fixes."""


@dataclass(frozen=True)
class Bank:
    """Fixes in place of one repair, in a release without it, and the scenarios that judge them."""

    fixes: Mapping[str, Fix]
    texts: tuple[Texts, ...]
    repair: str = ""
    release: str = ""
    scenarios: tuple[str, ...] = ()

    def that_are(self, verdict: str) -> list[str]:
        """The names of the fixes with that verdict."""
        return [name for name, fix in self.fixes.items() if fix.verdict == verdict]

    def names(self, fix: str) -> dict[str, Any]:
        """What a notebook with this fix has in its globals."""
        (texts,) = (texts for texts in self.texts if fix in texts.sections)
        return texts.names(fix)

    def functions(self, fix: str) -> dict[str, Callable[..., Any]]:
        """The kernel functions that a fix replaces."""
        return replacements_in(self.names(fix))


def bank_in(file: Path) -> Bank:
    """The bank of a TOML file."""
    told = tomllib.loads(file.read_text(encoding="utf-8"))
    texts = tuple(Texts((file.parent / name).resolve()) for name in told["texts"])
    return Bank(
        read_bank(file),
        texts,
        told.get("repair", ""),
        told.get("release", ""),
        tuple(told.get("scenarios", ())),
    )


def banks() -> dict[str, Bank]:
    """The banks of all repairs, by topic."""
    found = {file.stem: bank_in(file) for file in sorted(FIXES.glob("*.toml"))}
    return {topic: bank for topic, bank in found.items() if bank.scenarios}


def lab07_bank() -> Bank:
    """The bank of lab 07, which lies beside it."""
    return Bank(LABS["lab07_fork_vs_fault"].bank.fixes, (Texts(LAB07),))


def verdicts(bank: Bank, fix: str) -> dict[str, str]:
    """What each of the bank's scenarios says of a fix: "safe", or the oracle that rejects it."""
    kernel = Kernel(release_named(bank.release), bank.functions(fix))
    found = {}
    for name in bank.scenarios:
        verdict = check(SCENARIOS[name], kernel).verdict
        assert verdict.outcome != "unproved", f"{fix} in {name}: {verdict.reason}"
        found[name] = verdict.violation.oracle if verdict.violation is not None else "safe"
    return found
