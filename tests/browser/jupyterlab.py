"""A JupyterLab of our own, and a browser that uses it as a learner would.

The server sees copies in a temporary folder and none of the user's settings, so that nothing done here
can change a notebook or depend on the person who runs it.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[2]
COURSE = [REPOSITORY / name for name in ("lessons", "exercises")]
IGNORED = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",  # there is none for root, and it visits nothing but our own server
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class Server:
    url: str
    token: str
    root: Path
    settings: Path

    def get(self, path: str, data: bytes | None = None) -> None:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def put(self, notebook: Path | str, content: str) -> None:
        place = self.root / notebook
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)

    def set(self, plugin: str, values: dict[str, object]) -> None:
        package, _, name = plugin.partition(":")
        file = self.settings / package / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


@contextmanager
def jupyterlab(folders: list[Path] = COURSE) -> Iterator[Server]:
    """Start a JupyterLab on a free port, over copies of these folders; stop it and its kernels at the end."""
    with tempfile.TemporaryDirectory(prefix="mmlocks-lab-", ignore_cleanup_errors=True) as made:
        home = Path(made)
        root = home / "root"
        root.mkdir()
        for folder in folders:
            if folder.is_dir():
                shutil.copytree(folder, root / folder.name, ignore=IGNORED)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), root, home / "settings")
        quiet: dict[str, object] = {"fetchNews": "false", "checkForUpdates": False}
        server.set("@jupyterlab/apputils-extension:notification", quiet)
        # Every cell is drawn at once, so that text() and screenshot_all() have them all.
        all_drawn: dict[str, object] = {"windowingMode": "none", "scrollPastEnd": False}
        server.set("@jupyterlab/notebook-extension:tracker", all_drawn)
        log = home / "log"
        with log.open("wb") as output:
            started, surroundings = command(server, port), environment(home)
            process = subprocess.Popen(
                started, env=surroundings, stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_until_up(server, process, log)
            yield server
        finally:
            stop(server, process)


def command(server: Server, port: int) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": server.root,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": server.token,
        "LabApp.expose_app_in_browser": True,  # our helpers ask JupyterLab itself whether a kernel is idle
        "LabApp.extension_manager": "readonly",
    }
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        *(f"--{name}={value}" for name, value in options.items()),
    ]


def environment(home: Path) -> dict[str, str]:
    own = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
        "MPLCONFIGDIR": home / "matplotlib",
    }
    return {**os.environ, **{name: str(folder) for name, folder in own.items()}}


def wait_until_up(
    server: Server, process: subprocess.Popen[bytes], log: Path, seconds: float = 120
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return server.get("/api/status")
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")


def stop(server: Server, process: subprocess.Popen[bytes]) -> None:
    try:
        server.get("/api/shutdown", data=b"")
        process.wait(timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        pass  # it is stopped the hard way below
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        raise LookupError(
            f"no browser: none of {', '.join(CHROMIUM_NAMES)} is on PATH (Debian: apt-get install chromium)"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


# What our helpers ask of JupyterLab, which it offers as window.jupyterapp.
PANEL = "window.jupyterapp.shell.currentWidget"
KERNEL_IDLE = f"{PANEL}.sessionContext.session?.kernel?.status === 'idle'"
READY = f"window.jupyterapp?.shell?.currentWidget?.context?.isReady && {KERNEL_IDLE}"
RUN_ALL = """() => {
  window.ranAll = false;
  window.jupyterapp.commands.execute("notebook:run-all-cells").finally(() => { window.ranAll = true; });
}"""
CELLS = f"() => Array.from({PANEL}.content.model.cells, (cell) => cell.toJSON())"
SCROLLER = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer"
# True once the notebook has looked the same for half a second.
QUIET = """(selector) => {
  const now = document.querySelector(selector)?.innerHTML;
  if (now !== window.lastSeen) { window.lastSeen = now; window.sameSince = performance.now(); }
  return performance.now() - window.sameSince > 500;
}"""


class Notebook:
    """One notebook, open in JupyterLab."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    def open(
        cls,
        browser: Browser,
        server: Server,
        path: str,
        *,
        width: int = 1200,
        height: int = 900,
        theme: Theme = "light",
        sidebar: bool = False,
    ) -> "Notebook":
        server.set(
            "@jupyterlab/apputils-extension:themes", {"theme": f"JupyterLab {theme.title()}"}
        )
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
        page.set_default_timeout(60_000)
        workspace = secrets.token_hex(4)  # a new one: no tabs left from the notebook before
        page.goto(
            f"{server.url}/lab/workspaces/{workspace}/tree/{quote(path)}?token={server.token}"
        )
        page.wait_for_function(READY, timeout=120_000)
        if not sidebar:
            page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        notebook = cls(page)
        notebook.settle()
        return notebook

    def run_all(self, timeout: float = 300) -> None:
        """Run every cell; a cell that raises ends the run, as in JupyterLab (see errors)."""
        self.page.evaluate(RUN_ALL)
        self.page.wait_for_function("window.ranAll", timeout=timeout * 1000)
        self.settle()

    def settle(self, timeout: float = 60) -> None:
        """Wait until the kernel is idle and nothing moves any more."""
        self.page.wait_for_function(KERNEL_IDLE, timeout=timeout * 1000)
        self.page.wait_for_function(QUIET, arg=SCROLLER, polling=100, timeout=timeout * 1000)
        self.page.wait_for_function(KERNEL_IDLE, timeout=timeout * 1000)

    def click(self, text: str) -> None:
        """Click the first button that shows this text, among the widgets of the outputs."""
        self.page.locator(".jp-OutputArea button", has_text=text).first.click()
        self.settle()

    def press(self, keys: str) -> None:
        self.page.keyboard.press(keys)
        self.settle()

    def text(self, selector: str = SCROLLER) -> str:
        return self.page.locator(selector).first.inner_text()

    def cells(self) -> list[dict[str, Any]]:
        """The cells as they would be saved, outputs included."""
        return list(self.page.evaluate(CELLS))

    def errors(self) -> list[str]:
        return [
            f"{output['ename']}: {output['evalue']}"
            for cell in self.cells()
            for output in cell.get("outputs", [])
            if output["output_type"] == "error"
        ]

    def overflowing(self) -> list[str]:
        """The outputs that are wider than the room they have, by class: a learner would have to scroll sideways."""
        script = """(nodes) => nodes.filter((node) => node.scrollWidth > node.clientWidth + 1)
                                    .map((node) => node.className)"""
        return list(self.page.locator(".jp-OutputArea-output").evaluate_all(script))

    def screenshot(self, path: Path | str) -> None:
        self.page.screenshot(path=path)

    def screenshot_all(self, path: Path | str, page_height: int = 2400) -> list[Path]:
        """The whole notebook, in one picture or in numbered ones of at most this height."""
        size = self.page.viewport_size
        assert size
        scroller = self.page.locator(SCROLLER)
        hidden = scroller.evaluate("(node) => node.scrollHeight - node.clientHeight")
        height = min(size["height"] + hidden, page_height)
        self.page.set_viewport_size({"width": size["width"], "height": height})
        self.settle()
        tall, step = scroller.evaluate("(node) => [node.scrollHeight, node.clientHeight]")
        path = Path(path)
        pictures = []
        for number, top in enumerate(range(0, tall, step), start=1):
            scroller.evaluate("(node, top) => { node.scrollTop = top; }", top)
            self.settle()
            picture = path if tall <= step else path.with_stem(f"{path.stem}-{number}")
            self.page.screenshot(path=picture)
            pictures.append(picture)
        self.page.set_viewport_size(size)
        return pictures

    def close(self) -> None:
        """Close the page and end its kernel."""
        self.page.evaluate(f"() => {PANEL}.sessionContext.shutdown()")
        self.page.close()
