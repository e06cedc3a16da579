"""Why a run went wrong, and all that a program can come to, as data.

`mmlocks.show` puts it into words and pictures.

Reading order: unavoidable, twin, slicing, explanation, tools, endings, state_graph.
"""

from mmlocks.explain.endings import Ending, Endings, endings
from mmlocks.explain.explanation import Explanation, explain
from mmlocks.explain.slicing import Order, Slice, slice_of
from mmlocks.explain.state_graph import StateGraph, state_graph
from mmlocks.explain.twin import Twin
from mmlocks.explain.unavoidable import Certainty, NoReturn, no_return, unavoidable

__all__ = [
    "Certainty",
    "Ending",
    "Endings",
    "Explanation",
    "NoReturn",
    "Order",
    "Slice",
    "StateGraph",
    "Twin",
    "endings",
    "explain",
    "no_return",
    "slice_of",
    "state_graph",
    "unavoidable",
]
