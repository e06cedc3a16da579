"""A run for other programs: as JSON with everything that each step did, and in the format that trace viewers read.

`trace_json` is described field by field in `trace.schema.json`, a JSON Schema (draft 2020-12) beside this file. `chrome_trace` follows the
"Trace Event Format" (Google, 2016), which Perfetto and Chrome's about:tracing open: a track for each CPU, with functions as nested slices, and
a track for each lock. There is no time in the model, so a step counts as one millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple

from mmlocks.machine import Layout, Rcu, Run, RwSem, Schedule, SpinLock, View
from mmlocks.machine.step import parts
from mmlocks.machine.task import Place
from mmlocks.machine.watch import parts_of
from mmlocks.mm.mm_types import Vma

FORMAT, VERSION = "mmlocks trace", 1
"""What the JSON form says of itself; the version grows when a field changes its meaning or goes away."""

STEP = 1000
"""Length of a step in the viewer's microseconds."""


class Holding(NamedTuple):
    """That a CPU has a lock. `mode` is "own" (a spinlock), "read", "write", "write-locked" (a VMA), or "section" (RCU readers)."""

    lock: str
    mode: str
    cpu: int


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of what `trace_json` returns."""
    text = resources.files("mmlocks.show").joinpath("trace.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def trace_json(run: Run, schedule: Schedule | None = None) -> dict[str, Any]:
    """The whole run as plain JSON values; `schedule` names the scenario and the kernel, where there are some."""
    machine = run.machine
    violation = run.violation
    return {
        "format": FORMAT,
        "version": VERSION,
        "scenario": schedule and schedule.scenario,
        "kernel": schedule and schedule.kernel,
        "schedule": schedule and str(schedule),
        "cpus": [{"cpu": task.cpu, "task": task.name} for task in machine.tasks],
        "initial": {cell.name: cell.text(cell.of(run.states[0])) for cell in machine.layout.cells},
        "held_at_start": [
            _held(holding) for holding in sorted(holders(machine.layout, run.states[0]))
        ],
        "waiting_at_start": _waiting(run, 0),
        "steps": [_step(run, number) for number in range(len(run))],
        "ending": {
            "kind": _ending(run),
            "violation": violation and {"oracle": violation.oracle, "message": violation.message},
        },
    }


def _ending(run: Run) -> str:
    violation = run.violation
    if violation is not None:
        return "deadlock" if violation.oracle == "deadlock" else "violated"
    return "good" if run.machine.finished(run.state) else "unfinished"


def _step(run: Run, number: int) -> dict[str, Any]:
    taken, before, after = run.taken[number], run.states[number], run.states[number + 1]
    layout = run.machine.layout
    where = run.machine.node(before, taken.cpu).answer.where
    took, released = _locking(run, number)
    return {
        "number": number + 1,
        "cpu": taken.cpu,
        "operations": [part.op for part in parts(taken.step)],
        "did": run.told(number),
        "calls": [
            {"function": place.function, "file": _file(place), "line": place.line}
            for place in where
        ],
        "changes": [
            {
                "cell": cell.name,
                "before": cell.text(cell.of(before)),
                "after": cell.text(cell.of(after)),
            }
            for cell in layout.cells
            if (before ^ after) & cell.mask
        ],
        "took": [_held(holding) for holding in took],
        "released": [_held(holding) for holding in released],
        "waiting": _waiting(run, number + 1),
        "violation": taken.violation
        and {"oracle": taken.violation.oracle, "message": taken.violation.message},
    }


def _held(holding: Holding) -> dict[str, Any]:
    return {"lock": holding.lock, "mode": holding.mode, "cpu": holding.cpu}


def _file(place: Place) -> str:
    """The file as people know it, without the folders of this machine."""
    return place.spot.removesuffix(f":{place.line}").removesuffix(f", line {place.line}")


def _waiting(run: Run, at: int) -> list[dict[str, Any]]:
    """Who cannot run after `at` steps, for what he waits, and who has it."""
    found = []
    for cpu in run.machine.cpus:
        why = run.machine.why_blocked(run.states[at], cpu)
        if why is not None:
            found.append(
                {"cpu": cpu, "for": why.awaits, "held_by": list(dict.fromkeys(why.holders))}
            )
    return found


# -- locks ------------------------------------------------------------------------------------------------------------


def holders(layout: Layout, state: int) -> set[Holding]:
    """Who has which lock in a state. A VMA is write-locked by whoever holds mmap_lock for writing; RCU read sections count, too."""
    found: set[Holding] = set()
    for record in layout.records.values():
        if isinstance(record, SpinLock):
            if owner := record.owner.of(state):
                found.add(Holding(record.name, "own", owner - 1))
        elif isinstance(record, RwSem):
            if writer := record.writer.of(state):
                found.add(Holding(record.name, "write", writer - 1))
            found |= {
                Holding(record.name, "read", cpu)
                for cpu, reader in enumerate(record.readers)
                if reader.of(state)
            }
        elif isinstance(record, Rcu):
            found |= {
                Holding(record.name, "section", cpu)
                for cpu, section in enumerate(record.sections)
                if section.of(state) % 2
            }
        elif isinstance(record, Vma):
            writer = record.vm_mm.mmap_lock.writer.of(state)
            if writer and record.vm_lock_seq.of(state) == record.vm_mm.mm_lock_seq.of(state):
                found.add(Holding(f"VMA {record.name}", "write-locked", writer - 1))
    # A lock that was freed is owned by a CPU that does not exist.
    return {holding for holding in found if holding.cpu < layout.cpus}


def _locking(run: Run, number: int) -> tuple[list[Holding], list[Holding]]:
    """What was taken and what was released in a step, also by one of its parts alone."""
    taken, before = run.taken[number], run.states[number]
    layout = run.machine.layout
    if taken.violation is not None:
        return [], []
    inside = parts_of(View(layout, before, -1, -1), taken.cpu, taken.step)
    moments = [part.before.state + part.before.delta for part in inside] + [run.states[number + 1]]
    held = [holders(layout, moment) for moment in moments]
    took = [holding for one, other in pairwise(held) for holding in sorted(other - one)]
    released = [holding for one, other in pairwise(held) for holding in sorted(one - other)]
    return took, released


# -- for trace viewers ------------------------------------------------------------------------------------------------

CPUS, LOCKS = 1, 2
"""The two "processes" of the viewer."""


class _Slice(NamedTuple):
    """Something that a CPU does from one moment to another, in the innermost of these functions."""

    start: int
    end: int
    calls: tuple[Place, ...]
    event: dict[str, Any]


def chrome_trace(run: Run, schedule: Schedule | None = None) -> dict[str, Any]:
    """The run in the Trace Event Format: for each CPU its steps inside their functions, and its waiting; for each lock who has it."""
    events = [*_names(run), *_of_cpus(run), *_of_locks(run), *_broken(run)]
    metadata = [event for event in events if event["ph"] == "M"]
    # Of what begins together the callers come first already, and the sort is stable.
    timed = sorted((event for event in events if event["ph"] != "M"), key=lambda event: event["ts"])
    about = (
        {"scenario": schedule.scenario, "kernel": schedule.kernel, "schedule": str(schedule)}
        if schedule
        else {}
    )
    return {
        "traceEvents": [*metadata, *timed],
        "displayTimeUnit": "ms",
        "otherData": {**about, "time": "one step counts as one millisecond"},
    }


def _metadata(what: str, pid: int, tid: int, **args: Any) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": args}


def _names(run: Run) -> Iterator[dict[str, Any]]:
    for pid, name in ((CPUS, "CPUs"), (LOCKS, "locks")):
        yield _metadata("process_name", pid, 0, name=name)
        yield _metadata("process_sort_index", pid, 0, sort_index=pid)
    for task in run.machine.tasks:
        yield _metadata("thread_name", CPUS, task.cpu + 1, name=f"cpu{task.cpu}: {task.name}")
        yield _metadata("thread_sort_index", CPUS, task.cpu + 1, sort_index=task.cpu)


def _complete(
    name: str, category: str, pid: int, tid: int, start: int, end: int, **args: Any
) -> dict[str, Any]:
    return {
        "ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid,
        "ts": start * STEP, "dur": (end - start) * STEP, "args": args,
    }  # fmt: skip


def _of_cpus(run: Run) -> Iterator[dict[str, Any]]:
    for cpu in run.machine.cpus:
        slices = sorted([*_steps(run, cpu), *_waits(run, cpu)], key=lambda each: each.start)
        yield from _functions(cpu, slices)
        yield from (each.event for each in slices)


def _steps(run: Run, cpu: int) -> Iterator[_Slice]:
    for number, taken in enumerate(run.taken):
        if taken.cpu == cpu:
            where = run.machine.node(run.states[number], cpu).answer.where
            args = {
                "step": number + 1,
                "operations": ", ".join(part.op for part in parts(taken.step)),
            }
            if where:
                args["where"] = where[-1].spot
            event = _complete(run.told(number), "step", CPUS, cpu + 1, number, number + 1, **args)
            yield _Slice(number, number + 1, where, event)


def _waits(run: Run, cpu: int) -> Iterator[_Slice]:
    """The times during which a CPU could not run."""
    start = 0
    reasons = [run.machine.why_blocked(state, cpu) for state in run.states]
    # A moment has no length: what somebody waits for after step n is shown while step n + 1 is taken, and for one step at the end.
    for end in range(1, len(reasons) + 1):
        if end < len(reasons) and reasons[end] == reasons[start]:
            continue
        why = reasons[start]
        if why is not None:
            where = run.machine.node(run.states[start], cpu).answer.where
            held = " and ".join(f"cpu{holder}" for holder in dict.fromkeys(why.holders))
            event = _complete(
                f"waits for {why.awaits}", "wait", CPUS, cpu + 1, start, end, held_by=held
            )
            yield _Slice(start, end, where, event)
        start = end


def _functions(cpu: int, slices: Sequence[_Slice]) -> Iterator[dict[str, Any]]:
    """A slice for each call, around the steps that were taken in it. Two calls from one line in a row look like one."""
    stack: list[tuple[tuple[str, str, int], Place, int]] = []
    ended: list[tuple[int, dict[str, Any]]] = []
    end = 0
    for each in [*slices, _Slice(0, 0, (), {})]:
        keys = [
            (place.function, place.file, each.calls[level - 1].line if level else 0)
            for level, place in enumerate(each.calls)
        ]
        kept = 0
        while kept < min(len(stack), len(keys)) and stack[kept][0] == keys[kept]:
            kept += 1
        while len(stack) > kept:
            _, place, start = stack.pop()
            event = _complete(
                place.function, "function", CPUS, cpu + 1, start, end, file=_file(place)
            )
            ended.append((len(stack), event))
        for key, place in zip(keys[kept:], each.calls[kept:], strict=True):
            stack.append((key, place, each.start))
        end = each.end
    # Viewers nest what begins and ends together in the order in which it comes: the caller first.
    yield from (event for _, event in sorted(ended, key=lambda one: one[0]))


def _of_locks(run: Run) -> Iterator[dict[str, Any]]:
    """A track for each lock, and another one beside it where several CPUs have it at once."""
    held = [holders(run.machine.layout, state) for state in run.states]
    spans: dict[str, list[tuple[int, int, Holding]]] = {}
    last = len(run.states)
    for holding in sorted(set().union(*held)):
        start = None
        for moment in range(last + 1):
            has = moment < last and holding in held[moment]
            if has and start is None:
                start = moment
            elif not has and start is not None:
                # From the end of the step in which it was taken to the end of the one in which it was given up.
                spans.setdefault(holding.lock, []).append((start, moment, holding))
                start = None
    tid = 0
    for lock in sorted(spans, key=lambda name: (min(spans[name])[0], name)):
        lanes: list[int] = []
        for start, end, holding in sorted(spans[lock]):
            lane = next((index for index, free in enumerate(lanes) if free <= start), len(lanes))
            if lane == len(lanes):
                lanes.append(0)
                yield _metadata("thread_name", LOCKS, tid + lane + 1, name=lock)
                yield _metadata("thread_sort_index", LOCKS, tid + lane + 1, sort_index=tid + lane)
            lanes[lane] = end
            yield _complete(
                _words(holding), "lock", LOCKS, tid + lane + 1, start, end, cpu=holding.cpu
            )
        tid += len(lanes)


def _words(holding: Holding) -> str:
    how = {
        "own": "",
        "read": " (read)",
        "write": " (write)",
        "write-locked": " (write-locked)",
        "section": " (reads)",
    }
    return f"cpu{holding.cpu}{how[holding.mode]}"


def _broken(run: Run) -> Iterator[dict[str, Any]]:
    violation = run.violation
    if violation is None:
        return
    cpu = run.taken[-1].cpu if run.taken else 0
    yield {
        "ph": "i", "s": "g", "name": f"rule broken: {violation.oracle}", "cat": "violation",
        "pid": CPUS, "tid": cpu + 1, "ts": len(run.taken) * STEP, "args": {"message": violation.message},
    }  # fmt: skip
