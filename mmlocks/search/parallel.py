"""The exhaustive search, spread over processes through one `concurrent.futures.Executor`: a pool's, or a cluster's.

Every step of a task leads to a later node of its automaton, or goes round a loop. So nodes have ranks, the sum of the CPUs' ranks
never falls along an execution, and the states can be searched layer by layer, by that sum. States of one layer do not wait for each other:
they are cut into jobs, and what a job finds lies in this layer (a loop) or in later ones. Nothing leads back, so a layer is
forgotten once it is done (the sweep-line method: Christensen, Kristensen & Mailund, "A sweep-line method for state space exploration", TACAS 2001).

A job is a pure function of what it is given. If the worker that has it dies, it is done again elsewhere, in this process if need be, and
nothing is lost. Workers run no task's code (see `mmlocks.machine.words`). What they cannot know they hand back; this process finds it
out, and where an earlier decision of the reduction rested on less than is known now, it starts again from the first layer. To make that
rare it begins by searching alone for a while, which for a small program is all there is to do.
"""

from __future__ import annotations

import pickle
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from mmlocks.errors import MmlocksError, ModelError
from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.machine.state import NewWord
from mmlocks.machine.words import Words, dictated, words_of
from mmlocks.search.exhaustive import explore, searched
from mmlocks.search.reduction import Reduction, closed
from mmlocks.search.scouting import scout
from mmlocks.search.symmetry import Symmetry
from mmlocks.search.verdict import STOPPED, Exploration, Meter, why

if TYPE_CHECKING:  # it takes long to import, which only a search by several is worth
    from concurrent.futures import Executor, Future

Build = Callable[[], Machine]
"""Makes the program anew in a worker: a function of a module, or a `functools.partial` of one, so that it can be sent there. Of its tasks' code
only the first steps are run, so it need not be the code that is searched; cells, judge and watches must be the same."""

ALONE = 20_000
"""States that one process searches before others are asked: below that, starting them takes longer than they save."""

SCOUTS, PATIENCE = 100, 4
"""States of each depth that look ahead for the words that workers will need, and passes without a discovery before they give up. What
they overlook may cost a whole sweep."""

FEW = 200
"""States of a layer that are searched where they are: sending them costs more."""

JOB = 2_000
"""States in a job at most: some ten milliseconds of work, so that cancelling is prompt, and sending them costs little beside."""

SILENCE = 30.0
"""Seconds without a word from any worker after which they are given up."""


@dataclass(frozen=True)
class Parallel:
    """Every interleaving, by several processes. `build` makes the program in a worker; `reduced` as in `Exhaustive`.

    `workers` is how many jobs are worth having under way at once. No figure of the verdict depends on it. If the workers are lost, the
    rest is searched in this process, and `complain` is told.
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
        first = replace(meter, budget=replace(meter.budget, states=min(self.alone, meter.budget.states)))
        found = explore(machine, first, self.reduced, stop=stop)
        if "states" not in found.reason or meter.budget.states <= self.alone:
            meter.transitions = found.transitions
            return found
        leader = _Leader(self, machine, meter, stop)
        try:
            while not leader.sweep():
                pass
        except STOPPED as stopped:
            leader.found.reason = why(stopped)
        leader.found.transitions = meter.transitions
        return leader.found


class Job(NamedTuple):
    """States whose steps are to be followed, and what a worker must know for that."""

    build: bytes
    words: Words
    reduced: bool
    images: bytes
    """What there is to know of CPUs that are alike; nothing if none are."""
    layer: int
    states: bytes


class Report(NamedTuple):
    """What came of a job."""

    later: dict[int, bytes]
    """The states after the steps, by layer."""
    transitions: int
    ends: bytes
    """States in which nobody can run."""
    looping: bytes
    """States with a CPU at a step that may close a loop."""
    broken: tuple[tuple[int, int, Violation], ...]
    """State, CPU, and the rule that its step breaks."""
    unknown: bytes
    """States from which a step leads to something that the worker has no words for."""


# -- the process that leads -------------------------------------------------------------------------------------------


class _Leader:
    """Knows the program, gives out jobs, and keeps count."""

    def __init__(self, how: Parallel, machine: Machine, meter: Meter, stop: bool) -> None:
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
        self.symmetry = Symmetry(machine) if how.reduced and machine.symmetries else None
        self.images = b""
        self.found = Exploration("nothing searched")

    def sweep(self) -> bool:
        """Search everything, layer after layer. False if that taught something by which layers must be searched again."""
        machine, meter = self.machine, self.meter
        found = self.found = Exploration(searched(self.how.reduced, self.symmetry is not None))
        scout(machine, SCOUTS, PATIENCE)
        words = self.words()
        map_ = _Map(machine, self.symmetry)
        stands = True
        layers = {map_.layer(machine.initial): {machine.initial}}
        looping: set[int] = set()
        meter.transitions = 0
        while layers:
            level = min(layers)
            fresh, layer = layers.pop(level), set[int]()
            broken: set[tuple[int, int, Violation]] = set()
            unknown: set[int] = set()
            try:
                while fresh:
                    layer |= fresh
                    found.states += len(fresh)
                    for report in self.reports(words, level, fresh, map_):
                        meter.transitions += report.transitions
                        for at, states in report.later.items():
                            layers.setdefault(at, set()).update(map_.read(states))
                        ends = [
                            (ending, found.end(machine, ending))
                            for state in map_.read(report.ends)
                            for ending in ((state,) if self.symmetry is None else self.symmetry.orbit(state))
                        ]
                        broken |= {
                            *report.broken,
                            *((state, -1, wrong) for state, wrong in ends if wrong is not None),
                        }
                        looping.update(map_.read(report.looping))
                        unknown.update(map_.read(report.unknown))
                    fresh = layers.pop(level, set()) - layer
                    if unknown and not fresh:
                        earlier, words = map_, self.learn(unknown, words)
                        map_ = _Map(machine, self.symmetry)
                        found.states -= len(unknown)
                        if map_.extends(earlier, self.how.reduced):
                            fresh, unknown = unknown, set()
                        else:
                            # Not in vain: there may be more to learn before all is searched again.
                            stands = False
                            layers = map_.by_layer(unknown.union(*layers.values()))
            finally:
                for _, _, violation in sorted(broken):
                    found.report(violation)
            if found.violation is not None and self.stop:
                return True
        found.seen = sorted(looping)
        return stands

    def words(self) -> Words:
        """What the workers must know. Of CPUs that are alike, they know of each what the others were seen to do."""
        if self.symmetry is not None:
            self.images = self.symmetry.told()
        return words_of(self.machine)

    def learn(self, unknown: Iterable[int], words: Words) -> Words:
        """Find out what these states' steps lead to, of which the workers had no words."""
        images = self.images
        for state in sorted(unknown):
            for cpu in self.machine.cpus:
                self.machine.outcome(state, self.machine.node(state, cpu), cpu)
        more = self.words()
        if (more, self.images) == (words, images):
            raise ModelError(
                "a value of this program comes out different in another process. Search it in this one."
            )
        return more

    def reports(self, words: Words, layer: int, states: set[int], map_: _Map) -> Iterator[Report]:
        """What comes of following the steps of these states, job by job, as they are done."""
        import concurrent.futures

        few, everything = len(states) <= FEW, sorted(states)
        size = min(JOB, max(FEW, -(-len(states) // self.how.workers)))
        waiting = [
            Job(
                self.build,
                words,
                self.how.reduced,
                self.images,
                layer,
                map_.packed(everything[at : at + size]),
            )
            for at in range(0, len(everything), size)
        ]
        under_way: dict[Future[Report], Job] = {}
        heard = time.monotonic()
        try:
            while waiting or under_way:
                self.meter.check(self.found.states)
                if few or self.executor is None:
                    yield follow(waiting.pop())
                    continue
                try:
                    while waiting and len(under_way) < 2 * self.how.workers:
                        under_way[self.executor.submit(follow, waiting[-1])] = waiting[-1]
                        waiting.pop()
                    for future in concurrent.futures.wait(
                        under_way, timeout=0.1, return_when="FIRST_COMPLETED"
                    ).done:
                        report = future.result()
                        del under_way[future]
                        yield report
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


class _Map:
    """The layers of a program, as far as its automata are known, and how its states are written to be sent."""

    def __init__(self, machine: Machine, symmetry: Symmetry | None) -> None:
        self.reduction = Reduction(machine)
        self.reduction.refresh()
        if symmetry is not None:
            symmetry.widen(self.reduction.loops)
        self.width = machine.layout.size
        self._shifts = machine.layout.pc_shifts
        self.ranks = [
            _ranks([sorted(set(node.edges.values())) for node in task.nodes]) for task in machine.tasks
        ]
        self.sizes = [len(task.nodes) for task in machine.tasks]

    def layer(self, state: int) -> int:
        """The sum of the CPUs' ranks."""
        return sum(
            ranks[state >> shift & PC_FIELD] for ranks, shift in zip(self.ranks, self._shifts, strict=True)
        )

    def extends(self, earlier: _Map, reduced: bool) -> bool:
        """Whether what `earlier` said still stands: where states are, and, where it matters, what the reduction made of them."""
        kept = [ranks[:size] for ranks, size in zip(self.ranks, earlier.sizes, strict=True)] == earlier.ranks
        return kept and (not reduced or self.reduction.extends(earlier.reduction))

    def by_layer(self, states: Iterable[int]) -> dict[int, set[int]]:
        """The states of each layer."""
        layers: dict[int, set[int]] = {}
        for state in states:
            layers.setdefault(self.layer(state), set()).add(state)
        return layers

    def packed(self, states: Iterable[int]) -> bytes:
        """States one after another, which is sent faster than a list of numbers."""
        width = self.width
        return b"".join(state.to_bytes(width, "little") for state in states)

    def read(self, packed: bytes) -> Iterator[int]:
        """The states again."""
        width = self.width
        return (int.from_bytes(packed[at : at + width], "little") for at in range(0, len(packed), width))


def _ranks(following: list[list[int]]) -> list[int]:
    """For each node of an automaton the longest way to it. Nodes of one loop share a rank."""
    reach = closed([1 << index for index in range(len(following))], following)
    ranks = [0] * len(following)
    changed = True
    while changed:
        changed = False
        for index, after in enumerate(following):
            for target in after:
                back = reach[target] >> index & 1
                if ranks[target] < ranks[index] + 1 - back:
                    ranks[target], changed = ranks[index] + 1 - back, True
    return ranks


# -- in a worker ------------------------------------------------------------------------------------------------------


def follow(job: Job) -> Report:
    """Follow the chosen steps of a job's states."""
    program = job[:4]
    follower = _programs.get(program)
    if follower is None:
        follower = _Follower(job)
        _programs.clear()  # the words grow now and then, and who leads a search leads it alone
        _programs[program] = follower
    return follower.follow(job.layer, job.states)


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
        self.symmetry = Symmetry(self.machine, job.images) if job.images else None
        self.map = _Map(self.machine, self.symmetry)
        self.reduced = job.reduced

    def follow(self, layer: int, packed: bytes) -> Report:
        machine, map_, loops = self.machine, self.map, self.map.reduction.loops
        looped = [
            (shift, nodes) for shift, nodes in zip(machine.layout.pc_shifts, loops, strict=True) if nodes
        ]
        cpus = [
            (cpu, shift, machine.tasks[cpu].nodes, map_.ranks[cpu])
            for cpu, shift in enumerate(machine.layout.pc_shifts)
        ]
        all_cpus = (1 << len(cpus)) - 1
        members = [[entry for entry in cpus if mask >> entry[0] & 1] for mask in range(all_cpus + 1)]
        choose = map_.reduction.choose if self.reduced else lambda _: all_cpus
        canonical = self.symmetry.canonical if self.symmetry is not None else None
        later: defaultdict[int, set[int]] = defaultdict(set)
        ends, looping, unknown = [], [], []
        broken: list[tuple[int, int, Violation]] = []
        transitions = 0
        for state in map_.read(packed):
            able = 0
            try:
                for cpu, shift, nodes, ranks in members[choose(state)]:
                    index = state >> shift & PC_FIELD
                    node = nodes[index]
                    try:
                        outcome = node.outcomes[state & node.project]
                    except KeyError:
                        outcome = machine.outcome(state, node, cpu)
                    if outcome.__class__ is int:
                        after = state + outcome
                        level = layer + ranks[after >> shift & PC_FIELD] - ranks[index]
                        later[level].add(after if canonical is None else canonical(after))
                    elif outcome is not None:
                        broken.append((state, cpu, outcome))
                    else:
                        continue
                    able += 1
            except NewWord:  # it will be searched again
                unknown.append(state)
                continue
            transitions += able
            if not able:
                ends.append(state)
            if looped and any(state >> shift & PC_FIELD in nodes for shift, nodes in looped):
                looping.append(state)
        if self.symmetry is not None:
            try:
                self.symmetry.close()
            except (
                NewWord
            ):  # an image is unknown: whether the CPUs are alike cannot be told before it is found out
                return Report({}, 0, b"", b"", (), packed)
        return Report(
            {level: map_.packed(states) for level, states in later.items()},
            transitions, map_.packed(ends), map_.packed(looping), tuple(broken), map_.packed(unknown),
        )  # fmt: skip


_programs: dict[tuple[bytes, Words, bool, bytes], _Follower] = {}
"""The program that this process works on."""
