"""The kernel's text with a deliberate error in it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmlocks.mm
from mmlocks.machine.step import OPERATIONS
from mmlocks.machine.wire import EXCEPTIONS, NAMED_TUPLES

FILES = Path(mmlocks.mm.__file__).parent


def mutated(file: str, old: str, new: str) -> dict[str, Callable[..., Any]]:
    """The kernel functions of FILE.py in mm/, in which the text `old` became `new`, as replacements for a Kernel."""
    (path,) = {*FILES.rglob(f"{file}.py")} - {*FILES.glob("steps/*")}
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path.name}"
    names: dict[str, Any] = {
        "__name__": ".".join(("mmlocks.mm", *path.relative_to(FILES).with_suffix("").parts))
    }
    # The file registers its operations and tuples a second time; the first ones stay in force.
    registers: tuple[dict[str, Any], ...] = (OPERATIONS, NAMED_TUPLES, EXCEPTIONS)
    known = [dict(register) for register in registers]
    OPERATIONS.clear()  # it refuses to replace one
    try:
        exec(compile(text.replace(old, new), str(path), "exec"), names)
    finally:
        for register, before in zip(registers, known, strict=True):
            register.clear()
            register.update(before)
    return {
        name: value
        for name, value in names.items()
        if inspect.iscoroutinefunction(value)
        and value.__module__ == names["__name__"]
        and not name.startswith("_")
    }
