"""What a learner sees: text, pictures, source, results, questions, and the player.

Reading order: scene, text, source, svg, storyboard, results, notebook_lab, quiz, player. Notebooks import from here; the player
is loaded when it is asked for, since nothing else needs ipywidgets.
"""

from typing import Any

from mmlocks.show.notebook_lab import CheckFailed, lab
from mmlocks.show.quiz import predict
from mmlocks.show.results import show, show_state, show_tools

__all__ = ["CheckFailed", "Player", "lab", "predict", "show", "show_state", "show_tools"]


def __getattr__(name: str) -> Any:
    if name == "Player":
        from mmlocks.show.player import Player

        return Player
    raise AttributeError(f"mmlocks.show has no {name}")
