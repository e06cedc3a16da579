"""Pictures, tables and texts of runs.

Reading order: what there is to see (scene_parts, scene_tree, scene), in words (text, state_text),
drawn (draw, listing, panel_*, state_picture, storyboard), in notebooks (results), explained
(explained, endings_text), for other programs (holders, trace, trace_viewer), and as graphs
(layered, graph_text, graph_layout, graph_views, graph_labels, graph_picture, progress_graph,
progress_picture, show_graphs).
"""

import importlib
from typing import Any

from mmlocks.show.endings_text import show_endings
from mmlocks.show.explained import explain
from mmlocks.show.results import show, show_state, show_tools
from mmlocks.show.show_graphs import show_graph, show_progress
from mmlocks.show.trace import trace_json
from mmlocks.show.trace_viewer import chrome_trace

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
"""Notebooks that were handed out earlier import these from here."""


def __getattr__(name: str) -> Any:
    if name in MOVED:
        return getattr(importlib.import_module("mmlocks.notebook"), name)
    raise AttributeError(f"mmlocks.show has no {name}")
