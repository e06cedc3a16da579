"""A short name for what a function means: the same wherever its text stands, another one as soon as it, or what it uses, is changed.

Texts are compared as parsed: comments, docstrings, annotations, blank lines and file names do not count. A text is believed only if it
compiles to the very code of the function; else the code itself is compared, in which docstrings count and which is another one in another
version of Python.
"""

from __future__ import annotations
import __future__

import ast
import dis
import functools
import hashlib
import linecache
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from mmlocks.machine.task import PACKAGE

FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)

FOREIGN = tuple(
    str(folder) + os.sep
    for folder in {
        PACKAGE,
        *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)
"""Where what learners did not write stands: it goes by its name."""

DEEPEST = 50
"""Values in values; where Python is WebAssembly, its own limit comes too late."""

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


def fingerprint(function: Any) -> str:
    """Eight hex digits that change with the meaning of a function or of anything of the learner's own that it uses."""
    try:
        text = "\n".join(_Walk().of(function))
    except RecursionError:  # something nests too deep to be compared
        text = f"{type(function).__name__} too deep"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


class _Walk:
    """Turns values into lines of text. What was met before is a number, so circles end."""

    def __init__(self) -> None:
        self._met: dict[int, int] = {}
        self._depth = 0
        self._kept: list[Any] = []  # so that no identity is used twice

    def of(self, value: Any) -> Iterator[str]:
        if (
            value is None
            or isinstance(value, bool | int | float | complex | str | bytes)
            or value is ...
        ):
            if type(value).__module__ == "builtins":
                yield f"{type(value).__name__} {value!r}"
                return
        if id(value) in self._met:
            yield f"again {self._met[id(value)]}"
            return
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        self._depth += 1
        if self._depth > DEEPEST:
            raise RecursionError
        yield from self._new(value)
        self._depth -= 1

    def _new(self, value: Any) -> Iterator[str]:
        if isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, CodeType):
            yield from self._code(value)
        elif isinstance(value, functools.partial):
            yield "partial"
            yield from self._all((value.func, value.args, value.keywords))
        elif isinstance(value, MethodType):
            yield "method"
            yield from self._all((value.__func__, value.__self__))
        elif isinstance(value, staticmethod | classmethod):
            yield type(value).__name__
            yield from self.of(value.__func__)
        elif isinstance(value, property):
            yield "property"
            yield from self._all((value.fget, value.fset, value.fdel))
        elif isinstance(value, ModuleType):
            yield f"module {value.__name__}"
            if not _foreign(getattr(value, "__file__", None)):
                yield from self._named(
                    {
                        name: one
                        for name, one in vars(value).items()
                        if isinstance(one, FunctionType | type) or _plain(one)
                    }
                )
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, list | tuple):
            yield f"{type(value).__name__} of {len(value)}"
            yield from self._all(value)
        elif isinstance(value, Mapping):
            yield f"{type(value).__name__} of {len(value)}"
            for key, one in value.items():
                yield from self._all((key, one))
        elif isinstance(value, set | frozenset):
            yield f"{type(value).__name__} of {len(value)}"
            yield from sorted(
                f"{type(one).__name__} {one!r}" if _plain(one) else type(one).__name__
                for one in value
            )
        else:
            yield from self._object(value)

    def _all(self, values: Any) -> Iterator[str]:
        for value in values:
            yield from self.of(value)

    def _named(self, values: Mapping[str, Any]) -> Iterator[str]:
        for name in sorted(values.keys() - NO_MEANING):
            yield f"{name} ="
            yield from self.of(values[name])

    def _function(self, function: FunctionType) -> Iterator[str]:
        code = function.__code__
        if _foreign(code.co_filename):
            yield f"function {function.__module__}.{function.__qualname__}"
            return
        yield f"function {function.__name__}"
        yield _text(code) or "\n".join(self._code(code))
        yield from self._all((function.__defaults__, function.__kwdefaults__))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            yield f"free {name}"
            try:
                yield from self.of(cell.cell_contents)
            except ValueError:
                yield "empty"
        yield from self._named(
            {name: one for name, one in vars(function).items() if name != "__wrapped__"}
        )
        for name in sorted(_globals_of(code)):
            if name in function.__globals__:
                yield f"global {name}"
                yield from self.of(function.__globals__[name])

    def _code(self, code: CodeType) -> Iterator[str]:
        yield f"code {code.co_name} {code.co_argcount} {code.co_kwonlyargcount} {code.co_flags & ~FUTURE} {code.co_varnames} {code.co_freevars}"
        yield f"{code.co_code.hex()} {code.co_names} {code.co_exceptiontable.hex()}"
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self._code(constant)
            else:
                yield repr(_sorted(constant))

    def _class(self, kind: type) -> Iterator[str]:
        if not _own(kind):
            yield f"class {kind.__module__}.{kind.__qualname__}"
            return
        yield f"class {kind.__name__}"
        yield from self._all(kind.__bases__)
        yield from self._named(vars(kind))

    def _object(self, value: Any) -> Iterator[str]:
        yield "object"
        yield from self.of(type(value))
        if _own(type(value)) and isinstance(getattr(value, "__dict__", None), dict):
            yield from self._named(vars(value))


def _own(kind: type) -> bool:
    """Whether a learner wrote the class. A notebook's module, and a file's while it is read, have no file."""
    if kind.__module__ in ("__main__", "answer"):
        return True
    module = sys.modules.get(kind.__module__)
    return module is None or not _foreign(getattr(module, "__file__", None))


def _plain(value: Any) -> bool:
    return isinstance(
        value, bool | int | float | complex | str | bytes | list | tuple | dict | set | frozenset
    )


def _sorted(constant: Any) -> Any:
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant


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


# -- a function's text ------------------------------------------------------------------------------------------------


def _text(code: CodeType) -> str:
    """The function as parsed, if its text can be had and is this code's; else nothing."""
    lines = linecache.getlines(code.co_filename)
    if not lines:
        return ""
    nodes, codes = _parsed("".join(lines), code.co_filename, code.co_flags & FUTURE)
    found = nodes.get((code.co_name, code.co_firstlineno))
    return _dump(found) if found is not None and code in codes else ""


@functools.lru_cache(maxsize=64)
def _parsed(
    text: str, file: str, flags: int
) -> tuple[dict[tuple[str, int], ast.AST], frozenset[CodeType]]:
    """All functions of a file by name and first line (None where two share both), and all code that it compiles to."""
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    nodes: dict[tuple[str, int], Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
            code = compile(text, file, "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {}, frozenset()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            key = (
                node.name,
                min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]),
            )
        elif isinstance(node, ast.Lambda):
            key = "<lambda>", node.lineno
        else:
            continue
        nodes[key] = None if key in nodes else node
    return nodes, frozenset(_codes(code))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _dump(node: Any, top: bool = True) -> str:
    """A tree as text, the same in every version of Python: fields by name, and none that is empty."""
    if isinstance(node, list):
        return f"[{','.join(_dump(one, False) for one in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    for name in ("annotation", "returns", "type_comment", "kind", "type_params", "ctx"):
        fields.pop(name, None)
    if isinstance(node, ast.JoinedStr):  # 3.12.1 adds an empty text to some
        fields["values"] = [
            one for one in node.values if not (isinstance(one, ast.Constant) and one.value == "")
        ]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        if ast.get_docstring(node, clean=False) is not None:
            fields["body"] = fields["body"][1:]
        if top:
            fields.pop("decorator_list", None)  # what they made of it is what is called
    said = (
        f"{name}={_dump(value, False)}"
        for name, value in fields.items()
        if value is not None and value != []
    )
    return f"{type(node).__name__}({','.join(said)})"
