"""`mmlocks explain` and `mmlocks endings`: what they print, as text and as JSON, and their exit statuses."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mmlocks.machine import Schedule

Mmlocks = Callable[..., Result]
LOST_STORE = "mml1:fork_lost_store:6.4.0:0x6.2x10.1x2.2x2:dcc209c4"


def test_a_lost_store_is_explained(mmlocks: Mmlocks) -> None:
    done = mmlocks("explain", LOST_STORE)
    text = " ".join(done.stdout.split())
    assert done.exit_code == 1
    assert "WHAT MATTERS: 5 of 20 steps" in text
    assert "Step 16 comes before step 17. Both touch F0[0]." in text
    assert "later cpu0 dup_mmap: flushes all pages from all TLBs" in text
    assert (
        "Every execution that keeps these orders breaks a rule (lost_store), wherever the other 15 steps fall."
        in text
    )
    assert "TOO LATE: from step 17 on" in text
    assert "The same up to step 16. Then cpu2 goes first, not cpu1:" in text
    assert "So order 3 of those that matter is turned around" in text
    twin = re.search(r"replay: (mml1:\S+)", text)
    assert twin is not None
    assert mmlocks("replay", twin[1]).exit_code == 0


def test_the_same_for_programs(mmlocks: Mmlocks) -> None:
    done = mmlocks("explain", LOST_STORE, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert found["violation"]["oracle"] == "lost_store"
    assert found["slice"]["steps"] == [6, 7, 16, 17, 20]
    assert [(one["first"]["step"], one["then"]["step"]) for one in found["slice"]["orders"]] == [
        (6, 7), (16, 17), (17, 20), (17, None),
    ]  # fmt: skip
    assert found["slice"]["settled"]
    assert found["no_return"] == {"step": 17, "at_most": 17}
    assert (found["twin"]["common"], found["twin"]["closest"], found["twin"]["turned"]) == (
        16,
        True,
        [2],
    )
    assert found["reasons"] == []


def test_an_answer_is_explained_with_the_answer_only(mmlocks: Mmlocks, answers: Path) -> None:
    judged = json.loads(mmlocks("check", "lab07", answers / "wrong.py", "--json").stdout)
    schedule = next(check["schedule"] for check in judged["checks"] if check["schedule"])
    done = mmlocks("explain", schedule, "--answer", answers / "wrong.py")
    assert done.exit_code == 1
    assert "WHAT MATTERS" in done.stdout
    without = mmlocks("explain", schedule)
    assert (without.exit_code, without.stdout) == (2, "")
    assert "--answer FILE" in without.stderr


def test_with_one_more_oracle(mmlocks: Mmlocks) -> None:
    found = json.loads(
        mmlocks("run", "fork_lost_store", "-r", "6.4.0", "--also", "stale_copy", "--json").stdout
    )
    done = mmlocks("explain", found["schedule"], "--also", "stale_copy")
    assert done.exit_code == 1
    assert "(stale_copy)" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([LOST_STORE[:-1]], "checksum does not match"),
        (["nonsense"], "this is not a schedule"),
        ([LOST_STORE, "--also", "nobody"], "there is no oracle called 'nobody'"),
        ([str(Schedule("fork_lost_store", "6.4.0", ()))], "nothing to explain"),
    ],
    ids=["damaged", "nonsense", "oracle", "nothing-wrong"],
)
def test_what_cannot_be_explained_gets_a_sentence(
    mmlocks: Mmlocks, words: list[str], said: str
) -> None:
    done = mmlocks("explain", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_small_budget_is_admitted(mmlocks: Mmlocks) -> None:
    done = mmlocks("explain", LOST_STORE, "--states", 40)
    text = " ".join(done.stdout.split())
    assert done.exit_code == 3
    assert (
        "Not everything was searched (budget of 40 states reached): what is missing above is unknown."
        in text
    )
    assert "raise --states or --seconds" in text


def test_all_endings_are_listed(mmlocks: Mmlocks) -> None:
    done = mmlocks("endings", "fork_lost_store", "--release", "6.4.0")
    text = " ".join(done.stdout.split())
    assert done.exit_code == 1
    assert "5 endings, 110,791,254,726 schedules, 1,710 states." in text
    assert (
        "P3: 1 2; child P3: 5 6 110,791,037,099 schedules, all but 217,627 of them; 7 states"
        in text
    )
    assert "VIOLATED (lost_store)" in text
    for schedule in re.findall(r"replay: (mml1:\S+)", text):
        assert mmlocks("replay", schedule).exit_code in (0, 1)
    assert mmlocks("endings", "fork_lost_store", "--release", "6.4.3").exit_code == 0


def test_endings_are_not_final_states(mmlocks: Mmlocks) -> None:
    """What `run` counts, and what is told apart here."""
    final = json.loads(mmlocks("run", "fork_lost_store", "-r", "6.4.3", "--json").stdout)["endings"]
    text = " ".join(mmlocks("endings", "fork_lost_store", "-r", "6.4.3").stdout.split())
    assert f"The 4 good endings are {final} final states in the count of `mmlocks run`" in text
    one = " ".join(
        mmlocks("endings", "fork_lost_store", "-r", "6.4.3", "--cells", "truth*").stdout.split()
    )
    assert f"The good ending is {final} final states" in one


def test_endings_by_cells_of_ones_choice(mmlocks: Mmlocks) -> None:
    found = json.loads(
        mmlocks("endings", "fork_lost_store", "-r", "6.4.3", "--cells", "truth*", "--json").stdout
    )
    assert [ending["value"] for ending in found["endings"]] == [
        {"truth P3[0]": "1", "truth P3[1]": "2"}
    ]
    assert found["schedules"] == found["endings"][0]["schedules"] > 1000
    done = mmlocks("endings", "fork_lost_store", "-r", "6.4.3", "--cells", "nosuch")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no cell is called 'nosuch'" in done.stderr


def test_endings_within_a_budget(mmlocks: Mmlocks) -> None:
    done = mmlocks("endings", "young_reproducer", "-r", "6.4.0", "--states", 100)
    assert done.exit_code == 3
    assert "UNPROVED: stopped early (budget of 100 states reached)" in done.stdout
    assert (
        mmlocks("endings", "young_reproducer", "-r", "6.4.0", "--states", 100, "--json").exit_code
        == 3
    )
    assert mmlocks("endings", "young_reproducer").exit_code == 2


def test_nothing_is_wider_than_the_terminal(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in (40, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        for words in (["explain", LOST_STORE], ["endings", "fork_lost_store", "-r", "6.4.0"]):
            lines = mmlocks(*words).stdout.splitlines()
            assert max(len(line) for line in lines if "replay: " not in line) <= columns, words


def test_a_notebook_shows_the_same() -> None:
    from mmlocks.errors import ModelError
    from mmlocks.scenarios import SCENARIOS, check
    from mmlocks.show import explain

    shown = explain(check(SCENARIOS["fork_lost_store"], "6.4.0"))
    assert "WHAT MATTERS: 5 of 20 steps" in shown.text
    assert "WHAT MATTERS" in shown.html
    with pytest.raises(ModelError, match="nothing to explain"):
        explain(check(SCENARIOS["fork_lost_store"], "6.4.3"))
