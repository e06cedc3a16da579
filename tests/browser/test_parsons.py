"""The stage of lines in the lab, by keys and by clicks, in a narrow dark notebook."""

from collections.abc import Callable

from tests.browser.jupyterlab import Notebook

EXERCISE = "exercises/lab07_fork_vs_fault.ipynb"


def press(notebook: Notebook, label: str, key: str = "Enter") -> None:
    """Press a button by the keyboard."""
    button = notebook.page.get_by_role("button", name=label, exact=True).first
    button.focus()
    notebook.page.keyboard.press(key)
    notebook.settle()


def test_a_line_is_put_in_place_by_keys_and_judged(
    open_notebook: Callable[..., Notebook],
) -> None:
    exercise = open_notebook(EXERCISE, theme="dark", width=620)
    exercise.run_all()
    assert exercise.overflowing() == []
    exercise.page.get_by_text("await vma_start_write(mpnt)", exact=True).first.click()
    exercise.settle()
    press(exercise, "Put the line in")
    for _ in range(4):
        press(exercise, "Down", "Space")
    press(exercise, "Judge it")
    exercise.page.get_by_text("Yours behaves like: locks each VMA only after").first.wait_for()
    assert "has not reached your line 6 yet: await vma_start_write(mpnt)" in exercise.text()
    assert exercise.overflowing() == []
    press(exercise, "Up")
    press(exercise, "Judge it")
    exercise.page.get_by_text("All 4 checks hold: 10 points.").first.wait_for(timeout=60_000)
    press(exercise, "Use it as my answer")
    assert "copy it into your answer cell" in exercise.text()
