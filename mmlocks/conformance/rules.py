"""The version of the running kernel, and the layout rules that kernels of this version have.

Kernels do not lay out address spaces alike: rules come and change. Each change is a named patch of
mmlocks.releases (LAYOUT_RULES), and the model is linked with the patches that the version of the
running kernel implies. A vendor's kernel may have taken a patch earlier. Then a comparison finds a
mismatch that this rule explains.
"""

from __future__ import annotations

import platform
import re
from typing import NamedTuple

from mmlocks.errors import HostError
from mmlocks.releases import LAYOUT_RULES, NEWEST, Patch, Release

Version = tuple[int, ...]
OLDEST: Version = (6, 1)
"""Before 6.1, VMAs were in a red-black tree, under rules that this project does not have.
"""
COMPARED = ("6.18",)
"""The kernels on which the comparison has been run, without a mismatch."""
BACKPORTS: dict[str, tuple[Version, ...]] = {
    "thp_aligns_multiples_only": ((6, 11, 7),),
}
"""Stable releases that got a rule earlier than LAYOUT_RULES says.

Later ones of the same series have it, too.
"""


class Rule(NamedTuple):
    """A rule, and whether the kernel has it; None if that is unknown."""

    patch: Patch
    active: bool | None
    compared: bool
    """Whether the comparison has been run on a kernel that has it."""
    earlier: tuple[str, ...]
    """Stable releases that have it, too: each from this one on, to the end of its series."""


def version_of(release: str) -> Version:
    """A version as numbers: (6, 8, 0) for `6.8.0-45-generic`, (6, 18) for `6.18-rc3`.

    `5.15.167.4-microsoft-standard-WSL2` is (5, 15, 167).

    Raises HostError if a release does not begin with a version.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if found is None:
        raise HostError(
            f"{release!r} is not a kernel release: a release begins with a version, as 6.18.2 "
            "does. See what uname -r prints."
        )
    return tuple(int(part) for part in found.groups() if part is not None)


def running_version() -> Version:
    """The version of the running kernel.

    Raises HostError if it is not Linux, or too old to be compared.
    """
    if platform.system() != "Linux":
        raise HostError(
            f"this is {platform.system() or 'no Linux'}, and only Linux can be compared with the "
            "model of it. To compare the model with a recording of one: mmlocks host diff "
            "--recorded FILE"
        )
    version = version_of(platform.release())
    if version < OLDEST:
        raise HostError(
            f"this is Linux {spelled(version)}, and the model knows the layouts of "
            f"{spelled(OLDEST)} and later. Use a newer kernel, or a recording of one: mmlocks "
            "host diff --recorded FILE"
        )
    return version


def running_release() -> Release:
    """The running kernel as a Release. Raises HostError as `running_version` does."""
    return release_of(spelled(running_version()))


def release_of(kernel: str) -> Release:
    """The newest release of the course, with the layout rules of a version of Linux.

    Raises HostError if `kernel` does not begin with a version.
    """
    return Release(kernel, NEWEST.date, NEWEST.patches | set(rules_of(version_of(kernel))))


def rules_of(version: Version) -> list[Patch]:
    """The layout rules of a version of Linux."""
    return [patch for patch in LAYOUT_RULES.values() if _has(version, patch)]


def all_rules(version: Version | None) -> list[Rule]:
    """All layout rules, oldest first, and whether a version of Linux has them (None: unknown)."""
    ordered = sorted(LAYOUT_RULES.values(), key=lambda patch: version_of(patch.shipped))
    return [
        Rule(
            patch,
            None if version is None else _has(version, patch),
            any(_has(version_of(kernel), patch) for kernel in COMPARED),
            tuple(map(spelled, BACKPORTS.get(patch.name, ()))),
        )
        for patch in ordered
    ]


def doubts(version: Version) -> str | None:
    """A warning to read before a mismatch on that kernel is believed, or None."""
    series = spelled(version[:2])
    if series in COMPARED:
        return None
    return (
        f"The comparison has not been run on Linux {series} before (only on "
        f"{', '.join(COMPARED)}), so a mismatch may well be a difference between kernels that has "
        "no name here yet. See mmlocks host rules"
    )


def spelled(version: Version) -> str:
    """6.18.2 for (6, 18, 2)."""
    return ".".join(map(str, version))


def _has(version: Version, patch: Patch) -> bool:
    if version >= version_of(patch.shipped):
        return True
    return any(
        version[:2] == earlier[:2] and version >= earlier
        for earlier in BACKPORTS.get(patch.name, ())
    )
