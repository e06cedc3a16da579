"""The tree of VMAs: against a naive dict of pages, and against readers who hold nothing but an RCU read section, or not even that."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmlocks.machine import Machine, Rcu
from mmlocks.machine.sequential import Sequential
from mmlocks.machine.state import Poison
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.maple import (
    find_vma,
    find_vma_before,
    for_each_vma,
    mas_read,
    mas_walk,
    vma_iter_store,
)
from mmlocks.mm.maple_node import END, FEWEST, SLOTS, MapleNode, Ranges
from mmlocks.mm.mm_types import Memory, Mm, Vma
from mmlocks.mm.world import World
from mmlocks.releases import NEWEST
from mmlocks.search import Budget
from mmlocks.search.exhaustive import explore
from mmlocks.search.verdict import Meter

PAGE = 0x1000
KERNEL = Kernel(NEWEST)
PAGES = 400


class Tree:
    """A tree without an address space around it, and a dict of pages that must agree with it."""

    def __init__(self) -> None:
        self.layout = Sequential()
        self.mm = Mm(self.layout, Memory(self.layout, 1), Rcu(self.layout), [])
        self.pages: dict[int, Vma] = {}
        self.made = 0

    def new(self) -> Vma:
        self.made += 1
        return Vma(self.mm, self.layout, f"vma{self.made}")

    def store(self, first: int, last: int, vma: Vma | None) -> None:
        self.layout.run(vma_iter_store(self.mm, first * PAGE, last * PAGE, vma))
        for page in range(first, last):
            if vma is None:
                self.pages.pop(page, None)
            else:
                self.pages[page] = vma

    def at(self, page: int) -> Vma | None:
        async def look() -> Vma | None:
            await self.mm.rcu.read_lock()
            found: Vma | None = await mas_walk(self.mm, page * PAGE + 5)
            await self.mm.rcu.read_unlock()
            return found

        return self.layout.run(look())

    def next(self, page: int) -> Vma | None:
        return self.layout.run(find_vma(self.mm, page * PAGE))

    def before(self, page: int) -> Vma | None:
        return self.layout.run(find_vma_before(self.mm, page * PAGE))

    def all(self, first: int, last: int) -> tuple[Vma, ...]:
        async def look() -> tuple[Vma, ...]:
            await self.mm.mmap_lock.down_write()
            found = await for_each_vma(self.mm, first * PAGE, last * PAGE)
            await self.mm.mmap_lock.up_write()
            return found

        return self.layout.run(look())

    def nodes(self) -> list[tuple[MapleNode, int]]:
        """All nodes that can be reached, each with its depth, those of one level from left to right."""
        now, found = self.layout.now, [(self.mm.mm_mt.ma_root.of(self.layout.now), 0)]
        for node, depth in found:
            ranges: Ranges = node.ranges.of(now)
            found += [(slot, depth + 1) for slot in ranges.slots if isinstance(slot, MapleNode)]
        return found

    def check_shape(self) -> None:
        """Every node is full enough and not too full, in order, alive, and all leaves are equally deep."""
        now, nodes = self.layout.now, self.nodes()
        leaves = set()
        for node, depth in nodes:
            ranges = node.ranges.of(now)
            assert isinstance(ranges, Ranges) and not ranges.dead
            assert len(ranges.ends) == len(ranges.slots) <= SLOTS
            assert depth == 0 or len(ranges.slots) >= FEWEST
            assert list(ranges.ends) == sorted(set(ranges.ends))
            assert all(
                one is not other for one, other in zip(ranges.slots, ranges.slots[1:], strict=False)
            )
            if not any(isinstance(slot, MapleNode) for slot in ranges.slots):
                leaves.add(depth)
            else:
                assert [slot.ranges.of(now).ends[-1] for slot in ranges.slots] == list(ranges.ends)
        assert len(leaves) == 1
        assert nodes[-1][0].ranges.of(now).ends[-1] == END


class TreeAgainstPages(RuleBasedStateMachine):
    """Any sequence of stores and erasures; every question has the answer that the dict gives."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = Tree()

    @rule(first=st.integers(0, PAGES - 1), length=st.integers(1, 8))
    def store(self, first: int, length: int) -> None:
        self.tree.store(first, min(PAGES, first + length), self.tree.new())

    @rule(first=st.integers(0, PAGES - 1), length=st.integers(1, 12), count=st.integers(5, 40))
    def store_many(self, first: int, length: int, count: int) -> None:
        for n in range(count):
            low = (first + 3 * n) % PAGES
            self.tree.store(low, min(PAGES, low + 1 + length % 3), self.tree.new())

    @rule(first=st.integers(0, PAGES - 1), length=st.integers(1, PAGES))
    def erase(self, first: int, length: int) -> None:
        self.tree.store(first, min(PAGES, first + length), None)

    @precondition(lambda self: self.tree.pages)
    @rule(data=st.data(), longer=st.integers(-3, 3))
    def move_a_boundary(self, data: st.DataObject, longer: int) -> None:
        page = data.draw(st.sampled_from(sorted(self.tree.pages)))
        vma = self.tree.pages[page]
        low, high = min(page, page + longer), max(page + 1, page + longer)
        self.tree.store(max(0, low), min(PAGES, high), vma)

    @rule(page=st.integers(0, PAGES))
    def ask(self, page: int) -> None:
        pages, tree = self.tree.pages, self.tree
        assert tree.at(page) is pages.get(page)
        above, below = [p for p in pages if p >= page], [p for p in pages if p < page]
        assert tree.next(page) is (pages[min(above)] if above else None)
        assert tree.before(page) is (pages[max(below)] if below else None)

    @rule(first=st.integers(0, PAGES), length=st.integers(0, PAGES))
    def ask_for_all(self, first: int, length: int) -> None:
        wanted = dict.fromkeys(
            self.tree.pages[p] for p in range(first, first + length) if p in self.tree.pages
        )
        assert self.tree.all(first, first + length) == tuple(wanted)

    @invariant()
    def is_well_shaped(self) -> None:
        self.tree.check_shape()

    @invariant()
    def forgets_no_node(self) -> None:
        """Each node is either in the tree, or freed and poisoned."""
        now, mm_mt = self.tree.layout.now, self.tree.mm.mm_mt
        alive = {node for node, _ in self.tree.nodes()}
        for node in self.tree.layout.records.values():
            if isinstance(node, MapleNode) and node not in alive:
                assert isinstance(node.ranges.of(now), Poison), f"{node} is lost by {mm_mt}"


TestTreeAgainstPages = TreeAgainstPages.TestCase
TestTreeAgainstPages.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_ten_thousand_vmas_are_four_levels_at_most() -> None:
    tree = Tree()
    for page in range(10_000):
        tree.store(2 * page, 2 * page + 1, tree.new())
    tree.check_shape()
    assert max(depth for _, depth in tree.nodes()) <= 4
    for page in range(0, 20_000, 7):
        assert tree.at(page) is tree.pages.get(page)
    for page in range(10_000):
        tree.store(2 * page, 2 * page + 1, None)
    assert [depth for _, depth in tree.nodes()] == [0]
    tree.check_shape()


# -- in place, or by a new node ---------------------------------------------------------------------------------------


def root_of(tree: Tree) -> MapleNode:
    return tree.mm.mm_mt.ma_root.of(tree.layout.now)


def test_a_boundary_that_leaves_a_gap_is_moved_in_place() -> None:
    tree = Tree()
    stack = tree.new()
    tree.store(2, 4, tree.new())
    tree.store(10, 12, stack)
    root = root_of(tree)
    tree.store(7, 12, stack)  # the gap [4, 10) becomes [4, 7)
    assert root_of(tree) is root


def test_a_gap_that_vanishes_replaces_the_node() -> None:
    tree = Tree()
    stack = tree.new()
    tree.store(2, 4, tree.new())
    tree.store(10, 12, stack)
    root = root_of(tree)
    tree.store(4, 12, stack)
    assert root_of(tree) is not root
    assert isinstance(root.ranges.of(tree.layout.now), Poison)


# -- readers beside a writer ------------------------------------------------------------------------------------------


def two_vmas() -> tuple[World, Vma]:
    world = World(2, pages={}, faulting={}, cached={}, referee=False)
    world.map("low", 2, 3)
    stack = world.map("stack", 6, 7)
    world.may_change(nodes=2)
    return world, stack


async def grow_until_the_gap_vanishes(world: World, stack: Vma) -> None:
    await world.mm.mmap_lock.down_write()
    await KERNEL.vma_iter_store(world.mm, 4 * PAGE, 8 * PAGE, stack)
    await world.mm.mmap_lock.up_write()


async def walk_node_by_node(world: World, inside_rcu: bool) -> None:
    if inside_rcu:
        await world.rcu.read_lock()
    node = await world.mm.mm_mt.ma_root
    await mas_read(node)
    if inside_rcu:
        await world.rcu.read_unlock()


@pytest.mark.parametrize(("inside_rcu", "oracle"), [(True, None), (False, "freed_node")])
def test_only_an_rcu_read_section_keeps_a_replaced_node_from_being_freed(
    inside_rcu: bool, oracle: str | None
) -> None:
    world, stack = two_vmas()
    tasks = [
        ("grow", lambda: grow_until_the_gap_vanishes(world, stack)),
        ("walk", lambda: walk_node_by_node(world, inside_rcu)),
    ]
    machine = Machine(world.layout, tasks)
    found = explore(machine, Meter(Budget(100_000, 60.0)))
    assert (found.violation.oracle if found.violation else None) == oracle
    if oracle is None:
        freed = [
            node
            for node in world.mm.mm_mt.nodes
            if isinstance(node.ranges.of(next(iter(found.endings))), Poison)
        ]
        assert freed, "the old node was never freed"


def test_a_reader_without_rcu_is_safe_behind_mmap_lock() -> None:
    world, stack = two_vmas()

    async def reader() -> None:
        await world.mm.mmap_lock.down_read()
        assert await KERNEL.find_vma(world.mm, 5 * PAGE) is stack
        await world.mm.mmap_lock.up_read()

    tasks = [("grow", lambda: grow_until_the_gap_vanishes(world, stack)), ("find", reader)]
    found = explore(Machine(world.layout, tasks), Meter(Budget(100_000, 60.0)))
    assert found.violation is None


def test_walking_in_one_step_loses_no_answer() -> None:
    """mas_walk finds what a walk node by node finds inside the same read section, and nothing else."""

    def answers(one_step: bool) -> set[str]:
        world, stack = two_vmas()
        out = world.layout.cell("found", "not yet", bits=3)

        async def walker() -> None:
            await world.rcu.read_lock()
            if one_step:
                vma = await mas_walk(world.mm, 4 * PAGE)
            else:
                node = await world.mm.mm_mt.ma_root
                ranges: Ranges = await mas_read(node)
                vma = ranges.slots[ranges.covering(4 * PAGE)]
            await world.rcu.read_unlock()
            await out.set(str(vma))

        tasks = [("grow", lambda: grow_until_the_gap_vanishes(world, stack)), ("walk", walker)]
        found = explore(Machine(world.layout, tasks), Meter(Budget(100_000, 60.0)))
        assert found.violation is None
        return {out.of(state) for state in found.endings}

    assert answers(one_step=True) == answers(one_step=False) == {"None", "stack"}


def test_a_walk_outside_an_rcu_read_section_is_refused() -> None:
    world, _ = two_vmas()

    async def walker() -> None:
        await mas_walk(world.mm, 4 * PAGE)

    tasks = [("walk", walker), ("walk", walker)]
    found = explore(Machine(world.layout, tasks), Meter(Budget(1000, 10.0)))
    assert found.violation is not None
    assert found.violation.message.endswith(
        ": mas_walk outside an RCU read section. Enter one first."
    )
