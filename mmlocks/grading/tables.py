"""CSV files that are read without loss: each cell knows where it stands in the file's text.

So one column can be filled, and every byte outside of it stays as it was: byte order mark,
separators, quotes, line ends, and what a spreadsheet would reformat.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmlocks.errors import GradingError

LARGEST = 50_000_000
"""Bytes of a CSV file that is read at all."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, and what follows each of them. Excel's "Unicode text" is UTF-16."""
SEPARATORS = ",;\t"
PLAIN = {one: re.compile(f"[^{one}\r\n]*") for one in SEPARATORS}
"""A cell without quotes, for each separator."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text without quotes, where that stands in the file's text, and its line."""

    text: str
    start: int
    end: int
    line: int
    quoted: bool = False


@dataclass(frozen=True)
class Table:
    """A CSV file: the bytes before its text, the text, and the cells of its rows."""

    name: str
    mark: bytes
    encoding: str
    text: str
    separator: str
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(cell.text.strip() for cell in self.rows[0])

    def value(self, row: int, column: int | None) -> str:
        """The text of a cell without spaces around it. A cell that is not there is empty."""
        if column is None or column >= len(self.rows[row]):
            return ""
        return self.rows[row][column].text.strip()

    def line(self, row: int) -> int:
        """The line of the file where a row begins."""
        return self.rows[row][0].line

    def where(self, row: int) -> str:
        """A row in words, for messages."""
        return f"{self.name}, line {self.line(row)}"

    def filled(self, column: int, values: Mapping[int, str]) -> bytes:
        """The file's bytes with these texts in one column. Everything else is as it was."""
        pieces, at = [], 0
        for row, value in sorted(values.items()):
            cells = self.rows[row]
            missing = column - len(cells) + 1
            start, end, lead = cells[-1].end, cells[-1].end, self.separator * missing
            quoted = False
            if missing <= 0:
                start, end, lead = cells[column].start, cells[column].end, ""
                quoted = cells[column].quoted
            pieces += [self.text[at:start], lead, _written(value, self.separator, quoted)]
            at = end
        return self.mark + ("".join(pieces) + self.text[at:]).encode(self.encoding)


def read_table(path: Path) -> Table:
    """Read a CSV file. Raises GradingError, which says file and line, if it is not one."""
    try:
        if path.stat().st_size > LARGEST:
            raise GradingError(f"{path} has more than {LARGEST:,} bytes. Is it the right file?")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise GradingError(f"there is no file {path}. Look at its name and its folder.") from None
    except OSError as problem:
        raise GradingError(f"{path} cannot be read: {problem.strerror or problem}.") from None
    return table_of(raw, path.name)


def table_of(raw: bytes, name: str) -> Table:
    """The bytes of a CSV file as a table. Raises GradingError if they are not one."""
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise GradingError(f"{name} is a workbook or a zip, not CSV. Export it again as CSV.")
    mark, encoding = next(
        ((mark, encoding) for mark, encoding in MARKS if raw.startswith(mark)), (b"", "utf-8")
    )
    body = raw[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        # A CSV that Excel saved on Windows has one byte for each letter. Latin-1 loses no byte.
        encoding = "latin-1"
        text = body.decode(encoding)
    if "\0" in text:
        raise GradingError(f"{name} is not a text file. Export it again as CSV in UTF-8.")
    separator = _separator(text)
    rows = tuple(_rows(text, separator, name))
    if not rows or not any(cell.text.strip() for cell in rows[0]):
        raise GradingError(f"{name} has no first line with the names of its columns.")
    _see_widths(rows, separator, name)
    return Table(name, mark, encoding, text, separator, rows)


def _separator(text: str) -> str:
    """The separator that stands most often in the first line, outside of quotes."""
    counts = dict.fromkeys(SEPARATORS, 0)
    quoted = False
    for letter in text:
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in "\r\n":
            break
        elif not quoted and letter in counts:
            counts[letter] += 1
    return max(SEPARATORS, key=counts.__getitem__)


def _rows(text: str, separator: str, name: str) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    row: list[Cell] = []
    at, line, size = 0, 1, len(text)
    while at < size or row:
        cell, after = _cell(text, at, line, separator, name)
        row.append(cell)
        line += _line_ends(text[at:after])
        at = after + 1
        if after < size and text[after] == separator:
            continue
        if text[after : after + 2] == "\r\n":
            at += 1
        line += 1
        rows.append(tuple(row))
        row = []
    return [row for row in rows if len(row) > 1 or row[0].text.strip() or row[0].quoted]


def _cell(text: str, at: int, line: int, separator: str, name: str) -> tuple[Cell, int]:
    """The cell that begins there, and the place behind it."""
    if not text.startswith('"', at):
        found = PLAIN[separator].match(text, at)
        end = found.end() if found else at
        return Cell(text[at:end], at, end, line), end
    end = at + 1
    while True:
        end = text.find('"', end)
        if end < 0:
            raise GradingError(
                f"{name}, line {line}: a quote is opened there and never closed. Export the file "
                "again, or mend that line."
            )
        if not text.startswith('""', end):
            break
        end += 2
    inside = text[at + 1 : end].replace('""', '"')
    end += 1
    if end < len(text) and text[end] != separator and text[end] not in "\r\n":
        raise GradingError(
            f"{name}, line {line}: there is text behind a closing quote. Export the file again, "
            "or mend that line."
        )
    return Cell(inside, at, end, line, quoted=True), end


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _see_widths(rows: tuple[tuple[Cell, ...], ...], separator: str, name: str) -> None:
    """A row with more cells than the header has is shifted: its marks would go astray."""
    width = len(rows[0])
    for row in rows[1:]:
        if len(row) > width and any(cell.text.strip() for cell in row[width:]):
            what = {",": "commas", ";": "semicolons", "\t": "tabs"}[separator]
            raise GradingError(
                f"{name}, line {row[0].line} has {len(row)} cells, and the first line names "
                f"{width} columns. Text with {what} in it must stand in quotes."
            )


def _written(value: str, separator: str, quoted: bool) -> str:
    if quoted or any(letter in value for letter in f'{separator}"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value
