"""Coarser views of a state graph, and which of them can be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mmlocks.explain.state_graph import StateGraph, positions, state_graph
from mmlocks.machine import Machine
from mmlocks.sentences import counted
from mmlocks.show.graph_layout import too_large
from mmlocks.show.holders import holders

NO_EXECUTION = "so a path need not be an execution"


HELD = f"states in which the same CPUs hold the same locks are one ({NO_EXECUTION})"


VIEWS: dict[str, Callable[[StateGraph], StateGraph]] = {
    "all": lambda graph: graph,
    "chains": StateGraph.collapsed,
    "open": StateGraph.decided,
    "open chains": lambda graph: graph.decided().collapsed(),
    "open locks": lambda graph: graph.decided().merged(_held_locks(graph.machine), HELD),
    "locks": lambda graph: graph.merged(_held_locks(graph.machine), HELD),
    "positions": lambda graph: graph.merged(
        positions(graph.machine), f"states that differ in cells alone are one ({NO_EXECUTION})"
    ),
}
"""Views of a graph by name. In those by locks and by positions a path need not be an execution."""


READABLE, BY_LOCKS = ("all", "chains", "open", "open chains"), ("open locks", "locks")
"""The views that `readable` considers, the finest first; by locks only where no other fits."""


def refusal(graph: StateGraph) -> str:
    """Why the graph is not drawn, and what can be drawn instead; "" if it can be drawn."""
    refused = too_large(graph)
    return f"{refused} {way_out(graph)}" if refused else ""


def way_out(graph: StateGraph) -> str:
    """Which views of the same program can be drawn, named as `show_graph` takes them."""
    drawn = [choice for choice in _choices(graph) if not too_large(choice[1])][:3]
    if not drawn:
        return "No view of it is small enough; its data can be had as JSON (its to_json())."
    told = [f"{name} ({counted(len(view.vertices), 'vertex', 'vertices')})" for name, view in drawn]
    return (
        f"What can be drawn of the same program: {', or '.join(told)}. Without a view show_graph "
        "chooses the finest; the whole graph can be had as JSON (its to_json())."
    )


def _choices(graph: StateGraph) -> Iterator[tuple[str, StateGraph]]:
    """Views of the graph's program, the finest first, each with the arguments for `show_graph`.

    First views of all states, then views of the states that the partial-order reduction keeps, and
    last the views by locks.
    """
    itself, machine = not graph.quotient, graph.machine
    full = graph if itself and not graph.reduced else state_graph(machine)
    for name in READABLE:
        yield f"view={name!r}", VIEWS[name](full)
    less = graph if itself and graph.reduced else state_graph(machine, reduced=True)
    for name in READABLE:
        yield f"view={name!r}, reduced=True", VIEWS[name](less)
    for name in BY_LOCKS:
        yield f"view={name!r}", VIEWS[name](full)


def readable(graph: StateGraph) -> StateGraph:
    """The finest view of a graph that can be drawn, or the graph itself if none can.

    For a graph that is whole, not reduced and not a quotient, views of its program's reduced graph
    are considered too.
    """
    if graph.quotient or graph.reduced or not graph.whole:
        views: Iterable[StateGraph] = (VIEWS[name](graph) for name in (*READABLE, *BY_LOCKS))
    else:
        views = (view for _, view in _choices(graph))
    return next((view for view in views if not too_large(view)), graph)


def _held_locks(machine: Machine) -> Callable[[int], tuple[tuple[str, int, str], ...]]:
    """A key for `merged`: which CPU holds which lock, and how.

    The graph that is left shows which CPU waits for which.
    """
    return lambda state: tuple(
        sorted((held.lock, held.cpu, held.mode) for held in holders(machine.layout, state))
    )
