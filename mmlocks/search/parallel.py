"""The exhaustive search, spread over processes by a `concurrent.futures.Executor`.

The executor may be a pool's or a cluster's. The states are divided into classes (see
`mmlocks.search.partition`), which are searched layer by layer. Classes of one layer do not wait for
each other. Nothing leads back, so a class is forgotten once it is done (the sweep-line method:
Christensen, Kristensen & Mailund, "A sweep-line method for state space exploration", TACAS 2001).
Telling few CPUs apart keeps what is sent small. Where a class outgrows a job, one more is told
apart.

If a worker dies, its job is done again elsewhere, in this process if need be. Workers run no task's
code (see `mmlocks.search.worker`). What they cannot know they hand back, and this process finds it
out. If the reduction has then chosen by less than is known now, it starts again from the first
layer. To make that rare, this process begins by searching alone until it has learned nothing new
for long. A small program is searched whole by then.
"""

from __future__ import annotations

import heapq
import pickle
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mmlocks.errors import MmlocksError, ModelError
from mmlocks.machine.machine import Machine, Violation
from mmlocks.machine.words import Words, words_of
from mmlocks.search.exhaustive import explore, searched
from mmlocks.search.partition import Class, Divider, Entries, Partition, packed, unpacked
from mmlocks.search.scouting import scout
from mmlocks.search.verdict import STOPPED, Cancelled, Exploration, Meter, why
from mmlocks.search.worker import Job, Report, follow

if TYPE_CHECKING:  # slow to import, and only a search by several processes needs it
    from concurrent.futures import Executor, Future

Build = Callable[[], Machine]
"""Makes the program anew in a worker.

It must be a function of a module, or a `functools.partial` of one, so that it can be sent there.
Only the first steps of its tasks' code are run, so that need not be the code that is searched.
Cells, judge and watches must be the same.
"""

ALONE = 5_000
"""States that one process searches first: below that, starting others takes too long."""

SETTLED = 2
"""How long it goes on alone, in multiples of the states seen when it last learned something.

What is then still unknown may cost a whole sweep.
"""

SCOUTS, PATIENCE = 100, 2
"""States of each depth that look ahead before a sweep, and idle passes before they give up."""

JOB = 50_000
"""States in a class or a job, about: half a second, so the last job of a layer is short."""

FEW = 2
"""Jobs in a layer below which this process does them: there would be nothing to do meanwhile."""

SILENCE = 30.0
"""Seconds without a report from any worker after which the workers are given up."""

ENOUGH = "enough seen to ask others"


@dataclass(frozen=True)
class Parallel:
    """Every interleaving, by several processes.

    `build` makes the program in a worker; `reduced` is as in `Exhaustive`. `workers` is how many
    jobs are worth having under way at once; no figure of a complete search depends on it. If the
    workers are lost, this process searches the rest, and `complain` is told. A reduced search of a
    program with symmetries runs in this process: an exchange would move a state to another class.
    """

    executor: Executor
    build: Build
    workers: int = 2
    reduced: bool = True
    alone: int = ALONE
    complain: Callable[[str], object] = warnings.warn

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. What it finds safe is safe.

        `machine` runs the tasks' code, and judges final states. Of the states seen, it keeps only
        those at loops. Raises ModelError if the program, or a value in it, cannot be sent to
        another process.
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
        if not leader.found.states:  # stopped before the first report
            return replace(leader.found, states=found.states, transitions=found.transitions)
        leader.found.transitions = meter.transitions
        return leader.found


class _Pilot(Meter):
    """Ends the search that goes ahead, as soon as it has learned nothing new for long."""

    def __init__(self, meter: Meter, machine: Machine, least: int) -> None:
        super().__init__(
            meter.budget, meter.progress, started=meter.started, occupied=meter.occupied
        )
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


@dataclass
class _Undone:
    """What is left of a layer after its jobs were done once."""

    classes: Entries = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    """States from which a step leads to something that the workers have no words for."""
    outgrown: bool = False
    """Whether a class was too large for a job."""


class _Leader:
    """Knows the program, gives out jobs, and keeps count."""

    def __init__(
        self, how: Parallel, machine: Machine, meter: Meter, stop: bool, seen: Collection[int]
    ) -> None:
        self.how = how
        self.machine = machine
        self.meter = meter
        self.stop = stop
        self.workers = _Workers(how)
        try:
            self.build = pickle.dumps(how.build)
        except Exception as problem:
            raise ModelError(
                f"this program cannot be sent to another process ({problem}). Search it in this "
                "one, or build it by a function of a module."
            ) from None
        self.found = Exploration("nothing searched")
        self.words: Words = b""
        self.divider = Divider(machine, how.reduced, seen)
        self.partition = Partition(machine, ())
        self.layers: dict[int, Entries] = {}
        """The classes that wait to be searched."""
        self.looping: set[int] = set()
        self.stands = True
        """Whether what this sweep has searched still stands, after all that was learned."""

    def sweep(self) -> bool:
        """Search everything, layer after layer.

        False if something was learned by which all must be searched again.
        """
        machine = self.machine
        found = self.found = Exploration(searched(self.how.reduced))
        self.meter.transitions = 0
        scout(machine, SCOUTS, PATIENCE, lambda: self.meter.check(found.states))
        self.words = words_of(machine)
        self.partition = self.divider.divided(Partition(machine, self.partition.apart))
        self.layers = self.partition.layers([packed([machine.initial])])
        self.looping, self.stands = set(), True
        while self.layers:
            self.search_layer(self.layers.pop(min(self.layers)))
            if found.violation is not None and self.stop:
                return True
        found.seen = sorted(self.looping)
        return self.stands

    def search_layer(self, classes: Entries) -> None:
        """Search the classes of a layer, again and again until none is undone.

        Violations are reported at the end, in an order that does not depend on the workers' speed.
        """
        broken: set[tuple[int, int, Violation]] = set()
        try:
            while classes:
                undone = self.search_once(classes, broken)
                if self.divides_anew(undone):
                    self.put_back(undone.classes)
                    return
                classes = undone.classes
        finally:
            for _, _, violation in sorted(broken):
                self.found.report(violation)

    def search_once(self, classes: Entries, broken: set[tuple[int, int, Violation]]) -> _Undone:
        """Have each class searched by one job, and count what the jobs report."""
        found, undone = self.found, _Undone()
        for names, report in self.workers.reports(
            self.jobs(classes), lambda: self.meter.check(found.states)
        ):
            found.states += report.states
            self.meter.transitions += report.transitions
            for name, states in report.later.items():
                layer = self.layers.setdefault(self.partition.layer(name), {})
                layer.setdefault(name, []).append(states)
            broken.update(report.broken)
            for state in unpacked(report.ends):
                violation = found.end(self.machine, state)
                if violation is not None:
                    broken.add((state, -1, violation))
            self.looping.update(unpacked(report.looping))
            for number in report.undone:
                undone.classes[names[number]] = classes[names[number]]
            undone.outgrown |= report.outgrown
            undone.unknown.update(unpacked(report.unknown))
        return undone

    def divides_anew(self, undone: _Undone) -> bool:
        """Learn what the workers did not know, or tell one more CPU apart.

        Says whether states are now in other classes than before.
        """
        if undone.unknown:
            return not self.learn(undone.unknown)
        if undone.outgrown:
            self.partition = self.divider.one_more(self.partition)
        return undone.outgrown

    def learn(self, unknown: Iterable[int]) -> bool:
        """Take the steps that the workers had no words for.

        Says whether all that was searched so far still stands.
        """
        for state in sorted(unknown):
            for _ in self.machine.moves(state):
                pass  # taking it is enough: the machine notes what is new
        words, self.words = self.words, words_of(self.machine)
        if self.words == words:
            raise ModelError(
                "a value of this program comes out different in another process. Search it in "
                "this one."
            )
        earlier = self.partition
        self.partition = Partition(self.machine, earlier.apart)
        stands = self.partition.extends(earlier, self.how.reduced)
        self.stands &= stands  # if not, go on all the same: the next sweep profits from what is met
        return stands

    def put_back(self, classes: Entries) -> None:
        """Sort all states that wait into the classes and layers of the new partition."""
        waiting = [
            states for layer in (classes, *self.layers.values()) for states in layer.values()
        ]
        self.layers = self.partition.layers(states for parts in waiting for states in parts)

    def jobs(self, classes: Entries) -> list[tuple[list[Class], Job]]:
        """The classes of a layer cut into jobs, with their names; the largest classes come last.

        The jobs are of about the same size, as far as the number of entering states tells.
        """
        sizes = {name: sum(map(len, entries)) for name, entries in classes.items()}
        shares = [
            (0, number, list[Class]()) for number in range(min(len(classes), 3 * self.how.workers))
        ]
        for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
            size, number, names = heapq.heappop(shares)
            names.append(name)
            heapq.heappush(shares, (size + sizes[name], number, names))
        return [
            (
                names,
                Job(
                    self.build,
                    self.words,
                    self.how.reduced,
                    self.partition.apart,
                    JOB,
                    tuple(tuple(classes[name]) for name in names),
                ),
            )
            for _, _, names in sorted(shares)
        ]


class _Lost(Exception):
    """The workers do not answer any more, or cannot be asked."""


class _Workers:
    """Does jobs by an executor and, once that is lost, in this process."""

    def __init__(self, how: Parallel) -> None:
        self._executor: Executor | None = how.executor
        self._most = 2 * how.workers
        self._complain = how.complain

    def reports(
        self, jobs: list[tuple[list[Class], Job]], glance: Callable[[], None]
    ) -> Iterator[tuple[list[Class], Report]]:
        """What comes of the jobs, as they are done. `glance` is called often, and may raise."""
        if len(jobs) >= FEW and self._executor is not None:
            try:
                yield from self._by_executor(self._executor, jobs, glance)
            except _Lost as lost:
                # The jobs that were not done are still in the list, and are done here. If the fault
                # is ours, it will show here as well.
                self._complain(
                    f"the workers are lost ({lost}); the search goes on in this process alone."
                )
                self._executor = None
        while jobs:
            glance()
            names, job = jobs.pop()
            yield names, follow(job)

    def _by_executor(
        self,
        executor: Executor,
        jobs: list[tuple[list[Class], Job]],
        glance: Callable[[], None],
    ) -> Iterator[tuple[list[Class], Report]]:
        """The same by the executor. A job that was not done is in the list `jobs` at the end."""
        import concurrent.futures

        under_way: dict[Future[Report], tuple[list[Class], Job]] = {}
        heard = time.monotonic()
        try:
            while jobs or under_way:
                glance()
                try:
                    while jobs and len(under_way) < self._most:
                        under_way[executor.submit(follow, jobs[-1][1])] = jobs[-1]
                        jobs.pop()
                    done = concurrent.futures.wait(
                        under_way, timeout=0.1, return_when="FIRST_COMPLETED"
                    ).done
                    reports = [(future, future.result()) for future in done]
                    if not done and time.monotonic() - heard > SILENCE:
                        raise TimeoutError(f"silent for {SILENCE:g} s")
                except MmlocksError:
                    raise
                except Exception as problem:
                    raise _Lost(f"{type(problem).__name__}: {problem}".removesuffix(": ")) from None
                for future, report in reports:
                    yield under_way.pop(future)[0], report
                    heard = time.monotonic()
        finally:
            for future in under_way:
                future.cancel()
            jobs += under_way.values()
