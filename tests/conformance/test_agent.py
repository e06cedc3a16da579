"""Real processes: that they do what they are told and nothing else, survive what they should, and leave nothing behind."""

import errno
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmlocks.conformance import machine_code
from mmlocks.conformance.agent import RealProcess
from mmlocks.conformance.nursery import PROCESSES, Nursery, unsupported
from mmlocks.conformance.subject import FILE, FILE_PAGES, FILE_WORD
from mmlocks.errors import HostError

pytestmark = pytest.mark.skipif(unsupported() is not None, reason=str(unsupported()))

PAGE = 0x1000
SOMEWHERE = 0x10_0000_0000
NONE, READ, WRITE = 0, 1, 2
SHARED, PRIVATE, FIXED, ANONYMOUS, GROWSDOWN = 0x1, 0x2, 0x10, 0x20, 0x100
MAYMOVE, REMAP_FIXED = 1, 2


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture
def process(nursery: Nursery) -> Iterator[RealProcess]:
    made = nursery.process()
    yield made
    made.end()


def place(
    process: RealProcess, address: int, pages: int, prot: int = READ | WRITE, flags: int = 0
) -> None:
    flags |= PRIVATE | FIXED | ANONYMOUS
    assert process.call("mmap", address, pages * PAGE, prot, flags, 0, 0) == address


def layout(process: RealProcess) -> list[tuple[int, int, str]]:
    """Start and number of pages of what lies SOMEWHERE, in pages from there, and its permissions."""
    return [
        ((area.start - SOMEWHERE) // PAGE, (area.end - area.start) // PAGE, area.perms)
        for area in process.areas(flags=False)
        if -0x1_0000_0000 < area.start - SOMEWHERE < 0x1_0000_0000
    ]


def is_there(pid: int) -> bool:
    """Whether a process runs or waits (a zombie does neither)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def python(script: str) -> subprocess.CompletedProcess[str]:
    """Another Python, which leaves us as we are."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )


# -- what a process begins with ---------------------------------------------------------------------------------------


def test_a_process_has_its_program_a_stack_and_nothing_else(process: RealProcess) -> None:
    text, data, stack = (
        area for area in process.areas(flags=True) if area.file != "[vsyscall]"
    )  # and [vsyscall], if the kernel has one
    assert (text.start, text.end, text.perms) == (machine_code.TEXT, machine_code.DATA, "r-xp")
    assert (data.start, data.end, data.perms) == (machine_code.DATA, machine_code.END, "rw-p")
    assert stack.file == "[stack]"
    assert stack.flags is not None
    assert {"gd", "rd", "wr"} <= stack.flags


def test_the_layout_is_the_same_in_every_nursery(nursery: Nursery) -> None:
    if nursery.randomized:
        pytest.skip("this computer does not let a process give up random addresses")
    with Nursery() as other:
        assert other.limits == nursery.limits
        # the two programs lie in files of their own
        assert [area._replace(inode=0) for area in other.areas] == [
            area._replace(inode=0) for area in nursery.areas
        ]
        assert other.process().areas(flags=True) == other.areas


def test_limits_say_where_things_go(process: RealProcess) -> None:
    limits = process.limits()
    assert limits.start_brk == limits.brk == machine_code.END
    assert process.call("brk", 0) == limits.brk
    assert process.call("mmap", 0, PAGE, READ, PRIVATE | ANONYMOUS, 0, 0) == limits.mmap_base - PAGE
    assert (
        process.call("mmap", 1 * PAGE, PAGE, READ, PRIVATE | ANONYMOUS, 0, 0)
        == limits.mmap_min_addr
    )
    assert process.call("brk", limits.brk + 5) == limits.brk + 5
    assert process.limits() == limits._replace(brk=limits.brk + 5)
    assert limits.rlimit_stack <= 8 << 20
    assert limits.max_map_count == int(Path("/proc/sys/vm/max_map_count").read_text())


# -- operations -------------------------------------------------------------------------------------------------------


def test_calls_return_what_the_kernel_returns(process: RealProcess) -> None:
    place(process, SOMEWHERE, 4)
    assert process.call("mprotect", SOMEWHERE + PAGE, PAGE, READ) == 0
    assert layout(process) == [(0, 1, "rw-p"), (1, 1, "r--p"), (2, 2, "rw-p")]
    assert process.call("munmap", SOMEWHERE + 1, PAGE) == -errno.EINVAL
    assert process.call("munmap", SOMEWHERE, 2 * PAGE) == 0
    target = SOMEWHERE + 9 * PAGE
    moved = process.call("mremap", SOMEWHERE + 2 * PAGE, PAGE, PAGE, MAYMOVE | REMAP_FIXED, target)
    assert moved == target
    assert layout(process) == [(3, 1, "rw-p"), (9, 1, "rw-p")]
    assert process.call("madvise", SOMEWHERE, PAGE, 4) == -errno.ENOMEM
    assert process.call("mmap", 0, 2**64 - 1, READ, PRIVATE | ANONYMOUS, 0, 0) == -errno.ENOMEM


def test_a_call_that_is_none_of_memory_is_refused_by_name(process: RealProcess) -> None:
    with pytest.raises(HostError, match=r"open is not a call .* mmap, mprotect"):
        process.call("open", 0)


def test_words_are_stored_and_loaded(process: RealProcess) -> None:
    place(process, SOMEWHERE, 1)
    assert process.load(SOMEWHERE + 8) == 0
    assert process.store(SOMEWHERE + 8, 0xFEDC_BA98_7654_3210)
    assert process.load(SOMEWHERE + 8) == 0xFEDC_BA98_7654_3210
    assert process.store(SOMEWHERE + 16, 2**64 - errno.EFAULT)  # looks like the reply to a fault
    assert process.load(SOMEWHERE + 16) == 2**64 - errno.EFAULT


def test_a_process_survives_every_kind_of_bad_access(process: RealProcess) -> None:
    place(process, SOMEWHERE, 1, READ)
    file = SOMEWHERE + 16 * PAGE
    assert process.call("mmap", file, 32 * PAGE, READ | WRITE, SHARED | FIXED, FILE, 0) == file
    for _ in range(3):
        assert not process.store(SOMEWHERE, 1)  # not permitted
        assert process.load(SOMEWHERE + PAGE) is None  # nothing there
        assert process.load(0) is None
        assert process.load(file + FILE_PAGES * PAGE) is None  # SIGBUS
        assert not process.store(0x8000_0000_0000_0000, 1)  # no address
        assert process.load(SOMEWHERE) == 0


def test_the_process_does_without_the_stack(process: RealProcess) -> None:
    (stack,) = (area for area in process.areas(flags=False) if area.file == "[stack]")
    assert process.store(stack.start - 8, 5)
    (grown,) = (area for area in process.areas(flags=False) if area.file == "[stack]")
    assert grown.start == stack.start - PAGE
    assert process.call("munmap", grown.start, grown.end - grown.start) == 0
    assert process.load(grown.end - 8) is None
    assert "[stack]" not in {area.file for area in process.areas(flags=False)}


def test_smaps_shows_the_areas_of_maps(process: RealProcess) -> None:
    for number in range(200):  # more than the kernel gives at once
        place(process, SOMEWHERE + number * PAGE, 1, READ if number % 2 else READ | WRITE)
    areas = process.areas(flags=False)
    assert len(areas) > 200
    assert [area._replace(flags=None) for area in process.areas(flags=True)] == areas


# -- the test file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SHARED, PRIVATE])
def test_the_test_file_says_which_page_is_which(process: RealProcess, kind: int) -> None:
    address = process.call("mmap", 0, 3 * PAGE, READ, kind, FILE, 4 * PAGE)
    for page in range(3):
        assert process.load(address + page * PAGE) == FILE_WORD + 4 + page
        assert process.load(address + page * PAGE + 8) == FILE_WORD + 4 + page
        assert process.load(address + page * PAGE + 16) == 0


def test_every_program_finds_the_test_file_as_new(nursery: Nursery) -> None:
    for _ in range(2):
        process = nursery.process()
        address = process.call("mmap", 0, PAGE, READ | WRITE, SHARED, FILE, 0)
        assert process.load(address) == FILE_WORD
        assert process.store(address, 1)


def test_the_test_file_is_recognized_in_maps(nursery: Nursery, process: RealProcess) -> None:
    address = process.call("mmap", 0, PAGE, READ, SHARED, FILE, 0)
    (area,) = (area for area in process.areas(flags=False) if area.start == address)
    assert (area.device, area.inode) == nursery.test_file


# -- fork -------------------------------------------------------------------------------------------------------------


def test_a_child_has_a_memory_of_its_own(process: RealProcess) -> None:
    place(process, SOMEWHERE, 1)
    process.store(SOMEWHERE, 1)
    child = process.fork()
    grandchild = child.fork()
    child.store(SOMEWHERE, 2)
    assert [one.load(SOMEWHERE) for one in (process, child, grandchild)] == [1, 2, 1]
    assert child.call("munmap", SOMEWHERE, PAGE) == 0
    assert layout(child) == []
    assert layout(process) == layout(grandchild) == [(0, 1, "rw-p")]


def test_a_program_has_so_many_processes_and_no_more(
    nursery: Nursery, process: RealProcess
) -> None:
    children = [process.fork() for _ in range(PROCESSES - 1)]
    with pytest.raises(HostError, match=f"at most {PROCESSES} processes"):
        process.fork()
    children[1].end()
    children.append(process.fork())
    assert [child.load(0) for child in (children[0], *children[2:])] == [None] * (PROCESSES - 1)


def test_a_process_that_was_ended_says_so(nursery: Nursery, process: RealProcess) -> None:
    process.end()
    process.end()
    for use in (lambda: process.call("brk", 0), lambda: process.areas(flags=False), process.fork):
        with pytest.raises(HostError, match=f"process {process.pid} .*signal 9.* fresh one"):
            use()


def test_a_new_program_ends_the_one_before(nursery: Nursery) -> None:
    before = nursery.process()
    child = before.fork()
    nursery.process()
    assert not is_there(before.pid)
    assert not is_there(child.pid)


# -- peek -------------------------------------------------------------------------------------------------------------


def test_peek_sees_what_is_in_memory_whatever_the_permissions(process: RealProcess) -> None:
    place(process, SOMEWHERE, 2)
    process.store(SOMEWHERE, 7)
    process.call("mprotect", SOMEWHERE, 2 * PAGE, NONE)
    assert process.peek(SOMEWHERE) == 7
    assert process.peek(SOMEWHERE + PAGE) == 0
    assert process.peek(SOMEWHERE + 2 * PAGE) is None
    process.call("munmap", SOMEWHERE, PAGE)
    assert process.peek(SOMEWHERE) is None


def test_peek_behind_the_end_of_a_file_finds_nothing(process: RealProcess) -> None:
    address = process.call("mmap", 0, (FILE_PAGES + 1) * PAGE, READ, PRIVATE, FILE, 0)
    assert process.peek(address + FILE_PAGES * PAGE - PAGE) == FILE_WORD + FILE_PAGES - 1
    assert process.peek(address + FILE_PAGES * PAGE) is None


def test_peek_does_not_grow_a_stack(process: RealProcess) -> None:
    place(process, SOMEWHERE, 1, flags=GROWSDOWN)
    assert process.peek(SOMEWHERE - PAGE) is None
    assert layout(process) == [(0, 1, "rw-p")]
    assert process.load(SOMEWHERE - PAGE) == 0  # a load does
    assert layout(process) == [(-1, 2, "rw-p")]


@pytest.mark.parametrize("touch", ["nothing", "peek", "store"])
def test_peek_leaves_a_page_untouched_as_far_as_merging_can_tell(
    process: RealProcess, touch: str
) -> None:
    place(process, SOMEWHERE, 2)
    place(process, SOMEWHERE + 8 * PAGE, 2)
    if touch == "peek":
        assert process.peek(SOMEWHERE) == 0
    elif touch == "store":
        assert process.store(SOMEWHERE, 1)
    target = SOMEWHERE + 10 * PAGE
    assert (
        process.call("mremap", SOMEWHERE, 2 * PAGE, 2 * PAGE, MAYMOVE | REMAP_FIXED, target)
        == target
    )
    # an area that was stored to keeps its old place in its anon_vma, so it fits in nowhere else
    together = [(8, 4, "rw-p")]
    assert layout(process) == ([(8, 2, "rw-p"), (10, 2, "rw-p")] if touch == "store" else together)


# -- how it ends ------------------------------------------------------------------------------------------------------


def test_nothing_is_left_behind() -> None:
    affinity = os.sched_getaffinity(0)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with Nursery() as nursery:
        first = nursery.process()
        open_now = set()
        for _ in range(50):
            process = nursery.process()
            place(process, SOMEWHERE, 1)
            child = process.fork()
            child.areas(flags=True)
            process.areas(flags=False)
            process.peek(SOMEWHERE)
            open_now.add(len(list(Path("/proc/self/fd").iterdir())))
        assert len(open_now) == 1
        assert not is_there(first.pid)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert os.sched_getaffinity(0) == affinity
    with pytest.raises(ChildProcessError):  # no zombies: it never had any other children
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOHANG)
    assert not is_there(process.pid)
    assert not is_there(child.pid)


def test_processes_leave_when_python_is_killed(tmp_path: Path) -> None:
    script = """if True:
        import sys, time
        from mmlocks.conformance.nursery import Nursery
        nursery, other = Nursery(), Nursery()
        processes = [nursery.process(), other.process()]
        processes += [processes[0].fork(), processes[0].fork()]
        print(nursery._first.pid, other._first.pid, *(process.pid for process in processes), flush=True)
        time.sleep(600)
    """
    running = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        pids = [int(pid) for pid in running.stdout.readline().split()]
        assert len(pids) == 6
        assert all(is_there(pid) for pid in pids)
        for pid in pids:
            os.kill(
                pid, signal.SIGINT
            )  # Ctrl-C reaches them as well, and is none of their business
        assert all(is_there(pid) for pid in pids)
    finally:
        running.kill()
        running.communicate()
    deadline = time.monotonic() + 20
    while any(is_there(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pid for pid in pids if is_there(pid)] == []


def test_a_python_that_ignores_its_children_gets_along() -> None:
    script = """if True:
        import signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        from mmlocks.conformance.nursery import Nursery
        with Nursery() as nursery:
            for _ in range(3):
                print(nursery.process().fork().load(0))
    """
    done = python(script)
    assert (done.stdout, done.stderr) == ("None\n" * 3, "")


def test_a_process_that_loses_its_program_is_reported_with_the_signal() -> None:
    with Nursery() as nursery:
        process = nursery.process()
        with pytest.raises(
            HostError, match=rf"process {process.pid} was told to call\(0xb, .*signal 11"
        ):
            process.call("munmap", machine_code.TEXT, PAGE)
        with pytest.raises(HostError, match=r"cannot call, as it was ended by signal 11"):
            process.call("brk", 0)


def test_after_an_interruption_another_nursery_is_asked_for() -> None:
    with Nursery() as nursery:
        process = nursery.process()
        process._agent.in_doubt = True  # Ctrl-C came between a command and its reply
        with pytest.raises(HostError, match=r"interrupted\. Open another Nursery"):
            process.load(0)
        with pytest.raises(HostError, match=r"left a command unanswered\. Open another Nursery"):
            nursery.process()
    with Nursery() as nursery:
        assert nursery.process().load(0) is None


def test_a_stack_limit_below_ours_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    assert soft == resource.RLIM_INFINITY or soft >= 8 << 20 or hard >= 8 << 20
    script = """if True:
        import resource
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 4 << 20))
        from mmlocks.conformance.nursery import Nursery
        with Nursery() as nursery:
            print(nursery.limits.rlimit_stack)
    """
    done = python(script)
    assert (done.stdout, done.stderr) == (f"{4 << 20}\n", "")


def test_a_cpu_can_be_chosen() -> None:
    allowed = os.sched_getaffinity(0)
    with Nursery(max(allowed)):
        assert os.sched_getaffinity(0) == {max(allowed)}
    with pytest.raises(HostError, match="may not run on CPU 99999"):
        Nursery(99999)
    assert os.sched_getaffinity(0) == allowed


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")]
)
def test_elsewhere_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(HostError, match=f"need Linux on x86-64, and this is {system} on {machine}"):
        Nursery()


def test_where_addresses_stay_random_the_limits_are_those_of_this_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_such_call = 9999
    monkeypatch.setattr(
        "mmlocks.conformance.nursery._PERSONALITY", no_such_call
    )  # some sandboxes refuse it
    with Nursery() as nursery:
        assert nursery.randomized
        process = nursery.process()
        limits = process.limits()
        assert (
            process.call("mmap", 0, PAGE, READ, PRIVATE | ANONYMOUS, 0, 0)
            == limits.mmap_base - PAGE
        )
        assert process.call("brk", 0) == limits.start_brk >= machine_code.END
        assert process.areas(flags=False)[:-1] != []
        assert len(process.areas(flags=False)) == len(nursery.areas) + 1
