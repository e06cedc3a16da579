"""What a running notebook knows about its cells: which cell defined a function, and is it there?

The kernel alone sees only code and numbers. With each cell that it runs, JupyterLab tells which
cell it is, and which cells were deleted.
"""

from __future__ import annotations

import re
from typing import Any

from mmlocks.labs import Answer
from mmlocks.labs.answer import answer_in, spot
from mmlocks.machine.refused import ENDS, refusing
from mmlocks.machine.task import Place
from mmlocks.mm.replacing import code_of, replacements_in
from mmlocks.notebook.quiet import ipython

DEFINES = re.compile(r"^\s*(?:async\s+)?def\s", re.MULTILINE)


class NotebookSession:
    """Notes what every cell defines, from the first `lab(...)` on.

    `_given` has each of the learner's functions with the number of its cell. `_taken` has, for each
    name that a cell replaced by something else, the cell that had defined it and that cell.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._given: dict[str, tuple[Any, int]] = {}
        self._taken: dict[str, tuple[int, int]] = {}
        self._cells: dict[int, str] = {}
        self._latest: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._failed: list[str] = []
        self._before = replacements_in(shell.user_ns)
        shell.events.register("pre_run_cell", self._begins)
        shell.events.register("post_run_cell", self._ended)
        _make_safe(shell)

    def answer(self, names: Any) -> Answer:
        """The functions that the notebook's names hold, with their cells."""
        functions = replacements_in(names)
        more = [
            f"Left over: {name}, from In [{number}], which is no longer in the notebook. If you do "
            "not want it, restart the kernel and run your cells again."
            for name in functions
            if (number := self._number(name, functions[name])) and self._gone(number)
        ]
        if not functions:
            more += [
                f"{_label(by, 'Your cell')} put something else in the place of the {name} of "
                f"{_label(number)}, as `from mmlocks.mm import *` does."
                for name, (number, by) in self._taken.items()
            ]
            more += self._failed[-1:]
        return answer_in(names, self._where, " ".join(more))

    def _where(self, name: str, function: Any) -> str:
        number = self._number(name, function)
        return _label(number) if number is not None else spot(function)

    def spot(self, place: Place) -> str:
        """A place as the learner knows it: `In [3], line 7`."""
        number = self._cell_of(place.file)
        return f"{_label(number)}, line {place.line}" if number is not None else place.spot

    def _number(self, name: str, function: Any) -> int | None:
        """The number of a function's cell: 0 for a cell without one, None without a cell."""
        given, number = self._given.get(name, (None, 0))
        if given is function:
            return number
        code = code_of(function)  # it is older than the session
        return self._cell_of(code.co_filename) if code is not None else None

    def _cell_of(self, file: str) -> int | None:
        """The number of the cell whose code has that file name."""
        label = self._shell.compile.format_code_name(file)
        digits = label[1].strip("In[]") if label else ""
        return int(digits) if digits.isdigit() else None

    def _gone(self, number: int) -> bool:
        cell = self._cells.get(number)
        return cell is not None and (cell in self._deleted or self._latest[cell] > number)

    def _begins(self, info: Any) -> None:
        get_parent = getattr(self._shell, "get_parent", None)
        told = (get_parent() or {}).get("metadata", {}) if get_parent is not None else {}
        deleted = told.get("deletedCells", ())
        if isinstance(deleted, list):
            self._deleted |= {cell for cell in deleted if isinstance(cell, str)}
        self._deleted.discard(getattr(info, "cell_id", None) or "")
        self._before = replacements_in(self._shell.user_ns)

    def _ended(self, result: Any) -> None:
        # nbval runs cells without counting them, so all of them would be the first.
        number = result.execution_count or 0 if result.info.store_history else 0
        cell = getattr(result.info, "cell_id", None)
        after = replacements_in(self._shell.user_ns)
        problem = result.error_before_exec or result.error_in_exec
        if problem is not None and DEFINES.search(result.info.raw_cell or ""):
            where = _label(number, "Your cell")
            if isinstance(problem, SyntaxError) and problem.lineno:
                where += f", line {problem.lineno}"
            why = f"{type(problem).__name__}: {problem.args[0] if problem.args else ''}"
            self._failed.append(f"{where} has an error: {why}.")
        if cell and number:
            self._cells[number] = cell
            self._latest[cell] = number
        for name in self._before.keys() | after.keys():
            if name not in after:
                self._taken[name] = self._number(name, self._before[name]) or 0, number
            elif after[name] is not self._before.get(name):
                self._given[name] = after[name], number
                self._taken.pop(name, None)


def _label(number: int, unnumbered: str = "your cell") -> str:
    return f"In [{number}]" if number else unnumbered


_sessions: dict[int, NotebookSession] = {}


def session() -> NotebookSession | None:
    """The session of the notebook that this runs in; None outside of a notebook."""
    shell = ipython()
    if shell is None:
        return None
    if id(shell) not in _sessions:
        _sessions[id(shell)] = NotebookSession(shell)
    return _sessions[id(shell)]


def _make_safe(shell: Any) -> None:
    """Make `exit` explain itself instead of ending the kernel; make an unknown magic fail its cell.

    IPython only prints a line for an unknown magic, and the cell counts as run: nbval would give it
    the points of its check.
    """
    from IPython.core.autocall import IPyAutocall
    from IPython.core.error import UsageError

    for name in ("exit", "quit"):
        if shell.user_ns.get(name) is shell.exiter:
            # `exit` without brackets is a call too. The code is the machine's: so messages name the
            # line that called it.
            members = {"rewrite": False, "__call__": refusing(f"{name}()", ENDS)}
            kind = type("Exit", (IPyAutocall,), members)
            shell.user_ns[name] = shell.user_ns_hidden[name] = kind(shell)

    def usage(
        _shell: Any, kind: type[BaseException], problem: BaseException, *_: Any, **__: Any
    ) -> None:
        shell._showtraceback(kind, problem, [f"UsageError: {problem}"])

    if not shell.custom_exceptions:
        shell.set_custom_exc((UsageError,), usage)
