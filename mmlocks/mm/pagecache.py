"""Files: their pages in memory, which every process that maps them shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmlocks.machine import Layout, Record, RwSem
from mmlocks.mm.frames import Frame, Memory


class File(Record):
    """A file that can be mapped (kernel: struct file with its address_space). Its pages are in memory from the start.

    Fields and what protects them:
      i_mmap_rwsem   - ; held for writing by whoever adds or removes a mapping of the file
      pages          never change; each frame's first reference is the page cache's own
    """

    def __init__(
        self, layout: Layout, memory: Memory, name: str, pages: int, words: Callable[[int], tuple[Any, ...]]
    ) -> None:
        super().__init__(layout, name)
        self.i_mmap_rwsem = RwSem(layout, f"{name}.i_mmap_rwsem")
        self.pages: tuple[Frame, ...] = tuple(
            memory.new_frame(f"{name} page {page}", count=1, values=words(page)) for page in range(pages)
        )
