"""Recordings of a real kernel: the model does what was recorded, on any computer; files that are broken are told so.

Nothing here needs Linux.
"""

import copy
import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mmlocks.conformance.coverage import ROWS, count
from mmlocks.conformance.diff import against_recording, replay
from mmlocks.conformance.events import Row
from mmlocks.conformance.recorded import Recording, load, recording_from_json, recording_json, save
from mmlocks.errors import HostError
from tests.conformance.helpers import RECORDED, recording, release


def always(*_: object) -> bool:
    return True


@pytest.fixture
def small() -> Recording:
    return recording()._replace(runs=recording().runs[:3])


def test_the_model_does_what_the_kernel_did() -> None:
    counts: Counter[Row] = Counter()
    for number, run in enumerate(recording().runs):
        mismatch, seen = against_recording(run, recording().start, release())
        assert mismatch is None, f"run {number}: {mismatch}"
        count(run.program, seen, recording().start, counts)
    missing = [row for heading, rows in ROWS.items() for row in rows if not counts[heading, row]]
    assert not missing, f"record more: these never happen in {RECORDED.name}"


def test_a_model_with_other_rules_does_not() -> None:
    outcome = replay(recording()._replace(kernel="6.1"), always)
    assert outcome.mismatch is not None
    assert outcome.number == outcome.programs < len(recording().runs)


def test_a_replay_can_be_ended(small: Recording) -> None:
    outcome = replay(small, lambda programs, _operations, _seconds: programs < 2)
    assert (outcome.programs, outcome.interrupted) == (2, True)


@pytest.mark.parametrize("name", ["some.json", "some.json.gz"])
def test_what_was_saved_is_loaded(tmp_path: Path, small: Recording, name: str) -> None:
    save(tmp_path / name, small)
    assert load(tmp_path / name) == small
    first = (tmp_path / name).read_bytes()
    save(tmp_path / name, small)
    assert (tmp_path / name).read_bytes() == first, "equal recordings are equal files"
    assert [path.name for path in tmp_path.iterdir()] == [name], "no temporary file is left"
    (tmp_path / name).rename(tmp_path / "renamed")
    assert load(tmp_path / "renamed") == small, "whatever its name"


def test_areas_are_kept_as_differences(small: Recording) -> None:
    seen = recording_json(small)["runs"][0]["seen"]
    listed = sum(len(change[2]) for one in seen if one for change in one[1].values())
    shown = sum(len(areas) for one in small.runs[0].seen for areas in one.areas.values())
    assert listed < shown / 4


def test_a_recording_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, small: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.json"
    file.write_text("old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(
        HostError, match=r"cannot be written to .*old\.json: No space left on device"
    ):
        save(file, small)
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


def test_places_for_a_recording(tmp_path: Path, small: Recording) -> None:
    with pytest.raises(HostError, match="is a folder"):
        save(tmp_path, small)
    with pytest.raises(HostError, match=r"there is no folder .*nowhere"):
        save(tmp_path / "nowhere" / "x.json", small)


# -- broken files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no JSON, or not all of it"),
        (b"hello", "holds no JSON"),
        (b"\xff\xfe\x00", "holds no JSON"),
        pytest.param(
            b"[" * 100_000,
            "holds no JSON",
            marks=pytest.mark.skipif(
                sys.platform == "emscripten", reason="a browser's stack is too small to notice"
            ),
        ),
        (b"[]", "is not a recording of a kernel"),
        (b'{"format": "something else"}', "is not a recording of a kernel"),
        (
            b'{"format": "mmlocks recording", "version": 2}',
            "of version 2, and this mmlocks reads version 1",
        ),
        (b'{"format": "mmlocks recording", "version": 1}', "is damaged (KeyError: 'start')"),
        (b"\x1f\x8bnonsense", "gzip cannot unpack it"),
        (gzip.compress(b"[]" * 1000, mtime=0)[:-12], "is cut off"),
    ],
)
def test_files_that_are_no_recording(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    with pytest.raises(HostError) as caught:
        load(file)
    assert said in str(caught.value)
    assert "broken.json" in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"there is no file .*To make one: mmlocks host record"):
        load(tmp_path / "missing.json")
    with pytest.raises(HostError, match="not an ordinary file"):
        load(tmp_path)


def test_a_file_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmlocks.conformance.recorded.LARGEST", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b" " * (8 << 20)))
    with pytest.raises(HostError, match="holds more than 1 MiB"):
        load(tmp_path / "bomb.gz")


BREAKS: list[tuple[list[Any], Any, str]] = [
    (["start", "limits"], {}, "TypeError"),
    (["start", "limits", "brk"], "low", "a limit that is not a whole number"),
    (["start", "limits", "moon"], 1, "moon"),
    (["start", "areas"], None, "TypeError"),
    (["start", "areas", 0, 2], "rwx", "permissions 'rwx'"),
    (["start", "areas", 0, 0], 1 << 60, "an area from"),
    (["kernel"], "new", "'new' is not a kernel release"),
    (["runs"], {}, ""),
    (["runs", 0], [], "TypeError"),
    (["runs", 0, "program"], "mmap", "a program is a list"),
    (["runs", 0, "program", 0, 0], "fly", "run 0, operation 0: an operation is a list of its name"),
    (["runs", 0, "seen"], [], "40 operations, and 0 of them seen"),
    (["runs", 0, "seen", 0], 3, "run 0, operation 0"),
    (["runs", 0, "seen", 0, 0], "good", "'good' is not a result"),
    (["runs", 0, "seen", 0, 1], {"0": [99, 1, []]}, "areas 99 to 100 of 0 are replaced"),
    (["runs", 0, "seen", 0, 1], {"0": [0, 0, [[1, 2]]]}, "ValueError"),
    (["runs", 0, "seen", 0, 1], {"me": [0, 0, []]}, "ValueError"),
    (["runs", 0, "seen", 0, 2], {"0": {"4096": 7}}, "TypeError"),
]


@pytest.mark.parametrize(
    ("path", "value", "said"), BREAKS, ids=[str(path) for path, _, _ in BREAKS]
)
def test_what_is_wrong_inside_is_said(
    small: Recording, path: list[Any], value: Any, said: str
) -> None:
    broken = json.loads(json.dumps(recording_json(small)))
    whole = copy.deepcopy(broken)
    part = broken
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert recording_from_json(whole, "whole.json") == small
    if said:
        with pytest.raises(HostError) as caught:
            recording_from_json(broken, "broken.json")
        assert said in str(caught.value)
        assert str(caught.value).startswith("broken.json")
    else:
        assert recording_from_json(broken, "broken.json").runs == ()
