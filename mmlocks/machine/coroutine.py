"""The coroutine behind a task: running it, replaying it, and finding what its author slipped on.

It serves the `Supplier` interface of `mmlocks.machine.task`, which another process could serve as
well.

The idea: a task is asked about *histories*. A history is the list of results that the task has
received since its start, and the answer is what it does then. Answers are remembered, so the code
runs once for each history. One coroutine is kept alive, since the next question is mostly one
result longer than the last.
"""

from __future__ import annotations

import gc
import types
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mmlocks.errors import ModelError, NondeterminismError, NotJudged, Undecided
from mmlocks.machine.apart import PASSING, Noting, Watched, end, made_plain, run_apart
from mmlocks.machine.loops import SECONDS, EndlessLoop, Waits
from mmlocks.machine.mistakes import (
    failure,
    inside,
    inside_own,
    kind_of,
    spoken,
    up_to_the_first_difference,
    what_it_did,
)
from mmlocks.machine.moment import moment_of, places_of
from mmlocks.machine.parting import first_difference
from mmlocks.machine.state import Cell
from mmlocks.machine.task import Answer, Ended, Place
from mmlocks.machine.values import Step, exact
from mmlocks.machine.wire import Threw

STEPS_PER_TASK = 1_000
"""A task that takes more steps than this in one history is said never to end."""

SECOND_LOOKS = 7
"""Runs that are compared with the first one as soon as a task has ended.

A task that tosses a coin does the same in all of them in one case of 128.
"""

DEEPEST = 100
"""Functions in one await chain. Python's own limit would depend on our callers."""


@dataclass(eq=False, slots=True)
class _History:
    """The results that a task has received, and what it did then."""

    before: _History | None
    """The history without its last result; None for the empty one."""
    result: Any
    """The last result."""
    steps: int
    """How many results there are."""
    answer: Answer
    after: dict[Any, _History] = field(default_factory=dict)
    """The histories that are one result longer, by the `exact` key of that result."""

    def then(self, result: Any) -> _History | None:
        """The history with one more result, if it is known."""
        for history in self.after.values():
            if history.result is result:  # mostly so, and seen at once
                return history
        return self.after.get(exact(result))

    def results(self) -> list[Any]:
        """All results, from the task's start."""
        told = []
        history = self
        while history.before is not None:
            told.append(history.result)
            history = history.before
        return told[::-1]


class CoroutineSupplier:
    """Answers "after these results, what is your next step?" by running an `async def` here.

    A coroutine is a deterministic function of the results that it has received. So it can be
    rebuilt at any time: start it anew, and feed it the same results. Every rebuilt step is compared
    with the step seen the first time.

    `foreign` says that the code is a learner's, and is not trusted: every run is limited, not the
    first one only. Where foreign code takes part (`undecided`), a history without end need not be
    its author's mistake: perhaps two of its moments are alike, and we cannot see that.
    """

    def __init__(
        self,
        cpu: int,
        start: Callable[[], Coroutine[Step, Any, Any]],
        foreign: bool = False,
        undecided: bool = False,
        what: str = "the task",
        looks: int = SECOND_LOOKS,
    ) -> None:
        self.cpu = cpu
        self._what = what
        self._looks = looks
        self._start = start
        self._foreign = foreign
        self._undecided = undecided or foreign
        self._histories: list[_History] = []
        """Every history that was ever asked for; the first one is empty."""
        self._live: Coroutine[Step, Any, Any] | None = None
        """The coroutine that is kept."""
        self._at: _History | None = None
        """What the live coroutine has been told."""
        self._ending: weakref.finalize[..., CoroutineSupplier] | None = None
        """Ends the live coroutine."""
        self._pending: list[Step] = []
        """Steps that the live coroutine has built and not yet awaited."""
        self._returned_once = False

    def answer(self, results: Sequence[Any]) -> Answer:
        """The next step after `results`, or how the task ended."""
        if not self._histories:
            self._restart()
        way = self._known_part_of(results)
        if len(way) > len(results):
            return way[-1].answer
        if self._live is None or self._at not in way:
            self._restart()
        assert self._at is not None
        for result in results[self._at.steps :]:
            self._feed(result)
        return self._at.answer

    def _known_part_of(self, results: Sequence[Any]) -> list[_History]:
        """The known histories that `results` begin with, the empty one first."""
        history = self._histories[0]
        way = [history]
        for result in results:
            further = history.then(result)
            if further is None:
                break
            history = further
            way.append(history)
        return way

    # -- running everything again ------------------------------------------------------------------

    def verify(self) -> None:
        """Run every history again from its start.

        Raises NondeterminismError if any step comes out different.
        """
        for history in [history for history in self._histories if not history.after]:
            self._run(history)
        self.close()

    def ways(self, chooses: Random) -> Iterator[tuple[Any, ...]]:
        """Histories that together pass through all that is known, each to an end of the task.

        Two histories may lead to the same moment. The second one was not followed further. Here it
        goes on as the first one did, and `chooses` picks the way where there are several.
        """
        first: dict[Any, _History] = {}
        for history in self._histories:
            answer = history.answer
            if answer.step is not None and answer.key is not None:
                first.setdefault((answer.step, answer.key), history)

        def followed(history: _History) -> _History:
            if history.after:
                return history
            return first.get((history.answer.step, history.answer.key), history)

        for leaf in [history for history in self._histories if not history.after]:
            way, at = leaf.results(), followed(leaf)
            while at.after and len(way) < STEPS_PER_TASK:
                following = chooses.choice(list(at.after.values()))
                way.append(following.result)
                at = followed(following)
            yield tuple(way)

    def anew(self) -> Coroutine[Step, Any, Any]:
        """The task's code, from its start."""
        return self._start()

    def _run(self, history: _History) -> None:
        self._restart()
        for result in history.results():
            self._feed(result)

    # -- one run -----------------------------------------------------------------------------------

    def close(self) -> None:
        """End the current run. What the code does then is limited like everything else it does."""
        self._live = None
        if self._ending is not None:
            self._ending()

    def _restart(self) -> None:
        """Begin a new run: make the coroutine, and let it come to its first step."""
        self.close()
        self._pending = []
        self._at = None
        first = self._histories[0] if self._histories else None
        made = self._made()
        if isinstance(made, Answer):
            self._note(None, made, first)
            return
        self._live = made
        # Also ends the coroutine of a task that is dropped half-way, with all that belongs to it.
        self._ending = weakref.finalize(self, end, made, self._foreign)
        known = first.answer if first is not None else None
        self._note(None, self._resume(None, known, places_of(made)), first)

    def _made(self) -> Coroutine[Step, Any, Any] | Answer:
        """A new coroutine of the task; or the answer, if making one goes wrong."""
        watched = Watched(self._pending)
        try:
            # A foreign function need not be an `async def`: then the call itself may do anything.
            with watched if self._foreign else nullcontext():
                made = run_apart(self._start, self._foreign, limited=self._foreign)
        except EndlessLoop as endless:
            return self._endless(endless, ())
        except PASSING:
            raise
        except BaseException as problem:  # a wrong number of arguments, a default that raises
            return failure(self.cpu, problem, ())
        if isinstance(made, Coroutine):
            return made
        yields = isinstance(made, types.GeneratorType | types.AsyncGeneratorType)
        kind = "is a generator: it has a `yield`" if yields else f"returned {kind_of(made)}"
        said = f"cpu{self.cpu}: {self._what} {kind}. Write it as `async def` with `await`."
        return Answer.mistake((), watched.forgotten(self.cpu, finished=True, failed=False) or said)

    def _feed(self, result: Any) -> None:
        """Tell the live coroutine one more result."""
        at = self._at
        assert at is not None
        known = at.then(result)
        if at.steps >= STEPS_PER_TASK:
            answer = self._too_long(at.answer.where)
        else:
            answer = self._resume(
                result, known.answer if known is not None else None, at.answer.where
            )
        self._note(result, answer, known)

    def _note(self, result: Any, answer: Answer, known: _History | None) -> None:
        """Write down that the task did `answer`, or compare with what it did the first time."""
        at = self._at
        history = known or _History(at, result, at.steps + 1 if at is not None else 0, answer)
        if known is None:
            self._histories.append(history)
            if at is not None:
                at.after[exact(result)] = history
        self._at = history
        first = history.answer
        if first is not answer and (first.step, first.ended) != (answer.step, answer.ended):
            raise NondeterminismError(self._unsteady(history, answer))
        if answer.step is None:
            self.close()
            if answer.ended == "returned" and not self._returned_once:
                self._returned_once = True
                # So unsteady code is found before it is searched for long.
                for _ in range(self._looks):
                    self._run(history)

    # -- one step ----------------------------------------------------------------------------------

    def _resume(self, result: Any, known: Answer | None, before: tuple[Place, ...]) -> Answer:
        """Let the task go on with `result`.

        `known` is what it did the last time; `before` is where it stands.
        """
        # What Python would collect now belongs to other runs: the `finally` of a coroutine that was
        # dropped.
        collects = gc.isenabled()
        gc.disable()
        try:
            if known is not None and known.step is not None:
                # A history that is known is not watched. But a step that is built here may be
                # forgotten later.
                with Noting(self._pending):
                    return self._send(result, before, known)
            return self._watched(result, before)
        finally:
            if collects:
                gc.enable()

    def _watched(self, result: Any, before: tuple[Place, ...]) -> Answer:
        with Watched(self._pending) as watched:
            answer = self._send(result, before)
        forgotten = watched.forgotten(
            self.cpu, finished=answer.step is None, failed=answer.ended == "failed"
        )
        return Answer.mistake(before, forgotten) if forgotten else answer

    def _send(self, result: Any, before: tuple[Place, ...], known: Answer | None = None) -> Answer:
        """Run the code up to its next step or its end.

        If it does what is `known`, that is the answer.
        """
        live = self._live
        assert live is not None
        try:
            yielded = run_apart(
                lambda: (
                    live.throw(result.again()) if isinstance(result, Threw) else live.send(result)
                ),
                self._foreign,
                limited=known is None or self._foreign,
                again=known is not None,
            )
        except StopIteration as stop:
            return self._returned(stop.value, before)
        except EndlessLoop as endless:
            return self._endless(endless, before)
        except BaseException as problem:  # a task may raise anything, also asyncio's CancelledError
            # Foreign code calls no other foreign code, so nothing that it raises comes from the
            # machinery.
            if isinstance(problem, KeyboardInterrupt if self._foreign else PASSING):
                raise
            if isinstance(problem, Ended) and not self._foreign:
                return problem.answer
            return failure(self.cpu, problem, before)
        return self._asked(live, yielded, known)

    def _asked(self, live: Any, yielded: Any, known: Answer | None) -> Answer:
        """The answer of a task that awaits what it has `yielded`."""
        step = yielded
        if isinstance(yielded, Step):
            self._pending[:] = [other for other in self._pending if other is not yielded]
            if self._foreign:
                try:
                    step = made_plain(yielded)
                except ModelError as problem:
                    where = places_of(live)
                    return Answer.mistake(where, f"cpu{self.cpu},{inside(where)}: {problem}.")
            if known is not None and step == known.step:
                return known
        where = places_of(live)
        if len(where) > DEEPEST:
            return self._too_deep(where)
        if isinstance(step, Step):
            return Answer(step=step, where=where, key=self._key(live) if known is None else None)
        return Answer.mistake(
            where,
            f"cpu{self.cpu}: awaited {kind_of(yielded)}{inside(where)}, which is not a step of "
            "this machine. Await kernel "
            "functions, cells (`await vma.vm_lock_seq`) and steps (`await lock.down_read()`).",
        )

    def _key(self, live: Any) -> Hashable | None:
        """The moment at which the task stands, with the steps that it has built and may forget.

        A step that was built and dropped leaves no trace in the frames, and must be noticed at the
        end.
        """
        moment = moment_of(live)
        if moment is None:
            return None
        return moment, tuple((step.op, step.made_at) for step in self._pending)

    # -- what is said ------------------------------------------------------------------------------

    def _returned(self, value: Any, before: tuple[Place, ...]) -> Answer:
        """The answer of a task that has returned.

        A foreign one may return a step or a coroutine that it should have awaited, which then does
        nothing.
        """
        if not (self._foreign and isinstance(value, types.CoroutineType | Step | Cell)):
            return Answer.returned(value)
        name = value.op if isinstance(value, Step) else getattr(value, "__name__", str(value))
        if isinstance(value, types.CoroutineType):
            name += "()"
            value.close()
        self._pending.clear()
        where = f" at the end of {before[0].function} ({before[0].spot})" if before else ""
        return Answer.mistake(
            before,
            f"cpu{self.cpu}: {name} was returned but not awaited{where}, so it did nothing. "
            "Write `return await ...`.",
        )

    def _endless(self, endless: EndlessLoop, before: tuple[Place, ...]) -> Answer:
        """The answer of a task that ran on without an await.

        Raises NotJudged if it waited or computed.
        """
        said = spoken((Place(*endless.place),))
        if isinstance(endless, Waits):
            raise NotJudged(
                f"{said} waits for something outside of this machine, or computes for more than "
                f"{SECONDS:g} seconds, and was stopped; nothing was "
                "judged. A lock of Python's, `input` and `sleep` have no place in kernel code: "
                "other CPUs do not run meanwhile. "
                "Use the kernel's locks, with `await`."
            )
        return Answer.mistake(
            before,
            f"cpu{self.cpu}: {said} runs on and on without an await. "
            "A loop there never stops, or waits without giving other CPUs a turn.",
        )

    def _too_long(self, where: tuple[Place, ...]) -> Answer:
        """The answer of a task that takes too many steps.

        Raises Undecided if foreign code takes part.
        """
        if self._undecided:
            raise Undecided(
                f"cpu{self.cpu} took {STEPS_PER_TASK:,} steps in one execution{inside_own(where)}, "
                "and its local variables never came back to what they had "
                "been, so the search has no end; a loop that counts its rounds does that"
            )
        return Answer.mistake(
            where,
            f"cpu{self.cpu}: {STEPS_PER_TASK:,} steps and no end in sight{inside(where)}. "
            "A loop there never stops; give it a way out.",
        )

    def _too_deep(self, where: tuple[Place, ...]) -> Answer:
        often = Counter(where).most_common(1)[0][0]
        return Answer.mistake(
            where,
            f"cpu{self.cpu}: {len(where)} functions wait for one another, most of them in "
            f"{spoken((often,))}. "
            "Does it call itself for ever?",
        )

    def _unsteady(self, history: _History, answer: Answer) -> str:
        """The sentence about a task that did something else than the first time."""
        first = history.answer
        since = history.before.answer.where if history.before is not None else ()
        here, there = up_to_the_first_difference(answer.where or since, first.where or since)
        cause = first_difference(self._start, history.results())
        if cause is not None:
            variable = (
                f"The first variable to differ is {cause.name}{inside((cause.place,))}: "
                f"{cause.one} in one run, {cause.other} in the next. "
            )
        else:
            variable = f"It was the same up to the step{inside_own(since)}. " if since else ""
        return (
            f"cpu{self.cpu}: with the same results as before, the task did something "
            f"else{inside_own(here)}: "
            f"{what_it_did(answer)}, not "
            f"{what_it_did(first)}{inside_own(there) if there != here else ''}. {variable}"
            "Kernel code must depend on shared state alone: look for random "
            "numbers, the clock, id(), the order of a set, and for what lives on from one call to "
            "the next: a global variable, "
            "a class attribute, a default argument, a list of an enclosing function."
        )
