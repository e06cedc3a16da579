"""The command line. `main` is what `mmlocks` runs; nothing else in mmlocks needs typer or rich.

Reading order: app (the commands), report (what they print), answers (reading a learner's file), terminal (where it goes).
"""

from __future__ import annotations

import gc
import sys

COLLECT_AFTER = 50_000
"""New objects after which Python's collector looks for cycles that are garbage. A search makes many objects that last, and hardly any such cycle."""


def main() -> None:
    """Run the command line with this process's arguments, and end the process with its exit status."""
    gc.set_threshold(COLLECT_AFTER, 20, 100)  # lab 07 of a right answer: 2.3 s of CPU instead of 2.5
    try:
        from mmlocks.cli.app import app

        app(prog_name="mmlocks")
    except SystemExit as done:
        answers = sys.modules.get("mmlocks.cli.answers")
        if answers is not None:  # a learner's file was read
            answers.leave(done.code)
        raise
    except KeyboardInterrupt:  # so early that nobody else was there to hear it
        print("mmlocks: interrupted; nothing was decided.", file=sys.stderr)
        sys.exit(130)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in ("typer", "rich", "click"):
            raise
        print(
            f"mmlocks: the command line needs the Python package {package}, which is not installed. "
            f"Install what is missing: {sys.executable} -m pip install typer rich",
            file=sys.stderr,
        )
        sys.exit(2)
