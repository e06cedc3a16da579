"""Feedback on an answer in words: its bad run in the author's own lines, and what it is like."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mmlocks.labs.feedback import Counterexample, Feedback, Line, Told
from mmlocks.sentences import counted
from mmlocks.show.text import WIDTH, paragraph, sentence


def feedback_text(feedback: Feedback, width: int = WIDTH) -> str:
    """What the answer's own code did, what it behaves like, and Linux's way; or nothing."""
    parts: list[list[str]] = []
    found = feedback.counterexample
    if found is not None:
        if found.why_smaller:
            parts.append(paragraph(found.why_smaller, width))
        parts.append([*your_lines(found, width), *what_matters(found, width)])
    if feedback.likeness is not None:
        parts.append(paragraph(str(feedback.likeness), width))
    if feedback.linux:
        parts.append(paragraph(feedback.linux, width))
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def your_lines(found: Counterexample, width: int = WIDTH) -> list[str]:
    """The bad run as the author's lines, one after the other, and between them what others did."""
    if not any(step.line for step in found.steps):
        return []
    rows = [_row(list(steps), line) for line, steps in groupby(found.steps, lambda step: step.line)]
    numbers = max(len(number) for number, _, _ in rows)
    head = f"This run in your own lines ({found.scenario}, {counted(len(found.steps), 'step')})"
    star = "; * marks what matters" if any(step.matters for step in found.steps) else ""
    lines = paragraph(f"{head}{star}:", width)
    for number, mark, text in rows:
        lines += paragraph(f"  {number:>{numbers}} {mark} {text}", width, numbers + 5)
    return lines


def what_matters(found: Counterexample, width: int = WIDTH) -> list[str]:
    """Which of the author's lines matter, and which have not been reached."""
    said = [sentence(str(one)) for one in found.standing]
    if found.lines:
        which = "; ".join(line.spot for line in found.lines)
        what = "lines that matter" if len(found.lines) > 1 else "line that matters"
        said.insert(0, f"Your {what}: {which}.")
    return [line for one in said for line in paragraph(one, width)]


def _row(steps: list[Told], line: Line | None) -> tuple[str, str, str]:
    """A stretch of steps for one line: their numbers, whether they matter, and the words."""
    first, last = steps[0].number, steps[-1].number
    number = f"{first}" if first == last else f"{first}-{last}"
    mark = "*" if any(step.matters for step in steps) else " "
    cpus = ", ".join(sorted({f"cpu{step.cpu}" for step in steps}))
    if line is not None:
        return number, mark, f"{cpus}  {line}"
    return number, mark, f"{cpus}  {', '.join(_functions(steps))}"


def _functions(steps: list[Told]) -> Iterator[str]:
    """What others did meanwhile, by function."""
    names = dict.fromkeys(step.function or "the program's own stores and loads" for step in steps)
    kept = list(names)
    yield from kept[:4]
    if len(kept) > 4:
        yield f"and {counted(len(kept) - 4, 'more function')}"
