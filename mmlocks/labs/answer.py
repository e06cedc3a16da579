"""Reading an answer from a file: a .py, or the answer cells of a notebook."""

from __future__ import annotations

import ast
import json
import linecache
from pathlib import Path
from typing import Any

from mmlocks.errors import AnswerError
from mmlocks.mm.kernel import replacements_in
from mmlocks.mm.stubs import kernel_functions

LARGEST = 5_000_000
"""Bytes; no notebook of this course comes near."""


def read_answer(path: Path) -> dict[str, Any]:
    """Run the answer in `path` and return the names that it defines.

    Of a notebook only the answer cells are run: those that nbgrader's metadata marks as solutions, or, where there are none,
    those that define a kernel function. *The code runs in this process*: it is meant for your own answers.

    Raises AnswerError, naming file and line, for a file that cannot be read, understood or run, or that answers nothing.
    """
    source = _source_of(path)
    names: dict[str, Any] = {"__name__": "answer", "__builtins__": __builtins__}
    import mmlocks.mm

    # What the lab's first cell imports.
    names |= {name: getattr(mmlocks.mm, name) for name in mmlocks.mm.__all__}
    # The file's own name, and its lines where `inspect` and tracebacks look for them.
    linecache.cache[path.name] = (len(source), None, source.splitlines(keepends=True), path.name)
    try:
        exec(compile(source, path.name, "exec"), names)  # noqa: S102  an answer is code; that it runs here is said above
    except SyntaxError as problem:
        line = f", line {problem.lineno}" if problem.lineno else ""
        raise AnswerError(f"{path.name}{line}: {problem.msg}. Nothing was judged.") from None
    except BaseException as problem:  # an answer may raise what it likes
        if isinstance(problem, KeyboardInterrupt) or type(problem).__module__.startswith("mmlocks."):
            raise  # Ctrl-C, or a time limit of ours
        line = _line_of(problem, path.name)
        raise AnswerError(
            f"{path.name}{line}: {type(problem).__name__}: {problem}. Nothing was judged."
        ) from None
    if not replacements_in(names):
        raise AnswerError(
            f"{path.name} defines no kernel function, so there is nothing to judge. An answer defines, for example, "
            "`async def dup_mmap(mm, oldmm): ...`."
        )
    return names


def _source_of(path: Path) -> str:
    try:
        if path.is_dir():
            raise AnswerError(f"{path} is a folder. Name the .py or .ipynb file in it.")
        if path.exists() and not path.is_file():
            raise AnswerError(
                f"{path} is no ordinary file. Save your answer as a .py or .ipynb file and name that."
            )
        if path.stat().st_size > LARGEST:
            raise AnswerError(f"{path} has {path.stat().st_size:,} bytes; an answer has at most {LARGEST:,}.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AnswerError(f"there is no file {path}.") from None
    except OSError as problem:
        raise AnswerError(f"{path} cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise AnswerError(f"{path} is no text file in UTF-8.") from None
    if path.suffix == ".ipynb":
        return _answer_cells(path, text)
    if path.suffix != ".py":
        raise AnswerError(f"{path} is neither a .py nor an .ipynb file.")
    return text


def _answer_cells(path: Path, text: str) -> str:
    try:
        cells = json.loads(text)["cells"]
        code = [
            ("".join(cell["source"]), cell.get("metadata", {}).get("nbgrader", {}))
            for cell in cells
            if cell["cell_type"] == "code"
        ]
        marked = [source for source, nbgrader in code if nbgrader.get("solution")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AnswerError(
            f"{path} is no notebook: it cannot be read as one. Save it again in JupyterLab."
        ) from None
    chosen = marked or [source for source, _ in code if _defines_kernel_function(source)]
    if not chosen:
        raise AnswerError(f"{path} has no cell that defines a kernel function.")
    return "\n\n".join(chosen)


def _defines_kernel_function(source: str) -> bool:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    return any(
        isinstance(node, ast.AsyncFunctionDef) and node.name in kernel_functions() for node in tree.body
    )


def _line_of(problem: BaseException, file: str) -> str:
    line, trace = "", problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return line
