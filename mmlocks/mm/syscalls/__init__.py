"""The system calls that change an address space, and what they share: placing, merging and splitting areas.

Reading order: placement, merge, split, modify, mmap, munmap, mprotect, brk, mremap, madvise.
"""
