"""What the names in the last column of /proc/PID/maps tell about an area.

Sources: Documentation/filesystems/proc.rst and proc_pid_maps(5) for the names in brackets. For the
others Linux 6.18 was made to map them, shared and private where both are allowed: /dev/zero,
memfds, files in /dev/shm, huge pages, SysV and secret memory, and buffers of perf, io_uring, aio
and a packet socket. Android's names and older ones are from saved maps and from the drivers' code.
"""

from __future__ import annotations

import re
from enum import Enum

from mmlocks.mm.area import Area


class Origin(Enum):
    """What lies behind an area."""

    NOTHING = "no file"
    HEAP = "[heap]"
    STACK = "[stack], or [stack:TID]"
    KERNEL = "the kernel's own: [vdso], or a buffer that it shares with the program"
    MEMORY = "a file that is kept in memory, on no disk"
    ZEROS = "zeros: anonymous memory if mapped privately, a file in memory if shared"
    DEVICE = "a name in /dev: mostly a device, but maps does not say so"
    SYSTEM = "a name in /proc or /sys: the kernel makes up what it holds"
    FILE = "any other file"


_MEMORY = re.compile(
    r"/memfd:|/dev/shm/|/run/shm/|/dev/hugepages|/dev/__properties__/|/SYSV[0-9a-f]{8}\b|/dmabuf:"
    r"|anon_inode:dmabuf|\[anon_shmem:|/dev/zero \(deleted\)"
    r"|/(?:secretmem|i915|drm mm object) \(deleted\)$"
)
_ZEROS = re.compile(r"/dev/zero$|/dev/ashmem(?:[/ ]|$)|/anon_hugepage(?: |$)")
_KERNEL = re.compile(r"\[|/\[aio\]|\w[\w.-]*:")
"""Names in brackets, and names of files in no folder: socket:[7], anon_inode:[perf_event]."""
_NAMELESS = re.compile(
    r"(?:/memfd:|/SYSV[0-9a-f]{8}\b|/dev/zero|/dev/ashmem|/anon_hugepage|/secretmem|/i915"
    r"|/drm mm object|/\[aio\]).*(?= \(deleted\)$)"
)
_THREAD = re.compile(r"\[stack:([0-9]+)\]")
_LIBRARY = re.compile(r"\.so(\.[0-9][\w.-]*)?(;[0-9a-f]+)?( \(deleted\))?$")

_ABOUT = {
    "[vdso]": "system calls without entering it",
    "[vvar]": "data for [vdso]",
    "[vvar_vclock]": "clock data for [vdso]",
    "[vsyscall]": "ancestor of [vdso]",
    "[vectors]": "helpers of 32-bit ARM",
    "[sigpage]": "the way back from signals",
    "[uprobes]": "for tracing",
    "/[aio]": "ring of io_setup",
    "anon_inode:[perf_event]": "for perf_event_open",
    "anon_inode:[io_uring]": "queues of io_uring",
    "anon_inode:kvm-vcpu": "for a virtual CPU",
    "anon_inode:bpf-map": "a map of BPF",
    "anon_inode:[vfio-device]": "a device's memory",
    "socket:[": "buffer of a socket",
}


def origin(area: Area) -> Origin:
    """What lies behind an area, by its name; flag `ht` marks other files that are in memory."""
    file = area.file
    if not file or file.startswith("[anon:") or file == "[anon]":
        return Origin.NOTHING
    if file == "[heap]":
        return Origin.HEAP
    if file == "[stack]" or thread(file):
        return Origin.STACK
    if _ZEROS.match(file):
        return Origin.ZEROS
    if _MEMORY.match(file):
        return Origin.MEMORY
    if _KERNEL.match(file):
        return Origin.KERNEL
    if file.startswith("/dev/"):
        return Origin.DEVICE
    if file.startswith(("/sys/", "/proc/")):
        return Origin.SYSTEM
    return Origin.MEMORY if area.flags and "ht" in area.flags else Origin.FILE


def about(file: str) -> str:
    """What an area of the kernel is for, in a few words; "" if its name is not known here."""
    return next((words for name, words in _ABOUT.items() if file.startswith(name)), "")


def shown_name(file: str) -> str:
    """The name, without the " (deleted)" of files that were never in a folder."""
    found = _NAMELESS.match(file)
    return found[0] if found else file


def thread(file: str) -> str:
    """The number of the thread whose stack is there ([stack:TID], Linux 3.4 to 4.4); else ""."""
    found = _THREAD.fullmatch(file)
    return found[1] if found else ""


def given_name(file: str) -> str:
    """The name in `[anon:name]`, given by prctl(PR_SET_VMA_ANON_NAME); else ""."""
    return file.removeprefix("[anon:").removesuffix("]") if file.startswith("[anon:") else ""


def like_library(file: str) -> bool:
    """Whether a name ends like libc.so.6.

    Having code says less: plugins and a program's own files have code too.
    """
    return _LIBRARY.search(file) is not None


def shared(area: Area) -> bool:
    """Whether stores reach all that map the same, and not a private copy."""
    return area.perms.endswith("s")
