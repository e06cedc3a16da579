"""A run and its moments in plain text: for terminals, for `text/plain` in notebooks, and for readers who do not see pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap

from mmlocks.machine import Run, Schedule
from mmlocks.mm.world import World
from mmlocks.oracles import looks_afterwards
from mmlocks.scenarios import Checked, Scenario, replay_text
from mmlocks.search import Verdict
from mmlocks.sentences import counted
from mmlocks.show.scene import Area, Cpu, Entry, Node, Page, Scene, Space, Tree, scene

WIDTH = 100
LONG = 260
"""More characters than these a cell of the timeline does not take from a broken rule: the whole sentence follows below."""
HELPERS = frozenset({"fields_of"})
"""Functions of ours, which Linux does not have: where they are called says more."""
NARROWEST_COLUMN = 20
"""Below this a column per CPU is unreadable, and the timeline becomes one list."""


def timeline(
    run: Run,
    world: World,
    scenario: Scenario | None = None,
    schedule: Schedule | None = None,
    width: int = WIDTH,
) -> str:
    """What every CPU did, step by step: a column for each, then what it came to, and the text that replays it."""
    run = run.joined()
    number = max(4, len(str(len(run))) + 1)
    column = (width - number) // len(run.machine.cpus) - 2
    heads = [f"cpu{task.cpu}: {task.name}" for task in run.machine.tasks]
    if column < NARROWEST_COLUMN:
        lines = [*paragraph("; ".join(heads), width), ""]
        for step in range(len(run)):
            lead = f"{step + 1:>{number - 1}} cpu{run.cpus[step]}  "
            lines += _wrapped(_cell(run, step), width, lead, " " * len(lead))
    else:
        lines = [*_row("", heads, number, column), "-" * width]
        for step in range(len(run)):
            texts = [_cell(run, step) if cpu == run.cpus[step] else "" for cpu in run.machine.cpus]
            lines += _row(str(step + 1), texts, number, column)
        lines.append("-" * width)
    lines += paragraph(blame(run, world, scenario), width)
    if schedule is not None:
        lines += ["", f"replay: {replay_text(schedule, scenario)}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def blame(run: Run, world: World, scenario: Scenario | None = None) -> str:
    """What happened last, who cannot run and why, or what went wrong: always one line."""
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


def state_text(world: World, run: Run, at: int | None = None, width: int = WIDTH) -> str:
    """Everything that there is after `at` steps: CPUs, TLBs, VMAs with their locks, page tables, the tree where it may change, frames."""
    return scene_text(scene(world, run, at), run, width)


def scene_text(now: Scene, run: Run, width: int = WIDTH) -> str:
    """The same, of a scene that is there already."""
    lines = paragraph(moment(run, now.at), width)
    for cpu in now.cpus:
        lines += paragraph(f"cpu{cpu.number}  {_doing(cpu)}", width, indent=6)
        for cached in cpu.tlb:
            lines.append(
                f"      TLB  P{cached.page} -> {cached.entry}{'  STALE' if cached.stale else ''}"
            )
    for space in (now.parent, now.child):
        lines += [line for text in _space(space) for line in paragraph(text, width, indent=9)]
    if now.tree is not None:
        lines += [line for text in _tree(now.tree) for line in paragraph(text, width, indent=9)]
    for file in now.files:
        found = ", ".join(file.mapped) or "no VMA"
        held = _lock(str(file.lock), file.lock.writer)
        lines += paragraph(
            f"file {file.name}  i_mmap_rwsem: {held}; i_mmap: {found}", width, indent=9
        )
    for frame in now.frames:
        if frame.count:
            lines += paragraph(_frame(frame), width, indent=4)
    free = [frame.name for frame in now.frames if not frame.count]
    if free:
        lines += paragraph(f"free frames: {', '.join(free)}", width)
    return "\n".join(lines) + "\n"


def verdict_text(verdict: Verdict, scenario: Scenario | None = None, width: int = WIDTH) -> str:
    """The outcome in words: what was searched, and what was not."""
    return (
        "\n".join(line for part in _verdict(verdict, scenario) for line in paragraph(part, width))
        + "\n"
    )


def checked_text(checked: Checked, width: int = WIDTH) -> str:
    """All about a check: the scenario, the verdict and, after a violation, the timeline of the shortest bad run."""
    scenario = checked.scenario
    parts = [
        *paragraph(f"{scenario.name} on {checked.kernel.name}: {scenario.title}", width),
        verdict_text(checked.verdict, scenario, width),
    ]
    if checked.run is not None:
        parts.append(timeline(checked.run, checked.world, scenario, checked.schedule, width))
    return "\n".join(parts)


def moment(run: Run, at: int) -> str:
    """Which moment of a run is shown, in a few words."""
    if at and run.taken[at - 1].violation is not None:
        return f"At step {at} of {len(run)}, which breaks a rule: the state just before it"
    return f"After step {at} of {len(run)}" if at else "Before the first step"


def broken(message: str) -> str:
    """Which rule was broken, where the whole of it follows below and there is little room."""
    return message if len(message) <= LONG else f"{re.split(': |; ', message)[0]} (see below)"


def parts_of(message: str) -> list[str]:
    """A long message in lines of its own: which rule was broken, and then each clause."""
    if len(message) <= LONG:
        return [message]
    head, _, rest = message.partition(": ")
    return [f"{head}:", *re.split(r"(?<=;) |(?<=\.) (?=[A-Z])", rest)]


def function_of(run: Run, step: int) -> str:
    """The kernel function in which a step was taken; "" for the program's own instructions.

    Where that is a helper of ours it is the function that called it: one that can be looked up in Linux.
    """
    where = run.machine.node(run.states[step], run.cpus[step]).answer.where
    if not where or where[-1].file.replace("\\", "/").endswith("mmlocks/mm/user.py"):
        return ""
    named = (place.function for place in reversed(where[1:]))
    return next((name for name in named if not name.startswith("_") and name not in HELPERS), "")


# -- timeline ---------------------------------------------------------------------------------------------------------


def _cell(run: Run, step: int) -> str:
    """A step's text, led by the function it was taken in where that is another one than at this CPU's last step."""
    function = function_of(run, step)
    before = next(
        (other for other in reversed(range(step)) if run.cpus[other] == run.cpus[step]), None
    )
    told = run.told(step)
    if run.taken[step].violation is not None:
        told = broken(told)
    if not function or (before is not None and function_of(run, before) == function):
        return told
    return f"{function}: {told}"


def _row(number: str, texts: Sequence[str], room: int, column: int) -> Iterator[str]:
    cells = [_wrapped(text, column) for text in texts]
    for line in range(max(map(len, cells))):
        lead = number.rjust(room - 1) if line == 0 else " " * (room - 1)
        yield lead + "".join(
            f"  {cell[line] if line < len(cell) else '':<{column}}" for cell in cells
        )


# -- one state --------------------------------------------------------------------------------------------------------


def _doing(cpu: Cpu) -> str:
    if cpu.status == "done":
        return f"{cpu.task}: done"
    place = cpu.where[-1] if cpu.where else None
    at = f" in {place.function} ({place.spot})" if place is not None else ""
    holds = f"; holds {', '.join(cpu.holds)}" if cpu.holds else ""
    rcu = "; in an RCU read section" if cpu.in_rcu else ""
    status = {"blocked": "blocked", "stopped": "stopped"}.get(cpu.status, "can run")
    why = f": {cpu.why}" if cpu.why else ""
    return f"{cpu.task}: {status}{at}{why}{holds}{rcu}"


def _space(space: Space) -> Iterator[str]:
    if not space.areas and not space.loose:
        return
    yield (
        f"{space.name}  mmap_lock: {_lock(str(space.lock), space.lock.writer)}; mm_lock_seq {space.seq}"
        + ("" if space.page_table_lock.free else f"; page_table_lock: {space.page_table_lock}")
    )
    for area in space.areas:
        yield f"   {_area(area) if area.fate != 'freed' else _gone(area)}"
        for entry in area.pages:
            yield f"      {_entry(entry)}"
    for entry in space.loose:
        yield f"   in no VMA: {_entry(entry)}"


def _area(area: Area) -> str:
    seq = f"vm_lock_seq {area.seq}" + (", so write-locked" if area.write_locked else "")
    further = f"; vm_pgoff {area.pgoff}; {area.filing}" if area.filing else ""
    further += "; detached" if area.detached else ""
    further += f"; {area.fate}" if area.fate else ""
    further += f", {_later(area.awaited)}" if area.awaited else ""
    return f"VMA {area.name} [{area.start:#x}, {area.end:#x})  vm_lock: {_lock(str(area.lock), area.lock.writer)}; {seq}{further}"


def _gone(area: Area) -> str:
    return f"VMA {area.name}  FREED; {_users(area.users)}"


def _users(cpus: tuple[int, ...]) -> str:
    return " and ".join(f"cpu{cpu}" for cpu in cpus) + (
        " uses it next" if len(cpus) == 1 else " use it next"
    )


def _later(cpus: tuple[int, ...]) -> str:
    return f"freed when {' and '.join(f'cpu{cpu}' for cpu in cpus)} leaves the RCU read section"


def _tree(tree: Tree) -> Iterator[str]:
    yield f"tree  ma_root -> {tree.root}"
    for node in tree.nodes:
        yield f"   {node}{_fate(node)}"


def _fate(node: Node) -> str:
    state = {"root": "", "inner": "", "freed": "FREED", "dead": "DEAD"}.get(node.state, node.state)
    parts = [
        state,
        _later(node.awaited) if node.awaited else "",
        _users(node.users) if node.users else "",
    ]
    return "".join(
        f"; {part}" if node.ranges or index else f"  {part}"
        for index, part in enumerate(parts)
        if part
    )


def _frame(frame: Page) -> str:
    words = " ".join(map(str, frame.words))
    users = ", ".join(frame.users) or "nobody's page table"
    filed = f"; filed in {frame.filed}" if frame.filed else ""
    told = (
        ""
        if frame.told is None
        else f"; its file system was {'' if frame.told else 'not '}told of a store"
    )
    return f"{frame.name}  count {frame.count}, holds {words}: {users}{filed}{told}"


def _entry(entry: Entry) -> str:
    shown = f"P{entry.page} -> {entry.pte or 'nothing'}"
    if not entry.ptl.free:
        shown += f"  (page-table lock: {entry.ptl})"
    if entry.stored and entry.stored != entry.reads:
        stored, reads = (" ".join(map(str, words)) for words in (entry.stored, entry.reads))
        shown += f"  WRONG: the program expects {stored}, memory says {reads}"
    return shown


def _lock(holder: str, writer: int | None) -> str:
    return f"{holder} (write)" if writer is not None else holder


# -- verdicts ---------------------------------------------------------------------------------------------------------


def _verdict(verdict: Verdict, scenario: Scenario | None) -> Iterator[str]:
    if verdict.outcome == "safe":
        yield f"SAFE: {verdict.coverage}; {_endings(verdict.endings)}."
        yield _limits(scenario)
    elif verdict.outcome == "violated":
        name = verdict.violation.oracle if verdict.violation is not None else "a rule"
        yield f"VIOLATED ({name}): {verdict.coverage}."
        if scenario.about_all_runs(name) if scenario else looks_afterwards(name):
            yield "The rule is about all runs together: this one does not end badly, and is one part of what breaks it."
        if verdict.minimal and verdict.schedule is not None:
            yield f"No shorter way to go wrong exists: {counted(len(verdict.schedule), 'step')}, with the fewest interruptions."
        if verdict.schedule is None and verdict.violation is not None:
            yield sentence(verdict.violation.message)
    elif verdict.reason:
        yield f"UNPROVED: {verdict.coverage}. No violation so far proves nothing."
        yield _limits(scenario)
    else:
        yield f"UNPROVED: {verdict.coverage}. Seen: {_endings(verdict.endings)}. Of the rest nothing is known."
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
        f"Searched: {what}. Not searched: other programs, more CPUs or pages, memory that reorders loads and stores "
        "(here it is sequentially consistent), and steps finer than the ones shown."
    )


def sentence(text: str) -> str:
    """The text with a full stop, if it has none."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def paragraph(text: str, width: int, indent: int = 0) -> list[str]:
    """The text in lines of at most `width`, those after the first indented as the first is, or further."""
    lead = len(text) - len(text.lstrip())
    return _wrapped(text.strip(), width, " " * lead, " " * max(indent, lead)) or [""]


def _wrapped(text: str, width: int, first: str = "", then: str = "") -> list[str]:
    """Lines of at most `width`; `F0 ro`, `-> F0` and `[0x3000, 0x4000)` stay in one piece."""
    kept = re.sub(r"\b(F\d+) (r[ow]) -> (F\d+) (r[ow])\b", "\\1\0\\2\0->\0\\3\0\\4", text)
    kept = re.sub(r"\b(F\d+) (r[ow])\b", "\\1\0\\2", kept)
    kept = re.sub(r"(\[0x[0-9a-f]+,) (0x[0-9a-f]+\))", "\\1\0\\2", kept).replace("-> ", "->\0")
    lines = wrap(kept, width, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]
