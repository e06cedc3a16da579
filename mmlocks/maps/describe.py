"""What each area of an address space is, and what it is probably for.

Its name tells it, its neighbours, or all areas together.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmlocks.maps.kinds import (
    ANONYMOUS,
    FILE,
    HEAP,
    KERNEL,
    LIBRARY,
    NO_ACCESS,
    PROGRAM,
    SHARED,
    STACK,
    AreaKind,
    Described,
    base_name,
    size_of,
)
from mmlocks.maps.names import (
    Origin,
    about,
    given_name,
    like_library,
    origin,
    shared,
    shown_name,
    thread,
)
from mmlocks.mm.area import Area

LITTLE = 1 << 20
"""Memory without access of up to so many bytes is taken for a guard; more is kept for later."""
ARENA = 64 << 20
"""Size and alignment of the arenas that glibc's malloc gives to threads.

The used part comes first; the rest has no access.
"""

BSS = ".bss of"
THREAD_STACK = "a thread's stack?"
THREAD_ARENA = "a thread's malloc?"


def describe(areas: Sequence[Area], program: str = "") -> list[Described]:
    """What each area is. `program` is the file that the process executes; without it, a guess."""
    space = _Space(areas, program)
    return [space.described(index) for index in range(len(areas))]


class _Space:
    """The areas, and what all together tell: the program, and whether `x` means code."""

    def __init__(self, areas: Sequence[Area], program: str) -> None:
        self.areas = areas
        self.origins = [origin(area) for area in areas]
        self.x_means_code = not self._all_executable()
        self.code = self._files_with_code()
        self.known = bool(program) and any(area.file == program for area in areas)
        self.program = program if self.known else self._probable_program()
        self.kinds = [
            self._kind(area, source) for area, source in zip(areas, self.origins, strict=True)
        ]

    def _all_executable(self) -> bool:
        """Whether readable memory is executable too, as in old programs (READ_IMPLIES_EXEC).

        It shows where no program asks for it: in a file's variables, and in shared files such as
        fonts.
        """
        telling = [
            area
            for area, source in zip(self.areas, self.origins, strict=True)
            if source is Origin.FILE and "r" in area.perms and ("w" in area.perms or shared(area))
        ]
        return bool(telling) and all("x" in area.perms for area in telling)

    def _files_with_code(self) -> dict[str, int]:
        """Each file with an executable area, and where its last one ends.

        Code is mapped privately.
        """
        return {
            area.file: area.end
            for area, source in zip(self.areas, self.origins, strict=True)
            if source is Origin.FILE and "x" in area.perms and not shared(area)
        }

    def _probable_program(self) -> str:
        """The file that is probably the program, or "".

        It is the file with code next below the heap, or else the only one with code. The kernel
        lets the heap begin behind the program's variables, or a random bit later. Libraries do not
        count.
        """
        ends = {file: end for file, end in self.code.items() if not like_library(file)}
        heap = next((area.start for area in self.areas if area.file == "[heap]"), 0)
        below = [file for file, end in ends.items() if end <= heap]
        if below:
            return max(below, key=ends.__getitem__)
        return next(iter(ends)) if len(ends) == 1 and self.x_means_code else ""

    def _kind(self, area: Area, source: Origin) -> AreaKind:
        if source in (Origin.HEAP, Origin.STACK, Origin.KERNEL):
            return {Origin.HEAP: HEAP, Origin.STACK: STACK}.get(source, KERNEL)
        if not set(area.perms) & set("rwx"):
            return NO_ACCESS
        if area.file and area.file == self.program:
            return PROGRAM
        if source in (Origin.NOTHING, Origin.ZEROS, Origin.MEMORY) and shared(area):
            return SHARED
        if source in (Origin.NOTHING, Origin.ZEROS):
            return ANONYMOUS
        library = source is Origin.FILE and like_library(area.file) and not shared(area)
        return LIBRARY if library else FILE

    def described(self, index: int) -> Described:
        """All that is said about one area."""
        area, kind = self.areas[index], self.kinds[index]
        if kind is HEAP:
            top = HEAP not in self.kinds[index + 1 :]
            return Described(area, kind, growth="grows up" if top else "")
        if kind is STACK:
            silent = area.file == "[stack]" and area.flags is None
            return Described(area, kind, growth="grows down" if silent else "")
        if given_name(area.file):
            return Described(area, kind, given_name(area.file))
        if kind in (PROGRAM, LIBRARY, FILE):
            guessed = kind is PROGRAM and not self.known
            return Described(area, kind, self._part(area, kind), shown_name(area.file), guessed)
        part = ""
        if kind is KERNEL:
            part = about(area.file)
        elif kind is ANONYMOUS:
            part = self._purpose(index)
        elif kind is NO_ACCESS:
            part = self._closed(index)
        return Described(area, kind, part, shown_name(area.file))

    def _part(self, area: Area, kind: AreaKind) -> str:
        """Which part of a file it is, by what is allowed there; "" where that says nothing."""
        write, execute = "w" in area.perms, "x" in area.perms
        if shared(area) or (execute and (write or not self.x_means_code)):
            return ""
        if execute:
            return "" if origin(area) in (Origin.DEVICE, Origin.SYSTEM) else "code"
        if kind is FILE:
            return ""
        return "data" if write else "constants"

    def _neighbour(self, index: int, step: int) -> int | None:
        """The area that touches this one, one below (-1) or above (1)."""
        other = index + step
        if not 0 <= other < len(self.areas):
            return None
        low, high = sorted((index, other))
        return other if self.areas[low].end == self.areas[high].start else None

    def _purpose(self, index: int) -> str:
        """What writable anonymous memory is probably for, by its neighbours."""
        area = self.areas[index]
        if self.kinds[index] is not ANONYMOUS or area.file or "w" not in area.perms:
            return ""
        above, below = self._neighbour(index, 1), self._neighbour(index, -1)
        if above is not None and _arena(area, self.areas[above]):
            return THREAD_ARENA
        if below is None:
            return ""
        lower = self.areas[below]
        has_code = self.x_means_code and lower.file in self.code
        loaded = has_code or self.kinds[below] in (PROGRAM, LIBRARY)
        if loaded and "w" in lower.perms:
            # A file's variables that begin as zeros lie above its other variables. Other memory may
            # lie there too; it is mostly larger than the file.
            first = below
            while (
                self._neighbour(first, -1) == first - 1 and self.areas[first - 1].file == lower.file
            ):
                first -= 1
            small = size_of(area) <= lower.end - self.areas[first].start
            return f"{BSS} {base_name(lower.file)}?" if small else ""
        guarded = self.kinds[below] is NO_ACCESS and not lower.file and size_of(lower) <= LITTLE
        return THREAD_STACK if guarded and size_of(area) > size_of(lower) else ""

    def _closed(self, index: int) -> str:
        """What memory without access is probably for, by its neighbours."""
        above, below = self._neighbour(index, 1), self._neighbour(index, -1)
        area = self.areas[index]
        if above is not None and below is not None:
            file = self.areas[above].file
            if self.origins[above] is Origin.FILE and file == self.areas[below].file:
                whose = "its parts" if file == area.file else f"parts of {base_name(file)}"
                return f"between {whose}"
        if area.file:
            return ""
        if above is not None and (
            self._purpose(above) == THREAD_STACK or thread(self.areas[above].file)
        ):
            return f"guard below {THREAD_STACK}"
        if below is not None and _arena(self.areas[below], area):
            return f"rest of {THREAD_ARENA}"
        return "guard?" if size_of(area) <= LITTLE else "kept for later?"


def _arena(used: Area, rest: Area) -> bool:
    return (
        used.end == rest.start
        and not used.file
        and not rest.file
        and "w" in used.perms
        and not set(rest.perms) & set("rwx")
        and used.start % ARENA == rest.end % ARENA == 0
        and rest.end - used.start == ARENA
    )
