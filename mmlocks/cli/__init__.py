"""The command line. `main` is what `mmlocks` runs; nothing else in mmlocks needs click or rich.

Reading order: app (the list of commands), commands (how one is found, and how it ends), options (what several of them take); then each
command in the file of its name; report (what several of them print), terminal (where it goes).
"""

from __future__ import annotations

import gc
import sys

from mmlocks.cli.needs import PACKAGES, package_of

COLLECT_AFTER = 50_000
"""New objects after which Python's collector looks for cyclic garbage.

A search makes many objects that last, and hardly any such garbage.
"""


def main() -> None:
    """Run the command line with this process's arguments, and end the process with its exit status."""
    gc.set_threshold(
        COLLECT_AFTER, 20, 100
    )  # lab 07 of a right answer: 2.3 s of CPU instead of 2.5
    try:
        from mmlocks.cli.app import app

        app()
    except SystemExit as done:
        answers = sys.modules.get("mmlocks.cli.answers")
        if answers is not None:  # a learner's file was read
            answers.leave(done.code)
        raise
    except KeyboardInterrupt:  # so early that `Commands` did not run yet
        print("mmlocks: interrupted; nothing was decided.", file=sys.stderr)
        sys.exit(130)
    except ModuleNotFoundError as missing:
        package = package_of(missing)
        if package not in PACKAGES:
            raise
        print(
            f"mmlocks: the command line needs the Python package {package}, which is not installed. "
            f"Install what is missing: {sys.executable} -m pip install {' '.join(PACKAGES)}",
            file=sys.stderr,
        )
        sys.exit(2)
