"""An address space as a table: a row for each area, lowest first as in maps, gaps, and sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap

from mmlocks.maps.describe import describe
from mmlocks.maps.kinds import KINDS, Described, human, permissions, size_of
from mmlocks.mm.area import Area

ROOM = 20
"""If fewer columns are left to say what an area is, each area takes two lines."""
KERNELS = 0xFFFF_FFFF_8000_0000
"""The kernel's addresses begin here if addresses have 64 bits; only [vsyscall] is mapped there."""
GUESS = "A question mark marks a guess: maps does not say it."


def table(areas: Sequence[Area], width: int = 80, program: str = "") -> Iterator[str]:
    """The lines of the table, none longer than `width`.

    `program` is the file that the process executes, if known.
    """
    address = max((len(addresses(area)) for area in areas if area.start < KERNELS), default=16)
    allowed = max((len(permissions(area)) for area in areas), default=0)
    wide = width - address - allowed - 15 >= ROOM
    if wide:
        yield f"{'addresses':<{address}}  {'size':>9}  {'allowed':<{allowed}}  what it is"
    last = 0
    for one in describe(areas, program):
        if one.area.start > last:
            size, words = human(one.area.start - last), gap_words(last, one.area.start)
            yield f"{'...':^{address}}  {size:>9}  {words}" if wide else f"...  {size}  {words}"
        last = one.area.end
        yield from _wide(one, width, address, allowed) if wide else _narrow(one, width)


def _wide(one: Described, width: int, address: int, allowed: int) -> Iterator[str]:
    size, perms = human(size_of(one.area)), permissions(one.area)
    left = f"{addresses(one.area):<{address}}  {size:>9}  {perms:<{allowed}}  "
    what, remarks = one.words(width - len(left)), ", ".join(one.remarks)
    if remarks and len(left) + len(what) + len(remarks) + 2 <= width:
        what, remarks = f"{what}, {remarks}", ""
    yield left + what
    if remarks:
        indent = " " * max(2, min(len(left), width - len(remarks)))
        yield from wrap(remarks, width, initial_indent=indent, subsequent_indent=indent)


def _narrow(one: Described, width: int) -> Iterator[str]:
    where, perms = f"{addresses(one.area)}  {human(size_of(one.area))}", permissions(one.area)
    yield from wrap(where, width, subsequent_indent="  ", break_on_hyphens=False)
    yield f"  {perms}, {one.words(width - len(perms) - 4)}"
    yield from wrap(", ".join(one.remarks), width, initial_indent="  ", subsequent_indent="  ")


def sums(areas: Sequence[Area], program: str = "") -> Iterator[str]:
    """How many areas and bytes there are of each kind, and in all; 40 columns at most."""
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    called: dict[str, str] = {}
    for one in describe(areas, program):
        called[one.kind.name] = one.kind_name
        count[one.kind.name] += 1
        size[one.kind.name] += size_of(one.area)
    rows = [
        (called[kind.name], count[kind.name], size[kind.name]) for kind in KINDS if count[kind.name]
    ]
    for name, many, bytes_ in [*rows, ("in all", len(areas), sum(size.values()))]:
        yield f"{name:<13}  {many:>6,} area{'s' * (many != 1):<1}  {human(bytes_):>9}"


def accounted(areas: Sequence[Area]) -> int | None:
    """Bytes for which the kernel has promised memory or swap (flag `ac`); None if not known."""
    if any(area.flags is None for area in areas):
        return None
    return sum(size_of(area) for area in areas if area.flags is not None and "ac" in area.flags)


def guesses(areas: Sequence[Area], program: str = "") -> bool:
    """Whether the table guesses what some area is for."""
    return any(one.is_guess for one in describe(areas, program))


def addresses(area: Area) -> str:
    """Start and end, as maps spells them."""
    return f"{area.start:08x}-{area.end:08x}"


def gap_words(start: int, end: int) -> str:
    """What lies between two areas."""
    if end >= KERNELS:
        return "the kernel's addresses"
    return "unmapped, address 0 too" if start == 0 else "unmapped"
