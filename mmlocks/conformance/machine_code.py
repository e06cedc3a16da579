"""The program of a real process: 370 bytes of x86-64 machine code in an ELF file.

A C library maps memory by itself, and so does Python: either would change the address space under
test. This program has no library. It reads a command from a pipe, carries it out, writes a reply to
another pipe, and begins again. Its memory is one area for the text, one for its data, and the stack
that the kernel gives to every process, which the program never touches.

Read `_program` first. The code is built in two passes: the first collects bytes, the second fills
in the addresses of the labels.
"""

from __future__ import annotations

import struct
from typing import Final

from mmlocks.mm.address import PAGE_SIZE, WORD

TEXT: Final = 0x40_0000
"""The program's address: low, so that the heap behind it has 127 TiB to grow into."""
DATA: Final = TEXT + PAGE_SIZE
DATA_PAGES: Final = 8
END: Final = DATA + DATA_PAGES * PAGE_SIZE
"""The end of the data, and the start of the heap.

All data come from the file: an anonymous .bss would merge with the heap.
"""

# Offsets in the data, in bytes. The signal handler's stack begins at the end and grows down.
COMMAND: Final = 0
COMMAND_WORDS: Final = 8
REPLY: Final = COMMAND + COMMAND_WORDS * WORD
REPLY_WORDS: Final = 2
ON_FAULT: Final = REPLY + REPLY_WORDS * WORD
SCRATCH: Final = 256
"""The program does not use its data from here to the end of the page: room for a path, say."""

_EFAULT: Final = 14
FAULTED: Final = -_EFAULT
"""The reply to a store or a load that was a segmentation fault or a bus error."""

_SYSCALL: Final = {"read": 0, "write": 1, "rt_sigaction": 13, "clone": 56, "exit_group": 231}
_REGISTERS: Final = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
_ARGUMENTS: Final = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
_SIGBUS, _SIGSEGV, _SIGCHLD = 7, 11, 17
_CLONE_PARENT: Final = 0x8000
_SA_SIGINFO, _SA_RESTORER, _SA_NODEFER = 0x4, 0x0400_0000, 0x4000_0000


class _Text:
    """Machine code under construction."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def label(self, name: str) -> None:
        """Call this place `name`."""
        self.labels[name] = TEXT + len(self.code)

    def set(self, register: str, number: int) -> None:
        """`mov register, number`; 32 bits, extended with their sign."""
        r = _REGISTERS.index(register)
        self.code += bytes([0x48 | r >> 3, 0xC7, 0xC0 | r & 7]) + struct.pack("<i", number)

    def load(self, register: str, base: str, offset: int) -> None:
        """`mov register, [base + offset]`."""
        self._move(0x8B, register, base, offset)

    def store(self, register: str, base: str, offset: int) -> None:
        """`mov [base + offset], register`."""
        self._move(0x89, register, base, offset)

    def _move(self, opcode: int, register: str, base: str, offset: int) -> None:
        r, b = _REGISTERS.index(register), _REGISTERS.index(base)
        self.code += bytes([0x48 | r >> 3 << 2 | b >> 3, opcode, 0x40 | (r & 7) << 3 | b & 7])
        self.code += struct.pack("<b", offset)

    def copy(self, to: str, source: str) -> None:
        """`mov to, source`."""
        r, s = _REGISTERS.index(to), _REGISTERS.index(source)
        self.code += bytes([0x48 | s >> 3 << 2 | r >> 3, 0x89, 0xC0 | (s & 7) << 3 | r & 7])

    def syscall(self, name: str | None = None) -> None:
        """`syscall`: the one named, or the one in rax.

        The result is in rax; rcx and r11 are lost.
        """
        if name is not None:
            self.set("rax", _SYSCALL[name])
        self.code += b"\x0f\x05"

    def compare_rax(self, number: int) -> None:
        """`cmp rax, number`; 8 bits."""
        self.code += b"\x48\x83\xf8" + struct.pack("<b", number)

    def jump(self, label: str) -> None:
        """`jmp label`."""
        self._jump(b"\xe9", label)

    def jump_if_not_equal(self, label: str) -> None:
        """`jne label`."""
        self._jump(b"\x0f\x85", label)

    def jump_to_content(self, base: str, offset: int) -> None:
        """`jmp [base + offset]`."""
        self.code += bytes([0xFF, 0x60 | _REGISTERS.index(base)]) + struct.pack("<b", offset)

    def _jump(self, opcode: bytes, label: str) -> None:
        self.code += opcode + bytes(4)
        self._jumps.append((len(self.code), label))

    def finish(self) -> bytes:
        """The code with its jumps filled in: each holds the distance from its end to its label."""
        for end, label in self._jumps:
            struct.pack_into("<i", self.code, end - 4, self.labels[label] - TEXT - end)
        return bytes(self.code)


def _program(commands_fd: int, replies_fd: int) -> _Text:
    """The program. A command's first word is the address of its label here.

    rbx holds DATA, r12 and r13 the pipes.
    """
    text = _Text()
    text.code += bytes(64 + 3 * 56)  # the ELF headers come first

    text.label("start")
    text.set("rsp", END)  # away from [stack], which the commands may use as they like
    text.set("rbx", DATA)
    text.set("r12", commands_fd)
    text.set("r13", replies_fd)
    for number in (_SIGSEGV, _SIGBUS):
        text.set("rdi", number)
        text.set("rsi", DATA + ON_FAULT)
        text.set("rdx", 0)
        text.set("r10", WORD)
        text.syscall("rt_sigaction")
    text.set("rax", 0)  # the first reply answers no command: it says that the program runs

    text.label("reply")
    text.store("rax", "rbx", REPLY)
    text.copy("rdi", "r13")
    text.set("rsi", DATA + REPLY)
    text.set("rdx", REPLY_WORDS * WORD)
    text.syscall("write")

    text.label("next")
    text.copy("rdi", "r12")
    text.set("rsi", DATA + COMMAND)
    text.set("rdx", COMMAND_WORDS * WORD)
    text.syscall("read")
    text.compare_rax(COMMAND_WORDS * WORD)
    text.jump_if_not_equal("leave")  # Python has ended, and no more commands will come
    text.jump_to_content("rbx", COMMAND)

    text.label("call")  # number, six arguments
    text.load("rax", "rbx", COMMAND + WORD)
    for n, register in enumerate(_ARGUMENTS, 2):
        text.load(register, "rbx", COMMAND + n * WORD)
    text.syscall()
    text.jump("reply")

    text.label("store")  # address, value
    text.load("rdi", "rbx", COMMAND + WORD)
    text.load("rsi", "rbx", COMMAND + 2 * WORD)
    text.store("rsi", "rdi", 0)
    text.set("rax", 0)
    text.jump("reply")

    text.label("load")  # address; the value is the second word of the reply
    text.load("rdi", "rbx", COMMAND + WORD)
    text.load("rax", "rdi", 0)
    text.store("rax", "rbx", REPLY + WORD)
    text.set("rax", 0)
    text.jump("reply")

    # Arguments: the child's pipes, for commands and for replies. The parent replies its process id.
    text.label("fork")
    # Not a child but a sibling, so that Python can wait for every process.
    text.set("rdi", _CLONE_PARENT | _SIGCHLD)
    for register in _ARGUMENTS[1:]:
        text.set(register, 0)
    text.syscall("clone")
    text.compare_rax(0)
    text.jump_if_not_equal("reply")
    text.load("r12", "rbx", COMMAND + WORD)
    text.load("r13", "rbx", COMMAND + 2 * WORD)
    text.jump("next")

    text.label("leave")
    text.set("rdi", 0)
    text.syscall("exit_group")

    # The handler of SIGSEGV and SIGBUS does not go back to the instruction that faulted, so it need
    # not return. It runs on the stack at the end of our data, since rsp always points there.
    text.label("on_fault")
    text.set("rsp", END)
    text.set("rax", FAULTED)
    text.jump("reply")
    return text


def labels() -> dict[str, int]:
    """The addresses of `call`, `store`, `load` and `fork`, for the first word of a command."""
    return _program(0, 1).labels


def executable(commands_fd: int, replies_fd: int) -> bytes:
    """An ELF file with the program.

    It reads commands from one file descriptor and writes replies to the other.
    """
    text = _program(commands_fd, replies_fd)
    code = text.finish()
    data = bytearray(DATA_PAGES * PAGE_SIZE)
    on_fault = text.labels["on_fault"]
    # x86-64 wants a restorer, although only a return needs it. Nothing is blocked, since our
    # handler does not unblock.
    struct.pack_into(
        "<QQQQ", data, ON_FAULT, on_fault, _SA_SIGINFO | _SA_RESTORER | _SA_NODEFER, on_fault, 0
    )

    header = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH",
        b"\x7fELF", 2, 1, 1, 0,  # 64 bits, little endian, version 1, System V
        2, 62, 1,  # executable, x86-64, version 1
        text.labels["start"], 64, 0,  # entry, place of the program headers, no section headers
        0, 64, 56, 3, 0, 0, 0,  # sizes and numbers of the headers
    )  # fmt: skip
    readable, writable, runnable = 4, 2, 1
    load, gnu_stack = 1, 0x6474E551
    header += _segment(load, readable | runnable, 0, TEXT, PAGE_SIZE)
    header += _segment(load, readable | writable, PAGE_SIZE, DATA, len(data))
    header += _segment(gnu_stack, readable | writable, 0, 0, 0)
    return (header + code[len(header) :]).ljust(PAGE_SIZE, b"\0") + data


def _segment(kind: int, permissions: int, offset: int, address: int, size: int) -> bytes:
    return struct.pack(
        "<IIQQQQQQ", kind, permissions, offset, address, address, size, size, PAGE_SIZE
    )
