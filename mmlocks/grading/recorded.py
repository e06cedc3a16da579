"""What an answer's code did, as data: written while it is judged, and asked instead of the code.

`mmlocks.grading.recording` stands between the judge and a link, and keeps each question about the
functions with its reply. `Recorded` is the other end of such a record: it replies as the process
did, so the same code reads its replies, and trusts them as little. `result.schema.json` publishes
the form.

A call is the scenario, the CPU, the function and its arguments. Its automaton is a list of nodes:
`[answer, key, result, node, result, node, ...]`. Node 0 is its start. Each result leads to the node
that follows. Nodes with one key have the same local state.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from mmlocks.errors import GradingError, NotJudged, Undecided
from mmlocks.grading.link import OUT_OF_TIME, clean
from mmlocks.labs.serving import RAISED, digest

Automaton = list[list[Any]]

KEPT = ("NondeterminismError", "Undecided")
"""Errors in place of a reply that end in a verdict."""


class NotRecorded(NotJudged):
    """The search asks for something that the record does not have."""


class Recorded:
    """A link to a record, until `deadline`. `missing` is the first question without a reply.

    Raises GradingError for a record that is damaged.
    """

    def __init__(self, record: Mapping[str, Any], deadline: float) -> None:
        self.broken, self.hostile, self.missing = "", False, ""
        self._record = record
        self._deadline = deadline
        self._sides: list[str] = []
        self._runs: dict[int, _Asked] = {}
        values, places = record["values"], record["places"]
        for known in ("text", "judged", "fingerprints", "unsteady"):
            _sound(known in record, f"it lacks {known}")
        _sound(all(len(place) == 3 for place in places), "a place has not three parts")
        self._answers = [self._long(answer, places) for answer in record["answers"]]
        texts = [json.dumps(value) for value in values]
        _sound(len(set(texts)) == len(texts), "a value is there twice")
        self._values = {text: number for number, text in enumerate(texts)}
        for automaton in record["automata"]:
            _check(automaton, len(self._answers), len(values))
        self._calls: dict[str, Automaton] = {}
        for call in record["calls"]:
            _sound(len(call) == 6, "a call has not six parts")
            *asked, number = call
            _within(number, len(record["automata"]), "automata")
            self._calls[json.dumps(asked)] = record["automata"][number]
        _sound(len(self._calls) == len(record["calls"]), "a call is there twice")

    def _long(self, answer: Any, places: list[Any]) -> Any:
        if isinstance(answer, dict):
            kind, text = answer["raised"]
            _sound(kind in KEPT and isinstance(text, str), "an error is unknown")
            return answer
        _sound(isinstance(answer, list) and len(answer) == 5, "an answer has not five parts")
        step, numbers, ended, value, message = answer
        _sound(isinstance(numbers, list), "an answer has no list of places")
        for number in numbers:
            _within(number, len(places), "places")
        where = {"tuple": [{"named": "Place", "items": places[number]} for number in numbers]}
        return {"answer": [step, where, ended, value, message]}

    def later(self, *thing: Any) -> None:
        """See Asks."""
        match thing:
            case ("side", _generation, scenario):
                self._sides.append(scenario)
            case ("call", number, side, cpu, name, args, named, _looks):
                call = [self._sides[side], cpu, name, args, named]
                self._runs[number] = _Asked(call, self._calls.get(json.dumps(call)))

    def ask(self, *thing: Any) -> Any:
        """See Asks. Raises NotRecorded if there is no reply, and ever after."""
        if self.broken:
            raise NotJudged(self.broken)
        if self.missing:
            raise NotRecorded(self.missing)
        if time.monotonic() >= self._deadline:
            raise Undecided(OUT_OF_TIME)
        match thing:
            case ("describe",):
                return {name: self._record[name] for name in ("fingerprints", "judged")}
            case ("verify", number):
                return digest(self._runs[number].said)
            case ("after", number, parent, result):
                return self._after(self._runs[number], parent, result)
        raise NotImplementedError(thing)

    def breaks(self, did: str) -> NoReturn:
        """See Asks."""
        self.hostile = True
        self.broken = f"the record of what the code did {did}"
        raise NotJudged(self.broken)

    def _after(self, asked: _Asked, parent: int, result: Any) -> Any:
        node = asked.after(parent, self._values.get(json.dumps(result)))
        if node is None or asked.automaton is None:
            told = f" once it is told {json.dumps(result)}" if parent >= 0 else ""
            scenario, cpu, name, args, _ = asked.call
            self.missing = clean(
                f"what {name}({json.dumps(args)}) does on cpu{cpu} of {scenario}{told}", 400
            )
            raise NotRecorded(self.missing)
        answer, key = asked.automaton[node][:2]
        plain = self._answers[answer]
        if "raised" in plain:
            kind, text = plain["raised"]
            raise RAISED[kind](clean(text))
        asked.nodes.append(node)
        asked.said.append(plain)
        return [plain, key]


class _Asked:
    """A call that is asked about: the node of each history, and what was said."""

    def __init__(self, call: list[Any], automaton: Automaton | None) -> None:
        self.call = call
        self.automaton = automaton
        self.nodes: list[int] = []
        self.said: list[Any] = []

    def after(self, parent: int, result: int | None) -> int | None:
        """The node that follows; None if it is not known."""
        if parent < 0:
            return 0
        if self.automaton is None or result is None:
            return None
        edges = self.automaton[self.nodes[parent]]
        for at in range(2, len(edges), 2):
            if edges[at] == result:
                found: int = edges[at + 1]
                return found
        return None


def _check(automaton: Any, answers: int, values: int) -> None:
    _sound(isinstance(automaton, list) and len(automaton) > 0, "an automaton has no start")
    for node in automaton:
        _sound(len(node) >= 2 and len(node) % 2 == 0, "a node has an edge without an end")
        _within(node[0], answers, "answers")
        _sound(node[1] is None or (type(node[1]) is int and node[1] >= 0), "a key is no number")
        for result, following in zip(node[2::2], node[3::2], strict=True):
            _within(result, values, "values")
            _within(following, len(automaton), "nodes")


def _within(number: Any, many: int, what: str) -> None:
    _sound(type(number) is int and 0 <= number < many, f"one of the {what} it names is not there")


def _sound(holds: bool, wrong: str) -> None:
    if not holds:
        raise GradingError(f"the record of what the code did is damaged: {wrong}.")
