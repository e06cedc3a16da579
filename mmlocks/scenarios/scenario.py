"""What a scenario is: a story that a search can judge."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine import Run, Step, Swap
from mmlocks.mm.world import World
from mmlocks.oracles import Oracle, looks_afterwards, oracle_named
from mmlocks.releases import RELEASES, Patch, Release

Thread = Callable[..., Coroutine[Step, Any, None]]
"""What one CPU runs: an `async def` that takes the World."""


@dataclass(frozen=True)
class Scenario:
    """A story: threads (cpu0 first, each with a few words on what it does) in a world, and oracles.

    `oracles` judge it. Each is the name of one that this package knows, or an Oracle of its own.
    `expected` gives the outcome, "safe" or "violated", for each release for which the record, or an
    argument from the record, lets us expect one; `source` says where that comes from. `remark` is
    shown wherever the scenario is shown. The scenario does not apply to a release that lacks one of
    the patches that it `needs`. `symmetries` says which of its CPUs are alike. `stores` are the
    stores that its programs make in every order of steps, as (page, slot, value).

    `explain` has the story for each oracle that can end it. The same oracle may end a run of an
    answer that went wrong another way: `happened` tells whether a run went as the story does.

    `file` is `FILE.py:NAME` if the scenario was read from a file, else "".
    """

    name: str
    title: str
    story: str
    threads: tuple[tuple[str, Thread], ...]
    world: Callable[[], World]
    oracles: tuple[str | Oracle, ...]
    expected: Mapping[str, str]
    source: str
    remark: str = ""
    explain: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Patch, ...] = ()
    symmetries: Callable[[World], tuple[Swap, ...]] = lambda _: ()
    stores: tuple[tuple[int, int, Any], ...] = ()
    happened: Mapping[str, Callable[[World, Run], bool]] = field(default_factory=dict)
    file: str = ""

    @property
    def cpus(self) -> int:
        """How many CPUs take part."""
        return len(self.threads)

    def judges(self, also: tuple[str, ...] = ()) -> tuple[Oracle, ...]:
        """Its oracles, and those called `also`. Raises ModelError for a name without an oracle."""
        oracles = (*self.oracles, *also)
        return tuple(each if isinstance(each, Oracle) else oracle_named(each) for each in oracles)

    def about_all_runs(self, rule: str) -> bool:
        """Whether the oracle of that name judges all runs together, after a search."""
        own = {each.name: each for each in self.oracles if isinstance(each, Oracle)}
        return own[rule].after is not None if rule in own else looks_afterwards(rule)

    def explanation(self, world: World, run: Run) -> str:
        """How the violation that ends `run` came about; "" if the run tells another story."""
        if run.violation is None:
            return ""
        oracle = run.violation.oracle
        went_so = self.happened.get(oracle)
        if went_so is not None and not went_so(world, run):
            return ""
        return self.explain.get(oracle, "")

    def lacking(self, release: Release) -> tuple[Patch, ...]:
        """The patches that the scenario needs and the release does not have."""
        return tuple(patch for patch in self.needs if patch not in release.patches)


def expect(*violated: str) -> dict[str, str]:
    """The outcome on every release: "violated" on these, "safe" on all others."""
    unknown = [name for name in violated if name not in RELEASES]
    if unknown:
        raise ModelError(
            f"there is no release {unknown[0]!r}. Known releases: {', '.join(RELEASES)}."
        )
    return {name: "violated" if name in violated else "safe" for name in RELEASES}
