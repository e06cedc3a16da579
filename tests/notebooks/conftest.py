"""For tests of how answers are read, which would otherwise prove the same answer a hundred times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mmlocks.labs import lab
from mmlocks.mm.kernel import Kernel
from mmlocks.scenarios import Checked, Scenario

PROVED: dict[tuple[str, str], Checked] = {}


@pytest.fixture
def proved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is proved safe is not searched again when it is read from another file.

    A kernel's name holds a fingerprint of what the answer means, so the same name says that the
    same functions were read. What is not safe is searched again: its messages name lines.
    """
    search: Callable[..., Checked] = lab.check

    def check(scenario: Scenario, kernel: Kernel, *more: Any, **named: Any) -> Checked:
        key = scenario.name, kernel.name
        if key in PROVED:
            return PROVED[key]
        found = search(scenario, kernel, *more, **named)
        if found.verdict.outcome == "safe":
            PROVED[key] = found
        return found

    monkeypatch.setattr(lab, "check", check)
