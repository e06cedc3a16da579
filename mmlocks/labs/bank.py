"""Known fixes: what people write in place of a repair, and which checks reject it.

A bank is a TOML file. Its `pattern` tables say, for each pattern of rejections, which fixes show
it, and what each of them does in one sentence. The fixes' own texts are not needed for that, and
are not installed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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


def read_bank(file: Path) -> dict[str, Fix]:
    """The fixes of a bank, by name."""
    found: dict[str, Fix] = {}
    for pattern in tomllib.loads(file.read_text(encoding="utf-8"))["pattern"]:
        for name, says in pattern["fixes"].items():
            found[name] = Fix(name, says, pattern["verdict"], pattern.get("rejected", {}))
    return found
