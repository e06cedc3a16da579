"""What the scenarios after fork's show: the tree and its dead nodes, where pages are filed, files, and VMAs that are gone."""

import random
from typing import Any
from xml.etree import ElementTree

import pytest

from mmlocks.errors import MmlocksError, ModelError
from mmlocks.machine import Run
from mmlocks.mm import *  # noqa: F403
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.maple import mas_walk
from mmlocks.notebook.scheduler import TOGETHER, PlayerSession
from mmlocks.oracles.fields import FIELDS
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check, machine_for
from mmlocks.show.draw import BOLD, SANS, fit, sans_width
from mmlocks.show.scene import has_filing, has_tree, scene
from mmlocks.show.state_picture import state_picture
from mmlocks.show.state_text import state_text
from mmlocks.show.storyboard import storyboard
from mmlocks.show.text import checked_text, function_of, verdict_text

RELEASE = {
    "stackrot": "6.4.0",
    "stack_expand_fault": "6.4.1",
    "merge_dup_anon_vma": "6.4.3",
    "anon_vma_unlocked_check": "6.4.8",
    "fork_first_touch": "6.4.0-first_fault_falls_back",
    "publish_early": "6.6-like-new_vma_locked",
    "imap_lock_order": "6.6-like-new_vma_locked_first",
}
FORKING = {name for name in SCENARIOS if name.startswith("fork_") or name == "young_reproducer"}
BAD = {name: check(SCENARIOS[name], release) for name, release in RELEASE.items()}
SVG = "{http://www.w3.org/2000/svg}"
EVERY = pytest.mark.parametrize("name", RELEASE)


def run_of(name: str) -> tuple[Any, Run]:
    run = BAD[name].run
    assert run is not None
    return BAD[name].world, run


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def width_of(node: ElementTree.Element) -> float:
    kinds, text = (node.get("class") or "").split(), node.text or ""
    if "m" in kinds:
        return len(text) * (6.65 if "s" in kinds else 7.25)
    bold = BOLD if {"b", "h", "w"} & set(kinds) else 1
    return sans_width(text) * bold * (11 / 13 if "s" in kinds else 15 / 13 if "h" in kinds else 1)


def overlapping(root: ElementTree.Element) -> list[tuple[str, str]]:
    """Texts on one line, or nearly so, that run into each other."""
    spans = []
    for node in root.iter(f"{SVG}text"):
        length = width_of(node)
        left = float(node.get("x", "0")) - {"middle": length / 2, "end": length}.get(
            node.get("text-anchor", ""), 0
        )
        if node.text:
            spans.append((float(node.get("y", "0")), left, left + length, node.text))
    spans.sort()
    return [
        (one[3], two[3])
        for index, one in enumerate(spans)
        for two in spans[index + 1 :]
        if two[0] < one[0] + 8 and one[2] > two[1] + 0.5 and two[2] > one[1] + 0.5
    ]


# -- nothing runs out of its box --------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("width", [960, 440])
def test_no_text_runs_out_of_the_picture_and_no_box_either(name: str, width: int) -> None:
    world, run = run_of(name)
    for at in range(len(run) + 1):
        root = ElementTree.fromstring(state_picture(world, run, at, width))
        height = float(root.get("viewBox", "").split()[3])
        for node in root.iter(f"{SVG}text"):
            length = width_of(node)
            back = {"middle": length / 2, "end": length}.get(node.get("text-anchor", ""), 0)
            assert float(node.get("x", "0")) - back >= 0, node.text
            assert float(node.get("x", "0")) - back + length <= width, node.text
            assert float(node.get("y", "0")) <= height, node.text
        assert not overlapping(root)
        for box in root.iter(f"{SVG}rect"):
            if "%" not in box.get("width", ""):
                assert float(box.get("y", "0")) + float(box.get("height", "0")) <= height
                assert float(box.get("x", "0")) + float(box.get("width", "0")) <= width


@EVERY
@pytest.mark.parametrize("width", [960, 440])
def test_no_text_of_a_storyboard_runs_out_of_its_panel(name: str, width: int) -> None:
    world, run = run_of(name)
    root = ElementTree.fromstring(storyboard(world, run, width=width))
    panels = [
        tuple(float(box.get(side, "0")) for side in ("x", "y", "width", "height"))
        for box in root.iter(f"{SVG}rect")
        if box.get("class") == "card" and float(box.get("width", "0")) > 300
    ]
    assert panels
    for node in root.iter(f"{SVG}text"):
        x, y = float(node.get("x", "0")), float(node.get("y", "0"))
        inside = [
            panel
            for panel in panels
            if panel[0] <= x <= panel[0] + panel[2] and panel[1] <= y <= panel[1] + panel[3]
        ]
        assert len(inside) == 1, node.text
        length = width_of(node) / (2 if node.get("text-anchor") == "middle" else 1)
        assert x + length <= inside[0][0] + inside[0][2] + 1, node.text
    assert not overlapping(root)
    texts_at = [
        (float(node.get("x", "0")), float(node.get("y", "0")), width_of(node), node.text)
        for node in root.iter(f"{SVG}text")
        if not node.get("text-anchor")
    ]
    for box in root.iter(f"{SVG}rect"):
        if (
            box.get("class") in ("area", "hot")
            and box.get("height") == "19"
            and box.get("rx") == "2"
        ):
            left, line = float(box.get("x", "0")), float(box.get("y", "0")) + 14
            right = left + float(box.get("width", "0"))
            near = [
                text
                for x, y, long, text in texts_at
                if abs(y - line) < 8 and x < right and x + long > left
            ]
            assert not near


def test_a_broken_rule_is_marked_from_its_first_word_to_its_last() -> None:
    world, run = run_of("publish_early")
    for width in (960, 440):
        lines = ElementTree.fromstring(storyboard(world, run, width=width)).iter(f"{SVG}text")
        marked = " ".join(node.text or "" for node in lines if node.get("class") == "w")
        assert marked == f"Rule broken: {run.violation.message}."  # type: ignore[union-attr]


@EVERY
@pytest.mark.parametrize("width", [960, 440])
def test_vmas_and_nodes_stay_inside_their_panes(name: str, width: int) -> None:
    world, run = run_of(name)
    for at in range(len(run) + 1):
        boxes = [
            (box.get("class"), *(float(box.get(side, "0")) for side in ("x", "y", "height")))
            for box in ElementTree.fromstring(state_picture(world, run, at, width)).iter(
                f"{SVG}rect"
            )
            if "%" not in box.get("height", "")
        ]
        panes = [(x, y, y + high) for kind, x, y, high in boxes if kind == "card"]
        for kind, x, y, high in boxes:
            if kind in ("area", "bad") and high > 20 and any(left == x - 6 for left, *_ in panes):
                assert any(
                    left == x - 6 and top < y and y + high <= end for left, top, end in panes
                ), at


def test_lines_of_wide_letters_are_broken_earlier() -> None:
    text = "10: mm_mt.ma_root: mm_mt.root -> mm_mt.node1; mm_mt.root is dead and freed"
    assert all(sans_width(line) <= 437 for line in fit(text, 437, 4, SANS))
    assert " ".join(fit(text, 437, 4, SANS)) == text
    assert fit("i" * 60, 437, 4, SANS) == ["i" * 60]


# -- the tree ---------------------------------------------------------------------------------------------------------


def test_the_freed_node_of_stackrot_is_marked_and_so_is_who_stands_on_it() -> None:
    world, run = run_of("stackrot")
    start = scene(world, run, 3).tree
    assert start is not None
    assert [(node.name, node.state, node.users) for node in start.nodes] == [
        ("node0", "root", (1,))
    ]
    assert ("heap", 0x4000) in start.nodes[0].ranges
    assert start.nodes[0].ranges[-1] == ("gap", None)
    now = scene(world, run)
    assert now.tree is not None
    freed, new = now.tree.nodes
    assert (now.tree.root, freed.state, freed.users, freed.ranges, new.state) == (
        "node1",
        "freed",
        (1,),
        (),
        "root",
    )
    assert ("upper", 0x9000) in new.ranges
    told = state_text(world, run)
    assert "   node0  FREED; cpu1 uses it next" in told
    assert "tree  ma_root -> node1" in told
    drawn = state_picture(world, run)
    assert "FREED" in texts(drawn)
    assert "cpu1 uses it next" in texts(drawn)
    assert "stripe" in drawn
    assert "FREED" not in texts(state_picture(world, run, 3))
    assert "FREED" in texts(storyboard(world, run))


def test_a_node_that_a_reader_keeps_is_dead_and_says_until_when() -> None:
    world, run = run_of("anon_vma_unlocked_check")
    for at in range(len(run)):
        tree = scene(world, run, at).tree
        assert tree is not None
        for node in tree.nodes:
            assert (node.state == "dead") == bool(node.awaited)
    seen = [at for at in range(len(run)) if "DEAD" in texts(state_picture(world, run, at))]
    assert seen
    assert "; DEAD; freed when cpu1 leaves the RCU read section" in state_text(
        world, run, seen[0], 200
    )


def test_a_node_that_was_built_is_not_in_the_tree_until_it_is_linked() -> None:
    world, run = run_of("publish_early")
    states = [[node.state for node in scene(world, run, at).tree.nodes] for at in (8, 9, 10)]  # type: ignore[union-attr]
    assert states == [["root"], ["root", "not in the tree yet"], ["freed", "root"]]


def test_the_tree_is_shown_where_it_may_change_and_a_child_where_somebody_forks() -> None:
    for name, scenario in SCENARIOS.items():
        world = scenario.world()
        assert world.forks == (name in FORKING), name
        assert not (world.forks and has_tree(world)), name
        if name in FORKING - {"fork_first_touch"}:
            assert not has_filing(world), name
        machine, world = machine_for(scenario, Kernel(RELEASES["6.4.3"]))
        drawn = texts(state_picture(world, Run.of(machine), 0))
        assert ("Tree of VMAs" in drawn) == has_tree(world), name
        assert ("Child (made by fork)" in drawn) == world.forks, name


def test_who_says_that_nobody_forks_cannot_fork() -> None:
    world = SCENARIOS["stack_expand_fault"].world()
    with pytest.raises(ModelError, match="no VMA of child left"):
        world.child.spare_vmas.take(_view(world), 0)


def _view(world: Any) -> Any:
    from mmlocks.machine.state import View

    return View(world.layout, world.layout.initial, -1, -1)


# -- where pages are filed --------------------------------------------------------------------------------------------


def test_start_and_number_of_a_stack_that_grows_are_seen_to_disagree() -> None:
    world, run = run_of("stack_expand_fault")
    areas = [scene(world, run, at).parent.vmas[0] for at in (12, 13)]
    assert [(area.start, area.pgoff) for area in areas] == [(0x8000, 8), (0x7000, 8)]
    assert "vm_pgoff 8" in texts(state_picture(world, run))
    assert "anon_vma(stack) index 9" in texts(state_picture(world, run))
    assert "vm_pgoff 8; anon_vma(stack)" in state_text(world, run)
    assert "filed in anon_vma(stack) index 9" in state_text(world, run)


def test_an_anon_vma_to_which_its_vma_is_not_linked_says_so() -> None:
    world, run = run_of("merge_dup_anon_vma")
    filings = [scene(world, run, at).parent.vmas[0].filing for at in (0, len(run))]
    assert filings == ["no anon_vma", "anon_vma(right), not linked"]
    assert "anon_vma(right), not linked" in texts(state_picture(world, run))
    assert "anon_vma(right), not linked" in texts(storyboard(world, run))
    assert "anon_vma(right), not linked" in state_text(world, run, width=200)


def test_a_childs_vma_without_the_anon_vma_of_its_page_is_seen() -> None:
    world, run = run_of("fork_first_touch")
    now = scene(world, run)
    assert now.child.vmas[0].filing == "no anon_vma"
    assert {frame.filed for frame in now.frames if frame.count} >= {"anon_vma(constants) index 3"}


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_files_lock_its_mappings_and_what_its_system_was_told_are_shown() -> None:
    world, run = run_of("publish_early")
    now = scene(world, run)
    assert (str(now.files[0].lock), now.files[0].mapped) == ("cpu0", ())
    assert "journal.i_mmap_rwsem (write)" in now.cpus[0].holds
    page = next(frame for frame in now.frames if frame.name == "journal page 0")
    assert (page.told, page.count) == (False, 2)
    assert "its file system was not told" in texts(state_picture(world, run))
    assert "file journal  i_mmap_rwsem: cpu0 (write); i_mmap: no VMA" in state_text(world, run)
    machine, world = machine_for(SCENARIOS["publish_early"], Kernel(RELEASES["6.6-like"]))
    run = Run.of(machine)
    for cpu in (0, 1):
        while cpu in run.enabled():
            run = run.step(cpu)
    assert run.violation is None
    told = [run.told(step) for step in range(len(run))]
    assert "vma0.vm_flags is rw-s; vma0.vm_file is journal" in told
    assert "journal.i_mmap is empty" in told
    assert next(frame for frame in scene(world, run).frames if frame.name == "journal page 0").told
    assert scene(world, run).files[0].mapped == ("vma0",)
    assert "its file system was told" in texts(state_picture(world, run))


# -- VMAs that are not in the tree ------------------------------------------------------------------------------------


async def careless(mm: Any, address: int) -> Any:
    """lock_vma_under_rcu, for somebody who thinks that RCU is only needed to find the VMA."""
    await mm.rcu.read_lock()
    vma = await mas_walk(mm, address)
    await mm.rcu.read_unlock()
    if vma is not None and await vma_start_read(vma):  # noqa: F405
        return vma
    return None


def test_a_freed_vma_is_there_for_as_long_as_somebody_is_about_to_use_it() -> None:
    kernel = Kernel(RELEASES["6.4.3"], {"lock_vma_under_rcu": careless})
    machine, world = machine_for(SCENARIOS["munmap_downgrade"], kernel)
    run = Run.of(machine)
    while not len(run) or "finds VMA" not in run.told(len(run) - 1):
        run = run.step(1)
    run = run.step(1)
    waiting = run.undo()
    while 0 in waiting.enabled():
        waiting = waiting.step(0)
    kept = scene(world, waiting).parent.vmas
    assert {(area.fate, area.awaited) for area in kept} == {("out of the tree", (1,))}
    assert "RCU keeps it for cpu1" in texts(state_picture(world, waiting))
    assert not overlapping(ElementTree.fromstring(state_picture(world, waiting)))
    seen = []
    while 0 in run.enabled():
        run = run.step(0)
        seen += [area.fate for area in scene(world, run).parent.vmas]
    assert "out of the tree" in seen
    gone = [area for area in scene(world, run).parent.vmas if area.fate == "freed"]
    assert [area.users for area in gone] == [(1,)]
    assert f"VMA {gone[0].name}  FREED; cpu1 uses it next" in state_text(world, run)
    assert "cpu1 uses it next" in texts(state_picture(world, run))
    assert "FREED" in texts(state_picture(world, run))
    assert not overlapping(ElementTree.fromstring(state_picture(world, run)))
    broken = run.step(1)
    assert broken.violation is not None
    assert broken.violation.oracle == "freed_vma"
    assert not overlapping(ElementTree.fromstring(storyboard(world, broken)))


# -- words ------------------------------------------------------------------------------------------------------------


@EVERY
def test_no_step_is_told_in_pythons_words_or_in_a_private_function(name: str) -> None:
    checked, (_, run) = BAD[name], run_of(name)
    text = checked_text(checked)
    for word in ("None", "()", "((", ",)", " _", "<"):
        assert word not in text.replace("fork()", ""), word
    functions = {function_of(run, step) for step in range(len(run))}
    assert not any(function.startswith("_") for function in functions)
    assert "fields_of" not in functions
    assert max(map(len, text.splitlines())) <= 100


def test_a_private_function_gives_the_name_of_its_caller() -> None:
    _, run = run_of("stackrot")
    building = next(step for step in range(len(run)) if "builds" in run.told(step))
    assert run.machine.node(run.states[building], 0).answer.where[-1].function == "_build"
    assert function_of(run, building) == "vma_iter_store"


def test_whoever_points_at_a_field_is_told_what_protects_it() -> None:
    world, run = run_of("stack_expand_fault")
    groups = {
        (group.find(f"{SVG}text").text or ""): group.find(f"{SVG}title").text or ""  # type: ignore[union-attr]
        for group in ElementTree.fromstring(state_picture(world, run)).iter(f"{SVG}g")
        if group.find(f"{SVG}title") is not None
    }
    for text, field in (
        ("vm_pgoff 8", "Vma.vm_pgoff"),
        ("anon_vma(stack)", "Vma.anon_vma"),
        ("VMA stack [0x7000, 0xa000)", "Vma.vm_start"),
        ("mm_lock_seq 3", "Mm.mm_lock_seq"),
        ("P9 → F0 rw", "PageTable.pte"),
    ):
        assert FIELDS[field].protected_by in groups[text], text


# -- the player's session ---------------------------------------------------------------------------------------------


@EVERY
def test_every_search_of_the_player_finds_the_bug(name: str) -> None:
    oracle = BAD[name].verdict.violation.oracle  # type: ignore[union-attr]
    for act in (
        PlayerSession.find,
        PlayerSession.find_shortest,
        lambda session: session.show_proof(session.prove()),
    ):
        session = PlayerSession(name, RELEASE[name])
        act(session)
        violation = session.here.violation
        assert violation is not None, act
        assert violation.oracle == oracle or act is PlayerSession.find
        assert session.text()
        assert "press “prove it”" in session.advice


def test_of_a_lock_order_the_player_says_that_the_run_is_not_bad_by_itself() -> None:
    session = PlayerSession("imap_lock_order", RELEASE["imap_lock_order"])
    session.find_shortest()
    assert session.note == TOGETHER
    assert "lock order" in session.blame
    session.back()
    assert session.here.violation is None
    session.show_proof(session.prove())
    assert "about all runs together" in session.verdict_text()
    assert "about all runs together" in verdict_text(BAD["imap_lock_order"].verdict)
    assert "about all runs together" not in verdict_text(BAD["stackrot"].verdict)
    session.find()
    safe = PlayerSession("imap_lock_order", "6.6-like")
    safe.find()
    assert "No order of steps goes wrong" in safe.note


def test_a_kernel_is_named_by_what_it_is() -> None:
    assert PlayerSession("stackrot", "6.4.0").kernel_text == "Linux 6.4.0"
    assert "CONFIG_PER_VMA_LOCK" in PlayerSession("stackrot", "disabled").kernel_text
    text = PlayerSession("imap_lock_order", RELEASE["imap_lock_order"]).kernel_text
    assert text.startswith(
        "6.6-like without new_vma_locked_first: “mmap write-locks a new VMA before"
    )
    assert "..." not in text


def test_the_legend_explains_what_there_is() -> None:
    pytest.importorskip("ipywidgets")
    from mmlocks.notebook.player import Player

    plain, tree, files = (
        Player(name).legend.value for name in ("fork_lost_store", "stackrot", "publish_early")
    )
    assert "Tree of VMAs" not in plain
    assert "vm_pgoff" not in plain
    assert "Tree of VMAs" in tree
    assert "i_mmap_rwsem" not in tree
    assert "i_mmap_rwsem" in files


def test_a_long_broken_rule_is_shown_in_lines_of_its_own() -> None:
    pytest.importorskip("ipywidgets")
    from mmlocks.notebook.player import Player

    player = Player("imap_lock_order", RELEASE["imap_lock_order"])
    player.shortest()
    assert (
        "<b>✗ lock order i_mmap_rwsem -&gt; vm_lock -&gt; i_mmap_rwsem:</b><br>cpu0 takes"
        in player.blame.value
    )
    assert "(see below)" in player.session.text()


def test_every_release_can_be_chosen_in_every_new_scenario() -> None:
    for name in RELEASE:
        for release in RELEASES:
            try:
                assert PlayerSession(name, release).text()
            except MmlocksError as problem:  # pragma: no cover
                pytest.fail(f"{name} on {release}: {problem}")


@pytest.mark.parametrize("name", SCENARIOS)
def test_whatever_happens_the_pictures_and_texts_hold_it(name: str) -> None:
    dice = random.Random(name)
    machine, world = machine_for(
        SCENARIOS[name], Kernel(RELEASES[dice.choice(["6.1", "6.4.0", "6.6-like"])])
    )
    run = Run.of(machine)
    while run.enabled():
        cpu = dice.choice(run.enabled())
        for _ in range(dice.randint(1, 12)):
            run = run.step(cpu)
    assert all(run.told(step) for step in range(len(run)))
    for at in range(0, len(run) + 1, 4):
        for width in (960, 440):
            root = ElementTree.fromstring(state_picture(world, run, at, width))
            assert not overlapping(root)
            height = float(root.get("viewBox", "").split()[3])
            assert all(float(node.get("y", "0")) <= height for node in root.iter(f"{SVG}text"))
        assert "None" not in state_text(world, run, at)
    for width in (960, 440):
        assert not overlapping(ElementTree.fromstring(storyboard(world, run, width=width)))


def test_a_page_of_a_file_with_a_long_name_has_room_in_a_storyboard() -> None:
    machine, world = machine_for(SCENARIOS["munmap_downgrade"], Kernel(RELEASES["6.6-like"]))
    run = Run.of(machine)
    while not len(run) or "reads P4[0] = 0" not in run.told(len(run) - 1):
        run = run.step(1)
    drawn = storyboard(world, run, width=440)
    assert "P4 → dictionary page 0 ro" in texts(drawn)
    assert not overlapping(ElementTree.fromstring(drawn))
