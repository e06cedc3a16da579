"""Physical memory: frames with a reference count and a few words of data.

Each CPU allocates from frames of its own, set aside for each page that it may touch, so that allocations on
different CPUs do not disturb each other (Linux: per-CPU page lists). A frame whose count drops to 0 is filled with POISON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine import Cell, Layout, Record, Step, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, touching

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm
    from mmlocks.mm.pagecache import File
    from mmlocks.mm.reclaim import try_to_free_pages
    from mmlocks.mm.rmap import AnonVma

POISON = "freed"
EMPTY: Any = POISON  # what a frame holds that nobody has allocated yet


class Frame(Record):
    """A page of physical memory (kernel: struct folio of order 0).

    `anonymous` frames belong to whoever maps them; the zero frame and those of the page cache do not. They are filed in an anon_vma,
    `mapping`, under `index` (see rmap).
    """

    def __init__(
        self, layout: Layout, name: str, slots: int, anonymous: bool = True, notified: bool = False
    ) -> None:
        super().__init__(layout, name)
        self.anonymous = anonymous
        # Room for a reference from every CPU and every page table at once.
        self.refcount = layout.counter(f"{name}.refcount", 0, bits=4)
        self.data = tuple(layout.cell(f"{name}[{slot}]", EMPTY, bits=3) for slot in range(slots))
        layout.hide(self.data)
        self.index: Cell[int | None] = layout.cell(f"{name}.index", None, bits=3)
        self.mapping: Cell[AnonVma | None] = layout.cell(f"{name}.mapping", None, bits=3)
        layout.read_only([self.index, self.mapping])
        # Only where somebody looks at it: on frames of files that want to be told.
        self.dirty: Cell[bool] | None = (
            layout.cell(f"{name}.dirty", False, bits=1) if notified else None
        )


class Memory(Record):
    """All frames of a machine: the zero frame, and the frames that may ever stand behind each page.

    `pools[page][cpu]` are the frames that `cpu` may allocate for `page`; `behind[page]` all that page can map. Where memory is short,
    `reclaimable` is the file of which a page is taken from everybody before a frame can be had.
    """

    def __init__(self, layout: Layout, slots: int, name: str = "memory") -> None:
        super().__init__(layout, name)
        self.layout = layout
        self.slots = slots
        self.frames: list[Frame] = []
        self.zero = self.new_frame("zero", count=1, values=(0,) * slots)
        self.behind: dict[int, list[Frame]] = {}
        self.pools: dict[tuple[int, int], list[Frame]] = {}
        self.reclaimable: File | None = None

    def new_frame(
        self,
        name: str | None = None,
        count: int = 0,
        values: tuple[Any, ...] = (),
        notified: bool = False,
    ) -> Frame:
        """One more frame; in use from the start if `count` is not 0; one of a file that has a name, and may be `notified` of stores."""
        called = name or f"F{len(self.frames)}"
        frame = Frame(self.layout, called, self.slots, anonymous=name is None, notified=notified)
        if name is None:
            self.frames.append(frame)
        self.layout.preset(frame.refcount, count)
        for cell, value in zip(frame.data, values, strict=False):
            self.layout.preset(cell, value)
        return frame


async def vma_alloc_folio(mm: Mm, page: int, copied_from: Frame | None) -> Frame:
    """Allocate a frame for a page, zeroed or with the contents of another frame; reference count 1.

    Kernel:  mm/mempolicy.c vma_alloc_folio(), then clear_huge_page() or mm/memory.c __wp_page_copy_user().
    Locks:   none: the frame is nobody else's yet. *Reading the old frame is not protected by anything here.* Where memory is short, reclaim
             takes some on the way.
    Differs: allocation and copy are one step, as nobody can see the frame in between; a copy is not torn within a page.
    """
    if (
        mm.memory.reclaimable is not None
    ):  # reclaim is built on frames; linking finds it all the same
        await try_to_free_pages(mm.memory.reclaimable)
    frame: Frame = await vma_alloc_folio_step(mm, page, copied_from)
    return frame


def vma_alloc_folio_step(mm: Mm, page: int, copied_from: Frame | None) -> Step:
    """The step inside `vma_alloc_folio`; its result is the frame."""
    return Step("alloc_folio", (mm, page, copied_from))


async def folio_get(folio: Frame) -> None:
    """Take a reference, so that the frame stays (include/linux/mm.h folio_get)."""
    await folio.refcount.add(1)


async def folio_put(memory: Memory, folio: Frame) -> None:
    """Drop a reference; the last one frees the frame (include/linux/mm.h folio_put)."""
    if folio is not memory.zero:
        await put_step(folio)


def put_step(folio: Frame) -> Step:
    """The step inside `folio_put`, to be taken together with another."""
    return Step("folio_put", (folio,))


def use(view: View, cpu: int, frame: Frame, what: str) -> None:
    """Report a violation if `frame` has been freed. Every access to a frame's data passes here."""
    if view[frame.refcount.index] == 0:
        raise ViolationSignal(
            "freed_frame", f"cpu{cpu}: {what} {frame}, which has been freed (its count is 0)"
        )


def data_of(frames: list[Frame]) -> list[int]:
    """Cell indices of the frames' contents."""
    return [cell.index for frame in frames for cell in frame.data]


def counts_of(frames: list[Frame]) -> list[int]:
    """Cell indices of the frames' reference counts."""
    return [frame.refcount.index for frame in frames]


def _alloc_touches(layout: Layout, cpu: int, mm: Mm, page: int, old: Frame | None) -> Footprint:
    pool = mm.memory.pools.get((page, cpu), [])
    olds = [old] if old is not None else []
    translations = mm.tlb.entries((page,)) if mm.stale_at_copy and old is not None else []
    return touching(
        reads=[*counts_of(pool), *counts_of(olds), *data_of(olds), *translations],
        writes=[*counts_of(pool), *data_of(pool)],
    )


def _alloc(view: View, cpu: int, mm: Mm, page: int, old: Frame | None) -> Frame:
    free = [
        frame for frame in mm.memory.pools.get((page, cpu), []) if view[frame.refcount.index] == 0
    ]
    if view.layout.grows:
        free.append(mm.memory.new_frame())
    if not free:
        count = len(mm.memory.pools.get((page, cpu), []))
        raise ScenarioTooSmall(f"cpu{cpu} has no free frame left for P{page} (there were {count})")
    if old is not None:
        use(view, cpu, old, f"copies P{page} from")
        if mm.stale_at_copy:
            _watch_copy(view, cpu, mm, page, old)
    frame = free[0]
    view[frame.refcount.index] = 1
    for slot, cell in enumerate(frame.data):
        view[cell.index] = view[old.data[slot].index] if old is not None else 0
    return frame


def _watch_copy(view: View, cpu: int, mm: Mm, page: int, old: Frame) -> None:
    for other in range(view.layout.cpus):
        entry = view[mm.tlb.entry(other, page).index]
        if other != cpu and entry is not None and entry.write and entry.frame is old:
            raise ViolationSignal(
                "stale_copy",
                f"cpu{cpu} copies P{page} from {old} while cpu{other} can still write to {old} through its TLB: "
                f"what it writes from now on is lost",
            )


def _put(view: View, cpu: int, folio: Frame) -> None:
    count = view[folio.refcount.index]
    if count == 0:
        raise ViolationSignal(
            "freed_frame", f"cpu{cpu}: drops a reference to {folio}, which has been freed already"
        )
    view[folio.refcount.index] = count - 1
    if count == 1:
        for cell in folio.data:
            view[cell.index] = POISON
        view[folio.index.index] = view[folio.mapping.index] = None


operation("alloc_folio", _alloc_touches, _alloc)
operation(
    "folio_put",
    lambda layout, cpu, folio: touching(
        reads=counts_of([folio]),
        writes=[*counts_of([folio]), *data_of([folio]), folio.index.index, folio.mapping.index],
    ),
    _put,
)
