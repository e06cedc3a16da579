"""Foreign functions: where a learner's code ends and the kernel's begins.

A learner's function never runs inside the kernel. The kernel calls a stand-in, which asks: "your
function was called with these arguments, and was told these results since. What does it ask for
next?" The answer is a step, a call of a kernel function, a value that it returns, or an exception.
All of these are plain values (see `mmlocks.machine.wire`), so the function may run in this process
or in another one (see `mmlocks.machine.side`). `mmlocks.machine.crossing` is the kernel's side of
such a call.

Each call of a foreign function is an automaton that grows as it is used, like a task. A `Stop` is a
moment of it. Two stops are merged if the code's local state is the same. But the code may keep more
than that: in a global variable, a class, a module. So no merge is trusted. `Foreign.verify` runs on
from each moment that was merged away, and checks that the code does the same there.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mmlocks.errors import ModelError, NondeterminismError
from mmlocks.machine.coroutine import SECOND_LOOKS
from mmlocks.machine.crossing import Stop, crossing, crossing_anew, nothing
from mmlocks.machine.loops import Paused
from mmlocks.machine.mistakes import what_it_did
from mmlocks.machine.moment import SHOWN_AS
from mmlocks.machine.side import Runs, Side, who_asks
from mmlocks.machine.state import Layout, Outlasting
from mmlocks.machine.task import Answer
from mmlocks.machine.values import UNAWAITED, Step, exact
from mmlocks.machine.wire import from_plain, to_plain

Rules = Callable[[str, Answer, tuple[Any, ...]], str]
"""Says why a function of that name may not ask for this after these values; "" if it may."""

TRIES = 2_000
"""Runs to verify the merges of one call, at most. If more are needed, nothing is merged."""

LIVES_ON = (
    "Something lives on from one call to the next, or is shared between CPUs: a global variable, a "
    "class attribute, a default argument. Kernel code must depend on shared state (fields, locks) "
    "and on its local variables alone."
)


class MergedWrongly(Exception):
    """Two moments of a foreign function were taken for one, and its code goes on differently."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Foreign(Outlasting):
    """One CPU's foreign functions.

    They run on a `side` whose handles are laid out as those of `home` are. `rules` decide which
    steps they may ask for. What a function in `silent` returns is of no use to its callers. Moments
    of the functions in `unmerged` are told apart by their whole history: slower, and always right.
    """

    def __init__(
        self,
        cpu: int,
        side: Side,
        home: Layout,
        rules: Rules,
        silent: frozenset[str] = frozenset(),
        unmerged: frozenset[str] = frozenset(),
    ) -> None:
        self.cpu = cpu
        self.side = side
        self.home = home
        self.rules = rules
        self.silent = silent
        self.unmerged = unmerged
        self.kernel: Callable[[str, str], Callable[..., Coroutine[Step, Any, Any]]] | None = None
        """Gives the kernel function of a name to the foreign function of another name.

        The linker sets it.
        """
        self.anew = False
        """Whether calls run the foreign code itself, from its start (see `mmlocks.machine.anew`).

        What it does must then be what it was seen to do before.
        """
        self._visits: dict[Any, Visit] = {}

    def stand_in(self, name: str) -> Callable[..., Coroutine[Step, Any, Any]]:
        """What the kernel calls in place of the foreign function."""

        async def stand_in(*args: Any, **named: Any) -> Any:
            visit = self.visit(name, args, named)
            return await (crossing_anew(visit) if self.anew else crossing(visit.start))

        stand_in.__name__ = stand_in.__qualname__ = name
        SHOWN_AS[stand_in.__code__] = nothing
        return stand_in

    def visit(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Visit:
        """The automaton of a call with these arguments."""
        key = name, exact(args), exact(tuple(named.items()))
        if key not in self._visits:
            self._visits[key] = Visit(self, name, args, named)
        return self._visits[key]

    @property
    def calls(self) -> int:
        """How many different calls there were."""
        return len(self._visits)

    def verify(self, again: Side | None = None) -> None:
        """Run everything again, and for the first time what was merged away.

        `again` has the same functions, newly made, and handles that no code has seen yet. With them
        each history must come out as before, or something lives on from call to call.

        Raises NondeterminismError if code does something else after the same results, and
        MergedWrongly if two moments that were merged are not the same.
        """
        for visit in list(self._visits.values()):
            visit.verify()
            visit.verify_merges()
            if again is not None:
                visit.verify_in(again)


class Visit(Outlasting):
    """One call of a foreign function: the automaton of what it asks for."""

    def __init__(
        self, foreign: Foreign, name: str, args: tuple[Any, ...], named: Mapping[str, Any]
    ) -> None:
        self.foreign = foreign
        self.name = name
        self.args = args
        self.named = named
        self.stops: list[Stop] = []
        self._supplier = self._runs(foreign.side)
        self._by_key: dict[Any, Stop] = {}
        self._merged: list[tuple[tuple[Any, ...], Stop]] = []
        """Histories that lead to a stop which was known already."""
        self.start = self._stop((), ())

    def _runs(self, side: Side, looks: int = SECOND_LOOKS) -> Runs:
        return side.runs(self.foreign.cpu, self.name, self.args, self.named, looks)

    def after(self, stop: Stop, result: Any) -> Stop:
        """The stop that follows once the function was told `result`."""
        edge = exact(result)
        following = stop.after.get(edge)
        if following is None:
            told = from_plain(to_plain(result), self.foreign.side.layout)
            following = stop.after[edge] = self._stop((*stop.history, result), (*stop.sent, told))
            stop.results.append(result)
        return following

    def _stop(self, history: tuple[Any, ...], sent: tuple[Any, ...]) -> Stop:
        """The stop at the end of a history: a known one if the local state is the same."""
        answer = self._ask(self._supplier, history, sent)
        key: Any = None
        if answer.step is None:
            key = "end", answer.ended, exact(answer.value), answer.message
        elif answer.key is not None and self.name not in self.foreign.unmerged:
            key = answer.step, answer.key
        known = self._by_key.get(key) if key is not None else None
        if known is not None:
            if answer.step is not None:
                self._merged.append((history, known))
            return known
        stop = Stop(self, answer, history, sent)
        self.stops.append(stop)
        if key is not None:
            self._by_key[key] = stop
        return stop

    def once_more(self) -> Generator[Stop, Any, None]:
        """The call again, from its start: yields each stop, and is sent the result of each.

        Raises NondeterminismError where the code does something else than it did.
        """
        supplier = self._runs(self.foreign.side, looks=0)
        try:
            yield from self._held_to(supplier)
        finally:
            supplier.close()

    def _held_to(self, supplier: Runs) -> Generator[Stop, Any, None]:
        """The code that `supplier` runs must do what is known of it."""
        stop = self.start
        history: tuple[Any, ...] = ()
        while True:
            found = self._ask(supplier, history, self._sent(history, self.foreign.side.layout))
            if not _same(found, stop.answer):
                raise NondeterminismError(
                    f"cpu{self.foreign.cpu}: {self.name} does something else when other calls of "
                    "the answer's functions came before it: "
                    f"{what_it_did(found)}, not {what_it_did(stop.answer)}. {LIVES_ON}"
                )
            result = yield stop
            history = (*history, result)
            stop = self.after(stop, result)

    def _ask(self, supplier: Runs, history: tuple[Any, ...], sent: tuple[Any, ...]) -> Answer:
        """What the code asks for after these results, in handles of this side.

        A mistake if it may not ask for that.
        """
        # The calling task notes the steps that it builds itself. Those below are not its own.
        outer, UNAWAITED.steps = UNAWAITED.steps, None
        try:
            with Paused():
                return self._asked(supplier, history, sent)
        finally:
            UNAWAITED.steps = outer

    def _asked(self, supplier: Runs, history: tuple[Any, ...], sent: tuple[Any, ...]) -> Answer:
        answer = supplier.answer(sent)
        who = who_asks(self.foreign.cpu, self.name, answer.where)
        try:
            answer = self._brought_home(answer)
        except ModelError as problem:
            return Answer.mistake(answer.where, f"{who}: {problem}.")
        if answer.step is None:
            return answer
        given = (*self.args, *self.named.values(), *history)
        refused = self.foreign.rules(self.name, answer, given)
        if not refused:
            return answer
        return Answer.mistake(answer.where, f"{who}: {refused}")

    def _brought_home(self, answer: Answer) -> Answer:
        """The same answer with handles of the kernel's side.

        Raises ModelError for a handle or a step that the kernel does not have.
        """
        if answer.step is not None:
            return replace(answer, step=self._home(answer.step))
        if answer.ended == "returned" and self.name in self.foreign.silent:
            return replace(answer, value=None)
        return replace(answer, value=self._home(answer.value))

    def _sent(self, history: tuple[Any, ...], there: Layout) -> tuple[Any, ...]:
        return tuple(from_plain(to_plain(result), there) for result in history)

    def _home(self, value: Any) -> Any:
        return from_plain(to_plain(value), self.foreign.home)

    # -- is what was seen true? --------------------------------------------------------------------

    def verify(self) -> None:
        """Raise NondeterminismError if the code, asked again, answers otherwise."""
        self._supplier.verify()

    def verify_in(self, again: Side) -> None:
        """The same with functions that were newly made.

        Raises NondeterminismError if what they do depends on what was done before.
        """
        supplier = self._runs(again)
        for stop in self.stops:
            if stop.after:
                continue
            for history, expected in self._way(stop):
                found = self._ask(supplier, history, self._sent(history, again.layout))
                if not _same(found, expected):
                    raise NondeterminismError(
                        f"cpu{self.foreign.cpu}: {self.name} does something else when it is called "
                        "first and alone: "
                        f"{what_it_did(found)}, not {what_it_did(expected)}. {LIVES_ON}"
                    )

    def _way(self, stop: Stop) -> Iterator[tuple[tuple[Any, ...], Answer]]:
        at = self.start
        yield (), at.answer
        for number, result in enumerate(stop.history, 1):
            at = at.after[exact(result)]
            yield stop.history[:number], at.answer

    def verify_merges(self) -> None:
        """Run on from every history that was merged away, as far as the automaton goes.

        Raises MergedWrongly unless the code does the same there.
        """
        tries = 0
        for history, stop in self._merged:
            for path, expected in _paths(stop):
                tries += 1
                tried = (*history, *path)
                if tries > TRIES or not _same(
                    self._ask(self._supplier, tried, self._sent(tried, self.foreign.side.layout)),
                    expected,
                ):
                    raise MergedWrongly(self.name)


def _paths(stop: Stop) -> Iterator[tuple[tuple[Any, ...], Answer]]:
    """Every edge behind `stop`: a path that ends with it, and what is asked for then.

    Shorter paths come first.
    """
    todo: list[tuple[Stop, tuple[Any, ...]]] = [(stop, ())]
    met = {stop}
    while todo:
        at, path = todo.pop(0)
        for result in at.results:
            following = at.after[exact(result)]
            yield (*path, result), following.answer
            if following not in met:
                met.add(following)
                todo.append((following, (*path, result)))


def _same(one: Answer, other: Answer) -> bool:
    return (one.step, one.ended) == (other.step, other.ended) and exact(one.value) == exact(
        other.value
    )
