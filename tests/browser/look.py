"""Take a picture of a notebook in JupyterLab, by hand.

python tests/browser/look.py lessons/x.ipynb --run --click "Step cpu0" --theme dark --width 500 --full-notebook
"""

import argparse
import shutil
import sys
import types
from pathlib import Path

# Harmony, which `make bench` installs, brings a package called tests that would hide ours.
ours = types.ModuleType("tests")
ours.__path__ = [str(Path(__file__).resolve().parents[1])]
sys.modules["tests"] = ours

from tests.browser.jupyterlab import COURSE, REPOSITORY, Notebook, chromium, jupyterlab  # noqa: E402


def main() -> int:
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, default=Path("/tmp/notebook.png"))
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--run", action="store_true", help="run all cells first")
    parser.add_argument(
        "--click", action="append", default=[], metavar="TEXT", help="then click this button"
    )
    parser.add_argument(
        "--press", action="append", default=[], metavar="KEYS", help="then press these"
    )
    parser.add_argument("--scroll-to", metavar="TEXT", help="then bring this text into view")
    parser.add_argument("--full-notebook", action="store_true", help="all of it, numbered if long")
    parser.add_argument("--sidebar", action="store_true", help="leave the file browser open")
    parser.add_argument("--text", action="store_true", help="print the notebook's text too")
    options = parser.parse_args()

    with jupyterlab([*COURSE, REPOSITORY / "solutions"]) as server, chromium() as browser:
        given = options.notebook.resolve()
        if given.is_relative_to(REPOSITORY):
            path = given.relative_to(REPOSITORY)
        else:
            path = Path(given.name)
        (server.root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(given, server.root / path)
        notebook = Notebook.open(
            browser,
            server,
            path.as_posix(),
            width=options.width,
            height=options.height,
            theme=options.theme,
            sidebar=options.sidebar,
        )
        if options.run:
            notebook.run_all()
        for text in options.click:
            notebook.click(text)
        for keys in options.press:
            notebook.press(keys)
        if options.scroll_to:
            notebook.page.get_by_text(options.scroll_to).first.scroll_into_view_if_needed()
        if options.full_notebook:
            pictures = notebook.screenshot_all(options.out)
        else:
            notebook.screenshot(options.out)
            pictures = [options.out]
        if options.text:
            print(notebook.text())
        for error in notebook.errors():
            print("a cell raised", error)
        for output in notebook.overflowing():
            print("wider than its room:", output)
        print(*pictures, sep="\n")
        notebook.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
