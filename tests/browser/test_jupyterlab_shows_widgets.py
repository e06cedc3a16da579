"""The ground under every lesson: in the JupyterLab that we install, a widget is drawn and answers a click."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser import jupyterlab
from tests.browser.jupyterlab import Notebook, Server

WIDGET = """
import ipywidgets
button, answer = ipywidgets.Button(description="Step cpu0"), ipywidgets.Label("nothing yet")
button.on_click(lambda _: setattr(answer, "value", answer.value + " - stepped"))
ipywidgets.VBox([button, answer])
"""


def notebook_of(*sources: str) -> str:
    empty: dict[str, object] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    cells = [
        {**empty, "id": f"c{number}", "source": source} for number, source in enumerate(sources)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 500)])
def test_a_button_is_drawn_and_answers(
    lab: Server, open_notebook: Callable[..., Notebook], theme: str, width: int, tmp_path: Path
) -> None:
    lab.put(
        "scratch.ipynb", notebook_of(WIDGET, *["1 + 1"] * 40, "import mmlocks; mmlocks.__name__")
    )
    notebook = open_notebook("scratch.ipynb", theme=theme, width=width)
    notebook.run_all()
    assert notebook.errors() == []
    assert "nothing yet" in notebook.text()
    notebook.click("Step cpu0")
    notebook.click("Step cpu0")
    assert "nothing yet - stepped - stepped" in notebook.text()
    assert "\n'mmlocks'" in notebook.text(), "the last of many cells is drawn too"
    assert (
        notebook.page.locator("body").get_attribute("data-jp-theme-light")
        == str(theme == "light").lower()
    )
    assert len(notebook.screenshot_all(tmp_path / "shot.png", page_height=1500)) > 1


def test_an_error_in_a_cell_is_reported(
    lab: Server, open_notebook: Callable[..., Notebook]
) -> None:
    lab.put("raises.ipynb", notebook_of("1 / 0"))
    notebook = open_notebook("raises.ipynb")
    notebook.run_all()
    assert notebook.errors() == ["ZeroDivisionError: division by zero"]


def test_without_a_browser_we_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jupyterlab, "CHROMIUM_NAMES", ("no-such-browser",))
    with pytest.raises(LookupError, match="apt-get install chromium"), jupyterlab.chromium():
        pass
