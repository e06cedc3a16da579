"""What everybody outside of a kernel gets by the name of a kernel function: a stub, which asks for the function to be called.

A kernel function is text until a `Kernel` links it. Who imports it, from `mmlocks.mm` or from the file where it stands, has no kernel and
gets a stub. Awaited in a learner's function, the stub hands a `Call` over to the kernel under examination, and returns what that kernel's
function returned. So every way that Python knows to call a function leads to that kernel: a class, a decorator, functools.partial, a helper in another file.
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
from mmlocks.machine.step import Call, Step
from mmlocks.mm.mm_types import Frame, Memory, Mm, Vma

MODULES = (
    "frames", "pagecache", "vma", "maple_node", "maple", "rmap", "vma_lock", "mmap_lock", "cow", "filemap", "stack", "speculative", "fault", "vma_dup", "fork",
    "syscalls.merge", "syscalls.split", "syscalls.modify", "syscalls.munmap", "reclaim", "syscalls.mmap", "syscalls.mprotect", "syscalls.placement", "syscalls.brk", "syscalls.mremap", "syscalls.madvise",
)  # fmt: skip
"""The files with kernel functions in them. What is not in these (locks, hardware, programs, oracles) nobody can replace."""


@functools.cache
def kernel_text(modules: tuple[str, ...] = MODULES) -> dict[str, FunctionType]:
    """Every function of the kernel text by its name, as written, not linked to any release; also those that only their own file calls."""
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
    """The kernel functions that can be replaced, by their names: all but those that only their own file calls."""
    return {
        name: function
        for name, function in kernel_text(modules).items()
        if not name.startswith("_")
    }


def text_of(function: Any) -> Any:
    """The function behind a stub; anything else is itself."""
    code = getattr(function, "__code__", None)
    return function.__wrapped__ if code is STUB else function


def is_stub(function: Any) -> bool:
    """Whether this is a kernel function that was merely imported."""
    return getattr(function, "__code__", None) is STUB


def _stub(text: FunctionType) -> Callable[..., Coroutine[Step, Any, Any]]:
    """The stub of a kernel function. Raises TypeError, as the function itself would, for arguments that it does not take."""

    @functools.wraps(text)
    async def stub(*args: Any, **named: Any) -> Any:
        return await Call(text.__name__, _bound(text, args, named), text)

    return stub


_signature = functools.cache(inspect.signature)


def _bound(text: FunctionType, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments in their order.

    Not in the stub itself: its variables are part of a moment, and of signatures we cannot say whether two are the same.
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
        if wanted is not None and not isinstance(
            value, wanted | Cell | CoroutineType
        ):  # of the latter two the boundary has more to say
            raise TypeError(
                f"{text.__name__}{names_of(signature)} takes a handle of kind {wanted.__name__} as {name}, and this is {_this(value)}"
            )
    return bound.args


HANDLES: dict[Any, Any] = {"Vma": Vma, "Mm": Mm, "Frame": Frame, "Memory": Memory}
"""The kinds of handles that kernel functions take, as their annotations name them. A handle of another kind fails only deep inside."""


def names_of(signature: inspect.Signature) -> str:
    """The parameters of a function as a caller sees them: `(mm, orig)`."""
    return f"({', '.join(signature.parameters)})"


def _this(value: Any) -> str:
    kind = type(value).__name__
    return (
        "None"
        if value is None
        else f"{value!r}, of kind {kind}"
        if isinstance(value, Record)
        else f"of kind {kind}"
    )


STUB = next(
    part
    for part in _stub.__code__.co_consts
    if isinstance(part, CodeType) and part.co_name == "stub"
)
"""The code that all stubs share."""

SHOWN_AS[STUB] = SHOWN_AS[_bound.__code__] = lambda frame: ()


def put_stubs() -> None:
    """Put a stub wherever a module of `mmlocks.mm` has a kernel function. Called once, when all of them have been imported."""
    stubs = {text: _stub(text) for text in kernel_text().values()}
    for name, module in list(sys.modules.items()):
        if name.startswith("mmlocks.mm.") or name == "mmlocks.mm":
            for called, value in list(vars(module).items()):
                if isinstance(value, FunctionType) and value in stubs:
                    setattr(module, called, stubs[value])
