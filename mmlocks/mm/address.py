"""Addresses: pages of 4 KiB, and a few words in each that scenarios use.

A page of the model stands for one page table's worth of pages: each has a page-table lock of its own, as two pages have
in Linux when they lie 2 MiB apart. Between two pages, fork therefore drops one lock and takes another.
"""

from __future__ import annotations

PAGE_SIZE = 0x1000
WORD = 8


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
