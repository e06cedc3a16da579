"""Why a run went wrong, and all that a program can come to: in plain text, and as what notebooks show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.explain.endings import Ending, Endings, endings
from mmlocks.explain.explanation import Explanation
from mmlocks.explain.explanation import explain as searched
from mmlocks.explain.slicing import Event, Order, runs_before
from mmlocks.machine import Run, Schedule
from mmlocks.mm.mm_types import Mm
from mmlocks.mm.world import World
from mmlocks.scenarios import Checked, Scenario, replay, replay_text
from mmlocks.sentences import counted
from mmlocks.show.results import CALL, Shown, in_lines, not_but
from mmlocks.show.text import WIDTH, broken, function_of, paragraph, sentence, verdict_text

Named = tuple[Scenario, str]
"""A scenario, and the name of the kernel that it ran on."""
TWIN_STEPS = 8
"""So many steps of the run that ends well are told from where the two part; whoever wants all of them replays it."""


def explain(what: Checked | Run | Schedule | str, scenario: Scenario | str | None = None) -> Shown:
    """Why a checked scenario, or a run, goes wrong: which steps matter, since when it was too late, and how it could have ended well.

    A schedule, or its text, stands for the run that it describes; a `scenario` of your own must be given with it. Raises ModelError for what did not go wrong, and for anything else;
    ScheduleError for the text of a schedule that is damaged.
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
        raise ModelError(
            f"explain takes what check(...) returned, a run, or the text of a schedule: {CALL.format('explain')}, or "
            f"explain('mml1:…'). {not_but(what)}"
        )
    if run is None:
        assert isinstance(what, Checked)
        if what.verdict.violation is None:
            found = " ".join(verdict_text(what.verdict, None, 10_000).partition("\n")[0].split())
            raise ModelError(
                f"there is nothing to explain: {what.scenario.name} on {what.kernel.name} is {found}"
            )
        raise ModelError(
            f"{what.scenario.name} on {what.kernel.name} breaks a rule ({what.verdict.violation.oracle}), but no run that shows "
            "it is known. Check it with another strategy, or with a larger budget."
        )
    found_out = searched(run)

    def text(width: int) -> str:
        above = (
            [head, sentence(found_out.violation.message)]
            if head
            else [sentence(found_out.violation.message)]
        )
        lines = ["\n".join(paragraph(part, width)) for part in above]
        return "\n\n".join([*lines, explanation_text(found_out, named, width)])

    return Shown(text(WIDTH), lambda: in_lines(text))


def show_endings(checked: Checked) -> Shown:
    """All that a checked scenario can come to, and in how many ways. Raises ModelError for anything else."""
    if not isinstance(checked, Checked):
        raise ModelError(
            f"show_endings takes what check(...) returned: {CALL.format('show_endings')}. {not_but(checked)}"
        )
    found = endings(checked.machine, what_is_read(checked.world))
    named = checked.scenario, checked.kernel.name
    head = f"{checked.scenario.name} on {checked.kernel.name}: {checked.scenario.title}"

    def text(width: int) -> str:
        return "\n".join([*paragraph(head, width), "", endings_text(found, named, width)])

    return Shown(text(WIDTH), lambda: in_lines(text))


def explanation_text(found: Explanation, named: Named | None = None, width: int = WIDTH) -> str:
    """An explanation in words. Where the program's scenario and kernel are `named`, the run that ends well can be replayed."""
    parts = [_what_matters(found, width), _too_late(found, width), _twin(found, named, width)]
    if found.reasons:
        said = f"Not everything was searched ({'; '.join(found.reasons)}): what is missing above is unknown."
        parts.append(paragraph(said, width))
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts if part) + "\n"


def what_is_read(world: World) -> Callable[[int], tuple[tuple[str, str], ...]]:
    """What matters of a final state of a world: what the page tables of the process and of its child lead to, page by page."""

    def content(mm: Mm, state: int, page: int) -> str:
        if mm.page_table.pte[page].of(state) is None:
            return "nothing"
        return " ".join(map(str, world.content(mm, state, page)))

    def read(state: int) -> tuple[tuple[str, str], ...]:
        spaces = [("", world.mm), *([("child ", world.child)] if world.forks else [])]
        return tuple(
            (f"{whose}P{page}", content(mm, state, page))
            for whose, mm in spaces
            for page in world.pages
        )

    return read


def what_cells_hold(
    world: World, patterns: Sequence[str]
) -> Callable[[int], tuple[tuple[str, str], ...]]:
    """What matters of a final state: the cells whose names match a pattern such as `F0*`. Raises ModelError if a pattern matches none."""
    for pattern in patterns:
        if not any(fnmatchcase(cell.name, pattern) for cell in world.layout.cells):
            raise ModelError(
                f"no cell is called {pattern!r}. In a pattern * stands for anything; cells are called, for example, "
                f"{', '.join(cell.name for cell in world.layout.cells[:4])}."
            )
    cells = [
        cell
        for cell in world.layout.cells
        if any(fnmatchcase(cell.name, pattern) for pattern in patterns)
    ]
    return lambda state: tuple((cell.name, cell.text(cell.of(state))) for cell in cells)


def endings_text(found: Endings, named: Named, width: int = WIDTH) -> str:
    """Every ending: what it is, how often it comes about, and how."""
    if found.reason:
        said = f"UNPROVED: stopped early ({found.reason}) after {found.states:,} states. Which endings there are is unknown."
        return "\n".join(paragraph(said, width)) + "\n"
    lines = paragraph(
        f"{counted(len(found.endings), 'ending')}, {_schedules(found.schedules)}, {found.states:,} states. "
        "Each is shown by the way there with the fewest interruptions.",
        width,
    )
    for number, ending in enumerate(found.endings, 1):
        lines += ["", *paragraph(f"{number:>2}  {ending_words(ending)}", width, 4)]
        share = ""
        if ending.schedules and found.schedules:
            share = f", {_share(ending.schedules, found.schedules)}"
        lines += paragraph(
            f"    {_schedules(ending.schedules)}{share}; {counted(ending.states, 'state')}",
            width,
            4,
        )
        lines.append(f"    replay: {_replayed(named, ending.schedule)}")
    return "\n".join(lines) + "\n"


def ending_words(ending: Ending) -> str:
    """What an ending is, in words."""
    if ending.violation is not None:
        return f"VIOLATED ({ending.violation.oracle}): {sentence(ending.violation.message)}"
    return "; ".join(f"{name}: {value}" for name, value in ending.value) or "the only good ending"


def event_words(moment: Run, cpu: int) -> str:
    """What a CPU does in its next step, led by the function in which it does so."""
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
"""How cells are called that have a name only inside of the model; all others are fields of Linux, and words of frames."""


def cell_words(name: str) -> str:
    """A cell as a learner knows it: `tlb1 P3` is "the TLB entry of cpu1 for P3"."""
    known = ((re.fullmatch(pattern, name), words) for pattern, words in CELLS)
    return next((found.expand(words) for found, words in known if found), name)


# -- the parts of an explanation --------------------------------------------------------------------------------------


def _what_matters(found: Explanation, width: int) -> list[str]:
    orders, run = found.slice.orders, found.run
    if orders is None:
        return ["WHAT MATTERS", *paragraph("Which steps matter was not found out.", width)]
    if not orders:
        said = f"No order of steps: every execution that comes to an end breaks a rule ({found.violation.oracle})."
        return ["WHAT MATTERS", *paragraph(said, width)]
    background = len(run) - len(found.slice.steps)
    elsewhere = f", wherever the other {counted(background, 'step')} fall" if background else ""
    lines = [f"WHAT MATTERS: {len(found.slice.steps)} of {counted(len(run), 'step')}"]
    moments = runs_before(run)
    number = {event: place for place, event in enumerate(moments, 1) if place <= len(run)}
    for place, order in enumerate(orders, 1):
        both = f" Both touch {_listed(tuple(map(cell_words, order.cells)))}." if order.cells else ""
        lines += paragraph(
            f"{place:>2}  {_called(order.first, number)} comes before {_called(order.then, number).lower()}.{both}",
            width,
            4,
        )
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
        return [
            "TOO LATE",
            *paragraph(
                f"At the latest after step {back.at_most}; whether earlier is unknown.", width
            ),
        ]
    if back.step == 0:
        return [
            "TOO LATE: from the start",
            *paragraph("No execution of this program ends well.", width),
        ]
    until = f"Until step {back.step - 1} is done" if back.step > 1 else "Before the first step"
    lines = [f"TOO LATE: from step {back.step} on", *_told(run, back.step - 1, width)]
    return [
        *lines,
        *paragraph(
            f"{until}, something still ends well. After step {back.step} nothing does, whoever goes first.",
            width,
        ),
    ]


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
        lines += paragraph(
            f"So order {_listed(tuple(map(str, numbers)))} of those that matter is turned around, and nothing is wrong.",
            width,
        )
    if named is not None:
        lines.append(f"replay: {_replayed(named, good.cpus)}")
    return lines


def _replayed(named: Named, cpus: Iterable[int]) -> str:
    scenario, kernel = named
    return replay_text(Schedule(scenario.name, kernel, tuple(cpus)), scenario)


def _told(run: Run, step: int, width: int) -> Iterator[str]:
    cpu = run.cpus[step]
    yield from paragraph(
        f"    {step + 1:>6}  cpu{cpu}  {event_words(run.at(step), cpu)}", width, 18
    )


def _called(event: Event, number: dict[Event, int]) -> str:
    return f"Step {number[event]}" if event in number else f"what cpu{event.cpu} has not come to"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _schedules(number: int | None) -> str:
    return (
        "infinitely many schedules"
        if number is None
        else counted(number, "schedule")
        if number
        else "no schedule ever completes it"
    )


def _share(part: int, whole: int) -> str:
    """What part of the whole that is: never rounded to all of it, nor to none."""
    left = whole - part
    if not left:
        return "all of them"
    if 100 * left < whole:
        return f"all but {left:,} of them"
    percent = round(100 * part / whole)
    return f"{percent} % of them" if percent else f"one in {round(whole / part):,}"


def order_json(order: Order, found: Explanation) -> dict[str, Any]:
    """An order for programs. `step` is null for what the run has not come to."""
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
