"""`mmlocks` and the list of its commands. Each command has a file of its name."""

from __future__ import annotations

import click

from mmlocks.cli.commands import Commands, later
from mmlocks.cli.terminal import STATUSES, Status

COMMANDS = {
    "demo": "Find the lost store of Linux 6.4.0, and prove 6.4.3.",
    "run": "Search every interleaving of a scenario on a release.",
    "scenarios": "List the scenarios and what is expected of each release.",
    "replay": "Show a run again: timeline, state, picture, or trace file.",
    "explain": "Say why a run goes wrong, and what would have prevented it.",
    "endings": "List every result that a scenario can have, and how often.",
    "check": "Judge an answer to a lab by every interleaving.",
    "hint": "Print a hint for a lab.",
    "assign": "Hand out a lab: notebooks, instructions and a zip.",
    "grade": "Judge what a class handed in.",
    "export": "Fill the gradebook that you exported from Canvas or Moodle.",
    "verify": "Search a result's verdict again, from its record.",
    "releases": "Search every scenario on every release, and print the table.",
    "fields": "Print which lock protects which field: the rule of discipline.",
    "graph": "Show the states of a scenario, and what can come of each.",
    "maps": "Show the address space of a process: what lies where.",
    "host": "Compare the model with the running kernel.",
    "doctor": "Say what this machine gives: Python, isolation, packages.",
}
"""The commands in the order of `mmlocks --help`, each with the first sentence of its help.

Writing the sentences here lets `--help` list the commands without importing them.
"""


@click.group(
    name="mmlocks",
    cls=Commands,
    commands=later("mmlocks.cli.", COMMANDS),
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=STATUSES,
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def app(context: click.Context, version: bool) -> int:
    """Linux address-space locks, and the bugs of 6.4, searched over every interleaving."""
    if version:
        from mmlocks import __version__

        print(f"mmlocks {__version__}")
        context.exit()
    if context.invoked_subcommand is None:
        print(context.get_help())
    return Status.FINE
