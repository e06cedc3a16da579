"""The truth table: what is expected of every scenario on every release, why, and that a search finds just that."""

from __future__ import annotations

import dataclasses
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import pytest

from mmlocks.errors import ModelError
from mmlocks.releases import NEWEST, PATCHES, RELEASES, SPECULATIVE_FAULTS, release_named
from mmlocks.scenarios import SCENARIOS, replay
from mmlocks.scenarios.scenario import expect
from mmlocks.scenarios.table import (
    NOT_APPLICABLE,
    REPAIRS,
    Cell,
    Table,
    repair_table,
    search,
    searches,
    truth_table,
)
from mmlocks.search import Budget


class Said(NamedTuple):
    """What is expected of some releases, and where that comes from."""

    releases: str
    outcome: str
    because: str


# -- what is expected, and why ----------------------------------------------------------------------------------------
#
# Written from the commits and from what was reported, before anything was searched. An outcome is "safe", or the oracle that
# sees what goes wrong. "Model observation": no commit says it; it follows from the order of steps.

ONE_LOCK = "every fault holds mmap_lock, so that whoever holds it for writing has all faults excluded (up to 6.3)"
SPECULATION = "model observation: a speculative fault gives up if the address space was write-locked meanwhile"
FORK_FIXED = "fb49c455323f, in 6.4.3"
PREWALK = "2b4f3b4987b5 locks the same VMAs, only earlier"
NO_VMA_LOCKS = "6.4.1 without per-VMA locks is 6.3 with its stacks repaired"
FORK_BUG = [
    Said("6.1 6.3", "safe", ONE_LOCK),
    Said("6.4.3 6.4.8 6.4.10 6.6-like", "safe", FORK_FIXED),
    Said("prewalk", "safe", PREWALK),
    Said(
        "disabled reverted",
        "safe",
        "Suren proposed to disable the locks; Linus opposed that, and would rather have reverted them; "
        + NO_VMA_LOCKS,
    ),
    Said("speculative", "safe", SPECULATION),
]
WITH_ONE_LOCK = [Said("6.1 6.3", "safe", ONE_LOCK), Said("disabled reverted", "safe", NO_VMA_LOCKS)]
ALL = " ".join(RELEASES)

EXPECTED = {
    "fork_lost_store": [
        Said("6.4.0 6.4.1", "lost_store", "Fixes: 0bff0aaea03e, which is 6.4; bugzilla 217624"),
        *FORK_BUG,
    ],
    "fork_torn_snapshot": [
        Said("6.4.0 6.4.1", "snapshot", "model observation; the order of steps in dup_mmap"),
        *FORK_BUG,
    ],
    "fork_torn_across_vmas": [
        Said("6.4.0 6.4.1", "snapshot", "model observation; the order of steps in dup_mmap"),
        *FORK_BUG,
    ],
    "young_reproducer": [
        Said("6.4.0 6.4.1", "lost_store", "bugzilla 217624, reported of 6.4.1"),
        *FORK_BUG,
    ],
    "fork_other_vma": [
        Said(ALL, "safe", "what the per-VMA lock is for: a fault elsewhere does fork no harm (v4, 2023-02-27)")
    ],
    "stack_expand_fault": [
        Said("6.1 6.3 6.4.0", "misfiled", "until 8d7071af8907 two holders of mmap_lock for reading can meet there"),
        Said("6.4.1", "misfiled", "c137381f71ae: expansion is exclusive to mmap_lock, and a fault under a VMA lock is not"),
        Said("6.4.3 6.4.8 6.4.10 6.6-like prewalk", "safe", "c137381f71ae, in 6.4.3"),
        Said("disabled reverted", "safe", "8d7071af8907 alone is enough where every fault holds mmap_lock"),
        Said("speculative", "misfiled", "model observation: as 6.1, whose stacks it has"),
    ],
    "stackrot": [
        Said("6.1 6.3 6.4.0", "freed_node", "CVE-2023-3269: 6.1 to 6.4"),
        Said("6.4.1 6.4.3 6.4.8 6.4.10 6.6-like prewalk", "safe", "8d7071af8907, in 6.4.1"),
        Said("disabled reverted", "safe", "they keep 8d7071af8907"),
        Said("speculative", "freed_node", "model observation: as 6.1, whose stacks it has"),
    ],
    "stack_find_again": [
        Said(ALL, "safe", "c2508ec5a58d finds the VMA again after it has let go of mmap_lock; before, the fault never let go of it")
    ],
    "publish_early": [
        *WITH_ONE_LOCK,
        Said("6.4.0 6.4.1", "safe", "33313a747e81: only files' VMAs change after they are shown, and 6.4 faults on those under mmap_lock"),
        Said("6.4.3 6.4.8 6.4.10 6.6-like prewalk", "safe", "33313a747e81, in 6.4.3, before 6.6 made it matter"),
        Said("speculative", "safe", SPECULATION),
    ],
    "imap_lock_order": [
        *WITH_ONE_LOCK,
        Said("6.4.0 6.4.1", "safe", "mmap locks no VMA there"),
        Said("6.4.3 6.4.8 6.4.10 6.6-like prewalk", "safe", "33313a747e81 was shipped together with its repair, 1c7873e33645"),
        Said("speculative", "safe", "there are no VMA locks"),
    ],
    "anon_vma_unlocked_check": [
        *WITH_ONE_LOCK,
        Said("6.4.0 6.4.1 6.4.3 6.4.8 prewalk", "freed_node", "657b5146955e: checked before the VMA is locked, so the fault may walk to a neighbour that is being freed"),
        Said("6.4.10 6.6-like", "safe", "657b5146955e, in 6.4.10"),
        Said("speculative", "safe", SPECULATION),
    ],
    "munmap_downgrade": [
        Said(ALL, "safe", "the detached flag tells a late fault that the VMA has gone; without VMA locks it waits")
    ],
    "fork_first_touch": [
        *WITH_ONE_LOCK,
        Said("6.4.0 6.4.1", "safe", "model observation: what fb49c455323f says of anon_vma cannot happen while the first fault falls back"),
        Said("6.4.3 6.4.8 6.4.10 6.6-like", "safe", FORK_FIXED),
        Said("prewalk", "safe", PREWALK),
        Said("speculative", "safe", SPECULATION),
    ],
    "merge_dup_anon_vma": [
        *WITH_ONE_LOCK,
        Said("6.4.0 6.4.1 6.4.3 prewalk", "misfiled", "d8ab9f7b644a: the VMA gets its neighbour's anon_vma before it is locked"),
        Said("6.4.8 6.4.10 6.6-like", "safe", "d8ab9f7b644a, in 6.4.8"),
        Said("speculative", "safe", SPECULATION),
    ],
}  # fmt: skip

WITHOUT = {
    # Whoever merges VMAs holds mmap_lock, and takes it for granted that no anon_vma comes up meanwhile (model observation).
    "first_fault_falls_back": {"anon_vma_unlocked_check": "freed_node", "merge_dup_anon_vma": "misfiled"},
    # c137381f71ae rests on it: vma_start_write insists on mmap_lock held for writing, before any harm can come of it.
    "stack_grows_exclusively": {
        "stackrot": "lock_misuse", "stack_expand_fault": "lock_misuse", "stack_find_again": "lock_misuse"
    },
    "fork_locks_vmas": {
        "fork_lost_store": "lost_store", "fork_torn_snapshot": "snapshot", "fork_torn_across_vmas": "snapshot",
        "young_reproducer": "lost_store",
    },
    "stack_locks_vma": {"stack_expand_fault": "misfiled"},
    "new_vma_locked": {"publish_early": "unnoticed_store"},
    "new_vma_locked_first": {"imap_lock_order": "lock_order"},
    "merge_locks_first": {"merge_dup_anon_vma": "misfiled"},
    "anon_vma_checked_locked": {"anon_vma_unlocked_check": "freed_node"},
}  # fmt: skip
"""What goes wrong in NEWEST without that one patch: what its commit describes, and nothing else."""

MASKED = {
    # What the message of fb49c455323f argues with; 2ac0af1b66e3 prevents it as well.
    ("first_fault_falls_back", "fork_locks_vmas"): {"fork_first_touch": "misfiled"},
    # CVE-2023-3269 itself, as 6.4.0 has it.
    ("stack_grows_exclusively", "stack_locks_vma"): {"stackrot": "freed_node"},
}
"""What goes wrong only where both are missing."""


def wanted(scenario: str, release: str) -> str:
    """The expected outcome or oracle."""
    if SCENARIOS[scenario].lacking(RELEASES[release]):
        return NOT_APPLICABLE
    return next(said.outcome for said in EXPECTED[scenario] if release in said.releases.split())


def shown(cell: Cell) -> str:
    return cell.oracle if cell.outcome == "violated" else cell.outcome


def here(scenarios: dict[str, str]) -> dict[str, str]:
    """Those of the expected scenarios that there are."""
    return {name: oracle for name, oracle in scenarios.items() if name in SCENARIOS}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_something_is_expected_of_every_release_once_and_for_a_reason(scenario: str) -> None:
    listed = [name for said in EXPECTED[scenario] for name in said.releases.split()]
    assert sorted(listed) == sorted(RELEASES)
    assert all(said.because for said in EXPECTED[scenario])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenario_expects_what_the_record_lets_us_expect(scenario: str) -> None:
    """Scenarios carry the expectations, for the command line and the player; here they are held against their sources."""
    story = SCENARIOS[scenario]
    for name, release in RELEASES.items():
        if not story.lacking(release):
            outcome = wanted(scenario, name)
            assert story.expected[name] == (outcome if outcome == "safe" else "violated"), name


# How long the shortest way to go wrong may be. The longer ones carry out two system calls in full, or one page fault more.
LONGEST = 25
LONGER = {"fork_torn_across_vmas": 27, "anon_vma_unlocked_check": 82}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_release_ends_as_expected(scenario: str) -> None:
    table = truth_table(RELEASES, [scenario])
    assert {cell.release: shown(cell) for cell in table} == {
        release: wanted(scenario, release) for release in RELEASES
    }
    for cell in table:
        if cell.outcome == "violated":
            assert cell.minimal, "its schedule is the shortest there is"
            story, _, run = replay(cell.schedule)
            assert (story.name, len(run)) == (scenario, cell.steps)
            assert run.violation == (cell.oracle, cell.message)
    steps = [
        cell.steps for cell in table if cell.outcome == "violated" and cell.release != "speculative"
    ]
    assert max(steps, default=0) <= LONGER.get(scenario, LONGEST)
    assert scenario not in LONGER or max(steps) == LONGER[scenario], "the figure is out of date"


@pytest.mark.slow
def test_without_a_repair_there_is_the_bug_that_its_commit_describes() -> None:
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as workers:
        found = repair_table(SCENARIOS, workers)
    assert {row.patches[0]: row.violated for row in found.rows} == {
        patch: here(scenarios) for patch, scenarios in WITHOUT.items()
    }
    assert {
        row.patches: {name: row.violated[name] for name in row.together} for row in found.masked
    } == {pair: here(scenarios) for pair, scenarios in MASKED.items() if here(scenarios)}


def test_every_patch_of_the_newest_release_is_the_scheme_or_a_repair() -> None:
    assert {patch.name for patch in NEWEST.patches} == WITHOUT.keys() | {
        "per_vma_locks",
        "file_faults_lock_vma",
        "munmap_always_downgrades",
    }
    assert [patch.name for patch in REPAIRS] == [name for name in PATCHES if name in WITHOUT]


def test_expect_names_every_release() -> None:
    assert expect("6.4.0") == {**dict.fromkeys(RELEASES, "safe"), "6.4.0": "violated"}
    with pytest.raises(ModelError, match=r"no release '6\.4'"):
        expect("6.4")


# -- the table itself -------------------------------------------------------------------------------------------------


def plain(table: Table) -> list[Cell]:
    """The cells without what is different each time."""
    return [cell._replace(seconds=0.0) for cell in table]


def test_a_table_has_every_cell_in_the_order_asked_for() -> None:
    scenarios, releases = (
        ("fork_torn_snapshot", "fork_other_vma"),
        ("6.4.3", "6.4.0", "6.4.3-fork_locks_vmas"),
    )
    table = truth_table(releases, scenarios)
    assert [(cell.scenario, cell.release) for cell in table] == [
        (s, r) for s in scenarios for r in releases
    ]
    assert (table.scenarios, table.releases) == (scenarios, releases)
    assert [shown(cell) for cell in table] == [
        "safe",
        "snapshot",
        "snapshot",
        "safe",
        "safe",
        "safe",
    ]
    assert table.violated("6.4.0") == {"fork_torn_snapshot": "snapshot"}
    assert all(cell.states > 0 and cell.seconds > 0 for cell in table)
    assert not table.stopped


def test_releases_with_the_same_patches_share_a_search_and_no_others_do() -> None:
    todo = searches(["6.1", "6.3", "6.4.0", "6.4.1", "6.3"], ["fork_other_vma"])
    assert [one.shared for one in todo] == [("6.1", "6.3"), ("6.4.0",), ("6.4.1",)]
    assert {one.release for one in searches(RELEASES, ["fork_other_vma"])} == {
        name for name in RELEASES if name not in ("6.3", "reverted")
    }
    changed = "6.3+per_vma_locks+first_fault_falls_back"
    table = truth_table([changed, "6.4.0"], ["fork_torn_snapshot"])
    schedules = [table["fork_torn_snapshot", release].schedule for release in (changed, "6.4.0")]
    assert [text.split(":")[2] for text in schedules] == [changed, "6.4.0"]
    assert [replay(text)[2].violation for text in schedules] == [
        (cell.oracle, cell.message) for cell in table
    ]


def test_a_cell_comes_back_from_another_process_as_it_was_found() -> None:
    pytest.importorskip("_multiprocessing", reason="WebAssembly has one process")
    cell = search("fork_torn_snapshot", "6.4.0")
    assert pickle.loads(pickle.dumps(cell)) == cell
    scenarios, releases = ["fork_torn_snapshot", "fork_other_vma"], ["6.1", "6.3", "6.4.0"]
    done: list[tuple[int, int, str]] = []
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
        table = truth_table(
            releases, scenarios, workers, lambda *progress: done.append(progress) is None
        )
    assert plain(table) == plain(truth_table(releases, scenarios))
    assert done[-1][:2] == (4, 4)


def test_a_scenario_says_nothing_of_a_release_without_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needy = dataclasses.replace(SCENARIOS["fork_other_vma"], needs=(SPECULATIVE_FAULTS,))
    monkeypatch.setitem(SCENARIOS, "fork_other_vma", needy)
    table = truth_table(["6.4.0", "speculative"], ["fork_other_vma"])
    cell = table["fork_other_vma", "6.4.0"]
    assert (cell.outcome, cell.expected, cell.unexpected) == (NOT_APPLICABLE, NOT_APPLICABLE, False)
    assert cell.message == "6.4.0 is without speculative_faults"
    assert cell.states == 0, "nothing was searched"
    assert table["fork_other_vma", "speculative"].outcome == "safe"


def test_what_is_not_as_expected_is_told_from_what_is_not_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = dataclasses.replace(SCENARIOS["fork_torn_snapshot"], expected=expect())
    monkeypatch.setitem(SCENARIOS, "fork_torn_snapshot", wrong)
    cells = [
        *truth_table(["6.4.0", "6.4.3", "6.4.0+stack_locks_vma"], ["fork_torn_snapshot"]),
        *truth_table(["6.4.0"], ["fork_torn_snapshot"], budget=Budget(states=20)),
    ]
    assert [(cell.outcome, cell.expected, cell.unexpected) for cell in cells] == [
        ("violated", "safe", True),
        ("safe", "safe", False),
        ("violated", None, False),
        ("unproved", "safe", False),
    ]
    assert "budget of 20 states" in cells[-1].message


@pytest.mark.parametrize("how", ["answer", "ctrl-c"])
def test_a_table_that_is_ended_early_keeps_what_it_has(how: str) -> None:
    def until_two(done: int, of: int, what: str) -> bool:
        assert (of, bool(what) or done == of) == (4, True)
        if done == 2 and how == "ctrl-c":
            raise KeyboardInterrupt
        return done < 2

    table = truth_table(
        ["6.4.0", "6.4.3"], ["fork_torn_snapshot", "fork_other_vma"], progress=until_two
    )
    assert table.stopped
    assert [shown(cell) for cell in table] == ["snapshot", "safe", "unproved", "unproved"]
    assert table["fork_other_vma", "6.4.0"].message == "interrupted"


def test_repairs_that_are_ended_early_tell_what_they_have() -> None:
    found = repair_table(["fork_other_vma"], progress=lambda done, of, what: done < 3)
    assert found.stopped
    assert len(found.rows) == len(REPAIRS)
    assert found.masked == []
    assert not found.pairs.cells
    assert all(release_named(name).patches < NEWEST.patches for name in found.alone.releases)


@pytest.mark.parametrize(
    ("releases", "scenarios"), [(["6.4.0", "6.4"], ["fork_other_vma"]), (["6.4.0"], ["fork_bomb"])]
)
def test_names_that_there_are_not_are_clear_errors(
    releases: list[str], scenarios: list[str]
) -> None:
    with pytest.raises(ModelError, match=r"there is no (release|scenario)"):
        truth_table(releases, scenarios)
