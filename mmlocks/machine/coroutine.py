"""The coroutine behind a task: running it, telling two of its moments apart, and catching what its author slipped on.

This is the one file that knows how CPython keeps a suspended coroutine. It serves the `Supplier` interface of
`mmlocks.machine.task`, which another process could serve as well.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import types
import warnings
from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mmlocks.errors import NondeterminismError
from mmlocks.machine.loops import EndlessLoop, Limited
from mmlocks.machine.state import Cell, Layout, Record, exact
from mmlocks.machine.step import UNAWAITED, Step
from mmlocks.machine.task import Answer, Place

STEPS_PER_TASK = 1_000
"""More steps than this in one history, and the task is declared never to end."""


STANDARD_LIBRARY = str(Path(os.__file__).parent)
"""A slip inside `asyncio.sleep` is reported where the learner called it."""


DEEPEST = 100
"""Functions in one await chain; Python's own limit would depend on who called us."""


class CoroutineSupplier:
    """Answers "after these results, what is your next step?" by running an `async def` in this process.

    A coroutine is a deterministic function of the results that it has received. So it can always be rebuilt by
    starting it anew and feeding it the same results; the live one is kept, because the next question is mostly one result longer
    than the last. Every rebuilt step is compared with the step seen the first time.
    """

    def __init__(self, cpu: int, start: Callable[[], Coroutine[Step, Any, Any]]) -> None:
        self.cpu = cpu
        self._start = start
        # By history, a tuple of `exact` results: what came after it, and the results themselves.
        self._seen: dict[tuple[Any, ...], Answer] = {}
        self._results: dict[tuple[Any, ...], tuple[Any, ...]] = {(): ()}
        self._live: Coroutine[Step, Any, Any] | None = None
        self._fed: tuple[Any, ...] = ()
        self._pending: list[Step] = []

    def answer(self, results: Sequence[Any]) -> Answer:
        """The next step after `results`, or how the task ended."""
        wanted = tuple(exact(result) for result in results)
        known = self._seen.get(wanted)
        if known is not None:
            return known
        if self._live is None or wanted[: len(self._fed)] != self._fed:
            self._restart()
        for result in results[len(self._fed) :]:
            self._feed(result)
        return self._seen[wanted]

    def verify(self) -> None:
        """Run every history once more from its start, and raise NondeterminismError if any step comes out different."""
        for history in self._seen.keys() - {history[:-1] for history in self._seen if history}:
            self._restart()
            for result in self._results[history]:
                self._feed(result)
        self._close()

    def _restart(self) -> None:
        self._close()
        self._pending = []
        self._fed = ()
        try:
            made = self._start()
        except (
            Exception
        ) as problem:  # the call itself may fail: a wrong number of arguments, a default that raises
            self._note((), _failure(self.cpu, problem, ()))
            return
        if not isinstance(made, Coroutine):
            yields = isinstance(made, types.GeneratorType | types.AsyncGeneratorType)
            kind = "is a generator: it has a `yield`" if yields else f"returned {_a(made)}"
            self._note(
                (),
                Answer.mistake((), f"cpu{self.cpu}: the task {kind}. Write it as `async def` with `await`."),
            )
            return
        self._live = made
        self._note((), self._resume((), None))

    def _feed(self, result: Any) -> None:
        fed = (*self._fed, exact(result))
        if len(fed) > STEPS_PER_TASK:
            where = self._seen[self._fed].where
            answer = Answer.mistake(
                where,
                f"cpu{self.cpu}: {STEPS_PER_TASK:,} steps and no end in sight{_in(where)}. "
                "A loop there never stops; give it a way out.",
            )
        else:
            answer = self._resume(fed, result)
        self._results.setdefault(fed, (*self._results[self._fed], result))
        self._fed = fed
        self._note(fed, answer)

    def _note(self, fed: tuple[Any, ...], answer: Answer) -> None:
        first = self._seen.setdefault(fed, answer)
        if (first.step, first.ended) != (answer.step, answer.ended):
            raise NondeterminismError(
                f"cpu{self.cpu}: with the same results as before, the task did something else{_in(answer.where)}: "
                f"{_what(answer)}, not {_what(first)}. Kernel code must depend on shared state "
                "alone: look for random numbers, the clock, or a global variable that your function changes."
            )
        if answer.step is None:
            self._close()

    def _close(self) -> None:
        if self._live is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a run cut short has not awaited is no mistake
                with suppress(
                    RuntimeError
                ):  # a task that awaits in `finally` cannot be closed; it is dropped instead
                    self._live.close()
            self._live = None

    def _resume(self, fed: tuple[Any, ...], result: Any) -> Answer:
        known = self._seen.get(fed)
        before = _places(self._live)
        if known is not None and known.step is not None:
            # Not watched, but what is built here may be forgotten later on, and then we must know where it came from.
            depth = sys.get_coroutine_origin_tracking_depth()
            sys.set_coroutine_origin_tracking_depth(1)
            UNAWAITED.steps = self._pending
            try:
                return self._send(result, before, watched=False)
            finally:
                UNAWAITED.steps = None
                sys.set_coroutine_origin_tracking_depth(depth)
        with _Watched(self._pending) as watched:
            answer = self._send(result, before)
        forgotten = watched.forgotten(self.cpu, finished=answer.step is None, failed=answer.ended == "failed")
        return Answer.mistake(before, forgotten) if forgotten else answer

    def _key(self, live: Any) -> Hashable | None:
        # A step that was built and dropped has left no trace in the frames, and must still be noticed at the end.
        moment = _moment(live)
        return None if moment is None else (moment, tuple((step.op, step.made_at) for step in self._pending))

    def _send(self, result: Any, before: tuple[Place, ...], watched: bool = True) -> Answer:
        live = self._live
        assert live is not None
        try:
            # Around the task's own code alone: what we do with its last breath must not count.
            with Limited() if watched else nullcontext():
                yielded = live.send(result)
        except StopIteration as stop:
            return Answer.returned(stop.value)
        except EndlessLoop as endless:
            return Answer.mistake(
                before,
                f"cpu{self.cpu}: {_said((Place(*endless.place),))} runs on and on without an await. "
                "A loop there never stops, or waits without giving other CPUs a turn.",
            )
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # a task may raise what it likes, also asyncio's CancelledError
            return _failure(self.cpu, problem, before)
        where = _places(live)
        if len(where) > DEEPEST:
            return Answer.mistake(
                where,
                f"cpu{self.cpu}: {len(where)} functions wait for one another{_in(where)}. Does one of them call itself for ever?",
            )
        if isinstance(yielded, Step):
            self._pending[:] = [step for step in self._pending if step is not yielded]
            return Answer(step=yielded, where=where, key=self._key(live) if watched else None)
        return Answer.mistake(
            where,
            f"cpu{self.cpu}: awaited {_a(yielded)}{_in(where)}, which is no step of this machine. Await kernel "
            "functions, cells (`await vma.vm_lock_seq`) and steps (`await lock.down_read()`).",
        )


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
        UNAWAITED.steps = self._pending
        self._origin_depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(1)
        self._catch = warnings.catch_warnings(record=True)
        self._warned = self._catch.__enter__()
        warnings.simplefilter("always", RuntimeWarning)
        return self

    def __exit__(self, *_: object) -> None:
        self._catch.__exit__(None, None, None)
        sys.set_coroutine_origin_tracking_depth(self._origin_depth)
        UNAWAITED.steps = None
        _WATCHING.release()

    def forgotten(self, cpu: int, *, finished: bool, failed: bool) -> str:
        """One sentence about a call or step that was made and never awaited, or nothing."""
        for warning in self._warned:
            coroutine = warning.source
            if isinstance(coroutine, types.CoroutineType) and coroutine.cr_origin:
                file, line, _ = coroutine.cr_origin[0]
                called = coroutine.cr_code.co_name
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
        places.append(
            Place(trace.tb_frame.f_code.co_name, trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        )
        trace = trace.tb_next
    machinery = __file__.rpartition("coroutine.py")[0]
    where = tuple(place for place in places if not place.file.startswith(machinery)) or before
    text = " ".join(str(problem).split())
    if isinstance(problem, TypeError) and "can't be used in 'await' expression" in text:
        kind = text.split(" can't", maxsplit=1)[0].removeprefix("object ").removeprefix("'").removesuffix("'")
        advice = (
            "it contains a `yield`; kernel functions are `async def` without `yield`"
            if "generator" in kind
            else "await kernel functions, cells and steps only"
        )
        return Answer.mistake(where, f"cpu{cpu}: awaited {_an(kind)}{_in(where)}: {advice}.")
    if isinstance(problem, RuntimeError) and "no running event loop" in text:
        text += ". asyncio does not run here: await kernel functions, cells and steps only"
    return Answer.failed(where, f"cpu{cpu}: {type(problem).__name__}{_in(where)}: {text}")


def _what(answer: Answer) -> str:
    return repr(answer.step) if answer.step is not None else f"it {answer.ended}"


def _a(value: Any) -> str:
    return _an(type(value).__name__)


def _an(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def _in(where: tuple[Place, ...]) -> str:
    return f" in {_said(where)}" if where else ""


def _said(where: tuple[Place, ...], function: bool = True) -> str:
    place = next(
        (place for place in reversed(where) if not place.file.startswith(STANDARD_LIBRARY)), where[-1]
    )
    return f"{place.function} ({place.spot})" if function else place.spot


# -- where a coroutine stands -----------------------------------------------------------------------------------------


OWN_AWAITS = (Step.__await__.__code__, Cell.__await__.__code__)
"""The generators at the inner end of every await chain. They hold the pending step and nothing else."""


class Link(NamedTuple):
    """One suspended function in an await chain: a coroutine, or a generator that serves as one."""

    suspended: Any
    frame: Any
    code: types.CodeType
    awaits: Any


def _chain(outer: Any) -> Iterator[Link]:
    """The coroutine, the one that it awaits, and so on inwards.

    Raises _Unfreezable, at the end, for an awaitable into which we cannot look.
    """
    inner = outer
    while inner is not None:
        if isinstance(inner, types.CoroutineType):
            link = Link(inner, inner.cr_frame, inner.cr_code, inner.cr_await)
        elif isinstance(inner, types.GeneratorType):
            if inner.gi_code in OWN_AWAITS:
                return
            link = Link(inner, inner.gi_frame, inner.gi_code, inner.gi_yieldfrom)
        else:
            raise _Unfreezable
        if link.frame is None:
            return
        yield link
        inner = link.awaits


def _places(outer: Any) -> tuple[Place, ...]:
    """The function, file and line of everything along the await chain, outermost first."""
    places: list[Place] = []
    with suppress(_Unfreezable):
        places.extend(Place.of(link.frame) for link in _chain(outer))
    return tuple(places)


class _Unfreezable(Exception):
    """A local variable holds something of which we cannot say whether two of it are the same."""


def _moment(outer: Any) -> Hashable | None:
    """A value that is equal for two moments of a task exactly if its future is the same; None where we cannot tell.

    It holds code, position, local variables *and the value stack* of every coroutine in the chain: in
    `await a == await b` the first result waits on the stack, invisible in the locals.
    """
    if not stack_is_visible():
        return None
    frozen = _Freezer()
    try:
        return tuple(frozen.frame(link) for link in _chain(outer))
    except _Unfreezable:
        return None


class _Freezer:
    """Turns live objects into values that compare by content, minding which of them are the same object."""

    def __init__(self) -> None:
        self._met: dict[int, int] = {}

    def frame(self, link: Link) -> Hashable:
        # On 3.11 and 3.12 the dict of locals is kept in the frame once somebody asked for it, and would be found below.
        bound = link.frame.f_locals
        skipped, awaited = {id(link.frame), id(bound)}, id(link.awaits)
        contents = tuple(
            self.value(item) if id(item) != awaited else "awaited"
            for item in gc.get_referents(link.suspended)
            if id(item) not in skipped
        )
        return id(link.code), link.frame.f_lasti, tuple(bound), contents

    def value(self, item: Any) -> Hashable:
        kind = type(item)
        if kind in _ATOMS:
            return kind, item
        if isinstance(item, _FIXED):
            return id(item)
        if kind is types.FunctionType and not (
            item.__closure__ or item.__defaults__ or item.__kwdefaults__ or item.__dict__
        ):
            return id(item.__code__), id(item.__globals__)
        if isinstance(item, Step):
            return "step", item.op, self.value(item.args)
        if kind is tuple or (isinstance(item, tuple) and not hasattr(item, "__dict__")):
            return kind, tuple(self.value(part) for part in item)
        if kind is range or kind is slice:
            return kind, item.start, item.stop, item.step
        if kind is frozenset:
            return kind, frozenset(self.value(part) for part in item)
        number = self._met.get(id(item))
        if number is not None:
            return "again", number
        self._met[id(item)] = len(self._met)
        return kind, self._inside(item)

    def _inside(self, item: Any) -> Hashable:
        """The contents of something that can change, or that can hold something that can."""
        kind = type(item)
        if kind is list:
            return tuple(self.value(part) for part in item)
        if kind is dict:
            return tuple((self.value(key), self.value(part)) for key, part in item.items())
        if kind is types.CellType:
            return self._content(item)
        if kind is types.FunctionType:
            parts = (item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__)
            return id(item.__code__), id(item.__globals__), tuple(self.value(part) for part in parts)
        if kind is types.MethodType:
            return self.value(item.__self__), self.value(item.__func__)
        if kind in _ITERATORS:
            return self.value(item.__reduce__())
        if _keeps_all_in_its_dict(kind):
            return self.value(vars(item))
        raise _Unfreezable

    def _content(self, cell: types.CellType) -> Hashable:
        try:
            return self.value(cell.cell_contents)
        except ValueError:  # a free variable that is not bound yet
            return "empty"


_ATOMS = {type(None), bool, int, str, bytes, float, complex}
_FIXED = (
    Record, Cell, Layout, type, types.ModuleType, types.CodeType, types.BuiltinFunctionType, types.FrameType,
)  # fmt: skip
"""Things that are what they are: two of them are the same only if they are one. (Frames: those of the coroutines themselves.)"""


class _Plain:
    """What a class looks like whose instances keep everything in their `__dict__`."""


def _keeps_all_in_its_dict(kind: type) -> bool:
    """Whether an instance of a class has no state but its `__dict__`: nothing in slots, nothing in C."""
    same_shape = kind.__basicsize__ == _Plain.__basicsize__ and kind.__dictoffset__ == _Plain.__dictoffset__
    slots = any(
        isinstance(part, types.MemberDescriptorType) for base in kind.__mro__ for part in vars(base).values()
    )
    return same_shape and not slots


_ITERATORS = {
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    enumerate,
    zip,
    reversed,
    type(reversed([])),
}
"""Iterators of which `__reduce__` tells the position without moving them (reduce of a set's iterator would not)."""


@cache
def stack_is_visible() -> bool:
    """Whether this Python shows a coroutine's value stack to `gc.get_referents` (CPython 3.11 to 3.14 do).

    Where it does not, moments are told apart by the whole history of results: slower, and always right.
    """

    class Ask:
        def __await__(self) -> Any:
            return (yield self)

    async def inner(x: int) -> int:
        return x + await Ask()  # type: ignore[no-any-return]

    async def compare(limit: int) -> int:
        for number in [10, 20, 30]:
            if await Ask() == await inner(number):
                return limit
        return 0

    def referents(*fed: Any) -> list[Any]:
        coroutine = compare(7)
        try:
            for result in (None, *fed):
                coroutine.send(result)
            return [
                item
                for item in gc.get_referents(coroutine)
                if isinstance(item, int | str | types.CoroutineType)
            ]
        finally:
            coroutine.close()

    def hidden(fed: Any) -> bool:
        return not any(item is fed or item == fed for item in referents(fed))

    return not hidden(123456) and not hidden("a pending value")
