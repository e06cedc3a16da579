"""Makes real processes: the first has hardly any memory, and is forked for every program.

Python starts the first process, and tells it to give up the random placement of addresses and to
execute its program again, in a fresh address space (execve). So the layout is the same in every
run. These are commands, since Python code must not run between fork and exec.

All processes inherit the pipe ends that processes need; only Python holds the other ends. If Python
has ended, for any reason, a process reads the end of its commands, and exits. All processes are
children of Python itself (CLONE_PARENT), which waits for each, so that no zombies stay.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mmlocks.conformance import machine_code
from mmlocks.conformance.agent import FILE_FD, Agent, Pipes, RealProcess
from mmlocks.conformance.subject import FILE_PAGES, FILE_WORD
from mmlocks.errors import HostError
from mmlocks.mm.address import PAGE_SIZE, WORD, Limits
from mmlocks.mm.area import Area

PROCESSES: Final = 4
"""How many processes a program may have at a time."""
STACK_LIMIT: Final = 8 << 20
"""RLIMIT_STACK of the processes, in bytes, unless less is allowed.

The kernel places mappings by it.
"""

_EXECVE, _PERSONALITY, _PRCTL, _CLOSE_RANGE = 59, 135, 157, 436
_PR_SET_NAME: Final = 15
_ADDR_NO_RANDOMIZE: Final = 0x4_0000
_PROT_NONE, _MAP_PRIVATE, _MAP_ANONYMOUS = 0, 0x2, 0x20
_MFD_CLOEXEC, _MFD_EXEC = 0x1, 0x10

# The processes' descriptors: the test file, the nursery's own pair of pipes, one pair for each of
# PROCESSES processes, and the program.
_PROGRAM_FD: Final = FILE_FD + 1 + 2 * (1 + PROCESSES)
_NEXT_FD: Final = _PROGRAM_FD + 1


def _commands_fd(pair: int) -> int:
    return FILE_FD + 1 + 2 * pair


def _replies_fd(pair: int) -> int:
    return _commands_fd(pair) + 1


def unsupported() -> str | None:
    """Why there are no real processes on this computer; None if there are."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        return f"real processes need Linux on x86-64, and this is {system} on {machine}"
    if not Path("/proc/self/maps").exists():
        return "real processes need /proc, which is not mounted here"
    return None


class Nursery:
    """Makes fresh processes, for one program at a time; a context manager.

    While it is open, the thread that opened it stays on one CPU, and so do its processes. They only
    run in turns, and a turn between CPUs takes twenty times as long. Several nurseries belong on
    different CPUs, in processes of their own.
    """

    def __init__(self, cpu: int | None = None) -> None:
        """Start the first process, on `cpu`, or on any CPU.

        Raises HostError if this computer does not allow that.
        """
        if (reason := unsupported()) is not None:
            raise HostError(f"{reason}. Everything else works; compare with a recording instead.")
        self._undo = contextlib.ExitStack()
        self._agents: dict[Agent, int] = {}
        self._broken = ""
        try:
            self._start(cpu)
        except OSError as problem:
            self.close()
            raise HostError(
                f"real processes cannot be set up here: {problem}. They need Linux 5.3 or newer, "
                "and a sandbox must let a process limit, pin and watch its own children."
            ) from None
        except BaseException:
            self.close()
            raise

    randomized: bool
    """Whether addresses are random: this computer does not let a process switch that off."""
    areas: list[Area]
    """The areas of every process at its start, with flags.

    Processes are forked, so the areas that were touched have an inherited anon_vma: [stack], and
    the data of our own program. A heap comes later.
    """
    limits: Limits
    """The limits by which every process's layout is made."""
    overcommit: int
    """vm.overcommit_memory: 0 refuses the impossible, 1 nothing, 2 all that memory cannot hold."""
    test_file: tuple[str, int]
    """The device and the inode of the test file, as maps shows them."""

    def process(self) -> RealProcess:
        """A fresh process, with a fresh test file. Processes of the program before it are ended.

        Raises HostError if the kernel refuses, or if a command to a process before this one was
        interrupted.
        """
        for agent in list(self._agents):
            self.end(agent)
        os.pwrite(self._test_file, _FRESH_TEST_FILE, 0)
        return self.fork(self._first)

    def fork(self, agent: Agent) -> RealProcess:
        """A child of a process.

        Raises HostError if there would be more than PROCESSES, or if the kernel refuses.
        """
        free = set(range(1, 1 + PROCESSES)) - set(self._agents.values())
        if not free:
            raise HostError(
                f"process {agent.pid} cannot fork: a program has at most {PROCESSES} processes at "
                "a time. End one first, or let the program fork less."
            )
        if self._broken:
            raise HostError(
                f"process {agent.pid} cannot fork any more: {self._broken}. Open another Nursery."
            )
        self._broken = "an earlier fork was interrupted, so that there may be an unknown process"
        pair = min(free)
        try:
            pid, _ = agent.ask("fork", _commands_fd(pair), _replies_fd(pair))
            if pid < 0:
                raise HostError(
                    f"the kernel does not let process {agent.pid} fork: {os.strerror(-pid)}. See "
                    "ulimit -u and free memory."
                )
            child = Agent(pid, self._pipes[pair])
            self._agents[child] = pair
        except HostError:
            self._broken = ""
            raise
        self._broken = ""
        return RealProcess(self, child)

    def end(self, agent: Agent) -> None:
        """End a process; its pipes are free for another."""
        if self._agents.pop(agent, None) is None:
            return
        agent.kill()
        # The next process could read this one's command in its pipe, or Python this one's reply.
        if agent.in_doubt:
            self._broken = f"process {agent.pid} before it left a command unanswered"

    def close(self) -> None:
        """End all processes."""
        for agent in list(self._agents):
            self.end(agent)
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- how it starts -----------------------------------------------------------------------------

    def _start(self, cpu: int | None) -> None:
        self._stay_on(cpu)
        self._test_file = self._memory_file("mmlocks-test-file", _FRESH_TEST_FILE)
        program = self._program_file()
        self._pipes, theirs = self._make_pipes()
        by_number = {FILE_FD: self._test_file, _PROGRAM_FD: program, **theirs}
        try:
            pid = os.posix_spawn(
                f"/proc/self/fd/{program}",
                ["agent"],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, fd, number) for number, fd in by_number.items()
                ],
                # Ctrl-C reaches every process of the terminal, but is meant for Python.
                setsigmask=[signal.SIGINT],
            )
        except OSError as problem:
            raise HostError(
                "the program of a real process cannot be started from memory: "
                f"{problem.strerror}. See whether vm.memfd_noexec or a sandbox forbids that."
            ) from None
        finally:
            for fd in theirs.values():
                os.close(fd)
        self._first = Agent(pid, self._pipes[0])
        self._undo.callback(self._first.kill)
        self._first.answer("start")
        self._settle()
        self._measure()

    def _stay_on(self, cpu: int | None) -> None:
        allowed = os.sched_getaffinity(0)
        if cpu is None:  # workers of a pool have successive process ids
            cpu = sorted(allowed)[os.getpid() % len(allowed)]
        elif cpu not in allowed:
            raise HostError(
                f"this process may not run on CPU {cpu}. Choose one of {sorted(allowed)}, or none."
            )
        os.sched_setaffinity(0, {cpu})
        self._undo.callback(os.sched_setaffinity, 0, allowed)

    def _memory_file(self, name: str, content: bytes, flags: int = 0) -> int:
        fd = _out_of_the_way(os.memfd_create(name, _MFD_CLOEXEC | flags))
        self._undo.callback(os.close, fd)
        os.pwrite(fd, content, 0)
        return fd

    def _program_file(self) -> int:
        program = machine_code.executable(_commands_fd(0), _replies_fd(0))
        try:
            return self._memory_file("mmlocks-program", program, _MFD_EXEC)
        # Before Linux 6.3 all memory files could be executed, and the flag did not exist.
        except OSError:
            return self._memory_file("mmlocks-program", program)

    def _make_pipes(self) -> tuple[list[Pipes], dict[int, int]]:
        """Python's ends of the pipes; and the others, by their descriptors in the processes."""
        pipes, theirs = [], {}
        for pair in range(1 + PROCESSES):
            commands_end, commands = os.pipe()
            replies, replies_end = os.pipe()
            pipes.append(Pipes(commands, replies))
            self._undo.callback(os.close, commands)
            self._undo.callback(os.close, replies)
            theirs[_commands_fd(pair)] = _out_of_the_way(commands_end)
            theirs[_replies_fd(pair)] = _out_of_the_way(replies_end)
        return pipes, theirs

    def _settle(self) -> None:
        """Turn the first process into the one from which all others are copied."""
        # not on Windows, where this file can be imported, too, and `unsupported` says why not to
        # use it
        import resource

        pid = self._first.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_STACK)
        stack = STACK_LIMIT if most == resource.RLIM_INFINITY else min(STACK_LIMIT, most)
        resource.prlimit(pid, resource.RLIMIT_STACK, (stack, most))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):  # a model knows no such limits
            _, most = resource.prlimit(pid, kind)
            resource.prlimit(pid, kind, (most, most))

        first = RealProcess(self, self._first)
        # only asks for the present value
        personality = first.system_call(_PERSONALITY, 0xFFFF_FFFF)
        self.randomized = first.system_call(_PERSONALITY, personality | _ADDR_NO_RANDOMIZE) < 0
        # Anything else that Python had left open.
        first.system_call(_CLOSE_RANGE, _NEXT_FD, 0xFFFF_FFFF, 0)
        place = machine_code.DATA + machine_code.SCRATCH
        _write(first, place, f"/proc/self/fd/{_PROGRAM_FD}", arguments=[place, 0])
        refused = first.system_call(_EXECVE, place, place + _TEXT_ROOM, 0)
        if refused:
            raise HostError(
                f"a real process cannot execute its program again: {os.strerror(-refused)}."
            )
        _write(first, place, "mmlocks process")  # for ps
        first.system_call(_PRCTL, _PR_SET_NAME, place)
        for area in first.areas(flags=False):
            if area.file.startswith("[v") and area.file != "[vsyscall]":  # [vdso]: for C libraries
                first.call("munmap", area.start, area.end - area.start)

    def _measure(self) -> None:
        import resource

        first = RealProcess(self, self._first)
        self.areas = first.areas(flags=True)
        highest = first.call("mmap", 0, PAGE_SIZE, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS, 0, 0)
        first.call("munmap", highest, PAGE_SIZE)
        mmap_base = highest + PAGE_SIZE
        for area in self.areas:  # if some of what should have been unmapped is still there
            if area.start == mmap_base:
                mmap_base = area.end
        lowest = first.call(
            "mmap", PAGE_SIZE, PAGE_SIZE, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS, 0, 0
        )
        first.call("munmap", lowest, PAGE_SIZE)
        brk = first.call("brk", 0)
        self.limits = Limits(
            mmap_base=mmap_base,
            start_brk=brk,
            brk=brk,
            rlimit_stack=resource.prlimit(self._first.pid, resource.RLIMIT_STACK)[0],
            mmap_min_addr=lowest,
            max_map_count=_setting("max_map_count"),
        )
        self.overcommit = _setting("overcommit_memory")
        status = os.fstat(self._test_file)
        self.test_file = (
            f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}",
            status.st_ino,
        )
        if _setting("legacy_va_layout"):
            raise HostError(
                "this kernel places mappings from below: set vm.legacy_va_layout to 0 for this."
            )


_TEXT_ROOM: Final = 4 * WORD
_FRESH_TEST_FILE: Final = b"".join(
    struct.pack("<QQ", FILE_WORD + page, FILE_WORD + page).ljust(PAGE_SIZE, b"\0")
    for page in range(FILE_PAGES)
)


def _out_of_the_way(fd: int) -> int:
    """The same file under a descriptor that the processes do not use."""
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _NEXT_FD)
    os.close(fd)
    return moved


def _write(process: RealProcess, place: int, text: str, arguments: list[int] | None = None) -> None:
    """Write a text to the process's memory, and arguments _TEXT_ROOM bytes behind it."""
    words = struct.unpack(f"<{_TEXT_ROOM // WORD}Q", text.encode().ljust(_TEXT_ROOM, b"\0"))
    for number, word in enumerate([*words, *(arguments or [])]):
        process.store(place + number * WORD, word)


def _setting(name: str) -> int:
    return int(Path(f"/proc/sys/vm/{name}").read_text(encoding="ascii"))
