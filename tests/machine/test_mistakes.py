"""Learners' slips: each ends in one sentence that names the CPU, the function and the line, whatever the code does."""

from __future__ import annotations

import asyncio
import inspect
import random
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from mmlocks.errors import AnswerError
from mmlocks.machine import Step, together
from mmlocks.mm import Kernel, for_each_vma, mmap_write_lock, mmap_write_unlock, vma_start_write
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.search import judge
from tests.helpers import tasks_on_cells

TRACED = sys.gettrace() is not None


def sentence(*tasks: Callable[..., Any]) -> str:
    """What the search says about a program with a slip in it; one line, and about cpu0."""
    violation = judge(tasks_on_cells(*tasks)()).violation
    assert violation is not None, "the slip went unnoticed"
    assert violation.oracle in ("mistake", "exception"), violation
    assert violation.message.startswith("cpu0: ")
    assert "\n" not in violation.message
    assert " at 0x" not in violation.message, "addresses of Python objects differ from run to run"
    return violation.message


def line_of(function: Callable[..., Any], marked: str = "# here") -> int:
    """The number of the line that carries the mark."""
    lines, start = inspect.getsourcelines(function)
    return start + next(number for number, line in enumerate(lines) if marked in line)


# -- one slip each ----------------------------------------------------------------------------------------------------


async def helper(a: Any) -> None:
    await a.set(1)


async def never_awaited(a, b, c, out):
    helper(a)  # here
    await b


async def never_awaited_and_last(a, b, c, out):
    await b
    helper(a)  # here


async def never_awaited_and_kept(a, b, c, out):
    kept = helper(a)  # noqa: F841  # here
    await b


async def never_awaited_and_kept_for_long(a, b, c, out):
    kept = [helper(a)]  # here
    for _ in range(5):
        await b
    kept.clear()
    await c


async def step_never_awaited(a, b, c, out):
    a.set(1)  # here
    await b


async def step_never_awaited_in_one_branch(a, b, c, out):
    if await a:
        b.set(1)  # here
    await c


async def set_a(a, b, c, out):
    await a.set(1)


async def together_never_awaited(a, b, c, out):
    together(a, b)  # here
    await c


async def compared(a, b, c, out):
    if a == 0:  # here
        await b


async def not_equal(a, b, c, out):
    if a != 0:  # here
        await b


async def looked_for(a, b, c, out):
    if a in (0, 1):  # here
        await b


async def used_as_truth(a, b, c, out):
    if not a:  # here
        await b


async def step_used_as_truth(a, b, c, out):
    if a.swap(0, 1):  # here
        await b


async def less_than(a, b, c, out):
    if a < 1:  # here
        await b


async def added_to(a, b, c, out):
    await b.set(a + 1)  # here


async def awaits_a_number(a, b, c, out):
    await 5  # here


async def awaits_nothing(a, b, c, out):
    await print(end="")  # here


async def awaits_sleep(a, b, c, out):
    await asyncio.sleep(0)  # here


async def awaits_sleep_of_a_second(a, b, c, out):
    await asyncio.sleep(1)  # here


def generator(a):
    yield a.load()


async def async_generator(a):
    yield await a


async def awaits_a_generator(a, b, c, out):
    await generator(a)  # here


async def awaits_an_async_generator(a, b, c, out):
    await async_generator(a)  # here


async def raises(a, b, c, out):
    await a
    raise ValueError("no such page")  # here


async def raises_in_two_lines(a, b, c, out):
    await a
    raise ValueError("first,\nsecond")  # here


async def asserts(a, b, c, out):
    if await a != 1:
        raise AssertionError("a must be 1")  # here


async def divides(a, b, c, out):
    await b.set(1 // await a)  # here


async def forgets_an_argument(a, b, c, out):
    await helper()  # here


async def misspells(a, b, c, out):
    await a.sett(1)  # here


async def calls_itself(a, b, c, out):
    await calls_itself(a, b, c, out)  # here


async def calls_itself_with_steps(a, b, c, out):
    await a
    await calls_itself_with_steps(a, b, c, out)  # here


async def exits(a, b, c, out):
    await a
    raise SystemExit  # here


async def cancels(a, b, c, out):
    await a
    raise asyncio.CancelledError  # here


async def stores_a_list(a, b, c, out):
    await a.set([1])  # here


async def makes_up_a_step(a, b, c, out):
    await Step("fly", ())  # here


async def makes_up_arguments(a, b, c, out):
    await Step("load", (0, 0, 0, 0))  # here


async def makes_up_a_cell(a, b, c, out):
    await Step("load", (999,))  # here


async def makes_up_a_list_as_argument(a, b, c, out):
    await Step("load", ([],))  # here


async def counts_for_ever(a, b, c, out):
    count = 0
    while True:
        count += 1
        await a  # here


async def goes_round_for_ever(a, b, c, out):
    while True:
        await a  # here


SLIPS = [
    (never_awaited, "helper() was called but not awaited"),
    (never_awaited_and_last, "helper() was called but not awaited"),
    (never_awaited_and_kept, "helper() was called but not awaited"),
    (never_awaited_and_kept_for_long, "helper() was called but not awaited"),
    (step_never_awaited, "not awaited, so it did nothing"),
    (together_never_awaited, "not awaited, so it did nothing"),
    (compared, "a was compared but never read; write `await` in front of it"),
    (not_equal, "a was compared but never read; write `await` in front of it"),
    (looked_for, "a was compared but never read; write `await` in front of it"),
    (used_as_truth, "a was used as a value but never read; write `await` in front of it"),
    (
        step_used_as_truth,
        "the step swap was used as a value but never awaited; write `await` in front of it",
    ),
    (less_than, "TypeError"),
    (added_to, "TypeError"),
    (awaits_a_number, "awaited an int"),
    (awaits_nothing, "awaited a NoneType"),
    (awaits_sleep, "not a step of this machine"),
    # "no running event loop", or "awaited a Future" where somebody (a browser, a notebook) runs one
    (awaits_sleep_of_a_second, "in awaits_sleep_of_a_second"),
    (awaits_a_generator, "it contains a `yield`"),
    (awaits_an_async_generator, "it contains a `yield`"),
    (raises, "ValueError in raises"),
    (asserts, "a must be 1"),
    (divides, "ZeroDivisionError"),
    (forgets_an_argument, "missing 1 required positional argument: 'a'"),
    (misspells, "'Cell' object has no attribute 'sett'"),
    (raises_in_two_lines, "ValueError in raises_in_two_lines"),
    (exits, "SystemExit"),
    (cancels, "CancelledError"),
    (stores_a_list, "unhashable"),
    (makes_up_a_step, "no operation is called fly"),
    (makes_up_arguments, ""),
    (makes_up_a_cell, ""),
    (makes_up_a_list_as_argument, ""),
    (counts_for_ever, "1,000 steps and no end in sight"),
    (goes_round_for_ever, "round for ever"),
]


@pytest.mark.parametrize(("slip", "says"), SLIPS, ids=[slip.__name__ for slip, _ in SLIPS])
def test_a_slip_is_one_sentence_with_cpu_function_and_line(
    slip: Callable[..., Any], says: str
) -> None:
    said = sentence(slip)
    assert says in said
    assert re.search(rf"test_mistakes\.py, line {line_of(slip)}\b", said), said
    assert slip.__name__ in said or "helper()" in said, said


@pytest.mark.parametrize(
    "slip", [calls_itself, calls_itself_with_steps], ids=lambda slip: slip.__name__
)
def test_a_recursion_without_end_is_one_sentence(slip: Callable[..., Any]) -> None:
    said = sentence(slip)
    assert "did something else" not in said
    assert re.search(rf"{slip.__name__} \(test_mistakes\.py, line \d+\)", said), said


def test_a_step_forgotten_in_one_branch_is_noticed_whichever_branch_comes_first() -> None:
    said = sentence(step_never_awaited_in_one_branch, set_a)
    assert "not awaited" in said
    assert str(line_of(step_never_awaited_in_one_branch)) in said


@pytest.mark.skipif(
    TRACED, reason="a debugger or coverage is tracing, so endless loops are not watched"
)
def test_a_loop_that_never_awaits_is_one_sentence() -> None:
    async def spins(a, b, c, out):
        await a
        while True:  # here
            pass

    async def waits_wrongly(a, b, c, out):
        flag = await a
        while not flag:  # here
            flag = bool(flag)

    async def helped(a, b, c, out):
        def wait() -> None:
            while True:  # here
                pass

        wait()

    async def stubborn(a, b, c, out):
        try:
            while True:  # here
                pass
        except Exception:
            pass

    for slip in (spins, waits_wrongly, helped, stubborn):
        said = sentence(slip)
        assert "without an await" in said
        line = line_of(slip)
        assert re.search(rf"test_mistakes\.py, line ({line}|{line + 1})\b", said), said


# -- code that is not deterministic -----------------------------------------------------------------------------------

calls = 0


async def random_numbers(a, b, c, out):
    await out.set(random.random())


async def random_steps(a, b, c, out):
    for _ in range(20):
        await (a if random.random() < 0.5 else b)


async def the_clock(a, b, c, out):
    await out.set(time.perf_counter_ns())


async def global_state(a, b, c, out):
    global calls  # noqa: PLW0603
    calls += 1
    await out.set(calls)


async def a_default_that_remembers(a, b, c, out, memory=[]):  # noqa: B006
    memory.append(1)
    await out.set(len(memory))


async def identities(a, b, c, out):
    await out.set(id(object()) if await a else id([]) + random.getrandbits(16))


UNSTEADY = [
    random_numbers,
    random_steps,
    the_clock,
    global_state,
    a_default_that_remembers,
    identities,
]


@pytest.mark.parametrize("slip", UNSTEADY, ids=lambda slip: slip.__name__)
def test_code_that_is_not_deterministic_is_noticed(slip: Callable[..., Any]) -> None:
    said = sentence(slip)
    assert "with the same results as before, the task did something else" in said
    assert re.search(rf"in {slip.__name__} \(test_mistakes\.py, line \d+\)", said), said


@pytest.mark.parametrize("slip", UNSTEADY, ids=lambda slip: slip.__name__)
def test_code_that_is_not_deterministic_is_noticed_beside_others(slip: Callable[..., Any]) -> None:
    assert "did something else" in sentence(slip, set_a)


# -- tasks that are none ----------------------------------------------------------------------------------------------


def plain(a, b, c, out):
    return None


def a_generator(a, b, c, out):
    yield a.load()


async def an_async_generator(a, b, c, out):
    yield await a


async def too_few_arguments(a):
    await a


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (plain, "Write it as `async def` with `await`."),
        (a_generator, "is a generator: it has a `yield`"),
        (an_async_generator, "it has a `yield`"),
        (too_few_arguments, "takes 1 positional argument but 4 were given"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_task_that_is_no_coroutine_is_a_mistake(task: Callable[..., Any], says: str) -> None:
    assert says in sentence(task)


# -- what is no mistake -----------------------------------------------------------------------------------------------


def test_a_step_may_be_made_first_and_awaited_later() -> None:
    async def later(a, b, c, out):
        step = a.set(1)
        await b
        await step

    assert judge(tasks_on_cells(later)()).outcome == "safe"


def test_a_coroutine_may_be_made_first_and_awaited_later() -> None:
    async def later(a, b, c, out):
        coroutine = helper(a)
        await b
        await coroutine

    assert judge(tasks_on_cells(later, set_a)()).outcome == "safe"


def test_a_long_computation_between_two_steps_is_no_endless_loop() -> None:
    async def counts(a, b, c, out):
        await out.set(sum(number for number in range(10_000)))

    assert judge(tasks_on_cells(counts)()).outcome == "safe"


def test_a_large_local_variable_is_no_endless_loop() -> None:
    """What the machine itself does to tell moments apart is not the learner's."""

    async def keeps(a, b, c, out):
        numbers = list(range(20_000))
        await a
        await out.set(len(numbers))

    assert judge(tasks_on_cells(keeps)()).outcome == "safe"


def test_an_exception_that_is_caught_is_no_violation() -> None:
    async def careful(a, b, c, out):
        try:
            raise ValueError
        except ValueError:
            await a
        finally:
            await b

    assert judge(tasks_on_cells(careful, set_a)()).outcome == "safe"


def test_searching_leaves_the_interpreter_as_it_was() -> None:
    before = sys.gettrace(), sys.get_coroutine_origin_tracking_depth()
    for slip in (never_awaited, raises, step_never_awaited, calls_itself):
        sentence(slip)
    assert (sys.gettrace(), sys.get_coroutine_origin_tracking_depth()) == before


def test_an_interrupted_rule_does_not_hide_in_a_run_cut_short() -> None:
    """A run that a violation cut short has awaited what it could; that is no slip."""

    async def waits(a, b, c, out):
        await a.wait_for(7)
        await helper(b)

    violation = judge(tasks_on_cells(waits)()).violation
    assert violation is not None
    assert violation.oracle == "deadlock"


# -- the same in a kernel function of one's own -----------------------------------------------------------------------


def told_of_kernel(**replacements: Callable[..., Any]) -> str:
    verdict = check(SCENARIOS["fork_lost_store"], Kernel(RELEASES["6.4.0"], replacements)).verdict
    assert verdict.violation is not None
    assert verdict.violation.oracle in ("mistake", "exception"), verdict.violation
    assert verdict.violation.message.startswith("cpu0: ")
    return verdict.violation.message


async def forgets_the_vma_lock(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        vma_start_write(mpnt)  # here
    await mmap_write_unlock(oldmm)


async def forgets_a_step(mm, oldmm):
    await mmap_write_lock(oldmm)
    oldmm.mm_lock_seq.add(1)  # here
    await mmap_write_unlock(oldmm)


async def compares_a_cell(mm, oldmm):
    await mmap_write_lock(oldmm)
    if oldmm.mm_lock_seq == 0:  # here
        await mmap_write_unlock(oldmm)


async def raises_in_the_kernel(mm, oldmm):
    await mmap_write_lock(oldmm)
    raise KeyError("vma")  # here


async def awaits_an_answer(mm, oldmm):
    await 42  # here


async def loses_its_way(mm, oldmm):
    while True:
        await oldmm.mm_mt.ma_root  # here


@pytest.mark.parametrize(
    ("dup_mmap", "says"),
    [
        (forgets_the_vma_lock, "vma_start_write() was called but not awaited"),
        (forgets_a_step, "not awaited, so it did nothing"),
        (compares_a_cell, "mm_lock_seq was compared but never read"),
        (raises_in_the_kernel, "KeyError in raises_in_the_kernel"),
        (awaits_an_answer, "awaited an int in awaits_an_answer"),
        (loses_its_way, "goes round for ever"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_slip_in_a_kernel_function_is_one_sentence(
    dup_mmap: Callable[..., Any], says: str
) -> None:
    said = told_of_kernel(dup_mmap=dup_mmap)
    assert says in said
    assert re.search(rf"line {line_of(dup_mmap)}\b", said), said


def test_a_slip_in_a_helper_is_told_where_it_is() -> None:
    async def dup_mmap(mm, oldmm):
        await raises_in_the_kernel(mm, oldmm)

    assert (
        f"raises_in_the_kernel (test_mistakes.py, line {line_of(raises_in_the_kernel)})"
        in told_of_kernel(dup_mmap=dup_mmap)
    )


async def a_yielding_function(mm, oldmm):
    yield oldmm.mm_mt.ma_root.load()


def a_plain_function(mm, oldmm):
    return None


def a_yielding_plain_function(mm, oldmm):
    yield oldmm.mm_mt.ma_root.load()


async def of_one_argument(mm):
    pass


async def of_any_arguments(*args):
    pass


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (a_yielding_function, "dup_mmap contains a `yield`, which makes it a generator"),
        (a_yielding_plain_function, "dup_mmap contains a `yield`, which makes it a generator"),
        (
            a_plain_function,
            "dup_mmap must be a function written `async def dup_mmap(...)`, and this is a plain `def`",
        ),
        (of_one_argument, "dup_mmap is called with 2 arguments"),
        (5, "dup_mmap must be a function written `async def dup_mmap(...)`, and this is a int"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_kernel_function_is_refused(function: Any, says: str) -> None:
    with pytest.raises(AnswerError) as refused:
        Kernel(RELEASES["6.4.0"], {"dup_mmap": function})
    assert says in str(refused.value)


def test_a_function_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        AnswerError,
        match=r"dup_mmaps is not a kernel function, so nothing would call it\. There are: anon_vma",
    ):
        Kernel(RELEASES["6.4.0"], {"dup_mmaps": forgets_a_step})


def test_other_names_for_arguments_are_accepted() -> None:
    Kernel(RELEASES["6.4.0"], {"dup_mmap": of_any_arguments})
