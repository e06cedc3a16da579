"""`mmlocks fields`: which lock protects which field, from the table of the oracle `discipline`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from mmlocks.cli.terminal import ASIDE, TITLE, Status, gap, paragraph, print_json, write

if TYPE_CHECKING:
    from mmlocks.oracles.fields import FieldRule

KERNEL_NAMES = {
    "Vma": "struct vm_area_struct",
    "Mm": "struct mm_struct",
    "MapleTree": "struct maple_tree",
    "MapleNode": "struct maple_node",
    "PageTable": "page tables",
    "AnonVma": "struct anon_vma",
    "File": "struct address_space",
}


@click.command
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a list of objects: record, field, protected_by, marked, source.",
)
@click.option("--markdown", is_flag=True, help="Print a markdown table.")
def fields(as_json: bool, markdown: bool) -> int:
    """Print which lock protects which field: the rule of discipline."""
    from mmlocks.oracles.fields import ROWS, field_table

    if as_json:
        print_json([_as_json(row) for row in ROWS])
    elif markdown:
        print(field_table(markdown=True))
    else:
        for record, rows in groupby(ROWS, lambda row: row.record):
            write(f"{record} ({KERNEL_NAMES[record]})", TITLE)
            for (text, source), alike in groupby(rows, lambda row: (row.protected_by, row.source)):
                paragraph(", ".join(row.field for row in alike), indent=2)
                paragraph(f"{text}.", indent=6)
                paragraph(f"Source: {source}.", ASIDE, indent=6)
            gap()
        paragraph(
            "A CPU holds the VMA lock if it has read-locked the VMA or holds its vm_lock. The VMA "
            "write lock also needs mmap_lock for writing: to release mmap_lock unlocks the VMA. "
            "One thing differs from Linux: the model has no rmap lock for anonymous pages, so a "
            "write to vm_start does not need it."
        )
    return Status.FINE


def _as_json(row: FieldRule) -> dict[str, object]:
    return {
        "record": row.record,
        "field": row.field,
        "protected_by": row.protected_by,
        "marked": row.marked,
        "source": row.source,
    }
