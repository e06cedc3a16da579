"""Known fixes: what people write in place of a repair, and which checks reject it.

A bank is a TOML file. Its `pattern` tables say, for each pattern of rejections, which fixes show
it, and what each of them does in one sentence. Its table `mistakes` says which wrong fixes make the
same mistake, and completes the sentence "yours behaves like: ...". The fixes' own texts are not
needed for that, and are not installed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Fix:
    """One known fix. Its name tells its mistake; `says` completes the sentence "This fix ...".

    `verdict` is right, costly, wrong, unproved, or unseen: wrong, but no check can see it.
    `rejected` maps each check that rejects the fix to what it sees: in a lab's bank `fork_alone:
    snapshot`, the scenario and the oracle, or some words of the message; in a bank of one repair,
    whose checks are scenarios, the oracle alone.
    """

    name: str
    says: str
    verdict: str
    rejected: Mapping[str, str]


@dataclass(frozen=True)
class Bank:
    """The known fixes by name, and for each wrong one the mistake that it makes, if it is told."""

    fixes: Mapping[str, Fix] = field(default_factory=dict)
    mistakes: Mapping[str, str] = field(default_factory=dict)


def bank_of(told: Mapping[str, Any]) -> Bank:
    """The bank that a TOML file holds."""
    fixes: dict[str, Fix] = {}
    for pattern in told.get("pattern", ()):
        for name, says in pattern["fixes"].items():
            fixes[name] = Fix(name, says, pattern["verdict"], pattern.get("rejected", {}))
    mistakes = {name: says for says, names in told.get("mistakes", {}).items() for name in names}
    return Bank(fixes, mistakes)


def read_bank(file: Path) -> dict[str, Fix]:
    """The fixes of a bank, by name."""
    return dict(bank_of(tomllib.loads(file.read_text(encoding="utf-8"))).fixes)
