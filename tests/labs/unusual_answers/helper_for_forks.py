"""What helper_module.py imports. It is no answer by itself."""

from mmlocks.mm import (
    copy_page_range,
    mmap_write_lock,
    mmap_write_unlock,
    vm_area_dup,
    vma_start_write,
)


class MmapWriteLocked:
    def __init__(self, mm):
        self.mm = mm

    async def __aenter__(self):
        await mmap_write_lock(self.mm)

    async def __aexit__(self, *_):
        await mmap_write_unlock(self.mm)


async def share(mm, vma):
    await vma_start_write(vma)
    await copy_page_range(await vm_area_dup(mm, vma), vma)
