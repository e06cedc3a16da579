"""Code that does not do the same twice is found, and the sentence says where it went another way and what to look for.

What cannot be found by running code again in one process, and is not claimed:

* the order of a set of strings, of handles or of cells: it is the same for the whole life of a process (hash randomisation changes it from one
  process to the next), so a verdict is right for the process that gave it, and its schedule may not fit in another;
* a rare case that does not happen in any of the runs that are compared: the first history that ends is run 7 times more, every history once;
* what changes nothing that a task does, such as a counter that is only printed. That is no mistake, and no verdict depends on it.
"""

from __future__ import annotations

import inspect
import os
import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

import mmlocks.mm as kernel
from mmlocks.labs import lab_named
from mmlocks.labs.lab import Finding
from mmlocks.search import Budget, judge
from tests.helpers import tasks_on_cells

ADVICE = (
    "random numbers", "the clock", "id()", "the order of a set", "a global variable", "a class attribute", "a default argument",
    "a list of an enclosing function",
)  # fmt: skip
times = 0
kept: list[Any] = []


class Remembers:
    count = 0


async def random_number(a, b, c, out):
    await a
    await out.set(random.random())  # here


async def random_branch(a, b, c, out):
    await a
    coins = random.getrandbits(30)
    await b  # variable
    for number in range(30):
        if coins >> number & 1:
            await c  # here
        else:
            await a.set(1)  # here
    await out.set(1)


async def clock(a, b, c, out):
    await a
    await out.set(time.perf_counter_ns())  # here


async def global_counter(a, b, c, out):
    global times  # noqa: PLW0603
    times += 1
    await a
    await out.set(times)  # here


async def identity(a, b, c, out):
    kept.append(object())  # an address is used again where nobody keeps what is there
    await a
    await out.set(id(kept[-1]))  # here


async def set_of_objects(a, b, c, out):
    names = {object(): name for name in range(40)}
    kept.append(names)
    await a
    await out.set(tuple(names[thing] for thing in set(names)))  # here


async def set_of_fresh_strings(a, b, c, out):
    for name in {os.urandom(4).hex() for _ in range(9)}:
        await out.set(name)  # here


async def class_attribute(a, b, c, out):
    Remembers.count += 1
    await a
    for _ in range(Remembers.count):
        await b  # here


def default_argument() -> Callable[..., Any]:
    async def remembers(a, b, c, out, seen=[]):  # noqa: B006
        seen.append(1)
        await a
        if len(seen) > 1:
            await b  # here
        await c  # here

    return remembers


def closure() -> Callable[..., Any]:
    grown: list[Any] = []

    async def grows(a, b, c, out):
        grown.append(await a)
        await out.set(len(grown))  # here

    return grows


async def deep_in_a_helper(a, b, c, out):
    await a
    await helper(b)  # called


async def helper(cell):
    await cell.set(random.random())  # here


UNSTEADY: dict[str, tuple[Callable[[], Callable[..., Any]], str]] = {
    "random_number": (lambda: random_number, ""),
    "random_branch": (lambda: random_branch, "coins"),
    "clock": (lambda: clock, ""),
    "global_counter": (lambda: global_counter, ""),
    "identity": (lambda: identity, ""),
    "set_of_objects": (lambda: set_of_objects, ""),
    "set_of_fresh_strings": (lambda: set_of_fresh_strings, "name"),
    "class_attribute": (lambda: class_attribute, ""),
    "default_argument": (default_argument, ""),
    "closure": (closure, ""),
    "deep_in_a_helper": (lambda: deep_in_a_helper, ""),
}
"""What to run (afresh for each test), and the variable in which it shows first, if it is a plain local one."""


async def another(a, b, c, out):
    await a.set(7)
    await b.set(8)


def lines_of(function: Callable[..., Any], mark: str) -> list[int]:
    lines, start = inspect.getsourcelines(function)
    return [start + number for number, line in enumerate(lines) if f"# {mark}" in line]


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside_another"])
@pytest.mark.parametrize("name", UNSTEADY)
def test_it_is_found_and_located(name: str, beside: bool) -> None:
    make, variable = UNSTEADY[name]
    task = make()
    verdict = judge(tasks_on_cells(task, *[another] * beside)(), Budget(seconds=20.0))
    assert verdict.outcome == "violated" and verdict.violation is not None
    assert verdict.violation.oracle == "mistake"
    said = verdict.violation.message
    assert said.startswith("cpu0: with the same results as before, the task did something else in ")
    where = re.search(r"something else in (\w+) \(test_nondeterminism\.py, line (\d+)\)", said)
    assert where is not None, said
    function = helper if name == "deep_in_a_helper" else task
    assert where[1] == function.__name__
    assert int(where[2]) in lines_of(function, "here"), said
    assert all(advice in said for advice in ADVICE)
    assert "\n" not in said and " at 0x" not in said
    found = re.search(
        r"The first variable to differ is (\w+) in \w+ \(test_nondeterminism\.py, line (\d+)\)",
        said,
    )
    assert (found[1] if found is not None else "") == variable
    if name == "random_branch" and found is not None:
        assert [int(found[2])] == lines_of(task, "variable"), (
            "before the step that came out different"
        )


def test_it_is_found_before_a_long_search() -> None:
    """Each run of it is one step longer: a search that only looked again at its end would never come there."""
    Remembers.count = 0
    verdict = judge(tasks_on_cells(class_attribute, another, another)(), Budget(seconds=60.0))
    assert verdict.outcome == "violated"
    assert verdict.transitions < 1_000


def test_a_task_that_returns_earlier_names_the_line_where_it_stood() -> None:
    runs = []

    async def leaves(a, b, c, out):
        runs.append(1)
        await a  # here
        if len(runs) == 1:
            await b

    verdict = judge(tasks_on_cells(leaves)())
    assert verdict.violation is not None
    assert (
        f"in leaves (test_nondeterminism.py, line {lines_of(leaves, 'here')[0]}): it returned, not load"
        in (verdict.violation.message)
    )


def test_what_changes_nothing_is_no_mistake() -> None:
    calls = []

    async def counts_its_calls(a, b, c, out):
        calls.append(time.perf_counter())
        await a.set(1)
        calls.append(len(calls))

    assert judge(tasks_on_cells(counts_its_calls, another)()).outcome == "safe"


def test_the_order_of_a_set_of_strings_cannot_be_told_from_any_other_code() -> None:
    """It is steady in this process; the docstring above says so, and this test that it is no false alarm either."""

    async def in_some_order(a, b, c, out):
        for name in set("abc"):
            await {"a": a, "b": b, "c": c}[name].set(name)

    assert judge(tasks_on_cells(in_some_order, another)()).outcome == "safe"


# -- as an answer to a lab --------------------------------------------------------------------------------------------


def answer_with(line: str) -> dict[str, Any]:
    """A notebook's names, after a cell with this line in the loop of dup_mmap."""
    text = f"""
import random, time
calls = []
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        {line}
            await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
"""
    names = {name: getattr(kernel, name) for name in kernel.__all__}
    exec(
        compile(text, "/tmp/ipykernel_4711/1234.py", "exec"), names
    )  # where Jupyter says that a cell stands
    return names


@pytest.mark.parametrize(
    "line",
    [
        "if random.random() < 0.5:",
        "if time.perf_counter_ns() // 100 % 2:",
        "calls.append(1)\n        if len(calls) % 2:",
    ],
    ids=["random", "clock", "global_list"],
)
def test_a_lab_says_so_of_an_answer(line: str) -> None:
    judgement = lab_named("lab07").judge(answer_with(line))
    assert judgement.finding is Finding.WRONG
    said = [
        result.message for result in judgement.results if "did something else" in result.message
    ]
    assert said, [result.message for result in judgement.results]
    for message in said:
        # Not in the kernel functions that it then called, though the steps that differ are theirs.
        assert re.search(r"did something else in dup_mmap \(your cell, line \d+\)", message), (
            message
        )
        assert re.search(
            r"up to the step in dup_mmap \(your cell, line \d+\)|The first variable to differ is",
            message,
        )


def test_a_task_that_runs_on_in_a_later_run_is_said_to_have_been_stopped() -> None:
    runs: list[int] = []

    async def task(a, b, c, out):
        await a
        runs.append(1)
        while len(runs) == 2:
            pass

    violation = judge(tasks_on_cells(task)()).violation
    assert violation is not None
    assert "did something else" in violation.message
    assert "it was stopped, not it returned" in violation.message
