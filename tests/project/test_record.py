"""The project says nothing of Linux's history that RECORD.md has no source for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmlocks.explain.tools import ASSERTED
from mmlocks.oracles.fields import ROWS
from mmlocks.releases import LAYOUT_RULES, PATCHES, RELEASES

ROOT = Path(__file__).resolve().parents[2]
RECORD = (ROOT / "RECORD.md").read_text(encoding="utf-8")
HASH = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b")
"""A commit as it is written everywhere here: twelve digits."""


def rows(head: str) -> dict[str, str]:
    """The first two columns of the table under that head."""
    part = RECORD.partition(f"\n## {head}\n")[2].partition("\n## ")[0]
    lines = [line.split("|")[1:3] for line in part.splitlines() if line.startswith("| ")]
    return {first.strip(): second.strip() for first, second in lines[1:]}


def texts() -> Iterator[tuple[str, str]]:
    """What learners and maintainers read: code, pages, and the notebooks' cells."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for file in (*pages, *(ROOT / "mmlocks").rglob("*.py")):
        if file.name != "RECORD.md":
            yield file.name, file.read_text(encoding="utf-8")
    for file in (ROOT / "lessons").glob("*.ipynb"):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        yield file.name, "\n".join("".join(cell["source"]) for cell in cells)


def test_every_commit_that_is_named_is_on_record() -> None:
    known = rows("Commits")
    missing = {
        (name, each) for name, text in texts() for each in HASH.findall(text) if each not in known
    }
    assert not missing


def test_every_patch_was_shipped_when_the_record_says() -> None:
    known = rows("Commits")
    for patch in (*PATCHES.values(), *LAYOUT_RULES.values()):
        if HASH.fullmatch(patch.commit):
            assert known[patch.commit] == patch.shipped, patch.name


def test_every_release_came_out_when_the_record_says() -> None:
    known = rows("Releases")
    named = {
        name.removesuffix("-like").removesuffix(".0"): each.date for name, each in RELEASES.items()
    }
    assert {name: named[name] for name in known} == known
    said = {
        "disabled": "2023-07-03",
        "reverted": "2023-07-08",
        "prewalk": "2023-07-08",
        "speculative": "2022-01-28",
    }
    assert {name: date for name, date in named.items() if name not in known} == said
    assert all(f"({date})" in RECORD for date in said.values())


def test_what_linux_asserts_is_said_of_the_first_release_of_ours_that_has_it() -> None:
    """find_vma's assertion is older than VMA locks; the others came with those."""
    assert {function: since for (function, _), since in ASSERTED.items()} == {
        "vma_start_write": "6.4", "vma_end_write_all": "6.4", "do_vmi_munmap": "6.4", "find_vma": "6.1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("Mm.brk", "arg_lock"),
        ("Mm.map_count", "the code of"),
        ("Vma.vm_lock_seq", "b1f02b95758d"),
        ("Mm.mm_lock_seq", "b1f02b95758d"),
        ("Vma.anon_vma", "not modelled"),
    ],
)
def test_a_row_of_the_table_names_the_text_that_says_so_or_the_code(row: str, says: str) -> None:
    assert says in next(each.source for each in ROWS if each.name == row)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ("vmf_anon_prepare() (6.8", "6.7, 164b06f238b9"),
        ("with no pages in them", "the list, not the commits"),
        ("since 6.6 faults on files lock nothing", "most since 6.7"),
        ("include/linux/mm_types.h (5e31275cc997)", "the comments came with b1f02b95758d"),
    ],
)
def test_what_the_record_contradicts_is_said_nowhere(wrong: str, where: str) -> None:
    assert not [name for name, text in texts() if wrong in " ".join(text.split())], where
