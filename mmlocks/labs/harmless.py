"""The surroundings of a learner's cells outside of a notebook: calls of them do nothing.

Magics that run Python run it. Shell lines, pictures and checks of the lab do nothing here.
"""

from __future__ import annotations

import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from mmlocks.labs.files import read_source

_LINE = """
alias alias_magic autoawait autocall automagic autosave bookmark cat cd clear code_wrap colors
conda config connect_info cp debug dhist dirs doctest_mode ed edit env gui hist history
killbgscripts ldir less lf lk ll load load_ext loadpy logoff logon logstart logstate logstop
ls lsmagic lx macro magic mamba man matplotlib micromamba mkdir more mv notebook page pastebin
pdb pdef pdoc pfile pinfo pinfo2 pip popd pprint precision prun psearch psource pushd pwd
pycat pylab qtconsole quickref recall rehashx reload_ext rep rerun reset reset_selective rm
rmdir run save sc set_env subshell sx system tb time timeit unalias unload_ext uv who who_ls
whos xdel xmode
"""

_CELL = """
! HTML SVG bash capture cmd code_wrap debug file html javascript js latex markdown perl prun
pypy python python2 python3 ruby script sh svg sx system time timeit writefile
"""

LINE_MAGICS, CELL_MAGICS = frozenset(_LINE.split()), frozenset(_CELL.split())
"""IPython's own magics. Others come with `%load_ext`."""

_READING: list[bool] = []


@contextmanager
def reading() -> Iterator[None]:
    """Marks that a learner's file is read: labs that its cells call do nothing meanwhile."""
    _READING.append(True)
    try:
        yield
    finally:
        _READING.pop()


def being_read() -> bool:
    """Whether a learner's file is being read at this moment."""
    return bool(_READING)


class Nothing:
    """An object that takes every call and has every attribute, and does nothing."""

    def __call__(self, *_: Any, **__: Any) -> Nothing:
        return self

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _: Any) -> Nothing:
        return self

    def __iter__(self) -> Iterator[Nothing]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __repr__(self) -> str:
        return ""


class Shell(Nothing):
    """What `get_ipython()` gives.

    `run` executes Python text in the cells' namespace, and `apart` in a copy of it.
    """

    def __init__(
        self, run: Callable[[str], Any], apart: Callable[[str], Any], folder: Path
    ) -> None:
        self._run = run
        self._apart = apart
        self._folder = folder
        self._written: tempfile.TemporaryDirectory[str] | None = None
        self._extended = False
        self.above = 0
        """Empty lines at the start of the cell that runs now."""

    def run_line_magic(self, name: str, line: str, *_: Any, **__: Any) -> Any:
        """A `%magic`: `%time f(x)` runs what follows it, and `%run x.py` that file.

        Others do nothing. Raises NameError for an unknown one.
        """
        if name in ("load_ext", "reload_ext"):
            self._extended = True  # which magics it brings is not known here
        elif name == "time":
            return self._run(line)
        elif name in ("timeit", "prun"):
            self._apart("\n".join(word for word in [line] if not word.startswith("-")))
        elif name == "run":
            self._run_files(
                [word.strip("'\"") for word in line.split() if not word.startswith("-")][:1]
            )
        elif name not in LINE_MAGICS and not self._extended:
            raise NameError(
                f"there is no magic %{name}, so a notebook runs nothing of this cell. Delete the "
                "line"
            )
        return None

    magic = run_line_magic

    def run_cell_magic(self, name: str, line: str, cell: str) -> Any:
        """A `%%magic`: those that run the cell as Python in a notebook do so here.

        Others do nothing. Raises NameError for an unknown one.
        """
        if name in ("time", "capture", "prun"):
            self._run("\n" * (self.above + 1) + cell)  # the line before the first is the magic's
        elif name == "timeit":
            self._apart("\n" * (self.above + 1) + cell)
        elif name in ("writefile", "file"):
            self._write(line.rsplit(maxsplit=1)[-1] if line.split() else "", cell)
        elif name not in CELL_MAGICS and not self._extended:
            raise NameError(
                f"there is no magic %%{name}, so a notebook runs nothing of this cell. Delete the "
                "line"
            )

    def getoutput(self, *_: Any, **__: Any) -> list[str]:
        """What `x = !command` gives: no lines, as the command is not run."""
        return []

    @property
    def written(self) -> Path | None:
        """The folder of what `%%writefile` wrote; the learner's folder stays as it is."""
        return Path(self._written.name).resolve() if self._written is not None else None

    def _write(self, name: str, text: str) -> None:
        if self._written is None:
            self._written = tempfile.TemporaryDirectory(
                prefix="mmlocks-", ignore_cleanup_errors=True
            )
            # The session that runs the cells restores sys.path afterwards.
            sys.path.insert(0, self._written.name)
        if name and Path(name).name == name:
            (Path(self._written.name) / name).write_text(text, encoding="utf-8")

    def _run_files(self, names: list[str]) -> None:
        """`%run x.py`, `%run x`, and `%run x.ipynb`, which runs all code cells in their order."""
        for name in names:
            places = [*([self.written] if self.written is not None else []), self._folder]
            found = [
                place / one
                for place in places
                for one in (name, f"{name}.py")
                if (place / one).is_file()
            ]
            if not found:
                raise FileNotFoundError(f"there is no file {name} beside this one")
            for cell in read_source(found[0]).cells:
                if cell.kind == "code":
                    self._run(cell.source)


ELSEWHERE = frozenset(
    [
        "mmlocks.cli",
        "mmlocks.conformance",
        "mmlocks.maps",
        "mmlocks.notebook",
        "mmlocks.show",
        "IPython",
        "ipykernel",
        "ipywidgets",
        "matplotlib",
        "networkx",
        "numpy",
        "pandas",
        "plotly",
        "scipy",
        "seaborn",
        "sympy",
        "tqdm",
        "traitlets",
    ]
)
"""Modules that learners import to look at things. They are not there where answers are judged."""


class _Empty(types.ModuleType):
    """A module that has every attribute. All of them do nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


class NothingElsewhere(MetaPathFinder, Loader):
    """An importer: where a module of `ELSEWHERE` cannot be found, an empty one is imported."""

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        """What Python asks importers for (see `importlib.abc.MetaPathFinder`)."""
        parts = fullname.split(".")
        known = {".".join(parts[: length + 1]) for length in range(len(parts))}
        return ModuleSpec(fullname, self, is_package=True) if known & ELSEWHERE else None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        """The empty module."""
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Fill the module: with nothing."""
