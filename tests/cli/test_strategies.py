"""`mmlocks run --strategy`: what is asked for is what is searched, and a part is never called the whole."""

import json
import re
from collections.abc import Callable

import pytest
from click.testing import Result

from mmlocks.cli.terminal import Meter
from mmlocks.search import STRATEGIES
from tests.cli.test_typed_badly import complaint

Mmlocks = Callable[..., Result]
RUN = ("run", "fork_lost_store", "--release")


def words(done: Result) -> str:
    return " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("strategy", "status", "said"),
    [
        (
            "reduced",
            0,
            "SAFE: all interleavings searched (one order of each set of steps that commute): ",
        ),
        ("full", 0, "SAFE: all interleavings searched (every order of steps): "),
        ("dpor", 0, "SAFE: "),
        ("preemptions:1", 3, "UNPROVED: every execution with at most 1 preemption searched: "),
        (
            "preemptions:9",
            0,
            "SAFE: all interleavings searched (no state takes more than 5 preemptions to reach): ",
        ),
        ("random:50", 3, "UNPROVED: random walk (seed 0): 50 executions, "),
        (
            "pct:2:50",
            3,
            "UNPROVED: random priorities (PCT for bugs of depth 2, seed 0): 50 executions, ",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_strategy_says_what_it_has_searched(
    mmlocks: Mmlocks, strategy: str, status: int, said: str
) -> None:
    done = mmlocks(*RUN, "6.4.3", "--strategy", strategy)
    assert done.exit_code == status
    assert said in words(done)
    assert ("SAFE: " in words(done)) == (status == 0)
    assert status == 0 or "all interleavings" not in words(done)
    unproved = "Of the rest nothing is known." in words(done)
    assert (
        unproved
        == ("To search every interleaving, leave --strategy out." in words(done))
        == (status == 3)
    )
    assert ("not searched: " in words(done)) == (status == 3)
    found = json.loads(mmlocks(*RUN, "6.4.3", "--strategy", strategy, "--json").stdout)
    assert found["verdict"] == {0: "safe", 3: "unproved"}[status]
    assert bool(found["left_out"]) == (status == 3)
    assert bool(found["executions"]) == strategy.startswith(("dpor", "random", "pct"))


def test_a_bounded_search_finds_what_needs_no_more(mmlocks: Mmlocks) -> None:
    assert mmlocks(*RUN, "6.4.0", "--strategy", "preemptions:1").exit_code == 3
    done = mmlocks(*RUN, "6.4.0", "--strategy", "preemptions:2")
    assert done.exit_code == 1
    assert "VIOLATED (lost_store): violation found after " in words(done)


def test_a_seed_decides_which_executions(mmlocks: Mmlocks) -> None:
    def steps(*more: object) -> int:
        done = mmlocks(*RUN, "6.4.3", "--strategy", "random:50", "--json", *more)
        steps: int = json.loads(done.stdout)["transitions"]
        return steps

    assert steps() == steps("--seed", 0) == steps("--seed", 0)
    assert len({steps("--seed", seed) for seed in range(5)}) > 1


def test_a_violation_at_random_counts_executions(mmlocks: Mmlocks) -> None:
    done = mmlocks(
        "run", "fork_torn_snapshot", "-r", "6.4.0", "--strategy", "random:1000", "--seed", 3
    )
    assert done.exit_code == 1
    assert re.search(r"VIOLATED \(snapshot\): violation found after \d+ executions\.", words(done))


def test_full_is_short_for_a_strategy(mmlocks: Mmlocks) -> None:
    one, two, both = (
        json.loads(mmlocks(*RUN, "6.4.3", "--json", *more).stdout)
        for more in (["--full"], ["--strategy", "full"], ["--full", "--strategy", "full"])
    )
    assert one["searched"] == two["searched"] == both["searched"]
    assert "every order of steps" in one["searched"]


@pytest.mark.parametrize("strategy", ["pct:2", "preemptions:3"])
def test_a_budget_ends_any_strategy(mmlocks: Mmlocks, strategy: str) -> None:
    done = mmlocks(
        "run", "young_reproducer", "-r", "6.4.3", "--strategy", strategy, "--seconds", "0.000001"
    )
    assert done.exit_code == 3
    assert "UNPROVED: stopped early (budget of 1e-06 seconds reached" in words(done)
    assert "To search further, raise --states or --seconds." in words(done)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--strategy", "preemtions:2"], "Did you mean preemptions?"),
        (["--strategy", "pct:0"], "Say a number from 1 to 100"),
        (["--strategy", "preemptions:-1"], "Say 0 or a number above"),
        (["--strategy", "random:abc"], "Write random[:EXECUTIONS]"),
        (["--strategy", ""], "there is no strategy called ''"),
        (["--strategy", "\x1b[31m"], "there is no strategy called '\\x1b[31m'"),
        (["--full", "--strategy", "pct"], "--full and --strategy 'pct' contradict each other"),
        (["--full", "--seed", "1"], "a seed changes nothing in 'full'"),
        (["--seed", "1"], "a seed changes nothing in 'reduced'"),
        (["--strategy", "pct", "--seed", "-1"], "--seed"),
        (["--strategy", "pct", "--seed", "x"], "--seed"),
    ],
    ids=lambda value: ascii(" ".join(value)) if isinstance(value, list) else "",
)
def test_strategies_typed_badly(mmlocks: Mmlocks, more: list[str], said: str) -> None:
    assert said in complaint(mmlocks(*RUN, "6.4.0", *more))


def test_help_names_every_strategy(mmlocks: Mmlocks) -> None:
    told = words(mmlocks("run", "--help"))
    for name, kind in STRATEGIES.items():
        assert re.search(rf"\b{name}{re.escape('[:') if kind.numbers else ''}", told), name


def test_progress_without_states_counts_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, shown = Meter("x"), list[str]()
    meter.PATIENCE = 0.0
    meter._next = 0.0
    monkeypatch.setattr(meter, "_show", shown.append)
    meter(0, 5_000, 2.0)
    meter._next = 0.0
    meter(300, 5_000, 2.0)
    assert shown == ["x: 5,000 steps, 2,500 a second, 2 s", "x: 300 states, 150 a second, 2 s"]
