"""What may replace a kernel function: anything that takes its arguments and gives an awaitable.

`Replacements` are such functions, and where they run: in this process, or in another one.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

from mmlocks.errors import AnswerError
from mmlocks.machine.side import Functions, Here, Side
from mmlocks.machine.state import Layout
from mmlocks.mm.meaning import fingerprint
from mmlocks.mm.stubs import is_stub, kernel_functions, names_of, silent


class Replacements(Mapping[str, Any]):
    """A learner's functions, by the names of the kernel functions that they replace."""

    @property
    @abstractmethod
    def fingerprints(self) -> Mapping[str, str]:
        """A short name for what each function means, for the kernel's name."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What stands for the whole answer: another answer has another text."""

    runs_code = True
    """Whether their code runs. What a record says of it is always the same."""

    @abstractmethod
    def side(self, scenario: str, home: Layout, another: Callable[[], Layout]) -> Side:
        """The functions, ready to be called on handles of the world of that scenario.

        The machine's world has the layout `home`. `another` makes one that nothing else uses.
        """

    @abstractmethod
    def anew(self) -> Replacements | None:
        """The same functions, made once more; None if that cannot be done.

        Raises AnswerError if the source gives something else the second time.
        """


class ReplacementsHere(Replacements):
    """Functions of this process. `again` makes them anew.

    Raises AnswerError for a function that no kernel function matches or that is no `async def`.
    """

    def __init__(self, functions: Functions, again: Callable[[], Functions] | None = None) -> None:
        self._functions = dict(functions)
        self._again = again
        originals = kernel_functions() if functions else {}
        for name, function in functions.items():
            check_replacement(name, function, originals)
        # Before anything runs: a function may keep what it is told in a list beside it.
        self._fingerprints = {name: fingerprint(one) for name, one in sorted(functions.items())}

    def __getitem__(self, name: str) -> Any:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    @property
    def fingerprints(self) -> Mapping[str, str]:
        return self._fingerprints

    @property
    def text(self) -> str:
        return "~".join(f"{name}.{short}" for name, short in self._fingerprints.items())

    def side(self, scenario: str, home: Layout, another: Callable[[], Layout]) -> Side:
        return Here(self._functions, another(), silent())

    def anew(self) -> Replacements | None:
        return ReplacementsHere(self._again()) if self._again is not None else None


def replacements_in(names: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The functions among `names` (a notebook's globals) that replace kernel functions.

    An imported kernel function is not a replacement.
    """
    originals = kernel_functions()
    return {
        name: names[name]
        for name in originals
        if name in names and callable(names[name]) and not is_stub(names[name])
    }


def check_replacement(name: str, function: Any, originals: Mapping[str, FunctionType]) -> None:
    """Raise AnswerError, in one sentence, for what cannot replace the kernel function of that name.

    A plain function may give a coroutine, as the functions of many decorators do. A plain function
    that always gives None was meant to be an `async def`.
    """
    if name not in originals:
        raise AnswerError(
            f"{name} is not a kernel function, so nothing would call it. "
            f"There are: {', '.join(sorted(originals))}."
        )
    called = what_is_called(function)
    if inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called):
        raise AnswerError(
            f"{name} contains a `yield`, which makes it a generator. "
            "Kernel functions are `async def` with `await` only."
        )
    if not _may_give_an_awaitable(function, called):
        raise AnswerError(
            f"{name} must be a function written `async def {name}(...)`, "
            f"and this is {_kind(function, called)}."
        )
    try:
        got = inspect.signature(function)
    except (ValueError, TypeError):
        return  # a builtin that does not say; calling it will
    wanted = inspect.signature(originals[name])
    try:
        got.bind(*range(len(wanted.parameters)))
    except TypeError:
        raise AnswerError(
            f"{name} is called with {len(wanted.parameters)} arguments {names_of(wanted)}, "
            f"and this one takes {names_of(got)}. A function called {name} takes the place of the "
            "kernel's; if yours is a helper, give it another name."
        ) from None


def what_is_called(function: Any) -> Any:
    """The plain function behind a partial, a method or an object with __call__, if there is one."""
    for _ in range(100):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType | staticmethod | classmethod):
            function = function.__func__
        elif isinstance(function, FunctionType | type) or not callable(function):
            return function
        else:
            call = inspect.getattr_static(type(function), "__call__")
            if not isinstance(call, FunctionType | functools.partial | staticmethod | classmethod):
                return function
            function = call
    return function


def code_of(function: Any) -> CodeType | None:
    """The code that a learner wrote for it: that of the function inside a decorator's wrapper."""
    function = what_is_called(function)
    with contextlib.suppress(ValueError):  # it wraps itself
        function = what_is_called(inspect.unwrap(function))
    return getattr(function, "__code__", None)


def _may_give_an_awaitable(function: Any, called: Any) -> bool:
    if isinstance(called, type):
        return hasattr(called, "__await__")
    if not isinstance(called, FunctionType):
        return callable(called)
    return inspect.iscoroutinefunction(called) or _gives_something(called.__code__)


def _gives_something(code: CodeType) -> bool:
    """Whether a plain function returns anything but None on some path."""
    given: Any = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "RETURN_CONST" and instruction.argval is not None:
            return True
        if instruction.opname == "RETURN_VALUE" and given != ("LOAD_CONST", None):
            return True
        given = (instruction.opname, instruction.argval)
    return False


def _kind(thing: Any, called: Any) -> str:
    if isinstance(thing, FunctionType):
        return "a plain `def`"
    if isinstance(thing, type):
        return "a class"
    kind = type(thing).__name__
    return f"a {kind}" + (" of a plain `def`" if isinstance(called, FunctionType) else "")
