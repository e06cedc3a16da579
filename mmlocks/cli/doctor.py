"""`mmlocks doctor`: what this machine has, what is missing, and what follows."""

from __future__ import annotations

import importlib.util
import platform

import click

from mmlocks.cli.terminal import ASIDE, TITLE, Status, gap, paragraph, print_json

PACKAGES = {
    "IPython": "magics in answers are read by rules of our own, not by IPython",
    "ipywidgets": "there is no player in notebooks: install `mmlocks[course]`",
    "jupyterlab": "notebooks open elsewhere only: install `mmlocks[course]`",
    "matplotlib": "pictures of many runs are not drawn: install `mmlocks[course]`",
    "nbval": "notebooks cannot be run as tests: install `mmlocks[course]`",
    "distributed": "marking cannot be spread over a Dask cluster: install `distributed`",
}
"""Packages that are not needed to judge an answer, and what is missing without each."""


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Say what this machine gives: Python, isolation, packages.

    Isolation is for marking the answers of others: their code then runs without network, and apart
    from your files.
    """
    from mmlocks.grading.sandbox import NONE, isolation

    found = isolation()
    packages = {name: importlib.util.find_spec(name) is not None for name in PACKAGES}
    if as_json:
        print_json(
            {
                "python": platform.python_version(),
                "isolation": found.kind,
                "says": found.says,
                "packages": packages,
            }
        )
        return Status.FINE
    paragraph("Python", TITLE)
    paragraph(f"{platform.python_implementation()} {platform.python_version()}", indent=4)
    gap()
    paragraph("Isolation", TITLE)
    paragraph(found.says, indent=4)
    if found.kind == NONE:
        paragraph(
            "What follows: mark only answers that you would run yourself. Each result says that it "
            "was not isolated.",
            indent=4,
        )
    gap()
    paragraph("Packages", TITLE)
    for name, without in PACKAGES.items():
        paragraph(f"{name}: {'found' if packages[name] else f'not found, so {without}'}", indent=4)
    if all(packages.values()):
        paragraph("Nothing is missing.", ASIDE, indent=4)
    return Status.FINE
