"""`mmlocks` runs a command line in this process; `answers` writes learners' files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

RIGHT = """
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
"""
LOCK_LINE = "        await vma_start_write(mpnt)\n"
ALL_AT_ONCE = "    for mpnt in await for_each_vma(oldmm):\n" + LOCK_LINE
ANSWERS = {
    "right": RIGHT,
    "wrong": RIGHT.replace(LOCK_LINE, ""),
    "costly": RIGHT.replace(LOCK_LINE, "").replace("    for", ALL_AT_ONCE + "    for", 1),
}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns and no colour, whatever the tests are run in."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mmlocks() -> Callable[..., Result]:
    from mmlocks.cli.app import app

    def run(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)

    return run


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """A folder with `right.py`, `wrong.py` and `costly.py`."""
    for name, text in ANSWERS.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path
