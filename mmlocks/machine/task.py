"""A task as an automaton that grows as it is used: nodes are pending steps, edges are results.

The search never runs a coroutine twice through the same moment. It asks the task which node follows
a node after a result. Python code runs only the first time. The supplier decides where it runs: in
a coroutine of this process (`mmlocks.machine.coroutine`), or in a process that the judge need not
trust.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol

from mmlocks.errors import ModelError
from mmlocks.machine.state import PC_BITS, Layout
from mmlocks.machine.step import NOTHING, Footprint, footprint_of
from mmlocks.machine.values import Step, exact

PACKAGE = Path(__file__).resolve().parents[1]


def line_of(frame: FrameType) -> int:
    """The line at which a frame stands; that of its function while Python has none."""
    line: int | None = frame.f_lineno
    return frame.f_code.co_firstlineno if line is None else line


class Place(NamedTuple):
    """A line of a running function."""

    function: str
    file: str
    line: int

    @classmethod
    def of(cls, frame: FrameType) -> Place:
        """Where a frame stands."""
        code = frame.f_code
        return cls(code.co_name, code.co_filename, line_of(frame))

    @property
    def spot(self) -> str:
        """The place for a message: `mm/fork.py:41`, or `your cell, line 7` in a notebook."""
        file = Path(self.file)
        if file.is_relative_to(PACKAGE):
            return f"{file.relative_to(PACKAGE).as_posix()}:{self.line}"
        if self.file.startswith("<") or re.search(r"ipykernel_\d+", self.file):
            return f"your cell, line {self.line}"
        return f"{file.name}, line {self.line}"


@dataclass(frozen=True)
class Answer:
    """What a task does next: a step, or how it ended. All plain values, except `key`.

    `ended` is "" while the task runs, "returned", "failed" (an exception in its code), or "mistake"
    (its author broke a rule of the machine). Two answers with the same `key` have the same future;
    None means that we cannot tell. Where a `together` is taken apart, `part` is the number of the
    step, from 0, among its `parts`.
    """

    step: Step | None = None
    where: tuple[Place, ...] = ()
    key: Hashable | None = None
    ended: str = ""
    value: Any = None
    message: str = ""
    part: int = 0
    parts: int = 1

    @classmethod
    def returned(cls, value: Any) -> Answer:
        """The task came to its end."""
        return cls(ended="returned", value=value)

    @classmethod
    def failed(cls, where: tuple[Place, ...], message: str) -> Answer:
        """The task's code raised an exception."""
        return cls(where=where, ended="failed", message=message)

    @classmethod
    def mistake(cls, where: tuple[Place, ...], message: str) -> Answer:
        """The task's code broke a rule of the machine."""
        return cls(where=where, ended="mistake", message=message)


class Ended(BaseException):
    """Raised through the kernel's functions when a foreign function failed or broke a rule.

    The task ends with this answer.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer


class Supplier(Protocol):
    """What knows a task's code."""

    def answer(self, results: Sequence[Any]) -> Answer:
        """What the task does after it has received `results`, from its start."""

    def verify(self) -> None:
        """Raise NondeterminismError if the code, asked again, would answer otherwise."""


@dataclass(eq=False)
class Node:
    """One moment of a task: the step that it is about to take, and what is known of its future."""

    index: int
    answer: Answer
    history: tuple[Any, ...]
    footprint: Footprint = NOTHING
    looks: int = 0
    """Cells that watches must see beside those in the footprint (see `mmlocks.machine.Watch`)."""
    project: int = 0
    """Bits of the packed state on which the step's outcome depends."""
    outcomes: dict[int, Any] = field(default_factory=dict)
    """Projected state -> outcome, filled by `Machine`: what makes a step cost two dict look-ups."""
    accesses: dict[int, Footprint] = field(default_factory=dict)
    """Projected state -> what the step really touches there, at most its footprint.

    For a blocked step: what it looked at and found blocked.
    """
    touched: Footprint = NOTHING
    """All that the step was seen to touch so far."""
    edges: dict[Any, int] = field(default_factory=dict)
    """The node that follows each result, by its `exact` key. `results` has the same order."""
    results: list[Any] = field(default_factory=list)

    @property
    def step(self) -> Step | None:
        """The pending step; None at an end."""
        return self.answer.step


class Task:
    """The automaton of one CPU's program."""

    def __init__(
        self,
        layout: Layout,
        cpu: int,
        name: str,
        supplier: Supplier,
        looks_at: Callable[[int, Step], int] = lambda cpu, step: 0,
    ) -> None:
        self.layout = layout
        self.cpu = cpu
        self.name = name
        self._looks_at = looks_at
        self.nodes: list[Node] = []
        """Only ever grows, so code that holds this list sees every node."""
        self.growth = 0
        """Counts new nodes and edges, for code that depends on the automaton's shape."""
        self._supplier = supplier
        self._by_key: dict[Hashable, int] = {}
        self._node(())

    def after(self, node: Node, result: Any) -> int:
        """Index of the node that follows when `node`'s step returned `result`."""
        edge = exact(result)
        index = node.edges.get(edge)
        if index is None:
            index = self._node((*node.history, result))
            self.connect(node, result, index)
        return index

    def connect(self, node: Node, result: Any, index: int) -> None:
        """Note that node `index` follows when `node`'s step returns `result`."""
        node.edges[exact(result)] = index
        node.results.append(result)
        self.growth += 1

    def verify(self) -> None:
        """Raise NondeterminismError if the code, asked again, answers otherwise."""
        self._supplier.verify()

    def _node(self, history: tuple[Any, ...]) -> int:
        return self.place(self._supplier.answer(history), history)

    def place(self, answer: Answer, history: tuple[Any, ...]) -> int:
        """Index of the node for an answer: a known one that has the same future, or a new one."""
        footprint, looks, project = NOTHING, 0, 0
        if answer.step is not None:
            try:
                hash(answer.step)
                footprint = footprint_of(self.layout, self.cpu, answer.step)
                looks = self._looks_at(self.cpu, answer.step)
                project = self._bits(footprint.reads | footprint.writes | footprint.adds | looks)
            except Exception as problem:  # the step's arguments come from the task: anything
                answer = Answer.mistake(
                    answer.where, cannot_happen(self.cpu, answer.step, answer.where, problem)
                )
        key = self._key(answer)
        index = self._by_key.get(key) if key is not None else None
        if index is not None:
            return index
        index = len(self.nodes)
        if index >= 1 << PC_BITS:
            raise ModelError(
                f"cpu{self.cpu}: the task {self.name} has more than {index} distinct positions; "
                "is it endless?"
            )
        node = Node(index, answer, history, footprint, looks, project)
        if answer.step is None:  # nothing happens any more, in any state
            node.outcomes[0], node.accesses[0] = None, NOTHING
        self.nodes.append(node)
        if key is not None:
            self._by_key[key] = index
        self.growth += 1
        return index

    @staticmethod
    def _key(answer: Answer) -> Hashable | None:
        """Equal for answers with the same future; None if that is not known."""
        if answer.step is None:
            return "end", answer.ended, repr(answer.value), answer.message
        return None if answer.key is None else (answer.step, answer.key)

    def _bits(self, touched: int) -> int:
        """The bits of the packed state that belong to these cells."""
        mask = 0
        while touched:
            lowest = touched & -touched
            mask |= self.layout.cells[lowest.bit_length() - 1].mask
            touched ^= lowest
        return mask


def cannot_happen(cpu: int, step: Step, where: tuple[Place, ...], problem: Exception) -> str:
    """The sentence about a step that makes no sense to the machine."""
    why = (
        str(problem) if isinstance(problem, ModelError) else f"{type(problem).__name__}: {problem}"
    )
    return (
        f"cpu{cpu}: the step {step!r}{at(where)} cannot be carried out. {why}. "
        "Check what you passed to it."
    )


def at(where: tuple[Place, ...]) -> str:
    """` in dup_mmap (your cell, line 7)`, for a sentence; nothing where no place is known."""
    return f" in {where[-1].function} ({where[-1].spot})" if where else ""


class SplitSupplier:
    """The same program with every `together` taken one part at a time."""

    def __init__(self, whole: Supplier) -> None:
        self._whole = whole
        self._start: _Part | None = None

    def answer(self, results: Sequence[Any]) -> Answer:
        """The next part, or the next whole step where there are no parts."""
        if self._start is None:
            self._start = _Part((), (), self._whole.answer(()))
        at = self._start
        for result in results:
            edge = exact(result)
            following = at.after.get(edge)
            if following is None:
                following = at.after[edge] = self._following(at, result)
            at = following
        return at.answer

    def _following(self, at: _Part, result: Any) -> _Part:
        step, done = at.whole.step, (*at.done, result)
        if step is not None and step.op == "together" and len(done) < len(step.args):
            return _Part(at.told, done, at.whole)
        told = (*at.told, done if step is not None and step.op == "together" else result)
        return _Part(told, (), self._whole.answer(told))

    def verify(self) -> None:
        """As the whole program."""
        self._whole.verify()


class _Part:
    """A moment of a program that is taken apart.

    `told` are the results that the whole program has received; `done` those of the parts of its
    pending step so far.
    """

    def __init__(self, told: tuple[Any, ...], done: tuple[Any, ...], whole: Answer) -> None:
        self.told = told
        self.done = done
        self.whole = whole
        self.after: dict[Any, _Part] = {}
        step = whole.step
        self.answer = whole
        if step is not None and step.op == "together":
            key = None if whole.key is None else (whole.key, exact(done))
            self.answer = Answer(
                step=step.args[len(done)],
                where=whole.where,
                key=key,
                part=len(done),
                parts=len(step.args),
            )
