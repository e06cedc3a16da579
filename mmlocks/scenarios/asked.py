"""A scenario as it is put to an answer: with more oracles, and more room for other solutions.

A scenario names the oracles that see what its story is about, and they are enough for our own
kernels. An answer may break anything else. It may also need what ours do not: a frame for a copy
that fork makes at once, or a VMA that is given up again.
"""

from __future__ import annotations

from dataclasses import replace

from mmlocks.mm.world import World
from mmlocks.scenarios.scenario import Scenario

ALL = "+all"
"""Ends the name of such a scenario: `fork_lost_store+all`."""

ALWAYS = (
    "references",
    "filed_wrong",
    "stray_page",
    "sound_entries",
    "anon_vmas",
    "stale_translation",
    "held_at_end",
    "leak",
    "atomic_sleep",
)
OF_STORES = ("lost_store", "stores_made")
OF_FORKS = ("snapshot", "isolation", "whole_child", "same_parent")


def asked(scenario: Scenario) -> Scenario:
    """The scenario as it is put to an answer."""
    world = scenario.world()
    more = [*(OF_STORES if world.referee else ()), *(OF_FORKS if world.forks else ()), *ALWAYS]

    def roomy() -> World:
        made = scenario.world()
        make_room(made)
        made.to_store = scenario.stores
        return made

    oracles = tuple(dict.fromkeys((*scenario.oracles, *more)))
    file = scenario.file and scenario.file + ALL
    return replace(scenario, name=scenario.name + ALL, world=roomy, oracles=oracles, file=file)


def make_room(world: World) -> None:
    """Set aside more of what may run out.

    Every CPU gets one frame more for each page and child, every child a VMA, and every VMA an
    anon_vma.
    """
    for page in world.pages:
        for cpu in range(world.layout.cpus):
            frames = [world.memory.new_frame() for _ in world.children]
            pool = world.memory.pools.setdefault((page, cpu), [])
            pool.extend(frames)
            world.memory.behind[page].extend(frames)
    for vma in (*world.mm.vmas, *world.mm.spare_vmas):
        vma.spare_anon_vmas.set_aside(1)
    if world.forks:
        for child in world.children:
            child.spare_vmas.set_aside(1)
