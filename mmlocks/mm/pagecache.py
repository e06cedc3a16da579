"""Files: their pages in memory, which every process that maps them shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Record, Step, View, operation
from mmlocks.machine.step import NOTHING
from mmlocks.mm.frames import Frame, Memory

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm


class File(Record):
    """A file of `pages` pages that can be mapped (kernel: struct file with its address_space).

    All its pages are in memory; their first words are `words(page)`. Which frame a page has never changes; the first reference to each is the
    page cache's own.
    """

    def __init__(
        self, layout: Layout, memory: Memory, name: str, pages: int, words: Callable[[int], tuple[Any, ...]]
    ) -> None:
        super().__init__(layout, name)
        self.pages = pages
        self._memory = memory
        self._words = words
        # A file may have many pages of which few are looked at. In a search, everything must be there in advance.
        self._frames: dict[int, Frame] = {}
        for page in range(0 if layout.grows else pages):
            self.frame(page)

    def frame(self, page: int) -> Frame | None:
        """The frame of a page; None beyond the file's end."""
        if page >= self.pages:
            return None
        if page not in self._frames:
            name = f"{self.name} page {page}"
            self._frames[page] = self._memory.new_frame(name, count=1, values=self._words(page))
        return self._frames[page]


async def shmem_zero_setup(mm: Mm, pages: int) -> File:
    """A nameless file of zeros, to stand behind shared anonymous memory (mm/shmem.c shmem_zero_setup).

    Raises ModelError in a search, which has no room for new files.
    """
    file: File = await Step("shmem_zero_setup", (mm, pages))
    return file


def _shmem(view: View, cpu: int, mm: Mm, pages: int) -> File:
    layout = view.layout
    if not layout.grows:
        raise ModelError(
            f"cpu{cpu} maps shared anonymous memory, for which a search has no room. Map a file instead."
        )
    name = f"/dev/zero {len(layout.records)} (deleted)"
    return File(layout, mm.memory, name, pages, lambda page: (0,) * mm.memory.slots)


operation("shmem_zero_setup", lambda layout, cpu, *_: NOTHING, _shmem)
