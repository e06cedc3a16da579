"""A process of the real kernel that carries out commands, one operation at a time.

It runs our own few instructions (mmlocks/conformance/machine_code.py). Python sends commands
through pipes, and reads maps and memory from /proc. mmlocks/conformance/nursery.py makes such
processes.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
from typing import Final, NamedTuple, Protocol

from mmlocks.conformance import machine_code
from mmlocks.conformance.subject import FILE
from mmlocks.errors import HostError
from mmlocks.maps.reading import parse_maps, parse_smaps
from mmlocks.mm.address import WORD, Limits
from mmlocks.mm.area import Area

FILE_FD: Final = 0
"""The test file's descriptor in every process; the pipes follow."""
PATIENCE: Final = 60
"""Seconds after which a process that lives and does not answer is given up."""

_SYSTEM_CALLS: Final = {
    "mmap": 9,
    "mprotect": 10,
    "munmap": 11,
    "brk": 12,
    "mremap": 25,
    "madvise": 28,
}
_COMMAND: Final = struct.Struct(f"<{machine_code.COMMAND_WORDS}Q")
_REPLY: Final = struct.Struct("<qQ")
_LABELS: Final = machine_code.labels()


class Pipes(NamedTuple):
    """The ends that Python has of the two pipes to one process."""

    commands: int
    replies: int


class Agent:
    """The running program of a process: its commands, its replies, its /proc files, and its end."""

    def __init__(self, pid: int, pipes: Pipes) -> None:
        self.pid = pid
        self.ended = ""
        """How the process ended, as in `process 7 {ended}`; empty while it lives."""
        self.in_doubt = False
        """Whether a command was sent and its reply not read: its pipes cannot be used again."""
        self._pipes = pipes
        self._files: dict[str, int] = {}
        self._handle = os.pidfd_open(pid)
        self._events = select.poll()
        self._events.register(pipes.replies, select.POLLIN)
        self._events.register(self._handle, select.POLLIN)

    def ask(self, what: str, *words: int) -> tuple[int, int]:
        """Have a command carried out; its result, and a second word that only `load` sets.

        Raises HostError if the process has ended, or ends instead of answering.
        """
        if self.ended:
            raise HostError(
                f"process {self.pid} cannot {what}, as it {self.ended}. Take a fresh one from a "
                "Nursery."
            )
        if self.in_doubt:
            raise HostError(
                f"process {self.pid} cannot {what}, as a command before it was interrupted. Open "
                "another Nursery."
            )
        padded = [_LABELS[what], *(word & 0xFFFF_FFFF_FFFF_FFFF for word in words)]
        padded += [0] * (machine_code.COMMAND_WORDS - len(padded))
        self.in_doubt = True
        os.write(self._pipes.commands, _COMMAND.pack(*padded))
        return self.answer(what, *words)

    def answer(self, what: str, *words: int) -> tuple[int, int]:
        """Wait for the reply to a command, as `ask` does."""
        self.in_doubt = True
        # The write end of its replies is open in other processes, too: if this one ends, a read
        # would still wait.
        events = [fd for fd, _ in self._events.poll(PATIENCE * 1000)]
        if self._pipes.replies in events:
            reply: tuple[int, int] = _REPLY.unpack(os.read(self._pipes.replies, _REPLY.size))
            self.in_doubt = False
            return reply
        told = f"process {self.pid} was told to {what}({', '.join(f'{word:#x}' for word in words)})"
        if not events:
            raise HostError(
                f"{told} and has not answered for {PATIENCE} s. Look at /proc/{self.pid}/stack, "
                "and start over."
            )
        self._wait()
        raise HostError(
            f"{told}, but {self.ended}. Signal 31 is a sandbox (seccomp) that forbids a system "
            "call; for others see whether the program unmapped or overwrote the process's own "
            "text or data, and what dmesg says."
        )

    def open(self, name: str) -> int:
        """A descriptor of /proc/PID/`name`, to read; closed when the process is ended."""
        if self.ended:
            raise HostError(
                f"process {self.pid} {self.ended}, and its memory is gone. Take a fresh one from "
                "a Nursery."
            )
        if name not in self._files:
            try:
                self._files[name] = os.open(f"/proc/{self.pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as problem:
                raise HostError(
                    f"/proc/{self.pid}/{name} cannot be opened ({problem.strerror}), although the "
                    "process is our own. In a container: mount /proc, and allow its processes to "
                    "trace each other."
                ) from None
        return self._files[name]

    def kill(self) -> None:
        """End the process, and wait until its memory is gone."""
        if not self.ended:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            self._wait()
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def _wait(self) -> None:
        self.ended = "has ended"
        # If SIGCHLD is ignored here, the kernel has waited already.
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self.pid, 0)
            if os.WIFSIGNALED(status):
                self.ended = f"was ended by signal {os.WTERMSIG(status)}"


class Maker(Protocol):
    """What a process needs of the Nursery that made it."""

    limits: Limits

    def fork(self, agent: Agent) -> RealProcess:
        """A child of that process."""

    def end(self, agent: Agent) -> None:
        """End that process."""


class RealProcess:
    """A process of the running kernel (see Subject). Nursery.process() and fork() make them.

    Its program and data lie in areas of their own, below the heap. Commands must not change those.
    """

    def __init__(self, nursery: Maker, agent: Agent) -> None:
        self.pid = agent.pid
        self._nursery = nursery
        self._agent = agent
        self._seen: list[Area] | None = None
        """The areas, if they were read and no operation came after that."""

    def call(self, name: str, *args: int) -> int:
        """A system call on memory, as in Subject: `call("munmap", address, length)`."""
        if name not in _SYSTEM_CALLS:
            raise HostError(
                f"{name} is not a call that changes memory. These are: {', '.join(_SYSTEM_CALLS)}."
            )
        if name == "mmap":
            addr, length, prot, flags, file, offset = args
            args = (addr, length, prot, flags, FILE_FD if file == FILE else -1, offset)
        return self.system_call(_SYSTEM_CALLS[name], *args)

    def system_call(self, number: int, *args: int) -> int:
        """Any system call: its result, or minus an errno."""
        return self._do("call", number, *args)[0]

    def store(self, address: int, value: int) -> bool:
        return self._do("store", address, value)[0] != machine_code.FAULTED

    def load(self, address: int) -> int | None:
        result, value = self._do("load", address)
        return None if result == machine_code.FAULTED else value

    def fork(self) -> RealProcess:
        """A child.

        Raises HostError if the program has too many processes, or if the kernel refuses.
        """
        return self._nursery.fork(self._agent)

    def areas(self, flags: bool) -> list[Area]:
        """What /proc/PID/maps says, or, with `flags`, smaps.

        The process does nothing meanwhile, so all of it is from one moment.
        """
        text = self._read("smaps" if flags else "maps")
        self._seen = parse_smaps(text) if flags else parse_maps(text)
        return self._seen

    def peek(self, address: int) -> int | None:
        """The word at an address, by /proc/PID/mem; None without a VMA or behind a file's end.

        This reads as a debugger does: permissions do not matter. An untouched page gets at most the
        zero page, or the file's, for reading. Other operations could tell only by an anon_vma, and
        only a write gives the VMA one. But a debugger's read below a stack makes the stack grow, so
        nothing is read where maps shows no area.
        """
        areas = self.areas(flags=False) if self._seen is None else self._seen
        if not any(area.start <= address < area.end for area in areas):
            return None
        try:
            word = os.pread(self._agent.open("mem"), WORD, address)
        except OSError:  # behind the end of a file, where a load would be a bus error
            return None
        return int.from_bytes(word, "little")

    def limits(self) -> Limits:
        """What the layout depends on, with the break as it is now."""
        return self._nursery.limits._replace(brk=self.call("brk", 0))

    def end(self) -> None:
        """End the process; it cannot be used any more. Ending it twice does no harm."""
        self._nursery.end(self._agent)

    def _do(self, what: str, *words: int) -> tuple[int, int]:
        self._seen = None
        return self._agent.ask(what, *words)

    def _read(self, name: str) -> str:
        fd = self._agent.open(name)
        text = bytearray()
        while part := os.pread(fd, 1 << 20, len(text)):  # the kernel gives about a page at a time
            text += part
        return text.decode("utf-8", "surrogateescape")
