"""`mmlocks run`: the search of one scenario on one release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmlocks.cli import options
from mmlocks.cli.names import budget, code_of, in_file, named, the_changed_release, the_scenario
from mmlocks.cli.terminal import STATUSES, TITLE, Meter, complain, gap, paragraph, print_json
from mmlocks.errors import ModelError

if TYPE_CHECKING:
    from mmlocks.cli.executors import Helpers
    from mmlocks.search import Strategy


@click.command(epilog=STATUSES)
@options.scenario
@options.release
@options.patches
@click.option(
    "--strategy",
    metavar="NAME",
    show_default="reduced",
    help="Which executions to search: reduced (one order of steps that commute), full (every "
    "order), dpor[:STEPS] (each distinct one), preemptions[:K] (with at most K), random[:N] (N of "
    "them), pct[:DEPTH[:N]] (N by random priorities).",
)
@click.option("--full", is_flag=True, help="The same as --strategy full: every order of steps.")
@click.option(
    "--seed",
    type=options.Whole(0),
    metavar="N",
    help="Which random choices random and pct make.",
    show_default="0",
)
@options.also
@options.states
@options.seconds
@options.jobs("Search on so many processes.", usual="1")
@options.dask
@options.as_json
def run(
    scenario: str,
    release: tuple[str, ...],
    more: tuple[str, ...],
    less: tuple[str, ...],
    strategy: str | None,
    full: bool,
    seed: int | None,
    also: tuple[str, ...],
    states: int | None,
    seconds: float | None,
    jobs: int | None,
    dask: str | None,
    as_json: bool,
) -> int:
    """
    Search every interleaving of a scenario on a release.

    --strategy can choose a part of them. The output says what was searched and what was left out.
    """
    from mmlocks.cli import report
    from mmlocks.cli.executors import executor
    from mmlocks.scenarios import check

    story = the_scenario(scenario)
    kernel = the_changed_release(release, more, less)
    chosen = _strategy(strategy, full, seed)
    with (
        code_of(scenario),
        Meter(f"{story.name} on {kernel.name}") as meter,
        executor(jobs, dask) as helpers,
    ):
        chosen = _spread(chosen, helpers, scenario, kernel.name, also)
        checked = check(story, kernel, budget(states, seconds), meter, also=also, strategy=chosen)
    if as_json:
        print_json(report.checked_json(checked))
    else:
        paragraph(f"{story.name} on {kernel.name}: {story.title}", TITLE)
        paragraph(story.story)
        gap()
        report.print_checked(checked, also, in_file(scenario))
        gap()
        report.print_expectation(checked)
        if "budget" in checked.verdict.reason:
            paragraph(options.FURTHER)
        elif checked.verdict.outcome == "unproved" and checked.verdict.left_out:
            paragraph("To search every interleaving, leave --strategy out.")
    return report.STATUS_OF_OUTCOME[checked.verdict.outcome]


def _strategy(name: str | None, full: bool, seed: int | None) -> Strategy:
    """The strategy that `--strategy`, `--full` and `--seed` ask for."""
    from mmlocks.search import STRATEGIES, kind_named, strategy_named

    if full and name not in (None, "full"):
        raise ModelError(
            f"--full and --strategy {name!r} contradict each other. Leave one of them out."
        )
    text = "full" if full else next(iter(STRATEGIES)) if name is None else name
    named(kind_named, text.partition(":")[0], STRATEGIES)
    return strategy_named(text, seed)


def _spread(
    strategy: Strategy, helpers: Helpers, scenario: str, release: str, also: tuple[str, ...]
) -> Strategy:
    """The same search, spread over the helpers if there are any."""
    if helpers.executor is None:
        return strategy
    from functools import partial

    from mmlocks.scenarios.checking import program_named
    from mmlocks.search import Exhaustive
    from mmlocks.search.parallel import Parallel

    if not isinstance(strategy, Exhaustive):
        raise ModelError(
            "--jobs and --dask work with the strategies reduced and full; all others run in one "
            "process. Leave --strategy out, or leave --jobs and --dask out."
        )
    build = partial(program_named, scenario, release, also)
    return Parallel(helpers.executor, build, helpers.many, strategy.reduced, complain=complain)
