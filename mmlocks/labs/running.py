"""Running a learner's cells in one namespace, as a notebook does, and noting what each gave.

A cell that fails keeps what it has done so far, and the next one runs. nbval, nbgrader and people
do the same.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import importlib
import inspect
import linecache
import os
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmlocks.mm
from mmlocks.labs.cells import as_python
from mmlocks.labs.files import Cell, Source
from mmlocks.labs.harmless import LINE_MAGICS, Nothing, Shell, reading
from mmlocks.labs.patience import TooLong, limited
from mmlocks.machine.eventloops import LoopHidden
from mmlocks.machine.refused import Refused, guarded
from mmlocks.mm.replacing import replacements_in

FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
"""Flags of `from __future__ import ...`. A notebook keeps them for the cells that follow."""

LAB_FOLDERS = tuple(Path(__file__).parent.glob("lab[0-9][0-9]_*"))
"""Each lab is a folder of this package. Reading answers imports no lab: labs import answers."""


@dataclass
class Session:
    """A file's cells, run.

    `given` lists, for each kernel function of the learner, the cells that defined it. The last
    one counts.
    """

    source: Source
    seconds: float
    names: dict[str, Any] = field(default_factory=dict)
    given: dict[str, list[Cell]] = field(default_factory=dict)
    taken: dict[str, Cell] = field(default_factory=dict)
    """The cell that put something else in the place of each lost function."""
    troubles: list[tuple[Cell, int, str]] = field(default_factory=list)
    """What went wrong: the cell, the line (0 if it is not known) and a sentence."""

    def run(self) -> Session:
        """Run all cells. Raises AnswerError if they take longer than `seconds`."""
        module = types.ModuleType("__main__" if self.source.notebook else "answer")
        self.names = vars(module)
        self._flags = 0
        self._cell = Cell(0, "code", "")
        shell = self._shell = Shell(self._magic, self._apart, self.source.path.parent)
        self.names.update(_surroundings(shell))
        with (
            limited(self.source.name, self.seconds, self._standing),
            reading(),
            guarded(),
            _at_home(module, self.source, shell),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            for cell in self.source.cells:
                if cell.kind == "code":
                    self._run_cell(cell)
        return self

    @property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """The learner's kernel functions, after the last cell."""
        return replacements_in(self.names)

    def _run_cell(self, cell: Cell) -> None:
        self._cell = cell
        self._shell.above = len(cell.source) - len(cell.source.lstrip("\n"))
        before = self.functions
        try:
            text = as_python(cell.source)
            _remember(self.source.file_of(cell), text)
            self._execute(self._single_word(text), self.names)
        except (TooLong, KeyboardInterrupt):
            raise
        except BaseException as problem:  # a cell may raise what it likes
            self._note(cell, problem)
        after = self.functions
        for name in before.keys() | after.keys():
            if name not in after:
                self.taken[name] = cell
            elif after[name] is not before.get(name):
                self.given.setdefault(name, []).append(cell)

    def _execute(self, text: str, names: dict[str, Any]) -> Any:
        flags = self._flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        file = self.source.file_of(self._cell)
        code = compile(text, file, "exec", flags, dont_inherit=True)
        self._flags |= code.co_flags & FUTURE
        done = eval(code, names)  # noqa: S307  read_answer warns that the code runs here
        if not inspect.iscoroutine(done):
            return None
        import asyncio  # which takes long, and few cells await anything

        with LoopHidden():
            return asyncio.run(done)

    def _magic(self, text: str) -> Any:
        """Run the text of a magic in the namespace; gives the value of an expression."""
        with contextlib.suppress(SyntaxError):
            code = compile(
                text, self.source.file_of(self._cell), "eval", self._flags, dont_inherit=True
            )
            return eval(code, self.names)  # noqa: S307  an answer's code, as in _execute
        return self._execute(as_python(text), self.names)

    def _apart(self, text: str) -> None:
        self._execute(as_python(text), dict(self.names))

    def _single_word(self, text: str) -> str:
        """In a notebook `ls` alone in a cell is a magic, and `exit` a call."""
        line = text.strip()
        word = line.partition(" ")[0]
        if not self.source.notebook or "\n" in line or word in self.names:
            return text
        if line in ("exit", "quit"):
            return f"{text.rstrip()}()"
        known = word in LINE_MAGICS and not line[len(word) :].lstrip().startswith(
            ("=", ",", "(", ".")
        )
        return (
            f"get_ipython().run_line_magic({word!r}, {line[len(word) :].strip()!r})"
            if known
            else text
        )

    def _note(self, cell: Cell, problem: BaseException) -> None:
        if isinstance(problem, SyntaxError) and _ours(problem.filename, self.source):
            self.troubles.append(
                (cell, problem.lineno or 0, _shorter(problem.msg or "it cannot be read"))
            )
            return
        line = _line_of(problem, self.source.file_of(cell))
        try:
            text = " ".join(str(problem).split())
        except Exception:  # its author's __str__ may raise as well
            text = "(no text)"
        if isinstance(problem, Refused):
            said = text
        elif isinstance(problem, SystemExit):
            said = f"SystemExit: {text or 'the program is to end here'}. Delete the line"
        else:
            said = f"{type(problem).__name__}: {text}" if text else type(problem).__name__
        self.troubles.append((cell, line, _shorter(said)))

    def _standing(self, frame: types.FrameType | None) -> str:
        """The cell and line at which the file stands now."""
        while frame is not None:
            if _ours(frame.f_code.co_filename, self.source):
                return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
            frame = frame.f_back
        return ""


def _surroundings(shell: Shell) -> dict[str, Any]:
    """What the cells find: the imports of the lab's first cell, and a notebook's own names."""
    nothing = Nothing()
    return {
        "__builtins__": builtins,
        **{name: getattr(mmlocks.mm, name) for name in mmlocks.mm.__all__},
        "lab": nothing,
        **{folder.name.partition("_")[0]: nothing for folder in LAB_FOLDERS},
        "get_ipython": lambda: shell,
        "display": nothing,
        "In": [""],
        "Out": {},
    }


@contextlib.contextmanager
def _at_home(module: types.ModuleType, source: Source, shell: Shell) -> Iterator[None]:
    """Let cells run as a module that `dataclass` and pickle find, beside their file.

    They can import modules that lie beside the file. These are forgotten afterwards, so that the
    next reading finds them as they are then.
    """
    folder, here = source.path.parent.resolve(), Path.cwd()
    before, path, written = set(sys.modules), list(sys.path), sys.dont_write_bytecode
    main = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        with _harmless_ipython(source, shell):
            yield
    finally:
        os.chdir(here)
        sys.path[:] = path
        sys.dont_write_bytecode = written
        for name in set(sys.modules) - before:
            top, file = name.partition(".")[0], getattr(sys.modules[name], "__file__", None)
            for place in (folder, shell.written):
                if file and place and top != "mmlocks" and _belongs(Path(file), place / top):
                    del sys.modules[name]
                    break
        if main is not None:  # else it stays: a function may look for its module while it is judged
            sys.modules[module.__name__] = main


def _belongs(file: Path, top: Path) -> bool:
    return file == top.with_suffix(".py") or file.is_relative_to(top)


@contextlib.contextmanager
def _harmless_ipython(source: Source, shell: Shell) -> Iterator[None]:
    """Make IPython harmless where cells import from it.

    `get_ipython` gives the shell that does nothing, and `display` shows nothing.
    """
    if not any("IPython" in cell.source for cell in source.cells if cell.kind == "code"):
        yield
        return
    try:
        ipython, getting, showing = map(
            importlib.import_module, ("IPython", "IPython.core.getipython", "IPython.display")
        )
    except ImportError:
        yield
        return
    changes: list[tuple[Any, str, Any]] = [
        (ipython, "get_ipython", lambda: shell),
        (getting, "get_ipython", lambda: shell),
        (showing, "display", Nothing()),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _remember(file: str, text: str) -> None:
    """Keep a cell's lines where `inspect` and tracebacks look for them."""
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


def _ours(file: str | None, source: Source) -> bool:
    return file is not None and (file == source.name or file.startswith(f"{source.name}, cell "))


def _line_of(problem: BaseException, file: str) -> int:
    """The innermost line of that file."""
    lines = [
        line
        for frame, line in traceback.walk_tb(problem.__traceback__)
        if frame.f_code.co_filename == file
    ]
    return lines[-1] if lines else 0


def _shorter(text: str, most: int = 300) -> str:
    text = text.rstrip(".")
    return f"{text if len(text) <= most else text[: most - 3] + '...'}."
