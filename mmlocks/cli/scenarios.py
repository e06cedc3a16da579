"""`mmlocks scenarios`: the list of scenarios."""

from __future__ import annotations

import click

from mmlocks.cli import options
from mmlocks.cli.terminal import TITLE, Status, command, gap, paragraph, print_json, write


@click.command
@options.as_json
def scenarios(as_json: bool) -> int:
    """List the scenarios and what is expected of each release."""
    from mmlocks.cli import report
    from mmlocks.scenarios import SCENARIOS
    from mmlocks.scenarios.catalogue import GROWN

    if as_json:
        print_json([report.scenario_json(scenario) for scenario in SCENARIOS.values()])
        return Status.FINE
    for scenario in SCENARIOS.values():
        report.print_scenario(scenario)
        gap()
    write("fork_many_V_N", TITLE)
    paragraph(f"{GROWN}: to see how a search grows. For example fork_many_2_6.", indent=4)
    gap()
    paragraph("To search one:")
    command("mmlocks run fork_lost_store --release 6.4.0")
    return Status.FINE
