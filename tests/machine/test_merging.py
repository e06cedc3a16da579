"""Two moments of a task are one node only if their future is the same: code, position, locals *and* the value stack."""

from __future__ import annotations

import asyncio
import platform
import sys
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings

from mmlocks.machine import Cell, Layout, Machine, Record, Step, moment
from mmlocks.machine.eventloops import LoopHidden
from mmlocks.mm import vma_start_write
from mmlocks.scenarios import SCENARIOS, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.search import judge
from tests.helpers import Build, final_values, outcome, tasks_on_cells
from tests.machine.programs import PROGRAMS, increment, message, peterson
from tests.machine.random_programs import machine, programs


@pytest.fixture
def histories(monkeypatch: pytest.MonkeyPatch) -> Callable[[Build], Any]:
    """Searches a program with moments told apart by the whole history of results, which is right by construction."""

    def searched(build: Build) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(moment, "stack_is_visible", lambda: False)
            return outcome(build(), reduced=False)

    return searched


async def set_a(a: Cell[Any], b: Cell[Any], c: Cell[Any], out: Cell[Any]) -> None:
    await a.set(1)


# What a task can have in mind without a local variable of its own showing it. Each of these ends with out = 0 or 1,
# depending on whether it read `a` before or after the other CPU set it; a step in between is the same for both.


async def compares(a, b, c, out):
    await out.set(int(await a == await b + 1))


async def adds(a, b, c, out):
    await out.set(await a + await b)


async def calls(a, b, c, out):
    await out.set(max(await a, await b))


async def builds_a_tuple(a, b, c, out):
    await out.set((await a, await b)[0])


async def in_a_caller(a, b, c, out):
    async def again(cell):
        return await cell

    await out.set(await again(a) + await again(b))


async def in_an_iterator(a, b, c, out):
    numbers = iter([0, 1])
    if await a:
        next(numbers)
    await b
    await out.set(next(numbers))


async def in_a_loop(a, b, c, out):
    for number in range(await a, 2):
        await b
        await out.set(number)
        break


async def in_a_list(a, b, c, out):
    seen = []
    seen.append(await a)
    await b
    await out.set(seen[0])


async def in_one_list_or_two(a, b, c, out):
    one = two = [0]
    if not await a:
        two = [0]
    await b
    one.append(1)
    await out.set(len(two) - 1)


async def in_a_closure(a, b, c, out):
    seen = await a

    def remember():
        return seen

    await b
    await out.set(remember())


async def in_a_default(a, b, c, out):
    def remember(seen=await a):
        return seen

    await b
    await out.set(remember())


async def in_an_attribute_of_a_function(a, b, c, out):
    def remember():
        return remember.seen

    remember.seen = await a
    await b
    await out.set(remember())


async def in_a_partial(a, b, c, out):
    remember = partial(int, await a)
    await b
    await out.set(remember())


class Pair(tuple):
    """A tuple with something more to it."""


async def in_an_attribute_of_a_tuple(a, b, c, out):
    pair = Pair()
    pair.seen = await a
    await b
    await out.set(pair.seen)


class Notes:
    def __init__(self, seen: Any) -> None:
        self.seen = seen


async def in_an_object(a, b, c, out):
    notes = Notes(await a)
    await b
    await out.set(notes.seen)


async def in_a_generator_that_waits(a, b, c, out):
    def counts(first):
        yield first
        yield first + 1

    numbers = counts(await a)
    next(numbers)
    await b
    await out.set(next(numbers) - 1)


async def in_an_async_generator_that_waits(a, b, c, out):
    async def reads():
        seen = await a
        yield 0
        yield seen

    async for seen in reads():
        await b
        await out.set(seen)


async def behind_an_await_of_its_own(a, b, c, out):
    class Reads:
        def __await__(self):
            seen = yield from a.__await__()
            yield from b.__await__()
            return seen

    await out.set(await Reads())


async def behind_an_await_that_is_handed_on(a, b, c, out):
    class Reads:
        async def run(self):
            seen = await a
            await b
            return seen

        def __await__(self):
            return self.run().__await__()

    await out.set(await Reads())


async def in_a_deque(a, b, c, out):
    notes = deque([await a], maxlen=2)
    await b
    await out.set(notes.pop())


async def in_a_default_of_a_dict(a, b, c, out):
    notes = defaultdict(partial(int, await a))
    await b
    await out.set(notes["seen"])


async def in_the_order_of_a_dict(a, b, c, out):
    notes = OrderedDict(one=1, none=0)
    if await a:
        notes.move_to_end("none", last=False)
    await b
    await out.set(1 - next(iter(notes.values())))


async def in_a_view_of_a_dict(a, b, c, out):
    values = iter({"none": 0, "one": 1}.values())
    if await a:
        next(values)
    await b
    await out.set(next(values))


async def in_a_map(a, b, c, out):
    numbers = map(int, [0, 1])
    if await a:
        next(numbers)
    await b
    await out.set(next(numbers))


class Slotted:
    __slots__ = ("__dict__", "seen")


async def in_a_slot_beside_a_dict(a, b, c, out):
    notes = Slotted()
    notes.seen = await a
    await b
    await out.set(notes.seen)


async def in_a_frozen_set(a, b, c, out):
    notes = frozenset([True if await a else 1])
    await b
    await out.set(int(next(iter(notes)) is True))


async def in_a_method_of_a_list(a, b, c, out):
    pop = [await a].pop
    await b
    await out.set(pop())


async def in_a_class(a, b, c, out):
    value = await a

    class Local:
        seen = value

    value = None
    await b
    await out.set(Local.seen)


async def in_an_exception(a, b, c, out):
    try:
        raise ValueError(await a)
    except ValueError as problem:
        await b
        await out.set(problem.args[0])


async def in_an_exception_on_the_way(a, b, c, out):
    try:
        try:
            raise ValueError(await a)
        finally:
            await b
    except ValueError as problem:
        await out.set(problem.args[0])


async def in_a_generator(a, b, c, out):
    seen = await a
    later = (number for number in [seen])
    del seen
    await b
    await out.set(next(later))


class Both:
    """An awaitable of somebody's own that takes two steps."""

    def __init__(self, a: Cell[Any], b: Cell[Any]) -> None:
        self.cells = a, b

    def __await__(self) -> Generator[Step, Any, Any]:
        first = yield self.cells[0].load()
        yield self.cells[1].load()
        return first


async def in_an_awaitable(a, b, c, out):
    await out.set(await Both(a, b))


@types.coroutine
def old_style(a, b):
    first = yield a.load()
    yield b.load()
    return first


async def in_an_old_style_coroutine(a, b, c, out):
    await out.set(await old_style(a, b))


async def two_steps_then_a_value(a, b):
    first = await a
    await b
    yield first


async def in_an_async_generator(a, b, c, out):
    async for first in two_steps_then_a_value(a, b):
        await out.set(first)


async def in_an_async_generator_that_nobody_holds(a, b, c, out):
    await out.set(await two_steps_then_a_value(a, b).__anext__())


async def in_an_async_comprehension(a, b, c, out):
    both = [await cell for cell in (a, b)]
    await out.set(both[0])


class Section:
    def __init__(self, a: Cell[Any]) -> None:
        self.a = a

    async def __aenter__(self) -> Any:
        self.seen = await self.a
        return self

    async def __aexit__(self, *_: Any) -> None:
        pass


async def in_a_context(a, b, c, out):
    async with Section(a) as section:
        await b
        await out.set(section.seen)


HIDING_PLACES = [
    compares, adds, calls, builds_a_tuple, in_a_caller, in_an_iterator, in_a_loop, in_a_list, in_one_list_or_two, in_a_closure,
    in_a_default, in_an_attribute_of_a_function, in_an_attribute_of_a_tuple, in_an_object,
    in_a_slot_beside_a_dict, in_a_frozen_set, in_a_method_of_a_list, in_a_class,
    in_an_exception, in_an_exception_on_the_way, in_a_generator, in_an_awaitable, in_an_old_style_coroutine,
    in_an_async_comprehension, in_a_context,
    *(SEEN_THROUGH := [
        in_a_generator_that_waits, in_an_async_generator_that_waits, behind_an_await_of_its_own, behind_an_await_that_is_handed_on,
        in_a_deque, in_a_default_of_a_dict, in_the_order_of_a_dict, in_a_view_of_a_dict, in_a_map, in_a_partial,
        in_an_async_generator, in_an_async_generator_that_nobody_holds,
    ]),
]  # fmt: skip


@pytest.mark.parametrize("task", HIDING_PLACES, ids=lambda task: task.__name__)
def test_what_a_task_has_in_mind_is_not_forgotten(task: Any) -> None:
    assert final_values(tasks_on_cells(task, set_a), "out") == {"0", "1"}


@pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="other Pythons may go by histories"
)
@pytest.mark.parametrize("task", SEEN_THROUGH, ids=lambda task: task.__name__)
def test_a_moment_is_told_from_others_without_its_history(task: Any) -> None:
    searched = tasks_on_cells(task, set_a)()
    judge(searched)
    assert all(
        node.answer.key is not None for node in searched.tasks[0].nodes if node.step is not None
    )


@pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="other Pythons may go by histories"
)
@pytest.mark.skipif(sys.platform == "emscripten", reason="node runs no loop inside another")
@pytest.mark.parametrize("task", [in_an_async_generator, in_an_async_generator_that_nobody_holds])
def test_so_it_is_inside_an_event_loop(task: Any) -> None:
    """A notebook has one, and it wants to be told of every async generator."""

    async def notebook() -> object:
        test_a_moment_is_told_from_others_without_its_history(task)
        return asyncio.get_running_loop()

    with LoopHidden():  # a browser test in this process may have left a loop of its own
        assert asyncio.run(notebook()) is not None  # ours was hidden from the tasks alone


@pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="other Pythons may go by histories"
)
def test_a_moment_inside_a_kernel_functions_stub_is_told_from_others() -> None:
    world = SCENARIOS["fork_lost_store"].world()
    waits = vma_start_write(world.mm.vmas[0])
    waits.send(None)
    assert moment.moment_of(waits) is not None
    waits.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, True), ((1,), (True,)), (0, False), ((0, (1,)), (0, (True,))), ("", False)],
    ids=repr,
)
def test_values_that_python_calls_equal_are_two_results(first: Any, second: Any) -> None:
    async def change(a, b, c, out):
        await a.set(second)

    async def look(a, b, c, out):
        await out.set(repr(await a))

    build = tasks_on_cells(look, change, initial=first)
    assert final_values(build, "out") == {repr(repr(first)), repr(repr(second))}


@pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="other Pythons may go by histories"
)
def test_this_python_shows_the_value_stack() -> None:
    assert moment.stack_is_visible()


@pytest.mark.parametrize(
    "task", [compares, adds, calls, builds_a_tuple], ids=lambda task: task.__name__
)
def test_ignoring_the_value_stack_would_lose_endings(
    task: Any, histories: Callable[[Build], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_stack(freezer: Any, link: Any) -> Any:
        names = link.frame.f_locals
        return (
            link.code,
            link.frame.f_lasti,
            tuple((name, freezer.value(names[name])) for name in names),
        )

    build = tasks_on_cells(task, set_a)
    right = histories(build)
    assert outcome(build(), reduced=False) == right
    monkeypatch.setattr(moment.Freezer, "frame", without_stack)
    assert outcome(build(), reduced=False).endings < right.endings


SPINNING = ("peterson", "dekker", "bakery", "message", "spinner")
"""Their histories have no end."""


@pytest.mark.parametrize("name", [name for name in PROGRAMS if not name.startswith(SPINNING)])
def test_a_program_ends_in_the_same_states_by_histories_alone(
    name: str, histories: Callable[[Build], Any]
) -> None:
    build = PROGRAMS[name].build
    assert outcome(build(), reduced=False) == histories(build)


@pytest.mark.parametrize("release", ["6.3", "6.4.0", "6.4.3"])
@pytest.mark.parametrize("name", ["fork_lost_store", "fork_torn_snapshot", "fork_other_vma"])
def test_a_scenario_ends_in_the_same_states_by_histories_alone(
    name: str, release: str, histories: Callable[[Build], Any]
) -> None:
    def build() -> Machine:
        return machine_for(SCENARIOS[name], as_kernel(release))[0]

    assert outcome(build(), reduced=False) == histories(build)


@given(programs(spinning=False))
@settings(max_examples=60)
def test_a_random_program_ends_in_the_same_states_by_histories_alone(program: Any) -> None:
    right = outcome(machine(program), reduced=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moment, "stack_is_visible", lambda: False)
        assert outcome(machine(program), reduced=False) == right


def test_a_loop_closes_where_moments_are_merged() -> None:
    searched = message()
    assert judge(searched).outcome == "safe"
    assert len(searched.tasks[1].nodes) < 10


def test_scenario_tasks_are_merged() -> None:
    """Every moment of every shipped scenario can be told from every other, so none falls back to its history."""
    for scenario in SCENARIOS.values():
        searched, _ = machine_for(scenario, as_kernel("6.4.3"))
        judge(searched)
        nodes = [node for task in searched.tasks for node in task.nodes if node.step is not None]
        histories = [node for node in nodes if node.answer.key is None]
        assert not histories, (
            f"{scenario.name}: {len(histories)} of {len(nodes)} nodes are histories"
        )


def test_a_helper_object_of_ones_own_does_not_make_a_loop_endless() -> None:
    """A class to keep one's cells together is the first thing that people write."""
    layout = Layout(cpus=2)

    class Box:
        def __init__(self) -> None:
            self.flag = layout.cell("flag", False)

    box = Box()

    async def send() -> None:
        await box.flag.set(True)

    async def receive() -> None:
        while not await box.flag:
            pass

    searched = Machine(layout, [("send", send), ("receive", receive)])
    assert judge(searched).violation is None


def test_a_record_of_ones_own_is_one_value() -> None:
    layout = Layout(cpus=2)

    class Box(Record):
        def __init__(self) -> None:
            super().__init__(layout, "box")
            self.flag = layout.cell("flag", False)

    box = Box()

    async def send() -> None:
        await box.flag.set(True)

    async def receive() -> None:
        while not await box.flag:
            pass

    assert judge(Machine(layout, [("send", send), ("receive", receive)])).violation is None


@pytest.mark.parametrize("build", [increment, peterson], ids=["increment", "peterson"])
def test_nodes_are_few(build: Build) -> None:
    searched = build()
    judge(searched, reduced=False)
    assert max(len(task.nodes) for task in searched.tasks) < 30
