"""Strategies that choose who runs next: all ways (exhaustive), some ways (bounded, random), the shortest bad way, a way to a goal.

Reading order: verdict, ways, reduction, scouting, symmetry, exhaustive, parallel, dpor, bounded, walk, pct, strategies, shortest, possible, endless,
judging; then unavoidable, twin, slicing, explaining, endings, graph.
"""

from mmlocks.search.bounded import Bounded
from mmlocks.search.dpor import Dpor
from mmlocks.search.endings import Ending, Endings, endings
from mmlocks.search.exhaustive import Exhaustive, explore
from mmlocks.search.explaining import Explanation, explain
from mmlocks.search.graph import StateGraph, state_graph
from mmlocks.search.judging import judge
from mmlocks.search.parallel import Parallel
from mmlocks.search.pct import Pct
from mmlocks.search.possible import Witness, possible
from mmlocks.search.reduction import Reduction
from mmlocks.search.shortest import shortest
from mmlocks.search.slicing import Order, Slice, slice_of
from mmlocks.search.strategies import STRATEGIES, kind_named, strategy_named
from mmlocks.search.twin import Twin
from mmlocks.search.unavoidable import Certainty, NoReturn, no_return, unavoidable
from mmlocks.search.verdict import Budget, Exploration, Progress, Strategy, Verdict
from mmlocks.search.walk import RandomWalk

__all__ = [
    "STRATEGIES",
    "Bounded",
    "Budget",
    "Certainty",
    "Dpor",
    "Ending",
    "Endings",
    "Exhaustive",
    "Explanation",
    "Exploration",
    "NoReturn",
    "Order",
    "Parallel",
    "Pct",
    "Progress",
    "RandomWalk",
    "Reduction",
    "Slice",
    "StateGraph",
    "Strategy",
    "Twin",
    "Verdict",
    "Witness",
    "endings",
    "explain",
    "explore",
    "judge",
    "kind_named",
    "no_return",
    "possible",
    "shortest",
    "slice_of",
    "state_graph",
    "strategy_named",
    "unavoidable",
]
