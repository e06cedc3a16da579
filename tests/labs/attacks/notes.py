"""Kind D: notes. What a function keeps where the merging of its moments does not look, each so that a wrong answer looks right."""

from __future__ import annotations

import textwrap

from tests.labs.attacks import Attack, answer, fork


def noted(
    name: str,
    why: str,
    put: str,
    get: str,
    before: str = "",
    imports: str = "",
    where: str = "fork_torn_snapshot",
    rejected: str = "snapshot",
) -> Attack:
    """Does not wait for a VMA that a fault holds, which it knows by a note.

    Whether the VMA is held (`busy`) is forgotten by the local variables one step before it matters.
    """
    lock = f"""
busy = await mpnt.vm_lock.readers[-1]
{textwrap.dedent(put).strip()}
busy = None
await mpnt.vm_lock_seq
if {get}:
    await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
else:
    await vma_start_write(mpnt)
"""
    return Attack(
        name,
        f"does not wait for the readers of a VMA, and knows of them by {why}",
        fork(imports=imports, before=before, lock=lock),
        where,
        rejected,
    )


LOOKS = """
await mpnt.vm_lock_seq
"""

DUP = """
from mmlocks.mm.vma_dup import vm_area_dup as kernels_dup
from mmlocks.mm.fork import copy_page_range as kernels_copy
note = {}

async def vm_area_dup(mm, orig):
    one = await orig.vm_lock.readers[-1]
    two = await orig.vm_lock.readers[-1]
    note["busy"] = (one, two) in @
    one = two = None
    return await kernels_dup(mm, orig)

async def copy_page_range(dst_vma, src_vma):
    if note.get("busy"):
        await src_vma.vm_lock_seq.set(await src_vma.vm_mm.mm_lock_seq)
    else:
        await vma_start_write(src_vma)
    await kernels_copy(dst_vma, src_vma)
"""


def between(name: str, why: str, busy: str) -> Attack:
    """One function looks whether the VMA is held, and tells another one by a global variable."""
    return Attack(
        name,
        f"does not wait for the readers of a VMA, of which another function has told it: {why}",
        answer(DUP.replace("@", busy)),
        "fork_torn_snapshot",
        "mistake",
    )


ATTACKS = (
    noted("global_dict", "a global dict", "notes['busy'] = busy", "notes['busy']", "notes.clear()", "notes = {}"),
    noted("global_list", "a global list", "notes.append(busy)", "notes.pop()", "notes.clear()", "notes = []"),
    noted("global_set", "a global set", "if busy:\n    notes.add(1)", "1 in notes and not notes.clear()", "notes.clear()", "notes = set()"),
    noted("global_name", "a global variable", "globals()['note'] = busy", "note", "globals()['note'] = 0", "note = 0"),
    noted("class_attribute", "an attribute of a class", "Note.busy = busy", "Note.busy", "Note.busy = 0", "class Note:\n    busy = 0"),
    noted("attribute_of_an_instance", "an attribute of a global object with slots", "note.busy = busy", "note.busy", "note.busy = 0",
          "class Note:\n    __slots__ = ('busy',)\nnote = Note()"),
    noted("attribute_of_the_function", "an attribute of the function", "dup_mmap.busy = busy", "dup_mmap.busy", "dup_mmap.busy = 0"),
    noted("closure_cell", "a variable of an enclosing function", "put(busy)", "get()", "put(0)", """
        def made():
            kept = 0
            def put(value):
                nonlocal kept
                kept = value
            def get():
                return kept
            return put, get
        put, get = made()
        """),
    noted("context_variable", "a ContextVar", "note.set(busy)", "note.get()", "note.set(0)", "import contextvars\nnote = contextvars.ContextVar('note', default=0)"),
    noted("attribute_of_a_module", "an attribute of a module", "math.busy = busy", "math.busy", "math.busy = 0", "import math"),
    noted("attribute_of_builtins", "an attribute of builtins", "builtins.busy_ = busy", "builtins.busy_", "builtins.busy_ = 0", "import builtins"),
    noted("attribute_of_mmlocks", "an attribute of mmlocks", "mmlocks.busy = busy", "mmlocks.busy", "mmlocks.busy = 0", "import mmlocks"),
    noted("generator", "a generator that is kept", "note.send(busy)", "note.send(None)", "", """
        def keeps():
            kept = 0
            while True:
                told = yield kept
                kept = kept if told is None else told
        note = keeps()
        next(note)
        """),
    noted("coroutine", "a coroutine that is kept", "note.send(busy)", "note.send(None)", "", """
        import types
        @types.coroutine
        def keeps():
            kept = 0
            while True:
                told = yield kept
                kept = kept if told is None else told
        note = keeps()
        note.send(None)
        """),
    noted("default_argument", "a default argument that can change", "keep(busy)", "keep()[-1]", "keep(0)", "def keep(*new, kept=[0]):\n    kept.extend(new)\n    return kept"),
    noted("list_of_a_handle", "the list of VMAs that a handle has", "note = oldmm.vmas\nif busy:\n    note.append(None)\nnote = None", "None in oldmm.vmas",
          "while None in oldmm.vmas:\n    oldmm.vmas.remove(None)"),
    noted("dict_of_a_handle", "the referee's dict that a handle has", "oldmm.filed_under['busy'] = busy", "oldmm.filed_under['busy']", "oldmm.filed_under['busy'] = 0"),
    noted("dict_of_the_layout", "the layout's dict of handles", "oldmm.layout.records['busy'] = busy", "oldmm.layout.records['busy']", "oldmm.layout.records['busy'] = 0"),
    noted("attribute_of_the_layout", "an attribute of the layout", "oldmm.layout.busy = busy", "oldmm.layout.busy", "oldmm.layout.busy = 0"),
    noted("dict_of_a_handles_attributes", "the dict behind a handle", "vars(oldmm)['busy'] = busy", "vars(oldmm)['busy']", "vars(oldmm)['busy'] = 0"),
    noted("attribute_past_the_handle", "an attribute set past the handle's own method", "object.__setattr__(oldmm, 'busy', busy)", "oldmm.busy", "object.__setattr__(oldmm, 'busy', 0)"),
    noted("class_of_a_handle", "an attribute of a handle's class", "type(oldmm).busy = busy", "oldmm.busy", "type(oldmm).busy = 0"),
    noted("environment", "an environment variable", "os.environ['BUSY'] = str(busy)", "int(os.environ['BUSY'])", "os.environ['BUSY'] = '0'", "import os"),
    noted("working_directory", "the name of a file", "os.umask(0o22 + 0o100 * busy)", "os.umask(0o22) == 0o122", "os.umask(0o22)", "import os"),
    noted("thread_local", "a thread's own variable", "note.busy = busy", "note.busy", "note.busy = 0", "import threading\nnote = threading.local()"),
    noted("weak_reference", "a weak reference", "notes[Key] = busy", "notes[Key]", "notes[Key] = 0", "import weakref\nclass Key:\n    pass\nnotes = weakref.WeakKeyDictionary()"),
    noted("cache", "what functools.lru_cache remembers", "if busy:\n    known('busy')", "known.cache_info().currsize", "known.cache_clear()",
          "import functools\n@functools.lru_cache\ndef known(what):\n    return what"),
    noted("iterator", "how far an iterator has come", "if busy:\n    next(note)", "next(note) % 2", "globals()['note'] = itertools.count()", "import itertools\nnote = itertools.count()"),
    noted("random_seed", "the seed of random numbers", "random.seed(busy)", "random.random() < 0.5", "random.seed(0)", "import random"),
    noted("order_of_a_dict", "the order of a dict", "if busy:\n    notes['a'] = notes.pop('a')", "next(iter(notes)) == 'b'", "notes.clear()\nnotes.update(a=1, b=2)", "notes = {}"),
    noted("recursion_limit", "Python's recursion limit", "sys.setrecursionlimit(1000 + busy)", "sys.getrecursionlimit() == 1001", "sys.setrecursionlimit(1000)", "import sys"),
    noted("precision", "the precision of decimal numbers", "decimal.getcontext().prec = 20 + busy", "decimal.getcontext().prec == 21", "decimal.getcontext().prec = 20", "import decimal"),
    noted("level_of_a_logger", "the level of a logger", "log.setLevel(10 + busy)", "log.level == 11", "log.setLevel(10)", "import logging\nlog = logging.getLogger('attack')"),
    noted("name_of_a_code", "the function's own doc string", "dup_mmap.__doc__ = str(busy)", "dup_mmap.__doc__ == '1'", "dup_mmap.__doc__ = '0'"),
    noted("replaced_code", "which code a helper has", "known.__code__ = (yes if busy else no).__code__", "known()", "known.__code__ = no.__code__",
          "def known():\n    return False\ndef yes():\n    return True\ndef no():\n    return False"),
    noted("bytearray_", "bytes that can change", "note[0] = busy", "note[0]", "note[0] = 0", "note = bytearray(1)"),
    noted("size_of_a_file", "a file", "note.seek(0)\nnote.write('1' if busy else '0')", "note.seek(0) or note.read() == '1'", "note.seek(0)\nnote.write('0')", "import io\nnote = io.StringIO('0')"),
    noted("identity_of_an_object", "which of two objects a name stands for", "note[:] = [a if busy else b]", "note[0] is a", "note[:] = [b]", "a, b = object(), object()\nnote = []"),
    noted("note_long_before", "a note taken for the first VMA, that matters in the last", "notes.append(busy)", "len(notes) > 3 and notes[0]", "notes.clear()", "notes = []",
          where="fork_elsewhere"),
    noted("note_of_the_third_time", "a note that counts, and matters from the third VMA on", "notes.append(1)\nif busy:\n    notes.append(2)", "len(notes) > 3 and notes[-1] == 2", "notes.clear()", "notes = []",
          where="fork_elsewhere"),
    noted("note_that_counts_looks", "how often it has looked", "notes[0] += bool(busy)", "notes[0] % 2", "notes[0] = 0", "notes = [0]"),
    Attack("note_of_a_loop", "waits in a loop until no fault holds the VMA, and gives up when it has looked twice", fork(imports="notes = []", before="notes.clear()", lock="""
        notes.clear()
        while await mpnt.vm_lock.readers[-1]:
            notes.append(1)
            if len(notes) > 1:
                break
        if len(notes) > 1:
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
        else:
            await vma_start_write(mpnt)
        """), "fork_torn_snapshot", "snapshot"),
    Attack("note_of_the_other_reader", "a note of what another CPU holds, in a world of three", fork(imports="notes = {}", before="notes.clear()", lock="""
        for cpu, reader in enumerate(mpnt.vm_lock.readers):
            notes[cpu] = await reader
        cpu = reader = None
        await mpnt.vm_lock_seq
        if any(notes.values()):
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
        else:
            await vma_start_write(mpnt)
        """), "fork_torn_snapshot", "snapshot"),
    between("told_if_it_is_held", "the last look", "((0, 1), (1, 1))"),
    between("told_if_it_is_held_at_first", "the first look", "((1, 0), (1, 1))"),
    between("told_if_a_fault_came", "a fault came between the two looks", "((0, 1),)"),
    between("told_if_a_fault_went", "a fault went between the two looks", "((1, 0),)"),
    between("told_if_a_fault_stays", "a fault was there in both looks", "((1, 1),)"),
    Attack("told_by_a_call_before", "the first page's copy tells the second page's", answer("""
        from mmlocks.mm.fork import copy_present_pte as kernels_copy
        notes = {}

        async def copy_present_pte(dst_vma, src_vma, page):
            one = await src_vma.vm_lock.readers[-1]
            two = await src_vma.vm_lock.readers[-1]
            come = (one, two) == (0, 1)
            one = two = None
            if not notes.get(src_vma):
                await vma_start_write(src_vma)
            notes[src_vma] = come
            await kernels_copy(dst_vma, src_vma, page)
        """), "fork_torn_snapshot", "did something else"),
    Attack("told_while_fork_runs", "a note that is taken only while fork is under way", answer("""
        from mmlocks.mm.vma_dup import vm_area_dup as kernels_dup
        from mmlocks.mm.fork import copy_page_range as kernels_copy
        from mmlocks.mm.mmap_lock import mmap_write_lock as kernels_lock, mmap_write_unlock as kernels_unlock
        notes = {}

        async def mmap_write_lock(mm):
            notes["armed"] = True
            await kernels_lock(mm)

        async def mmap_write_unlock(mm):
            await kernels_unlock(mm)
            notes.clear()

        async def vm_area_dup(mm, orig):
            one = await orig.vm_lock.readers[-1]
            two = await orig.vm_lock.readers[-1]
            notes["busy"] = notes.get("armed") and (one, two) == (0, 1)
            one = two = None
            return await kernels_dup(mm, orig)

        async def copy_page_range(dst_vma, src_vma):
            if notes.pop("busy", False):
                await src_vma.vm_lock_seq.set(await src_vma.vm_mm.mm_lock_seq)
            else:
                await vma_start_write(src_vma)
            await kernels_copy(dst_vma, src_vma)
        """), "fork_torn_snapshot", "mistake"),
    Attack("told_inside_of_fork", "a note that one function takes while another one of the answer's waits for it", answer("""
        import mmlocks.mm as kernel
        from mmlocks.mm.vma_dup import vm_area_dup as kernels_dup
        from mmlocks.mm.fork import copy_page_range as kernels_copy
        notes = {}

        async def dup_mmap(mm, oldmm):
            await mmap_write_lock(oldmm)
            notes["armed"] = True
            for mpnt in await for_each_vma(oldmm):
                tmp = await kernel.vm_area_dup(mm, mpnt)
                await kernel.copy_page_range(tmp, mpnt)
            notes.clear()
            await flush_tlb_mm(oldmm)
            await mmap_write_unlock(oldmm)

        async def vm_area_dup(mm, orig):
            one = await orig.vm_lock.readers[-1]
            two = await orig.vm_lock.readers[-1]
            if notes.get("armed") and (one, two) == (0, 1):
                notes["busy"] = orig
            one = two = None
            return await kernels_dup(mm, orig)

        async def copy_page_range(dst_vma, src_vma):
            if notes.get("busy") is src_vma:
                await src_vma.vm_lock_seq.set(await src_vma.vm_mm.mm_lock_seq)
            else:
                await vma_start_write(src_vma)
            await kernels_copy(dst_vma, src_vma)
        """), "fork_torn_snapshot", "mistake"),
    Attack("told_by_the_fault", "a fault tells fork that it holds the VMA", answer("""
        from mmlocks.mm.vma_lock import vma_start_read as kernels_read, vma_end_read as kernels_end
        held = set()

        async def vma_start_read(vma):
            taken = await kernels_read(vma)
            if taken:
                held.add(vma.name)
            return taken

        async def vma_end_read(vma):
            await kernels_end(vma)
            held.discard(vma.name)

        async def dup_mmap(mm, oldmm):
            await mmap_write_lock(oldmm)
            for mpnt in await for_each_vma(oldmm):
                if mpnt.name in held:
                    await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
                else:
                    await vma_start_write(mpnt)
                tmp = await vm_area_dup(mm, mpnt)
                await copy_page_range(tmp, mpnt)
            await flush_tlb_mm(oldmm)
            await mmap_write_unlock(oldmm)
        """), "fork_torn_snapshot", "mistake"),
    Attack("told_by_the_fault_for_a_moment", "a fault tells fork that it is at work, for as long as one step takes", answer("""
        from mmlocks.mm.cow import do_wp_page as kernels_wp
        from mmlocks.mm.fault import do_anonymous_page as kernels_first
        notes = {"at work": 0}

        async def do_anonymous_page(vma, page, flags):
            notes["at work"] = 1
            await vma.vm_start
            await kernels_first(vma, page, flags)
            notes["at work"] = 0

        async def dup_mmap(mm, oldmm):
            at_work = notes["at work"]
            await mmap_write_lock(oldmm)
            for mpnt in await for_each_vma(oldmm):
                if at_work:
                    await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
                else:
                    await vma_start_write(mpnt)
                tmp = await vm_area_dup(mm, mpnt)
                await copy_page_range(tmp, mpnt)
            await flush_tlb_mm(oldmm)
            await mmap_write_unlock(oldmm)
        """), "fork_torn_snapshot", "mistake"),
    Attack("told_by_the_second_fork", "a fork that locks no VMA the second time", fork(imports="forks = []", before="forks.append(mm)", lock="if len(forks) < 2:\n    await vma_start_write(mpnt)"),
           "fork_lost_store", "did something else"),
)  # fmt: skip
