"""The fix on the other side: the fast path of faults always says no, through an object that can be called. (Costly.)"""

from mmlocks.mm import *


class NoFastPath:
    """Per-VMA locks switched off by an object that always says no."""

    async def __call__(self, mm, address):
        return None


_no = NoFastPath()


async def lock_vma_under_rcu(mm, address):
    return await _no(mm, address)
