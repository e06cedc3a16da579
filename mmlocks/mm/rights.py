"""Which steps a learner's function may ask for: what kernel code may do, and nothing else.

It may not access memory as programs do, touch what an oracle or the referee keeps, or use a cell's
number in place of a lock. A few steps change what all else rests on, such as the nodes of the tree.
A function may ask for those only if one of the kernel functions that the answer replaces does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mmlocks.errors import NotJudged
from mmlocks.machine import Cell, Layout, Record, RwSem, SeqCount, SpinLock, Step
from mmlocks.machine.step import OPERATIONS
from mmlocks.machine.task import Answer
from mmlocks.machine.values import Call
from mmlocks.mm.maple_node import MapleTree
from mmlocks.mm.mm_types import File, Frame, Mm, Vma
from mmlocks.mm.stubs import is_stub, kernel_functions, kernel_text, text_of

HERE = Path(__file__).resolve().parent

LOADS = {"load", "wait"}
STORES = {"store", "swap", "add", "fetch_add"}
SPINLOCKS = {"spin_lock", "spin_trylock", "spin_unlock"}
SEMAPHORES = {"down_read", "up_read", "down_write", "up_write", "downgrade_write"}
FREELY = {
    "set_pte", "flush_tlb", "folio_add_new_anon_rmap", "page_try_dup_anon_rmap", "mas_walk",
    "mas_start", "mas_read", "leave_rcu_if_covered", "mmap_assert_write_locked", "rcu_read_lock",
    "rcu_read_unlock", "vma_interval_tree_foreach", "require",
}  # fmt: skip
"""Steps whose operations allow only what kernel code could do."""
COUNTED = {"folio_put", "anon_vma_get", "anon_vma_put"}
"""Steps that change a reference count: only of what the function was passed, or has read."""
AS_ITS_ORIGINAL = {
    "alloc_folio": "alloc_folio", "for_each_vma": "for_each_vma", "vm_area_alloc": "vm_area_alloc",
    "anon_vma_alloc": "anon_vma_alloc", "shmem_zero_setup": "shmem_zero_setup",
    "file_by_copy": "file_by_copy", "mas_write": "mas_write", "mas_build": "mas_build",
    "mas_retire": "mas_retire", "call_rcu": "call",
}  # fmt: skip
"""Steps that a function may ask for if the replaced one does; a word in its text shows it."""

FIELDS: dict[type[Record], tuple[str, ...]] = {
    Vma: (
        "vm_start",
        "vm_end",
        "vm_pgoff",
        "vm_flags",
        "vm_page_prot",
        "anon_vma",
        "anon_vma_chain",
        "vm_lock_seq",
        "detached",
    ),
    Mm: ("mm_lock_seq", "mm_seq", "map_count", "brk"),
    Frame: ("refcount", "dirty"),
    File: ("i_mmap",),
    SeqCount: ("sequence",),
}
"""The fields that kernel code stores to, by kind of handle."""


def rules_for(
    replaced: Iterable[str], layout: Layout
) -> Callable[[str, Answer, tuple[Any, ...]], str]:
    """The rules for functions that replace these (see `mmlocks.machine.foreign.Rules`)."""
    rights = Rights(frozenset().union(*(words_of(name) for name in replaced)), layout)
    return rights.why_not


class Rights:
    """What a learner's functions may ask for. `words` are those of the texts that they replace."""

    def __init__(self, words: frozenset[str], layout: Layout) -> None:
        self._words = words
        self._layout = layout
        self._stored = {
            cell.index
            for record in layout.records.values()
            for name in FIELDS.get(type(record), ())
            if isinstance(cell := getattr(record, name), Cell)
        }
        trees = [record for record in layout.records.values() if isinstance(record, MapleTree)]
        self._roots = {tree.ma_root.index for tree in trees}
        self._owner = {
            frame.refcount.index: frame
            for frame in layout.records.values()
            if isinstance(frame, Frame)
        }
        self._locks = {
            SpinLock: {
                lock.owner.index for lock in layout.records.values() if isinstance(lock, SpinLock)
            },
            RwSem: {
                lock.writer.index for lock in layout.records.values() if isinstance(lock, RwSem)
            },
            SeqCount: {
                count.sequence.index
                for count in layout.records.values()
                if isinstance(count, SeqCount)
            },
        }

    def why_not(self, name: str, answer: Answer, given: tuple[Any, ...]) -> str:
        """Why the function `name`, given these values, may not do what it asks for; "" if it may.

        Raises NotJudged if kernel text runs there, where no kernel is.
        """
        texts = kernel_text()
        for place in answer.where:
            if place.function in texts and HERE in Path(place.file).parents:
                learners = [each for each in answer.where if HERE not in Path(each.file).parents]
                caller = learners[-1] if learners else answer.where[0]
                raise NotJudged(
                    f"not judged: {caller.function} ({caller.spot}) runs the text of "
                    f"{place.function} directly, outside of the kernel that is examined. "
                    f"Call {place.function} by its name: `from mmlocks.mm import {place.function}`."
                )
        step = answer.step
        assert step is not None
        if isinstance(step, Call):
            called = step.args[0]
            if called in texts:
                return ""
            return (
                f"{called} is not a kernel function. "
                "Call kernel functions by the names that mmlocks.mm has."
            )
        return self._why_not_step(step, given)

    def _why_not_step(self, step: Step, given: tuple[Any, ...]) -> str:
        op, args = step.op, step.args
        if not takes(op, len(args)):
            return (
                f"the step {op} is made with {len(args)} arguments, and takes others. "
                "Call the kernel function or the handle's method that makes it."
            )
        if op == "together":
            parts = (self._why_not_step(part, given) for part in args if isinstance(part, Step))
            return next(filter(None, parts), "")
        if op in FREELY:
            return ""
        if op in COUNTED:
            return "" if self._given(args[0], given) else _not_given(args[0])
        if op in AS_ITS_ORIGINAL:
            return "" if AS_ITS_ORIGINAL[op] in self._words else _not_yours(op)
        if op in LOADS | STORES | SPINLOCKS | SEMAPHORES | {"seq_read_begin"}:
            return self._why_not_cell(op, args[0], given)
        if op.startswith("mmu_"):
            return (
                f"{op} is what the hardware does for a program, not what kernel code does. "
                "Kernel code reads page-table entries (`await table.pte[page]`) "
                "and has faults handled."
            )
        return (
            f"{op} is not a step that kernel code takes by itself. "
            "Call the kernel function that does it."
        )

    def _why_not_cell(self, op: str, index: Any, given: tuple[Any, ...]) -> str:
        if type(index) is not int or not 0 <= index < len(self._layout.cells):
            return (
                f"{op} needs a field or a lock of a handle, and {str(index)[:40]} is none. "
                "Use the handle: `await vma.vm_lock_seq`."
            )
        cell = self._layout.cells[index]
        for ops, kind, what in (
            (SPINLOCKS, SpinLock, "spinlock"),
            (SEMAPHORES, RwSem, "semaphore"),
            ({"seq_read_begin"}, SeqCount, "sequence counter"),
        ):
            if op in ops and index in self._locks[kind]:
                return ""
            if op in ops:
                return f"{op} works on a {what}, and {cell} is none. Use the lock's own methods."
        if cell.hidden or (op in STORES and index not in self._stored | self._roots):
            done = "stored to" if op in STORES else "read"
            return (
                f"{cell} cannot be {done} like a variable. Use the function that the kernel has "
                "for it, such as set_pte_at or flush_tlb_mm."
            )
        if op in STORES and index in self._roots:
            allowed = {"mas_retire", "mas_build"} & self._words
            return "" if allowed else _not_yours(f"a store to {cell}")
        if op in STORES and index in self._owner and not self._given(self._owner[index], given):
            return _not_given(self._owner[index])
        return ""

    def _given(self, thing: Any, given: tuple[Any, ...]) -> bool:
        return any(thing is value for value in _inside(given))


def _not_given(thing: Any) -> str:
    return (
        f"the reference count of {thing} is changed, and {thing} was neither passed to this "
        "function nor read by it."
    )


def _not_yours(what: str) -> str:
    return (
        f"{what} changes what the kernel's tables rest on; only a function that replaces one that "
        "does so may. Call the kernel function for it."
    )


def _inside(value: Any) -> Iterator[Any]:
    """All values in a value. A file counts as all its pages: the page cache leads to them."""
    yield value
    if isinstance(value, tuple):
        for part in value:
            yield from _inside(part)
    elif isinstance(value, File):
        yield from map(value.frame, range(value.pages))


@cache
def takes(op: str, count: int) -> bool:
    """Whether the operation of that name takes so many arguments. True if there is none."""
    if op not in OPERATIONS:
        return True
    try:
        signature(OPERATIONS[op].run).bind(*range(2 + count))
    except TypeError:
        return False
    return True


@cache
def words_of(name: str) -> frozenset[str]:
    """The names and texts in a kernel function and in the helpers that it calls, in any file.

    Other kernel functions that it calls are not helpers, except private ones.
    """
    words: set[str] = set()
    todo: list[FunctionType] = [kernel_functions()[name]]
    done: set[FunctionType] = set()
    while todo:
        function = todo.pop()
        done.add(function)
        used = set(_words(function.__code__))
        words |= used
        for word in used:
            helper = function.__globals__.get(word)
            if word.startswith("_"):
                # It cannot be replaced, so it is a part of the text that calls it.
                helper = text_of(helper)
            if isinstance(helper, FunctionType) and not is_stub(helper) and helper not in done:
                if helper.__module__.startswith("mmlocks.mm."):
                    todo.append(helper)
    return frozenset(words)


def _words(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _words(constant)


assert set(FREELY | COUNTED | set(AS_ITS_ORIGINAL)) <= set(OPERATIONS), (
    "a right for an operation that there is not"
)
