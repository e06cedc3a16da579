"""What `check` takes and what it returns says of itself."""

from __future__ import annotations

import re

import pytest

from mmlocks.errors import ModelError
from mmlocks.machine import require
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.user import load, store
from mmlocks.mm.vma_lock import mmap_assert_write_locked
from mmlocks.mm.world import World
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, Scenario, check
from mmlocks.search import strategy_named
from mmlocks.show import explain, show


def test_a_scenario_and_a_strategy_can_be_called_by_name() -> None:
    named, given = check("stackrot", "6.4.0"), check(SCENARIOS["stackrot"], "6.4.0")
    assert named.scenario is given.scenario and named.verdict.schedule == given.verdict.schedule
    by_name = check("stackrot", "6.4.3", strategy="preemptions:1").verdict
    by_value = check("stackrot", "6.4.3", strategy=strategy_named("preemptions:1")).verdict
    assert by_name.coverage == by_value.coverage and "preemption" in by_name.coverage


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("stackrott", "6.4.0"), "there is no scenario called 'stackrott'"),
        (
            (None, "6.4.0"),
            r"check takes a scenario, or its name: check\('stackrot', '6.4.0'\); not None",
        ),
        (("stackrot", "6.4.99"), "6.4.99"),
        (("stackrot", None), "a kernel, a release, or its name, such as '6.4.0'; not None"),
        (("stackrot", "6.4.0", None, None, True, (), "pctt"), "there is no strategy called 'pctt'"),
        (
            ("stackrot", "6.4.0", None, None, True, (), 4),
            "check takes a strategy, or how one is written",
        ),
    ],
    ids=[
        "no_such_scenario",
        "no_scenario",
        "no_such_release",
        "no_release",
        "no_such_strategy",
        "no_strategy",
    ],
)
def test_a_slip_is_answered_with_what_to_write(arguments: tuple[object, ...], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        check(*arguments)  # type: ignore[arg-type]


def test_it_says_in_two_sentences_what_was_found() -> None:
    found = check("stackrot", "6.4.0")
    said = repr(found)
    assert said.startswith(
        f"stackrot on 6.4.0: VIOLATED (freed_node), {found.verdict.coverage}. Next: "
    )
    assert "explain(…)" in said and "0x" not in said and len(said) < 200
    fine = repr(check("stackrot", "6.4.3"))
    assert (
        fine.startswith("stackrot on 6.4.3: SAFE, all interleavings searched")
        and "explain" not in fine
    )
    assert found._repr_html_() == f"<p>{said}</p>"
    assert found == found and found != check("stackrot", "6.4.3")


# -- rules of one's own -----------------------------------------------------------------------------------------------


def two_pages() -> World:
    made = World(2, pages={3: (0, 0)}, faulting={}, cached={}, slots=2)
    made.map("heap", 3, 3)
    return made


async def writes_both(world: World) -> None:
    await store(world.mm, 0x3000, 1)
    await store(world.mm, 0x3008, 1)


async def reads_both(world: World) -> None:
    await require(True, "begun", "")
    second, first = await load(world.mm, 0x3008), await load(world.mm, 0x3000)
    await require(second <= first, "torn", f"sees {first} and {second}")
    await require(first <= second, "torn", f"sees {first} and {second}")


OWN_RULE = Scenario(
    "own_rule",
    "t",
    "s",
    (("writes", writes_both), ("reads", reads_both)),
    two_pages,
    ("references",),
    {},
    "",
)


def test_a_rule_of_ones_own_is_shown_and_explained_like_any_other() -> None:
    checked = check(OWN_RULE, "6.6-like")
    assert checked.verdict.violation == ("torn", "cpu1: sees 1 and 0")
    assert checked.run is not None and checked.run.violation == checked.verdict.violation
    assert "VIOLATED (torn)" in str(show(checked))
    assert "cpu1: sees 1 and 0" in str(explain(checked))


def test_every_step_has_a_row_in_the_timeline_also_one_that_asserts_what_holds() -> None:
    checked = check(OWN_RULE, "6.6-like")
    assert checked.run is not None
    text = str(show(checked))
    for step in range(1, len(checked.run) + 1):
        assert re.search(rf"^ *{step}  ", text, re.MULTILINE), step
    assert "the rule begun holds" in text


async def vma_start_write(vma):  # type: ignore[no-untyped-def]
    """The kernel's, with its assertion as a step of its own."""
    mm = vma.vm_mm
    await mmap_assert_write_locked(vma)
    if await vma.vm_lock_seq != await mm.mm_lock_seq:
        await vma.vm_lock.down_write()
        await vma.vm_lock_seq.set(await mm.mm_lock_seq + 1)
        await vma.vm_lock.up_write()


def test_an_assertion_of_the_kernels_has_a_row_as_well_when_it_is_a_step_of_its_own() -> None:
    checked = check(
        "fork_lost_store", Kernel(RELEASES["6.4.3"], {"vma_start_write": vma_start_write})
    )
    assert checked.run is not None
    text = str(show(checked))
    assert [
        step
        for step in range(1, len(checked.run) + 1)
        if not re.search(rf"^ *{step}  ", text, re.M)
    ] == []
    assert "mmap_assert_write_locked" in text
