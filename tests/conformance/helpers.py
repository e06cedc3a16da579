"""The recording that comes with the tests, and processes of the model that differ from the others in one respect."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mmlocks.conformance.compare import Mismatch, Start, compare, observe
from mmlocks.conformance.diff import in_model
from mmlocks.conformance.program import Program
from mmlocks.conformance.recorded import Recording, load
from mmlocks.conformance.rules import release_of
from mmlocks.conformance.subject import Subject
from mmlocks.mm.area import Area
from mmlocks.releases import Release

RECORDED = Path(__file__).parent / "recorded" / "linux-6.18.json.gz"


@cache
def recording() -> Recording:
    return load(RECORDED)


def start() -> Start:
    """What a real process was like at its start, here or elsewhere."""
    return recording().start


def release() -> Release:
    return release_of(recording().kernel)


class Odd:
    """A process of the model, but for what is replaced: `areas`, `peek`, ... = a function of what the model says, and its arguments."""

    def __init__(self, process: Subject, replaced: dict[str, Callable[..., Any]]) -> None:
        self._process = process
        self._replaced = replaced

    def _say(self, name: str, *args: Any) -> Any:
        said = getattr(self._process, name)(*args)
        return self._replaced[name](said, *args) if name in self._replaced else said

    def call(self, name: str, *args: int) -> int:
        return int(self._say("call", name, *args))

    def store(self, address: int, value: int) -> bool:
        return bool(self._say("store", address, value))

    def load(self, address: int) -> int | None:
        word: int | None = self._say("load", address)
        return word

    def fork(self) -> Any:
        return Odd(self._process.fork(), self._replaced)

    def areas(self, flags: bool) -> list[Area]:
        areas: list[Area] = self._say("areas", flags)
        return areas

    def peek(self, address: int) -> int | None:
        word: int | None = self._say("peek", address)
        return word


def model() -> Subject:
    return in_model(start(), release())


def against_odd(program: Program, **replaced: Callable[..., Any]) -> Mismatch | None:
    """The model compared with one that says something else."""
    return compare(
        program,
        observe(program, model(), start()),
        observe(program, Odd(model(), replaced), start()),
    )
