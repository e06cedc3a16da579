"""Once the marks are made, making feedback takes none away."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from mmlocks.errors import NotJudged
from mmlocks.grading import examine as examining
from mmlocks.grading.examine import OutOfTime, examine
from mmlocks.labs import lab_named

LAB = lab_named("07")
FLUSHES = """
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        tmp = await vm_area_dup(mm, mpnt)
        await flush_tlb_mm(oldmm)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
"""


@pytest.mark.parametrize("problem", [OutOfTime(), NotJudged("late"), RuntimeError("ours")])
def test_a_failure_in_feedback_leaves_the_finding_and_the_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    file = tmp_path / "answer.py"
    file.write_text(FLUSHES)
    alone = examine(LAB, file)
    assert alone.finding is not None

    def fails(*_: Any, **__: Any) -> NoReturn:
        raise problem

    monkeypatch.setattr(examining, "feedback_on", fails)
    found = examine(LAB, file, told=True)
    assert (found.finding, found.points, found.checks) == (
        alone.finding,
        alone.points,
        alone.checks,
    )
    assert found.feedback is None
