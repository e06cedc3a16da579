"""Addresses: pages of 4 KiB, a few words in each that scenarios use, and a process's limits.

A page of the model stands for one page table's worth of pages: it has a page-table lock of its
own, as two pages have in Linux that lie 2 MiB apart. So fork drops one lock and takes another
between two pages.
"""

from __future__ import annotations

from typing import NamedTuple

PAGE_SIZE = 0x1000
WORD = 8


class Limits(NamedTuple):
    """What else the layout of a process depends on; in bytes, but for `max_map_count`.

    The kernel places mappings below `mmap_base`, downwards. User addresses end at `task_size`.
    The heap is [start_brk, brk). A stack may grow to `rlimit_stack`. mmap gives no hint an address
    below `mmap_min_addr`. `max_map_count` is vm.max_map_count.
    """

    mmap_base: int
    task_size: int = 0x7FFF_FFFF_F000
    start_brk: int = 0
    brk: int = 0
    rlimit_stack: int = 8 << 20
    stack_guard_gap: int = 256 << 12
    mmap_min_addr: int = 0x10000
    max_map_count: int = 65530


def page_of(address: int) -> int:
    """The number of the page that holds `address`: page 3 (printed P3) starts at 0x3000."""
    return address // PAGE_SIZE


def slot_of(address: int) -> int:
    """Which word of its page `address` is."""
    return address % PAGE_SIZE // WORD


def address_of(page: int, slot: int = 0) -> int:
    """The address of a word in a page."""
    return page * PAGE_SIZE + slot * WORD


def word(page: int, slot: int) -> str:
    """How a word is printed: `P3[1]`."""
    return f"P{page}[{slot}]"


def page_align(length: int) -> int:
    """A length in bytes, rounded up to whole pages."""
    return -(-length // PAGE_SIZE) * PAGE_SIZE
