"""`mmlocks demo`: find a bug and prove its fix, in a second."""

from __future__ import annotations

import time

import click

from mmlocks.cli.terminal import ASIDE, TITLE, Meter, Status, gap, paragraph, write


@click.command
def demo() -> int:
    """Find the lost store of Linux 6.4.0, and prove 6.4.3."""
    from mmlocks.cli import report
    from mmlocks.releases import FORK_LOCKS_VMAS
    from mmlocks.scenarios import SCENARIOS, check

    began = time.perf_counter()
    scenario = SCENARIOS["fork_lost_store"]
    paragraph(scenario.title, TITLE)
    paragraph(scenario.story)
    gap()
    write("1. Linux 6.4.0", TITLE)
    with Meter("6.4.0") as meter:
        broken = check(scenario, "6.4.0", progress=meter)
    report.print_checked(broken)
    gap()
    write("2. Linux 6.4.3", TITLE)
    paragraph(f"One line more ({FORK_LOCKS_VMAS.commit}): {FORK_LOCKS_VMAS.about}.")
    with Meter("6.4.3") as meter:
        fixed = check(scenario, "6.4.3", progress=meter)
    report.print_checked(fixed)
    gap()
    paragraph(
        f"Found, shortened and proved in {time.perf_counter() - began:.1f} s. {scenario.remark}",
        ASIDE,
    )
    paragraph("To list all scenarios: mmlocks scenarios", ASIDE)
    outcomes = (broken.verdict.outcome, fixed.verdict.outcome)
    if "unproved" in outcomes:
        return Status.UNPROVED
    return Status.FINE if outcomes == ("violated", "safe") else Status.WRONG
