"""State graphs and progress graphs as objects that a notebook draws."""

from __future__ import annotations

from html import escape

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import StateGraph, state_graph
from mmlocks.machine import Machine
from mmlocks.scenarios import Checked
from mmlocks.sentences import counted
from mmlocks.show.graph_picture import Drawing
from mmlocks.show.graph_text import graph_text
from mmlocks.show.graph_views import VIEWS, readable, refusal
from mmlocks.show.progress_graph import progress_graph, progress_text
from mmlocks.show.progress_picture import progress_picture
from mmlocks.show.results import CALL, Shown, responsive, with_text, wrong_argument
from mmlocks.show.text import WIDTH


def show_graph(
    what: Checked | Machine | StateGraph,
    title: str = "",
    reduced: bool = False,
    reduction: bool = False,
    view: str = "",
) -> Shown:
    """The state graph of a checked scenario, or of a program, as an object that a notebook draws.

    `view` is one of these; without it, the finest of them that can be read is taken:

    * "all": every state;
    * "chains": a sequence of steps without a choice is one edge;
    * "open": only while the outcome is open; "open chains": both;
    * "positions": states that differ in cells alone are one;
    * "locks": states in which the same CPUs hold the same locks are one; "open locks".

    A `StateGraph` is shown as it is, unless a view is asked for. `reduced` leaves out all but one
    order of steps that commute; `reduction` only makes the others faint. Raises ModelError for
    anything that has no graph.
    """
    if view and view not in VIEWS:
        if view == "progress":
            raise ModelError(
                f"a progress graph is another function's: {CALL.format('show_progress')}."
            )
        raise ModelError(
            f"there is no view {view!r}. Known views: {', '.join(VIEWS)}; "
            "without one the finest is chosen."
        )
    note = ""
    if isinstance(what, StateGraph):
        graph = VIEWS[view](what) if view else what
    elif isinstance(what, Checked | Machine):
        if isinstance(what, Checked):
            title = (
                title or f"{what.scenario.name} on {what.kernel.name}: how it can go on from where"
            )
            what = what.machine
        whole = state_graph(what, reduced=reduced)
        graph = VIEWS[view](whole) if view else readable(whole)
        if graph is not whole and not view:
            size = counted(len(whole.vertices), "vertex", "vertices")
            kind = "reduced" if reduced else "whole"
            note = f"The finest view that can be drawn: the {kind} graph has {size}."
    else:
        takes = "what check(...) returned, a machine or a state graph"
        raise wrong_argument("show_graph", what, takes)
    title = title or "State graph"
    refused = refusal(graph)

    def text(width: int) -> str:
        return graph_text(graph, title, width, reduction, note, refused)

    if refused:
        said = "".join(f"<p>{escape(part)}</p>" for part in text(10_000).splitlines() if part)
        return Shown(text(WIDTH), lambda: said)

    def drawn(width: int) -> str:
        return "".join(Drawing(graph, title, width, reduction, note).pieces())

    return Shown(text(WIDTH), lambda: with_text(responsive(drawn), text))


def show_progress(what: Checked | Machine, title: str = "") -> Shown:
    """The progress graph of a checked scenario, or a program, as an object that a notebook draws.

    Raises ModelError for a program that has none (it takes two CPUs, and no loops), and for
    anything else.
    """
    if isinstance(what, Checked):
        title = title or f"{what.scenario.name} on {what.kernel.name}: how far each CPU has come"
        what = what.machine
    if not isinstance(what, Machine):
        raise wrong_argument("show_progress", what)
    graph = progress_graph(what)

    def text(width: int) -> str:
        return progress_text(graph, title, width)

    def drawn(width: int) -> str:
        return progress_picture(graph, title, width)

    return Shown(text(WIDTH), lambda: with_text(responsive(drawn), text))
