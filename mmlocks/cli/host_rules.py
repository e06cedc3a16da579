"""`mmlocks host rules`: the differences between kernels that the model knows."""

from __future__ import annotations

import click

from mmlocks.cli import options
from mmlocks.cli.terminal import ASIDE, TITLE, Status, gap, paragraph, print_json, write


@click.command
@options.as_json
def rules(as_json: bool) -> int:
    """List the named differences between kernels.

    Each is a patch that changed how Linux lays out memory. The version of the running kernel tells
    which of them it has.
    """
    from mmlocks.conformance.rules import all_rules, doubts, running_version, spelled
    from mmlocks.errors import HostError

    version, reason = None, ""
    try:
        version = running_version()
    except HostError as problem:
        reason = str(problem)
    known = all_rules(version)
    doubt = doubts(version) if version is not None else reason
    if as_json:
        print_json(
            {
                "kernel": None if version is None else spelled(version),
                "doubt": doubt,
                "rules": [
                    {
                        "name": rule.patch.name,
                        "commit": rule.patch.commit,
                        "since": rule.patch.shipped,
                        "earlier": list(rule.earlier),
                        "active": rule.active,
                        "compared": rule.compared,
                        "about": rule.patch.about,
                    }
                    for rule in known
                ],
            }
        )
        return Status.FINE
    if version is not None:
        paragraph(f"Linux {spelled(version)}", TITLE)
    for rule in known:
        gap()
        here = {True: "active here", False: "not here", None: ""}[rule.active]
        since = f"since {rule.patch.shipped}" + "".join(f", {stable}" for stable in rule.earlier)
        checked = "" if rule.compared else "not compared yet"
        write(
            "   ".join(
                filter(None, [f"{rule.patch.name:<26}", rule.patch.commit, since, here, checked])
            )
        )
        paragraph(f"{rule.patch.about}.", indent=4)
    if doubt:
        gap()
        paragraph(doubt, ASIDE)
    return Status.FINE
