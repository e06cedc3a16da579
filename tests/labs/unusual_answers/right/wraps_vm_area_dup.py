"""vm_area_dup is replaced: it write-locks what it is about to copy, if that is the parent's."""

from mmlocks.mm import vm_area_dup as _vm_area_dup
from mmlocks.mm import vma_start_write


async def vm_area_dup(mm, orig):
    await vma_start_write(orig)
    copy = await _vm_area_dup(mm, orig)
    return copy
