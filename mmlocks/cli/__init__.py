"""The command line. The program `mmlocks` runs `main`. Only this package needs click and rich.

Each command has a file of its name. `app` lists them, `commands` finds and ends them, `options` has
their common options, `report` has their common output, and `terminal` writes it.
"""

from __future__ import annotations

import gc
import sys

from mmlocks.cli.needs import PACKAGES, package_of

COLLECT_AFTER = 50_000
"""New objects after which Python's collector looks for cyclic garbage.

A search makes many lasting objects and little cyclic garbage.
"""


def main() -> None:
    """Run the command line with the arguments of this process, and end it with the exit status."""
    # Lab 07 with a correct answer takes 2.3 s of CPU instead of 2.5.
    gc.set_threshold(COLLECT_AFTER, 20, 100)
    try:
        from mmlocks.cli.app import app

        app()
    except SystemExit as done:
        answers = sys.modules.get("mmlocks.cli.answers")
        if answers is not None:  # a learner's file was read
            answers.leave(done.code)
        raise
    except KeyboardInterrupt:  # before `Commands` ran
        print("mmlocks: interrupted; nothing was decided.", file=sys.stderr)
        sys.exit(130)
    except ModuleNotFoundError as missing:
        package = package_of(missing)
        if package not in PACKAGES:
            raise
        print(
            f"mmlocks: the command line needs the Python package {package}, which is not "
            f"installed. To install it: {sys.executable} -m pip install {' '.join(PACKAGES)}",
            file=sys.stderr,
        )
        sys.exit(2)
