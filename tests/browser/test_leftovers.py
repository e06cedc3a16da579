"""A function whose cell was deleted still runs: the verdict in JupyterLab names it."""

import json
from collections.abc import Callable

from tests.browser.jupyterlab import Notebook, Server
from tests.notebook.cases import RIGHT, answer, below, notebook

AT = "() => { const panel = window.jupyterapp.shell.currentWidget; panel.content.activeCellIndex = %d; return window.jupyterapp.commands.execute('%s'); }"


def do(shown: Notebook, cell: int, command: str) -> None:
    shown.page.evaluate(AT % (cell, f"notebook:{command}"))
    shown.settle()


def test_a_deleted_cells_function_is_named_as_left_over(
    lab: Server, open_notebook: Callable[..., Notebook]
) -> None:
    made = notebook(
        answer(RIGHT), below("async def lock_vma_under_rcu(mm, address):\n    return None\n")
    )
    made["cells"] = [*made["cells"][:5], made["cells"][-1]]
    lab.put("leftovers.ipynb", json.dumps(made))
    shown = open_notebook("leftovers.ipynb")
    shown.run_all()
    assert "replaced: dup_mmap (In [2]), lock_vma_under_rcu (In [3])." in shown.text()
    assert "Left over" not in shown.text()
    do(shown, 4, "delete-cell")
    do(shown, 4, "run-cell")
    said = " ".join(shown.text().split())
    assert "Left over: lock_vma_under_rcu, from In [3], which is no longer in the notebook." in said
    assert shown.overflowing() == []


def test_exit_in_a_cell_and_in_the_function_leaves_the_kernel_alive_and_says_its_line(
    lab: Server, open_notebook: Callable[..., Notebook]
) -> None:
    inside = RIGHT.replace("    await flush", "    exit()\n    await flush")
    lab.put("exit.ipynb", json.dumps(notebook(answer(inside), below("exit"))))
    shown = open_notebook("exit.ipynb")
    for cell in (1, 3, 4, 6):
        do(shown, cell, "run-cell")
    first, second = shown.errors()
    assert first.startswith("Refused: exit() cannot be used here")
    assert "dup_mmap (your cell, line 8): exit() cannot be used here" in " ".join(second.split())
    do(shown, 6, "run-cell")
    assert len(shown.errors()) == 2, "the kernel is there and judges once more"
