"""Runs for other programs: the JSON form keeps to its schema and to the run, and what trace viewers read keeps to their format.

Perfetto itself is not asked: what is tested is the structure that the Trace Event Format demands.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from typing import Any

import pytest

from mmlocks.labs import lab_named
from mmlocks.machine import Run, Schedule
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.checking import as_kernel, machine_for
from mmlocks.search import judge
from mmlocks.show.holders import holders
from mmlocks.show.trace import schema, trace_json
from mmlocks.show.trace_viewer import CPUS, LOCKS, STEP, chrome_trace
from tests.machine.programs import PROGRAMS

jsonschema = pytest.importorskip("jsonschema")  # Jupyter brings it along


def first_come(machine: Any) -> Run:
    """The run in which the CPUs take turns, as long as they can."""
    run = Run.of(machine)
    while not run.over and len(run) < 300:
        able = run.enabled()
        run = run.step(able[len(run) % len(able)])
    return run


@cache
def run_of(name: str) -> tuple[Run, Schedule | None]:
    if name in PROGRAMS:
        machine = PROGRAMS[name].build()
        cpus = judge(machine).schedule
        return (Run.replay(machine, cpus) if cpus is not None else first_come(machine)), None
    story, release, how = name.split(":")
    if how == "bad":
        checked = check(SCENARIOS[story], release)
        assert checked.run is not None
        return checked.run, checked.schedule
    kernel = as_kernel(release)
    run = first_come(machine_for(SCENARIOS[story], kernel)[0])
    return run, Schedule(story, kernel.name, run.cpus)


RUNS = (
    "fork_lost_store:6.4.0:bad", "fork_lost_store:6.4.3:turns", "stackrot:6.4.0:bad", "young_reproducer:6.4.0:bad",
    "munmap_downgrade:6.4.3:turns", "publish_early:6.4.3:turns", "imap_lock_order:6.4.3:turns",
    "lock_order_of_three", "readers_and_writer", "increment", "grace_period", "peterson_turn_first", "message",
)  # fmt: skip
EVERY = pytest.mark.parametrize("name", RUNS)


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_the_schema_is_one_and_describes_every_field() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())

    def undescribed(part: Any, path: str) -> list[str]:
        if isinstance(part, list):
            return [
                each
                for index, item in enumerate(part)
                for each in undescribed(item, f"{path}/{index}")
            ]
        if not isinstance(part, dict):
            return []
        missing = [
            f"{path}/{name}"
            for name, field in part.get("properties", {}).items()
            if isinstance(field, dict) and "description" not in field
        ]
        return missing + [
            each for name, inner in part.items() for each in undescribed(inner, f"{path}/{name}")
        ]

    assert undescribed(schema(), "") == []


@EVERY
def test_every_run_keeps_to_the_schema(name: str) -> None:
    run, schedule = run_of(name)
    written = json.loads(json.dumps(trace_json(run, schedule)))
    jsonschema.Draft202012Validator(schema()).validate(written)
    for spoilt in ("steps", "version", "initial", "ending"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema()).validate({**written, spoilt: "nothing"})


@EVERY
def test_the_changes_lead_from_the_first_state_to_the_last(name: str) -> None:
    run, schedule = run_of(name)
    written = trace_json(run, schedule)
    values = dict(written["initial"])
    for step in written["steps"]:
        for change in step["changes"]:
            assert values[change["cell"]] == change["before"]
            values[change["cell"]] = change["after"]
    cells = run.machine.layout.cells
    assert values == {cell.name: cell.text(cell.of(run.state)) for cell in cells}
    assert [step["cpu"] for step in written["steps"]] == list(run.cpus)
    assert [step["did"] for step in written["steps"]] == [
        run.told(number) or run.taken[number].step.op for number in range(len(run))
    ]


@EVERY
def test_locks_are_taken_before_they_are_released(name: str) -> None:
    run, schedule = run_of(name)
    written = trace_json(run, schedule)
    key = lambda held: (held["lock"], held["mode"], held["cpu"])  # noqa: E731
    having = [key(held) for held in written["held_at_start"]]
    for step in written["steps"]:
        # One after the other within a step: a lock may be taken and released in it.
        having += [key(held) for held in step["took"]]
        for held in step["released"]:
            having.remove(key(held))
        assert len(set(having)) == len(having)
    assert set(having) == set(holders(run.machine.layout, run.state))


@EVERY
def test_who_waits_is_told_and_for_whom(name: str) -> None:
    run, schedule = run_of(name)
    written = trace_json(run, schedule)
    told = [written["waiting_at_start"], *(step["waiting"] for step in written["steps"])]
    for state, waiting in zip(run.states, told, strict=True):
        able = run.machine.enabled(state)
        idle = [
            cpu for cpu in run.machine.cpus if cpu not in able and not run.machine.done(state, cpu)
        ]
        assert [who["cpu"] for who in waiting] == idle


def test_how_it_ends_is_told() -> None:
    def ending(name: str) -> Any:
        return trace_json(*run_of(name))["ending"]["kind"]

    assert ending("fork_lost_store:6.4.0:bad") == "violated"
    assert ending("fork_lost_store:6.4.3:turns") == "good"
    assert ending("lock_order_of_three") == "deadlock"
    run, schedule = run_of("fork_lost_store:6.4.3:turns")
    assert trace_json(run.at(3), schedule)["ending"] == {"kind": "unfinished", "violation": None}
    written = trace_json(*run_of("fork_lost_store:6.4.0:bad"))
    assert written["steps"][-1]["violation"] == written["ending"]["violation"]
    assert written["ending"]["violation"]["oracle"] == "lost_store"


def test_the_schedule_leads_back_to_the_run() -> None:
    run, schedule = run_of("stackrot:6.4.0:bad")
    text = trace_json(run, schedule)["schedule"]
    assert Schedule.parse(text).cpus == run.cpus


@EVERY
def test_no_folder_of_this_machine_is_in_it(name: str) -> None:
    run, schedule = run_of(name)
    for written in (trace_json(run, schedule), chrome_trace(run, schedule)):
        text = json.dumps(written)
        assert "/work" not in text and "site-packages" not in text and "tests/" not in text


def test_a_learners_cell_is_called_so() -> None:
    names: dict[str, Any] = {}
    text = """
from mmlocks.mm import *
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
"""
    exec(compile(text, "/tmp/ipykernel_4711/99.py", "exec"), names)
    checked = check(SCENARIOS["fork_lost_store"], lab_named("lab07").kernel(names))
    assert checked.run is not None
    calls = [
        call
        for step in trace_json(checked.run, checked.schedule)["steps"]
        for call in step["calls"]
    ]
    assert {"function": "dup_mmap", "file": "your cell", "line": 4} in calls
    assert {call["file"] for call in calls} >= {
        "your cell",
        "mm/fork.py",
        "scenarios/fork_lost_store.py",
    }


# -- for trace viewers ------------------------------------------------------------------------------------------------


@EVERY
def test_events_are_what_the_format_demands(name: str) -> None:
    written = json.loads(json.dumps(chrome_trace(*run_of(name))))
    events = written["traceEvents"]
    assert written["displayTimeUnit"] in ("ms", "ns")
    assert {event["ph"] for event in events} <= {"M", "X", "i"}
    for event in events:
        assert isinstance(event["name"], str) and event["name"]
        assert all(
            isinstance(event[field], int) and event[field] >= 0 for field in ("pid", "tid", "ts")
        )
        assert isinstance(event["args"], dict)
        if event["ph"] == "X":
            assert isinstance(event["dur"], int) and event["dur"] > 0 and event["cat"]
        if event["ph"] == "i":
            assert event["s"] == "g"
    stamps = [event["ts"] for event in events if event["ph"] != "M"]
    assert stamps == sorted(stamps)
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    used = {(event["pid"], event["tid"]) for event in events if event["ph"] != "M"}
    assert used <= named
    assert {event["pid"] for event in events if event["name"] == "process_name"} == {CPUS, LOCKS}


@EVERY
def test_slices_nest_on_each_track(name: str) -> None:
    """Complete events of a track are either inside one another or apart, and whoever comes first is around."""
    open_: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for event in chrome_trace(*run_of(name))["traceEvents"]:
        if event["ph"] != "X":
            continue
        stack = open_.setdefault((event["pid"], event["tid"]), [])
        while stack and stack[-1]["ts"] + stack[-1]["dur"] <= event["ts"]:
            stack.pop()
        if stack:
            assert event["ts"] + event["dur"] <= stack[-1]["ts"] + stack[-1]["dur"], (
                event,
                stack[-1],
            )
        stack.append(event)


@EVERY
def test_every_step_is_a_slice_inside_its_functions(name: str) -> None:
    run, schedule = run_of(name)
    events = [event for event in chrome_trace(run, schedule)["traceEvents"] if event["ph"] == "X"]
    steps = [event for event in events if event["cat"] == "step"]
    assert [(event["tid"] - 1, event["name"]) for event in steps] == [
        (cpu, run.told(number) or run.taken[number].step.op) for number, cpu in enumerate(run.cpus)
    ]
    for number, step in enumerate(steps):
        assert (step["ts"], step["dur"]) == (number * STEP, STEP)
        around = [
            event["name"]
            for event in events
            if event["cat"] == "function"
            and event["tid"] == step["tid"]
            and event["ts"] <= step["ts"] < event["ts"] + event["dur"]
        ]
        where = run.machine.node(run.states[number], run.cpus[number]).answer.where
        assert around == [place.function for place in where], "outermost first"


@EVERY
def test_lock_slices_say_who_has_it_when(name: str) -> None:
    run, schedule = run_of(name)
    events = chrome_trace(run, schedule)["traceEvents"]
    names = {
        event["tid"]: event["args"]["name"]
        for event in events
        if event["name"] == "thread_name" and event["pid"] == LOCKS
    }
    slices = [event for event in events if event["ph"] == "X" and event["pid"] == LOCKS]
    for moment, state in enumerate(run.states):
        shown = {
            (names[event["tid"]], event["args"]["cpu"])
            for event in slices
            if event["ts"] <= moment * STEP < event["ts"] + event["dur"]
        }
        assert shown == {
            (holding.lock, holding.cpu) for holding in holders(run.machine.layout, state)
        }
    for one, other in combinations(slices, 2):
        if one["tid"] == other["tid"]:
            assert one["ts"] + one["dur"] <= other["ts"] or other["ts"] + other["dur"] <= one["ts"]


@EVERY
def test_waiting_is_a_slice(name: str) -> None:
    run, schedule = run_of(name)
    waits = [
        event
        for event in chrome_trace(run, schedule)["traceEvents"]
        if event["ph"] == "X" and event["cat"] == "wait"
    ]
    for moment, state in enumerate(run.states):
        shown = {
            event["tid"] - 1
            for event in waits
            if event["ts"] <= moment * STEP < event["ts"] + event["dur"]
        }
        assert shown == {cpu for cpu in run.machine.cpus if run.machine.why_blocked(state, cpu)}


def test_readers_stand_side_by_side() -> None:
    machine = PROGRAMS["readers_and_writer"].build()
    run = Run.replay(machine, [1, 2, 1, 2])
    events = chrome_trace(run)["traceEvents"]
    tracks = [event for event in events if event["name"] == "thread_name" and event["pid"] == LOCKS]
    assert [event["args"]["name"] for event in tracks] == ["lock", "lock"]
    names = [event["name"] for event in events if event["pid"] == LOCKS and event["ph"] == "X"]
    assert names == ["cpu1 (read)", "cpu2 (read)"]


def test_a_broken_rule_is_an_instant_that_crosses_everything() -> None:
    for name, oracle in (
        ("fork_lost_store:6.4.0:bad", "lost_store"),
        ("lock_order_of_three", "deadlock"),
    ):
        run, schedule = run_of(name)
        marks = [
            event for event in chrome_trace(run, schedule)["traceEvents"] if event["ph"] == "i"
        ]
        assert [(event["name"], event["s"], event["ts"]) for event in marks] == [
            (f"rule broken: {oracle}", "g", len(run) * STEP)
        ]
    assert not [
        e for e in chrome_trace(*run_of("readers_and_writer"))["traceEvents"] if e["ph"] == "i"
    ]


def test_a_write_locked_vma_is_a_track_where_it_exists() -> None:
    def tracks(name: str) -> list[str]:
        events = chrome_trace(*run_of(name))["traceEvents"]
        return [
            e["args"]["name"] for e in events if e["name"] == "thread_name" and e["pid"] == LOCKS
        ]

    assert "VMA heap" in tracks("fork_lost_store:6.4.3:turns")
    assert "VMA heap" not in tracks("fork_lost_store:6.4.0:bad"), "6.4.0's fork does not lock VMAs"
