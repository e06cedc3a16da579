"""The main path, as a learner takes it: make the store vanish by clicking, and see the lab's checks fail and pass."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.jupyterlab import Notebook, Server

REPOSITORY = Path(__file__).resolve().parents[2]
LESSON = "lessons/07_fork_vs_fault.ipynb"
EXERCISE = "exercises/lab07_fork_vs_fault.ipynb"


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 500)])
def test_a_learner_makes_the_store_vanish_with_clicks(
    open_notebook: Callable[..., Notebook], theme: str, width: int
) -> None:
    lesson = open_notebook(LESSON, theme=theme, width=width)
    lesson.run_all()
    assert lesson.errors() == []
    assert lesson.overflowing() == []
    assert "You are the scheduler" in lesson.text()
    for cpu, steps in ((0, 6), (2, 10), (1, 2), (2, 2)):
        for _ in range(steps):
            lesson.click(f"step cpu{cpu}")
    assert "that store is lost" in lesson.text()
    lesson.click("undo")
    lesson.click("undo")
    lesson.click("start over")
    lesson.click("shortest")
    assert "that store is lost" in lesson.text()


def test_predictions_keep_their_answers_until_one_is_chosen(
    open_notebook: Callable[..., Notebook],
) -> None:
    lesson = open_notebook(LESSON)
    lesson.run_all()
    answer = "no fault can copy the page before that flush"
    assert answer not in lesson.text()
    lesson.page.get_by_text("Only with more CPUs", exact=True).first.click()
    lesson.settle()
    lesson.click("That is my prediction")
    assert answer in lesson.text()
    assert "You said: Only with more CPUs. It is: No." in lesson.text()


def test_the_lab_fails_at_its_checks_and_passes_with_the_line_of_the_fix(
    lab: Server, open_notebook: Callable[..., Notebook]
) -> None:
    exercise = open_notebook(EXERCISE)
    exercise.run_all()
    assert len(exercise.errors()) >= 1
    assert "lost_store: WRONG, 0 of 4 points" in exercise.text()
    assert "Traceback (most recent call last)" not in exercise.text()

    solved = json.loads((REPOSITORY / EXERCISE).read_text())
    for cell in solved["cells"]:
        cell["source"] = "".join(cell["source"]).replace(
            "        tmp = await vm", "        await vma_start_write(mpnt)\n        tmp = await vm"
        )
    lab.put("solved.ipynb", json.dumps(solved))
    notebook = open_notebook("solved.ipynb")
    notebook.run_all()
    assert notebook.errors() == []
    assert "CORRECT: 10 of 10 points" in notebook.text()
