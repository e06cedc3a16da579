"""What reduction leaves on the table: orders that it follows, against executions that differ at all.

Two interleavings that differ only in the order of neighbouring steps that commute are one execution, a Mazurkiewicz trace. No search needs
more than one interleaving of each. These numbers tell how near ours comes:

* interleavings: maximal paths through all states, which is what a naive tester would run;
* followed: maximal paths through the states and steps that the reduction keeps. A search that remembers states does not walk
  them one by one, but each beyond the first of a trace is an order that need not have been followed;
* executions: traces, counted without enumerating them. Sleep sets alone (Godefroid, "Partial-Order Methods for the Verification of Concurrent
  Systems", LNCS 1032, chapter 5) let exactly one interleaving of each trace come to its end, and what they do from a state depends
  on the state and the sleep set, so equal pairs are counted once. Steps commute by what they really touch;
* DPOR: the executions that our own DPOR runs, and how many steps it takes for them. For it steps commute by what they have declared, so
  it distinguishes more; `declared` counts the same by sleep sets, and the two must be equal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import ours
from benchmarks.tables import table, whole
from mmlocks.machine import Machine
from mmlocks.machine.machine import Violation
from mmlocks.machine.step import Footprint
from mmlocks.scenarios import SCENARIOS, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import Budget, Exhaustive, Reduction
from mmlocks.search.dpor import Dpor
from mmlocks.search.reduction import conflict
from mmlocks.search.verdict import Meter

SIZES = ("1,1", "1,2", "2,2", "1,3", "2,3")
RELEASE = "6.4.3"
ALL_REPAIRED = "6.4.10"
"""A release on which no scenario is violated: a broken rule would end executions before their time."""


class Uncounted(Exception):
    """The count was not finished; the text says why."""


def counted(program: str, seconds: float) -> dict[str, Any]:
    """The numbers of one program: a scenario's name, or a size V,N of fork_many. Each count may take so many seconds."""
    machine = _machine(program)
    meter = Meter(Budget(states=50_000_000, seconds=10 * seconds))
    searched = Exhaustive().explore(machine, meter)
    row: dict[str, Any] = {
        "program": program,
        "states": searched.states,
        "transitions": searched.transitions,
    }
    counts = {"interleavings": interleavings, "followed": followed, "traces": traces}
    counts["declared"] = partial(traces, declared=True)
    for name, count in counts.items():
        try:
            row[name] = count(machine, seconds)
        except Uncounted as why:
            row[name], row[f"{name}_why"] = None, str(why)
    started = time.perf_counter()
    meter = Meter(Budget(states=50_000_000, seconds=seconds))
    found = Dpor().explore(_machine(program), meter)
    row["dpor"] = found.executions if not found.reason else None
    row["dpor_at_least"] = found.executions
    row["dpor_transitions"] = found.transitions
    row["dpor_seconds"] = time.perf_counter() - started
    return row


def interleavings(machine: Machine, seconds: float) -> int:
    """Maximal paths through the whole state graph."""
    return _paths(machine, seconds, lambda _: -1)


def followed(machine: Machine, seconds: float) -> int:
    """Maximal paths through what the reduction keeps. The machine must have been searched, so that its automata are known."""
    reduction = Reduction(machine)
    reduction.refresh()
    return _paths(machine, seconds, reduction.choose)


def traces(machine: Machine, seconds: float, declared: bool = False) -> int:
    """Mazurkiewicz traces, by sleep sets: steps conflict by what they really touch, or by what they have `declared`."""
    cells = len(machine.layout.cells)

    def footprint(state: int, cpu: int) -> Footprint:
        node = machine.node(state, cpu)
        machine.outcome(state, node, cpu)
        return node.footprint if declared else node.accesses[state & node.project]

    def following(place: tuple[int, int]) -> Iterator[tuple[int, int]]:
        state, asleep = place
        able = dict(_steps(machine, state))
        touch = {cpu: footprint(state, cpu) for cpu in able}
        for cpu, after in able.items():
            if not asleep >> cpu & 1:
                # Who sleeps goes on sleeping as long as nothing happens that his step conflicts with.
                yield (
                    after,
                    sum(
                        1 << other
                        for other in able
                        if asleep >> other & 1 and not conflict(touch[other], touch[cpu], cells)
                    ),
                )
                asleep |= 1 << cpu

    return _count((machine.initial, 0), following, lambda place: _over(machine, place[0]), seconds)


def _paths(machine: Machine, seconds: float, chosen: Callable[[int], int]) -> int:
    def following(state: int) -> Iterator[int]:
        mask = chosen(state)
        return (after for cpu, after in _steps(machine, state) if mask >> cpu & 1)

    return _count(machine.initial, following, lambda state: _over(machine, state), seconds)


def _over(machine: Machine, state: int) -> bool:
    return next(_steps(machine, state), None) is None


def _steps(machine: Machine, state: int) -> Iterator[tuple[int, int]]:
    """The CPUs that can run, and the state after the step of each."""
    for cpu in machine.cpus:
        outcome = machine.outcome(state, machine.node(state, cpu), cpu)
        if isinstance(outcome, Violation):
            raise Uncounted("a rule is broken")
        if outcome is not None:
            yield cpu, state + outcome


def _count(
    start: Any,
    following: Callable[[Any], Iterator[Any]],
    whole_path: Callable[[Any], bool],
    seconds: float,
) -> int:
    """Paths from `start` that end where `whole_path` says so: each place is looked at once, and told its number when all behind it have theirs.

    Raises Uncounted if the time is up, or if some path comes back to where it was, so that there are infinitely many.
    """
    until = time.perf_counter() + seconds
    numbers: dict[Any, int | None] = {start: None}  # None while we are still behind it
    path = [(start, 0, following(start))]
    looked = 0
    while True:
        place, so_far, rest = path.pop()
        for after in rest:
            looked += 1
            if looked % 4096 == 0 and time.perf_counter() > until:
                raise Uncounted(f"more than {seconds:g} s")
            if after not in numbers:
                numbers[after] = None
                path += [(place, so_far, rest), (after, 0, following(after))]
                break
            number = numbers[after]
            if number is None:
                raise Uncounted("infinitely many: a loop")
            so_far += number
        else:
            numbers[place] = total = so_far or int(whole_path(place))
            if not path:
                return total
            before, up_to_here, others = path.pop()
            path.append((before, up_to_here + total, others))


def _machine(program: str) -> Machine:
    if program in SCENARIOS:
        return machine_for(SCENARIOS[program], as_kernel(ALL_REPAIRED))[0]
    vmas, writers = map(int, program.split(","))
    return machine_for(fork_many(vmas, writers), as_kernel(RELEASE))[0]


def left_on_the_table(wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """The numbers of fork_many where they can be had, and of every scenario."""
    programs = [*SIZES[:2], *list(SCENARIOS)[:2]] if wanted.quick else [*SIZES, *SCENARIOS]
    rows = [ours.traces(program, wanted.traces_limit) for program in programs]
    print(
        f"\nWhat reduction leaves on the table (fork_many on {RELEASE}, scenarios on {ALL_REPAIRED}; orders of steps that differ at all are executions)"
    )
    headings = ["program", "interleavings", "followed", "executions", "followed for each"]
    headings += ["states", "transitions", "declared", "DPOR", "its steps", "seconds"]
    print(
        table(
            headings,
            [
                (
                    row["program"],
                    _count_or_why(row, "interleavings"),
                    _count_or_why(row, "followed"),
                    _count_or_why(row, "traces"),
                    _factor(row["followed"], row["traces"]),
                    whole(row["states"]),
                    whole(row["transitions"]),
                    _count_or_why(row, "declared"),
                    whole(row["dpor"])
                    if row["dpor"] is not None
                    else f"> {whole(row['dpor_at_least'])}",
                    whole(row["dpor_transitions"]),
                    f"{row['dpor_seconds']:.2f}",
                )
                for row in rows
            ],
        )
    )
    return rows


def _factor(followed: int | None, executions: int | None) -> str:
    return f"{followed / executions:.3g}" if followed is not None and executions else "-"


def _count_or_why(row: dict[str, Any], name: str) -> str:
    number: int | None = row[name]
    if number is None:
        return str(row[f"{name}_why"])
    return whole(number) if number < 10**9 else f"{number:.2e}"
