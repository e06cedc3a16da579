"""Checks that any lab can use."""

from __future__ import annotations

from collections.abc import Iterable

from mmlocks.errors import MmlocksError
from mmlocks.labs.lab import Check, CheckResult, Examination, Finding
from mmlocks.scenarios import Checked
from mmlocks.scenarios.asked import ALL
from mmlocks.sentences import counted

LIMITS = (
    "Assumed: sequentially consistent memory, at most 3 CPUs, a few pages, translations that are "
    "never evicted by themselves, at most two forks, each page in a page table of its own, and "
    "steps drawn where the kernel text has an `await`. Beyond that nothing is proved, and which "
    "locks protect which field is not judged where no rule here is broken."
)
"""What a proof here does not cover; every CORRECT says it."""


def must_be_safe(examination: Examination, check: Check) -> CheckResult:
    """Check that no interleaving breaks a rule.

    It searches the check's own scenarios, and all others once the answer looks right.
    """
    own = _judged(examination, check, check.scenarios)
    if not own.passed or not examination.looks_right():
        return own
    made = [check.made_for(examination.kernel)] if check.made_for is not None else []
    further = [*check.elsewhere, *made, *(examination.lab.passes if check.breaks_nothing else ())]
    further = [name for name in dict.fromkeys(further) if name not in check.scenarios]
    return _judged(examination, check, (*check.scenarios, *examination.concerned(further)))


def _judged(examination: Examination, check: Check, names: Iterable[str]) -> CheckResult:
    """The finding of a check in these scenarios. The first violation ends the search."""
    searched: list[Checked] = []
    small: Checked | None = None
    for name in names:
        found = examination.search(name)
        searched.append(found)
        if found.verdict.violation is not None:
            return CheckResult(check, Finding.WRONG, why_wrong(found), 0, tuple(searched))
        if found.verdict.too_small:
            small = small or found  # the scenario is to blame; another one may tell more
        elif found.verdict.outcome == "unproved":
            return CheckResult(check, Finding.UNPROVED, _why_unproved(found), 0, tuple(searched))
    if small is not None:
        return CheckResult(check, Finding.UNPROVED, _why_unproved(small), 0, tuple(searched))
    message = f"{what_was_searched(searched)} No violation. {LIMITS}"
    return CheckResult(check, Finding.CORRECT, message, check.points, tuple(searched))


def what_was_searched(searched: Iterable[Checked]) -> str:
    """One sentence on searches that came to their end."""
    verdicts = [found.verdict for found in searched]
    states = counted(sum(verdict.states for verdict in verdicts), "state")
    transitions = counted(sum(verdict.transitions for verdict in verdicts), "transition")
    scenarios = counted(len(verdicts), "scenario")
    return f"All interleavings of {scenarios} searched: {states}, {transitions}."


def why_wrong(found: Checked) -> str:
    """What the violation is, and how it came about if the scenario can tell."""
    verdict, scenario = found.verdict, found.scenario
    assert verdict.violation is not None
    oracle, message = verdict.violation
    if oracle in ("mistake", "exception"):
        return message
    explained = _explained(found)
    if not explained:  # the scenario's story is about something else
        return f"In {_story(found)}: {message.removesuffix('.')}."
    return f"{scenario.title}: {message.removesuffix('.')}. {explained} {scenario.remark}".rstrip()


def _explained(found: Checked) -> str:
    try:
        run = found.run
    except MmlocksError:  # an answer that is not deterministic cannot be replayed
        return ""
    return found.scenario.explanation(found.world, run) if run is not None else ""


def _why_unproved(found: Checked) -> str:
    if found.verdict.too_small:
        return (
            "Not proved, and the answer is not to blame: "
            f"{found.verdict.reason.replace(ALL, '')}. "
            f"{counted(found.verdict.states, 'state')} seen, nothing wrong found so far."
        )
    return (
        f"{_story(found)}: {found.verdict.coverage}. Nothing wrong was found so far, and nothing "
        "is proved."
    )


def _story(found: Checked) -> str:
    return found.scenario.name.removesuffix(ALL)
