"""What a lab is, and how an answer is judged.

What counts is what the answer does in every interleaving, never how it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs.answer import Answer, as_answer
from mmlocks.labs.bank import Bank
from mmlocks.labs.parsons import Parsons
from mmlocks.machine import Run
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.reach import reached
from mmlocks.releases import release_named
from mmlocks.scenarios import SCENARIOS, VARIANTS, Checked, asked, check, scenario_named
from mmlocks.search import Budget, Progress


class Finding(Enum):
    """What can be said of an answer."""

    CORRECT = "CORRECT"
    COSTLY = "CORRECT BUT COSTLY"
    WRONG = "WRONG"
    UNPROVED = "UNPROVED"


SEVERITY = (Finding.CORRECT, Finding.COSTLY, Finding.UNPROVED, Finding.WRONG)


@dataclass(frozen=True)
class CheckResult:
    """The finding on one property of one answer, with a message that says what to do next.

    `points` is what it earns. `searched` holds the searches that the finding rests on, and `run`
    is the execution that shows what is wrong, if there is one. `smaller` is a search of a smaller
    scenario that breaks the same rule in fewer steps: it explains, and judges nothing.
    """

    check: Check
    finding: Finding
    message: str
    points: int
    searched: tuple[Checked, ...] = ()
    smaller: Checked | None = None

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
        return next(
            (checked for checked in self.searched if checked.verdict.violation is not None), None
        )

    @property
    def explained(self) -> Checked | None:
        """The search whose run explains what is wrong: the smaller one, if it shows the same."""
        return self.smaller or self.shown

    @property
    def run(self) -> Run | None:
        """The execution that shows the violation."""
        return self.shown.run if self.shown is not None else None


class Examination:
    """One answer under examination: its kernel, and the searches made so far.

    It keeps them, so that no two checks repeat a search.
    """

    def __init__(
        self, lab: Lab, kernel: Kernel, budget: Budget | None, progress: Progress | None
    ) -> None:
        self.lab = lab
        self.kernel = kernel
        self.budget = budget
        self.progress = progress
        self.searched: dict[str, Checked] = {}
        """By the names of the scenarios."""
        self._results: dict[str, CheckResult] = {}

    def result(self, check: Check) -> CheckResult:
        """The result of a check. It is judged once those before its gate hold."""
        if check.name not in self._results:
            self._results[check.name] = self._judge(check)
        return self._results[check.name]

    def _judge(self, check: Check) -> CheckResult:
        for other in self.lab.checks:
            if other.name in check.after and not (before := self.result(other)).passed:
                message = f"{check.waits} First make {other.name!r} hold."
                return CheckResult(check, before.finding, message.strip(), 0)
        result = check.judge(self, check)
        return replace(result, smaller=self._smaller(result)) if check.smaller else result

    def _smaller(self, result: CheckResult) -> Checked | None:
        """The smallest story of the check that breaks the same rule in fewer steps, if any does."""
        if result.shown is None or (fewest := result.shown.verdict.schedule) is None:
            return None
        best = None
        for name in result.check.smaller:
            found = self.search(name)
            schedule = found.verdict.schedule
            if schedule is None or found.of_all_runs or len(schedule) >= len(fewest):
                continue
            mine, theirs = found.verdict.violation, result.shown.verdict.violation
            if mine is not None and theirs is not None and mine.oracle == theirs.oracle:
                best, fewest = found, schedule
        return best

    def search(self, name: str, budget: Budget | None = None) -> Checked:
        """The search of a scenario, as it is put to answers, under the answer's kernel."""
        if name not in self.searched:
            scenario = asked(scenario_named(name))
            wrong = any(found.verdict.violation is not None for found in self.searched.values())
            self.searched[name] = check(
                scenario, self.kernel, budget or self.budget, self.progress, suspect=wrong
            )
        return self.searched[name]

    def looks_right(self) -> bool:
        """Whether the answer passes the scenarios that the lab's checks are about.

        A scenario that is too small to tell counts as passed.
        """
        own = dict.fromkeys(name for check in self.lab.checks for name in check.scenarios)
        verdicts = (self.search(name).verdict for name in own)
        return all(verdict.outcome == "safe" or verdict.too_small for verdict in verdicts)

    def concerned(self, names: Iterable[str]) -> list[str]:
        """Those scenarios in which a function of the answer may run.

        In all others the answer's kernel behaves as the lab's release does.
        """
        replaced = self.kernel.replacements.keys()
        return [
            name
            for name in names
            if replaced & reached(thread for _, thread in scenario_named(name).threads)
        ]


Judge = Callable[[Examination, "Check"], CheckResult]


@dataclass(frozen=True)
class Check:
    """One property that an answer must have, worth some points.

    `about` tells the learner what is demanded, and `scenarios` show it. An answer that passes the
    scenarios of all checks is judged in more: `elsewhere`, in scenarios with other numbers; in
    the one that is `made_for` it; and, if the check demands that it `breaks_nothing`, in all that
    the lab's release passes.

    The check is judged once the checks `after` which it comes hold; until then the learner is told
    what it `waits` for. The `smaller` scenarios tell the same story in fewer steps: they explain.
    """

    lab: str
    name: str
    points: int
    about: str
    judge: Judge
    scenarios: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    made_for: Callable[[Kernel], str] | None = None
    breaks_nothing: bool = False
    after: tuple[str, ...] = ()
    waits: str = ""
    smaller: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """The results of all checks, and how a correct answer differs from Linux's.

    `examination` can be asked more about the same answer.
    """

    lab: Lab
    results: tuple[CheckResult, ...]
    compared: str
    examination: Examination

    @property
    def finding(self) -> Finding:
        """The worst finding: it is COSTLY only if everything else is proved."""
        return max((result.finding for result in self.results), key=SEVERITY.index)

    @property
    def points(self) -> int:
        """Points earned."""
        return sum(result.points for result in self.results)


@dataclass(frozen=True)
class Lab:
    """A lab: the release that it starts from, the functions to write, the checks, and the hints.

    `folder` is where its data lies. The exercise hands out `functions`; an answer may replace any
    other kernel function as well. `diagnosis` names the scenarios in which wrong answers behave
    differently. `parsons` is the stage before the code: where does the line go?
    """

    folder: Path
    title: str
    release: str
    functions: tuple[str, ...]
    checks: tuple[Check, ...]
    hints: tuple[str, ...]
    bank: Bank
    diagnosis: tuple[str, ...] = ()
    parsons: Parsons | None = None
    compare: Callable[[Kernel], str] | None = None
    """Says how a kernel with a correct answer in place differs from Linux."""

    @property
    def name(self) -> str:
        """The folder's name: `lab07_fork_vs_fault`."""
        return self.folder.name

    @property
    def short_name(self) -> str:
        """What notebooks call the lab: `lab07`."""
        return self.name.partition("_")[0]

    @property
    def points(self) -> int:
        """The points of all checks."""
        return sum(check.points for check in self.checks)

    @property
    def passes(self) -> tuple[str, ...]:
        """The scenarios that the lab's release passes: an answer must not break them."""
        release = release_named(self.release)
        return tuple(
            name
            for name, scenario in {**VARIANTS, **SCENARIOS}.items()
            if scenario.expected.get(self.release) == "safe" and not scenario.lacking(release)
        )

    def kernel(self, names: Mapping[str, Any] | Answer) -> Kernel:
        """The lab's kernel with the answer's functions in place.

        Raises AnswerError for functions that cannot be placed.
        """
        answer = as_answer(names)
        return Kernel(release_named(self.release), answer.functions, again=answer.again)

    def check(
        self,
        name: str,
        names: Mapping[str, Any] | Answer,
        budget: Budget | None = None,
        progress: Progress | None = None,
    ) -> CheckResult:
        """Judge one property of an answer, or of the functions in a notebook's `globals()`.

        Raises AnswerError for a check that does not exist, for functions that cannot be placed,
        and for an answer without functions.
        """
        chosen = self.check_named(name)
        return self.examination(names, budget, progress).result(chosen)

    def check_named(self, name: str) -> Check:
        """The check of that name. Raises AnswerError, which lists them, for any other."""
        for each in self.checks:
            if each.name == name:
                return each
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
        examination = self.examination(names, budget, progress)
        results = tuple(map(examination.result, self.checks))
        right = all(result.finding in (Finding.CORRECT, Finding.COSTLY) for result in results)
        compared = self.compare(examination.kernel) if right and self.compare is not None else ""
        return Judgement(self, results, compared, examination)

    def examination(
        self,
        names: Mapping[str, Any] | Answer,
        budget: Budget | None = None,
        progress: Progress | None = None,
    ) -> Examination:
        """An answer under examination, before any check. Raises AnswerError as `check` does."""
        answer = as_answer(names)
        answer.must_replace()
        return Examination(self, self.kernel(answer), budget, progress)

    def hint(self, rung: int = 1) -> str:
        """A hint: 1 is the plan, 2 the place, 3 nearly the code."""
        if type(rung) is not int:
            raise MmlocksError(
                f"a hint has a number from 1 to {len(self.hints)}, as in hint(1), and this is "
                f"{rung!r}."
            )
        if not 1 <= rung <= len(self.hints):
            raise MmlocksError(f"{self.name} has hints 1 to {len(self.hints)}, and no hint {rung}.")
        return self.hints[rung - 1]
