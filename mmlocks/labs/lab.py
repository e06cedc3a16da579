"""What a lab is, and how an answer is judged.

What counts is what the answer does in every interleaving, never how it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs.answer import Answer, as_answer
from mmlocks.labs.bank import Fix, read_bank
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
    is the execution that shows what is wrong, if there is one.
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
        return next(
            (checked for checked in self.searched if checked.verdict.violation is not None), None
        )

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
        self._searched: dict[str, Checked] = {}

    def search(self, name: str) -> Checked:
        """The search of a scenario, as it is put to answers, under the answer's kernel."""
        if name not in self._searched:
            scenario = asked(scenario_named(name))
            wrong = any(found.verdict.violation is not None for found in self._searched.values())
            self._searched[name] = check(
                scenario, self.kernel, self.budget, self.progress, suspect=wrong
            )
        return self._searched[name]

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


@dataclass(frozen=True)
class Judgement:
    """The results of all checks, and how a correct answer differs from Linux's."""

    lab: Lab
    results: tuple[CheckResult, ...]
    compared: str = ""

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

    The exercise hands out `functions`; an answer may replace any other kernel function as well.
    """

    name: str
    title: str
    release: str
    functions: tuple[str, ...]
    checks: tuple[Check, ...]
    hints: tuple[str, ...]
    compare: Callable[[Kernel], str]
    """Says how a kernel with a correct answer in place differs from Linux."""

    @property
    def points(self) -> int:
        """The points of all checks."""
        return sum(check.points for check in self.checks)

    @property
    def known_fixes(self) -> dict[str, Fix]:
        """What people wrote in this lab, by name: what it does, and which checks reject it."""
        return read_bank(Path(__file__).parent / self.name / "bank.toml")

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
                f"a hint has a number from 1 to {len(self.hints)}, as in hint(1), and this is "
                f"{rung!r}."
            )
        if not 1 <= rung <= len(self.hints):
            raise MmlocksError(f"{self.name} has hints 1 to {len(self.hints)}, and no hint {rung}.")
        return self.hints[rung - 1]
