"""A learner's file as cells: those of a notebook, or a .py as one. Nothing is run here."""

from __future__ import annotations

import codecs
import io
import json
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlocks.errors import AnswerError

LARGEST = 5_000_000
"""Bytes of code; an answer has far fewer."""
LARGEST_NOTEBOOK = 200_000_000
"""Bytes of a notebook's file; its pictures count as well."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks. Windows editors write them."""


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook: its number among all cells, its kind and its text.

    Numbers count from 1. The kinds are code, markdown and raw. `grade_id` is the name that the lab
    gave the cell, "" for a cell of the learner's own.
    """

    number: int
    kind: str
    source: str
    grade_id: str = ""


@dataclass(frozen=True)
class Source:
    """What a file holds. A .py is one code cell with the number 0."""

    path: Path
    notebook: bool
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    def file_of(self, cell: Cell) -> str:
        """The file name of a cell's code.

        With it, tracebacks say `lab07.ipynb, cell 4, line 2`.
        """
        return f"{self.name}, cell {cell.number}" if self.notebook else self.name

    def line(self, cell: Cell, line: int) -> str:
        """A place in words."""
        return f"{self.file_of(cell)}, line {line}" if line else self.file_of(cell)


def read_source(path: Path) -> Source:
    """The cells of a .py or .ipynb.

    The content tells which one it is, as browsers also save notebooks as `x.ipynb.txt`. Raises
    AnswerError, which says what to do, for any other file, and for one that cannot be read.
    """
    raw = _bytes_of(path)
    kind = path.suffix.lower()
    text = _text_of(path, raw, kind)
    notebook = _as_notebook(text)
    if notebook is not None:
        cells = _cells_of(path, notebook)
    elif kind == ".ipynb":
        raise AnswerError(_no_notebook(path, text))
    elif kind == ".py":
        cells = (Cell(0, "code", text),)
    else:
        raise AnswerError(
            f"{path} is neither a .py nor an .ipynb file. Save your answer as one of these, and "
            "name that."
        )
    code = sum(len(cell.source) for cell in cells if cell.kind == "code")
    if code > LARGEST:
        raise AnswerError(
            f"{path} has {code:,} bytes of code; an answer has at most {LARGEST:,}. Is it the "
            "right file?"
        )
    return Source(path, notebook is not None, cells)


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise AnswerError(f"{path} is a folder. Name the .py or .ipynb file in it.")
        if path.exists() and not path.is_file():
            raise AnswerError(
                f"{path} is not an ordinary file. Save your answer as a .py or .ipynb file and "
                "name that."
            )
        size, most = (
            path.stat().st_size,
            LARGEST if path.suffix.lower() == ".py" else LARGEST_NOTEBOOK,
        )
        if size > most:
            raise AnswerError(
                f"{path} has {size:,} bytes; an answer has at most {most:,}. Is it the right file?"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise AnswerError(f"there is no file {path}. Look at its name and its folder.") from None
    except OSError as problem:
        raise AnswerError(
            f"{path} cannot be read: {problem.strerror}. Look at its name and its rights."
        ) from None


def _text_of(path: Path, raw: bytes, kind: str) -> str:
    """The bytes as text whose lines end as Python's do."""
    encoding = next((name for mark, name in MARKS if raw.startswith(mark)), "") or _unmarked(
        raw, kind
    )
    try:
        text = raw.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise AnswerError(f"{path} is not a text file in UTF-8. Save it again as UTF-8.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def _unmarked(raw: bytes, kind: str) -> str:
    """The encoding of a file without a byte order mark.

    Zeros show that it is UTF-16. A .py may name another encoding than UTF-8.
    """
    half = len(raw) // 2
    if half and len(raw) % 2 == 0:
        for name, zeros, others in (
            ("utf-16-le", raw[1::2], raw[::2]),
            ("utf-16-be", raw[::2], raw[1::2]),
        ):
            if zeros.count(0) > 0.8 * half and not others.count(0):
                return name
    if kind == ".py":
        try:
            return tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
        except SyntaxError:
            pass  # then it is read as UTF-8, and the caller answers if that fails
    return "utf-8"


def _as_notebook(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return (
        value if isinstance(value, dict) and ("cells" in value or "worksheets" in value) else None
    )


def _cells_of(path: Path, notebook: dict[str, Any]) -> tuple[Cell, ...]:
    try:
        if "cells" in notebook:
            found = notebook["cells"]
        else:  # the format up to 2014
            found = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        return tuple(
            Cell(
                number,
                cell["cell_type"],
                _joined(cell["source"] if "source" in cell else cell["input"]),
                _grade_id(cell),
            )
            for number, cell in enumerate(found, 1)
        )
    except (KeyError, TypeError, AttributeError):
        raise AnswerError(
            f"{path} is not a notebook: it has cells, and one of them cannot be read. Save it "
            "again in JupyterLab."
        ) from None


def _grade_id(cell: dict[str, Any]) -> str:
    try:
        name = cell["metadata"]["nbgrader"]["grade_id"]
    except (KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def _joined(source: Any) -> str:
    text = source if isinstance(source, str) else "".join(source)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _no_notebook(path: Path, text: str) -> str:
    """Why a file that is called .ipynb is not a notebook, as far as its text shows."""
    start = text.lstrip()[:200].lower()
    if not start:
        return f"{path} is not a notebook: it is empty. Save it again in JupyterLab."
    if start.startswith(("<!doctype", "<html")):
        return f"{path} is not a notebook: it is a web page. In JupyterLab, take File > Download."
    if any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines()):
        return f"{path} is not a notebook: git has merged two of them into it. Take one of the two."
    try:
        json.loads(text)
        where = ""
    except json.JSONDecodeError as problem:
        where = f" (line {problem.lineno}: {problem.msg})"
    except (ValueError, RecursionError):
        where = ""
    return (
        f"{path} is not a notebook: it cannot be read as one{where}. Save it again in JupyterLab."
    )
