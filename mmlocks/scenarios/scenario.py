"""What a scenario is, and how it is searched and replayed under a kernel."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, TypeVar

from mmlocks.errors import ModelError, UndeclaredAccess
from mmlocks.machine import Machine, Run, Schedule, Step, Swap, Violation
from mmlocks.machine.anew import run_anew
from mmlocks.machine.coroutine import CoroutineSupplier
from mmlocks.machine.foreign import Foreign, MergedWrongly
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.rights import rules_for, silent
from mmlocks.mm.world import World
from mmlocks.oracles import ORACLES, final_judge, looks_afterwards, watches_for
from mmlocks.releases import RELEASES, Patch, Release, release_named
from mmlocks.search import Budget, Progress, Strategy, Verdict, judge, possible
from mmlocks.search.strategies import STRATEGIES, strategy_named

T = TypeVar("T")

Thread = Callable[..., Coroutine[Step, Any, None]]
"""What one CPU runs: an `async def` that takes the World."""


@dataclass(frozen=True)
class Scenario:
    """A story: threads (cpu0 first, each with a few words on what it does) in a world, judged by oracles.

    `expected` gives the outcome, "safe" or "violated", for each release that the record, or an argument from it, lets us
    expect; `source` says where that comes from. `remark` is shown wherever the scenario is. Of a release that lacks one
    of the patches that the scenario `needs`, it has nothing to say. `symmetries` says which of its CPUs are alike.
    `stores` are those that its programs make whatever the order, as (page, slot, value), where somebody keeps account of them.

    `explain` has the story by the oracle that ends it. The same oracle may end what somebody else's function came to, another
    way: `happened` tells, of an execution, whether it went as the story does.
    """

    name: str
    title: str
    story: str
    threads: tuple[tuple[str, Thread], ...]
    world: Callable[[], World]
    oracles: tuple[str, ...]
    expected: Mapping[str, str]
    source: str
    remark: str = ""
    explain: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Patch, ...] = ()
    symmetries: Callable[[World], tuple[Swap, ...]] = lambda _: ()
    stores: tuple[tuple[int, int, Any], ...] = ()
    happened: Mapping[str, Callable[[World, Run], bool]] = field(default_factory=dict)

    @property
    def cpus(self) -> int:
        """How many CPUs take part."""
        return len(self.threads)

    def explanation(self, world: World, run: Run) -> str:
        """How the violation in which `run` ends came about; nothing if that is another story than this scenario's."""
        if run.violation is None:
            return ""
        oracle = run.violation.oracle
        went_so = self.happened.get(oracle)
        if went_so is not None and not went_so(world, run):
            return ""
        return self.explain.get(oracle, "")

    def lacking(self, release: Release) -> tuple[Patch, ...]:
        """The patches that the scenario needs and that the release does not have."""
        return tuple(patch for patch in self.needs if patch not in release.patches)


def expect(*violated: str) -> dict[str, str]:
    """What is expected of every release there is: "violated" of these, "safe" of all others."""
    unknown = [name for name in violated if name not in RELEASES]
    if unknown:
        raise ModelError(f"there is no release {unknown[0]!r}. Known releases: {', '.join(RELEASES)}.")
    return {name: "violated" if name in violated else "safe" for name in RELEASES}


@dataclass(frozen=True)
class Checked:
    """A scenario searched under a kernel: the verdict, and the run that shows a violation."""

    scenario: Scenario
    kernel: Kernel
    world: World
    machine: Machine
    verdict: Verdict

    def __repr__(self) -> str:
        """What a notebook prints of it: the outcome, what was searched, and what to call next."""
        violation = self.verdict.violation
        rule, names, says = "", "show", "show(…) shows it"
        if violation is not None:
            rule, names, says = (
                f" ({violation.oracle})",
                "explain, show",
                "show(…) shows it, explain(…) says why",
            )
        return (
            f"{self.scenario.name} on {self.kernel.name}: {self.verdict.outcome.upper()}{rule}, {self.verdict.coverage}. "
            f"Next: `from mmlocks.show import {names}`; {says}."
        )

    def _repr_html_(self) -> str:
        """The same, which JupyterLab then breaks between words."""
        return f"<p>{escape(repr(self))}</p>"

    @property
    def run(self) -> Run | None:
        """The execution that shows the violation."""
        if self.verdict.schedule is None:
            return None
        run, violation = Run.replay(self.machine, self.verdict.schedule), self.verdict.violation
        if run.taken and violation is not None and looks_afterwards(violation.oracle):
            # The machine does not know what was found after it had been searched: the rule is broken by the last step.
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
    """The scenario's program on a fresh machine under that kernel, judged by its oracles and by those in `also`.

    `unmerged` names functions of somebody else's of which no two moments are to be taken for one.
    """
    world = scenario.world()
    oracles = (*scenario.oracles, *also)
    unknown = [name for name in oracles if name not in ORACLES]
    if unknown:
        raise ModelError(f"there is no oracle called {unknown[0]!r}. Known oracles: {', '.join(ORACLES)}.")
    world.mm.stale_at_copy = "stale_copy" in oracles

    if kernel.replacements:
        abroad = _abroad(scenario, kernel, world, unmerged)
        links = [kernel.linked(foreign).link for foreign in abroad]
    else:
        abroad, links = [], [kernel.link] * scenario.cpus

    def starting(cpu: int, thread: Thread) -> CoroutineSupplier:
        linked = links[cpu](thread)
        if not abroad:
            return CoroutineSupplier(cpu, lambda: linked(world))
        # What may be unsteady are the foreign functions, and their own suppliers look at these again.
        return CoroutineSupplier(cpu, lambda: linked(world), undecided=True, looks=0)

    suppliers = [starting(cpu, thread) for cpu, (_, thread) in enumerate(scenario.threads)]
    tasks = [(what, supplier) for (what, _), supplier in zip(scenario.threads, suppliers, strict=True)]
    watches = watches_for(world.layout, kernel.release, oracles)
    judge_ending, alike = final_judge(world, oracles), scenario.symmetries(world)

    def verify() -> None:
        for foreign in abroad:
            again = kernel.again() if kernel.again is not None else None
            foreign.verify(again, scenario.world().layout)

    def rehearse() -> None:
        run_anew(suppliers, abroad)

    return Machine(
        world.layout, tasks, judge_ending, split_together or kernel.apart, watches, alike, verify, rehearse
    ), world


def _abroad(scenario: Scenario, kernel: Kernel, world: World, unmerged: frozenset[str]) -> list[Foreign]:
    """The kernel's foreign functions, for each CPU. Their handles are those of a world of their own, in which nothing ever happens."""
    rules = rules_for(kernel.replacements, world.layout)
    abroad = scenario.world().layout
    return [
        Foreign(cpu, kernel.replacements, world.layout, abroad, rules, silent(), unmerged)
        for cpu in range(scenario.cpus)
    ]


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
    """Search every interleaving of the scenario under a kernel (or a release, or its name), or those that a `strategy` looks at.

    Scenarios and strategies can be called by name: `check("stackrot", "6.4.0", strategy="pct:3")`. `also` names oracles to ask besides the
    scenario's own. Say `suspect` if an answer has broken a rule in another scenario. The search with joined steps is smaller, and then it runs
    first. The finding is the same. Raises ModelError for what does not exist, and for what is no scenario, kernel or strategy.
    """
    scenario, kernel = as_scenario(scenario), as_kernel(kernel)
    if isinstance(strategy, str):
        strategy = strategy_named(strategy)
    elif strategy is not None and not hasattr(strategy, "explore"):
        raise ModelError(
            f"check takes a strategy, or how one is written, such as strategy='pct:3'; not {strategy!r}. "
            f"Known strategies: {', '.join(STRATEGIES)}."
        )

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
                verdict = _afterwards(machine, verdict, (*scenario.oracles, *also), budget, progress)
            return Checked(scenario, kernel, world, machine, verdict)

        return merged_rightly(scenario, kernel, judged, also)

    if not kernel.replacements:
        return searched(kernel)
    # Where our text takes several operations as one step, nobody could tell, as long as all the text is ours. So an answer is judged with
    # all steps apart. What is wrong with it mostly shows in fewer steps as well, and then it is shown that way.
    if suspect:
        whole = searched(kernel)
        if whole.verdict.outcome == "violated" and whole.verdict.schedule is not None:
            return whole
    apart = searched(kernel.taken_apart())
    if apart.verdict.outcome != "violated" or apart.verdict.schedule is None:
        return apart  # without a schedule it is not deterministic, and may do anything in a second search
    whole = searched(kernel)
    return whole if whole.verdict.outcome == "violated" else apart


def _out_of_reach(problem: UndeclaredAccess) -> Verdict:
    """The verdict on an answer that gives an operation what kernel text never gives it, so that it touches what it does not say."""
    message = f"{problem}. No kernel text does so: look whether what is passed on belongs together, such as a VMA and its own address space."
    return Verdict("violated", 0, 0, 0.0, violation=Violation("mistake", message))


def merged_rightly(
    scenario: Scenario, kernel: Kernel, use: Callable[[Machine, World], T], also: tuple[str, ...] = ()
) -> T:
    """What `use` makes of the scenario's machine. If its `verify` finds moments of an answer that were merged wrongly, that function's are told apart."""
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
    names: tuple[str, ...],
    budget: Budget | None,
    progress: Progress | None,
) -> Verdict:
    """The verdict of oracles that look at a machine that has been searched whole, and in which nothing else was found."""
    for after in filter(None, (ORACLES[name].after for name in names)):
        found = after(machine)
        if found is not None:
            way = possible(machine, found.reached, budget, progress).schedule
            schedule = (*way, found.cpu) if way is not None else None
            return replace(verdict, outcome="violated", violation=found.violation, schedule=schedule)
    return verdict


def as_scenario(scenario: Scenario | str) -> Scenario:
    """A scenario, from itself or from its name. Raises ModelError for anything else."""
    if isinstance(scenario, str):
        from mmlocks.scenarios.catalogue import scenario_named  # which is made of scenarios

        return scenario_named(scenario)
    if not isinstance(scenario, Scenario):
        raise ModelError(
            f"check takes a scenario, or its name: check('stackrot', '6.4.0'); not {scenario!r}."
        )
    return scenario


def as_kernel(kernel: Kernel | Release | str) -> Kernel:
    """A kernel, from itself or from the release that it is to be. Raises ModelError for anything else."""
    if isinstance(kernel, str):
        kernel = release_named(kernel)
    if not isinstance(kernel, Kernel | Release):
        raise ModelError(
            f"the second thing that is asked for is a kernel, a release, or its name, such as '6.4.0'; not {kernel!r}."
        )
    return Kernel(kernel) if isinstance(kernel, Release) else kernel
