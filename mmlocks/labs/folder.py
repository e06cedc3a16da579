"""A lab is a folder of data. Its `lab.toml` says what the learner writes and what judges it.

`docs/why/labs.md` lists the keys. What must be code (a judge of the cost, say) stands in a Python
file of the folder; `cost.py:must_be_cheap` names a function there. A folder may lie anywhere: only
those of this package are found by name. *Its Python is run in this process.*
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs.bank import Bank, bank_of
from mmlocks.labs.checks import must_be_safe
from mmlocks.labs.lab import Check, Lab
from mmlocks.labs.parsons import Parsons
from mmlocks.mm.stubs import kernel_functions
from mmlocks.releases import release_named
from mmlocks.scenarios import scenario_named
from mmlocks.scenarios.from_file import is_in_file

FILE, BANK = "lab.toml", "bank.toml"
"""What students may read, and the known fixes: those are hidden from a student's process."""
HERE = Path(__file__).parent
VERDICTS = ("right", "costly", "wrong", "unproved")

LAB_KEYS = {
    "title", "release", "functions", "hints", "check", "compare", "diagnosis", "parsons",
}  # fmt: skip
CHECK_KEYS = {
    "name", "points", "about", "scenarios", "elsewhere", "breaks_nothing", "after", "waits",
    "smaller", "judge", "made_for",
}  # fmt: skip
BANK_KEYS = {"pattern", "mistakes"}
PATTERN_KEYS = {"verdict", "rejected", "fixes"}


def read_lab(folder: Path) -> Lab:
    """The lab in a folder.

    Raises AnswerError for what is missing or wrong in it, with the file, the key, and what is
    allowed there.
    """
    return _Reader(Path(folder).resolve()).lab()


def labs_in(folder: Path) -> dict[str, Lab]:
    """The labs in the folders of a folder, by name."""
    return {file.parent.name: read_lab(file.parent) for file in sorted(folder.glob(f"*/{FILE}"))}


class _Reader:
    """Reads one file of a lab; each message names the file and the key."""

    def __init__(self, folder: Path, file: str = FILE) -> None:
        self.folder = folder
        self.file = folder / file
        self.short = folder.name.partition("_")[0]

    def lab(self) -> Lab:
        told = self._told()
        self._only(told, LAB_KEYS, "")
        release = self._text(told, "release", "")
        self._means(lambda: release_named(release), "release")
        functions = self._texts(told, "functions", "")
        self._known(functions, kernel_functions(), "functions", "kernel functions")
        tables = self._tables(told, "check")
        names = [self._text(table, "name", _which(at)) for at, table in enumerate(tables, 1)]
        checks = tuple(self._check(at, table, names) for at, table in enumerate(tables, 1))
        compare = self._code(told, "compare", "")
        return Lab(
            folder=self.folder,
            title=self._text(told, "title", ""),
            release=release,
            functions=functions,
            checks=checks,
            hints=self._texts(told, "hints", ""),
            bank=_BankReader(self.folder, BANK).bank(names),
            diagnosis=self._scenarios(told, "diagnosis", ""),
            parsons=self._parsons(told),
            compare=compare,
        )

    def _told(self) -> dict[str, Any]:
        try:
            text = self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise AnswerError(
                f"{self.folder} has no {FILE}: a lab is a folder with that file in it."
            ) from None
        except (OSError, UnicodeDecodeError) as problem:
            raise AnswerError(f"{self.file} cannot be read: {problem}.") from None
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise AnswerError(f"{self.file} is not TOML: {problem}.") from None

    # -- a check ----------------------------------------------------------------------------------

    def _check(self, at: int, table: Mapping[str, Any], names: list[str]) -> Check:
        key = f"{_which(at)} ({names[at - 1]!r})"
        self._only(table, CHECK_KEYS, key)
        if names.count(names[at - 1]) > 1:
            raise self._wrong(f"{key}, name", "two checks have this name; each needs its own")
        points = table.get("points")
        if type(points) is not int or points < 1:
            raise self._wrong(f"{key}, points", f"a whole number from 1 on, and this is {points!r}")
        after = self._texts(table, "after", key, needed=False)
        self._known(after, names[: at - 1], f"{key}, after", "checks above this one")
        scenarios = self._scenarios(table, "scenarios", key, needed=True)
        if not isinstance(table.get("breaks_nothing", False), bool):
            raise self._wrong(f"{key}, breaks_nothing", "true or false")
        return Check(
            lab=self.short,
            name=names[at - 1],
            points=points,
            about=self._text(table, "about", key),
            judge=self._code(table, "judge", key) or must_be_safe,
            scenarios=scenarios,
            elsewhere=self._scenarios(table, "elsewhere", key),
            made_for=self._code(table, "made_for", key),
            breaks_nothing=table.get("breaks_nothing", False),
            after=after,
            waits=self._text(table, "waits", key, needed=False),
            smaller=self._scenarios(table, "smaller", key),
        )

    def _scenarios(
        self, table: Mapping[str, Any], key: str, where: str, needed: bool = False
    ) -> tuple[str, ...]:
        """Names of scenarios. `FILE.py:NAME` is one in a file of the lab's folder."""
        found = []
        for name in self._texts(table, key, where, needed):
            full = str(self.folder / name) if is_in_file(name) else name
            self._means(partial(scenario_named, full), _key(where, key))
            found.append(full)
        return tuple(found)

    def _code(self, table: Mapping[str, Any], key: str, where: str) -> Any:
        """The function `FILE.py:NAME` of the lab's folder; None where the key is missing."""
        if key not in table:
            return None
        text = self._text(table, key, where)
        file, colon, name = text.partition(":")
        if not (colon and file.endswith(".py") and name.isidentifier()):
            raise self._wrong(_key(where, key), f"FILE.py:FUNCTION, and this is {text!r}")
        if not (self.folder / file).is_file():
            raise self._wrong(_key(where, key), f"the folder has no file {file}")
        found = getattr(self._module(file, _key(where, key)), name, None)
        if not callable(found):
            raise self._wrong(_key(where, key), f"{file} defines no function {name}")
        return found

    def _module(self, file: str, where: str) -> ModuleType:
        stem = file.removesuffix(".py")
        if self.folder.parent == HERE:
            return importlib.import_module(f"mmlocks.labs.{self.folder.name}.{stem}")
        name = f"{self.folder.name}_{stem}"
        spec = importlib.util.spec_from_file_location(name, self.folder / file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as problem:
            raise self._wrong(where, f"{file} fails: {type(problem).__name__}: {problem}") from None
        return module

    # -- the stage of lines -----------------------------------------------------------------------

    def _parsons(self, told: Mapping[str, Any]) -> Parsons | None:
        if "parsons" not in told:
            return None
        table = self._table(told["parsons"], "parsons")
        self._only(table, {"code", "lines"}, "parsons")
        code, lines = self._text(table, "code", "parsons"), self._texts(table, "lines", "parsons")
        try:
            ast.parse(code)
        except SyntaxError as problem:
            said = f"Python, and line {problem.lineno} is not: {problem.msg}"
            raise self._wrong("parsons, code", said) from None
        for line in lines:
            if line != line.strip() or line.endswith(":") or "\n" in line:
                raise self._wrong(
                    "parsons, lines", f"one statement each, without an indent, and not {line!r}"
                )
        return Parsons(code, lines)

    # -- values -----------------------------------------------------------------------------------

    def _only(self, table: Mapping[str, Any], allowed: set[str], where: str) -> None:
        for key in table:
            if key not in allowed:
                close = difflib.get_close_matches(key, allowed, 1)
                meant = f" Did you mean {close[0]}?" if close else ""
                said = f"not a key of a lab.{meant} Allowed: {', '.join(sorted(allowed))}"
                raise self._wrong(_key(where, key), said)

    def _text(self, table: Mapping[str, Any], key: str, where: str, needed: bool = True) -> str:
        value = table.get(key, None if needed else "")
        if not isinstance(value, str) or (needed and not value.strip()):
            got = "missing" if value is None else f"{value!r}"
            raise self._wrong(_key(where, key), f"a text in quotes, and this is {got}")
        return value

    def _texts(
        self, table: Mapping[str, Any], key: str, where: str, needed: bool = True
    ) -> tuple[str, ...]:
        value = table.get(key, None if needed else [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            got = "missing" if value is None else f"{value!r}"
            raise self._wrong(_key(where, key), f"a list of texts, and this is {got}")
        if needed and not value:
            raise self._wrong(_key(where, key), "a list with at least one text, and this is empty")
        return tuple(value)

    def _table(self, value: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, "a table of its own")
        return value

    def _tables(
        self, told: Mapping[str, Any], key: str, needed: bool = True
    ) -> list[Mapping[str, Any]]:
        value = told.get(key, [])
        if not isinstance(value, list) or (needed and not value):
            raise self._wrong(key, f"at least one table that begins with [[{key}]]")
        return [self._table(one, f"{key} {at}") for at, one in enumerate(value, 1)]

    def _known(self, names: Iterable[str], known: Iterable[str], where: str, what: str) -> None:
        known = list(known)
        for name in names:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, 1)
                meant = f" Did you mean {close[0]}?" if close else ""
                listed = f" They are: {', '.join(known)}" if len(known) <= 20 else ""
                raise self._wrong(where, f"{name!r} is not one of the {what}.{meant}{listed}")

    def _means(self, look: Callable[[], object], where: str) -> None:
        try:
            look()
        except MmlocksError as problem:
            raise self._wrong(where, str(problem)) from None

    def _wrong(self, where: str, said: str) -> AnswerError:
        return AnswerError(f"{self.file}, {where}: {said.rstrip('.')}.")


class _BankReader(_Reader):
    """Reads the bank of a lab."""

    def bank(self, checks: Iterable[str]) -> Bank:
        """The known fixes; none if the folder has no such file, or hides it from this process."""
        try:
            self.file.open("rb").close()
        except (FileNotFoundError, PermissionError):
            return Bank()
        told = self._told()
        self._only(told, BANK_KEYS, "")
        seen: set[str] = set()
        for at, table in enumerate(self._tables(told, "pattern", needed=False), 1):
            key = f"pattern {at}"
            self._only(table, PATTERN_KEYS, key)
            self._known([self._text(table, "verdict", key)], VERDICTS, f"{key}, verdict", "words")
            rejected = self._table(table.get("rejected", {}), f"{key}, rejected")
            self._known(rejected, checks, f"{key}, rejected", "checks of this lab")
            fixes = self._table(table.get("fixes"), f"{key}, fixes")
            for name, says in fixes.items():
                if not isinstance(says, str) or name in seen:
                    why = "is there twice" if name in seen else "needs a sentence in quotes"
                    raise self._wrong(f"{key}, fixes", f"{name} {why}")
                seen.add(name)
        for says, names in self._table(told.get("mistakes", {}), "mistakes").items():
            if not isinstance(names, list):
                raise self._wrong(f"mistakes, {says!r}", "a list of fixes")
            self._known(names, seen, f"mistakes, {says!r}", "fixes of this bank")
        return bank_of(told)


def _which(at: int) -> str:
    return f"check {at}"


def _key(where: str, key: str) -> str:
    return f"{where}, {key}" if where else key
