"""What a check says of an answer: in a few lines, in plain text with the run, and as HTML."""

from __future__ import annotations

import textwrap

from mmlocks.labs import CheckResult
from mmlocks.labs.feedback import Feedback
from mmlocks.labs.lab import Finding
from mmlocks.show.feedback_text import feedback_text
from mmlocks.show.results import drawn, in_lines, with_text
from mmlocks.show.text import WIDTH, blame, timeline

SIGN = {Finding.CORRECT: "✓", Finding.COSTLY: "≈", Finding.WRONG: "✗", Finding.UNPROVED: "?"}

LONGEST = 76
"""Characters in a line of prose; longer lines are hard to read."""


def wrapped(text: str, width: int = LONGEST) -> str:
    """The text in lines of at most `width` characters. It keeps its own line breaks."""
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )


def headline(result: CheckResult) -> str:
    """The check, its finding and its points, in one line."""
    points = f"{result.points} of {result.check.points} points"
    return f"{SIGN[result.finding]} {result.check.name}: {result.finding.value}, {points}"


def short_text(result: CheckResult, told: Feedback, width: int = LONGEST) -> str:
    """All that is said without the run: what was judged, what is wanted, why, and how to go on."""
    lines = (headline(result), told.judged, f"Wanted: {result.check.about}", "", result.message)
    text = "\n".join(wrapped(line, width) for line in lines)
    more = feedback_text(told, width)
    if more:
        text += f"\n\n{more}"
    if told.counterexample is not None and told.counterexample.schedule:
        call = f'{result.lab}.replay("{told.counterexample.schedule}", globals())'
        text += f"\n\nTo step through it yourself:\n{call}"
        if told.counterexample.sliced:
            text += f"\n\nWhy it went wrong: {result.lab}.explain(...), with the same in brackets."
    return text


def result_text(result: CheckResult, told: Feedback, width: int = WIDTH) -> str:
    """The finding, and the bad run step by step."""
    explained = result.explained
    if explained is None or result.run is None or explained.run is None:
        return short_text(result, told, min(width, LONGEST))
    head = f"{headline(result)}\n{wrapped(told.judged, min(width, LONGEST))}"
    run = timeline(explained.run, explained.world, explained.scenario, explained.schedule, width)
    return f"{head}\n\n{run}"


def result_html(result: CheckResult, told: Feedback) -> str:
    """The bad run as a picture, with the text folded below it; without a run, the short text."""
    explained = result.explained
    if explained is None or result.run is None or explained.run is None:
        return in_lines(lambda width: short_text(result, told, min(width, LONGEST)))
    run, scenario = explained.run, explained.scenario
    ending = blame(run, explained.world, scenario)
    title = scenario.title if scenario.explanation(explained.world, run) else ""
    html = drawn(explained.world, run, title, ending)
    return with_text(html, lambda width: result_text(result, told, width))
