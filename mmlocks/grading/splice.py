"""A learner's code in the lab's own notebook, where its checks are as the course wrote them.

A learner's file is never run as it is: its checks may have been edited, deleted or copied. Only the
code that the learner may write is taken, in the order of the file.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from mmlocks.grading.masters import Notebook
from mmlocks.labs.files import Source

CHECK = "check_"
"""How the `grade_id` of a check's cell begins; the check's name follows."""


def spliced(master: Notebook, source: Source, writable: tuple[str, ...]) -> Notebook:
    """The lab's notebook with the learner's code in place of the cells that it may write.

    `writable` are the `grade_id`s of those cells: a lab's `functions`.
    """
    made = copy.deepcopy(master)
    cells = []
    own = [
        _code_cell(number, text) for number, text in enumerate(_own_code(master, source, writable))
    ]
    for cell in made["cells"]:
        if grade_id(cell) not in writable:
            cells.append(cell)
        elif own:  # all of it at the place of the first, since it was run in this order
            cells += own
            own = []
    made["cells"] = cells
    return made


def _own_code(master: Notebook, source: Source, writable: tuple[str, ...]) -> Iterator[str]:
    """The texts of the learner's own cells."""
    locked = [cell for cell in master["cells"] if grade_id(cell) not in writable]
    names = {grade_id(cell) for cell in locked if cell["cell_type"] == "code"} - {""}
    texts = {"".join(cell["source"]).strip() for cell in locked}
    for cell in source.cells:
        if cell.kind == "code" and cell.grade_id not in names and cell.source.strip() not in texts:
            yield cell.source


def grade_id(cell: Notebook) -> str:
    """The name that the lab gave a cell of its notebook, or ""."""
    name: str = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
    return name


def _code_cell(number: int, text: str) -> Notebook:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"own-{number:03}",
        "metadata": {},
        "outputs": [],
        "source": text,
    }
