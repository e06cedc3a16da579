"""What every other model checker is asked: the same question, in a folder of its own, within a time limit."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple, Protocol

MODELS = Path(__file__).with_name("peers")


class Question(NamedTuple):
    """A size of fork_many; `fixed` is Linux 6.4.3, otherwise 6.4.0."""

    vmas: int
    writers: int
    fixed: bool = True


class Peer(Protocol):
    """One tool with one choice of settings."""

    name: str
    settings: str

    def missing(self) -> str | None:
        """What to do to have it, or None if it is installed."""

    def ask(self, question: Question, limit: float) -> dict[str, Any]:
        """Figures of one run from the model's text to the answer.

        `wall` is None if it took more than `limit` seconds; `outcome` is "safe", "violated" or "failed".
        """


def program(name: str) -> str | None:
    """Where a program is: beside this Python, or on the PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def number(digits: str) -> int:
    """A number with or without thousands separators."""
    return int(digits.replace(",", ""))
