"""What every other model checker is asked: the same question, in a folder of its own, within a time limit."""

from __future__ import annotations

import shutil
import signal
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

        `wall` is None if there was no answer within `limit` seconds; `outcome` is "safe", "violated", "unproved" (stopped at the limit), or
        "failed" with what it `said`.
        """


def asked(peer: Peer, question: Question, limit: float) -> dict[str, Any]:
    """What a peer answers. Whatever goes wrong with it is an answer too: no peer ends a whole run of the benchmarks."""
    try:
        answer = peer.ask(question, limit)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        answer = {"outcome": "failed", "said": f"{type(problem).__name__}: {problem}"}
    if answer["outcome"] == "failed":
        answer["wall"] = None
    return answer


def program(name: str) -> str | None:
    """Where a program is: beside this Python, or on the PATH."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def last_words(output: str, status: int = 0) -> str:
    """Why a tool gave no answer: the end of what it printed, or the signal that ended it."""
    words = output.strip()[-500:]
    if status == -signal.SIGKILL:  # nobody else kills our children: the system had no more memory
        return f"killed, probably out of memory. {words}".strip()
    return words or f"ended with status {status} and said nothing"


def number(digits: str) -> int:
    """A number with or without thousands separators."""
    return int(digits.replace(",", ""))
