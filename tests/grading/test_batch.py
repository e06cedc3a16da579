"""A class is judged once, goes on after a crash, and nothing that one submission does stops it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mmlocks.grading import batch
from mmlocks.grading.batch import FEEDBACK, RESULTS, Done, Job, Terms, grade
from mmlocks.grading.late import Extension
from mmlocks.grading.result import NOT_JUDGED, Result, results_in
from mmlocks.grading.submissions import Submission, collect
from mmlocks.labs import lab_named

LAB = lab_named("07")
TERMS = Terms(LAB.name)
GIVEN = """
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        LOCK
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
"""
RIGHT = GIVEN.replace("LOCK", "await vma_start_write(mpnt)")
WRONG = GIVEN.replace("LOCK", "pass")


def handed_in(folder: Path, **answers: str) -> tuple[Submission, ...]:
    for name, text in answers.items():
        (folder / "submitted" / name).mkdir(parents=True, exist_ok=True)
        (folder / "submitted" / name / "answer.py").write_text(text)
    return collect(folder / "submitted", LAB.name).submissions


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Judging is replaced by a count: whose answers were judged."""
    asked: list[str] = []

    def judged(job: Job) -> Done:
        asked.append(job.student.login)
        result = Result(LAB.name, job.student, job.handed_in, "bubblewrap", "WRONG", 10)
        return Done(result, {} if job.terms.verdict_only else {".html": "page", ".md": "page"})

    monkeypatch.setattr(batch, "judged", judged)
    return asked


def test_a_class_gets_its_marks_and_its_feedback(tmp_path: Path) -> None:
    class_ = handed_in(tmp_path, ada=RIGHT, bob=WRONG, eve="import os\nos._exit(0)\n")
    out = tmp_path / "out"
    ada, bob, eve = grade(class_, TERMS, out)
    assert (ada.finding, ada.points) == ("CORRECT", 10)
    assert (bob.finding, bob.points) == ("WRONG", 0)
    assert (eve.finding, eve.points) == (NOT_JUDGED, 0)
    assert ada.eye == bob.eye == ()
    assert eve.eye
    assert bob.behaves_like
    assert list(results_in(out / RESULTS)) == sorted([ada, bob, eve], key=lambda r: r.student.login)
    page = next((out / FEEDBACK).glob("bob*.html")).read_text()
    assert "answer.py, line 6" in page
    assert "After step 20" in page
    for loads in ("src=", "href=", "@import", "url("):
        assert loads not in page  # it stands alone


def test_what_has_a_result_is_not_judged_again(tmp_path: Path, counted: list[str]) -> None:
    class_ = handed_in(tmp_path, ada=RIGHT, bob=WRONG)
    first = grade(class_, TERMS, tmp_path / "out")
    assert grade(class_, TERMS, tmp_path / "out") == first
    assert counted == ["ada", "bob"]


@pytest.mark.parametrize("what", ["another answer", "a damaged result", "no page", "anew"])
def test_what_is_out_of_date_is_judged_again(tmp_path: Path, counted: list[str], what: str) -> None:
    class_, out = handed_in(tmp_path, ada=RIGHT, bob=WRONG), tmp_path / "out"
    grade(class_, TERMS, out)
    counted.clear()
    (file,) = (out / RESULTS).glob("ada*.json")
    if what == "another answer":
        class_ = handed_in(tmp_path, ada=RIGHT + "\n")
    elif what == "a damaged result":
        file.write_text(file.read_text()[:-20])
    elif what == "no page":
        next((out / FEEDBACK).glob("ada*.html")).unlink()
    grade(class_, TERMS, out, anew=what == "anew")
    assert counted == (["ada", "bob"] if what == "anew" else ["ada"])


def test_an_extension_that_came_later_changes_how_late_it_was(
    tmp_path: Path, counted: list[str]
) -> None:
    class_ = handed_in(tmp_path, ada=RIGHT)
    due = datetime.now(UTC) - timedelta(days=1)
    (late,) = grade(class_, Terms(LAB.name, due), tmp_path / "out")
    assert late.submission.late_seconds
    longer = Extension("ada", due + timedelta(days=3), 0, None, "extensions.csv, line 2")
    (fine,) = grade(class_, Terms(LAB.name, due, (longer,)), tmp_path / "out")
    assert fine.submission.late_seconds == 0


def test_the_order_in_which_jobs_end_changes_nothing(tmp_path: Path, counted: list[str]) -> None:
    class_ = handed_in(tmp_path, **{f"s{number:02}": WRONG for number in range(30)})
    alone = grade(class_, TERMS, tmp_path / "alone")
    with ThreadPoolExecutor(4) as executor:
        spread = grade(class_, TERMS, tmp_path / "spread", lambda: nullcontext((executor, 4)))
    assert spread == alone
    assert [result.student.login for result in spread] == [f"s{n:02}" for n in range(30)]


def test_few_submissions_are_in_memory_at_once(
    tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class_ = handed_in(tmp_path, **{f"s{number:02}": WRONG for number in range(40)})
    read: list[str] = []
    before = Submission.read
    monkeypatch.setattr(
        Submission, "read", lambda self: read.append(self.student.login) or before(self)
    )
    most: list[int] = []
    with ThreadPoolExecutor(2) as executor:
        grade(
            class_, TERMS, tmp_path / "out", lambda: nullcontext((executor, 2)),
            progress=lambda done, of, known: most.append(len(read) - done),
        )  # fmt: skip
    assert len(read) == 40
    assert max(most) <= 5


def dies(job: Job) -> Done:
    """Stands for judging: the process ends for the answers of those who are called "end"."""
    if job.student.login.startswith("end"):
        os.kill(os.getpid(), signal.SIGKILL)
    return Done(Result(LAB.name, job.student, job.handed_in, "none", "WRONG", 10))


def test_a_process_that_dies_costs_nobody_else_a_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "judged", dies)
    names = ["ada", "bob", "end1", "cid", "dan", "end2", "eve", "fay"]
    class_ = handed_in(tmp_path, **dict.fromkeys(names, WRONG))

    @contextmanager
    def helpers() -> Iterator[tuple[ProcessPoolExecutor, int]]:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            yield pool, 2

    found = grade(class_, replace(TERMS, verdict_only=True), tmp_path / "out", helpers)
    assert {each.student.login: each.finding for each in found} == {
        name: NOT_JUDGED if name.startswith("end") else "WRONG" for name in names
    }
    assert all("died" in each.eye[0] for each in found if each.finding == NOT_JUDGED)


def command(folder: Path, out: Path) -> list[str]:
    submitted = str(folder / "submitted")
    return [sys.executable, "-m", "mmlocks", "grade", submitted, "--lab", "07", "--out", str(out),
            "--jobs", "2"]  # fmt: skip


def content(out: Path) -> dict[str, Any]:
    """Every file of a grading; of results all but when they were made."""
    found: dict[str, Any] = {}
    for file in sorted(out.rglob("*")):
        if file.is_file():
            name = file.relative_to(out).as_posix()
            found[name] = file.read_bytes()
            if name.startswith(RESULTS):
                found[name] = {**json.loads(found[name]), "graded": ""}
    return found


@pytest.mark.slow
def test_a_grading_that_is_killed_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    answers = {f"w{number}": WRONG + f"# {number}\n" for number in range(6)}
    handed_in(tmp_path, ada=RIGHT, eve="while True: pass\n", **answers)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(tmp_path, whole), check=False, capture_output=True, timeout=300)
    for wanted in (1, 3, 5):  # results on disk at which it is killed
        running = subprocess.Popen(
            command(tmp_path, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while len(list((killed / RESULTS).glob("*.json"))) < wanted and running.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    subprocess.run(command(tmp_path, killed), check=False, capture_output=True, timeout=300)
    assert content(killed) == content(whole)
    assert len(list(results_in(whole / RESULTS))) == 8
