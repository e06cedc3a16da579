"""What is measured, a function for each table: it prints the table and returns the figures."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import ours
from benchmarks.harmony import Harmony
from benchmarks.peer import Peer, Question
from benchmarks.process import STEADY, Measured, repeat
from benchmarks.spin import Spin
from benchmarks.tables import ratio, seconds, table, whole
from benchmarks.tree import tree

Size = tuple[int, int]
TWINS: list[Size] = [(1, 2), (2, 3)]
"""Sizes at which states are counted without reduction, here and in SPIN."""
PEERS: tuple[Peer, ...] = (Spin("-O2"), Harmony())
VARIANTS: tuple[Peer, ...] = (Spin("-O1"), Spin("-O0"), Harmony(fold=True))
"""Other settings, measured only where they could matter: where the first ones of their tool were quick."""
QUICK = 20.0


def imports() -> dict[str, Any]:
    """What users wait for before anything happens."""
    found = ours.imports()
    print(
        "\nStart-up, ms (median of 7 fresh processes; an import's time is without the interpreter's own start)"
    )
    print(table(["what", "ms"], [(what, f"{value:.0f}") for what, value in found.items()]))
    return found


def scenarios() -> list[dict[str, Any]]:
    """Every shipped scenario under every release."""
    rows = ours.scenarios()
    print("\nShipped scenarios, from nothing to the verdict (a violation with its shortest schedule)")
    print(
        table(
            ["scenario", "release", "verdict", "states", "seconds"],
            [
                (
                    row["scenario"],
                    row["release"],
                    row["outcome"] + ("" if row["as_expected"] else " (UNEXPECTED)"),
                    whole(row["states"]),
                    f"{row['seconds']:.3f}",
                )
                for row in rows
            ],
        )
    )
    return rows


def vma_tree() -> list[dict[str, Any]]:
    """How an operation on the tree of VMAs grows with their number."""
    rows = tree()
    print("\nThe tree of VMAs, microseconds for one operation (mean of 500 at random places)")
    print(
        table(
            ["areas", "levels", "find", "insert", "erase"],
            [
                (
                    whole(row["areas"]),
                    row["levels"],
                    *(f"{row[name]:.0f}" for name in ("find_us", "insert_us", "erase_us")),
                )
                for row in rows
            ],
        )
    )
    return rows


def scaling(sizes: list[Size], wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """How the search grows, and what reduction saves."""
    print(
        "\nfork_many on 6.4.3, every interleaving (V VMAs, N writers; wall: the whole process, else the search alone)"
    )
    rows: list[dict[str, Any]] = []
    lines = []
    for vmas, writers in sizes:
        search = partial(ours.fork, vmas, writers, wanted.limit)
        reduced = repeat(wanted.repeats, {"mmlocks": [search()]}, {"mmlocks": search})["mmlocks"]
        # Bounded more tightly: at larger sizes it would fill the memory, and the factor is known from the smaller ones.
        full = ours.fork(vmas, writers, wanted.full_limit, full=True, states=wanted.full_states)
        finished = reduced["wall"] is not None and full["wall"] is not None
        factor = full["states"] / reduced["states"] if finished else None
        rows.append(
            {"vmas": vmas, "writers": writers, "reduced": reduced, "full": full, "reduction_factor": factor}
        )
        for row, how in ((reduced, "reduced"), (full, "full")):
            stopped = row["wall"] is None
            lines.append(
                (
                    f"{vmas},{writers} {how}",
                    row["outcome"] if not stopped else "stopped",
                    ("> " if stopped else "") + whole(row["states"]),
                    ("> " if stopped else "") + whole(row["transitions"]),
                    f"{row['seconds']:.2f}",
                    "-" if stopped else f"{row['wall']:.2f}",
                    whole(row["states_per_second"]),
                    whole(row["peak_mb_above_imports"]),
                    whole(row["peak_mb"]),
                    whole(row["nodes"]),
                    "" if row is full else "-" if factor is None else f"{factor:.1f}",
                )
            )
    headings = [
        "V,N",
        "verdict",
        "states",
        "transitions",
        "seconds",
        "wall",
        "states/s",
        "MB",
        "MB with imports",
        "nodes",
    ]
    print(table([*headings, "fewer states by"], lines))
    return rows


def present() -> list[Peer]:
    """The peers that are installed; says how to get the others."""
    tools = []
    print()
    for peer in PEERS:
        absent = peer.missing()
        if absent is None:
            tools.append(peer)
        else:
            print(f"{peer.name}: {absent}")
    return tools


def validation(tools: list[Peer], limit: float) -> dict[str, Any]:
    """The models ask the same question if they find the bug where it is, find nothing where it is not, and count alike."""
    found: dict[str, list[dict[str, Any]]] = {"outcomes": [], "states_without_reduction": []}
    for peer in tools:
        for fixed in (False, True):
            answer = peer.ask(Question(2, 3, fixed), limit)
            row = {
                "peer": peer.name,
                "kernel": "6.4.3" if fixed else "6.4.0",
                "expected": "safe" if fixed else "violated",
            }
            found["outcomes"].append(
                {**row, "outcome": answer["outcome"], "violation": answer.get("violation")}
            )
    print("Are the models right? fork_many(2, 3)")
    print(
        table(
            ["tool", "kernel", "answer", "found"],
            [
                (
                    row["peer"],
                    row["kernel"],
                    row["outcome"] + ("" if row["outcome"] == row["expected"] else " (WRONG MODEL)"),
                    row["violation"] or "-",
                )
                for row in found["outcomes"]
            ],
        )
    )
    twin = Spin(twin=True)
    if twin.missing() is None:
        for vmas, writers in TWINS:
            mine, theirs = (
                ours.fork(vmas, writers, limit, full=True),
                twin.ask(Question(vmas, writers), limit),
            )
            counts: dict[str, Any] = {
                "vmas": vmas,
                "writers": writers,
                "mmlocks": mine["states"],
                "spin": theirs.get("states"),
            }
            counts |= {
                "mmlocks_transitions": mine["transitions"],
                "spin_transitions": theirs.get("transitions"),
            }
            found["states_without_reduction"].append(counts)
        print(
            "\nStates and transitions without any reduction: mmlocks, and SPIN's model with dead variables kept as here"
        )
        print(
            table(
                ["V,N", "states", "SPIN", "transitions", "SPIN"],
                [
                    (
                        f"{row['vmas']},{row['writers']}",
                        whole(row["mmlocks"]),
                        whole(row["spin"]),
                        whole(row["mmlocks_transitions"]),
                        whole(row["spin_transitions"]),
                    )
                    for row in found["states_without_reduction"]
                ],
            )
        )
    return found


def peers(
    sizes: list[Size], scaling: list[dict[str, Any]], tools: list[Peer], wanted: argparse.Namespace
) -> list[dict[str, Any]]:
    """The same search by other tools."""
    print(
        "\nThe same micro-steps elsewhere: wall seconds from the model's text to the answer, compilation included"
    )
    rows: list[dict[str, Any]] = []
    lines = []
    for (vmas, writers), before in zip(sizes, scaling, strict=True):
        found = _side_by_side(vmas, writers, before["reduced"], tools, wanted)
        own = found["mmlocks"]["wall"]
        for name, answer in found.items():
            failed = answer["outcome"] == "failed"
            times = "-" if failed else ratio(answer["wall"], own, wanted.limit)
            rows.append({"tool": name, "times_mmlocks": times, "vmas": vmas, "writers": writers, **answer})
            lines.append(
                (
                    f"{vmas},{writers} {name}",
                    "failed" if failed else seconds(answer["wall"], wanted.limit),
                    f"{answer['search_seconds']:.2f}" if "search_seconds" in answer else "-",
                    whole(answer.get("states")),
                    whole(answer.get("peak_mb")),
                    times,
                )
            )
    print(table(["V,N", "wall", "of it search", "states", "MB", "times mmlocks"], lines))
    for peer in (*tools, *VARIANTS):
        if peer.missing() is None:
            print(f"{peer.name}: {peer.settings}")
    return rows


def _side_by_side(
    vmas: int, writers: int, before: Measured, tools: list[Peer], wanted: argparse.Namespace
) -> dict[str, Measured]:
    """One size, by everybody. What was long before is not searched again."""
    steady = before["wall"] is None or before["wall"] >= STEADY
    measures: dict[str, Callable[[], Measured]] = {"mmlocks": partial(ours.fork, vmas, writers, wanted.limit)}
    runs = {"mmlocks": [before if steady else measures["mmlocks"]()]}
    quick: set[type[Peer]] = set()
    for peer in (*tools, *VARIANTS):
        if peer.missing() is not None or (peer in VARIANTS and type(peer) not in quick):
            continue
        measures[peer.name] = partial(peer.ask, Question(vmas, writers), wanted.limit)
        runs[peer.name] = [measures[peer.name]()]
        first = runs[peer.name][0]["wall"]
        if first is not None and first < QUICK:
            quick.add(type(peer))
    found = repeat(wanted.repeats, runs, measures)
    found["mmlocks"]["search_seconds"] = found["mmlocks"]["seconds"]
    return found
