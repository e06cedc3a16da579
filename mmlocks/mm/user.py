"""What a program and its system calls do to its memory: load, store, fork.

An access that faults is tried again after the kernel has handled the fault.
"""

from __future__ import annotations

from typing import Any

from mmlocks.mm.fault import do_user_addr_fault
from mmlocks.mm.fork import dup_mmap
from mmlocks.mm.mm_types import Mm
from mmlocks.mm.tlb import mmu_fetch_add, mmu_load, mmu_store
from mmlocks.mm.vm_flags import FAULT_FLAG_USER, FAULT_FLAG_WRITE


async def store(mm: Mm, address: int, value: Any) -> None:
    """The program's `*address = value`."""
    while not await mmu_store(mm, address, value):
        await do_user_addr_fault(mm, address, FAULT_FLAG_WRITE | FAULT_FLAG_USER)


async def load(mm: Mm, address: int) -> Any:
    """The program's `*address`."""
    while not (got := await mmu_load(mm, address)):
        await do_user_addr_fault(mm, address, FAULT_FLAG_USER)
    return got[0]


async def copy_to_user(mm: Mm, address: int, value: Any) -> None:
    """How a system call such as read(2) gives data to the program (arch/x86/lib).

    The kernel itself stores, and faults.
    """
    while not await mmu_store(mm, address, value):
        await do_user_addr_fault(mm, address, FAULT_FLAG_WRITE)


async def copy_from_user(mm: Mm, address: int) -> Any:
    """How a system call such as write(2) gets data from the program (arch/x86/lib)."""
    while not (got := await mmu_load(mm, address)):
        await do_user_addr_fault(mm, address, 0)
    return got[0]


async def fetch_add(mm: Mm, address: int, n: int) -> int:
    """The program's atomic `old = *address, *address += n`."""
    while not (got := await mmu_fetch_add(mm, address, n)):
        await do_user_addr_fault(mm, address, FAULT_FLAG_WRITE | FAULT_FLAG_USER)
    before: int = got[0]
    return before


async def fork(mm: Mm, child: Mm) -> None:
    """The memory part of the program's `fork()`. The child does not run here."""
    await dup_mmap(child, mm)
