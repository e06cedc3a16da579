"""A scenario of your own: `FILE.py:NAME` is the Scenario that FILE.py calls NAME.

*The file is run in this process*, with your rights. A Patch that it defines is known from then on:
`--release 6.1+its_name` is 6.1 with that patch.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from mmlocks.errors import MmlocksError, ModelError
from mmlocks.mm.world import World
from mmlocks.oracles import Oracle
from mmlocks.releases import Patch, add_patch
from mmlocks.scenarios.scenario import Scenario

LARGEST = 1_000_000
"""Bytes. A scenario is a page of text."""
NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
"""Names that a schedule's text can hold between two colons."""


def is_in_file(text: str) -> bool:
    """Whether a text is `FILE.py:NAME`, or `FILE.py` with no name or an empty one."""
    return re.search(r"\.py(:[^/\\]*)?$", text) is not None


def scenario_in_file(text: str) -> Scenario:
    """The scenario that `FILE.py:NAME` names. Runs the file as a module.

    Raises ModelError, naming file and line, for a file that cannot be read or run, for a name that
    it does not define, and for a scenario that cannot be searched.
    """
    path, name = _parts(text)
    module = _run(path, _source_of(path))
    for value in vars(module).values():
        if isinstance(value, Patch):
            add_patch(value)
    stories = [key for key, value in vars(module).items() if isinstance(value, Scenario)]
    there = (
        f"Scenarios in it: {', '.join(stories)}."
        if stories
        else "It defines no scenario at all: one is made with Scenario(...)."
    )
    if not name:
        raise ModelError(f"say which scenario of {path.name}: {path}:NAME. {there}")
    if name not in vars(module):
        raise ModelError(f"{path.name} defines no {name}. {there}")
    story = vars(module)[name]
    if not isinstance(story, Scenario):
        raise ModelError(f"{name} in {path.name} is {_kind(story)} and not a Scenario. {there}")
    wrong = _wrong_with(story, path)
    if wrong:
        raise ModelError(f"{name} in {path.name}: {wrong}")
    return replace(story, file=text)


def _parts(text: str) -> tuple[Path, str]:
    file, _, name = text.rpartition(":") if not text.endswith(".py") else (text, "", "")
    return Path(file), name


def _source_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder. Name the file in it: {path}/FILE.py:NAME.")
        if path.exists() and not path.is_file():
            raise ModelError(
                f"{path} is not an ordinary file. Save the scenario as a .py file and name that."
            )
        if path.stat().st_size > LARGEST:
            raise ModelError(
                f"{path} has {path.stat().st_size:,} bytes; a scenario's file has at most "
                f"{LARGEST:,}."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}.") from None
    except OSError as problem:
        raise ModelError(f"{path} cannot be read: {problem.strerror or problem}.") from None


def _run(path: Path, source: bytes) -> ModuleType:
    """The module that the file becomes. It can import its neighbours while it runs."""
    path = path.resolve()
    module = ModuleType(f"scenario_file_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    sys.path.insert(0, str(path.parent))
    try:
        # The user named the file to have it run.
        exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102
    except SyntaxError as problem:
        line = f", line {problem.lineno}" if problem.lineno else ""
        raise ModelError(f"{path.name}{line}: {problem.msg}. No scenario was read.") from None
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        raise ModelError(f"{_told(problem, path)} No scenario was read.") from None
    finally:
        sys.path.remove(str(path.parent))
    return module


def _told(problem: BaseException, path: Path) -> str:
    """Where an exception was raised: `story.py, line 7: ValueError: no such page`."""
    line, trace = "", problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    text = str(problem).strip()
    what = (
        text
        if isinstance(problem, MmlocksError)
        else f"{type(problem).__name__}{text and ': '}{text}"
    )
    return f"{path.name}{line}: {what.rstrip('.')}."


def _wrong_with(story: Scenario, path: Path) -> str:
    """Why a scenario cannot be searched, as a sentence; "" if it can."""
    if not isinstance(story.name, str) or not NAME.fullmatch(story.name):
        return (
            f"its name is {story.name!r}. A schedule has to carry it: use letters, digits, '_', "
            "'-' and '.' alone."
        )
    threads: Any = story.threads
    pairs = isinstance(threads, tuple | list) and all(
        isinstance(each, tuple) and len(each) == 2 for each in threads
    )
    if not pairs or not threads:
        return (
            "its threads are not a list of pairs (what it does, async function), one for each CPU."
        )
    for cpu, (what, thread) in enumerate(threads):
        if not isinstance(what, str) or not inspect.iscoroutinefunction(thread):
            return f"thread {cpu} is not a pair of a text and an `async def` that takes the world."
    for oracle in story.oracles:
        if not isinstance(oracle, str | Oracle):
            return f"its oracles hold {_kind(oracle)}. Each is an Oracle, or the name of one."
    try:
        world: Any = story.world()
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        return f"its world cannot be made. {_told(problem, path.resolve())}"
    if not isinstance(world, World):
        return f"its world() returns {_kind(world)} and not a World."
    if world.layout.cpus != len(threads):
        return (
            f"its world has {world.layout.cpus} CPUs, and it has {len(threads)} threads. Let each "
            "thread have a CPU of its own."
        )
    return ""


def _kind(thing: object) -> str:
    kind = type(thing).__name__
    return "None" if thing is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
