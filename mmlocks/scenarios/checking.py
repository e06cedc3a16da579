"""A scenario under a kernel: the machine that they make, and the search of all its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from typing import TypeVar

from mmlocks.errors import ModelError, UndeclaredAccess
from mmlocks.machine import Machine, Run, Schedule, Violation
from mmlocks.machine.anew import run_anew
from mmlocks.machine.coroutine import CoroutineSupplier
from mmlocks.machine.foreign import Foreign, MergedWrongly
from mmlocks.machine.side import Side
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.replacing import Replacements
from mmlocks.mm.rights import rules_for
from mmlocks.mm.stubs import silent
from mmlocks.mm.world import World
from mmlocks.oracles import Oracle, final_judge, watches_for
from mmlocks.releases import Release, release_named
from mmlocks.scenarios.catalogue import scenario_named
from mmlocks.scenarios.scenario import Scenario, Thread
from mmlocks.search import Budget, Progress, Strategy, Verdict, judge, possible
from mmlocks.search.strategies import STRATEGIES, strategy_named

T = TypeVar("T")


@dataclass(frozen=True)
class Checked:
    """A scenario searched under a kernel: the verdict, and the run that shows a violation."""

    scenario: Scenario
    kernel: Kernel
    world: World
    machine: Machine
    verdict: Verdict

    def __repr__(self) -> str:
        """What a notebook prints: the outcome, what was searched, and what to call next."""
        violation = self.verdict.violation
        rule, names, says = "", "show", "show(…) shows it"
        if violation is not None:
            rule, names = f" ({violation.oracle})", "explain, show"
            says = "show(…) shows it, explain(…) says why"
        return (
            f"{self.scenario.name} on {self.kernel.name}: {self.verdict.outcome.upper()}{rule}, "
            f"{self.verdict.coverage}. Next: `from mmlocks.show import {names}`; {says}."
        )

    def _repr_html_(self) -> str:
        """The same in HTML, as JupyterLab breaks only that between words."""
        return f"<p>{escape(repr(self))}</p>"

    @property
    def of_all_runs(self) -> bool:
        """Whether a rule is broken that no run breaks by itself: it is about all runs together."""
        violation = self.verdict.violation
        return violation is not None and self.scenario.about_all_runs(violation.oracle)

    @property
    def run(self) -> Run | None:
        """The execution that shows the violation."""
        if self.verdict.schedule is None:
            return None
        run, violation = Run.replay(self.machine, self.verdict.schedule), self.verdict.violation
        if run.taken and self.of_all_runs:
            # The machine does not know what was found after its search: the last step gets it.
            before, last = run.states[-2], run.taken[-1]._replace(violation=violation)
            return replace(run, states=(*run.states[:-1], before), taken=(*run.taken[:-1], last))
        return run

    @property
    def schedule(self) -> Schedule | None:
        """The same as a value with a text form."""
        if self.verdict.schedule is None:
            return None
        return Schedule(self.scenario.name, self.kernel.name, self.verdict.schedule)


def machine_for(
    scenario: Scenario,
    kernel: Kernel,
    split_together: bool = False,
    also: tuple[str, ...] = (),
    unmerged: frozenset[str] = frozenset(),
) -> tuple[Machine, World]:
    """A fresh machine with the scenario's program under that kernel, and the program's world.

    The scenario's oracles and those called `also` judge it. `unmerged` names functions of an answer
    of which no two moments may be merged. Raises ModelError for an oracle that does not exist.
    """
    world = scenario.world()
    oracles = scenario.judges(also)
    world.mm.stale_at_copy = any(oracle.name == "stale_copy" for oracle in oracles)

    if kernel.replacements:
        abroad = _abroad(scenario, kernel, world, unmerged)
        links = [kernel.linked(foreign).link for foreign in abroad]
    else:
        abroad, links = [], [kernel.link] * scenario.cpus

    def starting(cpu: int, thread: Thread) -> CoroutineSupplier:
        linked = links[cpu](thread)
        if not abroad:
            return CoroutineSupplier(cpu, lambda: linked(world))
        # Only the answer's functions may be unsteady, and their own suppliers watch those.
        return CoroutineSupplier(cpu, lambda: linked(world), undecided=True, looks=0)

    suppliers = [starting(cpu, thread) for cpu, (_, thread) in enumerate(scenario.threads)]
    tasks = [
        (what, supplier) for (what, _), supplier in zip(scenario.threads, suppliers, strict=True)
    ]
    watches = watches_for(world.layout, kernel.release, oracles)
    judge_ending, alike = final_judge(world, oracles), scenario.symmetries(world)

    def verify() -> None:
        for foreign in abroad:
            anew = kernel.replacements.anew()
            foreign.verify(_side(scenario, anew, world) if anew is not None else None)

    def rehearse() -> None:
        if kernel.replacements.runs_code:
            run_anew(suppliers, abroad)

    return Machine(
        world.layout,
        tasks,
        judge_ending,
        split_together or kernel.apart,
        watches,
        alike,
        verify,
        rehearse,
    ), world


def _abroad(
    scenario: Scenario, kernel: Kernel, world: World, unmerged: frozenset[str]
) -> list[Foreign]:
    """The answer's functions, once for each CPU.

    Their handles belong to a world of their own, in which nothing ever happens.
    """
    rules = rules_for(kernel.replacements, world.layout)
    side = _side(scenario, kernel.replacements, world)
    return [
        Foreign(cpu, side, world.layout, rules, silent(), unmerged) for cpu in range(scenario.cpus)
    ]


def _side(scenario: Scenario, functions: Replacements, world: World) -> Side:
    return functions.side(scenario.name, world.layout, lambda: scenario.world().layout)


def program_named(scenario: str, release: str, also: tuple[str, ...] = ()) -> Machine:
    """A machine from names alone. `partial` of this can be sent to another process."""
    return machine_for(scenario_named(scenario), as_kernel(release), also=also)[0]


def check(
    scenario: Scenario | str,
    kernel: Kernel | Release | str,
    budget: Budget | None = None,
    progress: Progress | None = None,
    reduced: bool = True,
    also: tuple[str, ...] = (),
    strategy: Strategy | str | None = None,
    suspect: bool = False,
) -> Checked:
    """Search every interleaving of a scenario under a kernel, or those that a `strategy` chooses.

    The kernel may be a release or its name. Scenarios and strategies have names, too:
    `check("stackrot", "6.4.0", strategy="pct:3")`. `also` names oracles besides the scenario's own.
    Say `suspect` if an answer has broken a rule in another scenario. The search with joined steps
    is smaller, and then it runs first. The finding is the same. Raises ModelError for a name that
    does not exist, and for an argument that is not a scenario, kernel or strategy.
    """
    scenario, kernel = as_scenario(scenario), as_kernel(kernel)
    if isinstance(strategy, str):
        strategy = strategy_named(strategy)
    elif strategy is not None and not hasattr(strategy, "explore"):
        raise ModelError(
            "check takes a strategy, or how one is written, such as strategy='pct:3'; not "
            f"{strategy!r}. Known strategies: {', '.join(STRATEGIES)}."
        )
    oracles = scenario.judges(also)

    def searched(kernel: Kernel) -> Checked:
        def judged(machine: Machine, world: World) -> Checked:
            try:
                verdict = judge(machine, budget, progress, reduced, strategy)
            except UndeclaredAccess as problem:
                if not kernel.replacements:
                    raise  # an operation of ours names too little
                verdict = _out_of_reach(problem)
            if verdict.too_small:
                reason = verdict.reason.replace("the scenario", f"the scenario {scenario.name}", 1)
                verdict = replace(verdict, reason=reason)
            if verdict.outcome == "safe":
                verdict = _afterwards(machine, verdict, oracles, budget, progress)
            return Checked(scenario, kernel, world, machine, verdict)

        return merged_rightly(scenario, kernel, judged, also)

    if not kernel.replacements:
        return searched(kernel)
    # Our text takes several operations as one step where that cannot be noticed, as long as all
    # text is ours. So an answer is judged with all steps apart. What is wrong with it mostly shows
    # in fewer steps as well, and then it is shown that way.
    if suspect:
        whole = searched(kernel)
        if whole.verdict.outcome == "violated" and whole.verdict.schedule is not None:
            return whole
    apart = searched(kernel.taken_apart())
    if apart.verdict.outcome != "violated" or apart.verdict.schedule is None:
        # A violation without a schedule is not deterministic: a second search could do anything.
        return apart
    whole = searched(kernel)
    return whole if whole.verdict.outcome == "violated" else apart


def _out_of_reach(problem: UndeclaredAccess) -> Verdict:
    """The verdict on an answer that calls an operation with arguments that kernel text never uses.

    The operation then touches a cell that it did not declare.
    """
    message = (
        f"{problem}. No kernel text does so: check that the arguments belong together, such as a "
        "VMA and its own address space."
    )
    return Verdict("violated", 0, 0, 0.0, violation=Violation("mistake", message))


def merged_rightly(
    scenario: Scenario,
    kernel: Kernel,
    use: Callable[[Machine, World], T],
    also: tuple[str, ...] = (),
) -> T:
    """What `use` makes of the scenario's machine.

    If `verify` finds that moments of an answer's function were merged wrongly, `use` is called
    again with a machine that never merges moments of that function.
    """
    unmerged: frozenset[str] = frozenset()
    while True:
        machine, world = machine_for(scenario, kernel, also=also, unmerged=unmerged)
        try:
            return use(machine, world)
        except MergedWrongly as merged:
            unmerged |= {merged.name}


def _afterwards(
    machine: Machine,
    verdict: Verdict,
    oracles: tuple[Oracle, ...],
    budget: Budget | None,
    progress: Progress | None,
) -> Verdict:
    """The verdict of the oracles that judge a machine after a whole search without a finding."""
    for after in filter(None, (oracle.after for oracle in oracles)):
        found = after(machine)
        if found is not None:
            way = possible(machine, found.reached, budget, progress).schedule
            schedule = (*way, found.cpu) if way is not None else None
            return replace(
                verdict, outcome="violated", violation=found.violation, schedule=schedule
            )
    return verdict


def as_scenario(scenario: Scenario | str) -> Scenario:
    """A scenario, from itself or from its name. Raises ModelError for anything else."""
    if isinstance(scenario, str):
        return scenario_named(scenario)
    if not isinstance(scenario, Scenario):
        raise ModelError(
            f"check takes a scenario, or its name: check('stackrot', '6.4.0'); not {scenario!r}."
        )
    return scenario


def as_kernel(kernel: Kernel | Release | str) -> Kernel:
    """A kernel, from itself, from a release or from its name. Raises ModelError otherwise."""
    if isinstance(kernel, str):
        kernel = release_named(kernel)
    if not isinstance(kernel, Kernel | Release):
        raise ModelError(
            "the second argument must be a kernel, a release, or its name, such as '6.4.0'; not "
            f"{kernel!r}."
        )
    return Kernel(kernel) if isinstance(kernel, Release) else kernel
