"""The notebooks that a lab hands out, as the course made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmlocks.errors import MmlocksError
from mmlocks.labs import Lab

Notebook = dict[str, Any]
"""A notebook file as JSON: what `nbformat` calls version 4."""

PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (PACKAGE / "exercises", PACKAGE.parent / "exercises")
"""Where the exercises are: inside an installed package, or beside it in a checkout."""


def master_file(lab: Lab) -> Path:
    """The file of a lab's exercise.

    Raises MmlocksError if this installation has none.
    """
    name = f"{lab.name}.ipynb"
    for place in PLACES:
        if (place / name).is_file():
            return place / name
    raise MmlocksError(
        f"{lab.name} has no notebook in this installation of mmlocks (looked for "
        f"{' and '.join(str(place / name) for place in PLACES)}). Install mmlocks again, or make "
        "the exercises with `python tools/notebooks.py --exercises`."
    )


def master(lab: Lab) -> Notebook:
    """A lab's exercise. Raises MmlocksError if this installation has none."""
    notebook: Notebook = json.loads(master_file(lab).read_text(encoding="utf-8"))
    return notebook
