"""Honest answers to lab 07 in unusual Python: none of the right ones is misjudged, and each of the others is told where it slipped.

Every file in unusual_answers/ says in its first line what is unusual about it. Those in right/ fix the bug; those in wrong/ do not, or do not run. Where a
line in the latter ends with `# here`, that is the line that its author has to be told.
"""

import gc
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mmlocks.errors import AnswerError
from mmlocks.labs import LABS, Judgement
from mmlocks.labs.lab import Finding
from mmlocks.machine import Layout
from mmlocks.machine.coroutine import CoroutineSupplier
from mmlocks.machine.parting import first_difference
from mmlocks.machine.task import Answer, Ended
from mmlocks.scenarios import SCENARIOS, VARIANTS, asked, check

pytestmark = [
    pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("error::RuntimeWarning"),
]

LAB = LABS["lab07_fork_vs_fault"]
HERE = Path(__file__).parent / "unusual_answers"
RIGHT = sorted(path.stem for path in (HERE / "right").glob("*.py"))
QUICK = ("fork_lost_store", "fork_torn_across_vmas")
"""Scenarios that an answer is judged by in every test run: the story itself, and one with two VMAs that meets locked ones."""

COSTLY = {
    "fault_waits_instead": "waits for the whole of fork",
    "locks_all_first": "waits for the whole of fork",
    "flushes_in_a_finally": "flushes the TLBs 2 times",
}
UNPROVED = {"spins_under_a_logger": "its local variables never came back to what they had been"}
"""A known limit: a loop without a bound, beside an object of which nobody can say whether two of it are the same."""

# What each says: WRONG, or a refusal to judge it at all.
WRONG = {
    "address_in_place_of_a_page": r"KeyError in copy_present_pte \(mm/fork.py:\d+\), called from copy_page_range \(HERE\): 'there is no \d+ here, only 3'",
    "arguments_swapped": r"TypeError in dup_mmap \(HERE\): vm_area_dup\(mm, orig\) takes a handle of kind Mm as mm, and this is heap, of kind Vma",
    "asyncio_gather": r"awaited a _GatheringFuture in dup_mmap \(HERE\), which is not a step of this machine\. Await kernel functions",
    "asyncio_lock": r"a completed store vanishes",
    "asyncio_sleep": r"RuntimeError in dup_mmap \(HERE\): no running event loop\. asyncio does not run here: await kernel functions, cells and steps only",
    "attribute_of_the_module_misspelled": r"AttributeError in dup_mmap \(HERE\): module 'mmlocks.mm' has no attribute 'vma_lock_write'",
    "await_before_the_loop_forgotten": r"for_each_vma\(\) was called but not awaited \(HERE\), so it did nothing\. Write `await for_each_vma\(\.\.\.\)`",
    "await_of_a_method_forgotten": r"lock\(\) was called but not awaited \(HERE\), so it did nothing\. Write `await lock\(\.\.\.\)`",
    "await_of_a_step_forgotten": r"up_write\(heap\.vm_lock\) by a CPU that does not hold it for writing\. Take it first",
    "await_of_a_stub_forgotten": r"vma_start_write\(\) was called but not awaited \(HERE\), so it did nothing\. Write `await vma_start_write\(\.\.\.\)`",
    "await_of_the_flush_forgotten": r"the step flush_tlb was made in dup_mmap \(HERE\) but not awaited, so it did nothing\. Write `await` in front of it",
    "awaits_a_coroutine_twice": r"RuntimeError in dup_mmap \(HERE\): cannot reuse already awaited coroutine\. Call the function again for each `await`",
    "awaits_a_handle": r"awaited a Vma in dup_mmap \(HERE\): await kernel functions, cells and steps only",
    "awaits_an_attribute": r"awaited a list in dup_mmap \(HERE\): await kernel functions, cells and steps only",
    "calls_itself_by_its_name": r"101 functions wait for one another, most of them in copy_page_range \(HERE\)\. Does it call itself for ever\?",
    "coroutine_as_argument": r"in dup_mmap \(HERE\): a call of vm_area_dup is passed on, not its result; write `await` in front of it",
    "def_without_async": r"dup_mmap must be a function written `async def dup_mmap\(\.\.\.\)`, and this is a plain `def`",
    "dropped_in_a_list": r"vma_start_write\(\) was called but not awaited \(HERE\), so it did nothing",
    "fails_every_other_time": r"did something else in dup_mmap \(fails_every_other_time\.py, line \d+\): .*look for .*a global variable",
    "field_as_argument": r"TypeError in dup_mmap \(HERE\): vma_start_write\(vma\) takes a handle of kind Vma as vma, and this is heap\.vm_lock, of kind RwSem",
    "field_assigned": r"AttributeError in dup_mmap \(HERE\): heap is a handle, and vm_lock_seq cannot be kept in it.* `await heap\.vm_lock_seq\.set\(\.\.\.\)`",
    "field_in_a_range": r"called from copy_page_range \(HERE\): unsupported operand .*\. A field was used in place of its value: write `await` in front of it",
    "field_in_place_of_its_value": r"in dup_mmap \(HERE\): the field mm_lock_seq itself is passed on, not its value; write `await` in front of it",
    "field_misspelled": r"AttributeError in dup_mmap \(HERE\): 'Vma' object has no attribute 'lock'\. Is vm_lock meant\?",
    "fields_compared": r"TypeError in dup_mmap \(HERE\): mm_lock_seq was compared but never read; write `await` in front of it",
    "float_in_a_step": r"in dup_mmap \(HERE\): a float is passed on, which is not a plain value: fields, steps and kernel functions take .* whole numbers",
    "for_without_async": r"TypeError in dup_mmap \(HERE\): 'async_generator' object is not iterable\. It awaits and yields: write `async for`",
    "helper_with_a_kernel_name": r"copy_vma is called with 5 arguments \(mm, vma, old, new, length\), and this one takes \(mm, vma\)\. .*if yours is a helper, give it another name",
    "list_of_vmas_in_a_call": r"TypeError in dup_mmap \(HERE\): vma_start_write\(vma\) takes a handle of kind Vma as vma, and this is of kind tuple",
    "lock_as_a_condition": r"TypeError in dup_mmap \(HERE\): the step down_write was used as a value but never awaited; write `await` in front of it",
    "lock_takes_a_number": r"KeyError in copy_page_range \(HERE\): 'there is no \d+ here, only 3'",
    "lock_without_parentheses": r"awaited a method in dup_mmap \(HERE\): write `\(\.\.\.\)` behind its name, so that it is called",
    "locks_without_mmap_lock": r"for_each_vma\(mm\) without mmap_lock\. Take mmap_write_lock\(mm\) first",
    "name_misspelled": r"NameError in dup_mmap \(HERE\): name 'vma_write_start' is not defined\. Is vma_start_write meant\?",
    "none_as_argument": r"TypeError in dup_mmap \(HERE\): copy_page_range\(dst_vma, src_vma\) takes a handle of kind Vma as dst_vma, and this is None",
    "not_implemented": r"NotImplementedError in lock \(HERE\)$",
    "object_in_a_step": r"TypeError in dup_mmap \(HERE\): vm_area_dup\(mm, orig\) takes a handle of kind Vma as orig, and this is of kind Locked",
    "one_parameter_too_few": r"dup_mmap is called with 2 arguments \(mm, oldmm\), and this one takes \(oldmm\)",
    "plain_recursion_without_end": r"RecursionError in length \(plain_recursion_without_end\.py, line [67]\): maximum recursion depth exceeded",
    "plain_wrapper_without_return": r"dup_mmap must be a function written `async def dup_mmap\(\.\.\.\)`, and this is a plain `def`",
    "raises": r"KeyError in number_of \(HERE\): 'heap'",
    "raises_after_an_await": r"AssertionError in __aenter__ \(HERE\): heap has \d",
    "recursion_without_end": r"101 functions wait for one another, most of them in share_all \(HERE\)\. Does it call itself for ever\?",
    "remembers_in_a_global": r"did something else in dup_mmap \(remembers_in_a_global\.py, line \d+\): .*look for .*a global variable",
    "retries_for_ever": r"once in dup_mmap \(HERE\), it goes round for ever: whatever the others do, this execution never ends\. Give the loop a way out",
    "retries_without_a_turn": r"dup_mmap \(retries_without_a_turn\.py, line 1[01]\) runs on and on without an await\. A loop there never stops, or waits without giving other CPUs a turn",
    "returns_after_the_first_vma": r"the child has 1 VMAs and its parent 2",
    "returns_early": r"at the end cpu0 still holds mmap_lock for writing",
    "returns_the_coroutine": r"fork_it\(\) was returned but not awaited at the end of dup_mmap \(HERE\), so it did nothing\. Write `return await \.\.\.`",
    "swallows_everything": r"in dup_mmap \(HERE\): a call of vm_area_dup is passed on, not its result; write `await` in front of it",
    "too_few_arguments": r"TypeError in dup_mmap \(HERE\): vm_area_dup\(mm, orig\) was called otherwise: missing a required argument: 'orig'",
    "too_many_arguments_in_a_helper": r"TypeError in lock \(HERE\): vma_start_write\(vma\) was called otherwise: too many positional arguments",
    "unlocks_what_is_not_locked": r"up_write\(heap\.vm_lock\) by a CPU that does not hold it for writing\. Take it first",
    "waits_for_itself": r"waits for mmap_lock for writing, held by cpu0 itself, .*do not take it twice",
    "with_without_async": r"TypeError in dup_mmap \(HERE\): .* does not support the context manager protocol.*\. If it is meant for `async with`, write that",
    "wrong_keyword": r"TypeError in dup_mmap \(HERE\): copy_page_range\(dst_vma, src_vma\) was called otherwise: missing a required argument: 'dst_vma'",
    "yields": r"dup_mmap contains a `yield`, which makes it a generator\. Kernel functions are `async def` with `await` only",
    "yields_in_a_helper": r"awaited an async_generator in dup_mmap \(HERE\): it contains a `yield`; kernel functions are `async def` without `yield`",
}
REFUSED = {
    "def_without_async",
    "helper_with_a_kernel_name",
    "one_parameter_too_few",
    "plain_wrapper_without_return",
    "yields",
}
"""Not judged at all: nothing was earned or lost."""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], dict[str, Any]]:
    """Runs an answer as a module of its own, and gives its names."""

    def loaded(folder: str, name: str) -> dict[str, Any]:
        monkeypatch.syspath_prepend(str(HERE))
        spec = importlib.util.spec_from_file_location(
            f"unusual_{name}", HERE / folder / f"{name}.py"
        )
        assert spec is not None and spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        spec.loader.exec_module(module)
        return vars(module)

    return loaded


def test_there_are_enough_of_them_and_each_says_what_is_unusual_about_it() -> None:
    assert len(RIGHT) >= 60 and len(WRONG) >= 20
    assert set(WRONG) == {path.stem for path in (HERE / "wrong").glob("*.py")}
    assert set(RIGHT) >= {*COSTLY, *UNPROVED}
    for path in HERE.glob("*/*.py"):
        assert re.match(r'"""[^\n]{20,}\."""\n|"""[^\n]{20,}\.\)"""\n', path.read_text()), path


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_found_safe_however_it_is_written(name: str, load) -> None:
    kernel = LAB.kernel(load("right", name))
    for scenario in QUICK:
        verdict = check(asked({**SCENARIOS, **VARIANTS}[scenario]), kernel).verdict
        expected = "unproved" if name in UNPROVED and scenario != "fork_lost_store" else "safe"
        assert verdict.outcome == expected, verdict


@pytest.mark.long
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_correct_however_it_is_written(name: str, load) -> None:
    judgement = LAB.judge(load("right", name))
    said = " ".join(result.message for result in judgement.results if not result.passed)
    if name in COSTLY:
        assert judgement.finding is Finding.COSTLY and COSTLY[name] in said
    elif name in UNPROVED:
        assert judgement.finding is Finding.UNPROVED and UNPROVED[name] in said
    else:
        assert judgement.finding is Finding.CORRECT, said
        assert judgement.points == LAB.points


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_told_where_it_slipped_and_what_to_do(name: str, load) -> None:
    lines = (HERE / "wrong" / f"{name}.py").read_text().splitlines()
    here = [number for number, line in enumerate(lines, 1) if line.endswith("# here")]
    said = told(name, load)
    pattern = WRONG[name].replace("HERE", rf"{name}\.py, line {here[0] if here else 0}")
    assert re.search(pattern, said, re.IGNORECASE), said
    assert "0x" not in said
    assert not here or f"{name}.py, line " in said


def told(name: str, load: Callable[[str, str], dict[str, Any]]) -> str:
    """What is said of a wrong answer first."""
    if name in REFUSED:
        with pytest.raises(AnswerError) as refused:
            LAB.judge(load("wrong", name))
        return str(refused.value)
    judgement: Judgement = LAB.judge(load("wrong", name))
    assert judgement.finding is Finding.WRONG
    return next(result.message for result in judgement.results if result.finding is Finding.WRONG)


@pytest.mark.parametrize("name", [name for name in RIGHT if "dup_mmap" in name])
def test_the_name_of_a_kernel_is_the_same_whatever_gives_its_coroutine(name: str, load) -> None:
    assert LAB.kernel(load("right", name)).name == LAB.kernel(load("right", name)).name


def test_a_run_that_is_dropped_half_way_does_not_go_on_in_another_ones() -> None:
    layout = Layout(cpus=1)
    cell = layout.cell("a", 0)

    async def gives_back() -> None:
        try:
            await cell
        finally:
            await cell.set(1)
            await cell.set(2)

    async def collects() -> None:
        await cell
        gc.collect()

    def dropped() -> None:
        supplier = CoroutineSupplier(0, gives_back, foreign=True)
        supplier.answer(())
        cycle: list[Any] = [supplier]
        cycle.append(cycle)

    other = CoroutineSupplier(0, collects, foreign=True)
    other.answer(())
    dropped()
    answer = other.answer((0,))
    assert (answer.ended, answer.message) == ("returned", "")


def test_what_a_run_does_when_it_is_cut_short_is_no_mistake_of_its_authors() -> None:
    layout = Layout(cpus=1)
    cell = layout.cell("a", 0)

    async def asserts() -> None:
        done = False
        try:
            while await cell:
                pass
            done = True
        finally:
            assert done, "cut short"

    supplier = CoroutineSupplier(0, asserts, foreign=True)
    assert supplier.answer((1, 1)).step == cell.load()
    assert supplier.answer((0,)).ended == "returned"  # for which the other run was ended


def test_looking_for_a_difference_ends_where_a_foreign_function_has_failed() -> None:
    async def fails() -> None:
        raise Ended(Answer.failed((), "cpu0: it failed"))

    assert first_difference(fails, [1]) is None


def test_a_set_of_handles_has_the_same_order_in_every_world() -> None:
    worlds = [SCENARIOS["fork_torn_across_vmas"].world() for _ in range(3)]
    orders = [[str(handle) for handle in set(world.layout.records.values())] for world in worlds]
    assert orders[0] == orders[1] == orders[2]
