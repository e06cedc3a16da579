"""The way back: from the predecessors that a search noted to the schedule that leads to a state."""

from __future__ import annotations

from collections.abc import Mapping

Arrival = tuple[int, int]
"""A state, and the CPU whose step led there."""


def way_to(state: int, came_from: Mapping[int, tuple[int, int]]) -> tuple[int, ...]:
    """The schedule that leads to `state`.

    `came_from` gives the state before each one, and the CPU that took the step between them. It
    gives nothing for the first state.
    """
    cpus: list[int] = []
    while state in came_from:
        state, cpu = came_from[state]
        cpus.append(cpu)
    return tuple(reversed(cpus))


def way_to_arrival(arrival: Arrival, came_from: Mapping[Arrival, Arrival]) -> tuple[int, ...]:
    """The same, for a search that also tells states apart by which CPU ran last."""
    cpus: list[int] = []
    while arrival in came_from:
        cpus.append(arrival[1])
        arrival = came_from[arrival]
    return tuple(reversed(cpus))
