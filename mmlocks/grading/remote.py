"""Functions that run in a student's process, as the judge's machine sees them.

Each reply is a claim. It becomes an `Answer` of known steps and plain values, or it ends the link.
The rules of the machine then say whether a function may ask for that, as they do for functions of
this process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmlocks.errors import ModelError, Undecided
from mmlocks.grading.link import Asks, clean
from mmlocks.labs.serving import MOST_PLACES, digest
from mmlocks.machine.coroutine import STEPS_PER_TASK
from mmlocks.machine.side import Side, who_asks
from mmlocks.machine.state import Layout
from mmlocks.machine.task import Answer, Place
from mmlocks.machine.values import exact
from mmlocks.machine.wire import EXCEPTIONS, Threw, from_plain, plain_from_abroad, to_plain
from mmlocks.mm.replacing import Replacements
from mmlocks.mm.stubs import kernel_functions


class ReplacementsThere(Replacements):
    """The functions of the answer at the other end of a link.

    `text` stands for the answer. The judge takes it from the file itself: what the process says of
    its own text could be chosen so that a scenario that is made for the answer fits it.

    Raises AnswerError if the answer cannot be read, and NotJudged if the process does not say so.
    """

    def __init__(self, link: Asks, text: str) -> None:
        self._link = link
        self._text = text
        self._made = _Made()
        self._generation = 0
        said = link.ask("describe")
        if not _is_description(said):
            link.breaks("describes an answer that there cannot be")
        self._fingerprints: dict[str, str] = said["fingerprints"]
        self.judged = clean(said["judged"])

    def __getitem__(self, name: str) -> Any:
        return self._fingerprints[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fingerprints)

    def __len__(self) -> int:
        return len(self._fingerprints)

    @property
    def fingerprints(self) -> Mapping[str, str]:
        return self._fingerprints

    @property
    def text(self) -> str:
        return self._text

    def side(
        self,
        scenario: str,
        home: Layout,
        another: Callable[[], Layout],  # noqa: ARG002  the other process makes its own
    ) -> Side:
        self._link.later("side", self._generation, scenario)
        self._made.sides += 1
        return There(self._link, self._made, self._made.sides - 1, self._fingerprints, home)

    def anew(self) -> Replacements | None:
        self._link.ask("again")
        self._made.generations += 1
        again = object.__new__(ReplacementsThere)
        again.__dict__.update(self.__dict__, _generation=self._made.generations)
        return again


@dataclass
class _Made:
    """What was made in the process so far: numbers for the next."""

    generations: int = 0
    sides: int = 0
    runs: int = 0


def _is_description(said: Any) -> bool:
    if not isinstance(said, dict) or said.keys() != {"fingerprints", "judged"}:
        return False
    names = said["fingerprints"]
    return (
        isinstance(said["judged"], str)
        and isinstance(names, dict)
        and len(names) > 0
        and names.keys() <= kernel_functions().keys()
        and all(isinstance(one, str) and re.fullmatch("[0-9a-f]{8}", one) for one in names.values())
    )


class There:
    """A side whose functions run at the other end of a link."""

    def __init__(
        self, link: Asks, made: _Made, number: int, names: Collection[str], layout: Layout
    ) -> None:
        self.names = names
        self.layout = layout
        self._link = link
        self._made = made
        self._number = number

    def runs(
        self, cpu: int, name: str, args: Sequence[Any], named: Mapping[str, Any], looks: int
    ) -> RunsThere:
        """The runs of a call."""
        self._made.runs += 1
        number = self._made.runs
        plain = [to_plain(arg) for arg in args]
        by_name = {key: to_plain(arg) for key, arg in named.items()}
        self._link.later("call", number, self._number, cpu, name, plain, by_name, looks)
        return RunsThere(self._link, number, cpu, name, self.layout)


@dataclass
class _History:
    """What was said after a list of results. `number` counts the histories from 0."""

    number: int
    steps: int
    answer: Answer
    after: dict[Any, _History] = field(default_factory=dict)


class RunsThere:
    """One call of a function of the other process."""

    def __init__(self, link: Asks, number: int, cpu: int, name: str, layout: Layout) -> None:
        self._link = link
        self._number = number
        self._cpu = cpu
        self._name = name
        self._layout = layout
        self._first: _History | None = None
        self._said: list[Any] = []
        """All that was said, in order, to compare with what is said again."""

    def answer(self, results: Sequence[Any]) -> Answer:
        """What the function does after these results, as its process says."""
        at = self._first
        if at is None:
            at = self._first = self._ask(-1, 0, None)
        for result in results:
            edge = exact(result)
            following = at.after.get(edge)
            if following is None:
                following = at.after[edge] = self._ask(at.number, at.steps + 1, result)
            at = following
        return at.answer

    def verify(self) -> None:
        """Have everything run again. Raises NondeterminismError or NotJudged if it differs."""
        if self._said and self._link.ask("verify", self._number) != digest(self._said):
            # One that is honest says itself what is unsteady, and where.
            self._link.breaks("does something else when it is asked again")

    def close(self) -> None:
        """End the current run."""
        self._link.later("close", self._number)

    def _ask(self, parent: int, steps: int, result: Any) -> _History:
        if steps > STEPS_PER_TASK:
            raise Undecided(
                f"cpu{self._cpu} took {STEPS_PER_TASK:,} steps in one execution of {self._name}, "
                "so the search has no end"
            )
        said = self._link.ask("after", self._number, parent, to_plain(result))
        try:
            answer = self._read(*said)
            self._said.append(said[0])
        except Exception:  # a reply of another form may fail anywhere
            self._link.breaks("says something that no function can do")
        return _History(len(self._said) - 1, steps, answer)

    def _read(self, plain: dict[str, Any], key: int | None) -> Answer:
        """The answer in a reply. Raises an error of Python's for what is no answer at all.

        A step or a value that this machine does not have is the function's mistake.
        """
        (parts,) = plain.values()
        step, places, ended, value, message = parts
        (where,) = map(_places, [places])
        fits = (
            plain.keys() == {"answer"}
            and (key is None or (type(key) is int and 0 <= key < 1 << 31))
            and ended in ("", "returned", "failed", "mistake")
            and (step is None) == (ended != "")
            and isinstance(message, str)
        )
        if not fits:
            raise ValueError(plain)
        message = clean(message)
        try:
            if step is not None:
                _must_be_text(step)
                if "step" not in step:
                    raise ValueError(step)
                asked = plain_from_abroad(from_plain(step, self._layout))
                return Answer(step=asked, where=where, key=key)
            if ended == "returned":
                _must_be_text(value)
                return Answer.returned(plain_from_abroad(from_plain(value, self._layout)))
        except ModelError as problem:
            who = who_asks(self._cpu, self._name, where)
            return Answer.mistake(where, clean(f"{who}: {problem}."))
        if ended == "mistake":
            return Answer.mistake(where, message)
        threw = from_plain(value, self._layout) if value is not None else None
        known = isinstance(threw, Threw) and threw.kind in EXCEPTIONS and type(threw.text) is str
        return Answer(ended="failed", where=where, message=message, value=threw if known else None)


def _places(plain: Any) -> tuple[Place, ...]:
    items = plain["tuple"]
    if len(items) > MOST_PLACES:
        raise ValueError("too many places")
    return tuple(_place(item) for item in items)


def _place(plain: Any) -> Place:
    function, file, line = plain["items"]
    if plain["named"] != "Place" or type(line) is not int or not 0 <= line < 1 << 31:
        raise ValueError("no place")
    return Place(clean(function, 200), clean(file, 500), line)


def _must_be_text(plain: Any) -> None:
    """Raise an error of Python's for texts that cannot be written down, wherever they stand."""
    if isinstance(plain, str):
        plain.encode()
    elif isinstance(plain, dict):
        for key, part in plain.items():
            key.encode()
            _must_be_text(part)
    elif isinstance(plain, list):
        for part in plain:
            _must_be_text(part)
