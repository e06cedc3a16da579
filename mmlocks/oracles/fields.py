"""Who may read and write what: each shared field of an address space, and the locks that protect it. This table is the specification.

Everything that judges locking reads it: the oracle `discipline`, and what the kernel's own tools would have said of an execution
(`mmlocks.oracles.tools`). `field_table()` prints it; `protected_by` gives one field's line for a picture.

Source of the rows, where nothing else is said: Documentation/mm/process_addrs.rst ("Lock usage", "VMA fields"), and the comments in include/linux/mm_types.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from mmlocks.machine import Cell, Layout, Rcu, Record, View
from mmlocks.mm.maple_node import MapleNode
from mmlocks.mm.mm import Mm
from mmlocks.mm.pagecache import File
from mmlocks.mm.rmap import AnonVma
from mmlocks.mm.vma import NEVER_LOCKED, Vma
from mmlocks.releases import PER_VMA_LOCKS, SPECULATIVE_FAULTS, Release

# -- locks ------------------------------------------------------------------------------------------------------------


class Lock(NamedTuple):
    """A lock in one mode, as a row demands it: how it is called, how one gets it, and which of the kernel's assertions asks for it."""

    text: str
    take: str
    asserted: str


MMAP = Lock("mmap_lock", "mmap_read_lock({mm})", "mmap_assert_locked({mm})")
MMAP_WRITE = Lock("mmap_lock for writing", "mmap_write_lock({mm})", "mmap_assert_write_locked({mm})")
VMA = Lock("the VMA lock", "vma_start_read({vma})", "vma_assert_locked({vma})")
VMA_WRITE = Lock("the VMA write lock", "vma_start_write({vma})", "vma_assert_write_locked({vma})")
VM_LOCK = Lock(
    "vm_lock for writing", "{vma}.vm_lock.down_write()", "lockdep_assert_held_write({vma}.vm_lock)"
)
RCU = Lock("an RCU read section", "rcu.read_lock()", "RCU_LOCKDEP_WARN(!rcu_read_lock_held())")
PAGE_TABLE_LOCK = Lock("page_table_lock", "page_table_lock.lock()", "lockdep_assert_held(page_table_lock)")
PTL = Lock("the page-table lock", "ptl[{page}].lock()", "lockdep_assert_held(ptl)")
I_MMAP = Lock("i_mmap_rwsem", "{file}.i_mmap_rwsem.down_read()", "i_mmap_assert_locked({file})")
I_MMAP_WRITE = Lock("i_mmap_rwsem for writing", "{file}.i_mmap_rwsem.down_write()", "i_mmap_assert_write_locked({file})")  # fmt: skip

RMAP = Lock("rmap's lock", "{vma}'s file's i_mmap_rwsem.down_read()", "i_mmap_assert_locked")

LockSet = tuple[Lock, ...]
"""Locks that must be held together."""

# -- the table --------------------------------------------------------------------------------------------------------

UNPUBLISHED = "not in the tree yet"
"""A VMA that its mm's writer has allocated: nobody else can find it. A child's address space during fork is so as a whole."""
DETACHED = "taken out of the tree"
"""A VMA marked detached: nobody can lock it any more, and who holds mmap_lock may clear it away."""


@dataclass(frozen=True)
class Row:
    """What protects one field. `writes` and `reads` list sets of locks, any one of which is enough.

    `fills` holds, instead of `writes`, for a write that finds the field empty. `spared` are the VMAs for which the demands on writes do not hold.
    Of `marked` fields KCSAN says nothing: they are meant to be read while somebody writes them, in Linux mostly with READ_ONCE and WRITE_ONCE
    (what is left out in that is said in `mmlocks.oracles.tools`). `speculative` are further sets for reads in releases with speculative faults, which compare mm_seq afterwards.
    `kind` says of what no access is judged here why: locks have rules of their own, which their operations check.
    """

    record: str
    field: str
    writes: tuple[LockSet, ...] = ()
    reads: tuple[LockSet, ...] = ()
    fills: tuple[LockSet, ...] = ()
    spared: tuple[str, ...] = ()
    marked: bool = False
    speculative: tuple[LockSet, ...] = ()
    kind: str = ""
    source: str = "process_addrs.rst"

    @property
    def name(self) -> str:
        """`Vma.vm_start`."""
        return f"{self.record}.{self.field}"

    @property
    def protected_by(self) -> str:
        """One line on who may write the field and who may read it."""
        if self.kind:
            return self.kind
        writes = f"written with {either(self.writes)}" if self.writes else "never changed"
        if self.fills:
            writes += f" (from empty: {either(self.fills)})"
        if self.spared:
            writes += f", unless {' or '.join(self.spared)}"
        reads = "by anybody" if not self.reads or () in self.reads else f"with {either(self.reads)}"
        return f"{writes}; read {reads}" + (
            ", or without, as a marked access" if self.marked and () not in self.reads else ""
        )


def either(sets: tuple[LockSet, ...]) -> str:
    """`mmap_lock for writing and the VMA write lock, or ...`."""
    return ", or ".join(" and ".join(lock.text for lock in each) for each in sets)


BOTH: tuple[LockSet, ...] = ((MMAP_WRITE, VMA_WRITE),)
ONE: tuple[LockSet, ...] = ((MMAP,), (VMA,))
LOOKUP: tuple[LockSet, ...] = ((MMAP,), (RCU,))
ALIVE: tuple[LockSet, ...] = ((MMAP,), (VMA,), (RCU,))
IN_RCU: tuple[LockSet, ...] = ((RCU,),)
A_LOCK = "a lock"


def _layout_field(name: str, source: str = "process_addrs.rst") -> Row:
    placed = name in ("vm_start", "vm_end", "vm_pgoff")
    reads = (*ONE, (RMAP,)) if placed else ONE
    return Row("Vma", name, BOTH, reads, spared=(UNPUBLISHED, DETACHED), speculative=IN_RCU, source=source)


ROWS = (
    _layout_field("vm_start", "process_addrs.rst; written with rmap's locks besides"),
    _layout_field("vm_end", "process_addrs.rst; written with rmap's locks besides"),
    _layout_field("vm_pgoff", "process_addrs.rst; written with rmap's locks besides"),
    _layout_field("vm_flags"),
    _layout_field("vm_page_prot"),
    Row("Vma", "vm_file", (), ALIVE, spared=(UNPUBLISHED,)),
    Row("Vma", "anon_vma", BOTH, ONE, fills=((MMAP, PAGE_TABLE_LOCK), *BOTH), spared=(UNPUBLISHED, DETACHED), speculative=IN_RCU),
    Row("Vma", "anon_vma_chain", BOTH, ONE, fills=((MMAP, PAGE_TABLE_LOCK), *BOTH), spared=(UNPUBLISHED, DETACHED), speculative=IN_RCU,
        source="process_addrs.rst names the anon_vma's own lock, which is not modelled; here the chain goes with anon_vma"),
    Row("Vma", "vm_lock", kind=A_LOCK),
    Row("Vma", "vm_lock_seq", ((MMAP_WRITE, VM_LOCK),), ALIVE, marked=True, source="include/linux/mm_types.h (5e31275cc997)"),
    Row("Vma", "detached", BOTH, ALIVE, marked=True, source="vma_mark_detached, include/linux/mm.h (457f67be5910)"),
    Row("Mm", "mmap_lock", kind=A_LOCK),
    Row("Mm", "page_table_lock", kind=A_LOCK),
    Row("Mm", "mm_mt", kind="see MapleTree", source="mm_types.h: an external lock, mmap_lock"),
    Row("Mm", "page_table", kind="see PageTable"),
    Row("Mm", "map_count", ((MMAP_WRITE,),), ((MMAP,),), source="include/linux/mm_types.h"),
    Row("Mm", "brk", ((MMAP_WRITE,),), ((MMAP,),), source="include/linux/mm_types.h"),
    Row("Mm", "mm_lock_seq", ((MMAP_WRITE,),), ((),), marked=True, source="include/linux/mm_types.h (5e31275cc997)"),
    Row("Mm", "mm_seq", ((MMAP_WRITE,),), ((),), marked=True, source="v2 of speculative faults, 2022-01-28"),
    Row("MapleTree", "ma_root", ((MMAP_WRITE,),), LOOKUP, marked=True, source="lib/maple_tree.c, Documentation/core-api/maple_tree.rst"),
    Row("MapleNode", "ranges", ((MMAP_WRITE,),), LOOKUP, marked=True, source="lib/maple_tree.c, Documentation/core-api/maple_tree.rst"),
    Row("PageTable", "pte", ((PTL,),), ((PTL,), *ONE), marked=True, speculative=((),),
        source="process_addrs.rst, page table locks; any VMA of the address space that the CPU has locked counts"),
    Row("PageTable", "ptl", kind=A_LOCK),
    Row("AnonVma", "refcount", kind="an atomic", source="include/linux/rmap.h"),
    Row("File", "i_mmap", ((I_MMAP_WRITE,),), ((I_MMAP,),), source="include/linux/fs.h"),
    Row("File", "i_mmap_rwsem", kind=A_LOCK),
)  # fmt: skip

FIELDS = {row.name: row for row in ROWS}


def protected_by(record: str, field: str) -> str:
    """What a picture says under a field: `written with ...; read with ...`."""
    return FIELDS[f"{record}.{field}"].protected_by


def field_table(markdown: bool = False) -> str:
    """The whole table as text: plain columns, or markdown."""
    head = ("field", "protected by", "source")
    lines = [head, *((row.name, row.protected_by, row.source) for row in ROWS)]
    if markdown:
        body = [f"| {' | '.join(line)} |" for line in lines]
        return "\n".join([body[0], "|---|---|---|", *body[1:]])
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    return "\n".join(f"{one:<{widths[0]}}  {two:<{widths[1]}}  {three}".rstrip() for one, two, three in lines)


# -- which cells are whose --------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """One field of one record: its cell, its row, and what its locks are found by."""

    cell: Cell[Any]
    row: Row
    owner: Record
    mm: Mm | None = None
    vma: Vma | None = None
    page: int | None = None
    file: File | None = None

    def words(self, text: str) -> str:
        """A lock's text with the names of what it belongs to."""
        return text.format(mm=self.mm, vma=self.vma, page=self.page, file=self.file)


def places(layout: Layout) -> dict[int, Place]:
    """Every judged cell of a layout, by its index."""
    return {place.cell.index: place for record in layout.records.values() for place in _places_of(record)}


def _places_of(record: Record) -> Iterator[Place]:
    if isinstance(record, Vma):
        for row in ROWS:
            cell = getattr(record, row.field, None) if row.record == "Vma" and not row.kind else None
            if isinstance(cell, Cell):
                yield Place(cell, row, record, record.vm_mm, record)
    elif isinstance(record, Mm):
        for row in ROWS:
            cell = getattr(record, row.field, None) if row.record == "Mm" and not row.kind else None
            if isinstance(cell, Cell):
                yield Place(cell, row, record, record)
        yield Place(record.mm_mt.ma_root, FIELDS["MapleTree.ma_root"], record.mm_mt, record)
        for node in record.mm_mt.nodes:
            yield Place(node.ranges, FIELDS["MapleNode.ranges"], node, record)
        for page, cell in record.page_table.pte.items():
            yield Place(cell, FIELDS["PageTable.pte"], record.page_table, record, page=page)
    elif isinstance(record, File):
        yield Place(record.i_mmap, FIELDS["File.i_mmap"], record, file=record)


def objects(layout: Layout) -> dict[int, Record]:
    """To which object of the kernel a cell belongs, for the kinds of objects that can be freed."""
    found: dict[int, Record] = {}
    for record in layout.records.values():
        if isinstance(record, Vma):
            found.update((cell.index, record) for cell in record.cells() if cell is not record.life)
        elif isinstance(record, MapleNode):
            found[record.ranges.index] = record
        elif isinstance(record, AnonVma):
            found[record.refcount.index] = record
    return found


# -- who holds what ---------------------------------------------------------------------------------------------------


class Holding:
    """Which of the table's locks a CPU holds, in one release: its own locks only, so that nobody else can change the answer."""

    def __init__(self, layout: Layout, release: Release) -> None:
        self.per_vma = PER_VMA_LOCKS in release.patches
        self.speculates = SPECULATIVE_FAULTS in release.patches
        domains = [record for record in layout.records.values() if isinstance(record, Rcu)]
        self.sections = domains[0].sections if domains else ()
        self.files = [record for record in layout.records.values() if isinstance(record, File)]

    def missing(self, view: View, cpu: int, place: Place, writes: bool, found: Any) -> tuple[LockSet, ...]:
        """() if the access is allowed; else what is missing for it, in the ways that lack the fewest locks."""
        row = place.row
        if place.mm is not None and not place.mm.mm_mt.in_rcu:
            return ()  # a child's, of which nobody knows yet
        if writes:
            sets = row.fills if row.fills and not found else row.writes
            if place.vma is not None and row.spared and self.spares(view, cpu, place.vma, row.spared):
                return ()
            if not sets:
                return ((),)
        else:
            sets = (*row.reads, *(row.speculative if self.speculates else ()))
            if (
                place.vma is not None
                and DETACHED in row.spared
                and self.spares(view, cpu, place.vma, (DETACHED,))
            ):
                return ()
        sets = sets if self.per_vma else _without_vma_locks(sets)
        lacking = [tuple(lock for lock in each if not self.holds(view, cpu, lock, place)) for each in sets]
        if not all(lacking):
            return ()
        fewest = min(map(len, lacking))
        return tuple(each for each in lacking if len(each) == fewest)

    def spares(self, view: View, cpu: int, vma: Vma, kinds: tuple[str, ...]) -> bool:
        """Whether a VMA is out of everybody's reach. Who asks holds mmap_lock, so that it stays as it is."""
        mm, detached = vma.vm_mm, view[vma.detached.index] is True
        if DETACHED in kinds and detached and _shares(view, cpu, mm.mmap_lock):
            return True
        if UNPUBLISHED not in kinds or detached or view[mm.mmap_lock.writer.index] != cpu + 1:
            return False
        if view[vma.vm_lock_seq.index] != NEVER_LOCKED:
            return False  # it was in the tree before, or is write-locked as everybody else must be
        return not _leads_to(view, view[mm.mm_mt.ma_root.index], vma)

    def holds(self, view: View, cpu: int, lock: Lock, place: Place) -> bool:
        """Whether `cpu` holds a lock of the kind that a row names, on what the place belongs to."""
        if lock is RCU:
            return bool(self.sections) and view[self.sections[cpu].index] % 2 == 1
        if lock is RMAP:
            return any(
                _shares(view, cpu, file.i_mmap_rwsem) and place.vma in view[file.i_mmap.index]
                for file in self.files
            )
        if lock in (I_MMAP, I_MMAP_WRITE):
            assert place.file is not None
            semaphore = place.file.i_mmap_rwsem
            owned = bool(view[semaphore.writer.index] == cpu + 1)
            return owned or (lock is I_MMAP and _shares(view, cpu, semaphore))
        mm, vma = place.mm, place.vma
        assert mm is not None
        writer = bool(view[mm.mmap_lock.writer.index] == cpu + 1)
        if lock is MMAP_WRITE:
            return writer
        if lock is MMAP:
            return _shares(view, cpu, mm.mmap_lock)
        if lock is PAGE_TABLE_LOCK:
            return bool(view[mm.page_table_lock.owner.index] == cpu + 1)
        if lock is PTL:
            assert place.page is not None
            return bool(view[mm.page_table.ptl[place.page].owner.index] == cpu + 1)
        if vma is None:
            # An entry's VMA is not known by its cell: any VMA of the address space that this CPU has locked will do.
            return any(self._locked(view, cpu, each, lock, writer) for each in (*mm.vmas, *mm.spare_vmas))
        return self._locked(view, cpu, vma, lock, writer)

    def _locked(self, view: View, cpu: int, vma: Vma, lock: Lock, writer: bool) -> bool:
        """The VMA lock: its write side is a state, and only who holds mmap_lock for writing has it."""
        if lock is VMA_WRITE and not self.per_vma:
            return writer
        if view[vma.vm_lock.writer.index] == cpu + 1:
            return True
        written = writer and view[vma.vm_lock_seq.index] == view[vma.vm_mm.mm_lock_seq.index]
        if lock is VMA:
            return written or bool(view[vma.vm_lock.readers[cpu].index])
        return lock is VMA_WRITE and written

    def cells(self, cpu: int, place: Place, writes: bool) -> list[int]:
        """Everything at which `missing` may look."""
        row, mm = place.row, place.mm
        if mm is None:
            assert place.file is not None
            semaphore = place.file.i_mmap_rwsem
            return [semaphore.writer.index, semaphore.readers[cpu].index]
        if not mm.mm_mt.in_rcu:
            return []
        looks: list[Cell[Any]] = [mm.mmap_lock.writer, mm.mmap_lock.readers[cpu]]
        demanded = {lock for each in (*row.writes, *row.fills, *row.reads, *row.speculative) for lock in each}
        vmas = [place.vma] if place.vma is not None else [*mm.vmas, *mm.spare_vmas]
        if demanded & {VMA, VMA_WRITE, VM_LOCK}:
            looks.append(mm.mm_lock_seq)
            for vma in vmas:
                looks += (vma.vm_lock_seq, vma.vm_lock.writer, vma.vm_lock.readers[cpu])
        if RMAP in demanded:
            for file in self.files:
                looks += (file.i_mmap, file.i_mmap_rwsem.writer, file.i_mmap_rwsem.readers[cpu])
        if PAGE_TABLE_LOCK in demanded:
            looks.append(mm.page_table_lock.owner)
        if PTL in demanded and place.page is not None:
            looks.append(mm.page_table.ptl[place.page].owner)
        if row.spared and place.vma is not None:
            looks += (place.vma.detached, place.vma.vm_lock_seq)
            if writes:
                looks += (mm.mm_mt.ma_root, *(node.ranges for node in mm.mm_mt.nodes))
        if RCU in demanded and self.sections:
            looks.append(self.sections[cpu])
        return [cell.index for cell in looks]


def _shares(view: View, cpu: int, lock: Any) -> bool:
    return bool(view[lock.readers[cpu].index] or view[lock.writer.index] == cpu + 1)


def _without_vma_locks(sets: tuple[LockSet, ...]) -> tuple[LockSet, ...]:
    """What is demanded in a release without locks per VMA."""
    return tuple(tuple(lock for lock in each if lock is not VMA_WRITE) for each in sets if VMA not in each)


def _leads_to(view: View, node: MapleNode, vma: Vma) -> bool:
    ranges = view[node.ranges.index]
    return any(
        slot is vma or (isinstance(slot, MapleNode) and _leads_to(view, slot, vma))
        for slot in getattr(ranges, "slots", ())
    )
