"""Kernel releases as sets of named patches.

Kernel functions in `mmlocks.mm` are written once, with every patch applied. Lines that a patch added stand under
`if THE_PATCH:`, and lines that it removed under `if not THE_PATCH:`. A kernel is linked for one release
(`mmlocks.mm.kernel`), which gives each of these names its truth value; there is no other way in which releases differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmlocks.errors import ModelError


@dataclass(frozen=True)
class Patch:
    """One change to Linux: our name for it, the commit, when it was shipped, and what it does in a sentence of ours."""

    name: str
    commit: str
    shipped: str
    about: str

    def __bool__(self) -> bool:
        raise ModelError(
            f"{self.name} has no truth value here: this kernel function is not linked to a release. "
            "Call it through a Kernel: Kernel(RELEASES['6.4.3']).dup_mmap(...)."
        )


PER_VMA_LOCKS = Patch(
    "per_vma_locks", "0bff0aaea03e", "6.4",
    "a page fault first tries to lock only the VMA that it hits (x86; the lock itself came with 5e31275cc997)",
)  # fmt: skip
FORK_LOCKS_VMAS = Patch(
    "fork_locks_vmas", "fb49c455323f", "6.4.3",
    "fork write-locks each parent VMA before it copies it, so that no fault can run there until fork has flushed the TLBs",
)  # fmt: skip

STACK_GROWS_EXCLUSIVELY = Patch(
    "stack_grows_exclusively", "8d7071af8907", "6.4.1",
    "a stack grows only under mmap_lock held for writing; until then, two faults that held it for reading could meet there",
)  # fmt: skip
STACK_LOCKS_VMA = Patch(
    "stack_locks_vma", "c137381f71ae", "6.4.3",
    "stack expansion write-locks the VMA before it moves vm_start and vm_pgoff",
)  # fmt: skip
NEW_VMA_LOCKED = Patch(
    "new_vma_locked", "33313a747e81", "6.4.3",
    "mmap write-locks a new VMA before the tree shows it to anybody",
)  # fmt: skip

PATCHES = {
    patch.name: patch
    for patch in (
        PER_VMA_LOCKS, FORK_LOCKS_VMAS, STACK_GROWS_EXCLUSIVELY, STACK_LOCKS_VMA, NEW_VMA_LOCKED,
    )
}  # fmt: skip

# Rules of layout that are younger than 6.4. No release of this course has them; a process of the kernel underneath does
# (mmlocks.host.rules), so that the model can be compared with it.

THP_ALIGNS_MMAP = Patch(
    "thp_aligns_mmap", "efa7df3e3bb5", "6.7",
    "anonymous mappings of 2 MiB and more are placed at multiples of 2 MiB, so that huge pages fit",
)  # fmt: skip
THP_ALIGNS_MULTIPLES_ONLY = Patch(
    "thp_aligns_multiples_only", "d4148aeab412", "6.12",
    "... but only those whose length is a multiple of 2 MiB",
)  # fmt: skip
UNFAULTED_MERGES = Patch(
    "unfaulted_merges", "879bca0a2c4f", "6.16",
    "an untouched area merges with a touched neighbour on either side, unless that one's anon_vma was inherited by fork",
)  # fmt: skip
MREMAP_MOVES_SEVERAL = Patch(
    "mremap_moves_several", "d23cb648e365", "6.17",
    "mremap to a fixed place moves several VMAs at once, and the holes between them",
)  # fmt: skip

LAYOUT_RULES = {
    patch.name: patch
    for patch in (THP_ALIGNS_MMAP, THP_ALIGNS_MULTIPLES_ONLY, UNFAULTED_MERGES, MREMAP_MOVES_SEVERAL)
}


@dataclass(frozen=True)
class Release:
    """A kernel version: its name, when it came out, and the patches that it has."""

    name: str
    date: str
    patches: frozenset[Patch]

    def with_patch(self, name: str) -> Release:
        """This release and one patch more; named `6.4.0+fork_locks_vmas`."""
        patch = patch_named(name)
        return (
            self
            if patch in self.patches
            else Release(f"{self.name}+{name}", self.date, self.patches | {patch})
        )

    def without_patch(self, name: str) -> Release:
        """This release and one patch less; named `6.4.3-fork_locks_vmas`."""
        patch = patch_named(name)
        return (
            Release(f"{self.name}-{name}", self.date, self.patches - {patch})
            if patch in self.patches
            else self
        )


RELEASES = {
    release.name: release
    for release in (
        Release("6.3", "2023-04-23", frozenset()),
        Release("6.4.0", "2023-06-25", frozenset({PER_VMA_LOCKS})),
        Release("6.4.3", "2023-07-11", frozenset(PATCHES.values())),
    )
}


def patch_named(name: str) -> Patch:
    """The patch of that name or commit. Raises ModelError, listing the names there are."""
    for patch in PATCHES.values():
        if name in (patch.name, patch.commit):
            return patch
    raise ModelError(f"there is no patch called {name!r}. Known patches: {', '.join(PATCHES)}.")


def release_named(text: str) -> Release:
    """The release written as `6.4.0`, `6.4.0+fork_locks_vmas` or `6.4.3-fork_locks_vmas`.

    Raises ModelError, listing the releases there are.
    """
    import re

    name, *changes = re.split(r"(?=[+-])", text)
    if name not in RELEASES:
        raise ModelError(f"there is no release {name!r}. Known releases: {', '.join(RELEASES)}.")
    release = RELEASES[name]
    for change in changes:
        release = release.with_patch(change[1:]) if change[0] == "+" else release.without_patch(change[1:])
    return release
