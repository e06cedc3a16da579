"""The side on which foreign functions run: in this process, or in another one.

`mmlocks.machine.foreign` asks a side what a function does next, and does not know where its code
runs. Nothing that a side says is trusted: rules decide which steps may be asked for, and what was
said once must be said again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from mmlocks.errors import ModelError
from mmlocks.machine.coroutine import CoroutineSupplier
from mmlocks.machine.moment import SHOWN_AS
from mmlocks.machine.state import Layout
from mmlocks.machine.task import Answer, Place, Supplier
from mmlocks.machine.wire import from_plain, plain_from_abroad, to_plain

Functions = Mapping[str, Callable[..., Any]]
"""Foreign functions, by the names of the kernel functions that they replace."""


class Runs(Supplier, Protocol):
    """The runs of one call of a foreign function. All that it says is plain."""

    def close(self) -> None:
        """End the current run."""


class Side(Protocol):
    """Foreign functions, and where they run.

    `layout` has the handles in which arguments and results are told. No search changes it.
    """

    @property
    def names(self) -> Collection[str]:
        """The kernel functions that are replaced."""

    @property
    def layout(self) -> Layout:
        """The handles of this side."""

    def runs(
        self, cpu: int, name: str, args: Sequence[Any], named: Mapping[str, Any], looks: int
    ) -> Runs:
        """The runs of a call.

        If the function is not steady, `looks` more runs of it would show that at once.
        """


class Here:
    """Foreign functions that run in this process. What those in `silent` return is dropped."""

    def __init__(self, functions: Functions, layout: Layout, silent: frozenset[str]) -> None:
        self.functions = functions
        self.names: Collection[str] = functions.keys()
        self.layout = layout
        self._silent = silent

    def runs(
        self, cpu: int, name: str, args: Sequence[Any], named: Mapping[str, Any], looks: int
    ) -> RunsHere:
        """The runs of a call, on handles of this side."""
        function = self.functions[name]
        here = [from_plain(to_plain(arg), self.layout) for arg in args]
        by_name = {key: from_plain(to_plain(arg), self.layout) for key, arg in named.items()}
        supplier = CoroutineSupplier(
            cpu,
            lambda: _coroutine(function(*here, **by_name)),
            foreign=True,
            what=name,
            looks=looks,
        )
        return RunsHere(supplier, name, name in self._silent)


class RunsHere:
    """One call of a function of this process. All that it says is made plain."""

    def __init__(self, supplier: CoroutineSupplier, name: str, silent: bool) -> None:
        self._supplier = supplier
        self._name = name
        self._silent = silent
        self.verify = supplier.verify
        self.close = supplier.close

    def answer(self, results: Sequence[Any]) -> Answer:
        """What the function does after these results; a mistake if that has no plain form."""
        answer = self._supplier.answer(results)
        if answer.step is not None or answer.ended != "returned":
            return answer
        try:
            value = None if self._silent else plain_from_abroad(answer.value)
            return replace(answer, value=value)
        except ModelError as problem:
            who = who_asks(self._supplier.cpu, self._name, answer.where)
            return Answer.mistake(answer.where, f"{who}: {problem}.")


def who_asks(cpu: int, name: str, where: tuple[Place, ...]) -> str:
    """The CPU, the function and the line that ask for something, for a message."""
    place = f"{where[-1].function} ({where[-1].spot})" if where else name
    return f"cpu{cpu}, in {place}"


def _coroutine(called: Any) -> Any:
    """What a call gave, as a coroutine: a decorator may give something else to await."""
    return (
        _awaiting(called)
        if hasattr(type(called), "__await__") and not isinstance(called, Coroutine)
        else called
    )


async def _awaiting(called: Any) -> Any:
    return await called


SHOWN_AS[_awaiting.__code__] = lambda frame: ()
