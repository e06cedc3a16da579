"""A program written for people: as Python to paste, and as C that a kernel developer can compile.

Both need the results of the operations: a place that counts from an error is written as a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mmlocks.conformance import program as numbers
from mmlocks.conformance.program import (
    ARENA,
    MAP_ANONYMOUS,
    PAGE,
    PARAMETERS,
    Operation,
    Place,
    Program,
    errno_name,
    processes_of,
)
from mmlocks.conformance.subject import FILE, FILE_PAGES, FILE_WORD

Results = Sequence[int | None]


def to_python(program: Program, results: Results = ()) -> str:
    """Python that runs a program on the kernel, then in the model, and prints the areas of both."""
    lines = [
        "from mmlocks.conformance.diff import in_model, start_of",
        "from mmlocks.conformance.nursery import Nursery",
        "from mmlocks.conformance.program import *",
        "from mmlocks.conformance.rules import running_release",
        *(
            ["from mmlocks.conformance.subject import FILE"]
            if any(map(_maps_file, program))
            else []
        ),
        "",
        "with Nursery() as nursery:",
        "    for p0 in nursery.process(), in_model(start_of(nursery), running_release()):",
    ]
    body = [*_python_bases(program), *_python_operations(program, results)]
    body += [
        f'print(*p{process}.areas(flags=True), "", sep="\\n")'
        for process in sorted(processes_of(program))
    ]
    return "\n".join([*lines, *(f"        {line}" for line in body), ""])


def _python_bases(program: Program) -> Iterator[str]:
    used = _bases(program)
    if "heap" in used:
        yield 'heap = p0.call("brk", 0)'
    if "stack" in used:
        yield "stack = max(area.end for area in p0.areas(flags=False) if area.end < 1 << 47)"


def _python_operations(program: Program, results: Results) -> Iterator[str]:
    for number, operation in enumerate(program):
        who = f"p{operation.process}"
        args = ", ".join(_arguments(operation))
        known = results[number] if number < len(results) else None
        if operation.name == "nothing":
            continue
        if operation.name == "fork":
            yield f"p{operation.args[0]} = {who}.fork()"
        elif operation.name in ("store", "load"):
            remark = "  # a segmentation fault" if number < len(results) and known is None else ""
            yield f"{who}.{operation.name}({args}){remark}"
        else:
            kept = f"r{number} = " if _is_used(program, number) else ""
            yield f'{kept}{who}.call("{operation.name}", {args})'


# -- C ---------------------------------------------------------------------------------------------


def to_c(program: Program, results: Results = ()) -> str:
    """A complete C program for Linux on x86-64; it ends with the maps of each of its processes."""
    used, several = _bases(program), len(processes_of(program)) > 1
    refused = any(
        one.name in ("store", "load") and result is None
        for one, result in zip(program, results, strict=False)
    )
    headers = {"fcntl", "stdio", "string", "sys/mman", "sys/syscall", "unistd"}
    headers |= {"signal", "setjmp"} if refused else set()
    headers |= {"sys/wait"} if several else set()
    lines = ["/* cc -o program program.c && ./program */", "#define _GNU_SOURCE"]
    lines += [f"#include <{header}.h>" for header in sorted(headers)]
    lines += ["", f"#define PAGE {PAGE}L", f"#define ARENA {ARENA:#x}L", "", _C_SHOW]
    if "stack" in used:
        lines.append(_C_STACK)
    if refused:
        lines.append(_C_SURVIVE)
    if several:
        lines.append(_C_TURNS.replace("COUNT", str(len(program))))
    if any(map(_maps_file, program)):
        lines.append(_C_FILE)
    body = ["long heap = syscall(SYS_brk, 0);"] if "heap" in used else []
    body += ["long stack = end_of_stack();"] if "stack" in used else []
    body += _c_operations(program, results, several)
    lines += ["int main(void)", "{", *(f"    {line}" for line in body), "}", ""]
    return "\n".join(lines)


_C_SHOW = """\
static char text[65536]; /* nothing here calls malloc, which would change the heap */

static void read_maps(void)
{
    long n, size = 0;
    int maps = open("/proc/self/maps", O_RDONLY);

    while ((n = read(maps, text + size, sizeof text - 1 - size)) > 0)
        size += n;
    text[size] = 0;
    close(maps);
}

static void show(void)
{
    read_maps();
    dprintf(1, "%s\\n", text);
}
"""

_C_STACK = """\
static long end_of_stack(void)
{
    long end = 0;

    read_maps();
    for (char *line = text; *line; line = strchr(line, '\\n') + 1)
        if (strstr(line, "[stack]"))
            sscanf(line, "%*x-%lx", &end);
    return end;
}
"""

_C_SURVIVE = """\
static sigjmp_buf back;
static char signal_stack[65536];

static void fault(int number)
{
    siglongjmp(back, number);
}

static int survive(void)
{
    stack_t elsewhere = { .ss_sp = signal_stack, .ss_size = sizeof signal_stack };
    struct sigaction action = { .sa_handler = fault, .sa_flags = SA_ONSTACK };

    sigaltstack(&elsewhere, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    return 0;
}

/* An access that is a segmentation fault here. */
#define FAULTS(access) survive() || sigsetjmp(back, 1) || (access)
"""

_C_TURNS = """\
/* The processes take turns. The one whose turn it is gets the results of all others with it. */
static long r[COUNT];
static int turn[3][2], me;

static void hand_over(int from, int to)
{
    if (me == from)
        write(turn[to][1], r, sizeof r);
    else if (me == to)
        read(turn[to][0], r, sizeof r);
}
"""

_C_FILE = f"""\
static int test_file(void)
{{
    static int file = -1;

    if (file >= 0)
        return file;
    file = memfd_create("test", 0);
    for (long page = 0; page < {FILE_PAGES}; page++) {{
        long words[2] = {{ {FILE_WORD:#x}L + page, {FILE_WORD:#x}L + page }};
        pwrite(file, words, sizeof words, page * PAGE);
    }}
    ftruncate(file, {FILE_PAGES} * PAGE);
    return file;
}}
"""


def _c_operations(program: Program, results: Results, several: bool) -> Iterator[str]:
    processes = sorted(processes_of(program))
    if several:
        yield from (f"pipe(turn[{process}]);" for process in processes)
    if any(map(_maps_file, program)):
        yield "test_file(); /* one file for all processes */"
    now = 0
    for number, operation in enumerate(program):
        if operation.name == "nothing" or operation.process not in processes:
            continue
        if operation.process != now:
            yield f"hand_over({now}, {operation.process});"
            now = operation.process
        result = results[number] if number < len(results) else 0
        statement = _c_statement(operation, result)
        if _is_used(program, number):
            statement = f"{f'r[{number}]' if several else f'long r{number}'} = {statement}"
        remark = f" /* fails: {errno_name(result)} */" if result is not None and result < 0 else ""
        if several:
            yield f"if (me == {now}) {_in_array(statement)}{remark}"
        else:
            yield statement + remark
    if not several:
        yield "show();"
        return
    for process in processes:
        if process != now:
            yield f"hand_over({now}, {process});"
            now = process
        yield f"if (me == {process}) show();"
    yield f"hand_over({now}, 0);"
    yield "return 0;"


def _in_array(statement: str) -> str:
    return re.sub(r"\br(\d+)\b", r"r[\1]", statement)


def _c_statement(operation: Operation, result: int | None) -> str:
    args = list(_arguments(operation))
    if operation.name == "fork":
        return f"me = fork() == 0 ? {operation.args[0]} : {operation.process};"
    if operation.name in ("store", "load"):
        access = f"*(volatile long *)({args[0]})" + (
            f" = {args[1]}" if operation.name == "store" else ""
        )
        return f"{access};" if result is not None else f"(void)(FAULTS({access}));"
    if operation.name == "mmap":
        args[4] = "test_file()" if _maps_file(operation) else "-1"
    return f"syscall(SYS_{operation.name}, {', '.join(args)});"


# -- what both notations share ---------------------------------------------------------------------

_NAMES = {
    "prot": ("PROT_NONE", ("PROT_READ", "PROT_WRITE", "PROT_EXEC", "PROT_GROWSDOWN")),
    "flags": (
        "0",
        (
            "MAP_SHARED",
            "MAP_PRIVATE",
            "MAP_FIXED",
            "MAP_ANONYMOUS",
            "MAP_GROWSDOWN",
            "MAP_NORESERVE",
            "MAP_FIXED_NOREPLACE",
        ),
    ),
    "remap": ("0", ("MREMAP_MAYMOVE", "MREMAP_FIXED", "MREMAP_DONTUNMAP")),
}


def _arguments(operation: Operation) -> Iterator[str]:
    for parameter, value in zip(PARAMETERS[operation.name], operation.args, strict=True):
        yield _place(value) if isinstance(value, Place) else _value(parameter, value)


def _place(place: Place) -> str:
    if place.base == "zero":
        return hex(place.page * PAGE + place.byte & 2**64 - 1) if place.page or place.byte else "0"
    base = {"arena": "ARENA", "limit": "0x7ffffffff000"}.get(place.base, place.base)
    pages = "PAGE" if abs(place.page) == 1 else f"{abs(place.page)} * PAGE"
    page = f" {'-' if place.page < 0 else '+'} {pages}" if place.page else ""
    return base + page + (f" + {place.byte}" if place.byte else "")


def _value(parameter: str, value: int) -> str:
    if parameter in _NAMES:
        none, names = _NAMES[parameter]
        known = {name: getattr(numbers, name) for name in names}
        rest = value & ~sum(known.values())
        said = [name for name, bit in known.items() if value & bit] + ([hex(rest)] if rest else [])
        return " | ".join(said) or none
    if parameter == "file":
        return "FILE" if value == FILE else str(value)
    if parameter == "advice":
        return "MADV_DONTNEED" if value == numbers.MADV_DONTNEED else str(value)
    if (
        parameter in ("length", "new_length", "offset")
        and value
        and value % PAGE == 0
        and value < 1 << 40
    ):
        return f"{value // PAGE} * PAGE" if value > PAGE else "PAGE"
    return hex(value) if value > 1 << 20 else str(value)


def _maps_file(operation: Operation) -> bool:
    return operation.name == "mmap" and not _number(operation, "flags") & MAP_ANONYMOUS


def _number(operation: Operation, parameter: str) -> int:
    value = operation.args[PARAMETERS[operation.name].index(parameter)]
    assert isinstance(value, int)
    return value


def _bases(program: Iterable[Operation]) -> set[str]:
    return {arg.base for operation in program for arg in operation.args if isinstance(arg, Place)}


def _is_used(program: Program, number: int) -> bool:
    return f"r{number}" in _bases(program)
