"""`lab` is a running JupyterLab with the course in it; `open_notebook` opens one of its notebooks."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.jupyterlab import Notebook, Server, chromium, jupyterlab


@pytest.fixture(scope="session")
def lab() -> Iterator[Server]:
    with jupyterlab() as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_notebook(lab: Server, browser: Browser) -> Iterator[Callable[..., Notebook]]:
    """A function; its arguments are those of Notebook.open after the server."""
    opened: list[Notebook] = []

    def open_one(path: str, **options: object) -> Notebook:
        opened.append(Notebook.open(browser, lab, path, **options))  # type: ignore[arg-type]  # passed through
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.close()
