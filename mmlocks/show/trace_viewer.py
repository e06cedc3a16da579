"""A run for trace viewers, such as Perfetto and Chrome's about:tracing.

The format is the "Trace Event Format" (Google, 2016). Each CPU is a track with functions as nested
slices, and each lock is a track. The model has no time, so a step counts as one millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mmlocks.machine import Run, Schedule
from mmlocks.machine.step import parts
from mmlocks.machine.task import Place
from mmlocks.show.holders import HeldLock, holders
from mmlocks.show.trace import source_file

STEP = 1000
"""Length of a step in the viewer's microseconds."""


CPUS, LOCKS = 1, 2
"""The two "processes" of the viewer."""


class _Slice(NamedTuple):
    """What a CPU does from one moment to another, in the innermost of these functions."""

    start: int
    end: int
    calls: tuple[Place, ...]
    event: dict[str, Any]


def chrome_trace(run: Run, schedule: Schedule | None = None) -> dict[str, Any]:
    """The run in the Trace Event Format.

    Each CPU has its steps inside their functions, and the times when it waits. Each lock has the
    times when a CPU holds it.
    """
    events = [*_names(run), *_of_cpus(run), *_of_locks(run), *_broken(run)]
    metadata = [event for event in events if event["ph"] == "M"]
    # Among events that begin together, callers come first already; the sort is stable.
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
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": pid,
        "tid": tid,
        "ts": start * STEP,
        "dur": (end - start) * STEP,
        "args": args,
    }


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
    # A moment has no length. So a wait after step n is shown during step n + 1, and the last wait
    # for one step.
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
    """A slice for each call, around the steps that were taken in it.

    Two calls in a row from the same line look like one.
    """
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
                place.function, "function", CPUS, cpu + 1, start, end, file=source_file(place)
            )
            ended.append((len(stack), event))
        for key, place in zip(keys[kept:], each.calls[kept:], strict=True):
            stack.append((key, place, each.start))
        end = each.end
    # Viewers nest events that begin and end together in the order given: the caller comes first.
    yield from (event for _, event in sorted(ended, key=lambda one: one[0]))


def _of_locks(run: Run) -> Iterator[dict[str, Any]]:
    """A track for each lock, and more beside it where several CPUs hold it at once."""
    held = [holders(run.machine.layout, state) for state in run.states]
    spans: dict[str, list[tuple[int, int, HeldLock]]] = {}
    last = len(run.states)
    for holding in sorted(set().union(*held)):
        start = None
        for moment in range(last + 1):
            has = moment < last and holding in held[moment]
            if has and start is None:
                start = moment
            elif not has and start is not None:
                # From the end of the step that took it to the end of the step that released it.
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


def _words(holding: HeldLock) -> str:
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
        "ph": "i",
        "s": "g",
        "name": f"rule broken: {violation.oracle}",
        "cat": "violation",
        "pid": CPUS,
        "tid": cpu + 1,
        "ts": len(run.taken) * STEP,
        "args": {"message": violation.message},
    }
