"""What a notebook uses: cells that judge an answer, questions, and the player.

Reading order: quiet, session, lab, questions, quiz, panes, scheduler, legend, player. The player is
loaded when it is asked for, because it needs ipywidgets.
"""

from typing import Any

from mmlocks.notebook.lab import CheckFailed, lab
from mmlocks.notebook.quiz import predict

__all__ = ["CheckFailed", "Player", "lab", "predict"]


def __getattr__(name: str) -> Any:
    if name == "Player":
        from mmlocks.notebook.player import Player

        return Player
    raise AttributeError(f"mmlocks.notebook has no {name}")
