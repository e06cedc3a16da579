"""An answer that never comes back ends, whatever it catches: judged, or with its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HEAD = "from mmlocks.mm import *\n\n\nasync def dup_mmap(mm, oldmm):\n"

LOOPS = {
    "at_once": "while True:\n    try:\n        pass\n    except BaseException:\n        pass\n",
    "inner": "while True:\n    try:\n        while True:\n            x = 1\n"
    "    except BaseException:\n        pass\n",
    "awaits": "while True:\n    try:\n        await oldmm.mm_lock_seq\n"
    "    except BaseException:\n        pass\n",
}
SLEEPS = (
    "import time\nwhile True:\n    try:\n        time.sleep(1)\n    except BaseException:\n"
    "        pass\n"
)


def checked(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    file = folder / "answer.py"
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    file.write_text(HEAD + indented, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "mmlocks", "check", "07", str(file)],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_that_catches_everything_gets_its_verdict(tmp_path: Path, loop: str) -> None:
    done = checked(tmp_path, LOOPS[loop])
    assert done.returncode == 1, done.stderr
    assert "WRONG: 0 of 10 points" in done.stdout
    assert "dup_mmap (answer.py, line" in " ".join(done.stdout.split())
    assert "line None" not in done.stdout


@pytest.mark.slow
def test_code_that_waits_and_catches_everything_ends_its_process(tmp_path: Path) -> None:
    done = checked(tmp_path, SLEEPS)
    assert done.returncode == 2
    assert "dup_mmap (answer.py, line" in done.stderr and "so this process ends" in done.stderr


@pytest.mark.slow
def test_one_call_that_computes_for_hours_is_ended_by_the_system(tmp_path: Path) -> None:
    done = checked(tmp_path, "sum(range(10**12))\n")
    assert done.returncode < 0  # by a signal
    assert 'File "answer.py", line 5 in dup_mmap' in done.stderr
