"""An address space as a table and as a picture: nothing is left out, nothing overlaps, nothing runs out of its room."""

import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlocks.errors import MmlocksError
from mmlocks.maps.blocks import LIMIT, SINGLY, blocks
from mmlocks.maps.describe import describe
from mmlocks.maps.kinds import (
    ANONYMOUS,
    FILE,
    HEAP,
    KERNEL,
    KINDS,
    LIBRARY,
    NO_ACCESS,
    PROGRAM,
    SHARED,
    STACK,
    WORTH_SAYING,
    AreaKind,
    human,
    permissions,
    shorten,
    visible,
)
from mmlocks.maps.layout import PAD, ROW, WIDTH, lay_out_areas
from mmlocks.maps.picture import COLOURS, maps_picture
from mmlocks.maps.png import maps_png
from mmlocks.maps.reading import parse_maps, read_saved
from mmlocks.maps.text import GUESS, accounted, guesses, sums, table
from mmlocks.mm.area import Area
from tests.helpers import calls
from tests.maps.big_maps import jvm

SAMPLES = Path(__file__).parent / "samples"
SVG = "{http://www.w3.org/2000/svg}"
SLEEP = read_saved(str(SAMPLES / "sleep_smaps.txt"))
MANY = parse_maps(jvm())
SPACES = {file.stem: read_saved(str(file)) for file in sorted(SAMPLES.glob("*.txt"))} | {
    "jvm": MANY,
    "empty": [],
}
EVERY = pytest.mark.parametrize("name", SPACES)


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def area(
    start: int, size: int, perms: str = "rw-p", file: str = "", flags: frozenset[str] | None = None
) -> Area:
    return Area(start, start + size, perms, 0, file, flags)


def kinds_of(areas: list[Area], program: str = "") -> list[AreaKind]:
    return [one.kind for one in describe(areas, program)]


@st.composite
def spaces(draw: st.DrawFn) -> list[Area]:
    """Address spaces that nobody has seen."""
    areas: list[Area] = []
    where = draw(st.integers(0, 1 << 30)) << 12
    names = st.one_of(
        st.sampled_from(
            [
                "",
                "",
                "[heap]",
                "[stack]",
                "[vdso]",
                "[anon:x]",
                "/bin/a",
                "/lib/b.so",
                "/c",
                "/dev/shm/d",
            ]
        ),
        st.text(max_size=200).map(lambda text: f"/{text}"),
    )
    for _ in range(draw(st.integers(0, 80))):
        where += draw(st.sampled_from([0, 0, 0, 1, 5, 1 << 20, 1 << 30])) << 12
        size = draw(st.sampled_from([1, 1, 2, 33, 2048, 1 << 14, 1 << 24])) << 12
        perms = "".join(draw(st.sampled_from(pair)) for pair in ("r-", "w-", "x-", "sp"))
        flags = draw(
            st.one_of(st.none(), st.frozensets(st.sampled_from([*WORTH_SAYING, "rd", "ac"])))
        )
        areas.append(area(where, size, perms, draw(names), flags))
        where += size
    return areas


# -- what an area is --------------------------------------------------------------------------------------------------


def test_kinds_of_a_small_program() -> None:
    files = {(one.area.file, one.kind) for one in describe(SLEEP)}
    assert ("/usr/bin/sleep", PROGRAM) in files
    assert ("/usr/lib/x86_64-linux-gnu/libc.so.6", LIBRARY) in files
    assert ("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", LIBRARY) in files
    assert ("/usr/lib/locale/C.utf8/LC_CTYPE", FILE) in files
    assert {kind for file, kind in files if file in ("[vdso]", "[vvar]", "[vsyscall]")} == {KERNEL}
    assert {kind for file, kind in files if file in ("[heap]", "[stack]")} == {HEAP, STACK}
    assert {kind for file, kind in files if file == ""} == {ANONYMOUS}
    assert len({kind for _, kind in files}) == 7


@pytest.mark.parametrize("name", ["i386", "arm64", "java", "python"])
def test_the_program_is_found_without_being_told(name: str) -> None:
    found = {one.area.file for one in describe(SPACES[f"{name}_maps"]) if one.kind is PROGRAM}
    assert [file.rpartition("/")[2] for file in found] == [
        {"i386": "cat", "arm64": "dash", "java": "java", "python": "python3.11"}[name]
    ]


def test_a_program_that_is_known_is_not_guessed() -> None:
    areas = [area(0x1000, 4096, "r-xp", "/bin/other"), area(0x5000, 4096, "r-xp", "/bin/mine.so")]
    assert kinds_of(areas) == [PROGRAM, LIBRARY]
    assert kinds_of(areas, "/bin/mine.so") == [FILE, PROGRAM]
    assert kinds_of(areas, "/bin/unmapped") == [PROGRAM, LIBRARY], (
        "what is mapped nowhere does not help"
    )
    assert [one.guessed for one in describe(areas)] == [True, False]
    assert not any(one.guessed for one in describe(areas, "/bin/mine.so"))


def test_code_without_a_file_is_no_program() -> None:
    areas = [area(0x1000, 4096, "rwxp"), area(0x5000, 4096, "r-xp", "/bin/java")]
    assert kinds_of(areas) == [ANONYMOUS, PROGRAM]


@pytest.mark.parametrize(
    ("file", "perms", "kind"),
    [
        ("", "---p", NO_ACCESS),
        ("/lib/libc-2.19.so", "---p", NO_ACCESS),
        ("/lib/libc-2.19.so", "r--p", LIBRARY),
        ("/lib/libc.so.6 (deleted)", "r--p", LIBRARY),
        ("/lib/libpython3.11.so.1.0", "rw-p", LIBRARY),
        ("/usr/share/also.txt", "r--p", FILE),
        ("/usr/lib/plugin.node", "r-xp", FILE),
        ("/dev/dri/card0", "rw-s", FILE),
        ("anon_inode:[perf_event]", "rw-s", KERNEL),
        ("/memfd:doublemapper (deleted)", "rwxs", SHARED),
        ("/SYSV00000000 (deleted)", "rw-s", SHARED),
        ("/dev/zero (deleted)", "rw-s", SHARED),
        ("/dev/shm/sem.x", "rw-s", SHARED),
        ("[anon_shmem:queue]", "rw-s", SHARED),
        ("[anon:dalvik-main space]", "rw-p", ANONYMOUS),
        ("[stack:4711]", "rw-p", STACK),
        ("[vectors]", "r-xp", KERNEL),
        ("[a name of next year]", "r-xp", KERNEL),
        ("[vsyscall]", "--xp", KERNEL),
    ],
)
def test_kinds_by_name(file: str, perms: str, kind: AreaKind) -> None:
    program = area(0x400000, 4096, "r-xp", "/bin/program")
    one = area(0x7F0000000000, 4096, perms, file)
    assert kinds_of([program, one], "/bin/program") == [PROGRAM, kind]


def words(areas: list[Area]) -> list[str]:
    return [one.words() for one in describe(areas)]


def test_guesses_have_a_question_mark() -> None:
    megabytes = 64 << 20
    assert words(
        [
            area(0x1000, 4096, "r-xp", "/bin/a"),
            area(0x2000, 4096, "rw-p", "/bin/a"),
            area(0x3000, 4096),
            area(megabytes, 0x21000),
            area(megabytes + 0x21000, megabytes - 0x21000, "---p"),
            area(5 * megabytes, 4096, "---p"),
            area(5 * megabytes + 4096, 8 << 20),
        ]
    ) == [
        "program? code /bin/a",
        "program? data /bin/a",
        "anonymous: .bss of a?",
        "anonymous: a thread's malloc?",
        "rest of a thread's malloc?",
        "guard below a thread's stack?",
        "anonymous: a thread's stack?",
    ]


def test_memory_that_only_happens_to_lie_there_is_no_bss() -> None:
    data = [area(0x1000, 4096, "r-xp", "/bin/a"), area(0x2000, 4096, "rw-p", "/bin/a")]
    assert words([*data, area(0x4000, 4096)])[-1] == "anonymous", "there is a gap"
    assert words([*data, area(0x3000, 12288)])[-1] == "anonymous", (
        "it is larger than all of the file"
    )
    assert words([data[0], area(0x2000, 4096)])[-1] == "anonymous", "no data lies below"
    assert words([*data, area(0x3000, 4096, "r--p")])[-1] == "anonymous", (
        "no variables without writing"
    )


def test_a_stack_is_larger_than_its_guard() -> None:
    assert words([area(0x10000, 65536, "---p"), area(0x20000, 65536)]) == ["guard?", "anonymous"]
    assert words([area(0x10000, 2 << 20, "---p"), area(0x210000, 8 << 20)]) == [
        "kept for later?",
        "anonymous",
    ]


def test_flags_are_told_in_words() -> None:
    told = {one.area.file: one.remarks for one in describe(SLEEP)}
    assert told["[stack]"] == ["grows down"]
    assert told["[heap]"] == ["grows up"]
    assert told["[vvar]"] == []
    one = describe([area(0x1000, 4096, flags=frozenset({"rd", "wr", "lo", "dc", "wf", "zz"}))])[0]
    assert one.remarks == ["locked in memory", "not copied by fork", "zeros after fork"]
    assert describe([area(0x1000, 4096, file="[stack]")])[0].remarks == ["grows down"], (
        "smaps is not needed for that"
    )
    assert describe([area(0x1000, 4096, "---p", flags=frozenset({"nr"}))])[0].remarks == []


# -- small words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (4096, "4 KiB"), (999 << 10, "999 KiB"), (1000 << 10, "1.0 MiB"), (1 << 20, "1.0 MiB"), (999 << 20, "999.0 MiB"),
        ((1 << 30) - 4096, "1.0 GiB"), (139_628_000_000_000, "127.0 TiB"), (1 << 50, "1.0 PiB"), (1 << 64, "16.0 EiB"),
    ],
)  # fmt: skip
def test_sizes(size: int, said: str) -> None:
    assert human(size) == said


@given(st.integers(4096, 1 << 64))
def test_sizes_are_short_and_right(size: int) -> None:
    number, unit = human(size).split()
    exact = size / (1 << {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40, "PiB": 50, "EiB": 60}[unit])
    assert abs(float(number) - exact) <= (0.5 if unit == "KiB" else 0.06)
    assert len(human(size)) <= 9


@given(st.text(), st.integers(0, 60))
def test_shortened_text_fits_and_keeps_its_end(text: str, room: int) -> None:
    short = shorten(text, room)
    assert len(short) <= room
    if len(text) <= room:
        assert short == text
    elif "/" in text and len(text.rpartition("/")[2]) <= room:
        assert short.endswith(text.rpartition("/")[2])


def test_a_path_loses_its_middle_first() -> None:
    path = "/usr/lib/x86_64-linux-gnu/libc.so.6"
    assert shorten(path, 40) == path
    assert shorten(path, 30) == "/usr/lib/x86_64-l.../libc.so.6"
    assert shorten(path, 12) == "libc.so.6"
    assert shorten(path, 8) == "libc....6"[:4] + "...6"


def test_what_is_allowed_in_words() -> None:
    said = [
        permissions(area(0, 1, perms)) for perms in ("r--p", "rw-s", "r-xp", "rwxp", "---p", "--xp")
    ]
    assert said == ["read", "read write", "read exec", "read write exec", "no access", "exec"]


def test_nothing_drives_a_terminal() -> None:
    assert visible("a\x1b[31m\u202eb\r日本") == "a\\x1b[31m\\u202eb\\r日本"


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_of_a_small_program() -> None:
    lines = list(table(SPACES["i386_maps"], 80, "/bin/cat"))
    assert lines[:7] == [
        "addresses               size  allowed     what it is",
        "       ...         128.3 MiB  unmapped, address 0 too",
        "08048000-0804d000     20 KiB  read exec   program code /bin/cat",
        "0804d000-0804e000      4 KiB  read        program constants /bin/cat",
        "0804e000-0804f000      4 KiB  read write  program data /bin/cat",
        "       ...          25.9 MiB  unmapped",
        "09a3c000-09a5d000    132 KiB  read write  heap, grows up",
    ]
    assert lines[-1] == "bfd4c000-bfd6d000    132 KiB  read write  stack, grows down"


@EVERY
@pytest.mark.parametrize("width", [40, 60, 70, 80, 120])
def test_every_area_and_every_gap_has_its_row(name: str, width: int) -> None:
    areas = SPACES[name]
    lines = list(table(areas, width))
    assert max(map(len, lines), default=0) <= width
    starts = [re.match(r"([0-9a-f]{8,16})-([0-9a-f]{8,16}) ", f"{line} ") for line in lines]
    shown = [(int(found[1], 16), int(found[2], 16)) for found in starts if found is not None]
    assert shown == [(one.start, one.end) for one in areas]
    ends = [0, *(one.end for one in areas)]
    gaps = sum(one.start > end for one, end in zip(areas, ends, strict=False))
    assert sum(line.split()[0] == "..." for line in lines) == gaps


@settings(max_examples=40)
@given(spaces(), st.integers(40, 120))
def test_no_table_is_wider_than_its_room(areas: list[Area], width: int) -> None:
    lines = list(table(areas, width))
    assert max(map(len, lines), default=0) <= width
    assert all(line.isprintable() for line in lines)


def test_only_vsyscall_is_said_to_lie_above_the_kernels_addresses() -> None:
    assert any(line.endswith("the kernel's addresses") for line in table(SLEEP, 80))
    # On sparc64, a program's libraries lie in the upper half.
    sparc = parse_maps(
        "00100000-00200000 r-xp 0 8:1 7 /bin/a\nfff8000100000000-fff8000100002000 r-xp 0 8:1 8 /lib/b.so\n"
    )
    assert [line.split()[-1] for line in table(sparc, 80) if "..." in line] == ["too", "unmapped"]


def test_a_wider_table_shows_whole_paths() -> None:
    assert any(
        "library /usr/lib/x86_64-linux-gnu/libc.so.6: code" in line for line in table(SLEEP, 120)
    )


def test_remarks_that_do_not_fit_have_a_line_of_their_own() -> None:
    flags = frozenset({"lo", "dc", "wf", "dd", "hg"})
    lines = list(table([area(0x1000, 4096, flags=flags)], 80))
    assert "locked in memory, not copied by fork" in " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80


@EVERY
def test_sums_are_sums(name: str) -> None:
    lines = list(sums(SPACES[name]))
    counted = [
        int(found[1].replace(",", ""))
        for line in lines
        if (found := re.search(r"([\d,]+) area", line))
    ]
    assert sum(counted[:-1]) == counted[-1] == len(SPACES[name])
    assert lines[-1].endswith(human(sum(one.end - one.start for one in SPACES[name])))
    assert max(map(len, lines)) <= 40


def test_what_is_accounted() -> None:
    yes, no = frozenset({"ac"}), frozenset({"rd"})
    assert accounted([area(0, 8192, flags=yes), area(8192, 4096, flags=no)]) == 8192
    assert accounted([area(0, 8192, flags=yes), area(8192, 4096)]) is None


def test_guesses_are_admitted() -> None:
    assert guesses(SLEEP)
    assert not guesses([area(0x1000, 4096)])


def test_twice_the_areas_cost_about_twice_the_calls() -> None:
    assert len(list(table(MANY, 80))) > 3000
    twice = parse_maps(jvm(2 * len(MANY)))
    once = calls(lambda: list(table(MANY, 80))), calls(lambda: maps_picture(MANY))
    again = calls(lambda: list(table(twice, 80))), calls(lambda: maps_picture(twice))
    assert again[0] < 2.5 * once[0]
    assert again[1] < 2.5 * once[1]


# -- what is drawn together -------------------------------------------------------------------------------------------


@EVERY
def test_blocks_hold_every_area_once_and_in_order(name: str) -> None:
    described = describe(SPACES[name])
    drawn = blocks(described)
    assert [one for block in drawn for one in block.members] == described
    if len(described) <= SINGLY:
        assert all(len(block.members) == 1 for block in drawn)
    else:
        assert len(drawn) <= LIMIT


@settings(max_examples=40)
@given(spaces(), st.integers(1, 30))
def test_there_are_never_more_blocks_than_wanted(areas: list[Area], limit: int) -> None:
    described = describe(areas)
    drawn = blocks(described, limit)
    assert [one for block in drawn for one in block.members] == described
    assert len(drawn) <= (limit if len(described) > SINGLY else len(described))


def test_landmarks_are_kept_apart() -> None:
    drawn = blocks(describe(MANY))
    for kind in (HEAP, STACK):
        assert [[kind]] == [
            [one.kind for one in block.members]
            for block in drawn
            if kind in {one.kind for one in block.members}
        ]
    assert (
        sum(
            one.kind is PROGRAM
            for block in drawn
            if len(block.members) == 1
            for one in block.members
        )
        == 4
    )


def test_what_belongs_together_is_put_together() -> None:
    drawn = blocks(describe(SPACES["python_maps"]), 300)
    together = [block.members for block in drawn if len(block.members) == 10]
    assert any(Counter(one.part for one in some)["a thread's stack?"] == 5 for some in together)
    libc = next(block for block in drawn if block.file.endswith("/libc.so.6"))
    assert [one.area.perms for one in libc.members] == [
        "r--p",
        "r-xp",
        "r--p",
        "r--p",
        "rw-p",
        "rw-p",
    ]
    assert libc.members[-1].part == ".bss of libc.so.6?"


# -- the picture ------------------------------------------------------------------------------------------------------


@EVERY
def test_the_picture_is_valid_xml_and_drawn_alike_twice(name: str) -> None:
    svg = maps_picture(SPACES[name], "Address space of <b>&")
    root = ElementTree.fromstring(svg)
    assert root.findtext(f"{SVG}title") == "Address space of <b>&"
    assert (root.findtext(f"{SVG}desc") or "").startswith(f"{len(SPACES[name]):,} area")
    assert " id=" not in svg
    assert svg == maps_picture(list(SPACES[name]), "Address space of <b>&")
    assert float((root.get("viewBox") or "").split()[3]) < 3500


@settings(max_examples=40)
@given(spaces())
def test_no_text_runs_out_of_the_picture(areas: list[Area]) -> None:
    root = ElementTree.fromstring(maps_picture(areas, "x" * 300))
    height = float((root.get("viewBox") or "").split()[3])
    for node in root.iter(f"{SVG}text"):
        kinds = (node.get("class") or "").split()
        right = float(node.get("x", "0")) > WIDTH / 2
        size = 6.65 if {"m", "s"} <= set(kinds) else 7.25 if "m" in kinds else 7.6 if right else 6.5
        length = len(node.text or "") * size
        start = float(node.get("x", "0")) - length * {"middle": 0.5, "end": 1}.get(
            node.get("text-anchor", ""), 0
        )
        assert start >= PAD / 2
        assert start + length <= WIDTH, node.text
        assert 0 < float(node.get("y", "0")) < height


@settings(max_examples=40)
@given(spaces())
def test_rows_cover_all_addresses_from_the_highest_to_zero(areas: list[Area]) -> None:
    layout = lay_out_areas(areas, "", "")
    rows = layout.rows
    assert [row.end for row in rows[1:]] == [row.start for row in rows[:-1]], (
        "each begins where the one above ends"
    )
    assert not rows or (rows[0].end, rows[-1].start) == (areas[-1].end, min(0, areas[0].start))
    for upper, lower in pairwise(rows):
        assert abs(upper.top + upper.height - lower.top) < 1e-6
    for row in rows:
        assert row.height >= ROW
        assert not row.parts or abs(sum(cell.share for cell in row.parts) - 1) < 1e-6


def test_larger_is_taller_but_not_by_much() -> None:
    heights = [
        lay_out_areas([area(1 << 40, 4096 << power)], "", "").rows[0].height
        for power in range(0, 28, 4)
    ]
    assert heights == sorted(set(heights))
    assert heights[-1] < 4 * heights[0]


def test_all_that_a_learner_looks_for_is_on_the_picture_of_a_small_program() -> None:
    shown = texts(maps_picture(SLEEP, "Address space of process 7 (sleep)", "/usr/bin/sleep"))
    assert shown[0] == "Address space of process 7 (sleep)"
    for text in (
        "program sleep",
        "library libc.so.6",
        "heap, grows up",
        "stack, grows down",
        "kernel [vdso]",
        "0",
        "r-xp",
    ):
        assert text in shown, text
    for one in SLEEP:
        assert f"{one.start:x}" in shown
    assert sum(text.endswith(" TiB") for text in shown) == 2, "sizes of gaps"
    left = [
        node
        for node in ElementTree.fromstring(maps_picture(SLEEP)).iter(f"{SVG}text")
        if node.get("text-anchor") == "end"
    ]
    addresses = [node for node in left if re.fullmatch("[0-9a-f]+", node.text or "")]
    ends = {SLEEP[-1].end} | {low.end for low, high in pairwise(SLEEP) if low.end < high.start}
    assert {int(node.text or "", 16) for node in addresses} == {0} | ends | {
        one.start for one in SLEEP
    }
    assert len({node.get("x") for node in addresses}) == 1
    assert any(GUESS in text for text in shown)


def test_a_picture_of_thousands_says_what_is_drawn_together() -> None:
    shown = " ".join(texts(maps_picture(MANY)))
    assert "3,000 areas" in shown
    assert f"drawn as {LIMIT} blocks" in shown
    assert "A bar in parts is several areas" in shown
    assert "A bar in parts" not in " ".join(texts(maps_picture(SLEEP)))
    drawn = blocks(describe(MANY))
    counted = sum(
        int(found.replace(",", "")) for found in re.findall(r"([\d,]+) areas(?! drawn)", shown)[1:]
    )
    program_twice = 4  # its bracket counts its areas, each of which is drawn alone
    assert (
        counted
        == sum(len(block.members) for block in drawn if len(block.members) > 1) + program_twice
    )


def test_every_kind_has_a_letter_beside_its_colour() -> None:
    assert len({kind.letter for kind in KINDS}) == len(KINDS)
    assert len({fill for fill, _ in COLOURS.values()}) == len(COLOURS) == len(KINDS) - 1, (
        "no access is hatched"
    )
    shown = Counter(texts(maps_picture(SLEEP)))
    for kind, times in Counter(kinds_of(SLEEP)).items():
        assert shown[kind.letter] == times + 1, "once for each area, and once in the legend"


@pytest.mark.parametrize("colour", COLOURS.values())
def test_what_is_written_on_a_colour_can_be_read(colour: tuple[str, str]) -> None:
    def luminance(text: str) -> float:
        digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted(map(luminance, colour), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_memory_without_access_is_hatched() -> None:
    plain, hatched = (
        maps_picture([area(1 << 40, 1 << 20, perms)]).count('class="line dim"')
        for perms in ("r--p", "---p")
    )
    assert (plain, hatched) == (0, 2), "the area, and its sign in the legend"


def test_the_description_says_it_all_in_words() -> None:
    root = ElementTree.fromstring(maps_picture(SPACES["i386_maps"], program="/bin/cat"))
    lines = (root.findtext(f"{SVG}desc") or "").splitlines()
    assert "bfd4c000 to bfd6d000: stack, grows down, 132 KiB rw-p" in lines
    assert "8048000 to 804d000: program cat, 20 KiB code r-xp" in lines
    assert "0 to 8048000: unmapped: address 0 too, so null pointers fail, 128.3 MiB" in " ".join(
        lines
    )


def test_names_cannot_break_out() -> None:
    svg = maps_picture([area(1 << 40, 4096, "r--p", "/<script>&\x07\x1b[0m")])
    assert "<script>" not in svg
    assert "file <script>&\\x07\\x1b[0m" in texts(svg)


# -- PNG --------------------------------------------------------------------------------------------------------------


def test_a_png_has_the_size_of_the_layout_twice() -> None:
    pytest.importorskip("matplotlib")
    png = maps_png(SPACES["odd_names_maps"], "Dollars $x^2$ and <b>")
    maps_png([], "$\\frac{$")  # no formula at all, and nothing else on the picture
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(png[place : place + 4], "big") for place in (16, 20))
    layout = lay_out_areas(SPACES["odd_names_maps"], "", "")
    assert width == 2 * WIDTH
    assert abs(height - 2 * layout.height) <= 2
    assert png == maps_png(SPACES["odd_names_maps"], "Dollars $x^2$ and <b>")


def test_a_png_is_painted_by_what_paints_the_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text of the SVG is on the PNG, at the same place."""
    pytest.importorskip("matplotlib")
    from mmlocks.maps.png import PngBrush

    painted = []
    before = PngBrush.text

    def text(brush: PngBrush, x: float, y: float, text: str, *how: str, **more: str) -> None:
        painted.append(text)
        before(brush, x, y, text, *how, **more)

    monkeypatch.setattr(PngBrush, "text", text)
    maps_png(SLEEP, "sleep")
    assert painted == texts(maps_picture(SLEEP, "sleep"))


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        MmlocksError,
        match=r"matplotlib, which is not installed.*pip install matplotlib.*--svg FILE",
    ):
        maps_png(SLEEP)
