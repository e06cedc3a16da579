"""The same search by other tools: are their models right, and how long do they take?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import ours
from benchmarks.frontrun import Frontrun
from benchmarks.harmony import Harmony
from benchmarks.ours import Size
from benchmarks.peer import Peer, Question, asked
from benchmarks.process import STEADY, Measured, repeat
from benchmarks.spin import Spin
from benchmarks.tables import ratio, seconds, table, whole

TWINS: list[Size] = [(1, 2), (2, 3)]
"""Sizes at which states are counted without reduction, here and in SPIN."""
PEERS: tuple[Peer, ...] = (Spin("-O2"), Harmony(), Frontrun())
VARIANTS: tuple[Peer, ...] = (Spin("-O1"), Spin("-O0"), Harmony(fold=True), Frontrun(explore=True))
"""Other settings, measured only where they could matter: where the first ones of their tool were quick."""
QUICK = 20.0
VALIDATED: dict[type[Peer], Size] = {Frontrun: (1, 2)}
"""Where a model is tried out; (2, 3) if nothing is said. frontrun does not finish there."""


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
    outcomes: list[dict[str, Any]] = []
    for peer in tools:
        vmas, writers = VALIDATED.get(type(peer), (2, 3))
        for fixed in (False, True):
            answer = asked(peer, Question(vmas, writers, fixed), limit)
            outcomes.append(
                {
                    "peer": peer.name,
                    "vmas": vmas,
                    "writers": writers,
                    "kernel": "6.4.3" if fixed else "6.4.0",
                    "expected": "safe" if fixed else "violated",
                    "outcome": answer["outcome"],
                    "violation": answer.get("violation"),
                    "said": answer.get("said"),
                }
            )
    print("Are the models right? fork_many(V, N)")
    print(
        table(
            ["tool", "V,N", "kernel", "answer", "found"],
            [
                (
                    row["peer"],
                    f"{row['vmas']},{row['writers']}",
                    row["kernel"],
                    row["outcome"] + _remark(row["outcome"], row["expected"]),
                    row["violation"] or row["said"] or "-",
                )
                for row in outcomes
            ],
        )
    )
    return {"outcomes": outcomes, "states_without_reduction": _counted_alike(limit)}


def _remark(outcome: str, expected: str) -> str:
    return " (WRONG MODEL)" if outcome in ("safe", "violated") and outcome != expected else ""


def _counted_alike(limit: float) -> list[dict[str, Any]]:
    twin = Spin(twin=True)
    if twin.missing() is not None:
        return []
    rows = []
    for vmas, writers in TWINS:
        mine = ours.fork(vmas, writers, limit, full=True)
        theirs = asked(twin, Question(vmas, writers), limit)
        rows.append(
            {
                "vmas": vmas,
                "writers": writers,
                "mmlocks": mine["states"],
                "spin": theirs.get("states"),
                "mmlocks_transitions": mine["transitions"],
                "spin_transitions": theirs.get("transitions"),
            }
        )
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
                for row in rows
            ],
        )
    )
    return rows


def peers(
    scaling: list[dict[str, Any]], tools: list[Peer], wanted: argparse.Namespace
) -> list[dict[str, Any]]:
    """The same search by other tools, at each of the sizes that were measured."""
    print(
        "\nThe same micro-steps elsewhere: wall seconds from the model's text to the answer, compilation included"
    )
    rows: list[dict[str, Any]] = []
    lines = []
    stopped: dict[str, tuple[Size, float]] = {}
    for before in scaling:
        vmas, writers = before["vmas"], before["writers"]
        patience = _patience(before["reduced"]["wall"], wanted)
        found = _side_by_side(vmas, writers, before["reduced"], tools, patience, stopped, wanted)
        own = found["mmlocks"]["wall"]
        for name, answer in found.items():
            failed = answer["outcome"] == "failed"
            limit = wanted.limit if name == "mmlocks" else answer.get("limit_seconds", patience)
            times = "-" if failed else ratio(answer["wall"], own, limit)
            # What a tool counts: states, or whole executions.
            size = {"tool": name, "vmas": vmas, "writers": writers, "limit_seconds": limit}
            rows.append({**size, "times_mmlocks": times, **answer})
            lines.append(
                (
                    f"{vmas},{writers} {name}",
                    "failed" if failed else seconds(answer["wall"], limit),
                    f"{answer['search_seconds']:.2f}" if "search_seconds" in answer else "-",
                    whole(answer.get("states")),
                    whole(answer.get("executions")),
                    whole(answer.get("peak_mb")),
                    times,
                    answer.get("said", "").replace("\n", " ")[-60:],
                )
            )
    headings = ["V,N", "wall", "of it search", "states", "executions", "MB", "times mmlocks", ""]
    print(table(headings, lines))
    for peer in (*tools, *VARIANTS):
        if peer.missing() is None:
            print(f"{peer.name}: {peer.settings}")
    return rows


def _patience(own: float | None, wanted: argparse.Namespace) -> float:
    """Seconds that a peer may take: many times as many as we do are answer enough, but it always has a while."""
    limit: float = wanted.limit
    return (
        limit if own is None else min(limit, max(wanted.patience, float(round(wanted.times * own))))
    )


def _side_by_side(
    vmas: int,
    writers: int,
    before: Measured,
    tools: list[Peer],
    patience: float,
    stopped: dict[str, tuple[Size, float]],
    wanted: argparse.Namespace,
) -> dict[str, Measured]:
    """One size, by everybody. What was long before is not searched again; who was `stopped` at a part of it is not asked."""
    steady = before["wall"] is None or before["wall"] >= STEADY
    measures: dict[str, Callable[[], Measured]] = {
        "mmlocks": partial(ours.fork, vmas, writers, wanted.limit)
    }
    runs = {"mmlocks": [before if steady else measures["mmlocks"]()]}
    quick: set[type[Peer]] = set()
    for peer in (*tools, *VARIANTS):
        if peer.missing() is not None or (peer in VARIANTS and type(peer) not in quick):
            continue
        part, after = stopped.get(peer.name, ((vmas + 1, writers), 0.0))
        if part[0] <= vmas and part[1] <= writers:
            # It takes at least as long as for the part, of which no more is known than that.
            said = f"stopped at {part[0]},{part[1]} already"
            runs[peer.name] = [
                {"outcome": "unproved", "wall": None, "said": said, "limit_seconds": after}
            ]
            continue
        measures[peer.name] = partial(asked, peer, Question(vmas, writers), patience)
        answer = measures[peer.name]()
        runs[peer.name] = [answer]
        if answer["outcome"] == "unproved":
            stopped[peer.name] = (vmas, writers), patience
        if answer["wall"] is not None and answer["wall"] < QUICK:
            quick.add(type(peer))
    found = repeat(wanted.repeats, runs, measures)
    found["mmlocks"]["search_seconds"] = found["mmlocks"]["seconds"]
    return found
