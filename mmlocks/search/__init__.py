"""Strategies that choose which CPU runs next, and other searches of a program's executions.

All ways (exhaustive, parallel, dpor), some ways (bounded, walk, pct), the shortest bad way
(shortest), a way to a goal (possible), ways without an end (endless). `judging` puts the whole
question.

Reading order: verdict, ways, reduction, scouting, symmetry, exhaustive, partition, worker,
parallel, dpor, bounded, walk, pct, strategies, shortest, possible, endless, judging.
"""

from mmlocks.search.bounded import Bounded
from mmlocks.search.dpor import Dpor
from mmlocks.search.exhaustive import Exhaustive, explore
from mmlocks.search.judging import judge
from mmlocks.search.parallel import Parallel
from mmlocks.search.pct import Pct
from mmlocks.search.possible import Witness, possible
from mmlocks.search.reduction import Reduction
from mmlocks.search.shortest import shortest
from mmlocks.search.strategies import STRATEGIES, kind_named, strategy_named
from mmlocks.search.verdict import Budget, Exploration, Progress, Strategy, Verdict
from mmlocks.search.walk import RandomWalk

__all__ = [
    "STRATEGIES",
    "Bounded",
    "Budget",
    "Dpor",
    "Exhaustive",
    "Exploration",
    "Parallel",
    "Pct",
    "Progress",
    "RandomWalk",
    "Reduction",
    "Strategy",
    "Verdict",
    "Witness",
    "explore",
    "judge",
    "kind_named",
    "possible",
    "shortest",
    "strategy_named",
]
