"""What is judged: a learner's kernel functions, their origin, and how to get them anew."""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import io
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlocks.errors import AnswerError
from mmlocks.labs.cells import as_python
from mmlocks.labs.files import Cell, Source, read_source
from mmlocks.labs.patience import SECONDS
from mmlocks.labs.running import Session
from mmlocks.mm.replacing import code_of, replacements_in
from mmlocks.mm.stubs import kernel_functions
from mmlocks.sentences import counted

EXAMPLE = "An answer defines, for example, `async def dup_mmap(mm, oldmm): ...`."

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Answer:
    """A learner's answer.

    `functions` maps the name of each replaced kernel function to its replacement: anything that
    gives an awaitable when it is called. `names` is the namespace that they were found in.
    `judged` is the sentence for the verdict: "replaced: dup_mmap (cell 4)".

    `again` runs the same source once more in a fresh namespace and gives the functions anew. It
    is None for a running notebook. That holds what its cells left behind in some order, and a
    copy would share state with the original.
    """

    functions: Functions
    names: Mapping[str, Any]
    judged: str
    again: Callable[[], Functions] | None = None

    def must_replace(self) -> None:
        """Raise AnswerError if there is nothing to judge."""
        if not self.functions:
            raise AnswerError(self.judged)


def as_answer(names: Mapping[str, Any] | Answer) -> Answer:
    """The answer itself, or the one in a namespace, such as a notebook's `globals()`.

    Raises AnswerError for anything else.
    """
    if isinstance(names, Answer):
        return names
    if not isinstance(names, Mapping):
        hint = (
            "Write globals(), with the parentheses" if names is globals else "Write globals() there"
        )
        raise AnswerError(
            f"the functions to judge are looked up in globals(), and this is {_a(names)}. {hint}."
        )
    return answer_in(names, lambda _, function: spot(function))


def answer_in(names: Mapping[str, Any], where: Callable[[str, Any], str], more: str = "") -> Answer:
    """The answer in a namespace.

    `where` gives the origin of a function, by its name and the function. `more` is added to the
    sentence for the verdict.
    """
    functions = replacements_in(names)
    if functions:
        return Answer(functions, names, " ".join(filter(None, [_replaced(functions, where), more])))
    shadowed = next(
        (name for name in kernel_functions() if name in names and not callable(names[name])), None
    )
    said = (
        f"{shadowed} is {_a(names[shadowed])} here, and no function. "
        if shadowed is not None
        else ""
    )
    return Answer(
        {},
        names,
        "no kernel function of yours is here: run your answer cell (again), which must be a code "
        f"cell, and then this one. {said}{more}{' ' if more else ''}{EXAMPLE}",
    )


def read_answer(path: Path, seconds: float = SECONDS) -> Answer:
    """Run the code in `path`, a .py or a notebook, and give the answer that it holds.

    It runs every code cell of a notebook, in the order of the file and in one namespace. Magics,
    shell lines and the lab's own checks do nothing. *The code runs in this process*: use it for
    your own answers only.

    Raises AnswerError, naming file, cell and line, for a file that cannot be read, understood or
    run within `seconds`, and for one that holds no answer.
    """
    source = read_source(Path(path))
    session = Session(source, seconds).run()
    functions = session.functions
    if not source.notebook and session.troubles:  # Python ends a script there
        raise AnswerError(f"{_trouble(source, *session.troubles[0])} Nothing was judged.")
    if not functions:
        raise AnswerError(_why_nothing(session))

    def again() -> Functions:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            anew = Session(source, seconds).run().functions
        if anew.keys() != functions.keys():
            raise AnswerError(
                f"{source.name} gives {', '.join(anew) or 'no kernel function'} when it is run a "
                f"second time, and {', '.join(functions)} before. Nothing was judged: an answer "
                "must give the same each time."
            )
        return anew

    return Answer(functions, session.names, _judged(session), again)


def _judged(session: Session) -> str:
    """The sentence for the verdict, and more on what the file's author may not expect."""
    source, given = session.source, session.given

    def where(name: str, function: Any) -> str:
        if source.notebook:
            return f"cell {given[name][-1].number}"
        code = code_of(function)
        if code is not None and code.co_filename != source.name:
            return spot(function)
        line = code.co_firstlineno if code is not None else _binds(source.cells[0], name)
        return f"line {line}" if line else ""

    said = [_replaced(session.functions, where)]
    for name in session.functions:
        others = sorted({cell.number for cell in given[name]} - {given[name][-1].number})
        if others:
            cells = f"{'Cells' if len(others) > 1 else 'Cell'} {', '.join(map(str, others))}"
            said.append(
                f"{cells} {'define' if len(others) > 1 else 'defines'} {name} as well: what is run "
                "last counts."
            )
    said += [
        f"{_taken(session, name)}."
        for name in sorted(session.taken.keys() - session.functions.keys())
    ]
    said += [
        _text_cell(source, *found)
        for found in _in_text_cells(source)
        if found[1] not in session.functions
    ]
    said += [f"Not run to its end: {_trouble(source, *trouble)}" for trouble in session.troubles]
    return " ".join(said)


def _replaced(functions: Functions, where: Callable[[str, Any], str]) -> str:
    spots = [(name, where(name, function)) for name, function in functions.items()]
    spots.sort(key=lambda pair: [int(number) for number in re.findall(r"\d+", pair[1])])
    return (
        "replaced: " + ", ".join(f"{name} ({spot})" if spot else name for name, spot in spots) + "."
    )


def spot(function: Any) -> str:
    """File and line of a function, for the verdict; empty if they are not known."""
    code = code_of(function)
    if code is None or code.co_filename.startswith("<"):
        return ""
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}"


def _trouble(source: Source, cell: Cell, line: int, said: str) -> str:
    return f"{source.line(cell, line)}: {said}"


def _taken(session: Session, name: str) -> str:
    """The sentence on a later cell that took a function away."""
    last, by = session.given[name][-1].number, session.taken[name]
    return (
        f"{session.source.name}, cell {by.number} puts something else in the place of the {name} "
        f"of cell {last}, as `from mmlocks.mm import *` does: move it above cell {last}, or "
        "delete it"
    )


# -- why a file answers nothing --------------------------------------------------------------------


def _why_nothing(session: Session) -> str:
    """The likeliest cause, by cell and line, and what to do about it."""
    source, tail = session.source, "Nothing was judged."
    if session.troubles:
        chosen = next(
            (one for one in session.troubles if _ANY.search(one[0].source)), session.troubles[0]
        )
        return f"{_trouble(source, *chosen)} So no kernel function of yours is there. {tail}"
    if session.taken:
        taken = _taken(session, next(iter(session.taken)))
        return f"{taken}. So no kernel function of yours is left. {tail}"
    for found in _in_text_cells(source):
        return f"{_text_cell(source, *found)} {tail}"
    for cell in source.cells:
        if cell.kind == "code" and (said := _misplaced(cell)):
            line, text = said
            return f"{source.line(cell, line)}: {text} {tail}"
    for name in kernel_functions():
        value = session.names.get(name)
        if name in session.names and not callable(value):
            return (
                f"{source.name}: {name} is {_a(value)} in the end, and no kernel function. {tail}"
            )
    if not source.notebook:
        return f"{source.name} defines no kernel function, so there is nothing to judge. {EXAMPLE}"
    many = counted(sum(cell.kind == "code" for cell in source.cells), "code cell")
    return (
        f"{source.name} ({many}) has no cell that defines a kernel function. Is it the right file, "
        f"and saved? {EXAMPLE}"
    )


_ANY = re.compile(r"^[ \t]*(?:async\s+)?def\s+(\w+)", re.MULTILINE)
_COMMENTED = re.compile(r"^[ \t]*#[# \t]*async\s+def\s+(\w+)", re.MULTILINE)


def _in_text_cells(source: Source) -> list[tuple[Cell, str, int]]:
    """Kernel functions in cells that Python does not run: cell, name, line."""
    return [
        (cell, found[1], cell.source.count("\n", 0, found.start(1)) + 1)
        for cell in source.cells
        if cell.kind != "code"
        for found in _ANY.finditer(cell.source)
        if found[1] in kernel_functions()
    ]


def _text_cell(source: Source, cell: Cell, name: str, line: int) -> str:
    kind = "a Markdown cell" if cell.kind == "markdown" else f"a cell of kind {cell.kind!r}"
    return (
        f"{source.line(cell, line)}: {name} stands in {kind}, which is text and not run. Make it a "
        "code cell: in JupyterLab click it, then press Esc and Y."
    )


def _misplaced(cell: Cell) -> tuple[int, str] | None:
    """A function that stands where the kernel does not look: line and sentence."""
    functions = kernel_functions()
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        tree = ast.parse(cell.source)
        for node in ast.walk(tree):
            if not isinstance(node, ast.AsyncFunctionDef):
                continue
            if node.name in functions and node not in tree.body:
                return node.lineno, (
                    f"{node.name} is defined inside of something else, where the kernel does not "
                    "find it. Let its `async def` begin at the left margin."
                )
            close = difflib.get_close_matches(node.name, functions, 1, 0.8)
            if close and node in tree.body:
                return (
                    node.lineno,
                    f"there is no kernel function {node.name}. Did you mean {close[0]}?",
                )
    for found in _COMMENTED.finditer(cell.source):
        if found[1] in functions:
            line = cell.source.count("\n", 0, found.start(1)) + 1
            return line, f"{found[1]} is commented out. Take away the # in front of its lines."
    return None


def _binds(cell: Cell, name: str) -> int:
    """The last line at which a .py gives the name a value; 0 if none is found."""
    return max(
        (
            node.lineno
            for node in ast.walk(ast.parse(as_python(cell.source)))
            if (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name)
            or (isinstance(node, ast.alias) and (node.asname or node.name) == name)
        ),
        default=0,
    )


def _a(value: Any) -> str:
    """What a value is, in words."""
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    if isinstance(value, types.ModuleType):
        return f"the module {value.__name__}"
    kind = "None" if value is None else type(value).__name__
    return kind if value is None else f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
