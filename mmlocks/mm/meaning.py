"""A short name for what a function means.

The name is the same wherever the function's text stands. It changes as soon as the text changes,
or anything of the learner's own that the function uses. Texts are compared as parsed (see
`parsed`). Where a function has no text, its code is compared: then docstrings count, and the name
differs between versions of Python.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from mmlocks.machine.task import PACKAGE
from mmlocks.mm.parsed import FUTURE, parsed_text

FOREIGN = tuple(
    str(folder) + os.sep
    for folder in {
        PACKAGE,
        *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)
"""The folders of code that no learner wrote. Such code is compared by its name."""

DEEPEST = 50
"""How deep values may nest. Where Python is WebAssembly, its own limit comes too late."""

NO_MEANING = frozenset(
    [
        "__module__",
        "__doc__",
        "__qualname__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__firstlineno__",
        "__static_attributes__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__classdictcell__",
        "__classcell__",
        "__builtins__",
        "__file__",
        "__spec__",
        "__loader__",
        "__cached__",
        "__package__",
        "__name__",
    ]
)
"""Attributes that say where and how something was written, not what it means."""

CONSTANTS: Any = bool | int | float | complex | str | bytes
PLAIN: Any = CONSTANTS | list | tuple | dict | set | frozenset


def fingerprint(function: Any) -> str:
    """Eight hex digits that change with the meaning of a function and of all that it uses."""
    try:
        text = "\n".join(_Walk().of(function))
    except RecursionError:  # values nest too deep
        text = f"{type(function).__name__} too deep"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


class _Walk:
    """Turns values into lines of text. A value met before becomes its number, so circles end."""

    def __init__(self) -> None:
        self._met: dict[int, int] = {}
        self._depth = 0
        self._kept: list[Any] = []  # so that Python uses no identity twice

    def of(self, value: Any) -> Iterator[str]:
        """The lines that describe a value."""
        constant = value is None or value is ... or isinstance(value, CONSTANTS)
        if constant and type(value).__module__ == "builtins":
            yield f"{type(value).__name__} {value!r}"
        elif id(value) in self._met:
            yield f"again {self._met[id(value)]}"
        else:
            self._met[id(value)] = len(self._met)
            self._kept.append(value)
            self._depth += 1
            if self._depth > DEEPEST:
                raise RecursionError
            yield from self._describe(value)
            self._depth -= 1

    def _describe(self, value: Any) -> Iterator[str]:
        for kinds, describe in self._KINDS:
            if isinstance(value, kinds):
                yield from describe(self, value)
                return
        yield from self._object(value)

    def _all(self, values: Any) -> Iterator[str]:
        for value in values:
            yield from self.of(value)

    def _named(self, values: Mapping[str, Any]) -> Iterator[str]:
        for name in sorted(values.keys() - NO_MEANING):
            yield f"{name} ="
            yield from self.of(values[name])

    # -- code

    def _function(self, function: FunctionType) -> Iterator[str]:
        code = function.__code__
        if _foreign(code.co_filename):
            yield f"function {function.__module__}.{function.__qualname__}"
            return
        yield f"function {function.__name__}"
        yield parsed_text(code) or "\n".join(self._code(code))
        yield from self._all((function.__defaults__, function.__kwdefaults__))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            yield f"free {name}"
            try:
                yield from self.of(cell.cell_contents)
            except ValueError:
                yield "empty"
        attributes = {name: one for name, one in vars(function).items() if name != "__wrapped__"}
        yield from self._named(attributes)
        used = _globals_of(code) & function.__globals__.keys()
        for name in sorted(used):
            yield f"global {name}"
            yield from self.of(function.__globals__[name])

    def _code(self, code: CodeType) -> Iterator[str]:
        yield (
            f"code {code.co_name} {code.co_argcount} {code.co_kwonlyargcount} "
            f"{code.co_flags & ~FUTURE} {code.co_varnames} {code.co_freevars}"
        )
        yield f"{code.co_code.hex()} {code.co_names} {code.co_exceptiontable.hex()}"
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self._code(constant)
            elif isinstance(constant, frozenset):
                yield repr(sorted(map(repr, constant)))
            else:
                yield repr(constant)

    def _partial(self, value: functools.partial[Any]) -> Iterator[str]:
        yield "partial"
        yield from self._all((value.func, value.args, value.keywords))

    def _method(self, value: MethodType) -> Iterator[str]:
        yield "method"
        yield from self._all((value.__func__, value.__self__))

    def _static_method(self, value: Any) -> Iterator[str]:
        yield type(value).__name__
        yield from self.of(value.__func__)

    def _property(self, value: property) -> Iterator[str]:
        yield "property"
        yield from self._all((value.fget, value.fset, value.fdel))

    def _module(self, module: ModuleType) -> Iterator[str]:
        yield f"module {module.__name__}"
        if not _foreign(getattr(module, "__file__", None)):
            kinds = FunctionType | type | PLAIN
            named = {name: one for name, one in vars(module).items() if isinstance(one, kinds)}
            yield from self._named(named)

    def _class(self, kind: type) -> Iterator[str]:
        if not _own(kind):
            yield f"class {kind.__module__}.{kind.__qualname__}"
            return
        yield f"class {kind.__name__}"
        yield from self._all(kind.__bases__)
        yield from self._named(vars(kind))

    # -- data

    def _sequence(self, values: list[Any] | tuple[Any, ...]) -> Iterator[str]:
        yield f"{type(values).__name__} of {len(values)}"
        yield from self._all(values)

    def _mapping(self, values: Mapping[Any, Any]) -> Iterator[str]:
        yield f"{type(values).__name__} of {len(values)}"
        for pair in values.items():
            yield from self._all(pair)

    def _set(self, values: set[Any] | frozenset[Any]) -> Iterator[str]:
        yield f"{type(values).__name__} of {len(values)}"
        yield from sorted(
            f"{type(one).__name__} {one!r}" if isinstance(one, PLAIN) else type(one).__name__
            for one in values
        )

    def _object(self, value: Any) -> Iterator[str]:
        yield "object"
        yield from self.of(type(value))
        if _own(type(value)) and isinstance(getattr(value, "__dict__", None), dict):
            yield from self._named(vars(value))

    _KINDS: tuple[tuple[Any, Any], ...] = (
        (FunctionType, _function),
        (CodeType, _code),
        (functools.partial, _partial),
        (MethodType, _method),
        (staticmethod | classmethod, _static_method),
        (property, _property),
        (ModuleType, _module),
        (type, _class),
        (list | tuple, _sequence),
        (Mapping, _mapping),
        (set | frozenset, _set),
    )
    """What describes which kind of value. The first that fits is taken; others are objects."""


def _own(kind: type) -> bool:
    """Whether a learner wrote the class.

    A notebook's module has no file; nor has the module of an answer's file while it is read.
    """
    if kind.__module__ in ("__main__", "answer"):
        return True
    module = sys.modules.get(kind.__module__)
    return module is None or not _foreign(getattr(module, "__file__", None))


def _foreign(file: str | None) -> bool:
    return file is None or file.startswith(FOREIGN) or file.startswith("<frozen")


def _globals_of(code: CodeType) -> set[str]:
    """The global names that a function, or one defined in it, looks up."""
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _globals_of(constant)
    return names
