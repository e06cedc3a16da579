"""Flags: what may be done with the memory of a VMA, and what a fault wants (include/linux/mm.h)."""

from __future__ import annotations

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 0x1, 0x2, 0x4, 0x8
VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC, VM_MAYSHARE = 0x10, 0x20, 0x40, 0x80
VM_GROWSDOWN, VM_ACCOUNT, VM_NORESERVE = 0x100, 0x100000, 0x200000
VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC
VM_MAY_ACCESS = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
"""What mprotect may allow: each bit is the bit that it allows, shifted by four."""

FAULT_FLAG_WRITE, FAULT_FLAG_VMA_LOCK, FAULT_FLAG_USER = 1, 2, 4
"""Of a fault: the access is a store; the VMA lock is held, not mmap_lock; user code faulted."""


def vm_get_page_prot(flags: int) -> bool:
    """Whether an entry may be writable from the start (mm/pgprot.c).

    Only shared memory's may: a private page must be copied first.
    """
    return flags & (VM_SHARED | VM_WRITE) == VM_SHARED | VM_WRITE


def flags_text(flags: int) -> str:
    """`rw-p` as in /proc/PID/maps, then the other flags in words."""
    letters = (("r", VM_READ), ("w", VM_WRITE), ("x", VM_EXEC))
    perms = "".join(letter if flags & bit else "-" for letter, bit in letters)
    perms += "s" if flags & VM_SHARED else "p"
    words = (("growsdown", VM_GROWSDOWN), ("account", VM_ACCOUNT), ("noreserve", VM_NORESERVE))
    return " ".join([perms, *(word for word, bit in words if flags & bit)])
