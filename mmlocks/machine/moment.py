"""Where a suspended coroutine stands: a value for its moment, and the lines along its await chain.

Two moments of a task are the same if the code would go on in the same way from both. That depends
on the code, the position in it, the local variables, and the values that wait on the value stack,
for every coroutine in the await chain. The garbage collector can list all that a suspended
coroutine refers to, and so shows all of these. `Freezer` turns each thing that it lists into a
value that can be compared.

This file knows how CPython keeps a suspended coroutine. Where it cannot tell, it says so. Moments
are then told apart by the whole history of results: slower, and always right.
"""

from __future__ import annotations

import collections
import functools
import gc
import sys
import types
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

from mmlocks.machine.state import Cell, Layout, Outlasting
from mmlocks.machine.task import Place
from mmlocks.machine.values import Step

OWN_AWAITS = (Step.__await__.__code__, Cell.__await__.__code__)
"""The generators at the inner end of every await chain.

They hold the pending step and nothing else.
"""


class Unfreezable(Exception):
    """We cannot say whether two things of this kind are the same."""


# -- the await chain -------------------------------------------------------------------------------


class Link(NamedTuple):
    """One suspended function in an await chain: a coroutine, or a generator that serves as one."""

    suspended: Any
    frame: Any
    code: types.CodeType
    awaits: Any
    by: tuple[str, ...] = ()
    """How it is awaited, if not directly: by `__await__`, or a generator's `asend` or `athrow`."""


def _link(suspended: Any) -> Link:
    if isinstance(suspended, types.CoroutineType):
        return Link(suspended, suspended.cr_frame, suspended.cr_code, suspended.cr_await)
    if isinstance(suspended, types.GeneratorType):
        return Link(suspended, suspended.gi_frame, suspended.gi_code, suspended.gi_yieldfrom)
    return Link(suspended, suspended.ag_frame, suspended.ag_code, suspended.ag_await)


_SUSPENDED = {types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType}


def _wrappers() -> Iterator[type]:
    """The types that Python puts between an `await` and what is awaited."""

    async def coroutine() -> None: ...

    async def generator() -> Any:
        yield

    made: Any = coroutine()
    wrapper = made.__await__()
    yield type(wrapper)
    made.close()
    for awaitable in (
        generator().asend(None),
        generator().athrow(GeneratorExit),
        anext(generator(), None),
    ):
        yield type(awaitable)
        awaitable.close()


_WRAPPERS = frozenset(_wrappers())


def chain(outer: Any) -> Iterator[Link]:
    """The coroutine, the one that it awaits, and so on inwards.

    Raises Unfreezable, at the end, for an awaitable into which we cannot look.
    """
    by: tuple[str, ...] = ()
    inner = outer
    while inner is not None:
        if type(inner) in _WRAPPERS:
            by = (*by, type(inner).__name__)
            inner = next(
                (part for part in gc.get_referents(inner) if type(part) in _SUSPENDED), None
            )
            if inner is None:
                raise Unfreezable
            continue
        if type(inner) not in _SUSPENDED:
            raise Unfreezable
        if isinstance(inner, types.GeneratorType) and inner.gi_code in OWN_AWAITS:
            return
        link = _link(inner)._replace(by=by)
        if link.frame is None:
            return
        yield link
        inner, by = link.awaits, ()


SHOWN_AS: dict[types.CodeType, Callable[[Any], tuple[Place, ...]]] = {}
"""Functions of the machinery: what a reader is shown in place of their frames."""


def places_of(outer: Any) -> tuple[Place, ...]:
    """The function, file and line of everything along the await chain, outermost first."""
    places: list[Place] = []
    with suppress(Unfreezable):
        for link in chain(outer):
            shown = SHOWN_AS.get(link.code)
            places.extend((Place.of(link.frame),) if shown is None else shown(link.frame))
    return tuple(places)


# -- the moment ------------------------------------------------------------------------------------


def moment_of(outer: Any) -> Hashable | None:
    """A value that is equal for two moments exactly if their future is the same; None if unknown.

    It holds code, position, local variables *and the value stack* of every coroutine in the chain:
    in `await a == await b` the first result waits on the stack, and is in no local variable.
    """
    if not stack_is_visible():
        return None
    try:
        links = list(chain(outer))
        frozen = Freezer({id(link.frame.f_globals) for link in links})
        moment = tuple(frozen.frame(link) for link in links)
        hash(moment)
        return moment
    except (
        Unfreezable,
        TypeError,
        RecursionError,
    ):
        # The last two are for what cannot be hashed, or nests too deep.
        return None


_CAN_CHANGE = object()


class Freezer:
    """Turns live objects into values that compare by content.

    Python code can also tell whether two variables hold the same object. So an object that comes up
    a second time is written down by the number under which it was met first. `running` are the
    globals of the code that runs.
    """

    def __init__(self, running: set[int]) -> None:
        self._met: dict[int, int] = {}
        self._globals = running

    def frame(self, link: Link) -> Hashable:
        """Code, position and contents of one suspended function."""
        # CPython 3.11 and 3.12 keep the dict of locals in the frame once it was asked for. It is
        # none of the contents.
        bound = link.frame.f_locals
        skipped, awaited = {id(link.frame), id(bound)}, id(link.awaits)
        # The function object is among the contents from 3.11 on. Its code and its arguments are
        # compared anyway.
        contents = tuple(
            self.value(item) if id(item) != awaited else "awaited"
            for item in gc.get_referents(link.suspended)
            if id(item) not in skipped
            and not (type(item) is types.FunctionType and item.__code__ is link.code)
        )
        # The order of that dict depends on when it was asked for, so only the names count.
        return id(link.code), link.frame.f_lasti, frozenset(bound), link.by, contents

    def value(self, item: Any) -> Hashable:
        """A value that is equal for two items exactly if no code can tell them apart."""
        frozen = self._unchanging(item)
        if frozen is not _CAN_CHANGE:
            return frozen
        number = self._met.get(id(item))
        if number is not None:
            return "again", number
        self._met[id(item)] = len(self._met)
        return type(item), self._inside(item)

    def _unchanging(self, item: Any) -> Hashable:
        """The value of something that cannot change, though parts of it may; else _CAN_CHANGE."""
        kind = type(item)
        if kind in _ATOMS:
            return kind, item
        if isinstance(item, _FIXED):
            return id(item)
        if kind is types.FunctionType and not (
            item.__closure__ or item.__defaults__ or item.__kwdefaults__ or item.__dict__
        ):
            return self._code(item)
        if isinstance(item, type):
            return _Itself(item)
        if kind is float or kind is complex:
            return kind, repr(item)  # tells 0.0 from -0.0, and nan is itself
        if isinstance(item, Step):
            return "step", item.op, self.value(item.args)
        if kind is tuple or (isinstance(item, tuple) and not hasattr(item, "__dict__")):
            return kind, self._all(item)
        if kind is range or kind is slice:
            return kind, item.start, item.stop, item.step
        if kind is frozenset:
            return kind, frozenset(self.value(part) for part in item)
        return _CAN_CHANGE

    def _inside(self, item: Any) -> Hashable:
        """The contents of something that can change."""
        kind = type(item)
        if kind is list:
            return self._all(item)
        if kind is dict:
            return self._pairs(item)
        if kind is types.CellType:
            return self._variable(item)
        if kind is types.FunctionType:
            parts = (item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__)
            return self._code(item), self._all(parts)
        if kind is types.BuiltinFunctionType:
            return item.__name__, self.value(item.__self__)
        if kind is types.MethodType:
            return self.value(item.__self__), self.value(item.__func__)
        if kind in _ITERATORS:
            return self.value(item.__reduce__())
        if kind in _SUSPENDED:  # it waits for its next turn, such as a generator in a `for`
            link = _link(item)
            return "ended" if link.frame is None else self.frame(link._replace(awaits=_NOTHING))
        if kind is functools.partial:
            return self.value((item.func, item.args, item.keywords, vars(item)))
        if kind is collections.deque:
            return item.maxlen, self._all(item)
        if kind in _MAPPINGS:
            more = getattr(item, "default_factory", None), getattr(item, "__dict__", None)
            return self._pairs(item), *self._all(more)
        if _keeps_all_in_its_dict(kind):
            return self.value(vars(item))
        raise Unfreezable

    def _all(self, items: Any) -> tuple[Hashable, ...]:
        return tuple(self.value(item) for item in items)

    def _pairs(self, mapping: Any) -> tuple[Hashable, ...]:
        return tuple((self.value(key), self.value(part)) for key, part in mapping.items())

    def _code(self, function: types.FunctionType) -> Hashable:
        """A function without what it was made with. Raises Unfreezable if its globals are its own.

        The globals of a module, or of running code, are shared by all moments. Others may be a
        moment's own.
        """
        module = sys.modules.get(function.__globals__.get("__name__", ""))
        of_a_module = module is not None and vars(module) is function.__globals__
        if not of_a_module and id(function.__globals__) not in self._globals:
            raise Unfreezable
        return _Itself(function.__code__), id(function.__globals__)

    def _variable(self, cell: types.CellType) -> Hashable:
        """A variable that an inner function uses, too."""
        try:
            return self.value(cell.cell_contents)
        except ValueError:  # it is not bound yet
            return "empty"


_ATOMS = {type(None), bool, int, str, bytes}
_FIXED = (Outlasting, Layout, types.ModuleType, types.CodeType, types.FrameType)
"""Things that outlive a search, so that their address stands for them.

The frames are those of the coroutines themselves.
"""


class _Itself:
    """Stands for a thing that equals itself alone.

    Keeps it alive, since Python uses addresses again.
    """

    def __init__(self, item: object) -> None:
        self._item = item

    def __hash__(self) -> int:
        return id(self._item)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self._item is other._item


class _Plain:
    """A class whose instances keep everything in their `__dict__`, to compare others with."""


def _keeps_all_in_its_dict(kind: type) -> bool:
    """Whether an instance has no state but its `__dict__`: nothing in slots, nothing in C."""
    same_shape = (
        kind.__basicsize__ == _Plain.__basicsize__ and kind.__dictoffset__ == _Plain.__dictoffset__
    )
    slots = any(
        isinstance(part, types.MemberDescriptorType)
        for base in kind.__mro__
        for part in vars(base).values()
    )
    return same_shape and not slots


_NOTHING = object()
_MAPPINGS = {collections.defaultdict, collections.OrderedDict, collections.Counter}
_ITERATORS = {
    map,
    filter,
    type(iter({})),
    type(iter({}.values())),
    type(iter({}.items())),
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    enumerate,
    zip,
    reversed,
    type(reversed([])),
}
"""Iterators whose `__reduce__` tells the position and does not move them.

That of a set's iterator moves it.
"""


@cache
def stack_is_visible() -> bool:
    """Whether this Python shows a coroutine's value stack to `gc.get_referents`.

    CPython 3.11 to 3.14 do.

    Where it does not, moments are told apart by the whole history of results: slower, and always
    right.
    """

    class Ask:
        def __await__(self) -> Any:
            return (yield self)

    async def inner(x: int) -> int:
        return x + await Ask()  # type: ignore[no-any-return]  # what is asked for may be anything

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
