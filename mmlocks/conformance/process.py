"""One process of the model, which carries out one system call after another, for comparisons.

The functions are the same as in a search, where the steps of several CPUs interleave. Here one CPU
runs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine import Rcu
from mmlocks.machine.sequential import Sequential
from mmlocks.mm.address import PAGE_SIZE, Limits, page_of, slot_of
from mmlocks.mm.area import Area
from mmlocks.mm.fault import SegmentationFault
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.maple import vma_iter_store
from mmlocks.mm.maple_node import MapleNode
from mmlocks.mm.mm_types import AnonVma, File, Memory, Mm, Vma
from mmlocks.mm.user import fork, load, store
from mmlocks.mm.vm_flags import (
    VM_ACCOUNT,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_NORESERVE,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    flags_text,
)
from mmlocks.mm.world import settle
from mmlocks.releases import Release

CODES = {
    "rd": VM_READ, "wr": VM_WRITE, "ex": VM_EXEC, "sh": VM_SHARED,
    "mr": VM_MAYREAD, "mw": VM_MAYWRITE, "me": VM_MAYEXEC, "ms": VM_MAYSHARE,
    "gd": VM_GROWSDOWN, "ac": VM_ACCOUNT, "nr": VM_NORESERVE,
}  # fmt: skip
"""The two-letter codes of smaps for the flags that the model has."""

SYSTEM_CALLS = ("mmap", "munmap", "mprotect", "brk", "mremap", "madvise")


class Process:
    """A process of the model. Its operations change it; a forked child is another Process."""

    def __init__(
        self,
        layout: Sequential,
        kernel: Kernel,
        mm: Mm,
        files: Mapping[int, File],
        beyond: tuple[Area, ...],
    ) -> None:
        self._layout = layout
        # maps shows [vsyscall] above all user addresses: not a VMA, and no call can change it
        self._beyond = beyond
        self._kernel = kernel
        self._files = files
        self._store, self._load, self._fork = (
            kernel.link(program) for program in (store, load, fork)
        )
        self.mm = mm

    @classmethod
    def started(
        cls,
        areas: Iterable[Area],
        limits: Limits,
        release: Release,
        files: Mapping[int, tuple[int, Callable[[int], tuple[int, ...]]]] | None = None,
        text: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Process:
        """A process with these `areas`, as if inherited from the process that forked it.

        `files[n]` = (pages, words) are files that mmap knows as n; words(page) are the first words
        of each page.
        """
        layout = Sequential()
        memory = Memory(layout, slots=2)
        mm = Mm(layout, memory, Rcu(layout), [], limits=limits)
        known = {
            number: File(layout, memory, f"/file{number}", pages, words)
            for number, (pages, words) in (files or {}).items()
        }
        others: dict[str, File] = {}
        beyond: list[Area] = []
        for area in areas:
            if area.start >= limits.task_size:
                beyond.append(area)
                continue
            file = None
            if area.file and area.file not in ("[heap]", "[stack]"):
                if area.file not in others:
                    others[area.file] = File(layout, memory, area.file, 0, lambda _page: ())
                file = others[area.file]
            _settle(mm, area, file)
        kernel = Kernel(release, text=text) if text else _linked(release)
        return cls(layout, kernel, mm, known, tuple(beyond))

    def call(self, name: str, *args: int) -> int:
        """Carry out a system call; its result, or minus an errno.

        The `file` argument of mmap is 0 or a key of `files`.
        """
        if name not in SYSTEM_CALLS:
            raise ModelError(
                f"the model has no system call {name}. It has {', '.join(SYSTEM_CALLS)}."
            )
        given: tuple[Any, ...] = args
        if name == "mmap":
            address, length, prot, flags, number, offset = args
            given = (address, length, prot, flags, self._files[number] if number else None, offset)
        result: int = self._layout.run(getattr(self._kernel, name)(self.mm, *given))
        return result

    def store(self, address: int, value: int) -> bool:
        """Store a word; False for a segmentation fault."""
        try:
            self._layout.run(self._store(self.mm, address, value))
        except SegmentationFault:
            return False
        return True

    def load(self, address: int) -> int | None:
        """Load a word; None for a segmentation fault."""
        try:
            value: int = self._layout.run(self._load(self.mm, address))
        except SegmentationFault:
            return None
        return value

    def fork(self) -> Process:
        """A child with a copy of the address space."""
        mm = self.mm
        limits = mm.limits._replace(brk=mm.brk.of(self._layout.now))
        child = Mm(
            self._layout,
            mm.memory,
            mm.rcu,
            [],
            name=f"mm{len(self._layout.records)}",
            limits=limits,
        )
        self._layout.run(self._fork(mm, child))
        return Process(self._layout, self._kernel, child, self._files, self._beyond)

    def areas(self, flags: bool = True) -> list[Area]:
        """All areas, as /proc/PID/maps and smaps would show them."""
        now = self._layout.now
        shown = []
        for vma in self.mm.mm_mt.contents(now):
            vm_flags, file = vma.vm_flags.of(now), vma.vm_file.of(now)
            shown.append(
                Area(
                    vma.vm_start.of(now),
                    vma.vm_end.of(now),
                    flags_text(vm_flags)[:4],
                    vma.vm_pgoff.of(now) * PAGE_SIZE if file is not None else 0,
                    file.name if file is not None else "",
                    frozenset(code for code, bit in CODES.items() if vm_flags & bit)
                    if flags
                    else None,
                )
            )
        return [*shown, *self._beyond]

    def peek(self, address: int) -> int | None:
        """The word at an address, without regard to permissions; None if it is not known."""
        now = self._layout.now
        vma = _vma_at(self.mm, now, address)
        if vma is None:
            return None
        page, file = page_of(address), vma.vm_file.of(now)
        entry = self.mm.page_table.pte[page].of(now) if page in self.mm.page_table.pte else None
        if entry is not None:
            frame = entry.frame
        elif file is None:
            frame = self.mm.memory.zero
        else:
            cached = file.frame(vma.vm_pgoff.of(now) + page - page_of(vma.vm_start.of(now)))
            if cached is None:
                return None
            frame = cached
        word: int = frame.data[slot_of(address)].of(now)
        return word


@cache
def _linked(release: Release) -> Kernel:
    return Kernel(release)


def _vma_at(mm: Mm, now: Any, address: int) -> Vma | None:
    """The VMA that covers an address, found without a step."""
    node = mm.mm_mt.ma_root.of(now)
    while True:
        ranges = node.ranges.of(now)
        slot: Vma | MapleNode | None = ranges.slots[ranges.covering(address)]
        if not isinstance(slot, MapleNode):
            return slot
        node = slot


def _settle(mm: Mm, area: Area, file: File | None) -> None:
    """Give the process an area that it has from the start."""
    layout = mm.layout
    assert isinstance(layout, Sequential)
    vma = mm.spare_vmas.take(layout.view, 0)
    flags = 0
    for code in area.flags or ():
        flags |= CODES.get(code, 0)
    if area.flags is None:
        flags = sum(
            bit
            for letter, bit in zip("rwx", (VM_READ, VM_WRITE, VM_EXEC), strict=True)
            if letter in area.perms
        )
    # Its pages, if it has any, are filed with those of the parent process, so that no new area
    # merges with it.
    chain = (AnonVma(layout, f"{vma}'s parent's"), AnonVma(layout, f"{vma}'s"))
    settle(
        vma,
        area.start,
        area.end,
        flags,
        file,
        (area.offset if file else area.start) // PAGE_SIZE,
        chain,
    )
    layout.run(vma_iter_store(mm, area.start, area.end, vma))
    layout.run(_count(mm))


async def _count(mm: Mm) -> None:
    await mm.map_count.add(1)
