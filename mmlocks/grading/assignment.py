"""What `mmlocks assign` noted for `mmlocks grade`: the lab, the due time, the roster."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mmlocks.errors import GradingError

FILE = "assignment.toml"
ROSTER = "roster.csv"


@dataclass(frozen=True)
class Assignment:
    """What was assigned. `roster` is None if there was none."""

    labs: tuple[str, ...]
    due: datetime | None
    roster: Path | None


def read_assignment(folder: Path) -> Assignment:
    """What `mmlocks assign` wrote into the folder. Raises GradingError."""
    file = folder / FILE if folder.is_dir() else folder
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
        labs, due = told["labs"], told.get("due")
    except OSError as problem:
        raise GradingError(
            f"{file} cannot be read: {problem.strerror or problem}. Name the folder that "
            "`mmlocks assign` wrote."
        ) from None
    except (ValueError, KeyError) as problem:
        raise GradingError(f"{file} is not what `mmlocks assign` wrote: {problem}.") from None
    if not (
        isinstance(labs, list)
        and labs
        and all(isinstance(lab, str) for lab in labs)
        and (due is None or (isinstance(due, datetime) and due.tzinfo is not None))
    ):
        raise GradingError(f"{file}: labs must be a list of names, and due a time with an offset.")
    roster = file.with_name(ROSTER)
    return Assignment(tuple(labs), due, roster if roster.exists() else None)
