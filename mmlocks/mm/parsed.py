"""A function's text as parsed, if it can be had: the same in every version of Python.

Comments, docstrings, annotations, blank lines and file names are not part of it.
"""

from __future__ import annotations
import __future__

import ast
import functools
import linecache
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any

FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
"""The flags of code that `from __future__ import ...` sets."""


def parsed_text(code: CodeType) -> str:
    """The parsed text of the function that has this code; "" if it cannot be had.

    A text is believed only if it compiles to the very code.
    """
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
    """All functions of a file by name and first line, and all code that it compiles to.

    Where two functions share name and line, the entry is None.
    """
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
    """A tree as text: its fields by name, without those that are empty."""
    if isinstance(node, list):
        return f"[{','.join(_dump(one, False) for one in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    for name in ("annotation", "returns", "type_comment", "kind", "type_params", "ctx"):
        fields.pop(name, None)
    if isinstance(node, ast.JoinedStr):  # Python 3.12.1 adds empty texts
        fields["values"] = [
            one for one in node.values if not (isinstance(one, ast.Constant) and one.value == "")
        ]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        if ast.get_docstring(node, clean=False) is not None:
            fields["body"] = fields["body"][1:]
        if top:
            fields.pop("decorator_list", None)  # their result is what is called
    said = (
        f"{name}={_dump(value, False)}"
        for name, value in fields.items()
        if value is not None and value != []
    )
    return f"{type(node).__name__}({','.join(said)})"
