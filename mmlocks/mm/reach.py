"""Which kernel functions a program can reach.

A scenario that reaches no function of an answer says nothing about that answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from mmlocks.mm.stubs import kernel_functions


def reached(programs: Iterable[Callable[..., Any]]) -> frozenset[str]:
    """The names of all kernel functions that these programs may call in any release.

    Indirect calls count. It goes by names: a text that mentions the name of a kernel function
    counts as calling it. So it may list too many functions, and never too few.
    """
    kernel = kernel_functions()
    found: set[str] = set()
    met: set[FunctionType] = set()
    work = [program for program in programs if isinstance(program, FunctionType)]
    while work:
        function = work.pop()
        if function in met:
            continue
        met.add(function)
        names, others = _mentioned(function)
        new = (names & kernel.keys()) - found
        found |= new
        work += [kernel[name] for name in new]
        work += others
    return frozenset(found)


@cache
def _mentioned(function: FunctionType) -> tuple[frozenset[str], tuple[FunctionType, ...]]:
    """Every name in a function's text, and the functions that its names and closure stand for."""
    names = frozenset(_names(function.__code__))
    values = [function.__globals__.get(name) for name in names]
    values += [cell.cell_contents for cell in function.__closure__ or ()]
    return names, tuple(value for value in values if isinstance(value, FunctionType))


def _names(code: CodeType) -> Iterable[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
