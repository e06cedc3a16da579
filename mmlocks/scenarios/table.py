"""The truth table: every scenario on every release, and what each repair is for.

Each cell is what a search found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, starmap
from typing import TYPE_CHECKING, NamedTuple

from mmlocks.machine import Schedule
from mmlocks.releases import (
    FILE_FAULTS_LOCK_VMA,
    MUNMAP_ALWAYS_DOWNGRADES,
    NEWEST,
    PATCHES,
    PER_VMA_LOCKS,
    Patch,
    release_named,
)
from mmlocks.scenarios.catalogue import scenario_named
from mmlocks.scenarios.checking import check
from mmlocks.search import Budget
from mmlocks.search import Progress as SearchProgress

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

Progress = Callable[[int, int, str], bool]
"""Called several times a second.

Its arguments: the searches that are done, how many there will be, and the one under way. A false
answer ends them all.
"""

NOT_APPLICABLE = "not applicable"
SCHEME = (PER_VMA_LOCKS, FILE_FAULTS_LOCK_VMA, MUNMAP_ALWAYS_DOWNGRADES)
REPAIRS = tuple(
    patch for patch in PATCHES.values() if patch in NEWEST.patches and patch not in SCHEME
)
"""The patches that make the scheme safe: all others of NEWEST.

(FIRST_FAULT_FALLS_BACK came along with the scheme.)
"""


class Cell(NamedTuple):
    """The outcome of one scenario on one release, as plain values that another process can send.

    `outcome` is "safe", "violated", "unproved" or "not applicable"; `message` is what went wrong,
    or why there is no answer. A violation has the schedule that shows it. `minimal` says whether
    that is proved to be the shortest one, with the fewest preemptions.
    """

    scenario: str
    release: str
    outcome: str
    oracle: str = ""
    message: str = ""
    states: int = 0
    seconds: float = 0.0
    schedule: str = ""
    steps: int = 0
    minimal: bool = False

    @property
    def expected(self) -> str | None:
        """The expected outcome; None if nothing is on record."""
        scenario = scenario_named(self.scenario)
        if scenario.lacking(release_named(self.release)):
            return NOT_APPLICABLE
        return scenario.expected.get(self.release)

    @property
    def unexpected(self) -> bool:
        """Whether the search found another outcome. An unproved cell contradicts nothing."""
        return self.outcome != "unproved" and self.expected not in (None, self.outcome)


@dataclass(frozen=True)
class Table:
    """A cell for each scenario on each release, by their names."""

    scenarios: tuple[str, ...]
    releases: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    seconds: float
    stopped: bool = False

    def __getitem__(self, place: tuple[str, str]) -> Cell:
        return self.cells[place]

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells.values())

    def violated(self, release: str) -> dict[str, str]:
        """The scenarios that go wrong on that release, each with the oracle that says so."""
        cells = (self.cells[scenario, release] for scenario in self.scenarios)
        return {cell.scenario: cell.oracle for cell in cells if cell.outcome == "violated"}


class Search(NamedTuple):
    """A scenario to be searched on a release. `shared` are all releases with the same patches."""

    scenario: str
    release: str
    shared: tuple[str, ...]


def searches(releases: Iterable[str], scenarios: Iterable[str]) -> list[Search]:
    """The searches that a table needs. Releases with the same patches are searched once.

    Raises ModelError for a name that does not exist.
    """
    same: dict[frozenset[Patch], list[str]] = {}
    for name in dict.fromkeys(releases):
        same.setdefault(release_named(name).patches, []).append(name)
    return [
        Search(scenario, names[0], tuple(names))
        for scenario in dict.fromkeys(scenarios)
        for names in same.values()
    ]


def search(
    scenario: str,
    release: str,
    budget: Budget | None = None,
    progress: SearchProgress | None = None,
) -> Cell:
    """One cell, from names, so that another process can be asked for it."""
    story = scenario_named(scenario)
    lacking = story.lacking(release_named(release))
    if lacking:
        without = " and ".join(patch.name for patch in lacking)
        return Cell(scenario, release, NOT_APPLICABLE, message=f"{release} is without {without}")
    checked = check(story, release, budget, progress)
    verdict, schedule = checked.verdict, checked.schedule
    oracle, message = verdict.violation or ("", verdict.reason)
    return Cell(
        scenario,
        release,
        verdict.outcome,
        oracle,
        message,
        verdict.states,
        verdict.seconds,
        str(schedule or ""),
        len(schedule or ()),
        verdict.minimal,
    )


def truth_table(
    releases: Iterable[str],
    scenarios: Iterable[str],
    executor: Executor | None = None,
    progress: Progress | None = None,
    budget: Budget | None = None,
) -> Table:
    """Search every scenario on every release: one after the other, or with the executor's workers.

    Ctrl-C, or `progress`, ends it early: the cells that are left are then unproved. Raises
    ModelError for a name that does not exist.
    """
    began = time.perf_counter()
    releases, scenarios = tuple(dict.fromkeys(releases)), tuple(dict.fromkeys(scenarios))
    todo = searches(releases, scenarios)
    found: dict[tuple[str, str], Cell] = {}
    stopped = False
    try:
        for cell in (
            _in_turn(todo, progress, budget)
            if executor is None
            else _at_once(todo, executor, progress, budget)
        ):
            found[cell.scenario, cell.release] = cell
        stopped = len(found) < len(todo) or not (
            progress is None or progress(len(todo), len(todo), "")
        )
    except KeyboardInterrupt:
        stopped = True
    cells: dict[tuple[str, str], Cell] = {}
    for one in todo:
        missing = Cell(one.scenario, one.release, "unproved", message="interrupted")
        cell = found.get((one.scenario, one.release), missing)
        for release in one.shared:
            cells[one.scenario, release] = _shown_for(release, cell)
    order = {
        (scenario, release): cells[scenario, release]
        for scenario in scenarios
        for release in releases
    }
    return Table(scenarios, releases, order, time.perf_counter() - began, stopped)


def _in_turn(
    todo: list[Search], progress: Progress | None, budget: Budget | None
) -> Iterator[Cell]:
    for done, one in enumerate(todo):
        what = f"{one.scenario} on {one.release}"

        def during(
            _states: int, _transitions: int, _seconds: float, done: int = done, what: str = what
        ) -> bool:
            return progress is None or progress(done, len(todo), what)

        if not during(0, 0, 0.0):
            return
        yield search(one.scenario, one.release, budget, during)


def _at_once(
    todo: list[Search], executor: Executor, progress: Progress | None, budget: Budget | None
) -> Iterator[Cell]:
    import concurrent.futures

    under_way: dict[Future[Cell], Search] = {}
    try:
        for one in todo:
            under_way[executor.submit(search, one.scenario, one.release, budget)] = one
        while under_way:
            done, _ = concurrent.futures.wait(under_way, timeout=0.1, return_when="FIRST_COMPLETED")
            for future in done:
                del under_way[future]
                yield future.result()
            one = next(iter(under_way.values()), todo[-1])
            if progress is not None and not progress(
                len(todo) - len(under_way), len(todo), f"{one.scenario} on {one.release}"
            ):
                return
    finally:
        for future in under_way:
            future.cancel()


def _shown_for(release: str, cell: Cell) -> Cell:
    """The same cell for a release with the same patches. Its schedule can be replayed there."""
    if release == cell.release:
        return cell
    schedule = Schedule.parse(cell.schedule) if cell.schedule else None
    text = "" if schedule is None else str(Schedule(schedule.scenario, release, schedule.cpus))
    return cell._replace(release=release, schedule=text)


# -- what each repair is for -----------------------------------------------------------------------


class Without(NamedTuple):
    """NEWEST without some repairs: the scenarios that go wrong, each with its oracle.

    `together` are those among them that go wrong in this way only if all these repairs are missing:
    each repair alone prevents it.
    """

    patches: tuple[str, ...]
    violated: Mapping[str, str]
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class RepairTable:
    """Which scenarios go wrong if NEWEST lacks one repair, or two."""

    alone: Table
    pairs: Table

    @property
    def rows(self) -> list[Without]:
        """One for each repair."""
        return [
            Without((patch.name,), self.alone.violated(_newest_without(patch))) for patch in REPAIRS
        ]

    @property
    def masked(self) -> list[Without]:
        """One for each pair of repairs that shows what neither of the two shows alone."""
        alone = {row.patches[0]: row.violated for row in self.rows}
        found = []
        for one, other in combinations(REPAIRS, 2):
            release = _newest_without(one, other)
            violated = self.pairs.violated(release) if release in self.pairs.releases else {}
            known = {*alone[one.name].items(), *alone[other.name].items()}
            new = tuple(name for name, oracle in violated.items() if (name, oracle) not in known)
            found.append(Without((one.name, other.name), violated, new))
        return [row for row in found if row.together]

    @property
    def stopped(self) -> bool:
        """Whether it was ended early."""
        return self.alone.stopped or self.pairs.stopped


def repair_table(
    scenarios: Iterable[str],
    executor: Executor | None = None,
    progress: Progress | None = None,
    budget: Budget | None = None,
) -> RepairTable:
    """Take each repair out of NEWEST, alone and together with each other one."""
    scenarios = tuple(scenarios)
    alone = truth_table(map(_newest_without, REPAIRS), scenarios, executor, progress, budget)
    pairs = starmap(_newest_without, combinations(REPAIRS, 2))
    return RepairTable(
        alone, truth_table(() if alone.stopped else pairs, scenarios, executor, progress, budget)
    )


def _newest_without(*patches: Patch) -> str:
    return "".join([NEWEST.name, *(f"-{patch.name}" for patch in patches)])
