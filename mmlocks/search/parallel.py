"""The exhaustive search, spread over processes through one `concurrent.futures.Executor`: a pool's, or a cluster's.

Some CPUs are **told apart**: by where they stand, states fall into classes, and all that happens while they stand there stays in
one class. Who searches a class to its end need not know of any other. What leaves it leads on, for every step of a task leads to a
later node of its automaton or goes round a loop, of which a class holds the whole. So nodes have ranks, the sum of the ranks of CPUs told apart
grows from class to class, and classes are searched layer by layer, by that sum. Those of one layer do not wait for each other; nothing leads back,
so a class is forgotten once it is done (the sweep-line method: Christensen, Kristensen & Mailund, "A sweep-line method for state space
exploration", TACAS 2001). To tell few apart keeps what is sent small. Where a class outgrows a job, one more is told apart.

A job is a pure function of what it is given. If the worker that has it dies, it is done again elsewhere, in this process if need be, and
nothing is lost. Workers run no task's code (see `mmlocks.machine.words`). What they cannot know they hand back; this process finds it
out, and where an earlier decision of the reduction rested on less than is known now, it starts again from the first layer. To make that
rare it begins by searching alone until it has learned nothing new for long, which for a small program is all there is to do.
"""

from __future__ import annotations

import copy
import heapq
import pickle
import random
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from mmlocks.errors import MmlocksError, ModelError
from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.machine.state import NewWord
from mmlocks.machine.task import Task
from mmlocks.machine.words import Words, dictated, words_of
from mmlocks.search.exhaustive import explore, searched
from mmlocks.search.reduction import Reduction, closed
from mmlocks.search.scouting import scout
from mmlocks.search.verdict import STOPPED, Cancelled, Exploration, Meter, why

if TYPE_CHECKING:  # it takes long to import, which only a search by several is worth
    from concurrent.futures import Executor, Future

Build = Callable[[], Machine]
"""Makes the program anew in a worker: a function of a module, or a `functools.partial` of one, so that it can be sent there. Of its tasks' code
only the first steps are run, so it need not be the code that is searched; cells, judge and watches must be the same."""

Class = tuple[int, ...]
"""For each CPU told apart, in their order, the first node of the loop in which it stands, or the node."""

ALONE = 5_000
"""States that one process searches before others are asked: below that, starting them takes longer than they save."""

SETTLED = 2
"""It goes on until it has seen this many times the states that it had seen when it last learned something: what is then still unknown
may cost a whole sweep."""

SCOUTS, PATIENCE = 100, 2
"""States of each depth that look ahead before every sweep, and passes without a discovery before they give up."""

JOB = 50_000
"""States in a class or a job, more or less: half a second of work, so that nobody waits long for the last job of a layer."""

FEW = 2
"""Jobs in a layer below which they are done where they are: nobody else has anything to do meanwhile."""

SAMPLE = 2_000
"""States by which it is guessed who had better be told apart."""

SHARED = 2
"""Workers for which work is divided, however many there are: what a search finds first must not depend on that."""

SENDING = 0.3
"""The work of sending a state, in states searched (measured: 0.25 with reduction, 0.4 without)."""

SILENCE = 30.0
"""Seconds without a word from any worker after which they are given up."""

ENOUGH = "enough seen to ask others"


@dataclass(frozen=True)
class Parallel:
    """Every interleaving, by several processes. `build` makes the program in a worker; `reduced` as in `Exhaustive`.

    `workers` is how many jobs are worth having under way at once. No figure of a search that comes to its end depends on it. If the workers are
    lost, the rest is searched in this process, and `complain` is told. A program that declares CPUs to be alike is searched in this process when
    reduced: an exchange would move a state to another class.
    """

    executor: Executor
    build: Build
    workers: int = 2
    reduced: bool = True
    alone: int = ALONE
    complain: Callable[[str], object] = warnings.warn

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. What it finds safe is safe.

        `machine` runs the tasks' code, and judges final states. Of the states seen, those at loops are kept, and no others. Raises ModelError
        if the program, or a value in it, cannot be sent to another process.
        """
        if self.reduced and machine.symmetries:
            return explore(machine, meter, stop=stop)
        pilot = _Pilot(meter, machine, self.alone)
        found = explore(machine, pilot, self.reduced, stop=stop)
        meter.transitions = found.transitions
        if found.reason != ENOUGH:
            return found
        leader = _Leader(self, machine, meter, stop, found.seen)
        try:
            while not leader.sweep():
                pass
        except STOPPED as stopped:
            leader.found.reason = why(stopped)
        if not leader.found.states:  # stopped before anybody has reported
            return replace(leader.found, states=found.states, transitions=found.transitions)
        leader.found.transitions = meter.transitions
        return leader.found


class _Pilot(Meter):
    """Ends the search that goes ahead as soon as it has learned nothing new for long."""

    def __init__(self, meter: Meter, machine: Machine, least: int) -> None:
        super().__init__(meter.budget, meter.progress, 0, meter.started, meter.occupied)
        self._tasks = machine.tasks
        self._least = least
        self._known = self._learned_at = 0

    @property
    def every(self) -> int:
        return max(1, min(super().every, self._least // 2))

    def check(self, states: int) -> None:
        super().check(states)
        known = sum(task.growth for task in self._tasks)
        if known != self._known:
            self._known, self._learned_at = known, states
        if states >= max(self._least, SETTLED * self._learned_at):
            raise Cancelled(ENOUGH)


class Job(NamedTuple):
    """Classes that are to be searched, and what a worker must know for that."""

    build: bytes
    words: Words
    reduced: bool
    apart: tuple[int, ...]
    limit: int
    """States at which a class is too large, and after which no other one is begun."""
    classes: tuple[tuple[bytes, ...], ...]
    """Of each class the states by which it is entered, some of them perhaps more than once."""


class Report(NamedTuple):
    """What came of a job. Of classes that are `undone`, nothing else is told."""

    states: int
    transitions: int
    later: dict[Class, bytes]
    """The states by which other classes are entered."""
    ends: bytes
    """States in which nobody can run."""
    looping: bytes
    """States with a CPU at a step that may close a loop."""
    broken: tuple[tuple[int, int, Violation], ...]
    """State, CPU, and the rule that its step breaks."""
    undone: tuple[int, ...]
    """Classes that were too many, too large, or met something for which the worker has no words."""
    outgrown: bool
    """Whether one was too large."""
    unknown: bytes
    """States from which a step leads to something that the worker has no words for."""


# -- the process that leads -------------------------------------------------------------------------------------------

Entries = dict[Class, list[bytes]]


class _Leader:
    """Knows the program, gives out jobs, and keeps count."""

    def __init__(
        self, how: Parallel, machine: Machine, meter: Meter, stop: bool, seen: Collection[int]
    ) -> None:
        self.how = how
        self.machine = machine
        self.meter = meter
        self.stop = stop
        self.executor: Executor | None = how.executor
        try:
            self.build = pickle.dumps(how.build)
        except Exception as problem:
            raise ModelError(
                f"this program cannot be sent to another process ({problem}). Search it in this one, or build it by a function of a module."
            ) from None
        self.found = Exploration("nothing searched")
        self.words: Words = b""
        self.map = _Map(machine, ())
        some = random.Random(0).sample(list(seen), min(SAMPLE, len(seen))) or [machine.initial]
        self.sample = [(state, self.moving(state)) for state in some]
        self.layers: dict[int, Entries] = {}
        self.looping: set[int] = set()
        self.stands = True

    def sweep(self) -> bool:
        """Search everything, layer after layer. False if that taught something by which all must be searched again."""
        machine = self.machine
        found = self.found = Exploration(searched(self.how.reduced))
        self.meter.transitions = 0
        scout(machine, SCOUTS, PATIENCE, lambda: self.meter.check(found.states))
        self.words = words_of(machine)
        self.map = self.divided(_Map(machine, self.map.apart))
        self.layers = self.map.layers([_packed([machine.initial])])
        self.looping, self.stands = set(), True
        while self.layers:
            self.search(self.layers.pop(min(self.layers)))
            if found.violation is not None and self.stop:
                return True
        found.seen = sorted(self.looping)
        return self.stands

    def search(self, classes: Entries) -> None:
        """Search a layer. What is broken there is told at its end, in an order that does not depend on who was the fastest."""
        found = self.found
        broken: set[tuple[int, int, Violation]] = set()
        try:
            while classes:
                undone: Entries = {}
                unknown: set[int] = set()
                outgrown = False
                for names, report in self.reports(classes):
                    found.states += report.states
                    self.meter.transitions += report.transitions
                    for name, states in report.later.items():
                        layer = self.layers.setdefault(self.map.layer(name), {})
                        layer.setdefault(name, []).append(states)
                    ends = [(state, found.end(self.machine, state)) for state in _read(report.ends)]
                    broken.update(report.broken)
                    broken.update((state, -1, wrong) for state, wrong in ends if wrong is not None)
                    self.looping.update(_read(report.looping))
                    undone.update(
                        (names[number], classes[names[number]]) for number in report.undone
                    )
                    outgrown |= report.outgrown
                    unknown.update(_read(report.unknown))
                if unknown:
                    divided_anew = not self.learn(unknown)
                elif divided_anew := outgrown:
                    self.map = self.one_more(self.map)
                if divided_anew:
                    waiting = [
                        states
                        for layer in (undone, *self.layers.values())
                        for states in layer.values()
                    ]
                    self.layers = self.map.layers(states for parts in waiting for states in parts)
                    return
                classes = undone
        finally:
            for _, _, violation in sorted(broken):
                found.report(violation)

    def learn(self, unknown: Iterable[int]) -> bool:
        """Find out what these states' steps lead to, of which the workers had no words. Says whether all stands as it was searched."""
        for state in sorted(unknown):
            for cpu in self.machine.cpus:
                self.machine.outcome(state, self.machine.node(state, cpu), cpu)
        words, self.words = self.words, words_of(self.machine)
        if self.words == words:
            raise ModelError(
                "a value of this program comes out different in another process. Search it in this one."
            )
        earlier, self.map = self.map, _Map(self.machine, self.map.apart)
        stands = self.map.extends(earlier, self.how.reduced)
        self.stands &= stands  # if not, go on all the same: there may be more to learn before all is searched again
        return stands

    def divided(self, map_: _Map) -> _Map:
        """The same with so many CPUs told apart as make the work easier to share."""
        while len(map_.apart) < len(self.machine.cpus):
            further = self.one_more(map_)
            if map_.apart and self.span(further) > 0.95 * self.span(map_):
                break
            map_ = further
        return map_

    def one_more(self, map_: _Map) -> _Map:
        """The same with one more CPU told apart: the one that makes the work easiest to share."""
        left = [cpu for cpu in self.machine.cpus if cpu not in map_.apart]
        return min((map_.telling_apart((*map_.apart, cpu)) for cpu in left), key=self.span)

    def span(self, map_: _Map) -> float:
        """How long some workers would take for the sample, in states: in each layer as long as for the largest class, or for a worker's share."""
        classes = defaultdict[Class, float](float)
        for state, moving in self.sample:
            classes[map_.name(state)] += 1 + SENDING * sum(cpu in map_.apart for cpu in moving)
        layers = defaultdict[int, list[float]](list)
        for name, work in classes.items():
            layers[map_.layer(name)].append(work)
        return sum(max(*works, sum(works) / SHARED) for works in layers.values())

    def moving(self, state: int) -> list[int]:
        """The CPUs that a search lets take a step in a state."""
        chosen = self.map.reduction.choose(state) if self.how.reduced else -1
        return [cpu for cpu in self.machine.enabled(state) if chosen >> cpu & 1]

    def reports(self, classes: Entries) -> Iterator[tuple[list[Class], Report]]:
        """What comes of searching these classes, job by job, as they are done."""
        import concurrent.futures

        waiting = [
            (names, Job(self.build, self.words, self.how.reduced, self.map.apart, JOB, tuple(tuple(classes[name]) for name in names)))
            for names in self.shared_out(classes)
        ]  # fmt: skip
        few = len(waiting) < FEW
        under_way: dict[Future[Report], tuple[list[Class], Job]] = {}
        heard = time.monotonic()
        try:
            while waiting or under_way:
                self.meter.check(self.found.states)
                if few or self.executor is None:
                    names, job = waiting.pop()
                    yield names, follow(job)
                    continue
                try:
                    while waiting and len(under_way) < 2 * self.how.workers:
                        under_way[self.executor.submit(follow, waiting[-1][1])] = waiting[-1]
                        waiting.pop()
                    for future in concurrent.futures.wait(
                        under_way, timeout=0.1, return_when="FIRST_COMPLETED"
                    ).done:
                        report = future.result()
                        yield under_way.pop(future)[0], report
                        heard = time.monotonic()
                    if time.monotonic() - heard > SILENCE:
                        raise TimeoutError(f"silent for {SILENCE:g} s")
                except MmlocksError:
                    raise
                except Exception as problem:
                    # The workers are gone, and their jobs are not: they are done here. If the fault is ours, it will show here as well.
                    why = f"{type(problem).__name__}: {problem}".removesuffix(": ")
                    self.how.complain(
                        f"the workers are lost ({why}); the search goes on in this process alone."
                    )
                    self.executor = None
                    waiting += under_way.values()
                    for future in under_way:
                        future.cancel()
                    under_way.clear()
        finally:
            for future in under_way:
                future.cancel()

    def shared_out(self, classes: Entries) -> list[list[Class]]:
        """The classes of a layer, cut into jobs of about the same size, if one can go by the states that enter them. The largest come last."""
        sizes = {name: sum(map(len, entries)) for name, entries in classes.items()}
        jobs = [
            (0, number, list[Class]()) for number in range(min(len(classes), 3 * self.how.workers))
        ]
        for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
            size, number, names = heapq.heappop(jobs)
            names.append(name)
            heapq.heappush(jobs, (size + sizes[name], number, names))
        return [names for _, _, names in sorted(jobs)]


class _Map:
    """The classes of a program's states, as far as its automata are known, and how states are written to be sent."""

    def __init__(self, machine: Machine, apart: Sequence[int]) -> None:
        self.apart = tuple(apart)
        self.reduction = Reduction(machine)
        self.reduction.refresh()
        self._shifts = machine.layout.pc_shifts
        self.firsts, self._ranks = zip(
            *(_loops_and_ranks(task) for task in machine.tasks), strict=True
        )

    def telling_apart(self, apart: Sequence[int]) -> _Map:
        """The same program with other CPUs told apart."""
        other = copy.copy(self)
        other.apart = tuple(apart)
        return other

    def name(self, state: int) -> Class:
        """The class in which a state is."""
        return tuple(self.firsts[cpu][state >> self._shifts[cpu] & PC_FIELD] for cpu in self.apart)

    def layer(self, name: Class) -> int:
        """The sum of the ranks of CPUs told apart."""
        return sum(self._ranks[cpu][first] for cpu, first in zip(self.apart, name, strict=True))

    def layers(self, packed: Iterable[bytes]) -> dict[int, Entries]:
        """The states that wait, by layer and class."""
        layers: dict[int, Entries] = {}
        for name, states in self.by_class(
            state for part in packed for state in _read(part)
        ).items():
            layers.setdefault(self.layer(name), {})[name] = [states]
        return layers

    def by_class(self, states: Iterable[int]) -> dict[Class, bytes]:
        """States packed class by class."""
        classes = defaultdict[Class, set[int]](set)
        for state in states:
            classes[self.name(state)].add(state)
        return {name: _packed(inside) for name, inside in classes.items()}

    def extends(self, earlier: _Map, reduced: bool) -> bool:
        """Whether what `earlier` said still stands: where states are, and, where it matters, what the reduction made of them."""
        kept = all(
            now[: len(then)] == then
            for cpu in self.apart
            for now, then in (
                (self.firsts[cpu], earlier.firsts[cpu]), (self._ranks[cpu], earlier._ranks[cpu]),
            )
        )  # fmt: skip
        return kept and (not reduced or self.reduction.extends(earlier.reduction))


def _packed(states: Iterable[int]) -> bytes:
    """States as they are sent, and kept until somebody searches them."""
    return pickle.dumps(list(states))


def _read(packed: bytes) -> list[int]:
    """The states again."""
    states: list[int] = pickle.loads(packed)  # noqa: S301  written by `_packed`, here or in a worker
    return states


def _loops_and_ranks(task: Task) -> tuple[list[int], list[int]]:
    """For each node of an automaton the first node of its loop (itself, if it is in none), and the longest way to it.

    Nodes of one loop share a rank.
    """
    following = [sorted(set(node.edges.values())) for node in task.nodes]
    reach = closed([1 << index for index in range(len(following))], following)
    firsts = [
        next(
            first for first in range(index + 1) if reach[index] >> first & reach[first] >> index & 1
        )
        for index in range(len(following))
    ]
    ranks = [0] * len(following)
    changed = True
    while changed:
        changed = False
        for index, after in enumerate(following):
            for target in after:
                further = ranks[index] + (firsts[target] != firsts[index])
                if ranks[target] < further:
                    ranks[target], changed = further, True
    return firsts, ranks


# -- in a worker ------------------------------------------------------------------------------------------------------


def follow(job: Job) -> Report:
    """Search a job's classes."""
    program = job[:4]
    follower = _programs.get(program)
    if follower is None:
        follower = _Follower(job)
        _programs.clear()  # the words grow now and then, and who leads a search leads it alone
        _programs[program] = follower
    return follower.follow(job.limit, job.classes)


class _Inside:
    """What there is in a class."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.seen = set[int]().union(*map(_read, entries))
        self.transitions = 0
        self.exits: dict[tuple[int, int], set[int]] = defaultdict(set)
        """The states after steps by which a CPU told apart moves on: by the CPU, and the first node of the loop to which it moves."""
        self.ends: list[int] = []
        self.looping: list[int] = []
        self.broken: list[tuple[int, int, Violation]] = []
        self.unknown: list[int] = []
        self.outgrown = False

    def later(self, map_: _Map) -> Iterator[tuple[Class, set[int]]]:
        """The states by which other classes are entered from here."""
        here = map_.name(next(iter(self.seen)))
        for (cpu, to), states in self.exits.items():
            yield (
                tuple(
                    to if which == cpu else first
                    for which, first in zip(map_.apart, here, strict=True)
                ),
                states,
            )


class _Follower:
    """A program in the words of the process that leads."""

    def __init__(self, job: Job) -> None:
        try:
            # Made by the process that leads; like every executor's jobs, it is trusted.
            program: Machine = pickle.loads(job.build)()  # noqa: S301
        except Exception as problem:
            raise ModelError(
                f"a process that helps to search cannot build the program ({type(problem).__name__}: {problem}). Build it by a "
                "function of a module that can be imported there."
            ) from None
        self.machine = dictated(program, job.words)
        self.map = _Map(self.machine, job.apart)
        self.choose = self.map.reduction.choose if job.reduced else None

    def follow(self, limit: int, classes: Sequence[Sequence[bytes]]) -> Report:
        """See `follow`."""
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
            for name, after in inside.later(self.map):
                later[name] = later[name] | after if name in later else after
        return Report(
            states=sum(len(inside.seen) for inside in done),
            transitions=sum(inside.transitions for inside in done),
            later={name: _packed(after) for name, after in later.items()},
            ends=_packed(state for inside in done for state in inside.ends),
            looping=_packed(state for inside in done for state in inside.looping),
            broken=tuple(broken for inside in done for broken in inside.broken),
            undone=tuple(undone),
            outgrown=outgrown,
            unknown=_packed(unknown),
        )

    def inside(self, found: _Inside, limit: int) -> _Inside:
        """Search a class, from the states by which it is entered, until its end or until it is too large."""
        machine, firsts, apart = self.machine, self.map.firsts, self.map.apart
        cpus = [
            (cpu, shift, machine.tasks[cpu].nodes, firsts[cpu] if cpu in apart else None)
            for cpu, shift in enumerate(machine.layout.pc_shifts)
        ]
        all_cpus = (1 << len(cpus)) - 1
        members = [
            [entry for entry in cpus if mask >> entry[0] & 1] for mask in range(all_cpus + 1)
        ]
        loops = list(zip(machine.layout.pc_shifts, self.map.reduction.loops, strict=True))
        looped = [(shift, nodes) for shift, nodes in loops if nodes]
        choose = self.choose or (lambda _: all_cpus)
        seen, exits = found.seen, found.exits
        most = (
            limit if len(apart) < len(cpus) else sys.maxsize
        )  # nobody is left who could be told apart
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
