"""What a lab is, and how an answer is judged: by what it does in every interleaving, never by how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs.answer import Answer, as_answer
from mmlocks.machine import Run
from mmlocks.mm.kernel import Kernel
from mmlocks.releases import release_named
from mmlocks.scenarios import SCENARIOS, Checked, check
from mmlocks.search import Budget, Progress


class Finding(Enum):
    """What can be said of an answer."""

    CORRECT = "CORRECT"
    COSTLY = "CORRECT BUT COSTLY"
    WRONG = "WRONG"
    UNPROVED = "UNPROVED"


SEVERITY = (Finding.CORRECT, Finding.COSTLY, Finding.UNPROVED, Finding.WRONG)

LIMITS = (
    "Assumed: sequentially consistent memory, at most 3 CPUs, a few pages, translations that are never evicted by themselves, "
    "one fork, each page in a page table of its own, and steps drawn where the kernel text has an `await`. Beyond that nothing is "
    "proved, and which locks protect which field is not judged where no rule here is broken."
)
"""What a proof here does not cover; said with every CORRECT."""


@dataclass(frozen=True)
class CheckResult:
    """One property of one answer: the finding, a message that says what to do next, and the searches it rests on.

    `run` is the execution that shows what is wrong, if there is one. `points` is what it earns.
    """

    check: Check
    finding: Finding
    message: str
    points: int
    searched: tuple[Checked, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the property holds and has been proved."""
        return self.points > 0

    @property
    def lab(self) -> str:
        """What notebooks call the lab: `lab07`."""
        return self.check.lab

    @property
    def shown(self) -> Checked | None:
        """The search that found a violation."""
        return next((checked for checked in self.searched if checked.verdict.violation is not None), None)

    @property
    def run(self) -> Run | None:
        """The execution that shows the violation."""
        return self.shown.run if self.shown is not None else None


class Examination:
    """One answer under examination: its kernel, and the searches made so far, so that no two checks repeat one."""

    def __init__(self, lab: Lab, kernel: Kernel, budget: Budget | None, progress: Progress | None) -> None:
        self.lab = lab
        self.kernel = kernel
        self.budget = budget
        self.progress = progress
        self._searched: dict[str, Checked] = {}

    def search(self, scenario: str) -> Checked:
        """The scenario, searched under the answer's kernel."""
        if scenario not in self._searched:
            self._searched[scenario] = check(SCENARIOS[scenario], self.kernel, self.budget, self.progress)
        return self._searched[scenario]


Judge = Callable[[Examination, "Check"], CheckResult]


@dataclass(frozen=True)
class Check:
    """One property that an answer must have, worth some points. `about` tells the learner what is demanded."""

    lab: str
    name: str
    points: int
    about: str
    judge: Judge
    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """All checks of one answer, and for a correct one how it differs from Linux's."""

    lab: Lab
    results: tuple[CheckResult, ...]
    compared: str = ""

    @property
    def finding(self) -> Finding:
        """The worst finding; COSTLY only if everything else is proved."""
        return max((result.finding for result in self.results), key=SEVERITY.index)

    @property
    def points(self) -> int:
        """Points earned."""
        return sum(result.points for result in self.results)


@dataclass(frozen=True)
class Lab:
    """A lab: the kernel that it starts from, the functions to write, what is demanded of them, and hints in three rungs.

    `functions` are the ones that the exercise hands out; an answer may replace any other kernel function as well.
    """

    name: str
    title: str
    release: str
    functions: tuple[str, ...]
    checks: tuple[Check, ...]
    hints: tuple[str, ...]
    compare: Callable[[Kernel], str]
    """Says of a kernel with a correct answer in place how it differs from what Linux does."""

    @property
    def points(self) -> int:
        """Points to be had."""
        return sum(check.points for check in self.checks)

    def kernel(self, names: Mapping[str, Any] | Answer) -> Kernel:
        """The lab's kernel with the answer's functions in place. Raises AnswerError for functions that cannot be placed."""
        return Kernel(release_named(self.release), as_answer(names).functions)

    def check(
        self,
        name: str,
        names: Mapping[str, Any] | Answer,
        budget: Budget | None = None,
        progress: Progress | None = None,
    ) -> CheckResult:
        """Judge one property of an answer, or of the functions in a notebook's `globals()`.

        Raises AnswerError for a check that does not exist, for functions that cannot be placed, and where there are none.
        """
        for each in self.checks:
            if each.name == name:
                return each.judge(self._examination(names, budget, progress), each)
        raise AnswerError(
            f"{self.name} has no check {name!r}. It has: {', '.join(c.name for c in self.checks)}."
        )

    def judge(
        self,
        names: Mapping[str, Any] | Answer,
        budget: Budget | None = None,
        progress: Progress | None = None,
    ) -> Judgement:
        """Judge every property. Raises AnswerError as `check` does."""
        examination = self._examination(names, budget, progress)
        results = tuple(each.judge(examination, each) for each in self.checks)
        right = all(result.finding in (Finding.CORRECT, Finding.COSTLY) for result in results)
        return Judgement(self, results, self.compare(examination.kernel) if right else "")

    def _examination(
        self, names: Mapping[str, Any] | Answer, budget: Budget | None, progress: Progress | None
    ) -> Examination:
        answer = as_answer(names)
        answer.must_replace()
        return Examination(self, self.kernel(answer), budget, progress)

    def hint(self, rung: int = 1) -> str:
        """A hint: 1 is the plan, 2 the place, 3 nearly the code."""
        if type(rung) is not int:
            raise MmlocksError(
                f"a hint has a number from 1 to {len(self.hints)}, as in hint(1), and this is {rung!r}."
            )
        if not 1 <= rung <= len(self.hints):
            raise MmlocksError(f"{self.name} has hints 1 to {len(self.hints)}, and no hint {rung}.")
        return self.hints[rung - 1]


def must_be_safe(examination: Examination, check: Check) -> CheckResult:
    """A check that no interleaving of its scenarios breaks a rule."""
    searched = []
    for name in check.scenarios:
        found = examination.search(name)
        searched.append(found)
        if found.verdict.violation is not None:
            return CheckResult(check, Finding.WRONG, _why_wrong(found), 0, tuple(searched))
        if found.verdict.outcome == "unproved":
            message = (
                f"{name}: {found.verdict.coverage}. Nothing wrong was found so far, and nothing is proved."
            )
            return CheckResult(check, Finding.UNPROVED, message, 0, tuple(searched))
    proof = "; ".join(f"{found.scenario.name}: {found.verdict.coverage}" for found in searched)
    message = f"{proof}. No violation. {LIMITS}"
    return CheckResult(check, Finding.CORRECT, message, check.points, tuple(searched))


def _why_wrong(found: Checked) -> str:
    verdict, scenario = found.verdict, found.scenario
    assert verdict.violation is not None
    oracle, message = verdict.violation
    if oracle in ("mistake", "exception"):
        return message
    if oracle not in scenario.explain:  # the scenario's story is about something else
        return f"In {scenario.name}: {message.removesuffix('.')}."
    return f"{scenario.title}: {message.removesuffix('.')}. {scenario.explain[oracle]} {scenario.remark}".rstrip()
