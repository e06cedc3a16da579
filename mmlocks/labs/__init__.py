"""The labs: what the learner writes, which scenarios judge it, its points, and hints.

Each lab is a folder of data: its checks and hints, and its bank of known fixes.
"""

from pathlib import Path

from mmlocks.errors import AnswerError
from mmlocks.labs.answer import Answer, read_answer
from mmlocks.labs.folder import FILE, HERE, labs_in, read_lab
from mmlocks.labs.lab import Check, CheckResult, Judgement, Lab

LABS: dict[str, Lab] = labs_in(HERE)
"""All labs of this package, by name."""


def lab_named(name: str) -> Lab:
    """The lab of that name; `07` and `lab07` will do. A path is a lab of your own, in a folder.

    Raises AnswerError, which lists the labs, for any other name.
    """
    if not isinstance(name, str):
        raise AnswerError(f'a lab has a name in quotes, as in lab("07"), and this is {name!r}.')
    for lab in LABS.values():
        if name in (lab.name, lab.short_name, lab.short_name.removeprefix("lab")):
            return lab
    if "/" in name or (Path(name) / FILE).is_file():
        return read_lab(Path(name))
    raise AnswerError(
        f"there is no lab called {name!r}. Known labs: {', '.join(LABS)}. A lab of your own is the "
        f"path of its folder, in which there is a {FILE}."
    )


__all__ = [
    "LABS",
    "Answer",
    "Check",
    "CheckResult",
    "Judgement",
    "Lab",
    "lab_named",
    "read_answer",
    "read_lab",
]
