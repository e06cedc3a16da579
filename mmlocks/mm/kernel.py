"""Linking a kernel: the functions of `mmlocks.mm`, bound to one release and, where wanted, to somebody's own versions.

Kernel functions call each other by their plain names. A `Kernel` gives every one of them a common namespace in which each
patch is true or false and each replaced function is the replacement: what a linker does for a real kernel.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.mm.meaning import fingerprint
from mmlocks.mm.replacing import check_replacement
from mmlocks.releases import Patch, Release

MODULES = (
    "frames", "pagecache", "vma", "maple_node", "maple", "rmap", "vma_lock", "mmap_lock", "cow", "filemap", "stack", "speculative", "fault", "vma_dup", "fork",
    "merge", "split", "modify", "munmap", "reclaim", "mmap", "mprotect", "placement", "brk", "mremap", "madvise",
)  # fmt: skip
"""The files with kernel functions in them. What is not in these (locks, hardware, programs, oracles) nobody can replace."""


def kernel_functions(modules: tuple[str, ...] = MODULES) -> dict[str, FunctionType]:
    """Every function of the kernel text by its name, as written, not linked to any release."""
    found: dict[str, FunctionType] = {}
    for name in modules:
        module = importlib.import_module(f"mmlocks.mm.{name}")
        for function in vars(module).values():
            own = inspect.iscoroutinefunction(function) and function.__module__ == module.__name__
            if own and not function.__name__.startswith("_"):
                if function.__name__ in found:
                    raise ModelError(f"there are two kernel functions called {function.__name__}")
                found[function.__name__] = function
    return found


def _helpers() -> dict[str, FunctionType]:
    """What kernel functions call in their own files: linked, as it may ask for a patch, but nobody's to replace."""
    return {
        name: function
        for module in MODULES
        for name, function in vars(importlib.import_module(f"mmlocks.mm.{module}")).items()
        if inspect.isfunction(function) and function.__module__ == f"mmlocks.mm.{module}"
    }


class Kernel:
    """A linked kernel; its functions are its attributes: `await kernel.dup_mmap(mm, oldmm)`.

    `replacements` are functions by the name of the kernel function that they stand in for. Helpers that they call from
    their own module are linked along with them.

    Raises AnswerError for a replacement that no kernel function matches or that is no `async def`.
    """

    def __init__(
        self, release: Release, replacements: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self.release = release
        self.replacements = dict(replacements or {})
        originals = kernel_functions()
        for name, function in self.replacements.items():
            check_replacement(name, function, originals)
        # Before anything runs: a function may keep what it is told in a list beside it.
        self._fingerprints = {name: fingerprint(function) for name, function in self.replacements.items()}
        names: dict[str, Any] = {"__builtins__": builtins}
        for name in MODULES:
            names.update(vars(importlib.import_module(f"mmlocks.mm.{name}")))
        patches = {key: value in release.patches for key, value in names.items() if isinstance(value, Patch)}
        names.update(patches)
        helpers = _helpers()
        names.update({name: _rebound(function, names) for name, function in {**helpers, **originals}.items()})
        self._helpers = {function: names[name] for name, function in helpers.items()}
        for name, function in self.replacements.items():
            names[name] = self._link_foreign(function, names, patches)
        self._exports = {**patches, **{name: names[name] for name in originals}}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_exports"][name]
        except KeyError:
            raise AttributeError(f"the kernel has no function {name}") from None

    @property
    def name(self) -> str:
        """The release, and the functions that stand in for its own: `6.4.0~dup_mmap.1f2e3d4c`."""
        return "~".join(
            [
                self.release.name,
                *(f"{name}.{short}" for name, short in sorted(self._fingerprints.items())),
            ]
        )

    def link(self, function: Callable[..., Any]) -> Any:
        """A program's function, and the functions of its own module, such that the kernel that they call is this one."""
        assert isinstance(function, FunctionType)
        calls = {
            name: _rebound(instruction, {**instruction.__globals__, **self._exports})
            for name, instruction in kernel_functions(("user",)).items()
        }
        return _rebound(function, self._space(function, {**self._exports, **calls}))

    def _link_foreign(
        self, function: Callable[..., Any], names: dict[str, Any], patches: dict[str, bool]
    ) -> Callable[..., Any]:
        """A replacement and its helpers. They see this kernel's functions even where theirs came first."""
        if not isinstance(function, FunctionType):
            return function  # an object that can be called
        exports = {**patches, **{name: names[name] for name in kernel_functions()}, "together": one_by_one}
        space = self._space(function, exports)
        for name, other in self.replacements.items():
            if isinstance(other, FunctionType) and other.__globals__ is function.__globals__:
                space[name] = _rebound(other, space)
        return _rebound(function, space)

    def _space(self, function: FunctionType, exports: Mapping[str, Any]) -> dict[str, Any]:
        space = dict(function.__globals__)
        for name, value in function.__globals__.items():
            if isinstance(value, FunctionType) and value.__globals__ is function.__globals__:
                space[name] = _rebound(value, space)
            elif isinstance(value, FunctionType) and value in self._helpers:
                space[name] = self._helpers[
                    value
                ]  # ours, imported along with the kernel functions that it helps
        space.update(exports)
        return space


async def one_by_one(*parts: Any) -> tuple[Any, ...]:
    """What `together` means in somebody's own kernel function: only we may say that nobody could tell the parts apart."""
    results = []
    for part in parts:
        results.append(await part)  # noqa: PERF401  an `await` in a comprehension would hide its line
    return tuple(results)


def _rebound(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    """The same function, looking up its global names elsewhere."""
    copy = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__, copy.__module__, copy.__qualname__ = (
        function.__doc__,
        function.__module__,
        function.__qualname__,
    )
    return copy


def replacements_in(names: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The functions among `names` (a notebook's globals) that stand in for kernel functions.

    A kernel function that was merely imported is not a replacement.
    """
    originals = kernel_functions()
    return {
        name: names[name]
        for name in originals
        if name in names and callable(names[name]) and names[name] is not originals[name]
    }
