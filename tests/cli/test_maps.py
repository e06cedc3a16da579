"""`mmlocks maps`: what it prints and writes, and the one line that it says about what cannot be shown."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from mmlocks.cli.app import app
from mmlocks.maps import reading as host
from tests.maps.big_maps import jvm

Mmlocks = Callable[..., Result]
REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = REPOSITORY / "tests" / "maps" / "samples"
SLEEP = SAMPLES / "sleep_smaps.txt"
LINUX = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
NO_FLAGS = (
    "Flags (locked, not copied by fork, ...) are not known: only smaps has them, since Linux 3.8."
)
KEYS = {
    "start",
    "end",
    "start_int",
    "end_int",
    "size",
    "perms",
    "offset",
    "device",
    "inode",
    "file",
    "flags",
    "kind",
    "guessed",
}


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "100"]) as process:
        while host.name_of(process.pid) != "sleep":
            pass
        yield process.pid
        process.kill()


def complaint(done: Result) -> str:
    """The one line that was said about bad usage."""
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("mmlocks")
    return lines[0]


# -- what is printed --------------------------------------------------------------------------------------------------


def test_a_saved_file_as_text(mmlocks: Mmlocks) -> None:
    done = mmlocks("maps", "--file", SLEEP)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Address space of /")
    assert any(
        re.fullmatch(r"[0-9a-f-]+ +132 KiB  read write  stack, grows down", line) for line in lines
    )
    assert any(re.fullmatch(r" +\.\.\. +[\d.]+ TiB  unmapped", line) for line in lines)
    assert any(re.fullmatch(r"in all +37 areas +2\.\d MiB", line) for line in lines)
    assert "(accounted memory)" in done.stdout
    assert "question mark" in done.stdout


def test_maps_without_flags_says_so(mmlocks: Mmlocks) -> None:
    told = " ".join(mmlocks("maps", "--file", SAMPLES / "i386_maps.txt").stdout.split())
    assert "(accounted memory)" not in told
    assert NO_FLAGS in told


OLD = """\
08048000-080bc000 r-xp 00000000 03:02 13130      /bin/bash
Size:               1084 kB
Rss:                 892 kB
Locked:              374 kB
080bc000-080c0000 rw-p 00074000 03:02 13130      /bin/bash
Size:                 16 kB
Rss:                  16 kB
"""


def test_an_old_smaps_has_no_flags_and_is_not_said_to_be_unread(
    mmlocks: Mmlocks, tmp_path: Path
) -> None:
    saved = tmp_path / "smaps"
    saved.write_text(OLD)
    done = mmlocks("maps", "--file", saved)
    assert NO_FLAGS in " ".join(done.stdout.split())
    assert "was not read" not in done.stdout
    assert re.search(r"in all +2 areas +480 KiB", done.stdout)
    assert {
        one["flags"] for one in json.loads(mmlocks("maps", "--file", saved, "--json").stdout)
    } == {None}


def test_a_smaps_that_was_cut_off_says_how_many_flags_are_missing(
    mmlocks: Mmlocks, tmp_path: Path
) -> None:
    saved = tmp_path / "smaps"
    saved.write_text(OLD.replace("Locked:              374 kB\n", "VmFlags: rd ex mr mw me\n"))
    told = mmlocks("maps", "--file", saved).stdout
    assert told.endswith("The flags of 1 of 2 areas are not known.\n")
    assert "accounted" not in told
    saved.write_text(f"{OLD}VmFlags: rd wr ac\n".replace("Locked:", "VmFlags: rd\nLocked:"))
    assert "are not known" not in mmlocks("maps", "--file", saved).stdout


def test_a_program_of_a_saved_file_is_a_guess(mmlocks: Mmlocks, tmp_path: Path) -> None:
    saved = tmp_path / "smaps"
    saved.write_text(OLD)
    told = mmlocks("maps", "--file", saved).stdout
    assert "program? code /bin/bash" in told
    assert re.search(r"(?m)^program\? +2 areas", told)
    assert "A question mark marks a guess: maps does not say it." in told
    areas = json.loads(mmlocks("maps", "--file", saved, "--json").stdout)
    assert [(one["kind"], one["guessed"]) for one in areas] == [("program", True)] * 2


@LINUX
def test_the_program_of_a_process_is_known(mmlocks: Mmlocks, sleeper: int) -> None:
    areas = json.loads(mmlocks("maps", sleeper, "--json").stdout)
    assert "program" in {one["kind"] for one in areas}
    assert not any(one["guessed"] for one in areas)


@LINUX
def test_without_a_process_it_shows_itself_and_says_so(mmlocks: Mmlocks) -> None:
    done = mmlocks("maps")
    assert done.stdout.startswith(f"Address space of process {os.getpid()} (")
    told = " ".join(done.stdout.split())
    assert "This is mmlocks itself. For another process: mmlocks maps PID." in told
    assert "mmlocks maps $$" in told
    assert "stack, grows down" in told
    assert "This is mmlocks itself" not in mmlocks("maps", "self").stdout


@LINUX
def test_another_process(mmlocks: Mmlocks, sleeper: int) -> None:
    done = mmlocks("maps", sleeper)
    assert done.stdout.startswith(f"Address space of process {sleeper} (sleep)\n")
    assert re.search(r"program code .*sleep", done.stdout)
    assert "It may have run while it was read." in done.stdout


@pytest.mark.parametrize("columns", [40, 80, 120, 300])
def test_nothing_is_wider_than_the_terminal(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in ("sleep_smaps", "java_maps", "odd_names_maps", "other_fields_smaps"):
        monkeypatch.chdir(SAMPLES)
        lines = mmlocks("maps", "--file", f"{name}.txt").stdout.splitlines()
        # A character of Chinese or Japanese takes two columns; a name of those may run over.
        assert max(len(line) for line in lines) <= min(columns, 120), name


def test_nothing_drives_the_terminal(mmlocks: Mmlocks, tmp_path: Path) -> None:
    saved = tmp_path / "saved.txt"
    saved.write_text("00400000-00401000 r-xp 00000000 fe:00 11 /bin/\x1b[31mred\x07\n")
    done = mmlocks("maps", "--file", saved)
    assert "\x1b" not in done.stdout
    assert "/bin/\\x1b[31mred\\x07" in done.stdout


@pytest.mark.parametrize("name", ["sleep_smaps.txt", "sleep_maps.txt"])
def test_standard_input_is_read_and_its_form_recognized(name: str) -> None:
    text = (SAMPLES / name).read_text()
    done = CliRunner().invoke(app, ["maps", "--file", "-", "--json"], input=text)
    areas = json.loads(done.stdout)
    assert len(areas) == 37
    assert {area["flags"] is None for area in areas} == {"smaps" not in name}


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_json(mmlocks: Mmlocks) -> None:
    done = mmlocks("maps", "--file", SLEEP, "--json")
    areas = json.loads(done.stdout)
    assert done.stderr == ""
    assert len(areas) == 37
    for area in areas:
        assert area.keys() == KEYS
        assert int(area["start"], 16) == area["start_int"]
        assert int(area["end"], 16) == area["end_int"] == area["start_int"] + area["size"]
    stack = next(area for area in areas if area["file"] == "[stack]")
    assert (stack["perms"], stack["kind"]) == ("rw-p", "stack")
    assert stack["flags"] == sorted(["rd", "wr", "mr", "mw", "me", "gd", "ac"])
    assert areas[0]["kind"] == "program"
    assert areas[-1]["start"] == "0xffffffffff600000"
    code = next(
        area for area in areas if area["file"].endswith("libc.so.6") and "x" in area["perms"]
    )
    assert (code["kind"], code["offset"]) == ("library", 0x26000)
    assert re.fullmatch("[0-9a-f]{2}:[0-9a-f]{2}", code["device"])
    assert code["inode"] > 0


def test_the_help_documents_every_key_and_kind(mmlocks: Mmlocks) -> None:
    from mmlocks.maps.kinds import KINDS

    told = " ".join(mmlocks("maps", "--help").stdout.split())
    assert all(re.search(rf"\b{key}\b", told.partition("--json prints")[2]) for key in KEYS)
    assert f"kind ({', '.join(kind.name for kind in KINDS)})" in told


def test_json_with_a_picture_is_json_only(mmlocks: Mmlocks, tmp_path: Path) -> None:
    done = mmlocks("maps", "--file", SLEEP, "--json", "--svg", tmp_path / "x.svg")
    assert len(json.loads(done.stdout)) == 37
    assert (tmp_path / "x.svg").exists()


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_are_written(mmlocks: Mmlocks, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    svg, png = tmp_path / "maps.svg", tmp_path / "maps.png"
    svg.write_text("older")
    link = tmp_path / "link.png"
    link.symlink_to(png)
    done = mmlocks("maps", "--file", SLEEP, "--svg", svg, "--png", link)
    assert done.exit_code == 0
    assert done.stdout.endswith(f"Picture written to {svg}\nPicture written to {link}\n")
    title = ElementTree.parse(svg).getroot().findtext("{http://www.w3.org/2000/svg}title")
    assert title == f"Address space of {SLEEP}"
    assert png.read_bytes().startswith(b"\x89PNG")
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.png", "maps.png", "maps.svg"]


@pytest.mark.parametrize("option", ["--svg", "--png"])
def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    mmlocks: Mmlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    file = tmp_path / "picture"
    file.write_text("older")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    said = complaint(mmlocks("maps", "--file", SLEEP, option, file))
    assert f"the picture cannot be written to {file}: No space left on device." in said
    assert [path.name for path in tmp_path.iterdir()] == ["picture"]
    assert file.read_text() == "older"


def test_without_matplotlib_no_picture_is_begun(
    mmlocks: Mmlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = complaint(
        mmlocks("maps", "--file", SLEEP, "--svg", tmp_path / "a.svg", "--png", tmp_path / "a.png")
    )
    assert "pip install matplotlib" in said
    assert list(tmp_path.iterdir()) == []


def test_text_and_svg_need_no_course(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('ipywidgets', 'matplotlib', 'IPython', 'jupyterlab', 'nbformat', 'numpy'):\n"
        "    sys.modules[name] = None\n"
        "from mmlocks.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "maps", "--file", SLEEP, "--svg", tmp_path / "x.svg"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.svg").read_text(encoding="utf-8").startswith("<svg")


# -- what cannot be shown ---------------------------------------------------------------------------------------------


BAD = [
    (
        ["firefox"],
        "'firefox' is not a process number. To find the number of a program: pidof firefox",
    ),
    (["my program; rm"], "To find the number of a program: pidof NAME"),
    (["12a"], "'12a' is not a process number"),
    (["\uff11\uff12"], "is not a process number"),
    (["1_000"], "is not a process number"),
    ([""], "'' is not a process number"),
    (["./saved.txt"], "To read a saved maps or smaps: --file './saved.txt'"),
    (["x" * 5000], "is not a process number"),
    (["--", "-5"], "there is no process -5: their numbers begin at 1"),
    (["-5"], "No such option '-5'"),
    (["0"], "there is no process 0: their numbers begin at 1"),
    (["99999999999"], "there is no process 99999999999: process numbers are smaller"),
    (["9" * 6000], "process numbers are smaller"),
    (["999999999"], "there is no process 999999999"),
    (["1", "2"], "unexpected extra argument"),
    (["1", "--file", "x"], "not both"),
    (["--file"], "requires an argument"),
    (["--file", ""], "is a folder"),
    (["--file", "."], "is a folder"),
    (["--file", "/no/such/file"], "there is no file /no/such/file"),
    (["--file", "x" * 5000], "cannot be read"),
    (["--file", "/dev/null"], "/dev/null is empty"),
    (["--file", "/dev/zero"], "is not text but a binary file"),
    (["--file", sys.executable], "is not text but a binary file"),
    (
        ["--file", str(REPOSITORY / "README.md")],
        "is not a saved maps or smaps: it begins with '# mmlocks'",
    ),
    (
        ["--file", str(SLEEP), "--svg", "/no/such/folder/x.svg"],
        "there is no folder /no/such/folder",
    ),
    (["--file", str(SLEEP), "--svg", "."], "is a folder"),
    (["--file", str(SLEEP), "--svg", "/dev/null"], "not an ordinary file"),
    (
        ["--file", str(SLEEP), "--png", "/no/such/folder/x.png"],
        "there is no folder /no/such/folder",
    ),
    (["--file", str(SLEEP), "--png", "."], "is a folder"),
    (["--file", str(SLEEP), "--png", "/dev/null"], "not an ordinary file"),
    (["--file", str(SLEEP), "--png", "x.svg"], "--png x.svg: the name ends in"),
    (["--file", str(SLEEP), "--svg", "x.PNG"], "--svg x.PNG: the name ends in"),
]


@pytest.mark.parametrize(
    ("words", "said"),
    BAD,
    ids=[" ".join(words)[-50:].encode("unicode_escape").decode() for words, _ in BAD],
)
def test_bad_usage(mmlocks: Mmlocks, words: list[str], said: str) -> None:
    line = complaint(mmlocks("maps", *words))
    assert said in line
    assert len(line) < 6000 + 500


def test_a_file_that_lies_here_is_no_process(
    mmlocks: Mmlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "saved").write_text("")
    monkeypatch.chdir(tmp_path)
    assert "--file 'saved'" in complaint(mmlocks("maps", "saved"))


def test_where_there_is_no_proc(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PROC", Path("/no/proc"))
    for words in ([], ["1"]):
        said = complaint(mmlocks("maps", *words))
        assert "there is no /no/proc here: only Linux shows its processes so." in said
        assert "--file FILE" in said
    assert mmlocks("maps", "--file", SLEEP).exit_code == 0


def test_a_process_that_is_read_too_late(
    mmlocks: Mmlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "PROC", tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "maps").touch()
    assert "process 7 ended while it was read" in complaint(mmlocks("maps", 7))


# -- as a process -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("maps") / "jvm.txt"
    file.write_text(jvm())
    return file


def test_a_reader_that_has_seen_enough(big: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mmlocks", "maps", "--file", big],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("Address space of")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_thousands_of_areas_take_no_time(big: Path, tmp_path: Path) -> None:
    """In seconds of processor time: how busy the machine is with other tests must not matter."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "mmlocks", "maps", "--file", big, "--svg", tmp_path / "x.svg"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    after = os.times()
    assert after.children_user - before.children_user < 4  # 0.9 on an idle machine
    assert done.stdout.count("\n") > 3000
    assert done.stdout.isascii()
