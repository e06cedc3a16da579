"""What `from mmlocks.mm import *` gives: all that kernel text uses, so that any of it can be pasted as an answer, and nothing that gets in the way."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

import mmlocks.mm
from mmlocks.machine import Step
from mmlocks.mm.kernel import _helpers
from mmlocks.mm.source import PATCH_NAMES
from mmlocks.mm.stubs import is_stub, kernel_text


def star() -> dict[str, Any]:
    """What a notebook has after the labs' first line."""
    names: dict[str, Any] = {}
    exec("from mmlocks.mm import *", names)
    del names["__builtins__"]
    return names


def names_used(function: Callable[..., Any]) -> set[str]:
    """The names in a function's text, those in annotations among them, that its file has or that it has from elsewhere."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return read - own - set(dir(builtins)) - set(PATCH_NAMES)


def test_everything_that_kernel_text_names_is_exported() -> None:
    exported = star()
    missing = {
        f"{name}, in {function.__name__}"
        for function in kernel_text().values()
        for name in {function.__name__, *names_used(function)}
        if name not in exported
    }
    assert not missing


def test_what_is_exported_is_what_kernel_text_means_by_the_name() -> None:
    exported = star()
    for function in kernel_text().values():
        for name in names_used(function) & function.__globals__.keys():
            assert exported[name] is function.__globals__[name], f"{name}, in {function.__name__}"


def test_every_kernel_function_is_exported_as_a_stub() -> None:
    assert [name for name in kernel_text() if not is_stub(star()[name])] == []


def test_helpers_of_kernel_text_ask_for_no_patch() -> None:
    """A learner's function calls them as they are, outside of any kernel."""
    asking = {
        name: set(helper.__code__.co_names) & set(PATCH_NAMES)
        for name, helper in _helpers().items()
    }
    assert not {name: patches for name, patches in asking.items() if patches}


def test_no_kernel_text_builds_a_raw_step() -> None:
    assert [
        name for name, function in kernel_text().items() if "Step" in names_used(function)
    ] == []
    assert Step not in star().values()


def test_the_star_import_hides_nothing_that_a_notebook_has() -> None:
    exported = set(star())
    assert not exported & set(dir(builtins))
    # `mmap` is the system call here; nothing in a lab wants Python's module of that name.
    assert exported & sys.stdlib_module_names == {"mmap"}
    # IPython's own: the last results and inputs, and what it puts into a notebook.
    assert not exported & {
        "_",
        "__",
        "___",
        "_i",
        "_ii",
        "_iii",
        "_ih",
        "_oh",
        "_dh",
        "In",
        "Out",
        "exit",
        "quit",
        "display",
        "get_ipython",
    }
    assert not exported & set(PATCH_NAMES)


@pytest.mark.parametrize("module", ["labs", "scenarios", "search", "oracles", "releases"])
def test_the_star_import_hides_nothing_that_a_notebook_imports_beside_it(module: str) -> None:
    beside = vars(__import__(f"mmlocks.{module}", fromlist=["*"]))
    assert not set(star()) & set(beside.get("__all__", [name for name in beside if name.isupper()]))


def test_the_list_is_in_order_and_names_nothing_twice() -> None:
    assert len(set(mmlocks.mm.__all__)) == len(mmlocks.mm.__all__)
    assert set(mmlocks.mm.__all__) == set(star())
