"""What can differ between interpreters, on every CPython that we support, with the standard library alone.

The whole suite runs once, on the interpreter of `.venv`. What depends on how an interpreter keeps a
suspended coroutine, its frames and its texts runs on each of the others, and a recording of a
real kernel as well.
"""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.interpreters.interpreters import PYODIDE, REPOSITORY, pytest_command

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"

PYTEST_OPTIONS = [
    "tests/machine",
    "tests/mm/test_exports.py",
    "tests/mm/test_meaning.py",
    "tests/mm/test_release_text.py",
    "tests/conformance/test_recorded.py",
    "-q",
    "-p",
    "no:cacheprovider",
    "-m",
    "not slow",
]  # fmt: skip


@pytest.mark.parametrize("version", sorted(PYODIDE.keys() - {OWN}))
def test_core_tests_pass_on_python(
    version: str, record_property: Callable[[str, object], None]
) -> None:
    name, command = pytest_command(version)
    done = subprocess.run(
        [*command, *PYTEST_OPTIONS],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
    )
    # a crash of node prints the minified source it happened in, in lines of any length
    output = "\n".join(line[:300] for line in done.stdout.splitlines())[-6000:]
    passed = re.search(r"(\d+) passed", output)
    assert done.returncode == 0, f"{name}:\n{output}"
    assert passed, f"{name} ran no test:\n{output}"
    record_property("summary", f"{name}: {output.strip().splitlines()[-1]}")
