"""The set of endings must be equal for full and reduced search. That keeps the reduction honest, and it must be able to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from mmlocks.machine.step import Footprint
from mmlocks.scenarios import SCENARIOS, Scenario, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import exhaustive, reduction
from mmlocks.search.exhaustive import _Search
from mmlocks.search.reduction import Reduction, _Outlook
from mmlocks.search.verdict import Meter
from tests.helpers import Build, outcome, reduction_loses_nothing
from tests.machine.programs import PROGRAMS
from tests.machine.random_programs import machine, programs

RELEASES = ["6.3", "6.4.0", "6.4.0+fork_locks_vmas", "6.4.3"]
SMALL = [*SCENARIOS.values(), fork_many(1, 2), fork_many(2, 2)]


def built(scenario: Scenario, release: str) -> Build:
    return lambda: machine_for(scenario, as_kernel(release))[0]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_in_the_same_states_with_reduction(name: str) -> None:
    assert reduction_loses_nothing(PROGRAMS[name].build)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("scenario", SMALL, ids=lambda scenario: scenario.name)
def test_a_scenario_ends_in_the_same_states_with_reduction(
    scenario: Scenario, release: str
) -> None:
    assert reduction_loses_nothing(built(scenario, release))


@given(programs())
@settings(max_examples=100)
def test_a_random_program_ends_in_the_same_states_with_reduction(program: Any) -> None:
    assert reduction_loses_nothing(lambda: machine(program))


@pytest.mark.parametrize(
    "scenario", [SCENARIOS["fork_lost_store"], fork_many(2, 2)], ids=lambda scenario: scenario.name
)
def test_reduction_visits_fewer_states(scenario: Scenario) -> None:
    from mmlocks.search import judge

    full, reduced = (judge(built(scenario, "6.4.3")(), reduced=how) for how in (False, True))
    assert (full.outcome, reduced.outcome) == ("safe", "safe")
    assert reduced.states < full.states
    assert reduced.transitions < full.transitions / 1.5


# -- mutation check: reductions that are wrong on purpose -------------------------------------------------------------


@pytest.fixture
def unsound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Reduction]:
    """A reduction with the named defect."""
    mutation: Callable[[pytest.MonkeyPatch], type[Reduction]] = request.param
    return mutation(monkeypatch)


def overlooking(
    clashing: Callable[[Footprint, int], int], monkeypatch: pytest.MonkeyPatch
) -> type[Reduction]:
    monkeypatch.setattr(reduction, "clashing", clashing)
    return Reduction


def reads_are_overlooked(monkeypatch: pytest.MonkeyPatch) -> type[Reduction]:
    """A read and a write of the same cell are taken to be independent."""
    return overlooking(
        lambda step, cells: (step.writes | step.adds) << cells | step.writes << 2 * cells,
        monkeypatch,
    )


def waiting_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> type[Reduction]:
    """A read and somebody's later write are; a write and a later read are not."""

    def clashing(step: Footprint, cells: int) -> int:
        changes = step.writes | step.adds
        return changes | changes << cells | step.writes << 2 * cells

    return overlooking(clashing, monkeypatch)


def additions_commute_with_everything(monkeypatch: pytest.MonkeyPatch) -> type[Reduction]:
    return overlooking(
        lambda step, cells: step.writes | (step.reads | step.writes) << cells, monkeypatch
    )


def futures_are_overlooked(monkeypatch: pytest.MonkeyPatch) -> type[Reduction]:
    """Only the step that the other CPU would take now counts."""

    class Shortsighted(_Outlook):
        def survey(self) -> None:
            super().survey()
            cells = len(self.task.layout.cells)
            for each, node in zip(self.ahead, self.task.nodes, strict=True):
                each.future = reduction.touched(node.footprint, cells)

    monkeypatch.setattr(reduction, "_Outlook", Shortsighted)
    return Reduction


def futures_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> type[Reduction]:
    """Automata grow during the search, and decisions taken before that are left standing."""

    class Hasty(Reduction):
        @property
        def stale(self) -> bool:
            return False

    monkeypatch.setattr(exhaustive, "scout", lambda machine, width: None)
    return Hasty


def choices_are_left_standing_where_futures_have_grown(
    monkeypatch: pytest.MonkeyPatch,
) -> type[Reduction]:
    """Only states with a moment that is new are looked at again."""

    class Lazy(_Outlook):
        def news(self) -> set[int]:
            known = set(self._told)
            return super().news() - known

    monkeypatch.setattr(exhaustive, "scout", lambda machine, width: None)
    monkeypatch.setattr(reduction, "_Outlook", Lazy)
    return Reduction


def loops_are_overlooked(monkeypatch: pytest.MonkeyPatch) -> type[Reduction]:
    class Dizzy(_Outlook):
        def survey(self) -> None:
            super().survey()
            self.loops = set()

    monkeypatch.setattr(reduction, "_Outlook", Dizzy)
    return Reduction


MUTATIONS = [
    reads_are_overlooked,
    waiting_is_overlooked,
    additions_commute_with_everything,
    futures_are_overlooked,
    futures_are_not_looked_at_again,
    choices_are_left_standing_where_futures_have_grown,
    loops_are_overlooked,
]


@pytest.mark.parametrize(
    "unsound", MUTATIONS, indirect=True, ids=lambda mutation: mutation.__name__
)
def test_the_comparison_catches_an_unsound_reduction(unsound: type[Reduction]) -> None:
    caught = [
        name
        for name, program in PROGRAMS.items()
        if not reduction_loses_nothing(program.build, unsound)
    ]
    assert caught


@pytest.mark.parametrize(
    "unsound",
    [waiting_is_overlooked, futures_are_overlooked],
    indirect=True,
    ids=lambda mutation: mutation.__name__,
)
def test_the_comparison_on_fork_catches_an_unsound_reduction(unsound: type[Reduction]) -> None:
    assert not all(
        reduction_loses_nothing(built(SCENARIOS["fork_lost_store"], release), unsound)
        for release in RELEASES
    )


def test_choices_may_be_made_anew_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a long search does when its states have doubled. What it overlooks then, nobody looks at again."""
    outdated = _Search.outdated
    looks = list[int]()

    def counted(search: _Search) -> list[int]:
        looks.append(len(search.seen))
        return outdated(search)

    def overlooked(search: _Search) -> list[int]:
        return outdated(search)[1:]

    monkeypatch.setattr(Meter, "every", 1)
    monkeypatch.setattr(exhaustive, "scout", lambda machine, width: None)
    monkeypatch.setattr(_Search, "outdated", counted)
    assert all(reduction_loses_nothing(program.build) for program in PROGRAMS.values())
    assert reduction_loses_nothing(built(SCENARIOS["fork_lost_store"], "6.4.3"))
    assert len(set(looks)) > 20
    monkeypatch.setattr(_Search, "outdated", overlooked)
    assert not all(reduction_loses_nothing(program.build) for program in PROGRAMS.values())


def test_the_comparison_catches_a_search_that_forgets_an_ending() -> None:
    """The comparison itself must see a single missing ending."""
    full = outcome(PROGRAMS["increment"].build(), reduced=False)
    assert len(full.endings) == 2
    for ending in full.endings:
        assert full._replace(endings=full.endings - {ending}) != full
