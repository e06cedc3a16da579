"""The player's controls do what they say."""

import threading
from typing import Any

import pytest

from mmlocks.machine import Schedule
from mmlocks.mm.source import release_source
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.fork_many import fork_many

pytest.importorskip("ipywidgets")

from mmlocks.notebook.player import Player
from mmlocks.notebook.scheduler import PlayerSession


def fixed_dup_mmap() -> Any:
    names: dict[str, Any] = {}
    exec(
        "from mmlocks.mm import *\n" + release_source("dup_mmap", "6.4.3").replace("Mm", "object"),
        names,
    )
    return names["dup_mmap"]


def test_the_button_of_a_cpu_lets_it_step_and_undo_takes_that_back() -> None:
    player = Player()
    player.cpus[0].click()
    assert player.session.run.cpus == (0,)
    assert "takes mmap_lock for writing" in player.blame.value
    player.back_button.click()
    assert player.session.at == 0
    assert player.slider.value == 0
    player.cpus[0].click()
    assert (player.session.at, len(player.session.run)) == (1, 1)


def test_the_slider_looks_back_and_loses_nothing_until_another_way_is_taken() -> None:
    player = Player()
    player.short_button.click()
    whole = player.session.run
    player.slider.value = 6
    assert player.session.at == 6
    assert player.session.run is whole
    player.cpus[2].click()
    assert player.session.run is whole
    assert player.session.at == 7
    player.slider.value = 6
    player.cpus[1].click()
    assert player.session.run.cpus == (*whole.cpus[:6], 1)


def test_find_shows_a_bad_run_and_shortest_one_that_is_no_longer() -> None:
    player = Player()
    player.find_button.click()
    found = player.session.run
    assert found.violation is not None
    assert "lost" in player.blame.value
    assert all(button.disabled for button in player.cpus)
    player.short_button.click()
    assert player.session.run.violation is not None
    assert player.session.run.cpus == check(SCENARIOS["fork_lost_store"], "6.4.0").verdict.schedule


def test_a_release_without_the_bug_has_nothing_to_find() -> None:
    player = Player(release="6.4.3")
    for button in (player.find_button, player.short_button):
        button.click()
        assert "No order of steps goes wrong" in player.blame.value
    player.prove_button.click()
    player.wait()
    assert "SAFE" in player.blame.value
    assert "sequentially consistent" in player.blame.value


def test_choosing_a_release_starts_over_there() -> None:
    player = Player()
    player.cpus[0].click()
    player.release.value = "6.4.3"
    assert player.session.kernel.release.name == "6.4.3"
    assert len(player.session.run) == 0
    assert Player(allow_release_change=False).release.disabled is not False


def test_a_bad_text_is_answered_in_words_and_loses_nothing() -> None:
    player = Player()
    player.cpus[0].click()
    before = player.session.run
    good = str(check(SCENARIOS["fork_lost_store"], "6.4.0").schedule)
    for bad, word in (
        ("nonsense", "not a schedule"),
        (good[:-3], "checksum"),
        (good[:20], "fields"),
    ):
        player.paste_text.value = bad
        player.paste_button.click()
        assert word in player.blame.value
        assert player.session.run is before
    impossible = Schedule("fork_lost_store", "6.4.0", (0,) * 60)
    player.paste(str(impossible))
    assert "cannot run" in player.blame.value
    assert player.session.run is before


def test_a_pasted_run_is_shown_with_its_scenario_and_release() -> None:
    player = Player()
    text = str(check(SCENARIOS["fork_torn_snapshot"], "6.4.0").schedule)
    player.paste_text.value = f"  {text}\n"
    player.paste_button.click()
    assert player.session.scenario.name == "fork_torn_snapshot"
    assert player.replay_text.value == text
    assert len(player.cpus) == 2
    patched = Schedule("fork_lost_store", "6.4.0+fork_locks_vmas", (0, 0))
    player.paste(str(patched))
    assert player.release.value == "6.4.0+fork_locks_vmas"


def test_a_blocked_cpu_has_a_disabled_button_and_a_sentence() -> None:
    player = Player("fork_torn_snapshot", "6.3")
    player.cpus[0].click()
    while not player.cpus[1].disabled:
        player.cpus[1].click()
    assert "blocked" in player.cpus[1].description
    assert "held by cpu0 since step 1" in player.blame.value
    assert "held by cpu0 since step 1" in player.sources.value


def test_a_run_that_ends_well_says_so() -> None:
    player = Player()
    for cpu in (0, 1, 2):
        while not player.cpus[cpu].disabled:
            player.cpus[cpu].click()
    assert "nothing is wrong" in player.blame.value
    assert "try another" in player.blame.value


def test_a_function_of_ones_own_takes_part_and_its_source_is_shown() -> None:
    player = Player(replacements={"dup_mmap": fixed_dup_mmap()})
    player.prove_button.click()
    player.wait()
    assert "SAFE" in player.blame.value
    assert "your dup_mmap" in player.story.value
    stale = str(check(SCENARIOS["fork_lost_store"], "6.4.0").schedule)
    player.paste(stale)
    assert "recorded on 6.4.0" in player.blame.value


def test_a_long_proof_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmlocks.notebook.player.AT_ONCE", 0.01)
    player = Player(fork_many(3, 4), "6.4.3")
    player.prove_button.click()
    searching = player._searching
    assert isinstance(searching, threading.Thread)
    assert all(
        button.disabled for button in (*player.cpus, player.find_button, player.prove_button)
    )
    player.cancel_button.click()
    player.wait()
    assert "UNPROVED" in player.blame.value
    assert "cancelled" in player.blame.value
    assert not player.cpus[0].disabled


def test_text_is_always_there_and_has_nothing_random_in_it() -> None:
    def bundle() -> dict[str, Any]:
        player = Player()
        player.shortest()
        return player._repr_mimebundle_()

    one, two = bundle(), bundle()
    assert one["text/plain"] == two["text/plain"]
    assert one["text/html"] == two["text/html"]
    assert "replay: mml1:fork_lost_store:6.4.0:" in one["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in one


def test_a_session_steps_without_widgets() -> None:
    session = PlayerSession("fork_lost_store", "6.4.0")
    session.step(0)
    session.back()
    session.forward()
    assert session.at == 1
    session.restart()
    assert len(session.run) == 0
    assert "scheduler" in session.advice


@pytest.mark.parametrize(
    ("release", "cure"),
    [("6.4.0", "6.4.3"), ("6.4.1", "6.4.3"), ("6.4.3-fork_locks_vmas", "6.4.3"), ("6.6-like-fork_locks_vmas", "6.6-like")],
)  # fmt: skip
def test_after_a_bug_the_release_that_cured_it_is_advised(release: str, cure: str) -> None:
    session = PlayerSession("fork_torn_snapshot", release)
    session.find_shortest()
    assert f"Then choose release {cure} and" in session.advice
