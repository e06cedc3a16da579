"""The core needs the standard library alone, on every CPython we support: its own tests, run on each, and a recording of a real kernel."""

import re
import subprocess
from collections.abc import Callable

import pytest

from tests.interpreters.interpreters import PYODIDE, REPOSITORY, pytest_command

PYTEST_OPTIONS = [
    "tests/core",
    "tests/conformance/test_recorded.py",
    "-q",
    "-p",
    "no:cacheprovider",
    "-m",
    "not slow",
]


@pytest.mark.parametrize("version", PYODIDE)
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
