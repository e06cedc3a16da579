"""`mmlocks host ...`: the model compared with a real kernel. Each of its commands stands in a file `host_*.py`."""

from __future__ import annotations

import click

from mmlocks.cli.commands import later
from mmlocks.cli.host_options import ENDINGS

COMMANDS = {
    "diff": "Run random programs on the kernel and in the model.",
    "record": "Keep what the kernel does with random programs in a file.",
    "rules": "List the named differences between kernels.",
}
"""As in `mmlocks.cli.app`."""


@click.group(
    commands=later("mmlocks.cli.host_", COMMANDS),
    no_args_is_help=False,
    epilog=ENDINGS,
)
def host() -> None:
    """Compare the model with the running kernel."""
