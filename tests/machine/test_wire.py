"""Steps, results and answers are plain values: a task's code may live where only JSON comes through."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlocks.errors import MmlocksError, ModelError
from mmlocks.machine import Layout, Machine, Record, Step
from mmlocks.machine.coroutine import CoroutineSupplier
from mmlocks.machine.task import Answer, Supplier
from mmlocks.machine.wire import from_plain, to_plain
from mmlocks.scenarios import SCENARIOS, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.search import judge
from tests.helpers import Build, outcome
from tests.machine.programs import PROGRAMS

RELEASES = ["6.3", "6.4.0", "6.4.3"]
TERMINATING = [
    name
    for name in PROGRAMS
    if not name.startswith(("peterson", "dekker", "bakery", "message", "spinner"))
]


def by_json(value: Any, layout: Layout) -> Any:
    return from_plain(json.loads(json.dumps(to_plain(value))), layout)


class Far:
    """A supplier behind a wall: every result that goes in, and every answer that comes out, is JSON on the way."""

    def __init__(self, near: Supplier, layout: Layout) -> None:
        self._near = near
        self._layout = layout
        self.asked = 0

    def answer(self, results: Sequence[Any]) -> Answer:
        self.asked += 1
        answer: Answer = by_json(
            self._near.answer([by_json(result, self._layout) for result in results]), self._layout
        )
        return answer

    def verify(self) -> None:
        self._near.verify()


def far_away(machine: Machine) -> Machine:
    """The same program, its code out of reach."""
    near: list[Supplier] = [task._supplier for task in machine.tasks]
    tasks: list[tuple[str, Supplier]] = [
        (task.name, Far(supplier, machine.layout))
        for task, supplier in zip(machine.tasks, near, strict=True)
    ]
    return Machine(machine.layout, tasks, machine.judge)


def scenario(name: str, release: str) -> Build:
    return lambda: machine_for(SCENARIOS[name], as_kernel(release))[0]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_step_and_result_of_a_scenario_survives_json(name: str, release: str) -> None:
    machine = scenario(name, release)()
    judge(machine)
    nodes = [node for task in machine.tasks for node in task.nodes]
    assert len(nodes) > 10
    for node in nodes:
        assert by_json(node.step, machine.layout) == node.step
        assert by_json(node.history, machine.layout) == node.history
        back = by_json(node.answer, machine.layout)
        assert (back.step, back.where, back.ended, back.value, back.message) == (
            node.answer.step,
            node.answer.where,
            node.answer.ended,
            node.answer.value,
            node.answer.message,
        )
        assert back.key is None, "what tells two moments apart stays at home"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_value_in_a_state_survives_json(name: str, release: str) -> None:
    machine = scenario(name, release)()
    judge(machine)
    for cell in machine.layout.cells:
        for value in cell._values:
            back = by_json(value, machine.layout)
            assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["fork_lost_store", "fork_torn_snapshot", "fork_other_vma"])
def test_a_supplier_that_speaks_json_alone_gives_the_same_verdict(name: str, release: str) -> None:
    build = scenario(name, release)
    near, far = judge(build()), judge(far_away(build()))
    assert (near.outcome, near.violation, near.schedule, near.minimal) == (
        far.outcome,
        far.violation,
        far.schedule,
        far.minimal,
    )
    assert outcome(build(), reduced=False) == outcome(far_away(build()), reduced=False)


@pytest.mark.parametrize("name", TERMINATING)
def test_a_program_behind_json_gives_the_same_verdict(name: str) -> None:
    near, far = judge(PROGRAMS[name].build()), judge(far_away(PROGRAMS[name].build()))
    assert (near.outcome, near.violation, near.schedule) == (
        far.outcome,
        far.violation,
        far.schedule,
    )


def test_the_search_asks_a_supplier_few_questions() -> None:
    machine = far_away(scenario("fork_lost_store", "6.4.3")())
    judge(machine)
    asked = sum(task._supplier.asked for task in machine.tasks)  # type: ignore[attr-defined]
    assert asked < 600


def test_a_mistake_behind_json_is_told_the_same() -> None:
    layout = Layout(1)
    cell = layout.cell("cell", 0)

    async def fails() -> None:
        await cell
        raise ValueError("bad")

    def built(start: Callable[[], Coroutine[Any, Any, Any]]) -> Machine:
        return Machine(layout, [("fails", start)])

    near = judge(built(fails)).violation
    far = judge(Machine(layout, [("fails", Far(CoroutineSupplier(0, fails), layout))])).violation
    assert near is not None
    assert near == far


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=12,
)


def exactly(value: Any) -> Any:
    """Equal values of different types told apart."""
    return (type(value), tuple(map(exactly, value)) if isinstance(value, tuple) else value)


@given(PLAIN)
def test_plain_values_survive(value: Any) -> None:
    assert exactly(by_json(value, Layout(1))) == exactly(value)


@given(
    st.sampled_from(["load", "store", "together", "swap"]), st.lists(PLAIN, max_size=4).map(tuple)
)
def test_steps_survive(op: str, args: tuple[Any, ...]) -> None:
    assert by_json(Step(op, args), Layout(1)) == Step(op, args)


def test_a_handle_comes_back_as_the_same_object() -> None:
    layout = Layout(1)
    handle = Record(layout, "handle")
    assert by_json((handle, (handle,)), layout) == (handle, (handle,))
    assert by_json(handle, layout) is handle


@pytest.mark.parametrize(
    "value",
    [1.5, [1], {1}, {"a": 1}, object(), b"bytes", lambda: None],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_value_does_not_travel(value: Any) -> None:
    with pytest.raises(ModelError, match="is not a plain value"):
        to_plain(value)
    with pytest.raises(ModelError, match="is not a plain value"):
        to_plain(Step("store", (0, value)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["record", "step", "args", "answer", "tuple", "named", "items", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_a_hostile_message_is_refused_or_read(message: Any) -> None:
    """The other side may send anything; it gets a ModelError or a plain value, never another exception."""
    with contextlib.suppress(MmlocksError):
        to_plain(from_plain(message, Layout(1)))


@pytest.mark.parametrize(
    "message",
    [
        {"record": "nobody"},
        {"record": 5},
        {"record": ["a"]},
        {"step": "no_such_operation", "args": []},
        {"step": ["load"], "args": []},
        {"step": "load"},
        {"named": "Pte", "items": [1]},
        {"named": "Pte", "items": [1, 2, 3, 4]},
        {"named": "Nothing", "items": []},
        {"named": "Place", "items": []},
        {"answer": []},
        {"answer": [1, 2, 3, 4, 5]},
        {"answer": [None, None, "returned", None, 7]},
        {"answer": [{"step": "load", "args": [0]}, {"tuple": [1]}, "", None, ""]},
        {"cell": "a"},
        [1],
        1.5,
    ],
    ids=str,
)
def test_a_message_that_names_what_is_not_there_is_refused(message: Any) -> None:
    with pytest.raises(ModelError):
        from_plain(message, Layout(1))


class Liar:
    """A supplier that answers with whatever it likes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def answer(self, results: Sequence[Any]) -> Answer:
        return self._answer if not results else Answer.returned(None)

    def verify(self) -> None:
        pass


@pytest.mark.parametrize(
    "step",
    [
        Step("load", ()),
        Step("load", (99,)),
        Step("load", (-1,)),
        Step("load", ("cell",)),
        Step("load", (None,)),
        Step("store", (0, ())),
        Step("add", (0, "1")),
        Step("together", (1, 2)),
        Step("together", ((),)),
        Step("down_read", (0, True)),
        Step("rcu_read_lock", (0,)),
        Step("alloc_folio", (1, 2, 3)),
        Step("mmu_store", (None, 0, 0)),
        Step("set_pte", ("mm", 3, 4)),
        Step("flush_tlb", (None, None)),
    ],
    ids=repr,
)
def test_a_step_that_makes_no_sense_is_a_mistake_of_its_task(step: Step) -> None:
    """Whatever an untrusted supplier sends ends in a verdict, not in an exception of the judge."""
    layout = Layout(1)
    layout.cell("cell", 0)
    verdict = judge(Machine(layout, [("liar", Liar(Answer(step=step)))]))
    assert verdict.outcome in ("safe", "violated")
    if verdict.violation is not None:
        assert verdict.violation.oracle == "mistake"
        assert verdict.violation.message.startswith("cpu0: ")
