"""Pictures, tables and texts of runs.

Reading order: scene, text, listing, draw, panels, svg, storyboard, results, explained, trace, layered, graph, progress.
"""

import importlib
from typing import Any

from mmlocks.show.explained import explain, show_endings
from mmlocks.show.graph import show_graph
from mmlocks.show.progress import show_progress
from mmlocks.show.results import show, show_state, show_tools
from mmlocks.show.trace import chrome_trace, trace_json

__all__ = [
    "chrome_trace",
    "explain",
    "show",
    "show_endings",
    "show_graph",
    "show_progress",
    "show_state",
    "show_tools",
    "trace_json",
]

MOVED = {"CheckFailed", "Player", "lab", "predict"}
"""What notebooks that were handed out earlier import from here."""


def __getattr__(name: str) -> Any:
    if name in MOVED:
        return getattr(importlib.import_module("mmlocks.notebook"), name)
    raise AttributeError(f"mmlocks.show has no {name}")
