"""Linking a kernel: the functions of `mmlocks.mm`, bound to one release and, where wanted, to other versions of some.

Kernel functions call each other by their plain names. Linking gives every one of them a common namespace in which each patch is true or false:
what a linker does for a real kernel. A function of somebody else's is never put into that namespace. Its stand-in is.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine.foreign import Foreign, Functions
from mmlocks.machine.state import Outlasting
from mmlocks.mm.meaning import fingerprint
from mmlocks.mm.reach import reached
from mmlocks.mm.replacing import check_replacement
from mmlocks.mm.stubs import MODULES, is_stub, kernel_functions, kernel_text
from mmlocks.releases import Patch, Release

APART = "~apart"
"""Ends the name of a kernel whose steps are taken one by one."""


class Linked(Outlasting):
    """The functions of `mmlocks.mm`, linked for a release: they are its attributes.

    `text` holds functions that stand in for the kernel's own in the kernel's text, for variants of ours. `foreign` are functions of somebody else's:
    they are called by stand-ins.
    """

    def __init__(self, release: Release, text: Functions, foreign: Foreign | None = None) -> None:
        originals = kernel_text()
        names: dict[str, Any] = {"__builtins__": builtins}
        for name in MODULES:
            names.update(vars(importlib.import_module(f"mmlocks.mm.{name}")))
        self._patches = {
            key: value in release.patches for key, value in names.items() if isinstance(value, Patch)
        }
        names.update(self._patches)
        helpers = _helpers()
        names.update({name: _rebound(function, names) for name, function in {**helpers, **originals}.items()})
        self._originals = {name: names[name] for name in originals}
        self._helpers = {function: names[name] for name, function in helpers.items()}
        replaced = {*text, *(foreign.functions if foreign is not None else ())}
        if not replaced & reached([originals["_duplicate"]]):
            # As one step it runs the text as written, and would never ask a function that is replaced.
            names["_duplicate"] = names["_duplicate_at_once"]
        self._text = text
        for name, function in text.items():
            names[name] = self._link_text(function, names)
        if foreign is not None:
            foreign.kernel = self.called_by
            names.update({name: foreign.stand_in(name) for name in foreign.functions})
        self._exports = {**self._patches, **{name: names[name] for name in originals}}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_exports"][name]
        except KeyError:
            raise AttributeError(f"the kernel has no function {name}") from None

    def called_by(self, name: str, caller: str) -> Any:
        """The function that a foreign `caller` gets by a name. By its own name it gets the kernel's, so that it can add to what that one does."""
        return self._originals[name] if name == caller else self._exports[name]

    def link(self, function: Callable[..., Any]) -> Any:
        """A program's function, and the functions of its own module, such that the kernel that they call is this one."""
        assert isinstance(function, FunctionType)
        calls = {
            name: _rebound(instruction, {**instruction.__globals__, **self._exports})
            for name, instruction in kernel_functions(("user",)).items()
        }
        return _rebound(function, self._space(function, {**self._exports, **calls}))

    def _link_text(self, function: Callable[..., Any], names: dict[str, Any]) -> FunctionType:
        """A variant of ours and its helpers. They see this kernel's functions even where theirs came first."""
        assert isinstance(function, FunctionType)
        exports = {
            **self._patches,
            **{name: names[name] for name in kernel_text()},
            "together": one_by_one,
        }
        space = self._space(function, exports)
        for name, other in self._text.items():
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
        # What nobody can replace is a part of the text that calls it: a variant of ours keeps its own.
        own = {
            name for name in space if name.startswith("_") and space[name] is not function.__globals__[name]
        }
        space.update({name: value for name, value in exports.items() if name not in own})
        return space


class Kernel:
    """A kernel to be examined: a release, and functions that stand in for its own. Functions are its attributes: `await kernel.dup_mmap(mm, oldmm)`.

    `replacements` are functions of somebody else's, by the names of the kernel functions that they replace. They run on a machine only, apart from the kernel's
    text (see `mmlocks.machine.foreign`). `again` makes the same functions anew, so that it can be seen whether they keep something from
    one call to the next. `apart` says that steps which our text takes together are taken one by one. `text` are variants of ours, which are linked like the kernel's own functions, and trusted like them.

    Raises AnswerError for a function that no kernel function matches or that is no `async def`.
    """

    def __init__(
        self,
        release: Release,
        replacements: Functions | None = None,
        text: Functions | None = None,
        again: Callable[[], Functions] | None = None,
        apart: bool = False,
    ) -> None:
        self.release = release
        self.replacements = dict(replacements or {})
        self.text = dict(text or {})
        self.again = again
        self.apart = apart
        originals = kernel_functions()
        for name, function in {**self.text, **self.replacements}.items():
            check_replacement(name, function, originals)
        # Before anything runs: a function may keep what it is told in a list beside it.
        others = {**self.text, **self.replacements}
        self._fingerprints = {name: fingerprint(function) for name, function in sorted(others.items())}
        self._linked = None if self.replacements else Linked(release, self.text)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._alone, name)

    @property
    def name(self) -> str:
        """The release, and the functions that stand in for its own: `6.4.0~dup_mmap.1f2e3d4c`, and `~apart` where steps are taken apart."""
        parts = [self.release.name, *(f"{name}.{short}" for name, short in self._fingerprints.items())]
        return "~".join(parts) + (APART if self.apart else "")

    def taken_apart(self) -> Kernel:
        """The same kernel, with steps taken one by one."""
        return Kernel(self.release, self.replacements, self.text, self.again, apart=True)

    @property
    def _alone(self) -> Linked:
        if self._linked is None:
            raise ModelError(
                f"this kernel has functions of somebody else's ({', '.join(sorted(self.replacements))}), which run on a machine only: "
                "use machine_for(scenario, kernel)."
            )
        return self._linked

    def link(self, function: Callable[..., Any]) -> Any:
        """A program's function, and the functions of its own module, such that the kernel that they call is this one."""
        return self._alone.link(function)

    def linked(self, foreign: Foreign) -> Linked:
        """This kernel for one CPU, whose foreign functions these are."""
        return Linked(self.release, self.text, foreign)


def _helpers() -> dict[str, FunctionType]:
    """What kernel functions call in their own files: linked, as it may ask for a patch, but nobody's to replace."""
    return {
        name: function
        for module in MODULES
        for name, function in vars(importlib.import_module(f"mmlocks.mm.{module}")).items()
        if inspect.isfunction(function)
        and not is_stub(function)
        and function.__module__ == f"mmlocks.mm.{module}"
    }


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
