"""Wrong answers to lab 07, written by who has the judge's code and an hour, and uses nothing but kernel operations and plain Python.

None of them may be called CORRECT. Each is a text, as a file or a notebook's cells would hold it.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple


class Attack(NamedTuple):
    """A wrong answer.

    `why` says what is wrong with it. `rejected` is the oracle that rejects it, or words of what is said of it; `where` the scenario in which that happens,
    or the check, if only the check sees it.
    """

    name: str
    why: str
    source: str
    where: str
    rejected: str


def answer(body: str) -> str:
    """The text of an answer, without the indentation that it has in here."""
    return textwrap.dedent(body).strip() + "\n"


def fork(
    *,
    imports: str = "",
    before: str = "",
    lock: str = "await vma_start_write(mpnt)",
    dup: str = "tmp = await vm_area_dup(mm, mpnt)",
    copy: str = "await copy_page_range(tmp, mpnt)",
    after: str = "",
    flush: str = "await flush_tlb_mm(oldmm)",
    unlock: str = "await mmap_write_unlock(oldmm)",
    last: str = "",
    also: str = "",
) -> str:
    """Linux's fork of 6.4.3 with other lines in some places, and what the file holds `also`."""
    loop = "\n".join(textwrap.dedent(part).strip("\n") for part in (lock, dup, copy, after) if part)
    lines = [
        textwrap.dedent(before).strip("\n"), "await mmap_write_lock(oldmm)", "for mpnt in await for_each_vma(oldmm):", textwrap.indent(loop, "    "),
        *(textwrap.dedent(part).strip("\n") for part in (flush, unlock, last)),
    ]  # fmt: skip
    body = textwrap.indent("\n".join(line for line in lines if line), "    ")
    parts = [imports, f"async def dup_mmap(mm, oldmm):\n{body}", also]
    return "\n\n".join(textwrap.dedent(part).strip("\n") for part in parts if part) + "\n"
