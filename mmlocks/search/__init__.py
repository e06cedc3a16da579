"""Strategies that choose who runs next: all ways (exhaustive), the shortest bad way, a way to a goal.

Reading order: verdict, reduction, exhaustive, shortest, possible, endless, judging.
"""

from mmlocks.search.exhaustive import Exhaustive, explore
from mmlocks.search.judging import judge
from mmlocks.search.possible import Witness, possible
from mmlocks.search.reduction import Reduction
from mmlocks.search.shortest import shortest
from mmlocks.search.verdict import Budget, Exploration, Progress, Strategy, Verdict

__all__ = [
    "Budget",
    "Exhaustive",
    "Exploration",
    "Progress",
    "Reduction",
    "Strategy",
    "Verdict",
    "Witness",
    "explore",
    "judge",
    "possible",
    "shortest",
]
