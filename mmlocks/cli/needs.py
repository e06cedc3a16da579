"""The packages that the command line needs besides the standard library."""

from __future__ import annotations

PACKAGES = ("click", "rich")


def package_of(missing: ModuleNotFoundError) -> str:
    """The name of the missing package: `rich` if `rich.text` is missing."""
    return (missing.name or "").partition(".")[0]
