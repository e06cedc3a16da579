"""A function's short name follows its meaning: not where or how its text stands, and everything of the learner's that it uses."""

from __future__ import annotations

import linecache
import sys
import types
from typing import Any

import pytest

from mmlocks.mm.meaning import fingerprint

BASE = """
import enum
from dataclasses import dataclass
from functools import partial, wraps

LIMIT = 3
TABLE = {"first": 1, "second": [2, 3]}
NAMES = {"b", "a"}

@dataclass
class Plan:
    flush: bool = True

class Kind(enum.Enum):
    FORK = 1

class Writer:
    step = 1

    def __init__(self, mm):
        self.mm = mm

    async def __aenter__(self):
        await self.mm.lock(self.step)

    @property
    def wide(self):
        return helper(2)

def helper(n):
    return n + LIMIT

def traced(function):
    @wraps(function)
    async def wrapper(*arguments):
        return await function(*arguments)
    return wrapper

ADD = lambda n: n + 1

@traced
async def dup_mmap(mm, oldmm, *, flush=Plan()):
    async with Writer(mm) as writer:
        for n in range(LIMIT):
            await mm.one(TABLE["first"], NAMES, Kind.FORK, ADD(n), (lambda m: helper(m))(n))
    return writer.wide
"""


def defined(source: str, file: str = "one.py", kept: bool = True) -> Any:
    """`dup_mmap` of a source that stands in that file; `kept` says whether its lines can be had."""
    if kept:
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    else:
        linecache.cache.pop(file, None)
    module = sys.modules["answer"] = types.ModuleType("answer")  # dataclass looks for it there
    try:
        exec(compile(source, file, "exec"), vars(module))
    finally:
        del sys.modules["answer"]
    return module.dup_mmap


SAME = {
    "other file": (BASE, "lab07.ipynb, cell 4"),
    "an ipykernel's file": (BASE, "/tmp/ipykernel_1/123.py"),
    "further down": ("\n\n\n" + BASE, "one.py"),
    "comments": (
        BASE.replace("    return n + LIMIT", "    # add\n\n    return n + LIMIT  # done"),
        "one.py",
    ),
    "docstring": (BASE.replace("def helper(n):", 'def helper(n):\n    """Add."""'), "one.py"),
    "annotations": (BASE.replace("def helper(n):", "def helper(n: int) -> int:"), "one.py"),
    "layout": (BASE.replace("helper(2)", "helper(\n            2,\n        )"), "one.py"),
    "order of definitions": (
        BASE.replace("LIMIT = 3\n", "").replace("import enum", "import enum\nLIMIT = 3"),
        "one.py",
    ),
    "something that is not used": (BASE + "\nUNUSED = 5\ndef unused(): return 1\n", "one.py"),
    "order in a set": (BASE.replace('{"b", "a"}', '{"a", "b"}'), "one.py"),
}


@pytest.mark.parametrize("change", SAME)
@pytest.mark.parametrize("kept", [True, False], ids=["with its text", "without its text"])
def test_what_means_the_same_has_the_same_name(change: str, kept: bool) -> None:
    source, file = SAME[change]
    if change == "docstring" and not kept:
        pytest.skip("in the code alone, a docstring is a constant like others")
    assert source != BASE or file != "one.py"
    assert fingerprint(defined(source, file, kept)) == fingerprint(defined(BASE, kept=kept))


CHANGED = {
    "a constant": ("LIMIT = 3", "LIMIT = 4"),
    "a constant's type": ("LIMIT = 3", "LIMIT = 3.0"),
    "a value in a dict": ('"first": 1', '"first": 2'),
    "a value deep in a dict": ("[2, 3]", "[2, 4]"),
    "a set": ('{"b", "a"}', '{"b", "c"}'),
    "a helper": ("return n + LIMIT", "return n - LIMIT"),
    "a helper's helper": ("lambda n: n + 1", "lambda n: n + 2"),
    "a method": ("await self.mm.lock(self.step)", "await self.mm.lock(2)"),
    "a property": ("return helper(2)", "return helper(3)"),
    "a class attribute": ("    step = 1", "    step = 2"),
    "a base class": ("class Writer:", "class Writer(Plan):"),
    "an enum's member": ("FORK = 1", "FORK = 2"),
    "a dataclass's default": ("flush: bool = True", "flush: bool = False"),
    "a default value": ("flush=Plan()", "flush=Plan(False)"),
    "a decorator": ("return await function(*arguments)", "await function(*arguments)"),
    "no decorator": ("@traced\nasync", "async"),
    "what is called in a lambda": ("(lambda m: helper(m))(n)", "(lambda m: ADD(m))(n)"),
    "a text": ('TABLE["first"]', 'TABLE["second"]'),
    "its own steps": ("range(LIMIT)", "range(LIMIT + 1)"),
}


@pytest.mark.parametrize("change", CHANGED)
@pytest.mark.parametrize("kept", [True, False], ids=["with its text", "without its text"])
def test_what_is_changed_in_it_or_in_what_it_uses_changes_the_name(change: str, kept: bool) -> None:
    old, new = CHANGED[change]
    assert BASE.count(old) >= 1
    assert fingerprint(defined(BASE.replace(old, new), kept=kept)) != fingerprint(
        defined(BASE, kept=kept)
    )


PLAIN = """
LIMIT = {"first": (1, 2.5, b"x"), "second": [None, True, ...]}

class Writer:
    step = 1

    async def __aenter__(self):
        match self.step:
            case 1 | 2 if self:
                return [n async for n in self if n is not None]
        try:
            return f"{self.step!r:>{LIMIT}}"
        except* ValueError as problem:
            raise SystemExit from problem

def helper(n, /, *more, key=3, **rest):
    global LIMIT
    return {**rest, "n": -n ** 2} if (m := n) else lambda a: a + m

async def dup_mmap(mm, oldmm):
    async with Writer() as one, Writer() as two:
        for n in range(3):
            while not await mm.step(helper(n)[1:2, ::3]):
                continue
        else:
            del one, two
"""


def test_the_name_is_the_same_in_every_version_of_python_where_the_text_can_be_had() -> None:
    assert fingerprint(defined(PLAIN)) == "f29ad57c"


def test_lines_that_no_longer_belong_to_the_code_are_not_believed() -> None:
    stale = defined("async def dup_mmap(a, b):\n    return 1\n")
    linecache.cache["one.py"] = (
        1,
        None,
        ["async def dup_mmap(a, b):\n", "    return 2\n"],
        "one.py",
    )
    new = defined("async def dup_mmap(a, b):\n    return 2\n")
    assert fingerprint(stale) != fingerprint(new)


def test_circles_and_objects_that_cannot_be_compared_have_a_name_too() -> None:
    source = "import threading, sys\nLOOP = []\nLOOP.append(LOOP)\nLOCK = threading.Lock()\nasync def dup_mmap(a, b):\n    return LOOP, LOCK, sys.stderr, dup_mmap, dup_mmap.__class__\n"
    assert fingerprint(defined(source)) == fingerprint(defined(source))
    deep = "DEEP = []\nfor _ in range(2_000): DEEP = [DEEP]\nasync def dup_mmap(a, b):\n    return DEEP\n"
    assert fingerprint(defined(deep)) == fingerprint(defined(deep))


def test_partials_methods_and_objects_that_can_be_called_are_told_apart_by_what_they_hold() -> None:
    source = "from functools import partial\nclass Fork:\n    def __init__(self, n): self.n = n\n    async def __call__(self, a, b): return self.n\nasync def fork(n, a, b): return n\n"
    names = {
        made: fingerprint(defined(f"{source}dup_mmap = {made}\n"))
        for made in (
            "Fork(1)",
            "Fork(2)",
            "Fork(1).__call__",
            "partial(fork, 1)",
            "partial(fork, 2)",
            "staticmethod(fork)",
            "fork",
        )
    }
    assert len(set(names.values())) == len(names), names
