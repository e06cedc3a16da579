"""Answers of lab 07 as files, to be judged in this process and in one of their own."""

from __future__ import annotations

from pathlib import Path

from tests.labs.attacks import nearly, notes, operations, parts
from tests.labs.banks import lab07_bank

RIGHT = Path(__file__).parents[1] / "labs" / "unusual_answers" / "right"
ATTACKS = {
    f"{kind}-{attack.name}": attack.source
    for kind, module in (("A", operations), ("B", parts), ("C", nearly), ("D", notes))
    for attack in module.ATTACKS
}


def sources() -> dict[str, str]:
    """The text of each: right answers in unusual Python, attacks, and the bank of lab 07."""
    bank = lab07_bank()
    (texts,) = bank.texts
    given = (
        f"from __future__ import annotations\nfrom mmlocks.machine import together\n{texts.given}"
    )
    return {
        **{f"right-{path.stem}": path.read_text() for path in sorted(RIGHT.glob("*.py"))},
        **ATTACKS,
        **{f"bank-{fix}": f"{given}\n{texts.code(fix)}" for fix in bank.fixes},
    }
