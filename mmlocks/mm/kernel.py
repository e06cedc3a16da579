"""Linking a kernel: the functions of `mmlocks.mm`, bound to one release.

Kernel functions call each other by their plain names, like C. Linking gives all of them one common
namespace, in which each patch is true or false. A variant of ours takes a function's place there.
A learner's function is never put there: its stand-in is (see `mmlocks.machine.foreign`).
"""

from __future__ import annotations

import builtins
import importlib
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine.foreign import Foreign
from mmlocks.machine.side import Functions
from mmlocks.machine.state import Outlasting
from mmlocks.mm.meaning import fingerprint
from mmlocks.mm.reach import reached
from mmlocks.mm.replacing import Replacements, ReplacementsHere, check_replacement
from mmlocks.mm.stubs import MODULES, is_stub, kernel_functions, kernel_text
from mmlocks.releases import Patch, Release

APART = "~apart"
"""Ends the name of a kernel whose steps are taken one by one."""


class Linked(Outlasting):
    """The functions of `mmlocks.mm`, linked for a release: they are its attributes.

    `text` are variants of ours, which take the place of kernel functions and are linked like them.
    `foreign` are a learner's functions, which are called by stand-ins.
    """

    def __init__(self, release: Release, text: Functions, foreign: Foreign | None = None) -> None:
        names: dict[str, Any] = {"__builtins__": builtins}
        for name in MODULES:
            names.update(vars(importlib.import_module(f"mmlocks.mm.{name}")))
        patches = {
            name: value in release.patches
            for name, value in names.items()
            if isinstance(value, Patch)
        }
        helpers, originals = _helpers(), kernel_text()
        names.update(patches)
        names.update(
            {name: _rebound(function, names) for name, function in {**helpers, **originals}.items()}
        )
        self._helpers = {function: names[name] for name, function in helpers.items()}
        self._release = release
        self._originals = {name: names[name] for name in originals}
        replaced = {*text, *(foreign.side.names if foreign is not None else ())}
        if not replaced & reached([originals["_duplicate"]]):
            # As one step it runs the text as written, and would never ask a replaced function.
            names["_duplicate"] = names["_duplicate_at_once"]
        self._exports: dict[str, Any] = {**patches, **{name: names[name] for name in originals}}

        changed: dict[str, Any] = {}
        for name, function in text.items():
            changed[name] = names[name] = self._link_text(
                function, text, {**self._exports, **changed}
            )
        if foreign is not None:
            foreign.kernel = self.called_by
            changed.update({name: foreign.stand_in(name) for name in foreign.side.names})
        names.update(changed)
        self._exports.update(changed)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_exports"][name]
        except KeyError:
            raise AttributeError(f"the kernel has no function {name}") from None

    def called_by(self, name: str, caller: str) -> Any:
        """The function that a foreign `caller` gets by a name.

        By its own name it gets the kernel's, so that it can add to what that one does.
        """
        return self._originals[name] if name == caller else self._exports[name]

    def link(self, function: Callable[..., Any]) -> Any:
        """A program's function, and those of its own module, so that they call this kernel."""
        assert isinstance(function, FunctionType)
        instructions = {
            name: _rebound(instruction, {**instruction.__globals__, **self._exports})
            for name, instruction in kernel_functions(("user",)).items()
        }
        return _rebound(function, self._namespace(function, {**self._exports, **instructions}))

    def _link_text(
        self, function: Callable[..., Any], text: Functions, exports: Mapping[str, Any]
    ) -> FunctionType:
        """A variant of ours, so that it calls this kernel, and other variants of its own module."""
        assert isinstance(function, FunctionType)
        names = self._namespace(function, {**exports, "together": one_by_one})
        for name, other in text.items():
            if isinstance(other, FunctionType) and other.__globals__ is function.__globals__:
                names[name] = _rebound(other, names)
        return _rebound(function, names)

    def _namespace(self, function: FunctionType, exports: Mapping[str, Any]) -> dict[str, Any]:
        """The names that a function sees: those of its own module, and `exports` above them.

        A private function of that module stays: it is a part of the text that calls it.
        """
        own = function.__globals__
        names = {**own, **exports}
        for name, value in own.items():
            if isinstance(value, Patch):  # a scenario's file may bring a patch of its own
                names[name] = value in self._release.patches
            if not isinstance(value, FunctionType) or (name in exports and name[0] != "_"):
                continue
            if value.__globals__ is own:
                names[name] = _rebound(value, names)
            elif value in self._helpers:  # imported along with the kernel functions that it helps
                names[name] = self._helpers[value]
        return names


class Kernel:
    """A kernel to be examined: a release, and functions that replace some of its own.

    Functions are its attributes: `await kernel.dup_mmap(mm, oldmm)`.

    `replacements` are a learner's functions, by the names of the kernel functions that they
    replace. They run only on a machine, apart from the kernel's text (see
    `mmlocks.machine.foreign`), in this process or in another one. `again` makes the same functions
    anew, to see whether they keep something from one call to the next. With `apart`, steps that our
    text takes together are taken one by one. `text` are variants of ours, linked and trusted like
    the kernel's own functions.

    Raises AnswerError for a function that no kernel function matches or that is no `async def`.
    """

    def __init__(
        self,
        release: Release,
        replacements: Functions | Replacements | None = None,
        text: Functions | None = None,
        again: Callable[[], Functions] | None = None,
        apart: bool = False,
    ) -> None:
        self.release = release
        if not isinstance(replacements, Replacements):
            replacements = ReplacementsHere(replacements or {}, again)
        self.replacements = replacements
        self.text = dict(text or {})
        self.apart = apart
        for name, function in self.text.items():
            check_replacement(name, function, kernel_functions())
        own = {name: fingerprint(function) for name, function in self.text.items()}
        self._fingerprints = dict(sorted({**own, **replacements.fingerprints}.items()))
        self._linked = None if self.replacements else Linked(release, self.text)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._alone, name)

    @property
    def name(self) -> str:
        """The release and the functions that replace its own: `6.4.0~dup_mmap.1f2e3d4c`.

        It ends in `~apart` where steps are taken one by one.
        """
        parts = [
            self.release.name,
            *(f"{name}.{short}" for name, short in self._fingerprints.items()),
        ]
        return "~".join(parts) + (APART if self.apart else "")

    def taken_apart(self) -> Kernel:
        """The same kernel, with steps taken one by one."""
        return Kernel(self.release, self.replacements, self.text, apart=True)

    @property
    def _alone(self) -> Linked:
        if self._linked is None:
            raise ModelError(
                f"this kernel has a learner's functions "
                f"({', '.join(sorted(self.replacements))}), which run on a machine only: "
                "use machine_for(scenario, kernel)."
            )
        return self._linked

    def link(self, function: Callable[..., Any]) -> Any:
        """A program's function, and those of its own module, so that they call this kernel."""
        return self._alone.link(function)

    def linked(self, foreign: Foreign) -> Linked:
        """This kernel for one CPU, with that CPU's stand-ins for a learner's functions."""
        return Linked(self.release, self.text, foreign)


def _helpers() -> dict[str, FunctionType]:
    """The plain functions in the kernel's files. They are linked, but cannot be replaced."""
    return {
        name: function
        for module in MODULES
        for name, function in vars(importlib.import_module(f"mmlocks.mm.{module}")).items()
        if inspect.isfunction(function)
        and not is_stub(function)
        and function.__module__ == f"mmlocks.mm.{module}"
    }


async def one_by_one(*parts: Any) -> tuple[Any, ...]:
    """What `together` means in other text than the kernel's: one part after the other.

    Only for our own text do we know that the parts cannot be told apart.
    """
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
