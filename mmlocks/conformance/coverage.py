"""What happened in a run, counted from results, and from areas before and after each operation.

A run in which nothing merged proves nothing about merging. So every kind of event on which kernel
and model could disagree has a row here. If a row stays low after thousands of programs, the
generator must be improved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mmlocks.conformance.compare import Observation, Start, bases, visible
from mmlocks.conformance.events import Moment, Row, area_events
from mmlocks.conformance.events_of_calls import CALL_EVENTS
from mmlocks.conformance.events_of_touches import touch_events
from mmlocks.conformance.program import Operation, Program, errno_name

ENOUGH = 100
"""In a run of ten thousand programs, a row below this is reported."""

ROWS: dict[str, tuple[str, ...]] = {
    "who": (
        "operations of a parent",
        "operations of a child",
        "operations of a third process",
        "forks",
    ),
    "areas": (
        "two became one",
        "three became one",
        "became one in a child",
        "a part joined its neighbour",
        "one became two",
        "one became three",
        "alike and adjacent, still two",
        "alike and adjacent, still two, in a child",
    ),
    "pages": (
        "first store to a page",
        "a store parted what parent and child shared",
        "a store was seen in another process",
        "words followed mremap",
        "words were dropped by MADV_DONTNEED",
        "store refused: no area",
        "store refused: not writable",
        "store refused: behind the end of the file",
        "load refused: no area",
        "load refused: not readable",
        "load refused: behind the end of the file",
    ),
    "stack": (
        "[stack] grew by a page",
        "[stack] grew by several",
        "[stack] grew by hundreds",
        "another MAP_GROWSDOWN area grew",
        "grew to exactly the guard gap",
        "grew closer than the guard gap",
        "refused: guard gap",
        "refused: RLIMIT_STACK",
        "a growing area was split",
        "PROT_GROWSDOWN reached down to the start",
        "PROT_GROWSDOWN refused",
    ),
    "brk": (
        "heap began",
        "heap grew in its area",
        "heap grew into a new area",
        "heap shrank",
        "heap shrank to nothing",
        "refused by a neighbour",
        "refused by a growing neighbour's guard gap",
        "below its start: unchanged",
    ),
    "mmap": (
        "placed by the kernel",
        "placed into a hole between areas",
        "2 MiB placed at a multiple of 2 MiB",
        "longer than 2 MiB, placed anywhere",
        "hint used",
        "hint rounded",
        "hint too low: raised",
        "hint ignored: occupied",
        "hint ignored: guard gap",
        "MAP_FIXED replaced areas",
        "MAP_FIXED_NOREPLACE refused",
        "file mapped",
    ),
    "munmap": ("areas gone", "hole: nothing done", "the middle of an area"),
    "mprotect": ("over several areas", "stopped at a hole after it had changed something"),
    "mremap": (
        "moved by the kernel",
        "moved to a fixed place",
        "moved to a fixed place over areas",
        "moved several areas",
        "grew in place",
        "shrank",
        "length unchanged: nothing done",
        "old area kept (MREMAP_DONTUNMAP)",
        "shared pages mapped twice",
        "merged at its new place",
        "moved a growing area",
    ),
    "refused": (
        "brk unchanged",
        "madvise EINVAL",
        "madvise ENOMEM",
        "mmap EEXIST",
        "mmap EINVAL",
        "mmap ENOMEM",
        "mprotect EINVAL",
        "mprotect ENOMEM",
        "mremap EFAULT",
        "mremap EINVAL",
        "mremap ENOMEM",
        "munmap EINVAL",
    ),
}
"""All rows that a run is expected to fill, by heading."""


def rare(counts: Counter[Row], least: int = ENOUGH) -> list[Row]:
    """The expected rows that are below `least`."""
    return [
        (heading, row)
        for heading, rows in ROWS.items()
        for row in rows
        if counts[heading, row] < least
    ]


def in_order(counts: Counter[Row]) -> dict[str, dict[str, int]]:
    """All rows by heading: those that are expected, then others that were seen."""
    table = {heading: {row: counts[heading, row] for row in rows} for heading, rows in ROWS.items()}
    for heading, row in sorted(counts):
        table.setdefault(heading, {}).setdefault(row, counts[heading, row])
    return table


def count(program: Program, seen: list[Observation], start: Start, counts: Counter[Row]) -> None:
    """Add to `counts` what happened in a run of a program."""
    last = Observation((), None, {0: list(map(visible, start.areas))}, {0: {}})
    breaks, stack = {0: start.limits.brk}, bases(start)["stack"]
    for operation, observation in zip(program, seen, strict=False):
        if not observation.areas:
            continue
        shown = {process: list(map(visible, areas)) for process, areas in observation.areas.items()}
        now = observation._replace(areas=shown)
        process, name = operation.process, operation.name
        moment = Moment(
            process,
            now.args,
            now.result,
            last.areas[process],
            now.areas[process],
            last,
            now,
            breaks[process],
            stack,
            start.limits,
        )
        counts["who", f"operations of a {('parent', 'child', 'third process')[process]}"] += 1
        for row in _events(operation, moment):
            counts[row] += 1
        if name == "brk" and now.result is not None:
            breaks[process] = now.result
        elif name == "fork":
            breaks[now.args[0]] = breaks[process]
        last = now


def _events(operation: Operation, moment: Moment) -> Iterator[Row]:
    name = operation.name
    if moment.result is not None and moment.result < 0:
        yield "refused", f"{name} {errno_name(moment.result)}"
    yield from (
        touch_events(name, moment) if name in ("store", "load") else CALL_EVENTS[name](moment)
    )
    if moment.before != moment.after and name != "fork":
        yield from area_events(name, moment)
