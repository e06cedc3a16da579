"""`mmlocks fields`, and what `mmlocks run` has Linux's own tools say."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from mmlocks.oracles.fields import ROWS

Mmlocks = Callable[..., Result]


def test_every_field_is_told_with_its_locks_and_its_source(mmlocks: Mmlocks) -> None:
    done = mmlocks("fields")
    told = " ".join(done.stdout.split())
    assert done.exit_code == 0
    assert all(row.field in told and row.source in told for row in ROWS)
    assert (
        "vm_flags, vm_page_prot written with mmap_lock for writing and the VMA write lock" in told
    )
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_fields_for_programs_and_for_documents(mmlocks: Mmlocks) -> None:
    listed = json.loads(mmlocks("fields", "--json").stdout)
    assert [(each["record"], each["field"]) for each in listed] == [
        (row.record, row.field) for row in ROWS
    ]
    assert {each["field"] for each in listed if each["marked"]} >= {"vm_lock_seq", "mm_lock_seq"}
    lines = mmlocks("fields", "--markdown").stdout.splitlines()
    assert lines[1] == "|---|---|---|"
    assert len(lines) == len(ROWS) + 2


def test_a_run_says_which_tool_would_have_seen_it(mmlocks: Mmlocks) -> None:
    told = " ".join(mmlocks("run", "stackrot", "-r", "6.4.0").stdout.split())
    assert "KASAN: use-after-free: read of mm_mt.node0.ranges by cpu1" in told
    assert "KCSAN: silent." in told
    tools = json.loads(mmlocks("run", "fork_lost_store", "-r", "6.4.0", "--json").stdout)["tools"]
    assert [(each["tool"], each["found"]) for each in tools] == [
        ("KASAN", False), ("KCSAN", False), ("lockdep", False), ("assertions", True),
    ]  # fmt: skip


def test_a_safe_run_has_nothing_for_the_tools(mmlocks: Mmlocks) -> None:
    done = mmlocks("run", "stackrot", "-r", "6.4.1")
    assert "KASAN" not in done.stdout
    assert json.loads(mmlocks("run", "stackrot", "-r", "6.4.1", "--json").stdout)["tools"] == []
