"""Where a learner's function ends and the kernel begins: whatever is called, the kernel under examination runs it, and nothing else passes."""

from __future__ import annotations

import contextvars
import functools
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

import mmlocks.mm
import mmlocks.mm.vma_lock
from mmlocks.errors import NotJudged, Undecided
from mmlocks.machine import loops, together
from mmlocks.machine.foreign import Foreign
from mmlocks.machine.values import Step
from mmlocks.mm import (
    SegmentationFault,
    copy_page_range,
    do_user_addr_fault,
    flush_tlb_mm,
    for_each_vma,
    mmap_write_lock,
    mmap_write_unlock,
    vm_area_dup,
    vma_start_write,
)
from mmlocks.mm.kernel import APART, Kernel
from mmlocks.mm.stubs import is_stub, kernel_text, text_of
from mmlocks.mm.tlb import mmu_load
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check, replay

LOST, TORN = SCENARIOS["fork_lost_store"], SCENARIOS["fork_torn_snapshot"]


def verdict_of(scenario: Any = LOST, **functions: Callable[..., Any]) -> Any:
    return check(scenario, Kernel(RELEASES["6.4.0"], functions)).verdict


def said(scenario: Any = LOST, **functions: Callable[..., Any]) -> str:
    verdict = verdict_of(scenario, **functions)
    assert verdict.violation is not None, verdict
    return f"{verdict.violation.oracle}: {verdict.violation.message}"


async def fixed(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


async def unfixed(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


# -- every road leads to the kernel -----------------------------------------------------------------------------------


def test_a_kernel_function_is_a_stub_wherever_it_is_imported_from() -> None:
    for name, text in kernel_text().items():
        module = __import__(text.__module__, fromlist=["_"])
        assert is_stub(getattr(module, name)), name
        assert text_of(getattr(module, name)) is text
    assert mmlocks.mm.vma_start_write is mmlocks.mm.vma_lock.vma_start_write


def test_a_stub_looks_like_the_function_that_it_asks_for() -> None:
    import inspect

    assert "vm_lock_seq" in inspect.getsource(mmlocks.mm.vma_start_write)
    assert list(inspect.signature(mmlocks.mm.copy_page_range).parameters) == ["dst_vma", "src_vma"]


class Locks:
    """Ways to reach vma_start_write that relinking of globals would not see."""

    direct = staticmethod(vma_start_write)
    partial = functools.partial(vma_start_write)
    table = (mmlocks.mm.vma_lock.vma_start_write,)

    async def method(self, vma):
        await self.direct(vma)

    @classmethod
    async def of_the_class(cls, vma):
        await cls.table[0](vma)


@pytest.mark.parametrize(
    "lock",
    [Locks.direct, Locks.partial, Locks.table[0], Locks().method, Locks.of_the_class],
    ids=range(5),
)
def test_the_kernel_function_is_found_however_it_is_called(lock: Any) -> None:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await lock(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    assert verdict_of(dup_mmap=dup_mmap).outcome == "safe"


def test_a_replaced_function_is_called_by_the_kernel_and_by_other_replaced_ones() -> None:
    """The lock is in copy_present_pte. The kernel's copy_page_range calls it, which dup_mmap reaches through a class."""
    called = []

    async def copy_present_pte(dst_vma, src_vma, page):
        called.append(page)
        await vma_start_write(src_vma)
        await original(dst_vma, src_vma, page)

    from mmlocks.mm import copy_present_pte as original

    class Fork:
        @staticmethod
        async def one(mm, mpnt):
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await Fork.one(mm, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    assert verdict_of(dup_mmap=dup_mmap, copy_present_pte=copy_present_pte).outcome == "safe"
    assert called
    assert verdict_of(dup_mmap=dup_mmap).outcome == "violated"


def test_two_replacements_get_one_verdict_in_either_order() -> None:
    async def copy_page_range(dst_vma, src_vma):
        await vma_start_write(src_vma)
        await mmlocks.mm.copy_page_range(dst_vma, src_vma)

    one = {"dup_mmap": unfixed, "copy_page_range": copy_page_range}
    other = dict(reversed(one.items()))
    assert verdict_of(**one).outcome == verdict_of(**other).outcome == "safe"


def test_a_function_that_calls_the_one_it_replaces_gets_the_kernels_own() -> None:
    async def copy_page_range(dst_vma, src_vma):
        await vma_start_write(src_vma)
        await mmlocks.mm.copy_page_range(dst_vma, src_vma)  # not itself for ever

    assert verdict_of(copy_page_range=copy_page_range).outcome == "safe"


def test_an_exception_of_the_kernel_reaches_the_function_that_called_it() -> None:
    met = []

    async def dup_mmap(mm, oldmm):
        try:
            await do_user_addr_fault(oldmm, 0x40000000, 4)
        except SegmentationFault as fault:
            met.append(str(fault))
        await fixed(mm, oldmm)

    assert verdict_of(dup_mmap=dup_mmap).outcome == "safe"
    assert set(met) == {"no VMA at 0x40000000"}


def test_kernel_text_that_runs_outside_of_the_kernel_is_not_judged() -> None:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        await text_of(vma_start_write)((await for_each_vma(oldmm))[0])

    with pytest.raises(
        NotJudged,
        match=r"not judged: dup_mmap \(test_boundary.py, line \d+\) runs the text of vma_start_write directly",
    ):
        verdict_of(dup_mmap=dup_mmap)


# -- what may pass ----------------------------------------------------------------------------------------------------


def refused(step: Callable[[Any, Any], Any]) -> str:
    async def dup_mmap(mm, oldmm):
        await step(mm, oldmm)

    return said(dup_mmap=dup_mmap)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda mm, oldmm: mmu_load(oldmm, 0x3000), "mmu_load is what the hardware does for a program"),
        (lambda mm, oldmm: Step("load", (10**9,)), "load needs a field or a lock of a handle, and 1000000000 is none"),
        (lambda mm, oldmm: Step("load", (-1,)), "load needs a field or a lock"),
        (lambda mm, oldmm: Step("load", (True,)), "load needs a field or a lock"),
        (lambda mm, oldmm: Step("up_read", (oldmm.mmap_lock.writer.index - 1,)), "up_read works on a semaphore"),
        (lambda mm, oldmm: Step("spin_unlock", (oldmm.mmap_lock.writer.index,)), "spin_unlock works on a spinlock"),
        (lambda mm, oldmm: Step("seq_read_begin", (oldmm.truth[3, 0].index,)), "works on a sequence counter"),
        (lambda mm, oldmm: oldmm.truth[3, 0].load(), r"truth P3\[0\] cannot be read like a variable"),
        (lambda mm, oldmm: mm.mm_mt.ma_root.set(None), "a store to child.mm_mt.ma_root changes what the kernel's tables rest on"),
        (lambda mm, oldmm: Step("mas_retire", (oldmm.mm_mt, oldmm.mm_mt.nodes.members[0])), "mas_retire changes what"),
        (lambda mm, oldmm: Step("call_rcu", (oldmm.rcu, oldmm.vmas[0])), "call_rcu changes what"),
        (lambda mm, oldmm: Step("folio_put", (oldmm.memory.frames[0],)), "the reference count of F0 is changed"),
        (lambda mm, oldmm: oldmm.memory.frames[0].refcount.add(1), "the reference count of F0 is changed"),
        (lambda mm, oldmm: Step("call", ("no_such_function", mm)), "no_such_function is not a kernel function"),
        (lambda mm, oldmm: Step("no_such_step", ()), "a message cannot be read|no_such_step"),
        (lambda mm, oldmm: oldmm.mm_lock_seq.set(oldmm.mm_lock_seq), "the field mm_lock_seq itself is passed on, not its value"),
        (lambda mm, oldmm: oldmm.mm_lock_seq.set(1.5), "a float is passed on, which is not a plain value"),
        (lambda mm, oldmm: together(oldmm.mm_lock_seq, mmu_load(oldmm, 0x3000)), "mmu_load is what the hardware does"),
        (lambda mm, oldmm: together(together(mmu_load(oldmm, 0x3000))), "mmu_load is what the hardware does"),
    ],
    ids=range(19),
)  # fmt: skip
def test_a_step_that_kernel_code_does_not_take_is_refused(step: Any, words: str) -> None:
    assert refused(step).startswith("mistake: cpu0, in dup_mmap (test_boundary.py, line ")
    assert re.search(words, refused(step)), refused(step)


def test_a_function_may_do_what_the_one_that_it_replaces_does() -> None:
    """vm_area_free may give a VMA to call_rcu. dup_mmap may not."""

    async def vm_area_free(vma):
        await vma.vm_mm.rcu.call(vma)

    scenario = (
        SCENARIOS["munmap_detached"]
        if "munmap_detached" in SCENARIOS
        else SCENARIOS["munmap_downgrade"]
    )
    own = check(scenario, "6.6-like").verdict.outcome
    kernel = Kernel(RELEASES["6.6-like"], {"vm_area_free": vm_area_free})
    assert check(scenario, kernel).verdict.outcome == own == "safe"


def test_a_handle_takes_no_notes() -> None:
    async def dup_mmap(mm, oldmm):
        oldmm.note = 1

    assert "mm is a handle, and note cannot be kept in it" in said(dup_mmap=dup_mmap)


def test_what_equals_everything_is_no_value() -> None:
    class Lies(int):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 7

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await mpnt.vm_lock.down_write()
            await mpnt.vm_lock_seq.set(Lies(3))  # stored as the 3 that it is, which is mm_lock_seq
            await mpnt.vm_lock.up_write()
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    checked = check(LOST, Kernel(RELEASES["6.4.0"], {"dup_mmap": dup_mmap}))
    values = [value for cell in checked.machine.layout.cells for value in cell.met]
    assert checked.verdict.outcome == "safe"
    assert not [value for value in values if type(value) is Lies]


def test_several_operations_are_never_one_step_whatever_that_is_called() -> None:
    at_once = together

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await at_once(
            together(oldmm.mm_lock_seq.add(1), oldmm.mmap_lock.up_write()), flush_tlb_mm(oldmm)
        )

    assert said(dup_mmap=dup_mmap).startswith("lost_store")


# -- merging is verified ----------------------------------------------------------------------------------------------

NOTES: dict[str, Any] = {}
VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("busy")


class Noted:
    busy = 0


def keeps(write: Callable[[Any], Any], read: Callable[[], Any]) -> Callable[..., Any]:
    """Wrong: it does not wait for a fault that has the VMA. Whether there is one is noted where no frame shows it."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            write(await mpnt.vm_lock.readers[1])
            await mpnt.vm_lock_seq
            if read():
                await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
            else:
                await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    return dup_mmap


def test_a_loop_of_calls_that_take_no_step_is_found_although_no_code_of_the_answer_runs() -> None:
    async def mmap_write_lock(mm):
        return None

    async def dup_mmap(mm, oldmm):
        while True:
            await mmlocks.mm.mmap_write_lock(oldmm)

    message = said(dup_mmap=dup_mmap, mmap_write_lock=mmap_write_lock)
    assert "dup_mmap (test_boundary.py, line" in message
    assert "runs on and on without an await" in message


def _note_on_a_function(value: Any) -> None:
    _note_on_a_function.busy = value


HIDING_PLACES = {
    "a global dict": (lambda value: NOTES.update(busy=value), lambda: NOTES["busy"]),
    "a class": (lambda value: setattr(Noted, "busy", value), lambda: Noted.busy),
    "a context variable": (VARIABLE.set, VARIABLE.get),
    "a function": (_note_on_a_function, lambda: _note_on_a_function.busy),
    "a module": (lambda value: setattr(functools, "busy", value), lambda: functools.busy),
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_a_note_that_no_frame_shows_gets_no_wrong_answer_proved(place: str) -> None:
    assert said(TORN, dup_mmap=keeps(*HIDING_PLACES[place])).startswith("snapshot")


def test_believing_merges_would_prove_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above tests something."""
    monkeypatch.setattr(Foreign, "verify", lambda *_: None)
    assert verdict_of(TORN, dup_mmap=keeps(*HIDING_PLACES["a global dict"])).outcome == "safe"


def test_a_debug_list_that_is_only_written_does_not_matter() -> None:
    seen: list[str] = []

    async def dup_mmap(mm, oldmm):
        seen.append("called")
        await fixed(mm, oldmm)

    assert verdict_of(dup_mmap=dup_mmap).outcome == "safe"


def test_a_note_from_one_call_to_the_next_is_found_with_functions_made_anew() -> None:
    def make() -> dict[str, Callable[..., Any]]:
        forked: list[int] = []

        async def dup_mmap(mm, oldmm):
            forked.append(1)
            if len(forked) > 3:  # always so by the time that it is run again
                await fixed(mm, oldmm)
            else:
                await fixed(mm, oldmm)
                await oldmm.mm_lock_seq

        return {"dup_mmap": dup_mmap}

    kernel = Kernel(RELEASES["6.4.0"], make(), again=make)
    violation = check(LOST, kernel).verdict.violation
    assert violation is not None
    assert violation.oracle == "mistake"


# -- nothing hangs ----------------------------------------------------------------------------------------------------


def test_a_loop_that_begins_later_is_stopped_as_well() -> None:
    locked: list[bool] = []

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        while locked:
            pass
        locked.append(True)
        await mmap_write_unlock(oldmm)

    assert re.search(
        "runs on and on without an await|did something else in dup_mmap", said(dup_mmap=dup_mmap)
    )


def test_a_bare_except_around_a_loop_does_not_save_it() -> None:
    async def dup_mmap(mm, oldmm):
        while True:
            try:
                while True:
                    pass
            except:  # noqa: E722
                pass

    assert "runs on and on without an await" in said(dup_mmap=dup_mmap)


@pytest.mark.skipif(sys.platform == "emscripten", reason="there is no alarm in a browser's Python")
def test_waiting_for_something_else_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(loops, "SECONDS", 0.3)

    async def dup_mmap(mm, oldmm):
        time.sleep(100)

    with pytest.raises(
        NotJudged,
        match=r"dup_mmap \(test_boundary.py, line \d+\) waits for something outside of this machine",
    ):
        verdict_of(dup_mmap=dup_mmap)


def test_a_loop_that_counts_its_rounds_is_unproved_and_says_why() -> None:
    async def dup_mmap(mm, oldmm):
        rounds = 0
        while True:
            rounds += 1
            await oldmm.mm_lock_seq

    verdict = verdict_of(TORN, dup_mmap=dup_mmap)
    assert verdict.outcome == "unproved"
    assert "a loop that counts its rounds does that" in verdict.reason
    assert issubclass(Undecided, Exception)


# -- how it is shown --------------------------------------------------------------------------------------------------


def test_a_wrong_answer_is_shown_in_as_few_steps_as_the_release() -> None:
    checked = check(LOST, Kernel(RELEASES["6.4.0"], {"dup_mmap": unfixed}))
    assert checked.schedule is not None
    assert len(checked.schedule) == len(check(LOST, "6.4.0").schedule or ()) == 20
    _, _, run = replay(str(checked.schedule), Kernel(RELEASES["6.4.0"], {"dup_mmap": unfixed}))
    assert run.violation == checked.verdict.violation


def test_a_run_of_single_operations_is_replayed_in_single_operations() -> None:
    kernel = Kernel(RELEASES["6.4.0"], {"dup_mmap": unfixed}).taken_apart()
    checked = check(LOST, kernel)
    assert checked.schedule is not None
    assert checked.schedule.kernel.endswith(APART)
    assert len(checked.schedule) > 20
    _, _, run = replay(str(checked.schedule), Kernel(RELEASES["6.4.0"], {"dup_mmap": unfixed}))
    assert run.violation == checked.verdict.violation
    assert 20 <= len(run.joined()) < len(run)
    assert run.joined().violation == run.violation
    assert all(run.joined().told(number) for number in range(len(run.joined())))


def test_a_step_of_a_foreign_function_is_shown_where_it_stands() -> None:
    async def helper(mm, mpnt):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await helper(mm, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    machine = check(LOST, Kernel(RELEASES["6.4.0"], {"dup_mmap": dup_mmap})).machine
    chains = {
        tuple(place.function for place in node.answer.where) for node in machine.tasks[0].nodes
    }
    assert ("forker", "fork", "dup_mmap", "helper", "copy_page_range", "copy_present_pte") in chains
    assert not {name for chain in chains for name in chain} & {
        "stub",
        "stand_in",
        "crossing",
        "carried_out_here",
    }
