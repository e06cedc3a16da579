"""The lock is taken in a function that fork calls while it copies the VMA itself, and nowhere else."""

from mmlocks.mm import *
from mmlocks.mm import anon_vma_fork as kernels


async def anon_vma_fork(vma, pvma):
    await vma_start_write(pvma)
    await kernels(vma, pvma)
