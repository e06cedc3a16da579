"""Which known mistake an answer behaves like.

The behaviour of an answer is what each scenario of the lab's diagnosis says of it: which oracle
rejects it, what the kernel did on each CPU in the shortest bad run, and what it does if the CPUs
run one after the other. The text of the answer plays no part. The behaviour of every wrong fix in
the lab's bank is known beforehand (`behaviours.json` in the lab's folder). An answer gets the name
of the mistake that its nearest neighbours make; it gets none if they make different ones, or if
none is near.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from math import fsum, log
from pathlib import Path
from typing import Any, NamedTuple

from mmlocks.errors import MmlocksError
from mmlocks.machine import Run
from mmlocks.machine.step import parts
from mmlocks.scenarios import Checked
from mmlocks.sentences import counted

NEAR = 0.5
"""The least likeness, from 0 to 1, at which an answer gets the name of a mistake."""
MARGIN = 0.001
"""How much nearer it must be than any fix with another mistake."""
REJECTED = 0.4
"""How much it counts that the same oracle rejects both; what the kernel did up to there counts the
rest."""
SILENT = {"load", "rcu_read_lock", "rcu_read_unlock"}
"""Operations that change nothing which other CPUs see."""


class Rejection(NamedTuple):
    """How a scenario rejects an answer.

    The oracle, its message without numbers, what the kernel did on each CPU in the shortest bad
    run, and what it does if the CPUs run one after the other.
    """

    oracle: str
    message: str
    deeds: tuple[str, ...]
    alone: tuple[str, ...]


Behaviour = Mapping[str, Rejection | None]
"""By scenario: how it rejects an answer, or None if it finds nothing. Others were not searched."""


def behaviour_in(searched: Iterable[tuple[str, Checked]]) -> dict[str, Rejection | None]:
    """The behaviour that searches have shown. A search without a result says nothing."""
    found: dict[str, Rejection | None] = {}
    for name, checked in searched:
        verdict = checked.verdict
        if verdict.violation is not None:
            oracle, message = verdict.violation
            message = re.sub(r"`[^`]*`|\([^)]*\)|\d+", "", message)
            found[name] = Rejection(oracle, message, _deeds(_bad(checked)), _deeds(_alone(checked)))
        elif verdict.outcome == "safe":
            found[name] = None
    return found


def _bad(checked: Checked) -> Run | None:
    try:
        return checked.run
    except MmlocksError:  # an answer that is not deterministic cannot be replayed
        return None


def _alone(checked: Checked) -> Run | None:
    """The run in which the CPUs come one after the other, or the next one if one has to wait."""
    try:
        run = Run.of(checked.machine)
        seen: set[int] = set()
        while run.state not in seen and (able := run.enabled()):
            seen.add(run.state)
            run = run.step(able[0])
    except MmlocksError:
        return None
    return run


def _deeds(run: Run | None) -> tuple[str, ...]:
    """What the kernel did in a run on each CPU, one CPU after the other."""
    if run is None:
        return ()
    return tuple(deed for cpu in run.machine.cpus for deed in _of_cpu(run, cpu))


def _of_cpu(run: Run, cpu: int) -> list[str]:
    cells = run.machine.layout.cells
    found = []
    for taken in run.taken:
        if taken.cpu != cpu:
            continue
        for part in parts(taken.step):
            if part.op not in SILENT:
                about = part.args[0] if part.args else ""
                name = cells[about].name if type(about) is int and about < len(cells) else about
                found.append(f"cpu{cpu} {part.op} {name}")
    return found


Features = Mapping[str, frozenset[str]]
"""By scenario: what can be told of a rejection, one short text for each thing."""


class Known:
    """The behaviours of a bank's wrong fixes, and the mistake that each of them makes."""

    def __init__(self, behaviours: Mapping[str, Behaviour], mistakes: Mapping[str, str]) -> None:
        self.behaviours = behaviours
        self.mistakes = mistakes
        self._features = {
            name: {story: features(found) for story, found in behaviour.items() if found}
            for name, behaviour in behaviours.items()
        }
        self._often = Counter(
            (story, one)
            for told in self._features.values()
            for story, all_of_it in told.items()
            for one in all_of_it
        )

    def nearest(self, behaviour: Behaviour, without: str = "") -> Likeness | None:
        """The mistake that the nearest fixes make; None if none is near, or if they differ.

        The fix `without` is left out, as if the bank did not have it.
        """
        mine = {story: features(found) for story, found in behaviour.items() if found}
        ranked = sorted(
            (
                (self._likeness(behaviour, mine, other), other)
                for other in self.behaviours.keys() - {without}
                if other in self.mistakes
            ),
            key=lambda pair: (-pair[0], pair[1]),
        )
        if not ranked or ranked[0][0] < NEAR:
            return None
        score, name = ranked[0]
        mistake = self.mistakes[name]
        rivals = (one for one, other in ranked if self.mistakes[other] != mistake)
        if score - next(rivals, 0.0) < MARGIN:
            return None
        other = self.behaviours[name]
        both = _rejecting(behaviour, other)
        agree = tuple(story for story in both if _same(behaviour[story], other[story]))
        return Likeness(mistake, name, score, agree, both)

    def _likeness(self, behaviour: Behaviour, mine: Features, name: str) -> float:
        """How alike two behaviours are, from 0 to 1, where a scenario rejects at least one."""
        other, theirs = self.behaviours[name], self._features[name]
        both = _rejecting(behaviour, other)
        if not both:
            return 0.0
        total = 0.0
        for story in both:
            if _same(behaviour[story], other[story]):
                alike = self._shared(story, mine[story], theirs[story])
                total += REJECTED + (1 - REJECTED) * alike
        return round(total / len(both), 6)

    def _shared(self, story: str, one: frozenset[str], other: frozenset[str]) -> float:
        """How much of what can be told is told of both: what few fixes do weighs more."""
        everything = self._weight(story, one | other)
        return self._weight(story, one & other) / everything if everything else 1.0

    def _weight(self, story: str, told: Iterable[str]) -> float:
        fixes = len(self.behaviours) + 1
        return fsum(log(fixes / (1 + self._often[story, one])) for one in told)


@dataclass(frozen=True)
class Likeness:
    """The mistake that an answer behaves like: "yours behaves like: ...".

    `fix` is the nearest known fix, `score` how near it is. Of the scenarios `of` that reject
    either, `agree` are those that reject both by the same oracle.
    """

    mistake: str
    fix: str
    score: float
    agree: tuple[str, ...]
    of: tuple[str, ...]

    def __str__(self) -> str:
        agree = f"{len(self.agree)} of {counted(len(self.of), 'scenario')}"
        verb = "agree" if len(self.of) > 1 else "agrees"
        return f"Yours behaves like: {self.mistake}; {agree} {verb}."


def features(found: Rejection) -> frozenset[str]:
    """What can be told of a rejection: its words, each deed, and which deed comes before which."""
    return frozenset(
        (
            *_told(found.deeds, pairwise),
            *(f"alone: {one}" for one in _told(found.alone, _first_pairs)),
            *(f"says {word}" for word in found.message.split()),
        )
    )


def _told(
    deeds: Sequence[str], pairs: Callable[[Sequence[str]], Iterable[tuple[str, str]]]
) -> Iterator[str]:
    often: Counter[str] = Counter()
    for deed in deeds:
        often[deed] += 1
        yield f"{deed} {often[deed]}"
    for first, then in pairs(deeds):
        if first.partition(" ")[0] == then.partition(" ")[0]:  # on the same CPU
            yield f"{first}; {then}"


def _first_pairs(deeds: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Which deed is done before which, for the first time."""
    return combinations(dict.fromkeys(deeds), 2)


def _rejecting(one: Behaviour, other: Behaviour) -> tuple[str, ...]:
    """The scenarios known of both that reject at least one of them."""
    return tuple(sorted(name for name in one.keys() & other.keys() if one[name] or other[name]))


def _same(one: Rejection | None, other: Rejection | None) -> bool:
    return one is not None and other is not None and one.oracle == other.oracle


# -- kept in a file --------------------------------------------------------------------------------


def written(behaviours: Mapping[str, Behaviour]) -> str:
    """The text of a `behaviours.json`. Words that come up often are written once."""
    words: dict[str, int] = {}

    def number(word: str) -> int:
        return words.setdefault(word, len(words))

    def numbers(deeds: Sequence[str]) -> str:
        return " ".join(str(number(deed)) for deed in deeds)

    fixes = {
        fix: {
            name: [found.oracle, found.message, numbers(found.deeds), numbers(found.alone)]
            if found is not None
            else None
            for name, found in behaviour.items()
        }
        for fix, behaviour in behaviours.items()
    }
    return json.dumps({"words": list(words), "fixes": fixes}, indent=0) + "\n"


@cache
def known_in(file: Path) -> Mapping[str, Behaviour]:
    """The behaviours in a `behaviours.json`; none where there is no such file."""
    if not file.is_file():
        return {}
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    words = told["words"]

    def rejection(row: list[str] | None) -> Rejection | None:
        if row is None:
            return None
        deeds, alone = (tuple(words[int(at)] for at in numbers.split()) for numbers in row[2:])
        return Rejection(row[0], row[1], deeds, alone)

    return {
        fix: {name: rejection(row) for name, row in rows.items()}
        for fix, rows in told["fixes"].items()
    }
