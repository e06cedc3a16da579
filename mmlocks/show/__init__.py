"""What a learner sees: text, pictures, source, results, questions, and the player.

Reading order: scene, text, source, svg, storyboard, results, explained, trace, layered, graph, progress, notebook_lab, quiz, player. Notebooks import from here; the player
is loaded when it is asked for, since nothing else needs ipywidgets.
"""

from typing import Any

from mmlocks.show.explained import explain, show_endings
from mmlocks.show.graph import show_graph
from mmlocks.show.notebook_lab import CheckFailed, lab
from mmlocks.show.progress import show_progress
from mmlocks.show.quiz import predict
from mmlocks.show.results import show, show_state, show_tools
from mmlocks.show.trace import chrome_trace, trace_json

__all__ = [
    "CheckFailed",
    "Player",
    "chrome_trace",
    "explain",
    "lab",
    "predict",
    "show",
    "show_endings",
    "show_graph",
    "show_progress",
    "show_state",
    "show_tools",
    "trace_json",
]


def __getattr__(name: str) -> Any:
    if name == "Player":
        from mmlocks.show.player import Player

        return Player
    raise AttributeError(f"mmlocks.show has no {name}")
