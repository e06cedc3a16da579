"""What `mmlocks host diff` prints: a table of what happened, or a mismatch; words or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from mmlocks.cli.terminal import (
    ASIDE,
    BAD,
    GOOD,
    TITLE,
    Status,
    command,
    gap,
    paragraph,
    print_json,
    width,
    write,
)
from mmlocks.conformance.compare import Mismatch, Observation, visible
from mmlocks.conformance.coverage import ENOUGH, in_order, rare
from mmlocks.conformance.diff import Outcome
from mmlocks.conformance.events import Row
from mmlocks.conformance.notation import to_c, to_python
from mmlocks.conformance.program import Program, compact, errno_name, size, to_json
from mmlocks.mm.area import Area
from mmlocks.sentences import counted

FULL_RUN = 10_000
"""Programs after which every row of the table should have been seen ENOUGH times."""


class Told(NamedTuple):
    """What is printed about a comparison besides its outcome."""

    kernel: str
    """What the model was compared with."""
    origin: dict[str, Any]
    """Where the programs came from, for JSON."""
    name: str
    """The name of the program that shows the mismatch."""
    again: str
    """The command that runs it again."""
    doubt: str | None = None
    """A reason to doubt a mismatch."""
    original: Program | None = None
    """The program, before it was made smaller."""


def print_outcome(outcome: Outcome, told: Told, as_json: bool) -> int:
    """Print the outcome of a comparison; return the exit status."""
    if as_json:
        print_json(_json(outcome, told))
    else:
        if outcome.mismatch is None:
            _print_table(outcome)
            _print_agreement(outcome, told)
        else:
            _print_mismatch(outcome.mismatch, told)
    return Status.FINE if outcome.mismatch is None else Status.WRONG


# -- agreement -------------------------------------------------------------------------------------


def _print_agreement(outcome: Outcome, told: Told) -> None:
    programs, operations = (
        counted(outcome.programs, "program"),
        counted(outcome.operations, "operation"),
    )
    different = (
        ""
        if len(outcome.different) == outcome.programs
        else f", {len(outcome.different):,} of them different"
    )
    write(
        f"NO MISMATCH: {programs}{different}, {operations}, {outcome.seconds:.0f} s",
        GOOD,
    )
    paragraph(f"After each operation, the model agreed with {told.kernel}.")


def _print_table(outcome: Outcome) -> None:
    seldom = set(_seldom(outcome))
    for heading, rows in in_order(outcome.counts).items():
        write(heading, TITLE)
        for row, number in rows.items():
            write(f"{number:>10,}  {row}{'   <- seldom' if (heading, row) in seldom else ''}")
    if seldom:
        many = counted(len(seldom), "row")
        paragraph(
            f"{many} marked as seldom: fewer than {_least(outcome)} times in so many programs. "
            "Such a row proves little.",
            ASIDE,
        )
    gap()


def _least(outcome: Outcome) -> int:
    return max(1, ENOUGH * outcome.programs // FULL_RUN)


def _seldom(outcome: Outcome) -> list[Row]:
    return rare(outcome.counts, _least(outcome))


# -- a mismatch ------------------------------------------------------------------------------------


def _print_mismatch(mismatch: Mismatch, told: Told) -> None:
    program, results = _compacted(mismatch)
    write(f"MISMATCH: {told.name}", BAD)
    if told.original is not None and size(told.original) > size(program):
        paragraph(
            f"The program was made as small as possible: "
            f"{size(program)} of {size(told.original)} operations."
        )
    if told.doubt:
        paragraph(told.doubt, ASIDE)
    gap()
    for line in _what(mismatch, told.kernel):
        write(line)
    gap()
    write("In Python:", TITLE)
    gap()
    write(to_python(program, results))
    gap()
    write("In C:", TITLE)
    gap()
    write(to_c(program, results))
    gap()
    paragraph("To run it again:")
    command(told.again)


def _compacted(mismatch: Mismatch) -> tuple[Program, list[int | None]]:
    """The program up to the mismatch without its gaps, and the results of its operations."""
    program = mismatch.program[: mismatch.number + 1]
    results = [
        result
        for one, result in zip(program, mismatch.results, strict=True)
        if one.name != "nothing"
    ]
    return compact(program, mismatch.results), results


def _what(mismatch: Mismatch, kernel: str) -> Iterator[str]:
    """Lines that say what differs."""
    operation = mismatch.program[mismatch.number]
    last = f"the last operation, {operation.name}"
    if len(mismatch.expected.areas) > 1:
        last += f" by process {operation.process}"
    if mismatch.what == "error":
        yield f"The model could not do {last}:"
        yield f"  {mismatch.note}"
    elif mismatch.what == "result":
        yield f"The result of {last}, differs:"
        yield f"  {_result(mismatch.expected)}  {kernel}"
        yield f"  {_result(mismatch.found)}  the model"
    elif mismatch.what == "words":
        yield f"After {last}, the contents of pages differ in process {mismatch.process}:"
        found = mismatch.found.words[mismatch.process]
        for page, words in sorted(mismatch.expected.words[mismatch.process].items()):
            if found.get(page) != words:
                yield f"  {page:#x}: {_words(words)} {kernel}, {_words(found.get(page))} the model"
    if mismatch.what in ("areas", "result"):
        process = mismatch.process
        yield f"Areas of process {process} after {last}:"
        yield from _side_by_side(
            [_area(area) for area in mismatch.expected.areas.get(process, [])],
            [_area(area) for area in mismatch.found.areas.get(process, [])],
            kernel,
        )


def _result(observation: Observation) -> str:
    result = observation.result
    if result is None:
        return "a segmentation fault"
    return f"-{errno_name(result)}" if result < 0 else hex(result) if result > 9 else str(result)


def _words(words: tuple[int | None, int | None] | None) -> str:
    return (
        "nothing"
        if words is None
        else " ".join("-" if word is None else hex(word) for word in words)
    )


def _area(area: Area) -> str:
    seen = visible(area)
    flags = "" if seen.flags is None else " ".join(sorted(seen.flags - {"rd", "wr", "ex"}))
    file = f" file+{seen.offset:#x}" if seen.file else ""
    return f"{seen.start:x}-{seen.end:x} {seen.perms} {flags}{file}"


def _side_by_side(kernel: list[str], model: list[str], name: str) -> Iterator[str]:
    """Two lists of areas with marks where they differ: side by side, or merged if too wide."""
    column = max(map(len, [*kernel, name]), default=0)
    narrow = column + max(map(len, model), default=0) + 5 > width()
    if narrow:
        yield f"  -  {name}"
        yield "  +  the model"
    else:
        yield f"  {name:<{column}}    the model"
    for what, low, high, start, end in SequenceMatcher(
        None, kernel, model, autojunk=False
    ).get_opcodes():
        ours, theirs = kernel[low:high], model[start:end]
        if narrow:
            yield from (f"     {line}" for line in ours if what == "equal")
            yield from (f"  -  {line}" for line in ours if what != "equal")
            yield from (f"  +  {line}" for line in theirs if what != "equal")
            continue
        for row in range(max(len(ours), len(theirs))):
            one = ours[row] if row < len(ours) else ""
            other = theirs[row] if row < len(theirs) else ""
            mark = " " if what == "equal" else "|" if one and other else "<" if one else ">"
            yield f"  {one:<{column}} {mark}  {other}"


# -- for programs ----------------------------------------------------------------------------------


def _json(outcome: Outcome, told: Told) -> dict[str, Any]:
    return {
        "kernel": told.kernel,
        "doubt": told.doubt,
        **told.origin,
        "programs": outcome.programs,
        "different": len(outcome.different),
        "operations": outcome.operations,
        "seconds": round(outcome.seconds, 3),
        "seldom": [list(row) for row in _seldom(outcome)] if outcome.programs else [],
        "mismatch": None
        if outcome.mismatch is None
        else _mismatch_json(outcome.mismatch, outcome.number, told),
        "coverage": in_order(outcome.counts if outcome.programs else Counter()),
    }


def _mismatch_json(mismatch: Mismatch, number: int | None, told: Told) -> dict[str, Any]:
    """A mismatch for programs. `number` is the number of its program.

    `original` is the program as it was found, and `program` is the smallest one that still shows
    the mismatch. --program runs either.
    """
    program, results = _compacted(mismatch)
    return {
        "number": number,
        "what": mismatch.what,
        "process": mismatch.process,
        "note": mismatch.note,
        "program": to_json(program),
        "original": to_json(told.original if told.original is not None else mismatch.program),
        "kernel": _observation_json(mismatch.expected),
        "model": _observation_json(mismatch.found),
        "python": to_python(program, results),
        "c": to_c(program, results),
        "again": told.again,
    }


def _observation_json(observation: Observation) -> dict[str, Any]:
    return {
        "result": observation.result,
        "areas": {
            process: [_area(area) for area in areas] for process, areas in observation.areas.items()
        },
        "words": {
            process: {hex(page): words for page, words in sorted(pages.items())}
            for process, pages in observation.words.items()
        },
    }
