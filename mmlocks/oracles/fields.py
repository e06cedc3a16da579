"""Each shared field of an address space, and the locks that protect it. This is the specification.

Everything that judges locking reads this table: the oracle `discipline`, and what the kernel's own
tools would have said of an execution (`mmlocks.explain.tools`). `field_table()` prints it;
`protected_by` gives one field's line for a picture.

Source of the rows, unless a row names another: Documentation/mm/process_addrs.rst ("Lock usage",
"VMA fields"). Where no document of Linux covers a field, the source is the code that writes it, and
the row says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# -- locks -------------------------------------------------------------------------------------


class Lock(NamedTuple):
    """A lock in one mode: its name, how to take it, and the kernel's assertion that asks for it."""

    text: str
    take: str
    asserted: str


MMAP = Lock("mmap_lock", "mmap_read_lock({mm})", "mmap_assert_locked({mm})")
MMAP_WRITE = Lock(
    "mmap_lock for writing", "mmap_write_lock({mm})", "mmap_assert_write_locked({mm})"
)
VMA = Lock("the VMA lock", "vma_start_read({vma})", "vma_assert_locked({vma})")
VMA_WRITE = Lock("the VMA write lock", "vma_start_write({vma})", "vma_assert_write_locked({vma})")
VM_LOCK = Lock(
    "vm_lock for writing", "{vma}.vm_lock.down_write()", "lockdep_assert_held_write({vma}.vm_lock)"
)
RCU = Lock("an RCU read section", "rcu.read_lock()", "RCU_LOCKDEP_WARN(!rcu_read_lock_held())")
PAGE_TABLE_LOCK = Lock(
    "page_table_lock", "page_table_lock.lock()", "lockdep_assert_held(page_table_lock)"
)
PTL = Lock("the page-table lock", "ptl[{page}].lock()", "lockdep_assert_held(ptl)")
I_MMAP = Lock("i_mmap_rwsem", "{file}.i_mmap_rwsem.down_read()", "i_mmap_assert_locked({file})")
I_MMAP_WRITE = Lock(
    "i_mmap_rwsem for writing",
    "{file}.i_mmap_rwsem.down_write()",
    "i_mmap_assert_write_locked({file})",
)

RMAP = Lock("rmap's lock", "{vma}'s file's i_mmap_rwsem.down_read()", "i_mmap_assert_locked")

LockSet = tuple[Lock, ...]
"""Locks that must be held together."""

# -- the table ---------------------------------------------------------------------------------

UNPUBLISHED = "not in the tree yet"
"""A VMA that its mm's writer has allocated, and that no other task can find.

During fork that is true of the child's whole address space.
"""
DETACHED = "taken out of the tree"
"""A VMA marked detached: it cannot be locked, and the holder of mmap_lock may clear it away."""


@dataclass(frozen=True)
class FieldRule:
    """A row of the table: what protects one field.

    * `writes` and `reads` list sets of locks; any one set is enough.
    * `fills` takes the place of `writes` for a write that finds the field empty.
    * `spared` are the kinds of VMAs for which the demands on writes do not hold.
    * KCSAN says nothing of `marked` fields: they are meant to be read while they are written, in
      Linux mostly with READ_ONCE and WRITE_ONCE (`mmlocks.explain.tools` says what is left out in
      that).
    * `speculative` are further sets for reads in releases with speculative faults: these compare
      mm_seq afterwards.
    * `kind` says why accesses to a field are not judged here: locks have rules of their own, which
      their operations check.
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
        """One line: with which locks the field may be written, and with which it may be read."""
        if self.kind:
            return self.kind
        writes = f"written with {either(self.writes)}" if self.writes else "never changed"
        if self.fills:
            writes += f" (from empty: {either(self.fills)})"
        if self.spared:
            writes += f", unless {' or '.join(self.spared)}"
        reads = (
            "without a lock" if not self.reads or () in self.reads else f"with {either(self.reads)}"
        )
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
FIRST_FAULT: tuple[LockSet, ...] = ((MMAP, PAGE_TABLE_LOCK), *BOTH)
A_LOCK = "a lock"
MM_TYPES = "include/linux/mm_types.h (the comment of b1f02b95758d)"
MAPLE_TREE = "lib/maple_tree.c, Documentation/core-api/maple_tree.rst"


def _layout_field(name: str, source: str = "process_addrs.rst") -> FieldRule:
    placed = name in ("vm_start", "vm_end", "vm_pgoff")
    reads = (*ONE, (RMAP,)) if placed else ONE
    return FieldRule(
        "Vma", name, BOTH, reads, spared=(UNPUBLISHED, DETACHED), speculative=IN_RCU, source=source
    )


ROWS = (
    _layout_field("vm_start", "process_addrs.rst; written with rmap's locks besides"),
    _layout_field("vm_end", "process_addrs.rst; written with rmap's locks besides"),
    _layout_field("vm_pgoff", "process_addrs.rst; written with rmap's locks besides"),
    _layout_field("vm_flags"),
    _layout_field("vm_page_prot"),
    FieldRule("Vma", "vm_file", (), ALIVE, spared=(UNPUBLISHED,),
        source="process_addrs.rst; read in an RCU section by lock_vma_under_rcu, which has vm_ops "
        "for it (the code of 6.4)"),
    FieldRule("Vma", "anon_vma", BOTH, ONE, fills=FIRST_FAULT,
        spared=(UNPUBLISHED, DETACHED), speculative=IN_RCU,
        source="process_addrs.rst, which names the anon_vma's own lock besides for a write of "
        "None; that is not modelled"),
    FieldRule("Vma", "anon_vma_chain", BOTH, ONE, fills=FIRST_FAULT,
        spared=(UNPUBLISHED, DETACHED), speculative=IN_RCU,
        source="process_addrs.rst names the anon_vma's own lock, which is not modelled; here the "
        "chain goes with anon_vma"),
    FieldRule("Vma", "vm_lock", kind=A_LOCK),
    FieldRule("Vma", "vm_lock_seq", ((MMAP_WRITE, VM_LOCK),), ALIVE, marked=True, source=MM_TYPES),
    FieldRule("Vma", "detached", BOTH, ALIVE, marked=True,
        source="vma_mark_detached, include/linux/mm.h (457f67be5910)"),
    FieldRule("Mm", "mmap_lock", kind=A_LOCK),
    FieldRule("Mm", "page_table_lock", kind=A_LOCK),
    FieldRule("Mm", "mm_mt", kind="see MapleTree",
        source="include/linux/mm_types.h: MM_MT_FLAGS, an external lock"),
    FieldRule("Mm", "page_table", kind="see PageTable"),
    FieldRule("Mm", "map_count", ((MMAP_WRITE,),), ((MMAP,),), source="the code of mm/mmap.c"),
    FieldRule("Mm", "brk", ((MMAP_WRITE,),), ((MMAP,),),
        source="the code of brk(2); prctl(2), which is not modelled, writes it with mmap_lock for "
        "reading and arg_lock, the lock that mm_types.h names"),
    FieldRule("Mm", "mm_lock_seq", ((MMAP_WRITE,),), ((),), marked=True, source=MM_TYPES),
    FieldRule("Mm", "mm_seq", ((MMAP_WRITE,),), ((),), marked=True,
        source="v2 of speculative faults, 2022-01-28"),
    FieldRule("MapleTree", "ma_root", ((MMAP_WRITE,),), LOOKUP, marked=True, source=MAPLE_TREE),
    FieldRule("MapleNode", "ranges", ((MMAP_WRITE,),), LOOKUP, marked=True, source=MAPLE_TREE),
    FieldRule("PageTable", "pte", ((PTL,),), ((PTL,), *ONE), marked=True, speculative=((),),
        source="process_addrs.rst, page table locks; any VMA of the address space that the CPU has "
        "locked counts"),
    FieldRule("PageTable", "ptl", kind=A_LOCK),
    FieldRule("AnonVma", "refcount", kind="an atomic", source="include/linux/rmap.h"),
    FieldRule("File", "i_mmap", ((I_MMAP_WRITE,),), ((I_MMAP,),),
        source="include/linux/fs.h, struct address_space"),
    FieldRule("File", "i_mmap_rwsem", kind=A_LOCK),
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
    return "\n".join(
        f"{one:<{widths[0]}}  {two:<{widths[1]}}  {three}".rstrip() for one, two, three in lines
    )
