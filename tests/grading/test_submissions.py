"""Downloads of all kinds give the same students; a hostile file is a sentence, and stops none."""

import io
import json
import os
import stat
import struct
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mmlocks.errors import GradingError
from mmlocks.grading.roster import Roster, Student, read_roster
from mmlocks.grading.submissions import Collection, Submission, collect, timestamp

NOTEBOOK = json.dumps({"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}).encode()
LAB = "lab07_fork_vs_fault"


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def by_key(found: Collection) -> dict[str, Submission]:
    return {each.student.key: each for each in found.submissions}


CANVAS = {
    "doejane_12345_67890_lab07_fork_vs_fault.ipynb": NOTEBOOK,
    "muellerhans_LATE_12346_67891_my answer.ipynb": NOTEBOOK + b" ",
    "o_brien_12347_67892_lab07.ipynb": NOTEBOOK,
    "o_brien_12347_67899_lab07-1.ipynb": NOTEBOOK + b"\n",
}
MOODLE = {
    "Jane Doe_4711_assignsubmission_file_/lab07.ipynb": NOTEBOOK,
    "Jane Doe_4711_assignsubmission_onlinetext_/onlinetext.html": b"<p>hello</p>",
    "Hans Müller_4712_assignsubmission_file/sub folder/lab07.ipynb": NOTEBOOK,
}


@pytest.mark.parametrize("packed", [True, False])
def test_a_canvas_download_tells_who_and_who_was_late(tmp_path: Path, packed: bool) -> None:
    place = zipped(tmp_path / "s.zip", CANVAS) if packed else folder(tmp_path / "s", CANVAS)
    found = collect(place, LAB)
    assert found.kind == "a Canvas download"
    one = by_key(found)
    assert set(one) == {"12345", "12346", "12347"}
    assert [one[key].late for key in sorted(one)] == [False, True, False]
    assert one["12345"].student.name == "doejane"
    assert {each.submitted for each in one.values()} == {None}  # the zip has the download's time
    assert "does not say when" in found.notes[0]


def test_the_newest_attempt_counts_and_that_is_said(tmp_path: Path) -> None:
    newest = by_key(collect(zipped(tmp_path / "s.zip", CANVAS), LAB))["12347"]
    assert newest.file == "lab07-1.ipynb"
    assert newest.attempt == 2
    assert newest.read() == NOTEBOOK + b"\n"
    assert "lab07-1.ipynb is the newest" in newest.notes[0]


@pytest.mark.parametrize("packed", [True, False])
def test_a_moodle_download_tells_who(tmp_path: Path, packed: bool) -> None:
    place = zipped(tmp_path / "s.zip", MOODLE) if packed else folder(tmp_path / "s", MOODLE)
    found = collect(place, LAB)
    assert found.kind == "a Moodle download"
    one = by_key(found)
    assert {key: each.student.name for key, each in one.items()} == {
        "4711": "Jane Doe",
        "4712": "Hans Müller",
    }
    assert not any(each.problem for each in one.values())
    assert {each.submitted for each in one.values()} == {None}


def test_of_two_uploads_with_one_name_the_later_number_counts(tmp_path: Path) -> None:
    files = {"doe_1234_678_lab07.ipynb": NOTEBOOK + b"1", "doe_1234_99_lab07.ipynb": NOTEBOOK}
    assert collect(zipped(tmp_path / "s.zip", files), LAB).submissions[0].read()[-1:] == b"1"


def test_collecting_takes_time_in_proportion_to_the_number(tmp_path: Path) -> None:
    def seconds(number: int) -> float:
        names = (f"doe{n}_{1000 + n}_{9000 + n}_lab07.ipynb" for n in range(number))
        place = zipped(tmp_path / f"{number}.zip", dict.fromkeys(names, NOTEBOOK))
        start = time.process_time()
        assert len(collect(place, LAB).submissions) == number
        return time.process_time() - start

    assert seconds(1_000) < 40 * max(seconds(100), 0.005)


def test_moodle_files_without_folders_are_read_as_well(tmp_path: Path) -> None:
    files = {"Jane Doe_4711_assignsubmission_file_lab07.ipynb": NOTEBOOK}
    assert by_key(collect(folder(tmp_path / "s", files), LAB))["4711"].file == "lab07.ipynb"


def test_nbgraders_tree_is_read_with_its_timestamps(tmp_path: Path) -> None:
    files = {
        "submitted/bitdiddle/lab07/lab07.ipynb": NOTEBOOK,
        "submitted/bitdiddle/lab07/timestamp.txt": b"2026-02-02 15:58:23.948203 UTC\n",
        "submitted/hacker/lab07/lab07.ipynb": NOTEBOOK,
        "submitted/hacker/ps1/ps1.ipynb": NOTEBOOK,
    }
    for place in (folder(tmp_path / "course", files), tmp_path / "course" / "submitted"):
        one = by_key(collect(place, LAB))
        assert set(one) == {"bitdiddle", "hacker"}
        assert one["bitdiddle"].submitted == datetime(2026, 2, 2, 15, 58, 23, 948203, UTC)
        assert one["hacker"].file == "lab07.ipynb"
    with pytest.raises(GradingError, match="lab07, ps1"):
        collect(tmp_path / "course")


def test_a_timestamp_may_name_its_zone() -> None:
    berlin = timestamp("2026-07-02 14:00:00 Europe/Berlin")
    assert berlin is not None and berlin.astimezone(UTC).hour == 12
    assert timestamp("last Tuesday") is None
    assert timestamp("2026-07-02 14:00:00 Mars/Crater") is None


def test_one_repository_per_student_with_and_without_roster(tmp_path: Path) -> None:
    files = {
        "lab07-fork-alice/exercises/lab07_fork_vs_fault.ipynb": NOTEBOOK,
        "lab07-fork-alice/exercises/lab02_fork.ipynb": NOTEBOOK,
        "lab07-fork-alice/.git/HEAD": b"ref",
        "lab07-fork-bob/answer.ipynb": NOTEBOOK,
    }
    place = folder(tmp_path / "repos", files)
    one = by_key(collect(place, LAB))
    assert set(one) == {"alice", "bob"}
    assert one["alice"].file == "exercises/lab07_fork_vs_fault.ipynb"
    assert one["alice"].submitted is None  # a clone's files have the time of cloning
    roster = Roster((Student("s1", "alice", "a@x.org", "Alice A"), Student("s2", "bob")))
    assert set(by_key(collect(place, LAB, roster))) == {"s1", "s2"}


def test_a_flat_folder_has_the_files_times(tmp_path: Path) -> None:
    place = folder(tmp_path / "in", {"alice.ipynb": NOTEBOOK, "bob.ipynb": NOTEBOOK})
    os.utime(place / "bob.ipynb", (1_000_000, 1_000_000))
    one = by_key(collect(place, LAB))
    assert one["bob"].submitted == datetime.fromtimestamp(1_000_000, UTC)


def test_a_zip_entrys_own_utc_time_is_preferred(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("alice.ipynb", (1999, 1, 1, 0, 0, 0))
    info.extra = struct.pack("<HHBi", 0x5455, 5, 1, 1_700_000_000)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(info, NOTEBOOK)
    found = collect(tmp_path / "s.zip").submissions[0]
    assert found.submitted == datetime.fromtimestamp(1_700_000_000, UTC)


def test_what_is_no_single_notebook_is_said(tmp_path: Path) -> None:
    files = {
        "none/readme.txt": b"hello",
        "two/first.ipynb": NOTEBOOK,
        "two/second.ipynb": NOTEBOOK,
        "empty/lab07.ipynb": b"",
        "python/answer.py": b"x = 1",
        "good/lab07.ipynb": NOTEBOOK,
    }
    one = by_key(collect(folder(tmp_path / "in", files), LAB))
    assert one["none"].problem == "none: no notebook was handed in, only readme.txt."
    assert "2 notebooks" in one["two"].problem and "second.ipynb" in one["two"].problem
    assert one["empty"].problem == "empty: lab07.ipynb: it is empty."
    assert (one["python"].problem, one["good"].problem) == ("", "")
    with pytest.raises(GradingError, match="no notebook"):
        one["none"].read()


def test_a_students_zip_is_opened_once_and_not_twice(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("work/lab07.ipynb", NOTEBOOK)
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("again.zip", inner.getvalue())
    files = {"a/x.zip": inner.getvalue(), "b/x.zip": twice.getvalue(), "c/x.zip": b"PK\3\4nonsense"}
    one = by_key(collect(zipped(tmp_path / "s.zip", files), LAB))
    assert one["a"].read() == NOTEBOOK
    assert "a zip within a zip" in one["b"].problem
    assert "damaged" in one["c"].problem


def hostile(path: Path) -> Path:
    """A zip in which each student but `good` tries something else."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good/lab07.ipynb", NOTEBOOK)
        link = zipfile.ZipInfo("link/lab07.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb/lab07.ipynb", b"0" * 9_000_000)
        archive.writestr("large/lab07.ipynb", os.urandom(10_000_001))
        archive.writestr("climb/../../lab07.ipynb", NOTEBOOK)
        archive.writestr(f"long/{'x' * 2000}.ipynb", NOTEBOOK)
        archive.writestr("bell/lab\a07.ipynb", NOTEBOOK)
        archive.writestr("damaged/lab07.ipynb", b"DAMAGE ME" + NOTEBOOK, zipfile.ZIP_STORED)
        archive.writestr("locked/lab07.ipynb", NOTEBOOK)
    raw = path.read_bytes().replace(b"DAMAGE ME", b"DAMAGED!!", 1)
    at = raw.index(b"locked/lab07.ipynb", raw.index(b"PK\1\2")) - 46
    raw = raw[: at + 8] + struct.pack("<H", 1) + raw[at + 10 :]
    path.write_bytes(raw)
    return path


def test_every_trick_with_a_zip_is_a_sentence_about_that_submission(tmp_path: Path) -> None:
    before = sorted(tmp_path.parent.rglob("lab07.ipynb"))
    one = by_key(collect(hostile(tmp_path / "s.zip"), LAB))
    expected = {
        "link": "links are not followed",
        "bomb": "zip bomb",
        "large": "at most 10,000,000 are read",
        "climb": "leads out of the zip",
        "long": "its name has 2,011 letters",
        "bell": "control characters",
        "damaged": "damaged",
        "locked": "encrypted",
    }
    assert set(one) == {"good", *expected}
    assert one["good"].problem == "" and one["good"].read() == NOTEBOOK
    for key, words in expected.items():
        assert words in one[key].problem and one[key].problem.startswith(key), one[key].problem
        assert one[key].spot is None
    assert sorted(tmp_path.parent.rglob("lab07.ipynb")) == before  # nothing was unpacked


def test_a_lie_about_the_size_does_not_help(tmp_path: Path) -> None:
    path = zipped(tmp_path / "s.zip", {"a/lab07.ipynb": b" " * 12_000_000})
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        start = raw.index(mark) + at
        raw[start : start + 4] = struct.pack("<I", 900_000)
    path.write_bytes(bytes(raw))
    (found,) = collect(path, LAB).submissions
    assert found.problem and found.spot is None


def test_a_folder_with_links_and_pipes_is_read_around_them(tmp_path: Path) -> None:
    place = folder(tmp_path / "in", {"good/lab07.ipynb": NOTEBOOK})
    (place / "link").mkdir()
    (place / "link" / "lab07.ipynb").symlink_to("/etc/passwd")
    (place / "outside").symlink_to(tmp_path)
    (place / "pipe").mkdir()
    os.mkfifo(place / "pipe" / "lab07.ipynb")
    one = by_key(collect(place, LAB))
    assert "links are not followed" in one["link"].problem
    assert "not an ordinary file" in one["pipe"].problem
    assert one["good"].problem == "" and "outside" not in one


def test_a_zip_with_too_many_files_is_one_students_problem(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for number in range(2_001):
            archive.writestr(f"{number}.txt", b"")
    files = {"a/x.zip": inner.getvalue(), "b/lab07.ipynb": NOTEBOOK}
    one = by_key(collect(zipped(tmp_path / "s.zip", files), LAB))
    assert "2,001 files" in one["a"].problem and not one["b"].problem


def test_a_place_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    (tmp_path / "none").mkdir()
    for place, words in (
        (tmp_path / "x.zip", "not a zip that can be read"),
        (tmp_path / "away", "there is no folder or zip"),
        (tmp_path / "none", "is empty"),
    ):
        with pytest.raises(GradingError, match=words):
            collect(place)


def test_the_roster_completes_what_the_lms_says(tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(
        "\ufeffMatrikelnummer;Login;E-Mail-Adresse;Name\r\n".encode() + b"s9;jd;j@x;Doe, Jane"
    )
    roster = read_roster(path)
    (hers,) = roster.students
    assert hers == Student("s9", "jd", "j@x", "Doe, Jane")
    files = {k: v for k, v in MOODLE.items() if "Jane" in k}
    (found,) = collect(zipped(tmp_path / "s.zip", files), LAB, roster).submissions
    assert found.student == Student("4711", "jd", "j@x", "Doe, Jane", ("s9",))
    assert roster.absent([found.student]) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,age\nx,1\n", "line 1: no column is called id"),
        ("id,name\n1,a\n1,b\n", "line 3: the id 1 stands in line 2"),
        ("id,login\n1,a\n,\n2,A\n", "line 4: the login a stands in line 2"),
        ("id,name\n,Jane\n", "line 2: neither an id nor"),
        ('id,name\n1,"Jane\n', "line 2: a quote is opened"),
        ("id,name\n1,Doe, Jane\n", "line 2 has 3 cells"),
        ("id,name\n", "names no student"),
        ("", "no first line"),
    ],
)
def test_an_error_in_the_roster_names_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GradingError, match=words) as caught:
        read_roster(path)
    assert "roster.csv" in str(caught.value)
