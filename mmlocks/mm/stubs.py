"""Stubs: what an import of a kernel function gives.

A kernel function is text until a `Kernel` links it. Code that imports it, from `mmlocks.mm` or from
its file, has no kernel and gets a stub. Awaited in a learner's function, the stub hands a `Call` to
the kernel under examination, and returns the result of that kernel's function. So every call leads
to that kernel, also one from a class, a decorator, functools.partial, or a helper's file.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Coroutine
from types import CodeType, CoroutineType, FunctionType
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine.moment import SHOWN_AS
from mmlocks.machine.state import Cell, Record
from mmlocks.machine.values import Call, Step
from mmlocks.mm.mm_types import Frame, Memory, Mm, Vma

MODULES = (
    "frames", "pagecache", "vma", "maple_node", "maple", "rmap", "vma_lock", "mmap_lock", "cow",
    "filemap", "stack", "speculative", "fault", "vma_dup", "fork", "syscalls.merge",
    "syscalls.split", "syscalls.modify", "syscalls.munmap", "reclaim", "syscalls.mmap",
    "syscalls.mprotect", "syscalls.placement", "syscalls.brk", "syscalls.mremap",
    "syscalls.madvise",
)  # fmt: skip
"""The files with kernel functions. All else (locks, hardware, programs, oracles) stays as it is."""


@functools.cache
def kernel_text(modules: tuple[str, ...] = MODULES) -> dict[str, FunctionType]:
    """Every function of the kernel text by its name, as written, not linked to a release.

    Private functions are included: those that only their own file calls.
    """
    found: dict[str, FunctionType] = {}
    for name in modules:
        module = importlib.import_module(f"mmlocks.mm.{name}")
        for function in vars(module).values():
            own = inspect.iscoroutinefunction(function) and function.__module__ == module.__name__
            if own:
                if function.__name__ in found:
                    raise ModelError(f"there are two kernel functions called {function.__name__}")
                found[function.__name__] = text_of(function)
    return found


@functools.cache
def kernel_functions(modules: tuple[str, ...] = MODULES) -> dict[str, FunctionType]:
    """The kernel functions that can be replaced, by their names: all but the private ones."""
    return {
        name: function
        for name, function in kernel_text(modules).items()
        if not name.startswith("_")
    }


@functools.cache
def silent() -> frozenset[str]:
    """The kernel functions that return nothing."""
    return frozenset(
        name
        for name, text in kernel_functions().items()
        if text.__annotations__["return"] == "None"
    )


def text_of(function: Any) -> Any:
    """The function behind a stub; anything else is itself."""
    code = getattr(function, "__code__", None)
    return function.__wrapped__ if code is STUB else function


def is_stub(function: Any) -> bool:
    """Whether this is the stub of a kernel function."""
    return getattr(function, "__code__", None) is STUB


def _stub(text: FunctionType) -> Callable[..., Coroutine[Step, Any, Any]]:
    """The stub of a kernel function. Raises TypeError for wrong arguments, as the function does."""

    @functools.wraps(text)
    async def stub(*args: Any, **named: Any) -> Any:
        return await Call(text.__name__, _bound(text, args, named), text)

    return stub


_signature = functools.cache(inspect.signature)


def _bound(text: FunctionType, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments in their order.

    Not done in the stub itself: its variables are part of a moment, and two signatures cannot be
    compared.
    """
    signature = _signature(text)
    try:
        bound = signature.bind(*args, **named)
    except TypeError as problem:
        raise TypeError(
            f"{text.__name__}{names_of(signature)} was called otherwise: {problem}"
        ) from None
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        wanted = HANDLES.get(signature.parameters[name].annotation)
        # A cell or a coroutine gets a better message at the boundary.
        if wanted is not None and not isinstance(value, wanted | Cell | CoroutineType):
            raise TypeError(
                f"{text.__name__}{names_of(signature)} takes a handle of kind "
                f"{wanted.__name__} as {name}, and this is {_this(value)}"
            )
    return bound.args


HANDLES: dict[Any, Any] = {"Vma": Vma, "Mm": Mm, "Frame": Frame, "Memory": Memory}
"""The kinds of handles that kernel functions take, by their annotations.

A handle of another kind would fail only deep inside.
"""


def names_of(signature: inspect.Signature) -> str:
    """The parameters of a function as a caller sees them: `(mm, orig)`."""
    return f"({', '.join(signature.parameters)})"


def _this(value: Any) -> str:
    if value is None:
        return "None"
    named = f"{value!r}, " if isinstance(value, Record) else ""
    return f"{named}of kind {type(value).__name__}"


STUB = next(
    part
    for part in _stub.__code__.co_consts
    if isinstance(part, CodeType) and part.co_name == "stub"
)
"""The code that all stubs share."""

SHOWN_AS[STUB] = SHOWN_AS[_bound.__code__] = lambda frame: ()


def put_stubs() -> None:
    """Replace every kernel function in the modules of `mmlocks.mm` by its stub.

    Called once, when all of them have been imported.
    """
    stubs = {text: _stub(text) for text in kernel_text().values()}
    for name, module in list(sys.modules.items()):
        if name.startswith("mmlocks.mm.") or name == "mmlocks.mm":
            for called, value in list(vars(module).items()):
                if isinstance(value, FunctionType) and value in stubs:
                    setattr(module, called, stubs[value])
