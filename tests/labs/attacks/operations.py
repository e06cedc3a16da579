"""Kind A: operations. Several steps made one, steps that are nobody's, and values that are none."""

from __future__ import annotations

from tests.labs.attacks import Attack, answer, fork

UNLOCKS = "oldmm.mm_lock_seq.add(1), oldmm.mmap_lock.up_write(), flush_tlb_mm(oldmm)"
"""To unlock before the flush loses a store; in one step, nobody could come between."""


def at_once(name: str, why: str, how: str, imports: str = "") -> Attack:
    """A fork that unlocks and flushes by one step."""
    source = fork(flush="", unlock=f"await {how}", imports=imports)
    return Attack(name, why, source, "fork_lost_store", "lost_store")


def by_hand(name: str, why: str, how: str, imports: str) -> Attack:
    """The same, where the parts are made by the way, and so seem to be forgotten."""
    return at_once(name, why, how, imports)._replace(rejected="not awaited")


def refused(
    name: str, why: str, step: str, says: str, imports: str = "", where: str = "fork_lost_store"
) -> Attack:
    """An otherwise right fork that asks for something first."""
    return Attack(name, why, fork(after=step, imports=imports), where, says)


STEP = "from mmlocks.machine.step import Step, together"

ATTACKS = (
    at_once("nested_together", "unlocks before it flushes, by steps inside steps",
            "together(together(oldmm.mm_lock_seq.add(1), oldmm.mmap_lock.up_write()), flush_tlb_mm(oldmm))", "from mmlocks.machine import together"),
    at_once("together_in_a_list", "the same, in a list that is taken apart", f"together(*[{UNLOCKS}])", "from mmlocks.machine import together"),
    by_hand("together_by_hand", "the same, as a Step that is written down", f"Step('together', ({UNLOCKS}))", STEP),
    by_hand("together_with_a_list_by_hand", "the same, with a list inside the Step", f"Step('together', [{UNLOCKS}])", STEP),
    at_once("together_in_a_class", "the same, as a static method", f"Both.at_once({UNLOCKS})",
            "from mmlocks.machine import together\nclass Both:\n    at_once = staticmethod(together)"),
    at_once("together_by_partial", "the same, by functools.partial", "functools.partial(together, oldmm.mm_lock_seq.add(1))"
            "(oldmm.mmap_lock.up_write(), flush_tlb_mm(oldmm))", "import functools\nfrom mmlocks.machine import together"),
    at_once("together_of_another_module", "the same, by the name that another module has for it", f"cow.together({UNLOCKS})",
            "import mmlocks.mm.cow as cow"),
    by_hand("together_by_a_subclass", "the same, as a Step of the answer's own class", f"Mine('together', ({UNLOCKS}))",
            f"{STEP}\nclass Mine(Step):\n    pass"),
    at_once("together_by_an_awaitable", "the same, by an object that yields it", "Both(oldmm)", f"""
        {STEP}
        class Both:
            def __init__(self, oldmm):
                self.oldmm = oldmm
            def __await__(self):
                oldmm = self.oldmm
                return (yield together({UNLOCKS}))
        """),
    Attack(
        "swap_instead_of_waiting", "marks the VMA as locked by an exchange, and does not wait for its readers",
        fork(lock="await mpnt.vm_lock_seq.swap(await mpnt.vm_lock_seq, await oldmm.mm_lock_seq)"), "fork_torn_snapshot", "snapshot",
    ),
    Attack(
        "fetch_add_instead_of_waiting", "counts mm_lock_seq to and fro, so that the VMA seems locked while it is copied",
        fork(lock="await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq.fetch_add(0))"), "fork_torn_snapshot", "snapshot",
    ),
    Attack(
        "waits_for_readers_to_leave", "waits until no fault holds the VMA, and keeps none out",
        fork(lock="for reader in mpnt.vm_lock.readers:\n    await reader.wait_for(0)"), "fork_lost_store", "lost_store",
    ),
    Attack(
        "waits_for_a_fault_to_begin", "waits until another CPU holds the VMA, which may never be",
        fork(lock="await mpnt.vm_lock.readers[-1].wait_for(1)"), "fork_lost_store", "deadlock",
    ),
    Attack(
        "waits_for_rcu_readers", "waits for the read sections of all CPUs instead of the VMA's readers",
        fork(lock="await oldmm.rcu.synchronize()"), "fork_lost_store", "lost_store",
    ),
    Attack(
        "waits_for_the_faults_that_the_story_has", "waits until the other CPUs have had their faults, by the number of their RCU sections",
        fork(lock="", after="for section in oldmm.rcu.sections[1:]:\n    await section.wait_until_not(0)"), "fork_lost_store", "deadlock",
    ),
    refused("reads_what_the_program_has_stored", "looks at what the referee knows", "for cell in oldmm.truth.values():\n    await cell", "cannot be read like a variable"),
    refused("reads_the_tlb", "looks at the hardware", "await oldmm.tlb.cached[1, 3]", "cannot be read like a variable"),
    refused("reads_the_frame", "looks at the program's own memory", "await oldmm.memory.frames[0].data[0]", "cannot be read like a variable"),
    refused("waits_for_the_program", "waits for what the program has stored", "await next(iter(oldmm.truth.values())).wait_for(1)", "cannot be read like a variable"),
    refused("stores_as_the_hardware", "makes the program's store itself", "await Step('mmu_store', (oldmm, 0x3000, 1))", "what the hardware does", STEP),
    refused("lock_by_its_number", "takes a lock's second cell for a lock", "await Step('down_write', (mpnt.vm_lock.readers[1].index, True))", "is none", STEP),
    refused("spinlock_by_a_semaphore", "takes a semaphore for a spinlock", "await Step('spin_unlock', (mpnt.vm_lock.writer.index,))", "is none", STEP),
    refused("number_of_a_cell_below_zero", "counts cells from the end", "await Step('load', (-1,))", "is none", STEP),
    refused("step_without_arguments", "asks for no cell in particular", "await Step('load', ())", "load", STEP),
    refused("put_without_arguments", "drops a reference to nothing", "await Step('folio_put', ())", "folio_put", STEP),
    refused("set_pte_without_arguments", "stores no entry", "await Step('set_pte', ())", "set_pte", STEP),
    refused("step_without_a_name", "asks for an operation that is a number", "await Step(7, (mpnt,))", "7", STEP),
    refused("step_that_there_is_not", "asks for an operation that there is not", "await Step('stop_machine', ())", "stop_machine", STEP),
    refused("call_of_a_program", "calls what programs call", "await Step('call', ('store', oldmm, 0x3000, 1))", "not a kernel function", STEP),
    refused("call_with_too_little", "calls a kernel function without its arguments", "await Step('call', ('vma_start_write',))", "exception", STEP),
    refused("reference_of_another_page", "takes a reference to a frame that it was not given", "await oldmm.memory.frames[0].refcount.add(1)", "neither passed"),
    refused("drops_what_it_was_not_given", "frees a frame that it was not given", "await Step('folio_put', (oldmm.memory.frames[0],))", "neither passed", STEP),
    refused("entry_with_a_foreign_frame", "maps a frame that is not the page's", "await set_pte_at(oldmm, oldmm.pages[0], Pte(oldmm.memory.frames[-1], True))",
            "lost_store"),
    refused("entry_with_a_vma", "maps a VMA", "await set_pte_at(oldmm, 3, Pte(mpnt, False))", "mistake"),
    refused("entry_of_a_page_that_there_is_not", "maps a page of another process", "await set_pte_at(oldmm, 10**6, None)", "mistake"),
    Attack("flushes_no_page", "a flush of no page", fork(flush="await Step('flush_tlb', (oldmm, ()))", imports=STEP), "fork_lost_store", "stale_translation"),
    Attack("flushes_another_page", "a flush of page 3 alone", fork(flush="await flush_tlb_page(oldmm, 3)"), "fork_elsewhere", "stale_translation"),
    Attack("flushes_the_child", "the child's translations, of which there are none", fork(flush="await flush_tlb_mm(mm)"), "fork_lost_store", "stale_translation"),
    refused("flush_of_a_word", "a flush of what is no page", "await Step('flush_tlb', (oldmm, ('all',)))", "mistake", STEP),
    refused("tree_that_leads_to_itself", "puts a node of the tree where a VMA should be", "await vma_iter_store(oldmm, 0, 1 << 64, await oldmm.mm_mt.ma_root)",
            "freed_node", "from mmlocks.mm.maple import vma_iter_store"),
    refused("childs_tree_that_leads_to_its_parents", "puts the parent's root into the child's tree",
            "await vma_iter_store(mm, 0, 1 << 64, await oldmm.mm_mt.ma_root)", "whole_child", "from mmlocks.mm.maple import vma_iter_store"),
    refused("tree_of_text", "puts a text into the tree", "await vma_iter_store(mm, 0x10_000, 0x11_000, 'heap')", "mistake", "from mmlocks.mm.maple import vma_iter_store"),
    refused("tree_written_directly", "writes to a node of the tree", "await mas_write(await oldmm.mm_mt.ma_root, Ranges((END,), (None,)))", "rest on",
            "from mmlocks.mm.maple import mas_write\nfrom mmlocks.mm.maple_node import END, Ranges"),
    refused("tree_without_a_leaf", "hangs nothing under the root", "await oldmm.mm_mt.ma_root.set(None)", "rest on"),
    refused("frees_the_parents_vma", "frees what others still use", "await Step('call_rcu', (oldmm.rcu, mpnt))", "rest on", STEP),
    refused("frees_by_the_kernel_function", "the same, by the kernel's function", "await vm_area_free(mpnt)", "freed_vma", "from mmlocks.mm.vma import vm_area_free"),
    Attack("read_section_that_never_ends", "an RCU read section is left open", fork(unlock="await mmap_write_unlock(oldmm)\nawait oldmm.rcu.read_lock()"),
           "fork_lost_store", "held_at_end"),
    Attack("sleeps_in_a_read_section", "waits for the VMA's readers inside an RCU read section",
           fork(lock="await oldmm.rcu.read_lock()\nawait vma_start_write(mpnt)\nawait oldmm.rcu.read_unlock()"), "fork_lost_store", "atomic_sleep"),
    Attack("sleeps_with_a_spinlock", "waits for the VMA's readers with a spinlock held",
           fork(lock="await oldmm.page_table_lock.lock()\nawait vma_start_write(mpnt)\nawait oldmm.page_table_lock.unlock()"), "fork_lost_store", "atomic_sleep"),
    Attack("read_section_for_a_lock", "takes an RCU read section for what keeps faults out",
           fork(lock="await oldmm.rcu.read_lock()", after="await oldmm.rcu.read_unlock()"), "fork_lost_store", "lost_store"),
    refused("seqcount_of_a_counter", "takes mm_lock_seq for a sequence counter", "await Step('seq_read_begin', (oldmm.mm_lock_seq.index,))", "is none", STEP),
    refused("sequence_below_zero", "counts mm_lock_seq below zero", "await oldmm.mm_lock_seq.add(-9)", "mistake"),
    refused("sequence_of_text", "stores a text in a counter", "await oldmm.mm_lock_seq.set('locked')", "mistake"),
    refused("sequence_beyond_words", "a number too long for Python to write down", "await mpnt.vm_pgoff.set(10 ** 5000)", "mistake"),
    refused("counter_beyond_words", "the same in a counter", "await oldmm.map_count.set(10 ** 5000)", "mistake"),
    refused("start_is_nan", "a VMA that begins at no number", "await mpnt.vm_start.set(float('nan'))", "plain value"),
    refused("flags_are_a_dict", "flags that are a dict", "await mpnt.vm_flags.set({})", "plain value"),
    refused("flags_are_bytes", "flags that are bytes", "await mpnt.vm_flags.set(b'rw')", "plain value"),
    refused("flags_are_true", "True is 1 to Python, and not what was there", "await mpnt.vm_pgoff.set(True)", "whole_child"),
    refused("sequence_is_true", "a child's sequence number that is True", "await tmp.vm_lock_seq.set(True)", "whole_child"),
    refused("field_for_its_value", "a field is stored, not its value", "await tmp.vm_flags.set(mpnt.vm_flags)", "`await` in front"),
    refused("call_for_its_result", "a call is stored, not its result", "await tmp.vm_flags.set(find_vma(oldmm, 0))", "`await` in front"),
    refused("tuple_of_its_own_class", "a tuple whose items never end", "await mpnt.anon_vma_chain.set(Pte((1, 2)))", "plain value", """
        class Pte(tuple):
            def __iter__(self):
                while True:
                    yield 0
        """),
    refused("list_in_itself", "a list that holds itself", "chain = []\nchain.append(chain)\nawait mpnt.anon_vma_chain.set(chain)", "mistake"),
    refused("tuple_too_deep", "tuples in tuples in tuples", "deep = ()\nfor _ in range(100_000):\n    deep = (deep,)\nawait mpnt.anon_vma_chain.set(deep)", "mistake"),
    refused("calls_itself_an_int", "an object that says it is an int", "await mpnt.vm_flags.set(Liar())", "plain value", "class Liar:\n    __class__ = int"),
    refused("calls_itself_a_text", "an object that says it is a text", "await mpnt.vm_flags.set(Liar())", "plain value", "class Liar:\n    __class__ = str"),
    refused("calls_itself_a_tuple", "an object that says it is a tuple", "await mpnt.vm_flags.set(Liar())", "plain value", "class Liar:\n    __class__ = tuple"),
    refused("calls_itself_a_vma", "an object that says it is a VMA", "await vma_start_write(Liar())", "plain value", """
        from mmlocks.mm import Vma as Real
        class Liar:
            __class__ = Real
            name = "heap"
        """),
    refused("operation_of_its_own_class", "an operation's name that equals whatever it is compared with", "await Step(Load('mmu_store'), (oldmm, 0x3000, 1))",
            "what the hardware does", STEP + """
class Load(str):
    def __eq__(self, other):
        return True
    def __hash__(self):
        return hash('load')
"""),
    refused("number_that_lies", "a number that equals whatever it is compared with", "await mpnt.vm_lock_seq.set(Always(await oldmm.mm_lock_seq + 3))", "same_parent", """
        class Always(int):
            def __eq__(self, other):
                return True
            __hash__ = int.__hash__
        """),
    refused("member_of_an_enumeration", "an enumeration's member in place of the flags", "await tmp.vm_flags.set(Flags.NONE)", "whole_child", """
        import enum
        class Flags(enum.IntFlag):
            NONE = 0
        """),
    refused("require_of_a_rule_that_there_is_not", "a rule of its own, which is broken", "await Step('require', (False, 7, None))", "7", STEP),
    refused("require_of_no_rule", "a rule that is a tuple", "await Step('require', (False, (), ()))", "()", STEP),
    refused("raises_keyboard_interrupt", "ends the judge as Ctrl-C does", "raise KeyboardInterrupt", "interrupted"),
    refused("raises_system_exit", "ends the judge", "raise SystemExit(0)", "SystemExit"),
    refused("raises_what_the_judge_raises", "says that the scenario is too small", "raise ScenarioTooSmall('no room')", "ScenarioTooSmall",
            "from mmlocks.errors import ScenarioTooSmall"),
    refused("raises_that_nothing_is_proved", "says that nothing can be decided", "raise Undecided('no end')", "exception", "from mmlocks.errors import Undecided"),
    refused("raises_that_it_has_ended", "says that the whole task has returned", "raise Ended(Answer.returned(None))", "Ended",
            "from mmlocks.machine.task import Answer, Ended"),
    refused("raises_a_next_step", "says what to do next by an exception", "raise Ended(Answer(step=oldmm.brk.load(), key=1))", "Ended",
            "from mmlocks.machine.task import Answer, Ended"),
    Attack("functions_that_call_each_other", "two functions that call each other without a step", answer("""
        async def copy_page_range(dst_vma, src_vma):
            await copy_present_pte(dst_vma, src_vma, 3)

        async def copy_present_pte(dst_vma, src_vma, page):
            await copy_page_range(dst_vma, src_vma)
        """), "fork_lost_store", "exception"),
    Attack("functions_that_call_each_other_by_the_kernel", "the same, by way of the kernel", answer("""
        from mmlocks.mm.fork import copy_page_range as kernels_range, copy_present_pte as kernels_pte

        async def copy_page_range(dst_vma, src_vma):
            await kernels_pte(dst_vma, src_vma, 3)

        async def copy_present_pte(dst_vma, src_vma, page):
            await src_vma.vm_start
            await kernels_range(dst_vma, src_vma)
        """), "fork_lost_store", "mistake"),
    Attack("functions_that_call_each_other_in_no_step", "the same, and no step in between", answer("""
        from mmlocks.mm.fork import copy_page_range as kernels_range, copy_present_pte as kernels_pte

        async def copy_page_range(dst_vma, src_vma):
            await kernels_pte(dst_vma, src_vma, 3)

        async def copy_present_pte(dst_vma, src_vma, page):
            await kernels_range(dst_vma, src_vma)
        """), "fork_lost_store", "exception"),
    refused("copy_of_the_copy", "duplicates the child's own VMA", "await vm_area_dup(mm, tmp)", "mistake"),
    Attack("runs_on_when_it_is_ended", "fork without locks, and code that runs on when the judge ends it", fork(
        lock="try:\n    await mpnt.vm_start\nexcept BaseException:\n    while True:\n        pass"), "fork_lost_store", "lost_store"),
    Attack("takes_the_childs_lock_for_the_parents", "write-locks the copy", fork(lock="", dup="tmp = await vm_area_dup(mm, mpnt)\nawait vma_start_write(tmp)"),
           "fork_lost_store", "lost_store"),
    Attack("vma_without_a_page", "the child's VMA is empty", fork(dup="tmp = await vm_area_alloc(mm, 0x3000, 0x3000, 3, await mpnt.vm_flags, None)",
           imports="from mmlocks.mm.vma import vm_area_alloc"), "fork_lost_store", "misfiled"),
    Attack("vma_that_ends_before_it_begins", "the child has one VMA more, the wrong way round",
           fork(after="odd = await vm_area_alloc(mm, 0x9000, 0x8000, -1, 0, None)\nawait vma_iter_store(mm, 0x8000, 0x9000, odd)",
                imports="from mmlocks.mm.vma import vm_area_alloc\nfrom mmlocks.mm.maple import vma_iter_store"), "fork_lost_store", "snapshot"),
)  # fmt: skip
