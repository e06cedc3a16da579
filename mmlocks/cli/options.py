"""Options and arguments of several commands, and the numbers that they accept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mmlocks.releases import PATCHES, RELEASES

Taking = TypeVar("Taking", bound=Callable[..., Any])
"""A function that is becoming a command."""

FURTHER = "To search further, raise --states or --seconds."
"""What is said if one of the two ended a search."""


class Whole(click.IntRange):
    """A whole number. An error quotes it as it was typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or an error that says in a few words what is wrong with it."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        if self.min is not None and number < self.min:
            self.fail(f"{value!r} is below {self.min}", param, ctx)
        if self.max is not None and number > self.max:
            self.fail(f"{value!r} is above {self.max}", param, ctx)
        return number


class Seconds(click.ParamType[float]):
    """A time that a search can take."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or an error that says in a few words what is wrong with it."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not (number > 0 and math.isfinite(number)):
            self.fail(f"{number:g} is not a number of seconds above 0", param, ctx)
        return number


# -- what is searched ------------------------------------------------------------------------------

scenario = click.argument(
    "scenario",
    metavar="SCENARIO",
    help="A scenario from the list of `mmlocks scenarios`, or FILE.py:NAME for your own. "
    "The file is run.",
)
release = click.option(
    "--release",
    "-r",
    metavar="R",
    multiple=True,  # so that a second one is an error and does not replace the first silently
    help=f"Required: {', '.join(RELEASES)}.",
)
also = click.option(
    "--also",
    metavar="ORACLE",
    multiple=True,
    help="Ask one more oracle, such as stale_copy. May be repeated.",
)
lab = click.argument(
    "lab",
    metavar="LAB",
    help="For example lab07_fork_vs_fault, or lab07, or 07; or the path of a folder with a "
    "lab.toml, whose Python is run.",
)
_with = click.option(
    "--with",
    "more",
    metavar="PATCH",
    multiple=True,
    help=f"Add a patch: {', '.join(PATCHES)}. May be repeated.",
)
_without = click.option(
    "--without", "less", metavar="PATCH", multiple=True, help="Take a patch away. May be repeated."
)


def patches(command: Taking) -> Taking:
    """`--with` and `--without`. The command gets them as `more` and `less`."""
    return _with(_without(command))


# -- what a schedule was recorded with -------------------------------------------------------------

answer = click.option(
    "--answer",
    metavar="FILE",
    type=Path,
    help="The answer (.py, .ipynb) that it was recorded with. Its code is run.",
)
own_scenario = click.option(
    "--scenario",
    metavar="FILE.py:NAME",
    help="Your own scenario that it was recorded with. The file is run.",
)


# -- how far a search goes, and on how many processes ----------------------------------------------

states = click.option(
    "--states",
    type=Whole(1),
    metavar="N",
    help="Stop after so many states.",
    show_default="2 million",
)
seconds = click.option(
    "--seconds",
    type=Seconds(),
    metavar="S",
    help="Stop each search after so many seconds.",
    show_default="60",
)
dask = click.option(
    "--dask",
    metavar="tcp://HOST:PORT",
    help="Search on the workers of the Dask cluster whose scheduler is there.",
)


def jobs(sentence: str, usual: str) -> Callable[[Taking], Taking]:
    """`--jobs` with the sentence of one command: what it runs at once."""
    return click.option(
        "--jobs", type=Whole(1, 256), metavar="N", help=sentence, show_default=usual
    )


# -- what is printed -------------------------------------------------------------------------------

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON value and nothing else."
)
