"""nbval on the lab's own notebook with a learner's code in it: a second opinion, never the mark.

The answer runs in the process that checks it, so it can make nbval say anything. What comes back is
read as untrusted data, and compared with the verdict.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from mmlocks.grading.masters import Notebook, master
from mmlocks.grading.sandbox import (
    BUBBLEWRAP,
    LIMITS,
    MEGABYTE,
    TMP,
    isolation,
    plain_python,
    user,
    wrapped,
)
from mmlocks.grading.splice import CHECK, grade_id, spliced
from mmlocks.labs import Lab
from mmlocks.labs.files import read_source
from mmlocks.machine.task import PACKAGE

CELL_SECONDS, WALL = 15, 60.0
"""What a cell may take, and all of them. nbval notices a dead kernel at the cell's end of time."""
LARGEST = 1 << 20
"""Bytes of a report that are read."""
COURSE = "/course"
"""Where the sandbox shows the installed packages."""
SHOWN = ("show", "notebook")
"""Rooms that a lab's notebook imports, and an answer alone does not see."""
NBVAL_LIMITS = {
    **LIMITS, "RLIMIT_AS": 4096 * MEGABYTE, "RLIMIT_NOFILE": 512, "RLIMIT_NPROC": 128,
}  # fmt: skip
"""A kernel needs more than an answer alone: threads, sockets, and the packages of the course."""

START = """
import sys
sys.path.insert(0, sys.argv[1])
from mmlocks.labs.serving import take_limits
import json, os, subprocess
take_limits(json.loads(sys.argv[3]), int(sys.argv[2]))
words = ["-s", "-B", "-m", "pytest", "-q", "--noconftest", "-c", "/dev/null", "--rootdir", "/tmp",
         "-p", "nbval.plugin", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env",
         "--nbval-cell-timeout", sys.argv[4], "--junitxml", "/tmp/junit.xml", "/answer/lab.ipynb"]
subprocess.run([sys.executable, *words], stdout=2)
sys.stdout.write(open("/tmp/junit.xml", encoding="utf-8").read())
"""


def installed() -> bool:
    """Whether the course's packages are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("nbval", "ipykernel"))


def passed(lab: Lab, file: Path) -> frozenset[str]:
    """The names of the checks that nbval says have passed. Needs `installed()` and isolation.

    Raises AnswerError for a file that cannot be read.
    """
    return run(spliced(master(lab), read_source(file), lab.functions))


def available() -> bool:
    """Whether nbval can run here. Without isolation a notebook of others is not run at all."""
    return installed() and isolation().kind == BUBBLEWRAP


def run(notebook: Notebook) -> frozenset[str]:
    """Run a notebook and give its checks that passed; none if no sound report comes in time."""
    with tempfile.TemporaryDirectory(prefix="mmlocks-nbval-") as name:
        folder = Path(name)
        file, report = folder / "lab.ipynb", folder / "report"
        file.write_text(json.dumps(notebook), encoding="utf-8")
        file.chmod(0o644)
        with report.open("wb") as out:
            process = subprocess.Popen(
                _words(file), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(WALL)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
                process.wait()
        with report.open("rb") as came:
            return passed_in(came.read(LARGEST + 1), notebook)


def _words(file: Path) -> list[str]:
    program = shutil.which("bwrap")
    spec = importlib.util.find_spec("nbval")
    assert program is not None
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parents[1]
    own: list[str] = []
    if (packages / "mmlocks").is_dir():  # an installed mmlocks, whose banks stay hidden
        own = ["--tmpfs", f"{COURSE}/mmlocks", "--remount-ro", f"{COURSE}/mmlocks"]
    environment = {
        "PYTHONPATH": f"{PACKAGE.parent}:{COURSE}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HOME": TMP, "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1", "IPYTHONDIR": f"{TMP}/ipython",
    }  # fmt: skip
    words = [*wrapped(program)]
    for key, value in environment.items():
        words += ["--setenv", key, value]
    words += ["--perms", "0755", "--dir", COURSE, "--ro-bind", str(packages), COURSE, *own]
    for room in SHOWN:
        words += ["--ro-bind", str(PACKAGE / room), str(PACKAGE / room)]
    words += ["--ro-bind", str(file), "/answer/lab.ipynb", "--remount-ro", "/"]
    limits = {**NBVAL_LIMITS, "RLIMIT_CPU": int(WALL) + 10}
    return [
        *words, *plain_python(), "-c", START, str(PACKAGE.parent), str(user()),
        json.dumps(limits), str(CELL_SECONDS),
    ]  # fmt: skip


def passed_in(report: bytes, notebook: Notebook) -> frozenset[str]:
    """The checks that a report in JUnit's XML calls passed. A report that is not sound has none.

    A check passes if it has exactly one item, and that says nothing: no failure, error or skip.
    """
    if len(report) > LARGEST or b"<!" in report:  # entities could grow without end
        return frozenset()
    try:
        cases = list(ET.fromstring(report).iter("testcase"))  # noqa: S314  no entities, see above
    except (ET.ParseError, ValueError):
        return frozenset()
    said: dict[str, list[bool]] = {}
    for case in cases:
        fine = not any(child.tag in ("failure", "error", "skipped") for child in case)
        said.setdefault(case.get("name", "").rpartition("::")[2], []).append(fine)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return frozenset(
        grade_id(cell).removeprefix(CHECK)
        for number, cell in enumerate(code)
        if grade_id(cell).startswith(CHECK) and said.get(f"Cell {number}") == [True]
    )
