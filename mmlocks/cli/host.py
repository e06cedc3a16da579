"""`mmlocks host ...`: compare the model with a real kernel. Its commands are in `host_*.py`."""

from __future__ import annotations

import click

from mmlocks.cli.commands import later
from mmlocks.cli.host_options import ENDINGS

COMMANDS = {
    "diff": "Run random programs on the kernel and in the model.",
    "record": "Save what the kernel does with random programs in a file.",
    "rules": "List the named differences between kernels.",
}
"""The same kind of table as in `mmlocks.cli.app`."""


@click.group(
    commands=later("mmlocks.cli.host_", COMMANDS),
    no_args_is_help=False,
    epilog=ENDINGS,
)
def host() -> None:
    """Compare the model with the running kernel."""
