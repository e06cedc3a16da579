"""What the last column of /proc/PID/maps says: which sort of thing an area shows, as far as the kernel's names tell.

Sources: Documentation/filesystems/proc.rst and proc_pid_maps(5) for the names in brackets. Linux 6.18 was made to map /dev/zero,
memfds, files in /dev/shm, huge pages, SysV and secret memory, and buffers of perf, io_uring, aio and a packet socket, shared and
private where both are allowed: its lines and flags are what is told here. Android's names and the older ones are from saved maps
and from the drivers' code.
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
    KERNEL = "something of the kernel's own: [vdso], or a buffer that it shares with the program"
    MEMORY = "a file that is kept in memory, on no disk"
    ZEROS = "zeros: what maps them privately has anonymous memory, what shares them has a file in memory"
    DEVICE = "a name in /dev: mostly a device, but maps does not say so"
    SYSTEM = "a name in /proc or /sys: the kernel makes up what it holds"
    FILE = "any other file"


_MEMORY = re.compile(
    r"/memfd:|/dev/shm/|/run/shm/|/dev/hugepages|/dev/__properties__/|/SYSV[0-9a-f]{8}\b|/dmabuf:|anon_inode:dmabuf"
    r"|\[anon_shmem:|/dev/zero \(deleted\)|/(?:secretmem|i915|drm mm object) \(deleted\)$"
)
_ZEROS = re.compile(r"/dev/zero$|/dev/ashmem(?:[/ ]|$)|/anon_hugepage(?: |$)")
_KERNEL = re.compile(r"\[|/\[aio\]|\w[\w.-]*:")
"""Names in brackets, and those of files that are in no folder: socket:[7], anon_inode:[perf_event]."""
_NAMELESS = re.compile(
    r"(?:/memfd:|/SYSV[0-9a-f]{8}\b|/dev/zero|/dev/ashmem|/anon_hugepage|/secretmem|/i915|/drm mm object|/\[aio\]).*(?= \(deleted\)$)"
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
    """What lies behind an area, by its name; of a file without a telling one, flag `ht` says that it is in memory."""
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
    """What something of the kernel's is for, in a few words; empty if its name is not known here."""
    return next((words for name, words in _ABOUT.items() if file.startswith(name)), "")


def shown_name(file: str) -> str:
    """The name without " (deleted)", if the kernel writes that behind all of its sort: they were never in a folder."""
    found = _NAMELESS.match(file)
    return found[0] if found else file


def thread(file: str) -> str:
    """The number of the thread whose stack pointer was in an area: Linux 3.4 to 4.4 call that [stack:TID]. Else ""."""
    found = _THREAD.fullmatch(file)
    return found[1] if found else ""


def given_name(file: str) -> str:
    """The name in `[anon:name]`, which a program gave with prctl(PR_SET_VMA_ANON_NAME); else ""."""
    return file.removeprefix("[anon:").removesuffix("]") if file.startswith("[anon:") else ""


def like_library(file: str) -> bool:
    """True for names such as libc.so.6: their end says it. Code says less, as plugins and a program's own files have it, too."""
    return _LIBRARY.search(file) is not None


def shared(area: Area) -> bool:
    """True if stores reach all who map the same, and not a private copy."""
    return area.perms.endswith("s")
