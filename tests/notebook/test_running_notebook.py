"""A running notebook: where its functions came from, what was left over, and calls of the lab that slip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.notebook.cases import CHECKS, EXERCISE, GIVEN, RIGHT, SETUP

LOST_STORE = "".join(EXERCISE["cells"][CHECKS[0]]["source"])
FIRST = "".join(EXERCISE["cells"][SETUP]["source"])
OTHER = "async def lock_vma_under_rcu(mm, address):\n    return None\n"


@dataclass
class Said:
    """What running a cell put out."""

    error: str = ""
    text: str = ""
    streams: dict[str, str] = field(default_factory=dict)
    traceback: list[str] = field(default_factory=list)


class Kernel:
    """A kernel, asked as JupyterLab asks: with the cell's id, and those of cells that were deleted since."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(
        self, source: str, cell: str = "", deleted: tuple[str, ...] = (), timeout: float = 60
    ) -> Said:
        session, said = self._client.session, Said()
        content = {
            "code": source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        message = session.msg(
            "execute_request",
            content,
            metadata={"cellId": cell, "deletedCells": list(deleted)} if cell else {},
        )
        self._client.shell_channel.send(message)
        while True:
            got = self._client.get_iopub_msg(timeout=timeout)
            if got["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            kind, body = got["msg_type"], got["content"]
            if kind == "error":
                said.error, said.traceback = f"{body['ename']}: {body['evalue']}", body["traceback"]
            elif kind in ("execute_result", "display_data"):
                said.text += body["data"].get("text/plain", "")
            elif kind == "stream":
                said.streams[body["name"]] = said.streams.get(body["name"], "") + body["text"]
            elif kind == "status" and body["execution_state"] == "idle":
                self._client.get_shell_msg(timeout=timeout)
                return said


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        started = Kernel(client)
        assert started.run(FIRST, "setup").error == ""
        yield started
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_verdict_names_the_cells_by_the_numbers_that_the_learner_sees(kernel: Kernel) -> None:
    kernel.run("1 + 1", "x")
    kernel.run(RIGHT, "a")
    assert "replaced: dup_mmap (In [3])." in kernel.run(LOST_STORE, "c").text
    kernel.run(RIGHT, "a")
    assert "replaced: dup_mmap (In [5])." in kernel.run(LOST_STORE, "c").text


def test_a_failed_check_names_the_learners_lines_by_their_cell(kernel: Kernel) -> None:
    kernel.run(GIVEN, "a")
    said = kernel.run(LOST_STORE, "c").error
    line = GIVEN.splitlines().index("        await copy_page_range(tmp, mpnt)") + 1
    assert f"In [2], line {line}: await copy_page_range(tmp, mpnt)" in said
    assert f"has not reached your line {line + 1} yet" in " ".join(said.split())
    assert "Yours behaves like: locks none of the VMAs" in said


def test_a_function_from_before_the_lab_was_made_has_its_number_too(kernel: Kernel) -> None:
    kernel.run(
        "from mmlocks.notebook import session as notebook_session\nnotebook_session._sessions.clear()\n"
        + GIVEN
    )
    assert "replaced: dup_mmap (In [2])." in kernel.run(LOST_STORE).error


def test_a_function_of_a_deleted_cell_is_named_as_left_over(kernel: Kernel) -> None:
    kernel.run(RIGHT, "a")
    kernel.run(OTHER, "b")
    assert "Left over" not in kernel.run("lab07.verdict(globals())", "v").text
    said = " ".join(kernel.run("lab07.verdict(globals())", "v", deleted=("b",)).text.split())
    assert "replaced: dup_mmap (In [2]), lock_vma_under_rcu (In [3])." in said
    assert "Left over: lock_vma_under_rcu, from In [3], which is no longer in the notebook." in said
    kernel.run(OTHER, "b")  # the deletion was undone
    assert "Left over" not in kernel.run("lab07.verdict(globals())", "v").text


def test_a_function_that_its_cell_no_longer_defines_is_named_as_left_over(kernel: Kernel) -> None:
    kernel.run(RIGHT, "a")
    kernel.run(OTHER, "b")
    kernel.run("# nothing", "b")
    assert "Left over: lock_vma_under_rcu, from In [3]" in " ".join(
        kernel.run("lab07.verdict()", "v").text.split()
    )
    kernel.run(RIGHT.replace("):", ")", 1), "a")  # a syntax error, so the old one is still there
    assert "Left over: dup_mmap, from In [2]" in " ".join(
        kernel.run("lab07.verdict()", "v").text.split()
    )


def test_a_function_that_a_later_cell_took_away_is_named(kernel: Kernel) -> None:
    kernel.run(RIGHT, "a")
    kernel.run(FIRST, "setup")
    said = " ".join(kernel.run(LOST_STORE, "c").error.split())
    assert "no kernel function of yours is here: run your answer cell (again)" in said
    assert "In [3] put something else in the place of the dup_mmap of In [2]" in said
    kernel.run(RIGHT, "a")
    assert "CORRECT" in kernel.run(LOST_STORE, "c").text


def test_nothing_replaced_is_said_and_no_counterexample_of_linux_is_shown(kernel: Kernel) -> None:
    for call in (
        LOST_STORE,
        'lab07.check("cost")',
        'lab07.replay("mml1:fork_lost_store:6.4.0~dup_mmap.12345678:0:0")',
    ):
        said = " ".join(kernel.run(call).error.split())
        assert said.startswith("CheckFailed: "), said
    assert "no kernel function of yours is here" in " ".join(kernel.run(LOST_STORE).error.split())
    assert "no kernel function of yours is here" in " ".join(
        kernel.run("lab07.verdict(globals())").text.split()
    )
    kernel.run(RIGHT.replace("):", ")", 1))
    assert "In [7], line 1 has an error: SyntaxError: expected ':'" in " ".join(
        kernel.run(LOST_STORE).error.split()
    )
    kernel.run(GIVEN)  # the unfixed one is a replacement, and gets its counterexample
    assert "To step through it yourself" in kernel.run(LOST_STORE).error


SLIPS: dict[str, str] = {
    "lab07.check()": 'write the name of a check first, as in lab07.check("lost_store", globals())',
    "lab07.check(globals(), 'lost_store')": "write the name of a check first",
    "lab07.check(dup_mmap)": "write the name of a check first",
    "lab07.check('lost-store', globals())": "has no check 'lost-store'. It has: lost_store, snapshot",
    "lab07.check('lost_store', [])": "looked up in globals(), and this is a list. Write globals() there",
    "lab07.check('lost_store', [dup_mmap])": "this is a list",
    "lab07.check('lost_store', dup_mmap)": "this is the function dup_mmap",
    "lab07.check('lost_store', globals)": "Write globals(), with the parentheses",
    "lab07.check('lost_store', 'globals()')": "this is a str",
    "import sys; lab07.check('lost_store', sys.modules['__main__'])": "this is the module __main__",
    "lab07.hint('1')": "a hint has a number from 1 to 3, as in hint(1), and this is '1'",
    "lab07.hint(1.0)": "and this is 1.0",
    "lab07.hint(9)": "hints 1 to 3",
    "lab07.replay(3)": "a schedule is a text in quotes",
    "lab07.replay('mml1')": "not a schedule",
    "lab07.verdict([])": "this is a list",
    "lab(7)": 'a lab has a name in quotes, as in lab("07"), and this is 7',
    "lab('99')": "there is no lab called '99'. Known labs: lab07_fork_vs_fault",
}


def test_calls_that_slip_are_answered_with_a_sentence_and_no_traceback(kernel: Kernel) -> None:
    kernel.run(RIGHT)
    for call, words in SLIPS.items():
        said = kernel.run(call)
        shown = " ".join(f"{said.error} {said.text}".split())
        assert words in shown, (call, shown)
        assert not any("Traceback" in line for line in said.traceback), call


def test_a_call_without_globals_takes_those_of_its_caller(kernel: Kernel) -> None:
    kernel.run(RIGHT)
    assert "CORRECT" in kernel.run('lab07.check("lost_store")').text
    assert "CORRECT: 10 of 10" in kernel.run("lab07.verdict()").text
    assert "CORRECT" in kernel.run('def mine():\n    return lab07.check("lost_store")\nmine()').text


def test_exit_neither_ends_the_kernel_nor_waits_and_says_its_line(kernel: Kernel) -> None:
    for source, line in (
        ("1\nexit()", 2),
        ("quit()", 1),
        ("exit", 1),
        (RIGHT + "\nexit(keep_kernel=True)", 10),
    ):
        said = kernel.run(source)
        assert said.error.startswith("Refused: "), (source, said)
        shown = " ".join(said.traceback[-1].split())
        assert f"your cell, line {line}: " in shown and "cannot be used here" in shown
        assert len(said.traceback) == 1
    assert kernel.run("1 + 1").text == "2"


def test_nothing_in_the_function_ends_the_kernel_or_waits(kernel: Kernel) -> None:
    for call, said in {
        "exit()": "exit() cannot",
        "quit()": "quit() cannot",
        "input()": "input() cannot",
        "breakpoint()": "breakpoint() cannot",
        "__import__('pdb').set_trace()": "set_trace() cannot",
        "__import__('os')._exit(3)": "os._exit() cannot",
        "__import__('sys').exit()": "SystemExit",
    }.items():
        kernel.run(RIGHT.replace("    await flush", f"    {call}\n    await flush"))
        error = " ".join(kernel.run(LOST_STORE).error.split())
        assert said in error, (call, error)
        assert "in dup_mmap (your cell, line 8)" in error, error
    assert kernel.run("1 + 1").text == "2"


def test_nothing_that_functions_print_reaches_the_check_cell(kernel: Kernel) -> None:
    kernel.run(
        "import logging, sys, warnings\nlogging.basicConfig(level=10)\nout, err = sys.stdout, sys.stderr\n"
        + RIGHT.replace(
            "    await flush",
            "    print('a'); print('b', file=err); logging.info('c'); warnings.warn('d'); out.write('e'); display('f')\n    await flush",
        )
    )
    said = kernel.run(LOST_STORE)
    assert (said.error, said.streams) == ("", {})
    assert "CORRECT" in said.text and "'f'" not in said.text
    assert kernel.run("print('x'); logging.info('y')").streams["stdout"] == "x\n", (
        "and afterwards all is as before"
    )
    assert "y" in kernel.run("logging.info('y')").streams["stderr"]
    kernel.run(GIVEN.replace("    await flush", "    print('a')\n    await flush"))
    assert "What your functions print is not shown" in kernel.run(LOST_STORE).error


def test_an_unknown_magic_fails_its_cell(kernel: Kernel) -> None:
    kernel.run(RIGHT)
    for source in ("%nomagic\n" + LOST_STORE, "%%nomagic\n" + LOST_STORE):
        assert kernel.run(source).error.startswith("UsageError: ")
    assert "CORRECT" in kernel.run("%time " + LOST_STORE).text


@pytest.mark.parametrize(
    "made",
    [
        "partial(Fork().run, True)",
        "Fork()",
        "staticmethod(run)",
        "lambda mm, oldmm: run(mm, oldmm)",
    ],
)
def test_anything_that_gives_an_awaitable_is_named_with_its_cell(kernel: Kernel, made: str) -> None:
    kernel.run(
        "from functools import partial\n"
        + RIGHT.replace("dup_mmap", "run")
        + "\nclass Fork:\n    async def run(self, flag, mm, oldmm):\n        await run(mm, oldmm)\n"
        + "    async def __call__(self, mm, oldmm):\n        await run(mm, oldmm)\n"
        + f"\ndup_mmap = {made}\n",
        "a",
    )
    said = kernel.run(
        "from mmlocks.notebook.session import session\nsession().answer(globals()).judged"
    )
    assert "replaced: dup_mmap (In [2])." in said.text


def test_of_a_function_from_a_module_the_file_and_line_are_named(
    kernel: Kernel, tmp_path: Any
) -> None:
    (tmp_path / "forking.py").write_text(f"from mmlocks.mm import *\n\n{RIGHT}")
    kernel.run(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})")
    kernel.run("from forking import dup_mmap", "a")
    assert "replaced: dup_mmap (In [3])." in kernel.run(LOST_STORE, "c").text
