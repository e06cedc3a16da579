"""What the steps of files do: make the nameless file behind shared anonymous memory."""

from __future__ import annotations

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine import View, operation
from mmlocks.machine.step import NOTHING
from mmlocks.mm.mm_types import File, Mm


def _shmem(view: View, cpu: int, mm: Mm, pages: int) -> File:
    layout = view.layout
    if not layout.grows:
        raise ScenarioTooSmall(
            f"cpu{cpu} maps shared anonymous memory, for which a search has no room. "
            "Map a file instead."
        )
    name = f"/dev/zero {len(layout.records)} (deleted)"
    return File(layout, mm.memory, name, pages, lambda page: (0,) * mm.memory.slots)


operation("shmem_zero_setup", lambda layout, cpu, *_: NOTHING, _shmem)
