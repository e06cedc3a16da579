"""What the words on a command line mean, and what is said about unknown names."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mmlocks.cli.terminal import complain
from mmlocks.errors import MmlocksError, ModelError
from mmlocks.releases import PATCHES, RELEASES, Release, patch_named, release_named, split_name

if TYPE_CHECKING:
    from mmlocks.labs import Lab
    from mmlocks.scenarios import Scenario
    from mmlocks.search import Budget

Thing = TypeVar("Thing")


def named(find: Callable[[str], Thing], name: str, known: Iterable[str]) -> Thing:
    """What `find` finds. Its error for an unknown name gets the nearest known names."""
    try:
        return find(name)
    except MmlocksError as problem:
        near = [one for one in known if name and one.startswith(name)]
        near = near or difflib.get_close_matches(name.lower(), list(known), n=1)
        raise type(problem)(f"{problem} {did_you_mean(near)}".rstrip()) from None


def did_you_mean(near: Sequence[str]) -> str:
    """The question after an error about a name, if there are similar names."""
    meant = " or ".join(filter(None, [", ".join(near[:-1]), *near[-1:]]))
    return f"Did you mean {meant}?" if meant else ""


def the_scenario(name: str) -> Scenario:
    """The scenario with that name or in that file. What the file prints goes to stderr."""
    from mmlocks.scenarios import SCENARIOS, scenario_named
    from mmlocks.scenarios.from_file import is_in_file

    if is_in_file(name):
        with contextlib.redirect_stdout(sys.stderr):
            return scenario_named(name)
    return named(scenario_named, name, SCENARIOS)


def in_file(name: str) -> str:
    """The same text if it names a scenario in a file, else "". For commands that are printed."""
    from mmlocks.scenarios.from_file import is_in_file

    return name if is_in_file(name) else ""


def code_of(name: str) -> contextlib.AbstractContextManager[None]:
    """Run a scenario in here.

    If it is in a file, what its code prints goes to stderr, and it cannot end this process.
    """
    from mmlocks.cli.answers import own_code

    return own_code(Path(name.rpartition(":")[0])) if in_file(name) else contextlib.nullcontext()


def the_release(text: str) -> Release:
    """The release with that name and its changes, such as `6.4.0+fork_locks_vmas`."""
    base = split_name(text)[0]
    changed = [f"{base}{sign}{patch}" for sign in "+-" for patch in PATCHES]
    return named(release_named, text, changed if base in RELEASES else RELEASES)


def the_one_release(texts: Sequence[str]) -> Release:
    """The release in `--release`, which takes one release here."""
    known = ", ".join(RELEASES)
    if not texts or not texts[0]:
        raise ModelError(f"name a kernel release: --release R, where R is one of {known}.")
    if len(texts) > 1:
        several = " ".join(f"-r {text}" for text in texts)
        raise ModelError(
            f"--release takes one release here, and {len(texts)} were given. "
            f"For several: mmlocks releases {several}"
        )
    if not texts[0].strip():
        raise ModelError(f"--release is empty. Known releases: {known}.")
    return the_release(texts[0])


def the_changed_release(names: Sequence[str], more: Sequence[str], less: Sequence[str]) -> Release:
    """The release in `--release`, plus the patches in `--with`, minus those in `--without`."""
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


def the_lab(name: str) -> Lab:
    """The lab with that name or number."""
    from mmlocks.labs import LABS, lab_named

    return named(lab_named, name, [*LABS, *(one.partition("_")[0] for one in LABS)])


def budget(states: int | None, seconds: float | None) -> Budget:
    """How far a search may go: `--states` and `--seconds`, or their defaults."""
    from mmlocks.search import Budget

    usual = Budget()
    return Budget(states or usual.states, seconds or usual.seconds)
