"""Kernel functions' own text as answers: what a learner has who pastes a function into a cell and changes nothing.

`python -m tests.mm.pasted` judges every function's text on every release by every scenario that calls it, and prints what comes out otherwise than for the
release itself. That takes an hour; test_pasted.py judges a part of it.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from types import FrameType
from typing import Any, NamedTuple

from mmlocks.mm.kernel import Kernel
from mmlocks.mm.source import release_code
from mmlocks.mm.stubs import kernel_functions, kernel_text
from mmlocks.releases import RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.search import Verdict
from tests.scenarios.stories import STORIES

CODES = {function.__code__: name for name, function in kernel_text().items()}


ALL = {**SCENARIOS, **STORIES}
"""What texts are judged by."""


class Own(NamedTuple):
    """What a release's own kernel comes to in a scenario, the kernel functions that were called on the way, and how much there was to search."""

    outcome: str
    called: frozenset[str]
    states: int


class Paste(NamedTuple):
    """The text of a kernel function in a release, judged by a scenario that calls it."""

    function: str
    release: str
    scenario: str


def said(verdict: Verdict) -> str:
    """The outcome, or the oracle that speaks."""
    return verdict.violation.oracle if verdict.violation is not None else verdict.outcome


@cache
def own(scenario: str, release: str) -> Own:
    """What the release itself comes to."""
    called: set[str] = set()

    def look(frame: FrameType, event: str, arg: Any) -> None:
        name = CODES.get(frame.f_code)
        if name is not None:
            called.add(name)

    before = sys.gettrace()
    gc.disable()  # to close what an earlier search left behind looks like a call
    sys.settrace(look)
    try:
        verdict = check(ALL[scenario], release).verdict
    finally:
        sys.settrace(before)
        gc.enable()
    return Own(said(verdict), frozenset(called), verdict.states)


@cache
def replaced(function: str) -> tuple[str, ...]:
    """The functions that an answer replaces which brings this text along: itself, or those that call it if nobody can replace it."""
    found: dict[str, None] = {}
    met = [function]
    for name in met:
        if name in kernel_functions():
            found[name] = None
        else:
            callers = [
                call for call, text in kernel_text().items() if name in text.__code__.co_names
            ]
            met += [caller for caller in callers if caller not in met]
    return tuple(found)


def pasted(function: str, release: str) -> dict[str, Callable[..., Any]]:
    """An answer that brings the text of a function along: a namespace as a notebook has it, in which the text was run."""
    names: dict[str, Any] = {}
    exec("from mmlocks.mm import *", names)
    for name in dict.fromkeys((function, *replaced(function))):
        exec(compile(release_code(name, release), f"<{name} of {release}>", "exec"), names)
    return {name: names[name] for name in replaced(function)}


def judged(paste: Paste) -> Verdict:
    """What comes out for it."""
    answer = Kernel(release_named(paste.release), pasted(paste.function, paste.release))
    return check(ALL[paste.scenario], answer).verdict


def different_releases() -> Iterator[str]:
    """One release of each set of patches."""
    yield from {release.patches: name for name, release in reversed(RELEASES.items())}.values()


def every_paste() -> Iterator[Paste]:
    """All functions that a scenario calls, in all scenarios, on all releases that differ; the smallest searches first."""
    for scenario in sorted(ALL, key=lambda name: own(name, "6.4.3").states):
        for release in different_releases():
            if not ALL[scenario].lacking(RELEASES[release]):
                for function in sorted(own(scenario, release).called):
                    if replaced(function):
                        yield Paste(function, release, scenario)


def main() -> None:
    """Judge all of them, and say what comes out otherwise."""
    began, done, other = time.monotonic(), 0, 0
    for paste in every_paste():
        verdict, wanted = judged(paste), own(paste.scenario, paste.release).outcome
        done += 1
        if said(verdict) != wanted:
            other += 1
            print(
                f"{paste.function} of {paste.release} in {paste.scenario}: {said(verdict)}, not {wanted}: {verdict.violation or verdict.reason}",
                flush=True,
            )
        if done % 100 == 0:
            print(
                f"{done} judged, {other} otherwise, {time.monotonic() - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    print(f"{done} judged, {other} otherwise, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
