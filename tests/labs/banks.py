"""Banks of fixes: what people would try in place of a repair, and what becomes of each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from mmlocks.mm import Kernel
from mmlocks.releases import release_named
from mmlocks.scenarios import SCENARIOS, check

Answer = type
"""A class that holds the kernel functions that it replaces."""


@dataclass(frozen=True)
class Bank:
    """Answers to one repair, in a release without it: those that are right, and the wrong ones with who rejects them, and by which oracle."""

    repair: str
    release: str
    scenarios: tuple[str, ...]
    right: tuple[Answer, ...]
    wrong: Mapping[Answer, Mapping[str, str]]


def functions_of(answer: Answer) -> dict[str, Callable[..., Any]]:
    """The functions of an answer, by the names of those that they replace."""
    return {name: value for name, value in vars(answer).items() if isinstance(value, FunctionType)}


def verdicts(bank: Bank, answer: Answer) -> dict[str, str]:
    """What each of the bank's scenarios says of an answer: "safe", or the oracle that rejects it."""
    kernel = Kernel(release_named(bank.release), functions_of(answer))
    found = {}
    for name in bank.scenarios:
        verdict = check(SCENARIOS[name], kernel).verdict
        assert verdict.outcome != "unproved", f"{answer.__name__} in {name}: {verdict.reason}"
        found[name] = verdict.violation.oracle if verdict.violation is not None else "safe"
    return found


def banks() -> dict[str, Bank]:
    """All banks: `BANK` of a file, by the topic in the file's name, or those in its `BANKS`."""
    found: dict[str, Bank] = {}
    for file in sorted(Path(__file__).parent.glob("*_fixes.py")):
        module = importlib.import_module(f"tests.labs.{file.stem}")
        if hasattr(module, "BANK"):
            found[file.stem.removesuffix("_fixes")] = module.BANK
        found.update(getattr(module, "BANKS", {}))
    return found
