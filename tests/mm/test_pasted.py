"""The boundary loses nothing: a kernel function's own text, pasted as an answer, gets the verdict of the release that it is from."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import mmlocks.mm
from mmlocks.mm import *  # noqa: F403  as in the labs' first cell
from mmlocks.mm import copy_page_range as by_another_name
from mmlocks.mm.fork import copy_page_range as from_its_file
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.reach import reached
from mmlocks.mm.source import release_code
from mmlocks.mm.stubs import kernel_functions, kernel_text
from mmlocks.releases import RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, check, machine_for
from tests.mm.pasted import ALL, Paste, different_releases, judged, own, pasted, said
from tests.mutated import mutated

LARGE = ("young_reproducer", "anon_vma_unlocked_check")
"""Scenarios whose searches are long, and that call nothing which no other one calls."""

NEVER_CALLED = {
    "drop_rmap_locks",
    "take_rmap_locks",
    "_duplicate",
    "_duplicate_at_once",
    "_move_several",
    "_replace_below",
    "folio_get",
    "shmem_zero_setup",
}
"""`_duplicate` runs inside a step. `_duplicate_at_once` takes that step, and answers may not. mremap moves several VMAs in no release, nothing takes a reference by that function, no search has room for a
new file, and no scenario has a tree of more than one level. test_release_text.py sees to it that the names in these texts are there."""


def chosen() -> dict[tuple[str, str, str], Paste]:
    """For every text that is called and every verdict, the smallest search that has both."""
    smallest: dict[tuple[str, str, str], tuple[int, Paste]] = {}
    for release in different_releases():
        for scenario in sorted(ALL.keys() - set(LARGE)):
            if ALL[scenario].lacking(RELEASES[release]):
                continue
            outcome, called, states = own(scenario, release)
            for function in called - NEVER_CALLED:
                key = function, release_code(function, release), outcome
                if key not in smallest or states < smallest[key][0]:
                    smallest[key] = states, Paste(function, release, scenario)
    return {key: paste for key, (_, paste) in smallest.items()}


@pytest.mark.slow
def test_a_pasted_text_gets_the_verdict_of_its_release() -> None:
    picked = chosen()
    otherwise = []
    for (_, _, outcome), paste in picked.items():
        verdict = judged(paste)
        if said(verdict) != outcome:
            otherwise.append((paste, said(verdict), str(verdict.violation or verdict.reason)))
    assert not otherwise
    assert {outcome for *_, outcome in picked} == {
        "safe",
        "lost_store",
        "snapshot",
        "misfiled",
        "freed_node",
    }
    assert kernel_text().keys() - {function for function, *_ in picked} == NEVER_CALLED


@pytest.mark.parametrize("function", sorted(NEVER_CALLED - {"_duplicate"}))
def test_a_text_that_no_scenario_calls_is_linked_and_changes_nothing(function: str) -> None:
    for release in {
        release_code(function, release): release for release in different_releases()
    }.values():
        kernel = Kernel(release_named(release), pasted(function, release))
        machine, _ = machine_for(SCENARIOS["fork_torn_snapshot"], kernel)
        assert machine.stillborn() is None


# -- an answer calls the function that it replaces --------------------------------------------------------------------


async def through_the_name_it_had(dst_vma: Any, src_vma: Any) -> None:
    await vma_start_write(src_vma)  # noqa: F405
    await by_another_name(dst_vma, src_vma)


async def through_its_file(dst_vma: Any, src_vma: Any) -> None:
    await vma_start_write(src_vma)  # noqa: F405
    await from_its_file(dst_vma, src_vma)


async def through_the_module(dst_vma: Any, src_vma: Any) -> None:
    await vma_start_write(src_vma)  # noqa: F405
    await mmlocks.mm.copy_page_range(dst_vma, src_vma)


async def through_a_partial(dst_vma: Any, src_vma: Any) -> None:
    await mmlocks.mm.vma_start_write(src_vma)
    await functools.partial(by_another_name, dst_vma)(src_vma)


async def through_a_helper(dst_vma: Any, src_vma: Any) -> None:
    async def rest(*vmas: Any) -> None:
        await by_another_name(*vmas)

    await vma_start_write(src_vma)  # noqa: F405
    await rest(dst_vma, src_vma)


async def with_nothing_added(dst_vma: Any, src_vma: Any) -> None:
    await by_another_name(dst_vma, src_vma)


ADDED = (
    through_the_name_it_had,
    through_its_file,
    through_the_module,
    through_a_partial,
    through_a_helper,
)


def kernel_of(answer: Callable[..., Any]) -> Kernel:
    return Kernel(RELEASES["6.4.1"], {"copy_page_range": answer})


@pytest.mark.parametrize("answer", ADDED, ids=lambda answer: answer.__name__)
def test_an_answer_can_add_a_line_to_the_function_that_it_replaces(
    answer: Callable[..., Any],
) -> None:
    """It calls the kernel's own, not itself: so the line is added once, and the rest of fork is done."""
    checked = check("fork_torn_snapshot", kernel_of(answer))
    assert said(checked.verdict) == "safe"
    undisturbed = check("fork_other_vma", kernel_of(answer)).verdict
    assert said(undisturbed) == "safe"


def test_an_answer_that_adds_nothing_to_the_function_that_it_replaces_has_its_verdict() -> None:
    assert own("fork_torn_snapshot", "6.4.1").outcome == "snapshot"
    assert said(check("fork_torn_snapshot", kernel_of(with_nothing_added)).verdict) == "snapshot"


def test_what_an_answer_calls_itself_by_its_own_name_in_a_notebook_is_itself() -> None:
    """There `copy_page_range` is the answer from the moment of its `def`, as Python has it: a call without an end is found, and named."""
    names: dict[str, Any] = {}
    exec("from mmlocks.mm import *", names)
    exec(
        "async def copy_page_range(dst_vma, src_vma):\n    await copy_page_range(dst_vma, src_vma)\n",
        names,
    )
    verdict = check("fork_torn_snapshot", kernel_of(names["copy_page_range"])).verdict
    assert verdict.violation is not None
    assert verdict.violation.oracle == "exception"
    assert "RecursionError" in verdict.violation.message


def test_a_variant_of_ours_keeps_the_private_functions_of_its_file() -> None:
    """Kernel text asks for those by a stub as well. A heap that cannot be moved leaves less to search."""
    still = mutated("brk", "    if new == old:\n        return True\n", "    return False\n")
    moved = check(ALL["break"], "6.4.1").verdict
    assert (
        0 < check(ALL["break"], Kernel(RELEASES["6.4.1"], text=still)).verdict.states < moved.states
    )


class Asked(Exception):
    """Raised by a function that is asked."""


def smallest_that_calls() -> dict[str, Paste]:
    """For every kernel function that is called and can be replaced, the smallest search that calls it."""
    found: dict[str, tuple[int, Paste]] = {}
    for release in different_releases():
        for scenario in sorted(ALL.keys() - set(LARGE)):
            if ALL[scenario].lacking(RELEASES[release]):
                continue
            _, called, states = own(scenario, release)
            for function in (called & kernel_functions().keys()) - NEVER_CALLED:
                if function not in found or states < found[function][0]:
                    found[function] = states, Paste(function, release, scenario)
    return {function: paste for function, (_, paste) in found.items()}


@pytest.mark.slow
def test_every_function_that_runs_is_asked_when_an_answer_replaces_it() -> None:
    """Else an answer could do in it what it likes: so it was in the functions that vm_area_dup calls."""

    async def raises(*args: Any, **named: Any) -> Any:
        raise Asked

    picked = smallest_that_calls()
    assert {
        "anon_vma_fork",
        "vm_area_alloc",
        "vma_iter_store",
        "fields_of",
        "dup_mmap",
    } <= picked.keys()
    silent = []
    for function, paste in picked.items():
        verdict = check(
            ALL[paste.scenario], Kernel(release_named(paste.release), {function: raises})
        ).verdict
        if verdict.violation is None or "Asked" not in verdict.violation.message:
            silent.append((paste, str(verdict)))
    assert not silent


@pytest.mark.slow
def test_every_function_that_runs_is_one_that_its_program_may_reach() -> None:
    """What no program can reach is not searched for an answer, so none may be left out."""
    for paste in smallest_that_calls().values():
        programs = [thread for _, thread in ALL[paste.scenario].threads]
        assert paste.function in reached(programs), paste
