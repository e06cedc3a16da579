"""Kernel releases as sets of named patches.

Kernel functions in `mmlocks.mm` are written once, with every patch applied. Lines that a patch
added stand under `if THE_PATCH:`. Lines that it removed stand under `if not THE_PATCH:`. A kernel
is linked for one release (`mmlocks.mm.kernel`), which makes each of these names true or false.
Releases differ in nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmlocks.errors import ModelError


@dataclass(frozen=True)
class Patch:
    """One change to Linux: our name for it, its commit, when it was shipped, and what it does.

    `about` is a sentence of ours.
    """

    name: str
    commit: str
    shipped: str
    about: str

    def __bool__(self) -> bool:
        raise ModelError(
            f"{self.name} is not true or false here: this kernel function is not linked to a "
            "release. Call it through a Kernel: Kernel(RELEASES['6.4.3']).dup_mmap(...)."
        )


# The first scheme and its successor.
PER_VMA_LOCKS = Patch(
    "per_vma_locks",
    "0bff0aaea03e",
    "6.4",
    "a page fault first tries to lock only the VMA that it hits "
    "(x86; the lock itself came with 5e31275cc997)",
)
FIRST_FAULT_FALLS_BACK = Patch(
    "first_fault_falls_back",
    "2ac0af1b66e3",
    "6.4",
    "the first fault on a VMA, which gives it its anon_vma, is left to the slow path",
)
FILE_FAULTS_LOCK_VMA = Patch(
    "file_faults_lock_vma",
    "350f6bbca1de",
    "6.6",
    "faults on memory backed by a file also lock only the VMA that they hit "
    "(6.6: only faults that map the pages around them from the page cache; 6.7: most others)",
)

MUNMAP_ALWAYS_DOWNGRADES = Patch(
    "munmap_always_downgrades",
    "e4bd84c069f2",
    "6.5",
    "munmap goes on with mmap_lock for reading, whether or not a stack lies above the hole",
)

# The repairs, oldest first.
STACK_GROWS_EXCLUSIVELY = Patch(
    "stack_grows_exclusively",
    "8d7071af8907",
    "6.4.1",
    "a stack grows only under mmap_lock held for writing; "
    "before, two faults that held it for reading could meet there",
)
FORK_LOCKS_VMAS = Patch(
    "fork_locks_vmas",
    "fb49c455323f",
    "6.4.3",
    "fork write-locks each parent VMA before it copies it, "
    "so that no fault can run there until fork has flushed the TLBs",
)
STACK_LOCKS_VMA = Patch(
    "stack_locks_vma",
    "c137381f71ae",
    "6.4.3",
    "stack expansion write-locks the VMA before it moves vm_start and vm_pgoff",
)
NEW_VMA_LOCKED = Patch(
    "new_vma_locked",
    "33313a747e81",
    "6.4.3",
    "mmap write-locks a new VMA before other CPUs can find it in the tree",
)
NEW_VMA_LOCKED_FIRST = Patch(
    "new_vma_locked_first",
    "1c7873e33645",
    "6.4.3",
    "... and before it takes i_mmap_rwsem, which is the order of all other code",
)
MERGE_LOCKS_FIRST = Patch(
    "merge_locks_first",
    "d8ab9f7b644a",
    "6.4.8",
    "a VMA that grows by merging is write-locked before it takes over its neighbour's anon_vma",
)
ANON_VMA_CHECKED_LOCKED = Patch(
    "anon_vma_checked_locked",
    "657b5146955e",
    "6.4.10",
    "a fault asks whether the VMA has an anon_vma after it has locked that VMA, not before",
)

# Roads not taken.
FORK_LOCKS_ALL_FIRST = Patch(
    "fork_locks_all_first",
    "2b4f3b4987b5",
    "6.4.3-rc1",
    "fork write-locks all VMAs of the parent in a separate walk, before it copies the first; "
    "dropped again before 6.4.3",
)
SPECULATIVE_FAULTS = Patch(
    "speculative_faults",
    "v2 of 2022-01-28",
    "never",
    "a page fault first tries without any lock: it copies the VMA, "
    "and gives up if the address space was write-locked meanwhile",
)

PATCHES = {
    patch.name: patch
    for patch in (
        PER_VMA_LOCKS,
        FIRST_FAULT_FALLS_BACK,
        STACK_GROWS_EXCLUSIVELY,
        FORK_LOCKS_VMAS,
        STACK_LOCKS_VMA,
        NEW_VMA_LOCKED,
        NEW_VMA_LOCKED_FIRST,
        MERGE_LOCKS_FIRST,
        ANON_VMA_CHECKED_LOCKED,
        MUNMAP_ALWAYS_DOWNGRADES,
        FILE_FAULTS_LOCK_VMA,
        FORK_LOCKS_ALL_FIRST,
        SPECULATIVE_FAULTS,
    )
}

# Rules of layout that are newer than 6.4. No release of this course has them. The running kernel
# may have them (mmlocks.conformance.rules), and then the model follows them in a comparison.

THP_ALIGNS_MMAP = Patch(
    "thp_aligns_mmap",
    "efa7df3e3bb5",
    "6.7",
    "anonymous mappings of 2 MiB and more are placed at multiples of 2 MiB, so that huge pages fit",
)
THP_ALIGNS_MULTIPLES_ONLY = Patch(
    "thp_aligns_multiples_only",
    "d4148aeab412",
    "6.12",
    "... but only those whose length is a multiple of 2 MiB",
)
UNFAULTED_MERGES = Patch(
    "unfaulted_merges",
    "879bca0a2c4f",
    "6.16",
    "an untouched area merges with a touched neighbour on either side, "
    "unless the neighbour inherited its anon_vma by fork",
)
MREMAP_MOVES_SEVERAL = Patch(
    "mremap_moves_several",
    "d23cb648e365",
    "6.17",
    "mremap to a fixed place moves several VMAs at once, and the holes between them",
)

LAYOUT_RULES = {
    patch.name: patch
    for patch in (
        THP_ALIGNS_MMAP,
        THP_ALIGNS_MULTIPLES_ONLY,
        UNFAULTED_MERGES,
        MREMAP_MOVES_SEVERAL,
    )
}


@dataclass(frozen=True)
class Release:
    """A kernel version: its name, when it came out, its patches, and a few words about it."""

    name: str
    date: str
    patches: frozenset[Patch]
    about: str = ""

    def with_patch(self, name: str) -> Release:
        """This release with one more patch, named `6.4.0+fork_locks_vmas`."""
        patch = patch_named(name)
        return (
            self
            if patch in self.patches
            else Release(f"{self.name}+{name}", self.date, self.patches | {patch})
        )

    def without_patch(self, name: str) -> Release:
        """This release without one patch, named `6.4.3-fork_locks_vmas`."""
        patch = patch_named(name)
        return (
            Release(f"{self.name}-{name}", self.date, self.patches - {patch})
            if patch in self.patches
            else self
        )


_6_1: frozenset[Patch] = frozenset()
_6_4_0 = _6_1 | {PER_VMA_LOCKS, FIRST_FAULT_FALLS_BACK}
_6_4_1 = _6_4_0 | {STACK_GROWS_EXCLUSIVELY}
_6_4_3 = _6_4_1 | {FORK_LOCKS_VMAS, STACK_LOCKS_VMA, NEW_VMA_LOCKED, NEW_VMA_LOCKED_FIRST}
_6_4_8 = _6_4_3 | {MERGE_LOCKS_FIRST}
_6_4_10 = _6_4_8 | {ANON_VMA_CHECKED_LOCKED}

RELEASES = {
    release.name: release
    for release in (
        Release(
            "6.1",
            "2022-12-11",
            _6_1,
            "one lock, and VMAs in a maple tree; "
            "its old nodes wait for RCU readers, as in 6.1.y since April 2023",
        ),
        Release("6.3", "2023-04-23", _6_1, "the last with one lock"),
        Release("6.4.0", "2023-06-25", _6_4_0, "the first with a lock per VMA"),
        Release("6.4.1", "2023-07-01", _6_4_1),
        Release("6.4.3", "2023-07-11", _6_4_3, "the repairs of July"),
        Release("6.4.8", "2023-08-03", _6_4_8),
        Release("6.4.10", "2023-08-11", _6_4_10),
        Release(
            "6.6-like",
            "2023-10-29",
            _6_4_10 | {MUNMAP_ALWAYS_DOWNGRADES, FILE_FAULTS_LOCK_VMA},
            "6.4.10 with 6.5's munmap, and with faults on files under the VMA lock "
            "(6.6 had the first of them, 6.7 most); not everything else in 6.6",
        ),
        Release(
            "prewalk",
            "2023-07-08",
            _6_4_1 | {FORK_LOCKS_ALL_FIRST, STACK_LOCKS_VMA, NEW_VMA_LOCKED, NEW_VMA_LOCKED_FIRST},
            "the repairs, with the first repair of fork, which Linux took and dropped again",
        ),
        Release(
            "disabled",
            "2023-07-03",
            _6_4_1 - {PER_VMA_LOCKS, FIRST_FAULT_FALLS_BACK},
            "6.4.1 with CONFIG_PER_VMA_LOCK=n, as it was proposed",
        ),
        Release(
            "reverted",
            "2023-07-08",
            _6_1 | {STACK_GROWS_EXCLUSIVELY},
            "6.4.1 with all of per-VMA locks taken out again",
        ),
        Release(
            "speculative",
            "2022-01-28",
            _6_1 | {SPECULATIVE_FAULTS},
            "speculative page faults as posted for 5.17-rc1, here on the tree of 6.1",
        ),
    )
}

NEWEST = RELEASES["6.6-like"]
"""The release with every repair."""


def patch_named(name: str) -> Patch:
    """The patch with that name or commit. Raises ModelError, which lists the known names."""
    for patch in PATCHES.values():
        if name in (patch.name, patch.commit):
            return patch
    raise ModelError(f"there is no patch called {name!r}. Known patches: {', '.join(PATCHES)}.")


def add_patch(patch: Patch) -> None:
    """Make `patch_named` know one more patch, from a scenario's file.

    Raises ModelError if another change already has that name.
    """
    known = PATCHES.get(patch.name, patch)
    if known.commit != patch.commit:
        raise ModelError(
            f"another patch is already called {patch.name}: {known.commit}. "
            "Give yours another name."
        )
    PATCHES[patch.name] = patch


def release_named(text: str) -> Release:
    """The release written as `6.4.0`, `6.4.0+fork_locks_vmas` or `6.4.3-fork_locks_vmas`.

    Raises ModelError, which lists the known releases.
    """
    if not isinstance(text, str):
        raise ModelError(
            f"a release is named by a text such as '6.4.0', not by {text!r}. Put it in quotes."
        )
    name, *changes = split_name(text)
    if name not in RELEASES:
        raise ModelError(f"there is no release {name!r}. Known releases: {', '.join(RELEASES)}.")
    release = RELEASES[name]
    for change in changes:
        release = (
            release.with_patch(change[1:])
            if change[0] == "+"
            else release.without_patch(change[1:])
        )
    return release


def split_name(text: str) -> list[str]:
    """A release's own name, then each change with its sign: `6.6-like`, `-fork_locks_vmas`.

    A release's own name may contain a hyphen.
    """
    known = [name for name in RELEASES if text == name or text.startswith((f"{name}+", f"{name}-"))]
    name = max(known, key=len) if known else re.split(r"[+-]", text)[0]
    return [name, *re.findall(r"[+-][^+-]*", text[len(name) :])]
