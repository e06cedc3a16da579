"""One moment of a run as plain data: what pictures and texts can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmlocks.machine import Violation
from mmlocks.machine.task import Place
from mmlocks.mm.mm_types import Pte


def cpus_text(cpus: tuple[int, ...]) -> str:
    """`cpu0 and cpu1`."""
    return " and ".join(f"cpu{cpu}" for cpu in cpus)


@dataclass(frozen=True)
class LockState:
    """A lock and the CPUs that hold it: a writer (or owner), or readers."""

    name: str
    writer: int | None
    readers: tuple[int, ...] = ()
    spinning: bool = False

    def __str__(self) -> str:
        if self.writer is not None:
            return f"cpu{self.writer}"
        readers = ", ".join(f"cpu{cpu}" for cpu in self.readers)
        return f"{readers} (read)" if readers else "free"

    @property
    def free(self) -> bool:
        """Whether no CPU holds it."""
        return self.writer is None and not self.readers


@dataclass(frozen=True)
class TlbEntry:
    """A translation in a CPU's TLB; stale if the page table no longer gives it."""

    page: int
    entry: Pte
    stale: bool

    def __str__(self) -> str:
        return f"P{self.page} → {self.entry}"


@dataclass(frozen=True)
class PteState:
    """A page-table entry and its lock.

    `stored` is what the program has stored in the page, by its completed stores. `reads` is what
    memory holds.
    """

    page: int
    pte: Pte | None
    ptl: LockState
    stored: tuple[Any, ...] = ()
    reads: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"P{self.page} → {self.pte or 'nothing'}"


@dataclass(frozen=True)
class VmaState:
    """A VMA with its lock. `write_locked` is "vm_lock_seq equals mm_lock_seq".

    `fate` says what is unusual about it: "not in the tree yet", "out of the tree" or "freed".
    Nothing else is known of a freed VMA; it is shown while the CPUs in `users` are about to use it.
    The RCU readers in `awaited` keep it from being freed. `pgoff` and `filing` (its anon_vma in
    words) are left out in worlds where they never change.
    """

    name: str
    start: int
    end: int
    lock: LockState
    seq: int
    write_locked: bool
    has_anon_vma: bool
    detached: bool
    pages: tuple[PteState, ...]
    pgoff: int | None = None
    filing: str = ""
    fate: str = ""
    users: tuple[int, ...] = ()
    awaited: tuple[int, ...] = ()

    @property
    def range(self) -> str:
        """Its name and its addresses: `heap [0x3000, 0x5000)`."""
        return f"{self.name} [{self.start:#x}, {self.end:#x})"


@dataclass(frozen=True)
class NodeState:
    """A node of the tree. A range is what it leads to, and its end (None: it has no end).

    `state` is "root", "inner", "not in the tree yet", "dead" (it was replaced) or "freed". `users`
    are the CPUs that are about to use it. The RCU readers in `awaited` keep it from being freed.
    """

    name: str
    state: str
    ranges: tuple[tuple[str, int | None], ...]
    users: tuple[int, ...]
    awaited: tuple[int, ...]

    def __str__(self) -> str:
        """`root: gap up to 0x3000, heap up to 0x4000, gap`."""
        parts = (what if end is None else f"{what} up to {end:#x}" for what, end in self.ranges)
        return f"{self.name}: {', '.join(parts)}" if self.ranges else self.name


@dataclass(frozen=True)
class TreeState:
    """The tree of VMAs, in a world where it may change: its root, and all nodes, dead ones too."""

    name: str
    root: str
    nodes: tuple[NodeState, ...]


@dataclass(frozen=True)
class FileState:
    """A file that may be mapped: its lock, and the VMAs that its i_mmap lists."""

    name: str
    lock: LockState
    mapped: tuple[str, ...]


@dataclass(frozen=True)
class SpaceState:
    """An address space: its lock, its sequence number, its VMAs, and pages that no VMA covers."""

    name: str
    lock: LockState
    seq: int
    vmas: tuple[VmaState, ...]
    page_table_lock: LockState
    loose: tuple[PteState, ...]

    @property
    def entries(self) -> list[PteState]:
        """All entries: those of VMAs, then the loose ones."""
        return [*(entry for vma in self.vmas for entry in vma.pages), *self.loose]


@dataclass(frozen=True)
class FrameState:
    """A frame of physical memory; `users` says what maps it. A count of 0 means free."""

    name: str
    count: int
    words: tuple[Any, ...]
    users: tuple[str, ...]
    allocated_by: int | None
    """The CPU that it is set aside for; None for frames in use from the start."""
    filed: str = ""
    """Its anon_vma and its index there, in words; left out where they never change."""
    told: bool | None = None
    """Whether its file system knows of a store to it; None where it does not want to know."""


@dataclass(frozen=True)
class CpuState:
    """A CPU: what it runs, whether it can go on, and why not.

    `status` is "ready", "blocked", "done" or "stopped".
    """

    number: int
    task: str
    status: str
    why: str
    where: tuple[Place, ...]
    holds: tuple[str, ...]
    tlb: tuple[TlbEntry, ...]
    in_rcu: bool


@dataclass(frozen=True)
class Scene:
    """Everything to be seen after `at` steps of a run."""

    at: int
    cpus: tuple[CpuState, ...]
    parent: SpaceState
    child: SpaceState
    frames: tuple[FrameState, ...]
    violation: Violation | None
    forks: bool = True
    tree: TreeState | None = None
    files: tuple[FileState, ...] = ()
