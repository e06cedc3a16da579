"""A whole class, judged: one job for each submission, and a result on disk as soon as it is done.

A job is a pure function of what was handed in, so it can run in any process, and again. Results are
written whole, one file each. So the next call goes on where one that was killed has stopped.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mmlocks.errors import GradingError
from mmlocks.grading import nbval_run
from mmlocks.grading.examine import WALL, Examined, examine
from mmlocks.grading.late import Extension, late_seconds
from mmlocks.grading.pages import Page, as_html, as_markdown
from mmlocks.grading.result import (
    NOT_JUDGED,
    Checked,
    HandedIn,
    Result,
    finished,
    result_file,
    write_result,
    write_whole,
)
from mmlocks.grading.roster import Student
from mmlocks.grading.sandbox import BUBBLEWRAP
from mmlocks.grading.submissions import Submission
from mmlocks.labs import lab_named
from mmlocks.search import Budget

RESULTS, FEEDBACK = "results", "feedback"
"""The folders of results and of feedback, in the folder that a grading writes."""

Helpers = Callable[[], AbstractContextManager[tuple[Executor | None, int]]]
"""Opens an executor, and says how many jobs it does at once; None if this process does them."""

DIED = "The process that judged it died. Judge it alone, on a machine that isolates it."

Progress = Callable[[int, int, int], None]
"""Called with how many submissions are done, how many there are, and how many were done before."""


@dataclass(frozen=True)
class Terms:
    """How all submissions of a lab are judged.

    `due` and `extensions` say what is late. `seconds` is for each search, `wall` for a submission.
    With `verdict_only` there is no feedback. With `nbval` that is asked as well; it gives no marks.
    """

    lab: str
    due: datetime | None = None
    extensions: tuple[Extension, ...] = ()
    seconds: float | None = None
    wall: float = WALL
    require_isolation: bool = False
    verdict_only: bool = False
    nbval: bool = False


@dataclass(frozen=True)
class Job:
    """One submission to judge, with all that a process elsewhere needs for it."""

    terms: Terms
    student: Student
    handed_in: HandedIn
    content: bytes
    said: tuple[str, ...]
    eye: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """A result, and the files of its feedback by their endings."""

    result: Result
    feedback: dict[str, str] = field(default_factory=dict)


def grade(
    submissions: Sequence[Submission],
    terms: Terms,
    out: Path,
    helpers: Helpers = lambda: nullcontext((None, 1)),
    anew: bool = False,
    progress: Progress = lambda *_: None,
) -> list[Result]:
    """Judge each submission that has no result in `out` yet, or each one `anew`.

    `helpers` do the jobs; without them this process does. Gives all results, in the order of the
    submissions. Raises GradingError if `out` cannot be written.
    """
    results: dict[int, Result] = {}
    left: deque[int] = deque()
    for number, submission in enumerate(submissions):
        known = None if anew else _known(submission, terms, out)
        if known is not None:
            results[number] = known
        else:
            left.append(number)
    before = len(results)
    progress(before, len(submissions), before)
    for number, done in _done(left, submissions, terms, helpers):
        _write(out, done)
        results[number] = done.result
        progress(len(results), len(submissions), before)
    return [results[number] for number in range(len(submissions))]


def _known(submission: Submission, terms: Terms, out: Path) -> Result | None:
    """The result of an earlier call, if it is of these bytes, this lab and this mmlocks.

    Whether it was late is told anew: a due time or an extension may have changed since.
    """
    known = finished(out / RESULTS, submission.student, submission.sha256, terms.lab)
    if known is None or (terms.require_isolation and known.isolation != BUBBLEWRAP):
        return None
    if not terms.verdict_only and not _pages(out, submission.student)[0].exists():
        return None
    if (
        terms.nbval
        and known.nbval is None
        and known.finding != NOT_JUDGED
        and nbval_run.available()
    ):
        return None
    return known if known.submission == _handed_in(submission, terms)[0] else None


def _handed_in(submission: Submission, terms: Terms) -> tuple[HandedIn, tuple[str, ...]]:
    late, said = late_seconds(
        submission.student, submission.submitted, submission.late, terms.due, terms.extensions
    )
    came = submission.submitted.isoformat() if submission.submitted is not None else None
    return HandedIn(submission.file, submission.sha256, came, submission.attempt, late), said


def _done(
    left: deque[int], submissions: Sequence[Submission], terms: Terms, helpers: Helpers
) -> Iterator[tuple[int, Done]]:
    """Each job that is done, in the order in which they end.

    A submission is read when its job begins, so the memory does not grow with their number. If a
    process dies, the jobs that were under way run again, one at a time, to see which one did it.
    """
    alone: deque[int] = deque()
    while left or alone:
        running: dict[Future[Done], int] = {}
        with helpers() as (executor, many):
            if executor is None:
                while left:
                    number = left.popleft()
                    yield number, judged(_job(submissions[number], terms))
                return
            try:
                while left or alone or running:
                    while (left and len(running) < 2 * many) or (alone and not running):
                        queue = left or alone
                        future = executor.submit(judged, _job(submissions[queue[0]], terms))
                        running[future] = queue.popleft()
                    ended, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in ended:
                        done = future.result()
                        yield running.pop(future), done
            except BrokenExecutor:
                lost = list(running.values())
                if len(lost) > 1:
                    alone.extend(lost)
                for number in lost if len(lost) == 1 else ():
                    job = _job(submissions[number], terms)
                    yield number, _finished(job, None, lab_named(terms.lab).points, (DIED,))
            finally:
                for future in running:
                    future.cancel()


def _job(submission: Submission, terms: Terms) -> Job:
    handed_in, said = _handed_in(submission, terms)
    eye: tuple[str, ...] = ()
    content = b""
    try:
        content = submission.read()
    except GradingError as problem:
        eye = (str(problem),)
    return Job(terms, submission.student, handed_in, content, (*submission.notes, *said), eye)


def judged(job: Job) -> Done:
    """Do one job. It needs nothing but mmlocks, and leaves nothing behind."""
    lab = lab_named(job.terms.lab)
    if job.eye:
        return _finished(job, None, lab.points, job.eye)
    budget = Budget(seconds=job.terms.seconds) if job.terms.seconds is not None else None
    with tempfile.TemporaryDirectory(prefix="mmlocks-") as folder:
        file = Path(folder) / _plain_name(job.handed_in.file)
        file.write_bytes(job.content)
        found = examine(
            lab,
            file,
            budget=budget,
            wall=job.terms.wall,
            require_isolation=job.terms.require_isolation,
            told=not job.terms.verdict_only,
        )
        second = None
        if job.terms.nbval and found.finding is not None and nbval_run.available():
            second = nbval_run.passed(lab, file)
    return _finished(job, found, lab.points, (), second)


def _plain_name(path: str) -> str:
    """A file name that any file system takes. Messages repeat it."""
    name = "".join(c if c.isalnum() or c in "._- " else "_" for c in Path(path).name)[-100:]
    return name.lstrip(". ") or "answer.ipynb"


def _finished(
    job: Job,
    found: Examined | None,
    points: int,
    eye: tuple[str, ...],
    second: frozenset[str] | None = None,
) -> Done:
    finding = found.finding.value if found is not None and found.finding else NOT_JUDGED
    likeness = found.feedback.likeness if found is not None and found.feedback else None
    opinion, differs = _compared(found, second)
    result = Result(
        lab=job.terms.lab,
        student=job.student,
        submission=job.handed_in,
        isolation=found.isolation if found is not None else BUBBLEWRAP,
        finding=finding,
        max_points=points,
        checks=tuple(
            Checked(
                check.name,
                check.points,
                check.of,
                check.finding.value,
                check.message,
                schedule=check.schedule,
            )
            for check in (found.checks if found is not None else ())
        ),
        judged=found.judged if found is not None else "",
        automaton=found.automaton if found is not None else None,
        behaves_like=likeness.mistake if likeness is not None else None,
        eye=tuple(dict.fromkeys((*eye, *(_reasons(found) if found is not None else ()), *differs))),
        nbval=opinion,
    )
    if job.terms.verdict_only:
        return Done(result)
    page = Page(
        job.student.label,
        job.terms.lab,
        finding,
        result.points,
        points,
        found.feedback if found is not None else None,
        found.states if found is not None else (),
        (*job.said, *((found.said,) if found is not None and found.said else ()), *eye),
    )
    return Done(result, {".html": as_html(page), ".md": as_markdown(page)})


def _compared(
    found: Examined | None, second: frozenset[str] | None
) -> tuple[dict[str, int | bool] | None, tuple[str, ...]]:
    """What nbval says, and a reason to look at it if that is not what the verdict says."""
    if found is None or second is None:
        return None, ()
    differ = [
        check.name for check in found.checks if (check.name in second) != (check.points == check.of)
    ]
    points = sum(check.of for check in found.checks if check.name in second)
    told: dict[str, int | bool] = {"points": points, "agrees": not differ}
    if not differ:
        return told, ()
    return told, (
        f"suspicious: nbval and the verdict differ on {', '.join(differ)} (nbval {points} points, "
        f"verdict {sum(check.points for check in found.checks)}); the verdict counts",
    )


def _reasons(found: Examined) -> Iterator[str]:
    """Why a person should look at it: what was noted, and what kept it from being judged."""
    if found.finding is None and found.said:
        yield found.said
    yield from found.eye


def _pages(out: Path, student: Student) -> tuple[Path, Path]:
    beside = result_file(out / FEEDBACK, student)
    return beside.with_suffix(".html"), beside.with_suffix(".md")


def _write(out: Path, done: Done) -> None:
    """Write a job's files. The result comes last, since it says that the job is done."""
    for page in _pages(out, done.result.student):
        if page.suffix in done.feedback:
            text = done.feedback[page.suffix]
            write_whole(page, text.encode("utf-8", "backslashreplace"))
    write_result(out / RESULTS, done.result)


class Clock:
    """Says how long the rest will take, from the time that the jobs of this call took."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def left(self, done: int, of: int, before: int) -> float | None:
        """Seconds; None before the first job is done."""
        if done <= before:
            return None
        return (time.monotonic() - self._begun) / (done - before) * (of - done)
