"""The kernel's text with a deliberate error in it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmlocks.mm
from mmlocks.machine.step import OPERATIONS

FILES = Path(mmlocks.mm.__file__).parent


def mutated(file: str, old: str, new: str) -> dict[str, Callable[..., Any]]:
    """The kernel functions of mm/FILE.py or mm/syscalls/FILE.py, in which the text `old` became `new`, as replacements for a Kernel."""
    place = "" if (FILES / f"{file}.py").exists() else "syscalls."
    path = FILES / place.removesuffix(".") / f"{file}.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path.name}"
    names: dict[str, Any] = {"__name__": f"mmlocks.mm.{place}{file}"}
    known = dict(OPERATIONS)
    OPERATIONS.clear()  # the file registers its operations a second time; the first ones stay in force
    try:
        exec(compile(text.replace(old, new), str(path), "exec"), names)
    finally:
        OPERATIONS.clear()
        OPERATIONS.update(known)
    return {
        name: value
        for name, value in names.items()
        if inspect.iscoroutinefunction(value)
        and value.__module__ == names["__name__"]
        and not name.startswith("_")
    }
