"""Why a run went wrong: in plain text, and as what notebooks show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.explain.explanation import Explanation
from mmlocks.explain.explanation import explain as searched
from mmlocks.explain.slicing import Event, Order, runs_before
from mmlocks.machine import Run, Schedule
from mmlocks.scenarios import Checked, Scenario, replay
from mmlocks.sentences import counted
from mmlocks.show.results import Shown, in_lines, wrong_argument
from mmlocks.show.text import (
    WIDTH,
    Named,
    broken,
    function_of,
    paragraph,
    replayable,
    sentence,
    verdict_text,
)

TWIN_STEPS = 8
"""So many steps of the run that ends well are told; a replay shows all of them."""


def explain(what: Checked | Run | Schedule | str, scenario: Scenario | str | None = None) -> Shown:
    """Why a checked scenario, or a run, goes wrong.

    It says which steps matter, since when it was too late, and how it could have ended well. A
    schedule, or its text, stands for the run that it describes; a `scenario` of your own must be
    given with it. Raises ModelError for a run that does not go wrong, and for anything else;
    ScheduleError for a damaged schedule text.
    """
    head = ""
    named: Named | None = None
    if isinstance(what, str) and re.match(r"\s*mml\d+:", what):
        what = Schedule.parse(what)
    if isinstance(what, Checked):
        run, named = what.run, (what.scenario, what.kernel.name)
        head = f"{what.scenario.name} on {what.kernel.name}: {what.scenario.title}"
    elif isinstance(what, Schedule):
        story, _, run = replay(what, scenario=scenario)
        named = story, what.kernel
        head = f"{what.scenario} on {what.kernel}: {story.title}"
    elif isinstance(what, Run):
        run = what
    else:
        takes = "what check(...) returned, a run, or the text of a schedule"
        raise wrong_argument("explain", what, takes, ", or explain('mml1:…')")
    if run is None:
        assert isinstance(what, Checked)
        name = f"{what.scenario.name} on {what.kernel.name}"
        if what.verdict.violation is None:
            found = " ".join(verdict_text(what.verdict, None, 10_000).partition("\n")[0].split())
            raise ModelError(f"there is nothing to explain: {name} is {found}")
        raise ModelError(
            f"{name} breaks a rule ({what.verdict.violation.oracle}), but no run that shows "
            "it is known. Check it with another strategy, or with a larger budget."
        )
    found_out = searched(run)

    def text(width: int) -> str:
        above = filter(None, [head, sentence(found_out.violation.message)])
        lines = ["\n".join(paragraph(part, width)) for part in above]
        return "\n\n".join([*lines, explanation_text(found_out, named, width)])

    return Shown(text(WIDTH), lambda: in_lines(text))


def explanation_text(found: Explanation, named: Named | None = None, width: int = WIDTH) -> str:
    """An explanation in words.

    If the scenario and the kernel are `named`, it ends with a text that replays the good run.
    """
    parts = [_what_matters(found, width), _too_late(found, width), _twin(found, named, width)]
    if found.reasons:
        why = "; ".join(found.reasons)
        said = f"Not everything was searched ({why}): what is missing above is unknown."
        parts.append(paragraph(said, width))
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts if part) + "\n"


def event_words(moment: Run, cpu: int) -> str:
    """What a CPU does in its next step, led by the function in which the step is taken."""
    after = moment.step(cpu)
    if after is moment:
        return (moment.why_blocked(cpu) or "waits").removeprefix(f"cpu{cpu} ")
    number = len(after) - 1
    function = function_of(after, number)
    return f"{function}: {broken(after.told(number))}" if function else broken(after.told(number))


CELLS = (
    (r"(child )?tlb(\d+) (P\d+)", "the \\1TLB entry of cpu\\2 for \\3"),
    (r"truth (P\d+\[\d+\])", "what was last stored in \\1"),
    (r"past (P\d+\[\d+\])", "which values \\1 has had"),
    (r"history", "the order of all stores"),
    (r"(child )?(P\d+)", "the \\1page-table entry \\2"),
    (r"(.+)\.reader(\d+)", "\\1 as cpu\\2 holds it"),
    (r"(.+)\.ranges", "what \\1 holds"),
    (r"(.+)\.(?:life|freed)", "whether \\1 is in use or freed"),
    (r"rcu\.cpu(\d+)", "whether cpu\\1 is in an RCU read section"),
    (r"rcu\.waiting", "what waits for RCU readers"),
)
"""Names for cells that only the model has; all others are fields of Linux, and words of frames."""


def cell_words(name: str) -> str:
    """A cell as a learner knows it: `tlb1 P3` is "the TLB entry of cpu1 for P3"."""
    known = ((re.fullmatch(pattern, name), words) for pattern, words in CELLS)
    return next((found.expand(words) for found, words in known if found), name)


def _what_matters(found: Explanation, width: int) -> list[str]:
    orders, run = found.slice.orders, found.run
    if orders is None:
        return ["WHAT MATTERS", *paragraph("Which steps matter was not found out.", width)]
    if not orders:
        said = (
            "No order of steps: every execution that comes to an end breaks a rule "
            f"({found.violation.oracle})."
        )
        return ["WHAT MATTERS", *paragraph(said, width)]
    background = len(run) - len(found.slice.steps)
    elsewhere = f", wherever the other {counted(background, 'step')} fall" if background else ""
    lines = [f"WHAT MATTERS: {len(found.slice.steps)} of {counted(len(run), 'step')}"]
    moments = runs_before(run)
    number = {event: place for place, event in enumerate(moments, 1) if place <= len(run)}
    for place, order in enumerate(orders, 1):
        both = f" Both touch {_listed(tuple(map(cell_words, order.cells)))}." if order.cells else ""
        first, then = _called(order.first, number), _called(order.then, number).lower()
        lines += paragraph(f"{place:>2}  {first} comes before {then}.{both}", width, 4)
        for event in order[:2]:
            lead = f"{number[event]:>6}" if event in number else " later"
            lines += paragraph(
                f"    {lead}  cpu{event.cpu}  {event_words(moments[event], event.cpu)}", width, 18
            )
    these = "this order" if len(orders) == 1 else "these orders"
    lines += paragraph(
        f"Every execution that keeps {these} breaks a rule ({found.violation.oracle}){elsewhere}. "
        "Fewer of this run's orders do not bring it about.",
        width,
    )
    if not found.slice.settled:
        lines += paragraph(
            "Perhaps some of them could be weakened: the search stopped before that was known.",
            width,
        )
    return lines


def _too_late(found: Explanation, width: int) -> list[str]:
    back, run = found.no_return, found.run
    if back.step is None:
        said = f"At the latest after step {back.at_most}; whether earlier is unknown."
        return ["TOO LATE", *paragraph(said, width)]
    if back.step == 0:
        said = "No execution of this program ends well."
        return ["TOO LATE: from the start", *paragraph(said, width)]
    until = f"Until step {back.step - 1} is done" if back.step > 1 else "Before the first step"
    said = (
        f"{until}, something still ends well. After step {back.step} nothing does, whichever CPU "
        "goes first."
    )
    step = _told(run, back.step - 1, width)
    return [f"TOO LATE: from step {back.step} on", *step, *paragraph(said, width)]


def _twin(found: Explanation, named: Named | None, width: int) -> list[str]:
    twin, run = found.twin, found.run
    if twin is None:
        return []
    common, good = twin.common, twin.run
    head = "THE CLOSEST RUN THAT ENDS WELL" if twin.closest else "A RUN THAT ENDS WELL"
    same = f"The same up to step {common}. Then" if common else "Different from the first step:"
    lines = [
        head,
        *paragraph(f"{same} cpu{good.cpus[common]} goes first, not cpu{run.cpus[common]}:", width),
    ]
    shown = range(common, min(len(good), common + TWIN_STEPS))
    for step in shown:
        lines += _told(good, step, width)
    left = len(good) - shown.stop
    if left:
        lines.append(f"        and {counted(left, 'step')} more, to the end")
    numbers = [
        place for place, order in enumerate(found.slice.orders or (), 1) if order in found.turned
    ]
    if numbers:
        which = _listed(tuple(map(str, numbers)))
        said = f"So order {which} of those that matter is turned around, and nothing is wrong."
        lines += paragraph(said, width)
    if named is not None:
        lines.append(f"replay: {replayable(named, good.cpus)}")
    return lines


def _told(run: Run, step: int, width: int) -> Iterator[str]:
    cpu = run.cpus[step]
    yield from paragraph(
        f"    {step + 1:>6}  cpu{cpu}  {event_words(run.at(step), cpu)}", width, 18
    )


def _called(event: Event, number: dict[Event, int]) -> str:
    return f"Step {number[event]}" if event in number else f"what cpu{event.cpu} has not come to"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def order_json(order: Order, found: Explanation) -> dict[str, Any]:
    """An order for programs. `step` is null for a step that the run has not come to."""
    moments = runs_before(found.run)
    number = {event: place for place, event in enumerate(moments, 1) if place <= len(found.run)}
    told = [
        {
            "cpu": event.cpu,
            "nth": event.nth,
            "step": number.get(event),
            "does": event_words(moments[event], event.cpu),
        }
        for event in order[:2]
    ]
    return {"first": told[0], "then": told[1], "cells": list(order.cells)}
