"""Write down how the wrong fixes of a lab's bank behave: `python tools/behaviours.py LAB-FOLDER`.

It judges each of them, and searches the lab's diagnosis. Feedback compares an answer with the
result (`behaviours.json` in the folder). Run it again when a scenario, an oracle or a fix changes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmlocks.labs.feedback import BEHAVIOURS, diagnose
from mmlocks.labs.folder import read_lab
from mmlocks.labs.likeness import Behaviour, behaviour_in, written
from tests.labs.texts import Texts


def behaviour_of(folder: Path, fix: str) -> Behaviour:
    """How one fix of a lab behaves: all that judging and the diagnosis have searched."""
    lab = read_lab(folder)
    examination = lab.examination(Texts(folder / "fixes.patch").names(fix))
    for check in lab.checks:
        examination.result(check)
    diagnose(examination)
    return behaviour_in(examination.searched.items())


def behaviours_of(folder: Path) -> Mapping[str, Behaviour]:
    """How all wrong fixes of a lab behave, in the order of its bank."""
    lab = read_lab(folder)
    fixes = [name for name, fix in lab.bank.fixes.items() if fix.verdict == "wrong"]
    with ProcessPoolExecutor(2) as pool:
        return dict(zip(fixes, pool.map(partial(behaviour_of, folder), fixes), strict=True))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        (Path(name) / BEHAVIOURS).write_text(written(behaviours_of(Path(name))), encoding="utf-8")
