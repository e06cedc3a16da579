"""A schedule that was printed for an answer replays with that answer, and with no other."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mmlocks.mm.meaning import fingerprint
from tests.mm.test_meaning import BASE, defined
from tests.notebook.cases import GIVEN, above, answer, below, insert, notebook

REPOSITORY = Path(__file__).resolve().parents[2]
Mmlocks = Callable[..., Result]

HELPERS = {
    "function": "async def share(mm, mpnt):\n    await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)\n",
    "class": "class Share:\n    twice = 1\n    async def __call__(self, mm, mpnt):\n        for _ in range(self.twice):\n            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)\nshare = Share()\n",
    "dict": "async def one(mm, mpnt):\n    await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)\nTABLE = {'share': one, 'times': 1}\nasync def share(mm, mpnt):\n    for _ in range(TABLE['times']):\n        await TABLE['share'](mm, mpnt)\n",
    "closure": "def making(times):\n    async def share(mm, mpnt):\n        for _ in range(times):\n            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)\n    return share\nshare = making(1)\n",
}
SHARING = GIVEN.replace(
    "        tmp = await vm_area_dup(mm, mpnt)\n        await copy_page_range(tmp, mpnt)\n",
    "        await share(mm, mpnt)\n",
)


def schedule(mmlocks: Mmlocks, file: Path) -> str:
    found = json.loads(mmlocks("check", "07", file, "--json").stdout)
    return str(found["checks"][0]["schedule"])


def put(path: Path, *edits: object) -> Path:
    path.write_text(json.dumps(notebook(*edits)))  # type: ignore[arg-type]
    return path


# A helper of these kinds is run by the judge as soon as it asks for kernel functions by itself; what is tested here is the name alone.
@pytest.mark.parametrize("helper", HELPERS)
def test_a_schedule_replays_where_the_answer_stands_elsewhere(
    mmlocks: Mmlocks, tmp_path: Path, helper: str
) -> None:
    first = put(tmp_path / "first.ipynb", answer(HELPERS[helper] + SHARING))
    text = schedule(mmlocks, first)
    assert "~dup_mmap." in text
    for name, edits in {
        "same": (answer(HELPERS[helper] + SHARING),),
        "in_two_cells": (answer(SHARING), above(HELPERS[helper])),
        "further_down": (
            answer("# given"),
            below("1 + 1", "2 + 2", f"# mine\n\n{HELPERS[helper]}\n{SHARING}"),
        ),
        "another_cell_above_all": (insert(0, "import math"), insert(5, HELPERS[helper] + SHARING)),
    }.items():
        done = mmlocks("replay", text, "--answer", put(tmp_path / f"{name}.ipynb", *edits))
        assert done.exit_code == 1, (name, done.output)
    script = tmp_path / "answer.py"
    script.write_text(HELPERS[helper] + SHARING)
    assert mmlocks("replay", text, "--answer", script).exit_code == 1


@pytest.mark.parametrize(
    ("helper", "old", "new"),
    [
        ("function", "mpnt), mpnt)", "mpnt), mpnt); LIMIT = 1"),
        ("class", "twice = 1", "twice = 2"),
        ("dict", "'times': 1", "'times': 2"),
        ("closure", "making(1)", "making(2)"),
    ],
)
def test_a_schedule_of_another_helper_is_refused(
    mmlocks: Mmlocks, tmp_path: Path, helper: str, old: str, new: str
) -> None:
    text = schedule(mmlocks, put(tmp_path / "first.ipynb", answer(HELPERS[helper] + SHARING)))
    changed = HELPERS[helper].replace(old, new)
    assert changed != HELPERS[helper]
    done = mmlocks(
        "replay", text, "--answer", put(tmp_path / "first.ipynb", answer(changed + SHARING))
    )
    assert done.exit_code == 2
    assert "has changed since" in done.stderr


def test_a_schedule_replays_though_the_function_writes_down_what_it_does(
    mmlocks: Mmlocks, tmp_path: Path
) -> None:
    first = put(
        tmp_path / "first.ipynb",
        answer(
            "seen = []\n" + GIVEN.replace("    await flush", "    seen.append(1)\n    await flush")
        ),
    )
    assert mmlocks("replay", schedule(mmlocks, first), "--answer", first).exit_code == 1


def test_the_name_is_the_same_in_another_process_whatever_its_hashes_are() -> None:
    program = textwrap.dedent("""
        import linecache
        from tests.mm.test_meaning import BASE, defined
        from mmlocks.mm.meaning import fingerprint
        print(fingerprint(defined(BASE)))
    """)
    said = {
        subprocess.run(
            [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(REPOSITORY)},
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert said == {f"{fingerprint(defined(BASE))}\n"}
