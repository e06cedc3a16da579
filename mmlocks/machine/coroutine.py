"""The coroutine behind a task: running it, replaying it, and catching what its author slipped on.

It serves the `Supplier` interface of `mmlocks.machine.task`, which another process could serve as well.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
import types
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from mmlocks.errors import ModelError, NondeterminismError, NotJudged, Undecided
from mmlocks.machine.advice import advice_on
from mmlocks.machine.eventloops import LoopHidden
from mmlocks.machine.loops import SECONDS, EndlessLoop, Limited, Waits
from mmlocks.machine.moment import SHOWN_AS, moment_of, places_of
from mmlocks.machine.parting import first_difference
from mmlocks.machine.state import FOREIGN, Cell, exact
from mmlocks.machine.step import UNAWAITED, Call, Step
from mmlocks.machine.task import PACKAGE, Answer, Ended, Place
from mmlocks.machine.wire import Threw, plain_from_abroad

STEPS_PER_TASK = 1_000
"""More steps than this in one history, and the task is declared never to end."""


SECOND_LOOKS = 7
"""Runs that are compared with the first one as soon as a task has come to its end: a coin falls the same way in one of 128."""


STANDARD_LIBRARY = str(Path(os.__file__).parent)
"""A slip inside `asyncio.sleep` is reported where the learner called it."""


PASSING = (KeyboardInterrupt, NondeterminismError, NotJudged, Undecided)
"""What is raised through a task, and is not the task's own failure."""


DEEPEST = 100
"""Functions in one await chain; Python's own limit would depend on who called us."""


@dataclass(eq=False, slots=True)
class _Heard:
    """A history: what the task was told last, what it had been told before, what it did then, and what came of that."""

    before: _Heard | None
    result: Any
    steps: int
    answer: Answer
    after: dict[Any, _Heard] = field(default_factory=dict)
    """By the `exact` key of the next result."""

    def then(self, result: Any) -> _Heard | None:
        """What came of the next result, if it has been given before."""
        for heard in self.after.values():
            if heard.result is result:  # mostly so, and seen at once
                return heard
        return self.after.get(exact(result))

    def results(self) -> list[Any]:
        """All that the task has been told, from its start."""
        told = []
        heard = self
        while heard.before is not None:
            told.append(heard.result)
            heard = heard.before
        return told[::-1]


CLOSINGS = 100
"""How often a coroutine is told to end that awaits in a `finally`: once for each such await."""


def _end(coroutine: Coroutine[Step, Any, Any], foreign: bool) -> None:
    """End a coroutine that is needed no more, whatever it makes of that.

    One that is merely dropped goes on when Python collects it: in the middle of another task's run, which then seems to do what this one does.
    """
    outer, UNAWAITED.steps = UNAWAITED.steps, None
    told, sys.unraisablehook = (
        sys.unraisablehook,
        lambda _: None,
    )  # of an async generator that awaits in a `finally`
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a run cut short has not awaited is no mistake
            for _ in range(CLOSINGS):
                try:
                    _run_apart(coroutine.close, foreign, limited=foreign)
                    break
                except RuntimeError as problem:
                    if "ignored GeneratorExit" not in str(problem):
                        break
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: S110  nor is what its `finally` raises
        pass
    finally:
        UNAWAITED.steps, sys.unraisablehook = outer, told


def _run_apart(code: Callable[[], Any], foreign: bool, limited: bool, again: bool = False) -> Any:
    """Run some of a task's own code, and note meanwhile whether it is foreign. The kernel's text may run foreign code, and the other way round never."""
    limit = Limited(foreign, again) if limited else None
    outer, FOREIGN.running = FOREIGN.running, foreign
    try:
        with LoopHidden(), limit or nullcontext():
            return code()
    finally:
        FOREIGN.running = outer
        if limit is not None:
            limit.stop()


class CoroutineSupplier:
    """Answers "after these results, what is your next step?" by running an `async def` in this process.

    A coroutine is a deterministic function of the results that it has received. So it can always be rebuilt by
    starting it anew and feeding it the same results; the live one is kept, because the next question is mostly one result longer
    than the last. Every rebuilt step is compared with the step seen the first time.

    `foreign` says that the code is somebody else's, and trusted with nothing: it is stopped in every run, not in the first one only. Where foreign code
    takes part (`undecided`), a history without end is no mistake of its author's: it may be ours, who cannot see that two of its moments are alike.
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
        self._seen: list[_Heard] = []
        """Every history that was ever asked for; the first one is empty."""
        self._live: Coroutine[Step, Any, Any] | None = None
        self._fed: _Heard | None = None
        """What the live one has been told."""
        self._ending: weakref.finalize[..., CoroutineSupplier] | None = None
        """Ends the live one."""
        self._pending: list[Step] = []
        self._ended = False

    def answer(self, results: Sequence[Any]) -> Answer:
        """The next step after `results`, or how the task ended."""
        if not self._seen:
            self._restart()
        heard, known = self._seen[0], 0
        way = [heard]
        for result in results:
            further = heard.then(result)
            if further is None:
                break
            heard, known = further, known + 1
            way.append(heard)
        if known == len(results):
            return heard.answer
        if self._live is None or self._fed not in way:
            self._restart()
        assert self._fed is not None
        for result in results[self._fed.steps :]:
            self._feed(result)
        return self._fed.answer

    def verify(self) -> None:
        """Run every history once more from its start, and raise NondeterminismError if any step comes out different."""
        for heard in [heard for heard in self._seen if not heard.after]:
            self._run(heard)
        self.close()

    def ways(self, chooses: Random) -> Iterator[tuple[Any, ...]]:
        """Histories to run once more, which together pass through all that was ever heard; each goes on to an end of the task.

        A history that led to a moment which another one had led to first was not followed further. It goes on here as the other one did, and
        `chooses` says which way, where there are several.
        """
        first: dict[Any, _Heard] = {}
        for heard in self._seen:
            if heard.answer.step is not None and heard.answer.key is not None:
                first.setdefault((heard.answer.step, heard.answer.key), heard)

        def further(heard: _Heard) -> _Heard:
            return heard if heard.after else first.get((heard.answer.step, heard.answer.key), heard)

        for leaf in [heard for heard in self._seen if not heard.after]:
            way, at = leaf.results(), further(leaf)
            while at.after and len(way) < STEPS_PER_TASK:
                following = chooses.choice(list(at.after.values()))
                way.append(following.result)
                at = further(following)
            yield tuple(way)

    def anew(self) -> Coroutine[Step, Any, Any]:
        """The task's code, from its start."""
        return self._start()

    def _run(self, heard: _Heard) -> None:
        self._restart()
        for result in heard.results():
            self._feed(result)

    def _restart(self) -> None:
        self.close()
        self._pending = []
        self._fed = None
        first = self._seen[0] if self._seen else None
        watched = _Watched(self._pending)
        try:
            with (
                watched if self._foreign else nullcontext()
            ):  # a plain function may be what gives the coroutine, and do more than that
                made = _run_apart(self._start, self._foreign, limited=self._foreign)
        except EndlessLoop as endless:
            self._note(None, self._endless(endless, ()), first)
            return
        except PASSING:
            raise
        except BaseException as problem:
            # The call itself may fail: a wrong number of arguments, a default that raises.
            self._note(None, _failure(self.cpu, problem, ()), first)
            return
        if not isinstance(made, Coroutine):
            yields = isinstance(made, types.GeneratorType | types.AsyncGeneratorType)
            kind = "is a generator: it has a `yield`" if yields else f"returned {_a(made)}"
            said = f"cpu{self.cpu}: {self._what} {kind}. Write it as `async def` with `await`."
            forgotten = watched.forgotten(self.cpu, finished=True, failed=False)
            self._note(None, Answer.mistake((), forgotten or said), first)
            return
        self._live = made
        # Also of a task that somebody drops half-way, with all that belongs to it.
        self._ending = weakref.finalize(self, _end, made, self._foreign)
        known = first.answer if first is not None else None
        self._note(None, self._resume(None, known, places_of(made)), first)

    def _feed(self, result: Any) -> None:
        fed = self._fed
        assert fed is not None
        where = fed.answer.where
        known = fed.then(result)
        if fed.steps >= STEPS_PER_TASK and self._undecided:
            raise Undecided(
                f"cpu{self.cpu} took {STEPS_PER_TASK:,} steps in one execution{_in_own(where)}, and its local variables never came back to what they had "
                "been, so the search has no end; a loop that counts its rounds does that"
            )
        if fed.steps >= STEPS_PER_TASK:
            answer = Answer.mistake(
                where,
                f"cpu{self.cpu}: {STEPS_PER_TASK:,} steps and no end in sight{_in(where)}. "
                "A loop there never stops; give it a way out.",
            )
        else:
            answer = self._resume(result, known.answer if known is not None else None, where)
        self._note(result, answer, known)

    def _note(self, result: Any, answer: Answer, known: _Heard | None) -> None:
        """The task has been told `result` and did `answer`: see whether that is what it did the first time."""
        fed = self._fed
        heard = known or _Heard(fed, result, fed.steps + 1 if fed is not None else 0, answer)
        if known is None:
            self._seen.append(heard)
            if fed is not None:
                fed.after[exact(result)] = heard
        self._fed = heard
        first = heard.answer
        if first is not answer and (first.step, first.ended) != (answer.step, answer.ended):
            raise NondeterminismError(self._unsteady(heard, answer))
        if answer.step is None:
            self.close()
            if answer.ended == "returned" and not self._ended:
                self._ended = True
                for _ in range(self._looks):  # so that unsteady code is found before it is searched for long
                    self._run(heard)

    def _unsteady(self, heard: _Heard, answer: Answer) -> str:
        """The sentence about a task that did something else than the first time."""
        first = heard.answer
        since = heard.before.answer.where if heard.before is not None else ()
        here, there = _parted(answer.where or since, first.where or since)
        cause = first_difference(self._start, heard.results())
        variable = (
            f"The first variable to differ is {cause.name}{_in((cause.place,))}: {cause.one} in one run, {cause.other} in the next. "
            if cause is not None
            else f"It was the same up to the step{_in_own(since)}. "
            if since
            else ""
        )
        return (
            f"cpu{self.cpu}: with the same results as before, the task did something else{_in_own(here)}: "
            f"{what_it_did(answer)}, not {what_it_did(first)}{_in_own(there) if there != here else ''}. {variable}Kernel code must depend on shared state alone: look for random "
            "numbers, the clock, id(), the order of a set, and for what lives on from one call to the next: a global variable, "
            "a class attribute, a default argument, a list of an enclosing function."
        )

    def close(self) -> None:
        """End the run that is under way. What the code does then is foreign code like any other, and may not last."""
        self._live = None
        if self._ending is not None:
            self._ending()

    def _resume(self, result: Any, known: Answer | None, before: tuple[Place, ...]) -> Answer:
        """Let the task take up `result`; `known` is what it did then the last time, `before` where it stands."""
        # What Python would collect meanwhile is another run's: the `finally` of a coroutine that was dropped, or its forgotten await.
        collects = gc.isenabled()
        gc.disable()
        try:
            return self._watched(result, known, before)
        finally:
            if collects:
                gc.enable()

    def _watched(self, result: Any, known: Answer | None, before: tuple[Place, ...]) -> Answer:
        if known is not None and known.step is not None:
            # Not watched, but what is built here may be forgotten later on, and then we must know where it came from.
            depth, outer = sys.get_coroutine_origin_tracking_depth(), UNAWAITED.steps
            sys.set_coroutine_origin_tracking_depth(1)
            UNAWAITED.steps = self._pending
            try:
                return self._send(result, before, known)
            finally:
                UNAWAITED.steps = outer
                sys.set_coroutine_origin_tracking_depth(depth)
        with _Watched(self._pending) as watched:
            answer = self._send(result, before)
        forgotten = watched.forgotten(self.cpu, finished=answer.step is None, failed=answer.ended == "failed")
        return Answer.mistake(before, forgotten) if forgotten else answer

    def _endless(self, endless: EndlessLoop, before: tuple[Place, ...]) -> Answer:
        """The answer of a task that ran on. Raises NotJudged for one that waited for something else than a lock."""
        said = _said((Place(*endless.place),))
        if isinstance(endless, Waits):
            raise NotJudged(
                f"{said} waits for something outside of this machine, or computes for more than {SECONDS:g} seconds, and was stopped; nothing was "
                "judged. A lock of Python's, `input` and `sleep` have no place in kernel code: other CPUs do not run meanwhile. "
                "Use the kernel's locks, with `await`."
            )
        return Answer.mistake(
            before,
            f"cpu{self.cpu}: {said} runs on and on without an await. "
            "A loop there never stops, or waits without giving other CPUs a turn.",
        )

    def _returned(self, value: Any, before: tuple[Place, ...]) -> Answer:
        """The answer of a task that has come to its end. What a foreign one was to await, and returned instead, does nothing."""
        if self._foreign and isinstance(value, types.CoroutineType | Step | Cell):
            name = value.op if isinstance(value, Step) else getattr(value, "__name__", str(value))
            if isinstance(value, types.CoroutineType):
                value.close()
            self._pending.clear()
            where = f" at the end of {before[0].function} ({before[0].spot})" if before else ""
            return Answer.mistake(
                before,
                f"cpu{self.cpu}: {name}{'()' if isinstance(value, types.CoroutineType) else ''} was returned but not awaited{where}, so it did nothing. "
                "Write `return await ...`.",
            )
        return Answer.returned(value)

    def _key(self, live: Any) -> Hashable | None:
        # A step that was built and dropped has left no trace in the frames, and must still be noticed at the end.
        moment = moment_of(live)
        return None if moment is None else (moment, tuple((step.op, step.made_at) for step in self._pending))

    def _send(self, result: Any, before: tuple[Place, ...], known: Answer | None = None) -> Answer:
        """Let the task take up `result`. If it is `known` what it does then, and it does that, that is the answer."""
        live = self._live
        assert live is not None
        try:
            yielded = _run_apart(
                lambda: live.throw(result.again()) if isinstance(result, Threw) else live.send(result),
                self._foreign,
                limited=known is None or self._foreign,
                again=known is not None,
            )
        except StopIteration as stop:
            return self._returned(stop.value, before)
        except EndlessLoop as endless:
            return self._endless(endless, before)
        except BaseException as problem:  # a task may raise what it likes, also asyncio's CancelledError
            # No foreign code runs below foreign code. So what is raised there is its own, and says nothing for us.
            if isinstance(problem, Ended) and not self._foreign:
                return problem.answer
            if isinstance(problem, KeyboardInterrupt if self._foreign else PASSING):
                raise
            return _failure(self.cpu, problem, before)
        step = yielded
        if isinstance(yielded, Step):
            self._pending[:] = [step for step in self._pending if step is not yielded]
            if self._foreign:
                try:
                    step = _made_plain(yielded)
                except ModelError as problem:
                    where = places_of(live)
                    return Answer.mistake(where, f"cpu{self.cpu},{_in(where)}: {problem}.")
            if known is not None and step == known.step:
                return known
        where = places_of(live)
        if len(where) > DEEPEST:
            often = Counter(where).most_common(1)[0][0]
            return Answer.mistake(
                where,
                f"cpu{self.cpu}: {len(where)} functions wait for one another, most of them in {_said((often,))}. Does it call itself for ever?",
            )
        if isinstance(step, Step):
            return Answer(step=step, where=where, key=self._key(live) if known is None else None)
        return Answer.mistake(
            where,
            f"cpu{self.cpu}: awaited {_a(yielded)}{_in(where)}, which is no step of this machine. Await kernel "
            "functions, cells (`await vma.vm_lock_seq`) and steps (`await lock.down_read()`).",
        )


def _made_plain(step: Step) -> Step:
    """A foreign step as it leaves its code. What it holds may be changed there afterwards, and may say of itself what it likes."""
    outer, UNAWAITED.steps = UNAWAITED.steps, None
    try:
        plain: Step = plain_from_abroad(step)
        return plain
    finally:
        UNAWAITED.steps = outer


_WATCHING = threading.RLock()
"""Catching warnings is one for all threads, and the player searches in a thread of its own."""


class _Watched:
    """While a task runs: note the steps that it builds and the coroutines that it drops.

    That is slow, as is limiting what it does, so a history that has been watched once is replayed unwatched.
    """

    def __init__(self, pending: list[Step]) -> None:
        self._pending = pending
        self._warned: list[warnings.WarningMessage] = []

    def __enter__(self) -> _Watched:
        _WATCHING.acquire()
        self._outer, UNAWAITED.steps = UNAWAITED.steps, self._pending
        self._origin_depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(1)
        self._catch = warnings.catch_warnings(record=True)
        self._warned = self._catch.__enter__()
        warnings.simplefilter("always", RuntimeWarning)
        return self

    def __exit__(self, *_: object) -> None:
        self._catch.__exit__(None, None, None)
        sys.set_coroutine_origin_tracking_depth(self._origin_depth)
        UNAWAITED.steps = self._outer
        _WATCHING.release()

    def forgotten(self, cpu: int, *, finished: bool, failed: bool) -> str:
        """One sentence about a call or step that was made and never awaited, or nothing."""
        for warning in self._warned:
            coroutine = warning.source
            if isinstance(coroutine, types.CoroutineType) and coroutine.cr_origin:
                file, line, _ = coroutine.cr_origin[0]
                called = coroutine.__name__  # its code may be a stand-in's
                where = _said((Place(called, file, line),), function=False)
                return (
                    f"cpu{cpu}: {called}() was called but not awaited ({where}), so it did nothing. "
                    f"Write `await {called}(...)`."
                )
        if finished and not failed and self._pending:
            step = self._pending[0]
            return (
                f"cpu{cpu}: the step {step.op} was made{_in((Place(*step.made_at),))} but not awaited, so it did nothing. "
                "Write `await` in front of it."
            )
        return ""


def _failure(cpu: int, problem: BaseException, before: tuple[Place, ...]) -> Answer:
    """The answer of a task that ended in an exception."""
    places: list[Place] = []
    trace = problem.__traceback__
    while trace is not None:
        shown = SHOWN_AS.get(trace.tb_frame.f_code)
        line = Place(trace.tb_frame.f_code.co_name, trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        places.extend((line,) if shown is None else shown(trace.tb_frame))
        trace = trace.tb_next
    machinery = __file__.rpartition("coroutine.py")[0]
    where = tuple(place for place in places if not place.file.startswith(machinery)) or before
    try:
        text = " ".join(str(problem).split())
    except Exception:  # its author's __str__ may raise as well
        text = "(no text)"
    # "object int can't be used in 'await' expression" up to 3.13, "'int' object can't be awaited" from 3.14 on
    refused = re.match(
        r"(?:object )?'?(\w+)'?(?: object)? can't be (?:used in 'await' expression|awaited)", text
    )
    if isinstance(problem, TypeError) and refused:
        kind = refused[1]
        advice = (
            "it contains a `yield`; kernel functions are `async def` without `yield`"
            if "generator" in kind
            else "write `(...)` behind its name, so that it is called"
            if kind in ("method", "function", "builtin_function_or_method", "type")
            else "await kernel functions, cells and steps only"
        )
        return Answer.mistake(where, f"cpu{cpu}: awaited {_an(kind)}{_in(where)}: {advice}.")
    said = f": {text}" if text else ""
    told = advice_on(problem, text)
    answer = Answer.failed(
        where, f"cpu{cpu}: {type(problem).__name__}{_in_own(where)}{said}{f'. {told}' if told else ''}"
    )
    return replace(answer, value=Threw.of(problem))


def what_it_did(answer: Answer) -> str:
    """What a task did next, for a sentence."""
    if isinstance(answer.step, Call):
        return f"it called {answer.step.args[0]}"
    if answer.step is not None:
        return repr(answer.step)
    return "it was stopped" if answer.ended == "mistake" else f"it {answer.ended}"


def _a(value: Any) -> str:
    return _an(type(value).__name__)


def _an(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def _in(where: tuple[Place, ...]) -> str:
    return f" in {_said(where)}" if where else ""


def _parted(here: tuple[Place, ...], there: tuple[Place, ...]) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
    """Two await chains up to the function in which they part: that one went another way, not those that it called then."""
    for level, (one, other) in enumerate(zip(here, there, strict=False), 1):
        if one != other:
            return here[:level], there[:level]
    return here, there


def _in_own(where: tuple[Place, ...]) -> str:
    """As `_in`; where a function of ours was running, whose caller is the learner's own, with that one as well."""
    own = tuple(place for place in where if not place.file.startswith(f"{PACKAGE}{os.sep}"))
    caller = f", called from {_said(own[-1:])}" if own and own[-1] != where[-1] else ""
    return _in(where) + caller


def _said(where: tuple[Place, ...], function: bool = True) -> str:
    place = next(
        (place for place in reversed(where) if not place.file.startswith(STANDARD_LIBRARY)), where[-1]
    )
    return f"{place.function} ({place.spot})" if function else place.spot
