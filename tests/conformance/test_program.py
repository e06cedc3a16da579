"""What a program is: places, JSON, both notations. The notations are not only looked at but run, where there is Linux and a compiler."""

import contextlib
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from mmlocks.conformance.compare import observe
from mmlocks.conformance.diff import start_of
from mmlocks.conformance.generate import numbered, programs
from mmlocks.conformance.notation import to_c, to_python
from mmlocks.conformance.program import (
    ARENA,
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    NOTHING,
    PAGE,
    PROT_READ,
    Operation,
    Place,
    Program,
    address,
    compact,
    from_json,
    size,
    to_json,
)
from mmlocks.errors import HostError
from tests.conformance.test_agent import pytestmark as needs_linux

PLAIN = MAP_PRIVATE | MAP_ANONYMOUS
ONE = Operation("mmap", 0, (Place("zero"), PAGE, PROT_READ, PLAIN, 0, 0))


def test_a_place_counts_from_its_base() -> None:
    known = {"arena": ARENA, "zero": 0, "r3": 0x7000}
    assert address(Place("arena", 2, 5), known) == ARENA + 2 * PAGE + 5
    assert address(Place("r3", -1), known) == 0x6000
    assert address(Place("zero", -1), known) == 2**64 - PAGE, "as a register holds it"
    assert address(Place("r4", 1), known) == ARENA + PAGE, "a result that there is not is the arena"


def test_compact_renumbers_results() -> None:
    program = (NOTHING, ONE, NOTHING, Operation("munmap", 0, (Place("r1", 1), PAGE)))
    assert compact(program) == (ONE, Operation("munmap", 0, (Place("r0", 1), PAGE)))
    assert size(program) == 2
    failed = compact(program, [None, -12, None, 0])
    assert failed[1].args[0] == Place("arena", 1), "what counts from an error is the arena"


@settings(max_examples=50)
@given(programs(12))
def test_json_gives_the_program_back(program: Program) -> None:
    assert from_json(to_json(program), "here") == program


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "a program is a list"),
        (
            [["mmap"]],
            "operation 0: an operation is a list of its name, its process and its arguments",
        ),
        ([["fly", 0]], "the names are nothing, mmap"),
        ([["nothing", 3]], "done by process 0 to 2, not 3"),
        ([["nothing", True]], "not True"),
        ([["munmap", 0, 4096]], "munmap takes addr, length; 1 were given"),
        ([["munmap", 0, 4096, 4096]], "addr is a place"),
        ([["munmap", 0, ["moon", 0, 0], 4096]], "base is arena, heap"),
        ([["munmap", 0, ["arena", 0.5, 0], 4096]], "whole numbers"),
        ([["munmap", 0, ["arena", 0, 0], -1]], "length is a number in 64 bits, not -1"),
        ([["fork", 0, 0]], "child is process 1 to 2, not 0"),
        ([["nothing", 0]] * 1001, "at most 1,000 operations"),
    ],
)
def test_what_is_no_program_is_said(value: Any, said: str) -> None:
    with pytest.raises(HostError, match=re.escape(said)) as caught:
        from_json(value, "file.json")
    assert str(caught.value).startswith("file.json")


def test_flags_and_places_have_their_names() -> None:
    program = (
        ONE,
        Operation("mprotect", 0, (Place("r0", 2, 1), 3 * PAGE, 5)),
        Operation("store", 0, (Place("stack", -40, 8), 7)),
        Operation("mremap", 0, (Place("heap"), 1 << 47, 100, 3, Place("limit", -1))),
    )
    text = to_python(program, [0x7000, 0, None, -22])
    assert 'r0 = p0.call("mmap", 0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 0, 0)\n' in text
    assert 'p0.call("mprotect", r0 + 2 * PAGE + 1, 3 * PAGE, PROT_READ | PROT_EXEC)\n' in text
    assert "p0.store(stack - 40 * PAGE + 8, 7)  # a segmentation fault\n" in text
    assert (
        'p0.call("mremap", heap, 0x800000000000, 100, MREMAP_MAYMOVE | MREMAP_FIXED, 0x7ffffffff000 - PAGE)'
        in text
    )
    text = to_c(program, [0x7000, 0, None, -22])
    assert "(void)(FAULTS(*(volatile long *)(stack - 40 * PAGE + 8) = 7));" in text
    assert "/* fails: EINVAL */" in text
    assert "    *(volatile long *)(ARENA) = 1;\n" in to_c(
        (Operation("store", 0, (Place("arena"), 1)),), [0]
    )


# -- run --------------------------------------------------------------------------------------------------------------


def seen_of(program: Program) -> tuple[Program, list[int | None], dict[int, list[str]]]:
    """A program that is written as small as it can be, its results, and the maps lines in the arena at its end, by process."""
    from mmlocks.conformance.nursery import Nursery

    with Nursery() as nursery:
        seen = list(observe(program, nursery.process(), start_of(nursery)))
    done = tuple(
        one if observation.areas else NOTHING
        for one, observation in zip(program, seen, strict=True)
    )
    results = [observation.result for observation in seen]
    last = next(observation for observation in reversed(seen) if observation.areas)
    lines = {
        process: [_in_arena(str(area)) for area in areas] for process, areas in last.areas.items()
    }
    return (
        compact(done, results),
        [result for one, result in zip(done, results, strict=True) if one != NOTHING],
        {process: [line for line in shown if line] for process, shown in lines.items()},
    )


def _in_arena(line: str) -> str:
    found = re.match(r"(1000[0-9a-f]{8}-1000[0-9a-f]{8} \S+)", line)
    return found[1] if found else ""


@needs_linux
@pytest.mark.parametrize("number", range(6))
def test_python_that_is_pasted_does_the_same(number: int) -> None:
    program, results, expected = seen_of(numbered("pasted", number, 20))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(to_python(program, results), {})
    shown = [
        [line for line in map(_in_arena, part.splitlines()) if line]
        for part in printed.getvalue().split("\n\n")
    ]
    processes = [expected[process] for process in sorted(expected)]
    assert shown[: 2 * len(processes)] == processes + processes, (
        "the kernel's processes, then the model's"
    )


@needs_linux
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("number", range(6))
def test_c_that_is_compiled_does_the_same(number: int, tmp_path: Path) -> None:
    program, results, expected = seen_of(only_in_arena(numbered("compiled", number, 25)))
    (tmp_path / "program.c").write_text(to_c(program, results))
    subprocess.run(
        ["cc", "-Wall", "-Werror", "-Wno-unused-result", "-o", "program", "program.c"],
        cwd=tmp_path,
        check=True,
    )
    done = subprocess.run(
        [tmp_path / "program"], capture_output=True, text=True, check=True, timeout=20
    )
    shown = [
        [found for found in map(_in_arena, part.splitlines()) if found]
        for part in done.stdout.split("\n\n")[:-1]
    ]
    assert shown == [expected[process] for process in sorted(expected)]


def only_in_arena(program: Program) -> Program:
    """Without what a C library would do otherwise: its heap, stack and mappings lie elsewhere."""

    def there(operation: Operation) -> bool:
        bases = {arg.base for arg in operation.args if isinstance(arg, Place)}
        fixed = operation.name != "mmap" or operation.args[3] & 0x10  # type: ignore[operator]
        moves = operation.name == "mremap" and operation.args[3] == 1
        return bases <= {"arena"} and bool(fixed) and not moves

    return tuple(one if one.name == "fork" or there(one) else NOTHING for one in program)
