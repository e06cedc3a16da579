"""What is said of an area: what its line says is said, what is guessed has a question mark, and nothing else is said."""

import mmap
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mmlocks.maps.blocks import blocks
from mmlocks.maps.describe import describe
from mmlocks.maps.kinds import WORTH_SAYING
from mmlocks.maps.picture import maps_picture
from mmlocks.maps.reading import parse_maps, parse_smaps, read_areas
from mmlocks.maps.text import accounted, guesses, sums, table
from mmlocks.mm.area import Area

LINUX = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")


def said(text: str, program: str = "") -> list[str]:
    """Everything that is said of the areas in a maps or smaps."""
    parse = parse_smaps if "kB" in text or "VmFlags" in text else parse_maps
    return [", ".join([one.words(), *one.remarks]) for one in describe(parse(text), program)]


def said_of(file: str, perms: str = "rw-p", flags: str | None = None) -> str:
    """What is said of one area, beside a program that is known and has ordinary rights."""
    known = None if flags is None else frozenset(flags.split())
    program = [
        Area(0x400000, 0x401000, "r-xp", 0, "/bin/program"),
        Area(0x401000, 0x402000, "rw-p", 0, "/bin/program"),
    ]
    one = describe(
        [*program, Area(0x7F0000000000, 0x7F0000200000, perms, 0, file, known)], "/bin/program"
    )[-1]
    return ", ".join([one.words(), *one.remarks])


def texts(svg: str) -> list[str]:
    return [
        node.text or ""
        for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "shared", "private"),
    [
        ("/memfd:cfg (deleted)", "shared memory /memfd:cfg", "private memory /memfd:cfg"),
        ("/memfd: (deleted)", "shared memory /memfd:", "private memory /memfd:"),
        ("/dev/shm/sem.x", "shared memory /dev/shm/sem.x", "private memory /dev/shm/sem.x"),
        ("/dev/shm/x (deleted)", "shared memory /dev/shm/x (deleted)", "private memory /dev/shm/x (deleted)"),
        ("/run/shm/x", "shared memory /run/shm/x", "private memory /run/shm/x"),
        ("/dev/hugepages/rtemap_0", "shared memory /dev/hugepages/rtemap_0", "private memory /dev/hugepages/rtemap_0"),
        ("/SYSV0056a4d6 (deleted)", "shared memory /SYSV0056a4d6", "private memory /SYSV0056a4d6"),
        ("/i915 (deleted)", "shared memory /i915", "private memory /i915"),
        ("/drm mm object (deleted)", "shared memory /drm mm object", "private memory /drm mm object"),
        ("/secretmem (deleted)", "shared memory /secretmem", "private memory /secretmem"),
        ("/dmabuf:", "shared memory /dmabuf:", "private memory /dmabuf:"),
        ("anon_inode:dmabuf", "shared memory anon_inode:dmabuf", "private memory anon_inode:dmabuf"),
        ("/dev/zero", "shared memory /dev/zero", "anonymous /dev/zero"),
        ("/dev/zero (deleted)", "shared memory /dev/zero", "private memory /dev/zero"),
        ("/anon_hugepage (deleted)", "shared memory /anon_hugepage", "anonymous /anon_hugepage"),
        ("/dev/ashmem/dalvik-main space (deleted)", "shared memory /dev/ashmem/dalvik-main space",
         "anonymous /dev/ashmem/dalvik-main space"),
        ("/dev/ashmem (deleted)", "shared memory /dev/ashmem", "anonymous /dev/ashmem"),
        ("[anon_shmem:queue]", "shared memory [anon_shmem:queue]", "private memory [anon_shmem:queue]"),
        ("", "shared memory", "anonymous"),
        ("[anon:arena]", "shared memory: arena", "anonymous: arena"),
        ("/[aio] (deleted)", "kernel /[aio]: ring of io_setup", "kernel /[aio]: ring of io_setup"),
        ("socket:[23382]", "kernel socket:[23382]: buffer of a socket", "kernel socket:[23382]: buffer of a socket"),
        ("anon_inode:[perf_event]", *["kernel anon_inode:[perf_event]: for perf_event_open"] * 2),
        ("anon_inode:[io_uring]", *["kernel anon_inode:[io_uring]: queues of io_uring"] * 2),
        ("anon_inode:kvm-vcpu:0", *["kernel anon_inode:kvm-vcpu:0: for a virtual CPU"] * 2),
        ("anon_inode:bpf-map", *["kernel anon_inode:bpf-map: a map of BPF"] * 2),
        ("anon_inode:of next year", *["kernel anon_inode:of next year"] * 2),
        ("/dev/dri/card0", "device? /dev/dri/card0", "device? /dev/dri/card0"),
        ("/dev/zero2", "device? /dev/zero2", "device? /dev/zero2"),
        ("/dev/ashmemory", "device? /dev/ashmemory", "device? /dev/ashmemory"),
        ("/sys/bus/pci/devices/0/resource0", *["kernel's file /sys/bus/pci/devices/0/resource0"] * 2),
        ("/srv/data", "shared file /srv/data", "file /srv/data"),
        ("/srv/a:b[c]", "shared file /srv/a:b[c]", "file /srv/a:b[c]"),
        ("/srv/data (deleted)", "shared file /srv/data (deleted)", "file /srv/data (deleted)"),
        ("/srv/memfd:x", "shared file /srv/memfd:x", "file /srv/memfd:x"),
        ("/SYSVinit/table", "shared file /SYSVinit/table", "file /SYSVinit/table"),
        ("(unreachable)/srv/data", "shared file (unreachable)/srv/data", "file (unreachable)/srv/data"),
        ("/srv/one\\012two.so", "shared file /srv/one\\012two.so", "library /srv/one\\012two.so: data"),
        ("/lib/libc.so.6", "shared file /lib/libc.so.6", "library /lib/libc.so.6: data"),
        ("/lib/libc.so.6;5f3ab2 (deleted)", "shared file /lib/libc.so.6;5f3ab2 (deleted)",
         "library /lib/libc.so.6;5f3ab2 (deleted): data"),
        ("/etc/ld.so.cache", "shared file /etc/ld.so.cache", "file /etc/ld.so.cache"),
    ],
)  # fmt: skip
def test_what_a_name_says_of_shared_and_of_private_memory(
    file: str, shared: str, private: str
) -> None:
    assert said_of(file, "rw-s") == shared
    assert said_of(file, "rw-p") == private


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("[vdso]", "kernel [vdso]: system calls without entering it"),
        ("[vvar]", "kernel [vvar]: data for [vdso]"),
        ("[vvar_vclock]", "kernel [vvar_vclock]: clock data for [vdso]"),
        ("[uprobes]", "kernel [uprobes]: for tracing"),
        ("[a name of next year]", "kernel [a name of next year]"),
        ("[stack:7]", "stack of thread 7"),
    ],
)
def test_names_in_brackets(file: str, words: str) -> None:
    assert said_of(file) == words


def test_memory_of_a_file_in_huge_pages_is_told_by_its_flag() -> None:
    """Files in huge pages may be in any folder: hugetlbfs can be mounted everywhere."""
    assert (
        said_of("/mnt/huge/a", "rw-s", "rd wr sh ht")
        == "shared memory /mnt/huge/a, huge pages only"
    )
    assert (
        said_of("/mnt/huge/a", "rw-p", "rd wr ht") == "private memory /mnt/huge/a, huge pages only"
    )
    assert said_of("/mnt/huge/a", "rw-s", "rd wr sh") == "shared file /mnt/huge/a"


def test_areas_without_a_disk() -> None:
    text = """\
12c0000000-12c0100000 rw-s 00000000 00:05 10438                       /dev/ashmem/dalvik-main space (deleted)
12c0200000-12c0400000 rw-s 00000000 00:0e 9                       /dev/hugepages/rtemap_0
7f7478891000-7f7478894000 rw-s 00000000 00:13 23379                      /[aio] (deleted)
7f74788b9000-7f74788bb000 rw-s 00000000 00:10 1044                       anon_inode:[perf_event]
7f74788bb000-7f74788bf000 rw-s 00000000 00:09 23382                      socket:[23382]
"""
    assert said(text) == [
        "shared memory /dev/ashmem/dalvik-main space",
        "shared memory /dev/hugepages/rtemap_0",
        "kernel /[aio]: ring of io_setup",
        "kernel anon_inode:[perf_event]: for perf_event_open",
        "kernel socket:[23382]: buffer of a socket",
    ]
    assert "shared file" not in "".join(table(parse_maps(text), 80))
    assert not guesses(parse_maps(text))


@LINUX
def test_what_this_kernel_calls_memory(tmp_path: Path) -> None:
    """The names are those of the running kernel, not ours."""
    memfd, zero = os.memfd_create("of a test"), os.open("/dev/zero", os.O_RDWR)
    (tmp_path / "gone").write_bytes(bytes(4096))
    gone = os.open(tmp_path / "gone", os.O_RDWR)
    (tmp_path / "gone").unlink()
    os.ftruncate(memfd, 8192)
    wanted = [
        (memfd, mmap.MAP_SHARED, "shared memory /memfd:of a test"),
        (memfd, mmap.MAP_PRIVATE, "private memory /memfd:of a test"),
        (zero, mmap.MAP_SHARED, "shared memory /dev/zero"),
        (zero, mmap.MAP_PRIVATE, "anonymous /dev/zero"),
        (-1, mmap.MAP_SHARED, "shared memory /dev/zero"),
        (gone, mmap.MAP_PRIVATE, f"file {tmp_path}/gone (deleted)"),
        (gone, mmap.MAP_SHARED, f"shared file {tmp_path}/gone (deleted)"),
    ]
    before = {one.words() for one in describe(read_areas())}
    held = [mmap.mmap(fd, 4096, flags=how) for fd, how, _ in wanted]
    try:
        after = [one.words() for one in describe(read_areas())]
    finally:
        for mapping in held:
            mapping.close()
        for fd in (memfd, zero, gone):
            os.close(fd)
    assert {words for _, _, words in wanted} - before <= set(after)


# -- flags ------------------------------------------------------------------------------------------------------------


def test_guard_pages_are_a_maybe() -> None:
    text = "7f747881f000-7f7478820000 rw-p 00000000 00:00 0 \nRss: 0 kB\nVmFlags: rd wr mr mw me ac sl gu \n"
    assert said(text) == ["anonymous, sealed, may contain guard pages"]


def test_flags_of_a_buffer_for_perf_do_not_make_it_a_device() -> None:
    """As Linux 6.18 shows them."""
    flags = "rd wr sh mr mw ms pf io dc de dd"
    assert said_of("anon_inode:[perf_event]", "rw-s", flags).split(", ")[1:] == [
        "not copied by fork",
        "not in core dumps",
        "marked as I/O memory",
    ]


def test_memory_that_is_locked_once_touched_is_not_said_to_be_locked() -> None:
    """mlock2(MLOCK_ONFAULT) sets both flags."""
    assert said_of("", flags="rd wr lo lf") == "anonymous, locked once touched"
    assert said_of("", flags="rd wr lo") == "anonymous, locked in memory"


def test_equal_pages_are_merged_only_if_the_kernel_likes_to() -> None:
    assert said_of("", flags="rd wr mg") == "anonymous, equal pages may be merged"


def test_every_flag_has_words_of_its_own() -> None:
    assert len(set(WORTH_SAYING.values())) == len(WORTH_SAYING)


def test_an_old_smaps_is_read() -> None:
    """Kernels before 3.8 write no VmFlags (proc_pid_smaps(5))."""
    text = """\
08048000-080bc000 r-xp 00000000 03:02 13130      /bin/bash
Size:               1084 kB
Rss:                 892 kB
Pss:                 374 kB
Locked:              374 kB
080bc000-080c0000 rw-p 00074000 03:02 13130      /bin/bash
Size:                 16 kB
Rss:                  16 kB
"""
    assert said(text) == ["program? code /bin/bash", "program? data /bin/bash"]
    assert accounted(parse_smaps(text)) is None


# -- what grows -------------------------------------------------------------------------------------------------------

THREADS = """\
00400000-006f7000 r-xp 00000000 08:11 262436                             /srv/build/app
008f6000-008fb000 r--p 002f6000 08:11 262436                             /srv/build/app
008fc000-0090e000 rw-p 00000000 00:00 0
00df4000-00f2c000 rw-p 00000000 00:00 0                                  [heap]
2ba4bebb7000-2ba4bebb8000 ---p 00000000 00:00 0
2ba4bebb8000-2ba4bebbb000 rw-p 00000000 00:00 0                          [stack:13848]
7fff5b7a1000-7fff5b7c2000 rw-p 00000000 00:00 0                          [stack]
"""


def test_the_stack_of_a_thread_does_not_grow() -> None:
    """Its memory is from mmap; Linux 3.4 to 4.4 only say that the thread's stack pointer is in it."""
    assert said(THREADS) == [
        "program? code /srv/build/app",
        "program? constants /srv/build/app",
        "anonymous",
        "heap, grows up",
        "guard below a thread's stack?",
        "stack of thread 13848",
        "stack, grows down",
    ]


def test_flags_say_what_grows_if_they_are_known() -> None:
    assert said_of("[stack]", flags="rd wr gd ac") == "stack, grows down"
    assert said_of("[stack]", flags="rd wr ac") == "stack", (
        "the upper part of one that mprotect has cut"
    )
    assert said_of("[stack:13848]", flags="rd wr ac") == "stack of thread 13848"
    assert said_of("", flags="rd wr gd ac") == "anonymous, grows down", (
        "from mmap with MAP_GROWSDOWN"
    )


def test_only_the_top_of_the_heap_grows() -> None:
    heap = "00e03000-00e24000 rw-p 00000000 00:00 0  [heap]\n00e24000-011f7000 rw-p 00000000 00:00 0  [heap]\n"
    assert said(heap) == ["heap", "heap, grows up"]


def test_stacks_of_threads_are_drawn_together_and_that_of_the_first_alone() -> None:
    lines = ["00df4000-00f2c000 rw-p 00000000 00:00 0 [heap]"]
    for number in range(100):
        start = 0x7F0000000000 + (number << 23)
        lines.append(f"{start:x}-{start + 4096:x} ---p 00000000 00:00 0 ")
        lines.append(
            f"{start + 4096:x}-{start + (1 << 23):x} rw-p 00000000 00:00 0 [stack:{1000 + number}]"
        )
    lines.append("7fff5b7a1000-7fff5b7c2000 rw-p 00000000 00:00 0 [stack]")
    areas = parse_maps("\n".join(lines))
    assert [len(block.members) for block in blocks(describe(areas))] == [1, 200, 1]
    shown = texts(maps_picture(areas))
    assert "100 threads' stacks" in shown
    assert "200 areas, 100 of them guards?" in shown


def test_the_stacks_of_many_threads_do_not_hide_the_landmarks() -> None:
    lines = ["00400000-00500000 r-xp 0 8:1 7 /bin/a", "00501000-00601000 rw-p 0 00:00 0 [heap]"]
    for number in range(100):
        start = 0x7F0000000000 + (number << 30)
        lines.append(
            f"{start:x}-{start + (8 << 20):x} rw-p 00000000 00:00 0 [stack:{1000 + number}]"
        )
    lines.append("7fff5b7a1000-7fff5b7c2000 rw-p 00000000 00:00 0 [stack]")
    alone = [
        block.members[0].area.file
        for block in blocks(describe(parse_maps("\n".join(lines))))
        if len(block.members) == 1
    ]
    assert {"/bin/a", "[heap]", "[stack]"} <= set(alone)


# -- which file is the program ----------------------------------------------------------------------------------------


def test_where_all_is_executable_neither_program_nor_code_is_told_from_that() -> None:
    text = """\
003fb000-003fd000 r-xs 00000000 08:05 254488     /var/cache/fontconfig/2c5ba8142dffc8bf0377700342b8ca1a-x86.cache-2
003fd000-003fe000 r-xp 00000000 08:05 1685717    /usr/lib/libv4l/v4l1compat.so
003fe000-003ff000 r-xp 00000000 08:05 1685717    /usr/lib/libv4l/v4l1compat.so
003ff000-00400000 rwxp 00001000 08:05 1685717    /usr/lib/libv4l/v4l1compat.so
00400000-0042b000 r-xp 00000000 08:05 1669755    /usr/lib/libfontconfig.so.1.3.0
0042b000-0042c000 r-xp 0002a000 08:05 1669755    /usr/lib/libfontconfig.so.1.3.0
0042c000-0042d000 rwxp 0002b000 08:05 1669755    /usr/lib/libfontconfig.so.1.3.0
0042d000-00433000 r-xs 00000000 08:05 254428     /var/cache/fontconfig/089dead882-x86.cache-2Segmentation fault
"""
    v4l, fonts = "library /usr/lib/libv4l/v4l1compat.so", "library /usr/lib/libfontconfig.so.1.3.0"
    cache = "shared file /var/cache/fontconfig"
    assert said(text) == [
        f"{cache}/2c5ba8142dffc8bf0377700342b8ca1a-x86.cache-2",
        *[v4l] * 3,
        *[fonts] * 3,
        f"{cache}/089dead882-x86.cache-2Segmentation fault",
    ]
    assert not guesses(parse_maps(text))


def test_a_file_that_is_mapped_shared_is_no_program() -> None:
    """The loader maps code privately."""
    assert said_of("/var/cache/fonts", "r-xs") == "shared file /var/cache/fonts"
    library = "7f0000001000-7f0000002000 rw-p 00000000 08:05 4     /usr/lib/libSM.so.6.0.0\n"
    assert (
        said(f"00400000-00401000 r-xs 00000000 08:05 1     /var/cache/fonts\n{library}")[0]
        == "shared file /var/cache/fonts"
    )
    assert said_of("/bin/program", "r--s") == "program /bin/program", (
        "read as any file: not its constants"
    )


def test_where_all_is_executable_the_only_file_is_no_program_for_that() -> None:
    text = "00400000-00401000 r-xp 00000000 08:05 1     /usr/lib/locale/locale-archive\n"
    fonts = "b7faf000-b7fb0000 r-xs 00000000 08:05 4     /var/cache/fonts\n"
    assert said(text + fonts)[0] == "file /usr/lib/locale/locale-archive"
    assert (
        said(text + fonts.replace("r-xs", "r--s"))[0]
        == "program? code /usr/lib/locale/locale-archive"
    )


def test_a_whole_old_program_where_all_is_executable() -> None:
    text = """\
00110000-00131000 r-xp 00000000 08:05 1     /usr/lib/locale/locale-archive
00131000-00132000 r-xs 00000000 08:05 2     /usr/lib/gconv/gconv-modules.cache
08048000-080bc000 r-xp 00000000 08:05 3     /bin/bash
080bc000-080c0000 rwxp 00074000 08:05 3     /bin/bash
09213000-0a10e000 rwxp 00000000 00:00 0     [heap]
b7faf000-b7fb0000 r-xp 00000000 08:05 4     /usr/lib/libSM.so.6.0.0
bec31000-bec52000 rw-p 00000000 00:00 0     [stack]
"""
    assert said(text) == [
        "file /usr/lib/locale/locale-archive",
        "shared file /usr/lib/gconv/gconv-modules.cache",
        "program? /bin/bash",
        "program? /bin/bash",
        "heap, grows up",
        "library /usr/lib/libSM.so.6.0.0",
        "stack, grows down",
    ]
    assert "file /usr/lib/locale/locale-archive" in said(text.replace("[heap]", "")), (
        "no heap, no guess"
    )
    assert "program?" not in " ".join(said(text.replace("[heap]", "")))


def test_the_lowest_file_with_code_is_not_the_program_for_that() -> None:
    oat, app = (
        "r-xp 00000000 fd:01 7   /system/framework/boot.oat",
        "fd:01 8   /system/bin/app_process64",
    )
    text = f"70000000-71000000 {oat}\n5a00000000-5a00001000 r-xp 00000000 {app}\n5a00002000-5a00003000 rw-p 00001000 {app}\n"
    assert said(text) == [
        "file /system/framework/boot.oat: code",
        "file /system/bin/app_process64: code",
        "file /system/bin/app_process64",
    ], "two that may be it: not even a guess"
    heap = "5a00100000-5a00200000 rw-p 00000000 00:00 0   [heap]\n"
    assert said(text + heap) == [
        "file /system/framework/boot.oat: code",
        "program? code /system/bin/app_process64",
        "program? data /system/bin/app_process64",
        "heap, grows up",
    ]
    assert said(text, "/system/bin/app_process64")[1:] == [
        "program code /system/bin/app_process64",
        "program data /system/bin/app_process64",
    ]


@pytest.mark.parametrize(
    "file",
    ["/memfd:x (deleted)", "/dev/fb0", "/SYSV00000000 (deleted)", "/usr/lib/libx.so", "[vdso]"],
)
def test_what_is_surely_no_program_is_not_taken_for_it(file: str) -> None:
    assert "program" not in said(f"00400000-00401000 r-xp 00000000 00:01 9 {file}\n")[0]


def test_a_program_in_a_memfd_is_known_to_the_kernel() -> None:
    text = (
        "00401000-00402000 r-xp 00001000 00:01 1044 /memfd:runc_cloned:/proc/self/exe (deleted)\n"
    )
    assert said(text) == ["private memory /memfd:runc_cloned:/proc/self/exe: code"]
    assert said(text, "/memfd:runc_cloned:/proc/self/exe (deleted)") == [
        "program code /memfd:runc_cloned:/proc/self/exe"
    ]


@pytest.mark.parametrize("touching", [True, False], ids=["with a bracket", "each alone"])
def test_the_guess_is_marked_wherever_the_program_is_named(touching: bool) -> None:
    areas = parse_maps(
        THREADS.replace("008f6000-008fb000", "006f7000-006fc000") if touching else THREADS
    )
    shown = texts(maps_picture(areas))
    assert {text for text in shown if text.startswith("program")} == {
        "program? 3.0 MiB",
        "program? app",
    }
    assert next(sums(areas)).startswith("program? ")
    shown = texts(maps_picture(areas, program="/srv/build/app"))
    assert {text for text in shown if text.startswith("program")} == {
        "program 3.0 MiB",
        "program app",
    }
    assert next(sums(areas, "/srv/build/app")).startswith("program  ")


# -- memory without access --------------------------------------------------------------------------------------------

LIBC = "00:1f 7    /lib/libc-2.15.so"


def test_a_gap_in_a_library_is_not_called_a_reserve() -> None:
    text = (
        f"35b1c00000-35b1dac000 r-xp 00000000 {LIBC}\n35b1dac000-35b1fac000 ---p 001ac000 {LIBC}\n"
        f"35b1fac000-35b1fb0000 r--p 001ac000 {LIBC}\n"
    )
    assert said(text) == [
        "library /lib/libc-2.15.so: code",
        "no access /lib/libc-2.15.so: between its parts",
        "library /lib/libc-2.15.so: constants",
    ]
    assert (
        said(text.replace(f"---p 001ac000 {LIBC}", "---p 00000000 00:00 0"))[1]
        == "between parts of libc-2.15.so"
    )
    assert said(text.partition("\n")[2])[0] == "no access /lib/libc-2.15.so", (
        "its lower part is not here"
    )


def test_what_memory_without_access_is_for_is_a_guess() -> None:
    assert said_of("", "---p") == "kept for later?"
    assert said("00400000-00401000 ---p 00000000 00:00 0\n") == ["guard?"]
    assert said_of("/memfd:x (deleted)", "---p") == "no access /memfd:x"
    assert said_of("[anon:scudo:reserve]", "---p") == "no access: scudo:reserve"


def test_a_name_that_a_program_gave_is_no_guess_of_ours() -> None:
    areas = parse_maps("00400000-00401000 rw-p 00000000 00:00 0 [anon:a thread's stack?]\n")
    assert [one.words() for one in describe(areas)] == ["anonymous: a thread's stack?"]
    assert not guesses(areas)


def test_variables_of_any_file_with_code_may_go_on_above_it() -> None:
    file = "fd:01 8   /usr/lib/plugin.node"
    text = f"5a00000000-5a00001000 r-xp 00000000 {file}\n5a00001000-5a00003000 rw-p 00001000 {file}\n5a00003000-5a00004000 rw-p 00000000 00:00 0\n"
    program = "00400000-00401000 r-xp 00000000 fd:01 9   /bin/node\n"
    assert said(program + text, "/bin/node")[-1] == "anonymous: .bss of plugin.node?"
