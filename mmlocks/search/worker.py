"""A job of the parallel search, in the process that does it.

A job is a pure function of what it is given, so it can be done again elsewhere. It runs no task's
code (see `mmlocks.machine.words`). What it cannot know it hands back.
"""

from __future__ import annotations

import pickle
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.machine.state import NewWord
from mmlocks.machine.words import Words, dictated
from mmlocks.search.partition import Class, Partition, packed, unpacked


class Job(NamedTuple):
    """Classes to search, and what a worker must know for that."""

    build: bytes
    words: Words
    reduced: bool
    apart: tuple[int, ...]
    limit: int
    """States above which a class is too large, and after which no other class is begun."""
    classes: tuple[tuple[bytes, ...], ...]
    """For each class the states by which it is entered, some of them perhaps more than once."""


class Report(NamedTuple):
    """What came of a job. It says nothing else of the classes that are `undone`."""

    states: int
    transitions: int
    later: dict[Class, bytes]
    """The states by which other classes are entered."""
    ends: bytes
    """States in which no CPU can run."""
    looping: bytes
    """States with a CPU at a step that may close a loop."""
    broken: tuple[tuple[int, int, Violation], ...]
    """State, CPU, and the rule that its step breaks."""
    undone: tuple[int, ...]
    """Classes that were too many or too large, or met what the worker has no words for."""
    outgrown: bool
    """Whether one was too large."""
    unknown: bytes
    """States from which a step leads to something that the worker has no words for."""


def follow(job: Job) -> Report:
    """Search a job's classes."""
    program = job[:4]
    follower = _programs.get(program)
    if follower is None:
        follower = _Follower(job)
        _programs.clear()  # the words grow now and then, and a process helps one search at a time
        _programs[program] = follower
    return follower.follow(job.limit, job.classes)


class _Inside:
    """What there is in a class."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.seen = set[int]().union(*map(unpacked, entries))
        self.transitions = 0
        self.exits: dict[tuple[int, int], set[int]] = defaultdict(set)
        """The states after steps that leave the class.

        By the CPU that took the step, and the first node of the loop to which it moved.
        """
        self.ends: list[int] = []
        self.looping: list[int] = []
        self.broken: list[tuple[int, int, Violation]] = []
        self.unknown: list[int] = []
        self.outgrown = False

    def later(self, partition: Partition) -> Iterator[tuple[Class, set[int]]]:
        """The states by which other classes are entered from here."""
        here = partition.name(next(iter(self.seen)))
        for (cpu, to), states in self.exits.items():
            name = (
                to if which == cpu else first
                for which, first in zip(partition.apart, here, strict=True)
            )
            yield tuple(name), states


class _Follower:
    """A program in the words of the process that leads."""

    def __init__(self, job: Job) -> None:
        try:
            # Made by the process that leads; like every executor's jobs, it is trusted.
            program: Machine = pickle.loads(job.build)()  # noqa: S301
        except Exception as problem:
            raise ModelError(
                "a process that helps to search cannot build the program "
                f"({type(problem).__name__}: {problem}). Build it by a function of a module that "
                "can be imported there."
            ) from None
        self.machine = dictated(program, job.words)
        self.partition = Partition(self.machine, job.apart)
        self.choose = self.partition.reduction.choose if job.reduced else None

    def follow(self, limit: int, classes: Sequence[Sequence[bytes]]) -> Report:
        """See the function `follow`."""
        done: list[_Inside] = []
        undone: list[int] = []
        unknown: list[int] = []
        states, outgrown = 0, False
        for number, entries in enumerate(classes):
            if states > limit:
                undone.append(number)
                continue
            inside = self.inside(_Inside(entries), limit)
            states += len(inside.seen)
            if inside.outgrown or inside.unknown:
                undone.append(number)
                unknown += inside.unknown
                outgrown |= inside.outgrown
            else:
                done.append(inside)
        later: dict[Class, set[int]] = {}
        for inside in done:
            for name, after in inside.later(self.partition):
                later[name] = later[name] | after if name in later else after
        return Report(
            states=sum(len(inside.seen) for inside in done),
            transitions=sum(inside.transitions for inside in done),
            later={name: packed(after) for name, after in later.items()},
            ends=packed(state for inside in done for state in inside.ends),
            looping=packed(state for inside in done for state in inside.looping),
            broken=tuple(broken for inside in done for broken in inside.broken),
            undone=tuple(undone),
            outgrown=outgrown,
            unknown=packed(unknown),
        )

    def inside(self, found: _Inside, limit: int) -> _Inside:
        """Search a class from the states that enter it, until its end or until it is too large."""
        machine, firsts, apart = self.machine, self.partition.firsts, self.partition.apart
        cpus = [
            (cpu, shift, machine.tasks[cpu].nodes, firsts[cpu] if cpu in apart else None)
            for cpu, shift in enumerate(machine.layout.pc_shifts)
        ]
        all_cpus = (1 << len(cpus)) - 1
        members = [
            [entry for entry in cpus if mask >> entry[0] & 1] for mask in range(all_cpus + 1)
        ]
        loops = list(zip(machine.layout.pc_shifts, self.partition.reduction.loops, strict=True))
        looped = [(shift, nodes) for shift, nodes in loops if nodes]
        choose = self.choose or (lambda _: all_cpus)
        seen, exits = found.seen, found.exits
        # Where all CPUs are told apart already, a class cannot be made smaller.
        most = limit if len(apart) < len(cpus) else sys.maxsize
        work = list(seen)
        while work:
            state = work.pop()
            able = 0
            try:
                for cpu, shift, nodes, loop in members[choose(state)]:
                    node = nodes[state >> shift & PC_FIELD]
                    try:
                        outcome = node.outcomes[state & node.project]
                    except KeyError:
                        outcome = machine.outcome(state, node, cpu)
                    if outcome.__class__ is int:
                        after = state + outcome
                        if (
                            loop is not None
                            and (to := loop[after >> shift & PC_FIELD]) != loop[node.index]
                        ):
                            exits[cpu, to].add(after)
                        elif after not in seen:
                            seen.add(after)
                            work.append(after)
                    elif outcome is not None:
                        found.broken.append((state, cpu, outcome))
                    else:
                        continue
                    able += 1
            except NewWord:  # the whole class will be searched again
                found.unknown.append(state)
                continue
            found.transitions += able
            if not able:
                found.ends.append(state)
            if looped and any(state >> shift & PC_FIELD in nodes for shift, nodes in looped):
                found.looping.append(state)
            if len(seen) > most:
                found.outgrown = True
                break
        return found


_programs: dict[tuple[bytes, Words, bool, tuple[int, ...]], _Follower] = {}
"""The program that this process works on."""
