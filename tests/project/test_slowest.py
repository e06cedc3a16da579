"""The list of the slowest files at the end of a run of the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import slowest_files

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


def report(name: str, seconds: float) -> pytest.TestReport:
    return pytest.TestReport(
        name, (name, 0, name), {}, "passed", None, "call", duration=seconds, start=0, stop=seconds
    )


def test_seconds_are_summed_per_file_and_the_slowest_comes_first() -> None:
    reports = [report("a.py::one", 1.5), report("b.py::one", 2.0), report("a.py::two[x::y]", 1.5)]
    assert slowest_files([*reports, "a warning"]) == [("a.py", 3.0), ("b.py", 2.0)]


def test_at_most_ten_files_are_named_and_none_below_a_second() -> None:
    reports = [report(f"{number}.py::one", number) for number in range(20)]
    assert [file for file, _ in slowest_files(reports)] == [f"{n}.py" for n in range(19, 9, -1)]
    assert slowest_files([report("fast.py::one", 0.9)]) == []


def test_a_run_of_the_tests_ends_with_the_list(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_slow.py").write_text("import time\ndef test_one():\n    time.sleep(1.1)\n")
    (tmp_path / "test_fast.py").write_text("def test_one():\n    pass\n")
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = said.partition("slowest files")[2]
    assert "s  test_slow.py" in listed and "test_fast.py" not in listed
