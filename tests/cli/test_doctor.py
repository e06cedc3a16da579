"""What `mmlocks doctor` says of this machine is so, and a person can act on it."""

from __future__ import annotations

import json
import platform

import pytest
from click.testing import CliRunner

from mmlocks.cli.doctor import doctor
from mmlocks.grading import sandbox


def test_the_doctor_names_python_isolation_and_packages() -> None:
    done = CliRunner().invoke(doctor, ["--json"])
    told = json.loads(done.stdout)
    assert told["python"] == platform.python_version()
    assert told["isolation"] == sandbox.isolation().kind
    assert told["packages"]["nbval"]


def test_the_doctor_says_what_to_do_where_bubblewrap_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    sandbox.isolation.cache_clear()
    try:
        told = " ".join(CliRunner().invoke(doctor, []).stdout.split())
    finally:
        sandbox.isolation.cache_clear()
    assert "NOT ISOLATED: the program bwrap was not found. Install the package bubblewrap" in told
    assert "mark only answers that you would run yourself" in told


def test_the_doctor_says_why_bubblewrap_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: str(fake))
    sandbox.isolation.cache_clear()
    try:
        told = sandbox.isolation()
    finally:
        sandbox.isolation.cache_clear()
    assert told.kind == sandbox.NONE
    assert "No permissions to create new namespace" in told.says
    assert "user namespaces" in told.says
