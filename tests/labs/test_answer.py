"""What a judge is given: functions, the namespace, the sentence, and the way to get them once more."""

from __future__ import annotations

import inspect
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mmlocks.errors import AnswerError
from mmlocks.labs import LABS, Answer, read_answer
from mmlocks.labs.answer import as_answer
from mmlocks.mm import Kernel
from mmlocks.mm.replacing import check_replacement, replacements_in
from mmlocks.mm.stubs import kernel_functions
from mmlocks.releases import RELEASES
from mmlocks.show import lab
from tests.notebook.cases import GIVEN, RIGHT

LAB = LABS["lab07_fork_vs_fault"]


def put(folder: Path, source: str, name: str = "answer.py") -> Path:
    (folder / name).write_text(source)
    return folder / name


def test_an_answer_is_run_again_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    source = "seen = []\n" + RIGHT.replace("    await flush", "    seen.append(1)\n    await flush")
    answer = read_answer(put(tmp_path, source))
    assert answer.again is not None
    first, second = answer.again(), answer.again()
    functions = [answer.functions["dup_mmap"], first["dup_mmap"], second["dup_mmap"]]
    assert len({id(function) for function in functions}) == 3
    assert len({id(function.__globals__) for function in functions}) == 3
    assert len({id(function.__globals__["seen"]) for function in functions}) == 3
    assert all(inspect.iscoroutinefunction(function) for function in functions)
    assert answer.names["dup_mmap"] is answer.functions["dup_mmap"]


def test_modules_of_the_learners_are_new_as_well_when_it_is_run_again(tmp_path: Path) -> None:
    put(tmp_path, f"from mmlocks.mm import *\nseen = []\n{RIGHT}", "forking.py")
    answer = read_answer(put(tmp_path, "from forking import dup_mmap\n"))
    assert answer.again is not None
    assert (
        answer.again()["dup_mmap"].__globals__["seen"]
        is not answer.functions["dup_mmap"].__globals__["seen"]
    )
    assert "forking" not in sys.modules


def test_an_answer_that_gives_something_else_the_second_time_is_refused(tmp_path: Path) -> None:
    source = f"import pathlib\nonce = pathlib.Path({str(tmp_path / 'once')!r})\nif once.exists():\n    pass\nelse:\n    once.touch()\n"
    answer = read_answer(
        put(tmp_path, source + "".join(f"    {line}\n" for line in RIGHT.splitlines()))
    )
    assert answer.again is not None
    with pytest.raises(
        AnswerError,
        match="gives no kernel function when it is run a second time, and dup_mmap before",
    ):
        answer.again()


def test_a_namespace_cannot_be_run_again() -> None:
    names: dict[str, Any] = dict(vars(sys.modules["mmlocks.mm"]))
    exec(RIGHT, names)
    answer = as_answer(names)
    assert answer.again is None
    assert answer.names is names
    assert answer.judged == "replaced: dup_mmap."


@pytest.mark.usefixtures("proved_once")
def test_labs_take_an_answer_and_a_namespace_alike(tmp_path: Path) -> None:
    answer = read_answer(put(tmp_path, RIGHT))
    for given in (answer, answer.names, dict(answer.names)):
        assert LAB.check("lost_store", given).passed
        assert LAB.judge(given).points == 10
        assert "CORRECT" in lab("07").check("lost_store", given).text
        assert list(LAB.kernel(given).replacements) == ["dup_mmap"]


def test_nothing_replaced_is_said_and_no_counterexample_shown() -> None:
    names = dict(vars(sys.modules["mmlocks.mm"]))
    for call in (
        lambda: LAB.check("lost_store", names),
        lambda: LAB.judge(names),
        lambda: LAB.check("cost", {}),
    ):
        with pytest.raises(
            AnswerError, match="no kernel function of yours is here: run your answer cell"
        ):
            call()
    with pytest.raises(AnswerError, match="dup_mmap is None here, and no function"):
        LAB.judge({"dup_mmap": None})


@pytest.mark.parametrize("given", [[], "globals()", None, 3, globals, dict])
def test_what_is_no_namespace_is_refused_in_a_sentence(given: Any) -> None:
    with pytest.raises(AnswerError, match="looked up in globals"):
        LAB.judge(given)


# -- what may stand in for a kernel function --------------------------------------------------------------------------

KINDS = """
import functools

async def run(mm, oldmm, flag=True):
    return flag

def traced(function):
    @functools.wraps(function)
    async def wrapper(*arguments, **named):
        return await function(*arguments, **named)
    return wrapper

def plainly(function):
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper

class Fork:
    async def __call__(self, mm, oldmm): return 1
    async def method(self, mm, oldmm): return 1
    @staticmethod
    async def static(mm, oldmm): return 1
    @classmethod
    async def of_class(cls, mm, oldmm): return 1

class Plain:
    def __call__(self, mm, oldmm): return run(mm, oldmm)

class Awaitable:
    def __init__(self, mm, oldmm): self.mm = mm
    def __await__(self): return run(self.mm, self.mm).__await__()

class Nothing:
    def __call__(self, mm, oldmm): pass

class NotAwaitable:
    def __init__(self, mm, oldmm): pass

async def generator(mm, oldmm):
    yield 1

def nothing(mm, oldmm):
    print(mm)

def nothing_on_two_ways(mm, oldmm):
    if mm:
        return
    return None

async def short(mm): pass
async def keyword(mm, *, oldmm): pass
"""

GOOD = [
    "run", "traced(run)", "plainly(run)", "traced(plainly(run))", "functools.partial(run, flag=False)", "functools.partial(functools.partial(run), flag=1)",
    "Fork()", "Fork().method", "Fork.static", "Fork.of_class", "staticmethod(run)", "lambda mm, oldmm: run(mm, oldmm)", "lambda *all: run(*all)",
    "functools.cache(run)", "Plain()", "Awaitable", "functools.partial(Awaitable)", "functools.partial(Fork())",
]  # fmt: skip
BAD = {
    "generator": "contains a `yield`", "functools.partial(generator)": "contains a `yield`", "nothing": "and this is a plain `def`",
    "nothing_on_two_ways": "and this is a plain `def`", "Nothing()": "and this is a Nothing of a plain `def`", "NotAwaitable": "and this is a class",
    "short": r"called with 2 arguments .* and this one takes \(mm\)", "keyword": "called with 2 arguments", "functools.partial(run, 1, 2, 3)": "called with 2 arguments",
    "functools.partial(short)": "called with 2 arguments", "Fork.method": "called with 2 arguments", "lambda mm: run(mm, mm)": "called with 2 arguments",
}  # fmt: skip


@pytest.mark.parametrize("made", GOOD)
def test_what_gives_an_awaitable_may_stand_in(made: str) -> None:
    names: dict[str, Any] = {"__name__": "answer"}
    exec(f"{KINDS}\ndup_mmap = {made}", names)
    functions = replacements_in(names)
    assert list(functions) == ["dup_mmap"]
    check_replacement("dup_mmap", functions["dup_mmap"], kernel_functions())
    given = functions["dup_mmap"](1, 2)
    assert inspect.isawaitable(given)
    getattr(given, "close", lambda: None)()
    assert Kernel(RELEASES["6.4.0"], functions).name.startswith("6.4.0~dup_mmap.")


@pytest.mark.parametrize("made", BAD)
def test_what_cannot_be_called_or_gives_nothing_is_refused_in_a_sentence(made: str) -> None:
    names: dict[str, Any] = {"__name__": "answer"}
    exec(f"{KINDS}\ndup_mmap = {made}", names)
    with pytest.raises(AnswerError, match=BAD[made]):
        check_replacement("dup_mmap", names["dup_mmap"], kernel_functions())


# -- files that mean no good ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "import time; time.sleep(1000)",
        "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "import asyncio\nasync def main():\n    await asyncio.sleep(1000)\nawait main()",
        "'a' * 10 ** 5\nimport re; re.match(r'(a+)+$', 'a' * 40 + 'b')",
        "import subprocess; subprocess.run(['sleep', '1000'])",
        "[n for n in iter(int, 1)]",
    ],
)
def test_a_file_that_does_not_finish_is_stopped(source: str, tmp_path: Path) -> None:
    began = time.monotonic()  # the files would run for a thousand seconds and more
    with pytest.raises(
        AnswerError, match=r"still running after 0\.3 seconds, and was stopped; nothing was judged"
    ):
        read_answer(put(tmp_path, f"{source}\n{GIVEN}"), seconds=0.3)
    assert time.monotonic() - began < 500


def test_a_file_that_does_not_finish_the_second_time_is_stopped_too(tmp_path: Path) -> None:
    source = f"import pathlib, time\nonce = pathlib.Path({str(tmp_path / 'once')!r})\nif once.exists():\n    time.sleep(1000)\nonce.touch()\n{RIGHT}"
    answer = read_answer(put(tmp_path, source), seconds=0.3)
    assert answer.again is not None
    with pytest.raises(AnswerError, match="still running"):
        answer.again()


def test_reading_leaves_this_process_as_it_was(tmp_path: Path) -> None:
    import builtins

    before = (
        list(sys.path),
        sys.stdin,
        builtins.input,
        sys.breakpointhook,
        sys.modules["__main__"],
        sys.dont_write_bytecode,
    )
    isinstance(read_answer(put(tmp_path, RIGHT)), Answer)
    with pytest.raises(AnswerError):
        read_answer(put(tmp_path, "1 / 0"))
    assert before == (
        list(sys.path),
        sys.stdin,
        builtins.input,
        sys.breakpointhook,
        sys.modules["__main__"],
        sys.dont_write_bytecode,
    )
