"""Writing down what an answer's code does while it is judged (see `mmlocks.grading.recorded`)."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from mmlocks.errors import NondeterminismError, Undecided
from mmlocks.grading.link import OUT_OF_TIME, Asks, clean
from mmlocks.grading.recorded import Automaton
from mmlocks.labs.lab import Judgement


class _Table:
    """Plain values by their number. Each is there once."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, item: Any) -> int:
        text = json.dumps(item)
        number = self._numbers.setdefault(text, len(self.items))
        if number == len(self.items):
            self.items.append(item)
        return number


class _Tree:
    """All that was said of one call: a tree of histories, `[answer, keys, {result: node}]`.

    The process numbers its keys anew for each run of the call. So `keys` has run and number.
    """

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.keys: list[set[tuple[int, int]]] = []
        self.after: list[dict[int, int]] = []

    def node(self, answer: int) -> int:
        self.answers.append(answer)
        self.keys.append(set())
        self.after.append({})
        return len(self.answers) - 1

    def automaton(self) -> Automaton:
        """The smallest form: nodes of one key are one node, unless their futures differ."""
        names = self._names()
        merged = self._merged(names)
        if merged is not None:
            return merged
        return [
            [answer, names[node], *(part for edge in self.after[node].items() for part in edge)]
            for node, answer in enumerate(self.answers)
        ]

    def _names(self) -> list[int | None]:
        """One key for each node, or None. Keys of several runs that meet at a node are one."""
        known: dict[tuple[int, int], int] = {}
        names: list[int | None] = []
        for keys in self.keys:
            name = next((known[key] for key in sorted(keys) if key in known), len(known))
            for key in keys:
                known.setdefault(key, name)
            names.append(name if keys else None)
        return names

    def _merged(self, names: list[int | None]) -> Automaton | None:
        places: dict[Any, int] = {}
        of: list[int] = []
        for node, (answer, name) in enumerate(zip(self.answers, names, strict=True)):
            ends = not self.after[node] and name is None
            kind = ("end", answer) if ends else ("own", node) if name is None else ("key", name)
            of.append(places.setdefault(kind, len(places)))
        made: list[dict[int, int]] = [{} for _ in places]
        answers: dict[int, tuple[int, int | None]] = {}
        for node, place in enumerate(of):
            mine = self.answers[node], names[node]
            if answers.setdefault(place, mine) != mine:
                return None
            for result, following in self.after[node].items():
                if made[place].setdefault(result, of[following]) != of[following]:
                    return None
        return [
            [*answers[place], *(part for edge in after.items() for part in edge)]
            for place, after in enumerate(made)
        ]


class Recording:
    """A link that keeps what is said of the functions. Functions made anew are not kept."""

    def __init__(self, link: Asks) -> None:
        self._link = link
        self._values, self._answers, self._places = _Table(), _Table(), _Table()
        self._sides: list[str | None] = []
        self._trees: dict[str, tuple[list[Any], _Tree]] = {}
        self._runs: dict[int, tuple[_Tree, list[int]]] = {}
        self._described: dict[str, Any] = {}
        self.unsteady: list[str] = []
        """What was seen by running the code again, and that no record can show."""

    def later(self, *thing: Any) -> None:
        """See Asks."""
        match thing:
            case ("side", generation, scenario):
                self._sides.append(scenario if generation == 0 else None)
            case ("call", number, side, cpu, name, args, named, _looks):
                scenario = self._sides[side]
                if scenario is not None:
                    call = [scenario, cpu, name, args, named]
                    _, tree = self._trees.setdefault(json.dumps(call), (call, _Tree()))
                    self._runs[number] = tree, []
        self._link.later(*thing)

    def ask(self, *thing: Any) -> Any:
        """See Asks."""
        what, *rest = thing
        try:
            said = self._link.ask(*thing)
        except (NondeterminismError, Undecided) as problem:
            if what == "after" and str(problem) != OUT_OF_TIME:
                kind = type(problem).__name__
                self._keep(rest, plain={"raised": [kind, str(problem)]}, key=None)
            elif isinstance(problem, NondeterminismError):
                self.unsteady.append(str(problem))
            raise
        if what == "describe":
            self._described = said
        elif what == "after" and _is_reply(said):
            plain, key = said
            self._keep(rest, plain, key)
        return said

    def breaks(self, did: str) -> NoReturn:
        """See Asks."""
        self._link.breaks(did)

    def _keep(self, asked: list[Any], plain: Any, key: int | None) -> None:
        number, parent, result = asked
        if number not in self._runs:
            return
        tree, nodes = self._runs[number]
        answer = self._answers.number(self._short(plain))
        if parent < 0:
            node = 0 if tree.answers else tree.node(answer)
        else:
            edge, after = self._values.number(result), tree.after[nodes[parent]]
            if edge not in after:
                after[edge] = tree.node(answer)
            node = after[edge]
        if key is not None:
            tree.keys[node].add((number, key))
        if "answer" in plain:
            nodes.append(node)

    def _short(self, plain: Any) -> Any:
        """An answer with the numbers of its places."""
        if "answer" not in plain:
            return plain
        step, where, ended, value, message = plain["answer"]
        places = [self._places.number(place["items"]) for place in where["tuple"]]
        return [step, places, ended, value, message]

    def record(self, text: str, judgement: Judgement | None = None) -> dict[str, Any]:
        """All that was kept, as JSON. `text` is what stands for the answer."""
        searched = judgement.examination.searched.values() if judgement is not None else ()
        for verdict in (each.verdict for each in searched):
            if verdict.violation is not None and verdict.schedule is None:
                self.unsteady.append(verdict.violation.message)
        automata, calls = _Table(), []
        for call, tree in self._trees.values():
            if tree.answers:
                calls.append([*call, automata.number(tree.automaton())])
        return {
            "text": text,
            **self._described,
            "unsteady": [clean(each) for each in dict.fromkeys(self.unsteady)],
            "values": self._values.items,
            "places": self._places.items,
            "answers": self._answers.items,
            "automata": automata.items,
            "calls": calls,
        }


def _is_reply(said: Any) -> bool:
    """Whether it has the parts of an answer; what is no answer ends the link later."""
    try:
        plain, key = said
        step, where, ended, value, message = plain["answer"]
        json.dumps([step, ended, value, message]).encode()
        return all(len(place["items"]) == 3 for place in where["tuple"]) and (
            key is None or type(key) is int
        )
    except Exception:
        return False
