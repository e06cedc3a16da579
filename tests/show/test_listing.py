"""A release's source is what that release had."""

import ast
import inspect
import linecache
from pathlib import Path

import pytest

from mmlocks.machine.task import Place
from mmlocks.mm.fork import dup_mmap
from mmlocks.mm.source import PATCH_NAMES, release_lines, release_source
from mmlocks.mm.stubs import kernel_functions
from mmlocks.releases import RELEASES
from mmlocks.show.listing import listing


def test_dup_mmap_of_6_4_3_has_one_line_more_than_that_of_6_4_0() -> None:
    before = release_source(dup_mmap, "6.4.0").splitlines()
    after = release_source(dup_mmap, "6.4.3").splitlines()
    assert [line for line in after if line not in before] == ["        await vma_start_write(mpnt)"]
    assert [line for line in before if line not in after] == []


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", kernel_functions())
def test_every_function_of_every_release_is_python_without_patch_names(
    name: str, release: str
) -> None:
    tree = ast.parse(release_source(name, release))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & set(PATCH_NAMES)
    assert ast.get_docstring(tree.body[0])  # type: ignore[arg-type]


def test_the_other_branch_moves_to_where_the_if_stood_and_an_empty_block_passes() -> None:
    text = (
        "async def f():\n"
        "    if FORK_LOCKS_VMAS:\n        a()\n    else:\n        # why\n        b()\n"
        "    for x in y:\n        if FORK_LOCKS_VMAS:\n            c()\n"
    )
    lines = [line.text for line in release_lines(text, "6.4.0")]
    assert lines == ["async def f():", "    # why", "    b()", "    for x in y:", "        pass"]


def test_a_listing_keeps_the_files_line_numbers_and_folds_the_docstring() -> None:
    file = inspect.getsourcefile(inspect.unwrap(dup_mmap))  # what is imported is a stub
    assert file
    lines = Path(file).read_text().splitlines()
    line = lines.index("    await flush_tlb_mm(oldmm)") + 1
    shown = listing(Place("dup_mmap", file, line), RELEASES["6.4.0"])
    assert f">{line:>4}      await flush_tlb_mm(oldmm)" in str(shown)
    assert "vma_start_write" not in str(shown)
    assert '"""' not in str(shown)
    assert shown.purpose.startswith("Make `mm`")


def test_a_function_from_a_notebook_cell_is_found() -> None:
    name = "/tmp/ipykernel_1/1.py"
    text = "%load_ext nothing\nasync def dup_mmap(mm, oldmm):\n    await mmap_write_lock(oldmm)\n"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    shown = listing(Place("dup_mmap", name, 3), RELEASES["6.4.0"])
    assert [line.text for line in shown.lines] == text.splitlines()[1:]
    assert shown.spot == "your cell, line 3"
