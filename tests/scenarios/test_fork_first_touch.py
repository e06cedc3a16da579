"""Manifestation B of the fork bug: 6.4 as it was cannot come there, and a kernel without the fall-back of a first fault can."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import NamedTuple

import pytest

from mmlocks.mm import Kernel
from mmlocks.mm.address import address_of
from mmlocks.mm.user import load, store
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_MAY_ACCESS, VM_READ
from mmlocks.mm.world import World
from mmlocks.releases import release_named
from mmlocks.scenarios import SCENARIOS, Scenario, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_first_touch import BESIDE, PAGE, forker
from mmlocks.scenarios.scenario import Thread
from mmlocks.search import Budget
from mmlocks.search.exhaustive import explore
from mmlocks.search.verdict import Meter
from tests.mutated import mutated


class Variant(NamedTuple):
    """A VMA that was never touched, of one page or two; alone or with a neighbour that was; and the CPUs that touch it while another forks."""

    neighbour: bool
    reads_first: bool
    touchers: int


VARIANTS = [Variant(*each) for each in product((False, True), (False, True), (1, 2))]


def scenario(variant: Variant) -> Scenario:
    async def toucher(world: World) -> None:
        if variant.reads_first:
            await load(world.mm, address_of(PAGE))
        await store(world.mm, address_of(PAGE), 1)

    async def another(world: World) -> None:
        await store(world.mm, address_of(PAGE, 1), 2)

    def world() -> World:
        cpus = variant.touchers + 1
        made = World(
            cpus,
            pages={PAGE: None, BESIDE: None},
            faulting={cpu: [PAGE] for cpu in range(1, cpus)},
            cached={},
            frames=3,
        )
        made.map("heap", PAGE, PAGE, faulted=False)
        if variant.neighbour:
            made.map("constants", BESIDE, BESIDE, flags=VM_READ | VM_MAY_ACCESS | VM_ACCOUNT)
        return made

    threads: tuple[tuple[str, Thread], ...] = (
        ("fork()", forker),
        ("touches P3", toucher),
        ("stores P3[1] = 2", another),
    )
    return dataclasses.replace(
        SCENARIOS["fork_first_touch"],
        world=world,
        threads=threads[: variant.touchers + 1],
        oracles=("misfiled", "isolation", "references"),
    )


def name(variant: Variant) -> str:
    words = [
        "beside another" if variant.neighbour else "alone",
        "read first" if variant.reads_first else "stored",
        str(variant.touchers),
    ]
    return ", ".join(words)


def rules_broken(variant: Variant, release: str) -> set[str]:
    """All rules that any interleaving breaks, not only the first."""
    machine, _ = machine_for(scenario(variant), as_kernel(release))
    found = explore(machine, Meter(Budget()), stop=False)
    assert not found.reason
    return {violation.oracle for violation in found.violations}


@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_6_4_0_cannot_get_there(variant: Variant) -> None:
    """Two who store may lose one of the stores, which is manifestation A. No page is filed where its VMA is not linked."""
    assert rules_broken(variant, "6.4.0") <= {"lost_store"}


@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_without_the_fall_back_it_can(variant: Variant) -> None:
    assert "misfiled" in rules_broken(variant, "6.4.0-first_fault_falls_back")


@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_the_repair_of_the_lost_store_cures_it_too(variant: Variant) -> None:
    assert rules_broken(variant, "6.4.0-first_fault_falls_back+fork_locks_vmas") == set()


async def first(world: World) -> None:
    await store(world.mm, address_of(PAGE), 1)


async def second(world: World) -> None:
    await store(world.mm, address_of(BESIDE), 2)


def two_pages() -> World:
    made = World(2, pages={PAGE: None, BESIDE: None}, faulting={0: [PAGE], 1: [BESIDE]}, cached={})
    made.map("heap", PAGE, BESIDE, faulted=False)
    return made


@pytest.mark.parametrize(
    "release", ["6.1", "6.4.0", "6.6-like", "6.6-like-first_fault_falls_back", "speculative"]
)
def test_two_first_stores_to_one_vma_may_meet_wherever_they_like(release: str) -> None:
    """With every step taken apart: who finds the VMA's anon_vma finds the VMA linked to it."""
    both = dataclasses.replace(
        SCENARIOS["fork_first_touch"],
        world=two_pages,
        threads=(("stores P3 = 1", first), ("stores P4 = 2", second)),
        oracles=("misfiled", "references", "held_at_end"),
    )
    machine, _ = machine_for(both, as_kernel(release), split_together=True)
    found = explore(machine, Meter(Budget()), stop=False)
    assert (found.violations, found.reason) == (set(), "")


def test_who_sets_the_anon_vma_before_the_link_is_found_out() -> None:
    """The order of the two stores is what the test above is about."""
    right, wrong = (
        "vma.anon_vma_chain.set((anon_vma,)),\n            vma.anon_vma.set(anon_vma),",
        "vma.anon_vma.set(anon_vma),\n            vma.anon_vma_chain.set((anon_vma,)),",
    )
    both = dataclasses.replace(
        SCENARIOS["fork_first_touch"],
        world=two_pages,
        threads=(("stores P3 = 1", first), ("stores P4 = 2", second)),
        oracles=(),
    )
    kernel = Kernel(release_named("6.1"), text=mutated("rmap", right, wrong))
    machine, _ = machine_for(both, kernel, split_together=True)
    assert "misfiled" in {
        violation.oracle for violation in explore(machine, Meter(Budget()), stop=False).violations
    }
