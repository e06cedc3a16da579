"""The commands of `mmlocks`. Each returns its exit status; what they need is imported when they run."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmlocks.cli.fields import fields
from mmlocks.cli.files import Target, save, see_names
from mmlocks.cli.graph import GRAPH_STATUSES, graph, traces
from mmlocks.cli.host import host
from mmlocks.cli.maps import NOTES, maps
from mmlocks.cli.names import (
    ReleaseName,
    ScenarioName,
    code_of,
    in_file,
    named,
    the_one_release,
    the_release,
    the_scenario,
)
from mmlocks.cli.releases import ENDINGS, Dask, releases
from mmlocks.cli.terminal import (
    ASIDE,
    STATUSES,
    TITLE,
    Commands,
    Meter,
    Status,
    command,
    complain,
    gap,
    paragraph,
    write,
)
from mmlocks.errors import ModelError, ScheduleError
from mmlocks.releases import PATCHES, Release, patch_named, release_named
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from mmlocks.cli.executors import Helpers
    from mmlocks.labs import Lab
    from mmlocks.machine import Run
    from mmlocks.mm.world import World
    from mmlocks.scenarios import Scenario
    from mmlocks.search import Budget, Strategy

app = typer.Typer(
    name="mmlocks",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help without boxes, the same in a terminal and in a pipe
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Linux address-space locks, and the bugs of 6.4, searched over every interleaving.",
    epilog=STATUSES,
)


def _positive(seconds: float | None) -> float | None:
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        raise typer.BadParameter(f"{seconds:g} is no number of seconds above 0.")
    return seconds


Patches = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="PATCH", help=f"Add a patch: {', '.join(PATCHES)}. May be repeated."
    ),
]
NoPatches = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="PATCH", help="Take a patch away. May be repeated."),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also", metavar="ORACLE", help="Ask one more oracle, such as stale_copy. May be repeated."
    ),
]
Full = Annotated[
    bool, typer.Option("--full", help="The same as --strategy full: every order of steps.")
]
StrategyName = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        show_default="reduced",
        help="Which executions to look at: reduced (one order of steps that commute), full (every order), dpor[:STEPS] (each "
        "distinct one), preemptions[:K] (with at most K), random[:N] (N of them), pct[:DEPTH[:N]] (N by random priorities).",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help="Which random choices random and pct make.", show_default="0"
    ),
]
States = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Stop after so many states.", show_default="2 million"),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        callback=_positive,
        help="Stop each search after so many seconds.",
        show_default="60",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, metavar="N", help="Search on so many processes.", show_default="1"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
InFile = Annotated[
    str | None,
    typer.Option(
        "--scenario",
        metavar="FILE.py:NAME",
        help="The scenario of your own that it was recorded with. The file is run.",
    ),
]
LabName = Annotated[
    str, typer.Argument(metavar="LAB", help="lab07_fork_vs_fault; lab07 or 07 will do.")
]


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> int:
    """Linux address-space locks, and the bugs of 6.4, searched over every interleaving."""
    if version:
        from mmlocks import __version__

        write(f"mmlocks {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
    return Status.FINE


@app.command()
def demo() -> int:
    """Find the lost store of Linux 6.4.0, and prove 6.4.3."""
    import time

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
    paragraph("There is more: mmlocks scenarios", ASIDE)
    if "unproved" in (broken.verdict.outcome, fixed.verdict.outcome):
        return Status.UNPROVED
    return (
        Status.FINE
        if (broken.verdict.outcome, fixed.verdict.outcome) == ("violated", "safe")
        else Status.WRONG
    )


@app.command(epilog=STATUSES)
def run(
    scenario: ScenarioName, release: ReleaseName = None, with_: Patches = None, without: NoPatches = None,
    strategy: StrategyName = None, full: Full = False, seed: Seed = None, also: Also = None, states: States = None,
    seconds: Seconds = None, jobs: Jobs = None, dask: Dask = None, as_json: Json = False,
) -> int:  # fmt: skip
    """
    Search every interleaving of a scenario on a release.

    With --strategy, also some of them alone; what was looked at, and what was not, is said.
    """
    from mmlocks.cli import report
    from mmlocks.cli.executors import executor
    from mmlocks.scenarios import check

    story = the_scenario(scenario)
    kernel = _release(release, with_ or [], without or [])
    chosen, asked = _strategy(strategy, full, seed), tuple(also or ())
    with (
        code_of(scenario),
        Meter(f"{story.name} on {kernel.name}") as meter,
        executor(jobs, dask) as helpers,
    ):
        chosen = _spread(chosen, helpers, scenario, kernel.name, asked)
        checked = check(story, kernel, _budget(states, seconds), meter, also=asked, strategy=chosen)
    if as_json:
        report.print_json(report.checked_json(checked))
    else:
        paragraph(f"{story.name} on {kernel.name}: {story.title}", TITLE)
        paragraph(story.story)
        gap()
        report.print_checked(checked, asked, in_file(scenario))
        gap()
        report.print_expectation(checked)
        if "budget" in checked.verdict.reason:
            paragraph("To search further, raise --states or --seconds.")
        elif checked.verdict.outcome == "unproved" and checked.verdict.left_out:
            paragraph("To search every interleaving, leave --strategy out.")
    return report.STATUS_OF_OUTCOME[checked.verdict.outcome]


@app.command()
def scenarios(as_json: Json = False) -> int:
    """List the scenarios and what is expected of each release."""
    from mmlocks.cli import report
    from mmlocks.scenarios import SCENARIOS
    from mmlocks.scenarios.catalogue import GROWN

    if as_json:
        report.print_json([report.scenario_json(scenario) for scenario in SCENARIOS.values()])
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


@app.command(epilog=STATUSES)
def replay(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT", help="A schedule, `mml1:...`, as printed below every timeline."
        ),
    ],
    step: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Show the state after step N, not the timeline."),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture of what is shown, as SVG.")
    ] = None,
    answer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The answer (.py, .ipynb) that it was recorded with. Its code is run.",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write everything that each step did, as JSON with a schema."
        ),
    ] = None,
    chrome: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the run for Perfetto or about:tracing (Trace Event Format)."
        ),
    ] = None,
    scenario: InFile = None,
    also: Also = None,
) -> int:
    """Show a run again: timeline, state, picture, or trace file."""
    from mmlocks.cli import report, terminal
    from mmlocks.cli.answers import own_code
    from mmlocks.show.state_text import state_text

    see_names(("--svg", svg, ".svg"), ("--trace", trace, ".json"), ("--chrome", chrome, ".json"))
    with own_code(answer or Path()), code_of(scenario or ""):
        story, world, whole, name = _replayed(text, answer, tuple(also or ()), scenario)
    if step is not None and step > len(whole):
        raise ScheduleError(
            f"this schedule has {counted(len(whole), 'step')}, so --step takes 0 to {len(whole)}, not {step}."
        )
    shown = whole if step is None else whole.at(step)
    pictures = (
        [Target(svg, report.run_picture(story, world, whole, step))] if svg is not None else []
    )
    save([*pictures, *traces(whole, story.name, name, trace, chrome)])
    paragraph(f"{story.name} on {name}: {story.title}", TITLE)
    gap()
    if step is None:
        report.print_run(whole, world, story)
    else:
        write(state_text(world, whole, step, terminal.width()))
    if svg is not None or trace is not None or chrome is not None:
        gap()
    for what, file in (("Picture", svg), ("Trace", trace), ("Trace for viewers", chrome)):
        if file is not None:
            write(f"{what} written to {file}")
    return Status.WRONG if shown.violation is not None else Status.FINE


@app.command(epilog=STATUSES)
def explain(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="A schedule that goes wrong, `mml1:...`, as `mmlocks run` prints it.")
    ],
    answer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The answer (.py, .ipynb) that it was recorded with. Its code is run."
        ),
    ] = None,
    scenario: InFile = None, also: Also = None, states: States = None, seconds: Seconds = None, as_json: Json = False,
) -> int:  # fmt: skip
    """Say why a run goes wrong, and what would have saved it.

    Tells which of its steps matter, since when it was too late, and the closest run that ends well.
    """
    from mmlocks.cli import explain as explaining
    from mmlocks.cli.answers import own_code
    from mmlocks.explain.explaining import explain as searched

    with own_code(answer or Path()), code_of(scenario or ""):
        story, _, whole, name = _replayed(text, answer, tuple(also or ()), scenario)
        with Meter(f"explaining {story.name} on {name}") as meter:
            found = searched(whole, _budget(states, seconds), meter)
        # To tell what steps do they are taken again, and so code of the answer's may run.
        shown = explaining.explanation_shown(found, story, name, as_json)
    return explaining.print_explanation(found, story, name, shown)


@app.command(epilog=STATUSES)
def endings(
    scenario: ScenarioName, release: ReleaseName = None, with_: Patches = None, without: NoPatches = None, also: Also = None,
    cells: Annotated[
        list[str] | None,
        typer.Option(
            "--cells", metavar="PATTERN", help="Tell final states apart by these cells, such as 'F0*'. May be repeated.",
            show_default="what the pages hold",
        ),
    ] = None,
    states: States = None, seconds: Seconds = None, as_json: Json = False,
) -> int:  # fmt: skip
    """List all that a scenario can come to, and how often.

    Counts the schedules that lead to each ending on a release.
    """
    from mmlocks.cli import explain as explaining
    from mmlocks.explain.endings import endings as searched
    from mmlocks.scenarios.scenario import as_kernel, machine_for
    from mmlocks.show.endings_text import what_cells_hold, what_is_read

    story = the_scenario(scenario)
    kernel = as_kernel(_release(release, with_ or [], without or []))
    machine, world = machine_for(story, kernel, also=tuple(also or ()))
    matters = what_cells_hold(world, cells) if cells else what_is_read(world)
    with code_of(scenario), Meter(f"{story.name} on {kernel.name}") as meter:
        found = searched(machine, matters, _budget(states, seconds), meter)
    return explaining.print_endings(found, story, kernel.name, as_json)


@app.command(epilog=STATUSES)
def check(
    lab: LabName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .py or .ipynb with your function.")
    ],
    seconds: Seconds = None,
    as_json: Json = False,
) -> int:
    """
    Judge an answer to a lab by every interleaving.

    The code in FILE is run in this process and with your rights: this is for your own answers. To mark those of
    others, use a sandbox.
    """
    from mmlocks.cli import report
    from mmlocks.cli.answers import load_answer, own_code

    chosen = _lab(lab)
    answer = load_answer(file)
    with own_code(file), Meter(file.name) as meter:
        judgement = chosen.judge(answer, _budget(None, seconds), meter)
    with own_code(file):
        shown = report.judgement_json(judgement, answer.judged)
    if as_json:
        report.print_json(shown)
    else:
        report.print_judgement(judgement, file, answer.judged)
    return report.STATUS_OF_FINDING[judgement.finding]


@app.command()
def hint(
    lab: LabName,
    rung: Annotated[
        int, typer.Argument(metavar="RUNG", help="1 is the plan, 2 the place, 3 nearly the code.")
    ] = 1,
) -> int:
    """Print a hint for a lab."""
    chosen = _lab(lab)
    paragraph(chosen.hint(rung))
    if rung < len(chosen.hints):
        gap()
        paragraph("For the next one:")
        command(f"mmlocks hint {lab} {rung + 1}")
    return Status.FINE


app.command(epilog=ENDINGS)(releases)
app.command()(fields)
app.command(epilog=GRAPH_STATUSES)(graph)
app.command(epilog=NOTES)(maps)
app.add_typer(host)


# -- what was typed, understood ---------------------------------------------------------------------------------------


def _lab(name: str) -> Lab:
    from mmlocks.labs import LABS, lab_named

    return named(lab_named, name, [*LABS, *(one.partition("_")[0] for one in LABS)])


def _release(names: list[str] | None, more: list[str], less: list[str]) -> Release:
    release = the_one_release(names)
    for patch in [*more, *less]:
        named(patch_named, patch, PATCHES)
    both = {patch_named(patch).name for patch in more} & {patch_named(patch).name for patch in less}
    if both:
        raise ModelError(
            f"--with {both.pop()} and --without it contradict each other. Leave one of them out."
        )
    for patch in more:
        release = _changed(release, release.with_patch(patch), f"--with {patch}", "has it already")
    for patch in less:
        release = _changed(
            release, release.without_patch(patch), f"--without {patch}", "does not have it"
        )
    return release


def _changed(before: Release, after: Release, option: str, because: str) -> Release:
    if after is before:
        complain(f"{option} changes nothing: {before.name} {because}.")
    return after


def _strategy(name: str | None, full: bool, seed: int | None) -> Strategy:
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
    """The same search, with help."""
    from functools import partial

    from mmlocks.scenarios.catalogue import program_named
    from mmlocks.search import Exhaustive
    from mmlocks.search.parallel import Parallel

    if helpers.executor is None:
        return strategy
    if not isinstance(strategy, Exhaustive):
        raise ModelError(
            "--jobs and --dask spread the strategies reduced and full over processes; all others run in one. Leave --strategy out, or the two."
        )
    build = partial(program_named, scenario, release, also)
    return Parallel(helpers.executor, build, helpers.many, strategy.reduced, complain=complain)


def _budget(states: int | None, seconds: float | None) -> Budget:
    from mmlocks.search import Budget

    usual = Budget()
    return Budget(states or usual.states, seconds or usual.seconds)


def _replayed(
    text: str, answer: Path | None, also: tuple[str, ...], file: str | None
) -> tuple[Scenario, World, Run, str]:
    """Scenario, world and run of a schedule text, and the name of the kernel that it ran on."""
    from mmlocks.cli.answers import load_answer
    from mmlocks.machine import Schedule
    from mmlocks.mm.kernel import Kernel
    from mmlocks.scenarios import replay as replayed

    # Lines broken by a terminal, and the words before a schedule, come along when it is copied.
    schedule = Schedule.parse(re.sub(r"^.*?(?=mml\d+:)", "", "".join(text.split())))
    story = _recorded_with(schedule.scenario, file)
    release, *own = schedule.kernel.split("~")
    the_release(release)
    kernel = None
    if answer is not None:
        if not own:
            raise ScheduleError(
                f"this schedule was recorded on plain {release}, without an answer. Leave --answer out."
            )
        kernel = Kernel(release_named(release), load_answer(answer).functions)
    return *replayed(schedule, kernel, also, story), schedule.kernel


def _recorded_with(name: str, file: str | None) -> Scenario:
    """The scenario of a schedule: one of the course's, or the one in that file."""
    if file is None:
        try:
            return the_scenario(name)
        except ModelError as problem:
            raise ModelError(f"{problem} For a schedule of one: --scenario FILE.py:NAME") from None
    if not in_file(file):
        raise ModelError(
            f"--scenario takes FILE.py:NAME, a scenario of your own in a file, not {file!r}."
        )
    return the_scenario(file)
