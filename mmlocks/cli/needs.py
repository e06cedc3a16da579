"""The packages that the command line needs besides the standard library."""

from __future__ import annotations

PACKAGES = ("click", "rich")


def package_of(missing: ModuleNotFoundError) -> str:
    """The package whose absence was found: `rich` if there is no `rich.text`."""
    return (missing.name or "").partition(".")[0]
