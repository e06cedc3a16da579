"""All that a program can come to: in plain text, and as what notebooks show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from mmlocks.errors import ModelError
from mmlocks.explain.endings import Ending, Endings, endings
from mmlocks.mm.mm_types import Mm
from mmlocks.mm.world import World
from mmlocks.scenarios import Checked
from mmlocks.sentences import counted
from mmlocks.show.results import Shown, in_lines, wrong_argument
from mmlocks.show.text import WIDTH, Named, paragraph, replayable, sentence


def show_endings(checked: Checked) -> Shown:
    """All endings of a checked scenario, and in how many ways each comes about.

    Raises ModelError for anything but a checked scenario.
    """
    if not isinstance(checked, Checked):
        raise wrong_argument("show_endings", checked)
    found = endings(checked.machine, what_is_read(checked.world))
    named = (checked.scenario, checked.kernel.name)
    head = f"{checked.scenario.name} on {checked.kernel.name}: {checked.scenario.title}"

    def text(width: int) -> str:
        return "\n".join([*paragraph(head, width), "", endings_text(found, named, width)])

    return Shown(text(WIDTH), lambda: in_lines(text))


def what_is_read(world: World) -> Callable[[int], tuple[tuple[str, str], ...]]:
    """What tells endings apart: what each page of the process and of its child holds.

    The result is a function from a final state to pairs of a page and what it holds.
    """

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
    """What tells endings apart: the cells whose names match a pattern such as `F0*`.

    Raises ModelError if a pattern matches no cell.
    """
    some = ", ".join(cell.name for cell in world.layout.cells[:4])
    for pattern in patterns:
        if not any(fnmatchcase(cell.name, pattern) for cell in world.layout.cells):
            raise ModelError(
                f"no cell is called {pattern!r}. In a pattern * stands for anything; "
                f"cells are called, for example, {some}."
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
        said = (
            f"UNPROVED: stopped early ({found.reason}) after {found.states:,} states. "
            "Which endings there are is unknown."
        )
        return "\n".join(paragraph(said, width)) + "\n"
    size = f"{_schedules(found.schedules)}, {found.states:,} states"
    lines = paragraph(
        f"{counted(len(found.endings), 'ending')}, {size}. "
        "Each is shown by the way there with the fewest interruptions.",
        width,
    )
    for number, ending in enumerate(found.endings, 1):
        lines += ["", *paragraph(f"{number:>2}  {ending_words(ending)}", width, 4)]
        share = ""
        if ending.schedules and found.schedules:
            share = f", {_share(ending.schedules, found.schedules)}"
        size = f"{_schedules(ending.schedules)}{share}; {counted(ending.states, 'state')}"
        lines += paragraph(f"    {size}", width, 4)
        lines.append(f"    replay: {replayable(named, ending.schedule)}")
    return "\n".join(lines) + "\n"


def ending_words(ending: Ending) -> str:
    """What an ending is, in words."""
    if ending.violation is not None:
        return f"VIOLATED ({ending.violation.oracle}): {sentence(ending.violation.message)}"
    return "; ".join(f"{name}: {value}" for name, value in ending.value) or "the only good ending"


def _schedules(number: int | None) -> str:
    if number is None:
        return "infinitely many schedules"
    return counted(number, "schedule") if number else "no schedule ever completes it"


def _share(part: int, whole: int) -> str:
    """What share of the whole that is: never rounded to all of it, nor to none."""
    left = whole - part
    if not left:
        return "all of them"
    if 100 * left < whole:
        return f"all but {left:,} of them"
    percent = round(100 * part / whole)
    return f"{percent} % of them" if percent else f"one in {round(whole / part):,}"
