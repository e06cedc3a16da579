"""Strategies that choose who runs next: all ways (exhaustive), the shortest bad way, a way to a goal.

Reading order: verdict, reduction, exhaustive, shortest, possible, endless, judging.
"""

from mmlocks.search.exhaustive import Exploration, explore
from mmlocks.search.judging import judge
from mmlocks.search.possible import Witness, possible
from mmlocks.search.reduction import Reduction
from mmlocks.search.shortest import shortest
from mmlocks.search.verdict import Budget, Progress, Verdict

__all__ = [
    "Budget",
    "Exploration",
    "Progress",
    "Reduction",
    "Verdict",
    "Witness",
    "explore",
    "judge",
    "possible",
    "shortest",
]
