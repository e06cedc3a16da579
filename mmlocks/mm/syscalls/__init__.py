"""The system calls that change an address space, and what they share: placement, merge, split.

Reading order: placement, merge, split, modify, mmap, munmap, mprotect, brk, mremap, madvise.
"""
