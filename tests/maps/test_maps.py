"""Maps of real and of odd processes are read as they are; what is no maps is said to be none, with the line."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlocks.errors import HostError
from mmlocks.maps import reading as maps
from mmlocks.maps.reading import (
    name_of,
    parse_maps,
    parse_smaps,
    program_of,
    read_areas,
    read_saved,
)
from mmlocks.mm.area import Area
from tests.helpers import calls
from tests.maps.big_maps import jvm

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).with_name("samples")
LINUX = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
LINE = "00400000-00401000 r-xp 00000000 fe:00 11                                 /bin/a\n"


def sample(name: str) -> str:
    return (SAMPLES / name).read_bytes().decode()


# -- parsing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sleep", "java", "python", "i386", "arm64", "odd_names"])
def test_each_line_is_an_area_that_says_what_the_line_says(name: str) -> None:
    lines = sample(f"{name}_maps.txt").removesuffix("\n").split("\n")
    areas = parse_maps("\n".join(lines))
    assert len(areas) == len(lines)
    for line, area in zip(lines, areas, strict=True):
        # i386 pads to another column; nothing else may differ, not even a space at the end of a name.
        assert re.sub(" +", " ", line).rstrip() == re.sub(" +", " ", str(area)).rstrip()
        assert area.file == "" or line.endswith(f" {area.file}")
        assert area.flags is None


def test_what_this_process_has_is_spelled_back_exactly() -> None:
    text = sample("sleep_maps.txt")
    assert "".join(f"{area}\n" for area in parse_maps(text)) == text


def test_smaps_has_the_areas_of_maps_and_their_flags() -> None:
    with_flags = parse_smaps(sample("sleep_smaps.txt"))
    assert [area._replace(flags=None) for area in with_flags] == parse_maps(
        sample("sleep_maps.txt")
    )
    flags = {area.file or "anonymous": area.flags for area in with_flags}
    assert flags["[stack]"] == frozenset({"rd", "wr", "mr", "mw", "me", "gd", "ac"})
    assert flags["[vsyscall]"] == frozenset({"ex"})
    assert all(area.flags is not None for area in with_flags)


def test_every_column_has_its_meaning() -> None:
    text = (
        "7f00a0000000-7f00a0200000 r-xs 1c000 fd:1f 18446744073709551615 /a b/c\\012d (deleted)\n"
    )
    assert parse_maps(text) == [
        Area(
            0x7F00A0000000,
            0x7F00A0200000,
            "r-xs",
            0x1C000,
            "/a b/c\\012d (deleted)",
            None,
            "fd:1f",
            2**64 - 1,
        )
    ]


def test_a_space_at_the_end_of_a_name_belongs_to_it() -> None:
    assert "/srv/trailing space " in [
        area.file for area in parse_maps(sample("odd_names_maps.txt"))
    ]


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_only_newlines_end_lines(separator: str) -> None:
    assert (
        parse_maps(LINE.replace("/bin/a", f"/bin/a{separator}b"))[0].file == f"/bin/a{separator}b"
    )


def test_kernels_without_flags_give_none() -> None:
    areas = parse_smaps(sample("old_kernel_smaps.txt"))
    assert [(area.file, area.flags) for area in areas] == [("/bin/bash", None), ("[stack]", None)]


def test_unknown_fields_and_flags_are_taken_as_they_come() -> None:
    areas = parse_smaps(sample("other_fields_smaps.txt"))
    assert [area.flags for area in areas] == [
        {"rd", "wr", "mr", "mw", "me", "ac", "lo", "dc", "zz"},
        {"rd", "wr", "mr", "mw", "me", "de", "ht", "sd"},
        frozenset(),
    ]


def test_an_empty_text_has_no_areas() -> None:
    assert parse_maps("") == parse_smaps("") == parse_maps("\n") == []


def test_the_last_line_may_lack_its_end() -> None:
    assert parse_maps(LINE.removesuffix("\n")) == parse_maps(LINE)
    assert parse_smaps(f"{LINE}VmFlags: rd ex") == [
        parse_maps(LINE)[0]._replace(flags=frozenset({"rd", "ex"}))
    ]
    assert parse_smaps(f"{LINE}Size: 4 kB\nVmFlags: rd\nThing: 1")[0].flags == frozenset({"rd"})


@pytest.mark.parametrize(
    "bad",
    [
        "hello",
        "",
        "00402000-00403000",
        "00402000 00403000 r-xp 00000000 fe:00 11 /bin/a",
        "00402000-00403000 r-zp 00000000 fe:00 11 /bin/a",
        "00402000-00403000 xr-p 00000000 fe:00 11 /bin/a",
        "00402000-00403000 r-x 00000000 fe:00 11 /bin/a",
        "00402000-00403000 r-xp 0000000g fe:00 11 /bin/a",
        "00402000-00403000 r-xp 00000000 fe00 11 /bin/a",
        "00402000-00403000 r-xp 00000000 fe:00 1f /bin/a",
        "0x402000-0x403000 r-xp 00000000 fe:00 11 /bin/a",
        "00402000-00403000000000000 r-xp 00000000 fe:00 11 /bin/a",
        " 00402000-00403000 r-xp 00000000 fe:00 11 /bin/a",
        "Rss: 4 kB",
    ],
)
def test_a_malformed_line_is_named(bad: str) -> None:
    with pytest.raises(HostError) as caught:
        parse_maps(f"{LINE}{bad}\n{LINE}", "saved.txt")
    said = str(caught.value)
    assert said.startswith(
        f"saved.txt, line 2: {bad!r} is not an area. Expected START-END PERMISSIONS"
    )
    if bad != "Rss: 4 kB":
        with pytest.raises(HostError, match=r"^smaps, line 4: .* Expected a field"):
            parse_smaps(f"{LINE}Size: 4 kB\nVmFlags: rd\n{bad}\n{LINE}")


def test_a_long_bad_line_is_not_repeated_in_full() -> None:
    with pytest.raises(HostError) as caught:
        parse_maps("x" * 100_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["00002000-00001000 r-xp 0 0:0 0"], "line 1: .* ends before it begins"),
        (["00002000-00002000 r-xp 0 0:0 0"], "line 1: .* ends before it begins"),
        (["2000-4000 r-xp 0 0:0 0", "3000-5000 r-xp 0 0:0 0"], "line 2: .* begins below 4000"),
        (["8000-9000 r-xp 0 0:0 0", "1000-2000 r-xp 0 0:0 0"], "maps of two processes, or of one that changed"),
    ],
)  # fmt: skip
def test_areas_do_not_overlap_and_do_not_go_back(lines: list[str], said: str) -> None:
    with pytest.raises(HostError, match=said):
        parse_maps("\n".join(lines))


def test_areas_may_touch() -> None:
    assert len(parse_maps("1000-2000 r-xp 0 0:0 0\n2000-3000 rw-p 0 0:0 0\n")) == 2


ADDRESSES = st.lists(st.integers(0, 2**52 - 1), min_size=2, max_size=40, unique=True).map(sorted)
NAMES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])).map(
    lambda text: f"/{text}"
)


@given(ADDRESSES, st.data())
def test_whatever_areas_are_written_are_read_back(
    addresses: list[int], data: st.DataObject
) -> None:
    areas = []
    for start, end in zip(addresses[::2], addresses[1::2], strict=False):
        perms = "".join(data.draw(st.sampled_from(pair)) for pair in ("r-", "w-", "x-", "sp"))
        file = data.draw(st.one_of(st.just(""), st.just("[heap]"), NAMES))
        areas.append(
            Area(
                start << 12,
                end << 12,
                perms,
                data.draw(st.integers(0, 2**52 - 1)) << 12,
                file.rstrip(),
            )
        )
    text = "".join(f"{area}\n" for area in areas)
    assert parse_maps(text) == areas
    smaps = "".join(f"{area}\nSize: 4 kB\nVmFlags: rd mr\n" for area in areas)
    assert parse_smaps(smaps) == [area._replace(flags=frozenset({"rd", "mr"})) for area in areas]


@given(st.text(alphabet="0123456789abcdef-rwxps: \nVmFlags/[]kB", max_size=200))
def test_anything_else_is_an_error_and_no_crash(text: str) -> None:
    for parse in (parse_maps, parse_smaps):
        with contextlib.suppress(HostError):
            parse(text)


def test_an_area_is_read_with_few_calls() -> None:
    """Comparing a model with a real process reads areas after every operation."""
    areas = sample("sleep_maps.txt").count("\n")
    assert calls(lambda: parse_maps(sample_maps)) <= 12 * areas  # 6 each
    assert calls(lambda: parse_smaps(sample_smaps)) <= 12 * areas  # 7 each


sample_maps, sample_smaps = sample("sleep_maps.txt"), sample("sleep_smaps.txt")


def test_a_text_that_is_nearly_right_takes_no_longer() -> None:
    """No pattern may try a part again and again: a saved file can hold any text.

    0.03 s of CPU where each pattern reads a text once, and hours where it does not.
    """
    started = time.process_time()
    with pytest.raises(HostError):
        parse_smaps(LINE + "Rss: 4 kB\n" * 200_000 + "rss\n")
    with pytest.raises(HostError):
        parse_maps("0" * 2_000_000)
    with pytest.raises(HostError):
        parse_smaps(LINE + "A" * 2_000_000)
    assert time.process_time() - started < 60


def test_three_thousand_areas() -> None:
    text = jvm()
    assert len(parse_maps(text)) == 3000
    assert calls(lambda: parse_maps(text)) <= 12 * 3000


# -- a process --------------------------------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "100"]) as process:
        while name_of(process.pid) != "sleep":
            time.sleep(0.01)
        time.sleep(0.05)  # for its loader to be done
        yield process.pid
        process.kill()


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc of our own, with process 7 in it."""
    monkeypatch.setattr(maps, "PROC", tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "comm").write_text("seven\n")
    (tmp_path / "7" / "stat").write_text("7 (se) ven) S 1 7 7 0 -1 4194560 1 2 3\n")
    return tmp_path


@LINUX
def test_this_process() -> None:
    areas = read_areas()
    assert any(
        area.file == "[stack]" and area.flags is not None and "gd" in area.flags for area in areas
    )
    here = id(areas)
    assert any(area.start <= here < area.end and area.perms == "rw-p" for area in areas)


@LINUX
def test_another_process(sleeper: int) -> None:
    assert program_of(sleeper).endswith("sleep")
    areas = read_areas(sleeper)
    assert program_of(sleeper) in [area.file for area in areas]
    lines = Path(f"/proc/{sleeper}/maps").read_text()
    assert [area._replace(flags=None) for area in areas] == parse_maps(lines)


def test_without_smaps_maps_is_read(proc: Path) -> None:
    (proc / "7" / "maps").write_text(LINE)
    assert read_areas(7) == parse_maps(LINE)
    (proc / "7" / "smaps").write_text(f"{LINE}VmFlags: rd\n")
    assert read_areas(7)[0].flags == frozenset({"rd"})


def test_a_forbidden_smaps_is_done_without(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (proc / "7" / "maps").write_text(LINE)
    forbid(monkeypatch, "smaps", PermissionError(13, "Permission denied"))
    assert read_areas(7) == parse_maps(LINE)


def forbid(monkeypatch: pytest.MonkeyPatch, ending: str, problem: OSError) -> None:
    before = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name.endswith(ending):
            raise problem
        return before(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)


def test_bytes_that_are_no_text_are_spelled_out(proc: Path) -> None:
    (proc / "7" / "maps").write_bytes(
        LINE.replace("/bin/a", "/bin/").encode().rstrip() + b"\xff\xc3\n"
    )
    assert read_areas(7)[0].file == "/bin/\\xff\\xc3"


@pytest.mark.parametrize("pid", [0, -1])
def test_numbers_that_no_process_has(proc: Path, pid: int) -> None:
    with pytest.raises(HostError, match=f"no process {pid}: their numbers begin at 1"):
        read_areas(pid)


def test_a_process_that_is_not_there(proc: Path) -> None:
    with pytest.raises(
        HostError, match=r"no process 8, .*perhaps it has ended. To list yours: ps -u \d+"
    ):
        read_areas(8)


@LINUX
def test_a_process_that_is_really_not_there() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    with pytest.raises(HostError, match=f"no process {process.pid}"):
        read_areas(process.pid)


def test_a_process_that_ends_while_it_is_opened_or_read(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proc / "7" / "maps").write_text("")
    with pytest.raises(HostError, match="process 7 ended while it was read"):
        read_areas(7)
    forbid(monkeypatch, "maps", ProcessLookupError(3, "No such process"))
    with pytest.raises(HostError, match="process 7 ended while it was read"):
        read_areas(7)


def test_a_kernel_thread(proc: Path) -> None:
    (proc / "7" / "maps").write_text("")
    (proc / "7" / "stat").write_text("7 (kworker/0:0 (x) y) I 2 0 0 0 -1 69238880 0 0 0\n")
    with pytest.raises(
        HostError, match=r"process 7 \(seven\) is a thread of the kernel: it has no address space"
    ):
        read_areas(7)


@LINUX
def test_a_process_that_nobody_has_waited_for() -> None:
    with subprocess.Popen(["true"]) as process:
        deadline = time.monotonic() + 10
        while (
            " Z " not in Path(f"/proc/{process.pid}/stat").read_text()
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        with pytest.raises(
            HostError, match=f"process {process.pid} .*has ended and given its memory back"
        ):
            read_areas(process.pid)


def test_no_permission(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "maps", PermissionError(13, "Permission denied"))
    with pytest.raises(HostError, match=r"you may not look at process 7: .*sudo cat .*--file FILE"):
        read_areas(7)
    (proc / "7" / "stat").write_text("7 (kthreadd) S 0 0 0 0 -1 2129984 0\n")
    with pytest.raises(HostError, match="is a thread of the kernel"):
        read_areas(7)


@LINUX
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"
)
def test_somebody_elses_process(sleeper: int) -> None:
    program = (
        "import sys, os\n"
        f"sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from mmlocks.maps.reading import HostError, read_areas\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"try: print(read_areas({sleeper}))\nexcept HostError as problem: print(problem)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(
        f"you may not look at process {sleeper}: it belongs to another user"
    )


def test_another_error_of_the_system_is_passed_on(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "maps", OSError(5, "Input/output error"))
    with pytest.raises(HostError, match=r"process 7 cannot be read .*Input/output error"):
        read_areas(7)


def test_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "PROC", tmp_path / "nowhere")
    with pytest.raises(HostError, match=r"there is no .*nowhere here: only Linux .*--file FILE"):
        read_areas()
    assert name_of(7) == program_of(7) == ""


@LINUX
def test_a_process_that_changes_all_the_time_can_be_read() -> None:
    """Other threads map and unmap meanwhile; every look must still be of areas that do not overlap."""
    program = (
        "import mmap, random\n"
        "held = []\n"
        "print(flush=True)\n"
        "while True:\n"
        "    held.append(mmap.mmap(-1, 4096 * random.randint(1, 9)))\n"
        "    if len(held) > 300: held.pop(random.randrange(300)).close()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(300):  # about one of a hundred readings has areas that overlap
                areas = read_areas(process.pid)
                assert all(low.end <= high.start for low, high in pairwise(areas))
        finally:
            process.kill()


def test_a_reading_with_areas_that_overlap_is_repeated(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = "1000-4000 r--p 0 0:0 0\n2000-5000 r--p 0 0:0 0\n"
    readings = [torn] * 9 + [LINE]
    monkeypatch.setattr(Path, "read_bytes", lambda _: readings.pop(0).encode())
    assert read_areas(7) == parse_maps(LINE)
    readings = [torn] * 10 + [LINE]
    with pytest.raises(maps.Overlap, match="kill -STOP"):
        read_areas(7)


# -- a saved file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.txt")), ids=lambda file: file.stem)
def test_every_sample_is_recognized(file: Path) -> None:
    areas = read_saved(str(file))
    parse = parse_smaps if "smaps" in file.stem else parse_maps
    assert areas == parse(file.read_bytes().decode())


def test_a_copy_that_came_by_way_of_windows(tmp_path: Path) -> None:
    saved = tmp_path / "saved.txt"
    saved.write_bytes(b"\xef\xbb\xbf" + sample_smaps.replace("\n", "\r\n").encode())
    assert read_saved(str(saved)) == parse_smaps(sample_smaps)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty, like the maps of a kernel thread"),
        (b"\n \n", "is empty"),
        (b"\x7fELF\0\0", "is not text but a binary file"),
        (LINE.encode("utf-16"), "is not text but a binary file"),
        (b"hello\n", "is not a saved maps or smaps: it begins with 'hello'. Expected START-END"),
        (b"Name:\tcat\nUmask:\t0022\n", "is not a saved maps or smaps"),
        (b"x" * 100_000, "is not a saved maps or smaps"),
        (LINE.encode() + b"7ffc", "line 2: '7ffc' is not an area"),
        (b"2000-3000 ---p 00000000 00:00 0    [rollup]\nRss: 4 kB\n", "is a copy of smaps_rollup"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    saved = tmp_path / "saved.txt"
    saved.write_bytes(content)
    with pytest.raises(HostError) as caught:
        read_saved(str(saved))
    assert str(caught.value).startswith(str(saved))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


def test_places_that_are_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, said in (
        (str(tmp_path), "is a folder"),
        ("", "is a folder"),
        (str(tmp_path / "nowhere"), "there is no file"),
        ("x" * 5000, "cannot be read"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(HostError, match=said):
            read_saved(name)


def test_a_file_without_an_end_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HostError, match="binary file"):
        read_saved("/dev/zero")
    monkeypatch.setattr(maps, "LIMIT", 3 << 20)
    saved = tmp_path / "saved.txt"
    saved.write_text(LINE * 50_000)
    with pytest.raises(HostError, match="has more than 3 MiB"):
        read_saved(str(saved))


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cp", SAMPLES / "sleep_smaps.txt", tmp_path / "pipe"]):
        assert read_saved(str(tmp_path / "pipe")) == parse_smaps(sample_smaps)
