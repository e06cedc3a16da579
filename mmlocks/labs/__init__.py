"""The labs: what the learner writes, which scenarios judge it, its points, and hints.

Each lab is a folder: its checks and hints, its own judges, and its bank of known fixes.
"""

from mmlocks.errors import AnswerError
from mmlocks.labs.answer import Answer, read_answer
from mmlocks.labs.lab import Check, CheckResult, Judgement, Lab
from mmlocks.labs.lab07_fork_vs_fault import LAB07

LABS: dict[str, Lab] = {lab.name: lab for lab in (LAB07,)}


def lab_named(name: str) -> Lab:
    """The lab of that name; `07` and `lab07` will do.

    Raises AnswerError, which lists the labs, for any other name.
    """
    if not isinstance(name, str):
        raise AnswerError(f'a lab has a name in quotes, as in lab("07"), and this is {name!r}.')
    for lab in LABS.values():
        if name in (lab.name, lab.name.split("_")[0], lab.name.split("_")[0].removeprefix("lab")):
            return lab
    raise AnswerError(f"there is no lab called {name!r}. Known labs: {', '.join(LABS)}.")


__all__ = ["LABS", "Answer", "Check", "CheckResult", "Judgement", "Lab", "lab_named", "read_answer"]
