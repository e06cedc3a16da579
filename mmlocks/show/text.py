"""A run and a verdict in plain text: for terminals, for notebooks, and instead of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from mmlocks.machine import Run, Schedule
from mmlocks.mm.world import World
from mmlocks.oracles import looks_afterwards
from mmlocks.scenarios import Checked, Scenario, replay_text
from mmlocks.search import Verdict
from mmlocks.sentences import counted
from mmlocks.show.scene import scene

WIDTH = 100


Named = tuple[Scenario, str]
"""A scenario, and the name of the kernel that it ran on."""

LONG = 260
"""A broken rule with a longer message is shortened in the timeline: all of it stands below."""


HELPERS = frozenset({"fields_of"})
"""Functions that Linux does not have: the name of their caller says more."""


NARROWEST_COLUMN = 20
"""If the columns of CPUs were narrower, the timeline becomes one list."""


def replayable(named: Named, cpus: Iterable[int]) -> str:
    """The text that replays a run of this scenario on this kernel."""
    scenario, kernel = named
    return replay_text(Schedule(scenario.name, kernel, tuple(cpus)), scenario)


def timeline(
    run: Run,
    world: World,
    scenario: Scenario | None = None,
    schedule: Schedule | None = None,
    width: int = WIDTH,
) -> str:
    """What every CPU did, step by step, in a column for each.

    Below stands what it came to, and the text that replays it.
    """
    run = run.joined()
    number = max(4, len(str(len(run))) + 1)
    column = (width - number) // len(run.machine.cpus) - 2
    heads = [f"cpu{task.cpu}: {task.name}" for task in run.machine.tasks]
    if column < NARROWEST_COLUMN:
        lines = [*paragraph("; ".join(heads), width), ""]
        for step in range(len(run)):
            lead = f"{step + 1:>{number - 1}} cpu{run.cpus[step]}  "
            lines += _wrapped(_step_text(run, step), width, lead, " " * len(lead))
    else:
        lines = [*_row("", heads, number, column), "-" * width]
        for step in range(len(run)):
            texts = [
                _step_text(run, step) if cpu == run.cpus[step] else "" for cpu in run.machine.cpus
            ]
            lines += _row(str(step + 1), texts, number, column)
        lines.append("-" * width)
    lines += paragraph(blame(run, world, scenario), width)
    if schedule is not None:
        lines += ["", f"replay: {replay_text(schedule, scenario)}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def blame(run: Run, world: World, scenario: Scenario | None = None) -> str:
    """What went wrong; or what happened last, which CPUs cannot run, and why. Always one line."""
    violation = run.violation
    if violation is not None:
        explained = scenario.explanation(world, run) if scenario is not None else ""
        return " ".join(part for part in (sentence(violation.message), explained) if part)
    last = (
        f"Step {len(run)}, cpu{run.cpus[-1]}: {run.told(len(run) - 1)}"
        if len(run)
        else "Nothing has happened yet"
    )
    waiting = [cpu.why for cpu in scene(world, run).cpus if cpu.status == "blocked"]
    if run.machine.finished(run.state):
        waiting = ["All CPUs are done, and nothing is wrong"]
    return " ".join(sentence(part) for part in (last, *waiting))


def verdict_text(verdict: Verdict, scenario: Scenario | None = None, width: int = WIDTH) -> str:
    """The outcome in words: what was searched, and what was not."""
    lines = [line for part in _verdict(verdict, scenario) for line in paragraph(part, width)]
    return "\n".join(lines) + "\n"


def checked_text(checked: Checked, width: int = WIDTH) -> str:
    """All about a check: the scenario, the verdict and, after a violation, the bad run."""
    scenario = checked.scenario
    parts = [
        *paragraph(f"{scenario.name} on {checked.kernel.name}: {scenario.title}", width),
        verdict_text(checked.verdict, scenario, width),
    ]
    if checked.run is not None:
        parts.append(timeline(checked.run, checked.world, scenario, checked.schedule, width))
    return "\n".join(parts)


def broken(message: str) -> str:
    """Which rule was broken, for a place with little room: the whole message follows below it."""
    return message if len(message) <= LONG else f"{re.split(': |; ', message)[0]} (see below)"


def clauses(message: str) -> list[str]:
    """The parts of a long message: which rule was broken, and then each clause."""
    if len(message) <= LONG:
        return [message]
    head, _, rest = message.partition(": ")
    return [f"{head}:", *re.split(r"(?<=;) |(?<=\.) (?=[A-Z])", rest)]


def function_of(run: Run, step: int) -> str:
    """The kernel function in which a step was taken; "" for the program's own instructions.

    In a helper that Linux does not have, it is the function that called the helper.
    """
    where = run.machine.node(run.states[step], run.cpus[step]).answer.where
    if not where or where[-1].file.replace("\\", "/").endswith("mmlocks/mm/user.py"):
        return ""
    named = (place.function for place in reversed(where[1:]))
    return next((name for name in named if not name.startswith("_") and name not in HELPERS), "")


def _step_text(run: Run, step: int) -> str:
    """A step's text, led by its function if this CPU's last step was in another one."""
    function = function_of(run, step)
    earlier = [other for other in range(step) if run.cpus[other] == run.cpus[step]]
    told = run.told(step)
    if run.taken[step].violation is not None:
        told = broken(told)
    if not function or (earlier and function_of(run, earlier[-1]) == function):
        return told
    return f"{function}: {told}"


def _row(number: str, texts: Sequence[str], room: int, column: int) -> Iterator[str]:
    cells = [_wrapped(text, column) for text in texts]
    for line in range(max(map(len, cells))):
        lead = number.rjust(room - 1) if line == 0 else " " * (room - 1)
        yield lead + "".join(
            f"  {cell[line] if line < len(cell) else '':<{column}}" for cell in cells
        )


def _verdict(verdict: Verdict, scenario: Scenario | None) -> Iterator[str]:
    if verdict.outcome == "safe":
        yield f"SAFE: {verdict.coverage}; {_endings(verdict.endings)}."
        yield _limits(scenario)
    elif verdict.outcome == "violated":
        name = verdict.violation.oracle if verdict.violation is not None else "a rule"
        yield f"VIOLATED ({name}): {verdict.coverage}."
        if scenario.about_all_runs(name) if scenario else looks_afterwards(name):
            yield (
                "The rule is about all runs together: this one does not end badly, "
                "and is one part of what breaks it."
            )
        if verdict.minimal and verdict.schedule is not None:
            steps = counted(len(verdict.schedule), "step")
            yield f"No shorter way to go wrong exists: {steps}, with the fewest interruptions."
        if verdict.schedule is None and verdict.violation is not None:
            yield sentence(verdict.violation.message)
    elif verdict.reason:
        yield f"UNPROVED: {verdict.coverage}. No violation so far proves nothing."
        yield _limits(scenario)
    else:
        seen = _endings(verdict.endings)
        yield f"UNPROVED: {verdict.coverage}. Seen: {seen}. Of the rest nothing is known."
        yield _limits(scenario)


def _endings(count: int) -> str:
    return (
        "one final state, which is not bad"
        if count == 1
        else f"{count:,} final states, none of them bad"
    )


def _limits(scenario: Scenario | None) -> str:
    what = (
        "this scenario"
        if scenario is None
        else f"the scenario {scenario.name} with its {scenario.cpus} CPUs"
    )
    return (
        f"Searched: {what}. Not searched: other programs, more CPUs or pages, memory that "
        "reorders loads and stores (here it is sequentially consistent), "
        "and steps finer than the ones shown."
    )


def sentence(text: str) -> str:
    """The text with a full stop, if it has none."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def paragraph(text: str, width: int, indent: int = 0) -> list[str]:
    """The text in lines of at most `width`. Lines after the first are indented at least as far."""
    lead = len(text) - len(text.lstrip())
    return _wrapped(text.strip(), width, " " * lead, " " * max(indent, lead)) or [""]


def _wrapped(text: str, width: int, first: str = "", then: str = "") -> list[str]:
    """Lines of at most `width`; `F0 ro`, `-> F0` and `[0x3000, 0x4000)` are not broken."""
    kept = re.sub(r"\b(F\d+) (r[ow]) -> (F\d+) (r[ow])\b", "\\1\0\\2\0->\0\\3\0\\4", text)
    kept = re.sub(r"\b(F\d+) (r[ow])\b", "\\1\0\\2", kept)
    kept = re.sub(r"(\[0x[0-9a-f]+,) (0x[0-9a-f]+\))", "\\1\0\\2", kept).replace("-> ", "->\0")
    lines = wrap(kept, width, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]
