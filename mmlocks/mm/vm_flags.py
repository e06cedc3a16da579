"""vm_flags: what may be done with the memory of a VMA, and how the kernel treats it (include/linux/mm.h)."""

from __future__ import annotations

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 0x1, 0x2, 0x4, 0x8
VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC, VM_MAYSHARE = 0x10, 0x20, 0x40, 0x80
VM_GROWSDOWN, VM_ACCOUNT, VM_NORESERVE = 0x100, 0x100000, 0x200000
VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC
VM_MAY_ACCESS = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
"""What mprotect may allow, each four bits above what it allows."""


def vm_get_page_prot(flags: int) -> bool:
    """Whether an entry may be writable from the start: shared memory's; a private page must be copied first (mm/pgprot.c)."""
    return flags & (VM_SHARED | VM_WRITE) == VM_SHARED | VM_WRITE


def flags_text(flags: int) -> str:
    """`rw-p` as in /proc/PID/maps, and in words what else there is."""
    letters = (("r", VM_READ), ("w", VM_WRITE), ("x", VM_EXEC))
    perms = "".join(letter if flags & bit else "-" for letter, bit in letters)
    words = (("growsdown", VM_GROWSDOWN), ("account", VM_ACCOUNT), ("noreserve", VM_NORESERVE))
    return " ".join(
        [perms + ("s" if flags & VM_SHARED else "p"), *(word for word, bit in words if flags & bit)]
    )
