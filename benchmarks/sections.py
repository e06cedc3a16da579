"""What is measured, a function for each table: it prints the table and returns the figures."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from benchmarks import ours
from benchmarks.ours import Size
from benchmarks.process import repeat
from benchmarks.tables import table, whole


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
    print(
        "\nShipped scenarios, from nothing to the verdict (a violation with its shortest schedule)"
    )
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
    rows = ours.vma_tree()
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
            {
                "vmas": vmas,
                "writers": writers,
                "reduced": reduced,
                "full": full,
                "reduction_factor": factor,
            }
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
                    whole(row["packed_bytes_per_state"]),
                    whole(row["bytes_per_state_beyond_packed"]),
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
        "bytes/state",
        "beyond",
        "nodes",
    ]
    print(table([*headings, "fewer states by"], lines))
    print(
        "bytes/state: the packed state itself; beyond: peak of resident memory above imports, less the packed states, for each state"
        "\n(where there are few states, that is the automata)"
    )
    return rows
