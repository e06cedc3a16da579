"""The claim: a hostile submission earns nothing, and does not disturb the next one."""

from __future__ import annotations

import contextlib
import os
import socket
import textwrap
import time
from pathlib import Path

import pytest

from mmlocks.errors import AnswerError, NotJudged
from mmlocks.grading import examine as examining
from mmlocks.grading import link, sandbox
from mmlocks.grading.examine import Examined, examine
from mmlocks.grading.sandbox import BUBBLEWRAP, NONE, Isolation, isolation, started
from mmlocks.labs import LABS
from mmlocks.labs.lab import Finding

pytestmark = pytest.mark.slow  # all of it together

LAB = LABS["lab07_fork_vs_fault"]
RIGHT = """
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
"""
WRONG = RIGHT.replace("        await vma_start_write(mpnt)\n", "")

FDS = """
import os, json, stat
PIPES = []
for fd in range(3, 64):
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            PIPES.append(fd)
    except OSError:
        pass
QUESTIONS, REPLIES = PIPES
def send(raw):
    while raw:
        raw = raw[os.write(REPLIES, raw):]
def frame(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return len(raw).to_bytes(4, "big") + raw
"""

SERVER = f"""{FDS}
def exactly(n):
    raw = b""
    while len(raw) < n:
        raw += os.read(QUESTIONS, n - len(raw))
    return raw
def question():
    return json.loads(exactly(int.from_bytes(exactly(4), "big")))
STEP = ["answer", [{{"step": "flush_tlb", "args": []}}, {{"tuple": []}}, "", None, ""]]
def answer(step=None, ended="returned", value=None, where=(), message="", key=0):
    parts = [step, {{"tuple": list(where)}}, ended if step is None else "", value, message]
    return [{{"answer": parts}}, key]
def reply(asked, said):
    return frame({{"nonce": asked["nonce"], "said": said}})
DESCRIBED = {{"fingerprints": {{"dup_mmap": "01234567"}}, "judged": "replaced: dup_mmap (line 1)."}}
"""
"""A submission with this takes over the pipe while it is read: it is asked to describe itself."""


def lies(body: str) -> str:
    """A submission that takes over the pipe. `body` replies to the question `asked`."""
    return f"""{SERVER}
import itertools
described = False
for number in itertools.count():
    # The first question has been read: its nonce is in the serving code's frame.
    if number == 0:
        import sys
        at = sys._getframe()
        while "asked" not in at.f_locals or "nonce" not in at.f_locals["asked"]:
            at = at.f_back
        asked = at.f_locals["asked"]
        send(reply(asked, DESCRIBED))
        continue
    asked = question()
    do = asked["do"][-1]
{textwrap.indent(textwrap.dedent(body).strip(), "    ")}
"""


PIPE = {
    "forged": lies('send(frame({"nonce": "0" * 16, "said": answer()}))'),
    "returns_at_once_for_every_call": lies("send(reply(asked, answer()))"),
    "duplicated": lies("send(reply(asked, answer()) * 2)"),
    "truncated": lies("send(reply(asked, answer())[:-3]); os.kill(os.getpid(), 9)"),
    "reordered": lies(
        """
        other = question() if number > 1 else asked
        send(reply(other, answer()) + reply(asked, answer()))
        """
    ),
    "100_mb": lies("send(reply(asked, 'x' * 100_000_000))"),
    "says_that_100_mb_come": lies("send((100_000_000).to_bytes(4, 'big'))"),
    "not_json": lies("send(frame(b'{\"nonce\": '))"),
    "not_utf8": lies("send(frame(b'\\xff\\xfe'))"),
    "deep": lies("send(frame(b'[' * 100_000 + b']' * 100_000))"),
    "a_deep_value": lies(
        """
        deep = {"tuple": []}
        for _ in range(900):
            deep = {"tuple": [deep]}
        send(reply(asked, answer(value=deep)))
        """
    ),
    "not_a_number": lies(
        'send(frame((\'{"nonce": "%s", "said": NaN}\' % asked[\'nonce\']).encode()))'
    ),
    "no_form": lies("send(reply(asked, 5))"),
    "a_list_in_place_of_a_dict": lies("send(reply(asked, [[1, 2, 3], 4]))"),
    "raises_what_it_likes": lies(
        'send(frame({"nonce": asked["nonce"], "raised": ["SystemExit", "all right"]}))'
    ),
    "a_huge_key": lies("send(reply(asked, answer(key=10 ** 50)))"),
    "a_surrogate": lies("send(reply(asked, answer(value='\\ud800')))"),
    "an_unknown_step": lies('send(reply(asked, answer(step={"step": "win", "args": []})))'),
    "a_step_of_the_hardware": lies(
        'send(reply(asked, answer(step={"step": "mmu_store", "args": [3, 0, 1]})))'
    ),
    "a_store_to_what_the_referee_keeps": lies(
        'send(reply(asked, answer(step={"step": "store", "args": [number % 50, 0]})))'
    ),
    "a_handle_that_there_is_not": lies(
        'send(reply(asked, answer(step={"step": "call", "args": ["vma_start_write", {"record": "x"}]})))'
    ),
    "a_place_of_the_kernel": lies(
        """
        place = {"named": "Place", "items": ["dup_mmap", "/x/mmlocks/mm/fork.py", 1]}
        send(reply(asked, answer(step={"step": "rcu_read_lock", "args": []}, where=[place] * 150)))
        """
    ),
    "steps_without_end": lies(
        'send(reply(asked, answer(step={"step": "rcu_read_lock", "args": []}, key=number)))'
    ),
    "one_moment_without_end": lies(
        'send(reply(asked, answer(step={"step": "call", "args": ["dup_mmap", {"record": "mm"}]})))'
    ),
    "threw_what_there_is_not": lies(
        """
        threw = {"named": "Threw", "items": ["Exit", 5]}
        send(reply(asked, answer(ended="failed", value=threw, message="failed")))
        """
    ),
    "another_name": f"{SERVER.replace('dup_mmap', 'dup_nothing')}" + lies("pass"),
    "never": lies("import time; time.sleep(1000)"),
    "early": f"{FDS}\nsend(frame({{'nonce': '', 'said': None}}))\n{WRONG}",
    "writes_between": f"{FDS}\n{RIGHT}".replace(
        "    await flush_tlb_mm(oldmm)\n",
        "    await flush_tlb_mm(oldmm)\n    send(b'points: 10')\n",
    ),
    "after_all": f"{FDS}\n{RIGHT}\nimport threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(1), send(b'x')), daemon=True).start()\n",
    "another_automaton_on_the_second_asking": f"""
import mmlocks.labs.serving as serving
serving.Run.verify = lambda self: "0" * 64
{RIGHT}
""",
    "another_automaton_when_it_is_made_anew": f"""
import mmlocks.labs.serving as serving
first = serving.Run.after
def after(self, parent, result):
    (plain, key) = first(self, parent, result)
    step, *more = plain["answer"]
    if MADE and parent == 1:
        step = {{"step": "rcu_read_lock", "args": []}}
    return [{{"answer": [step, *more]}}, key]
MADE = []
anew = serving.Serving.again
def again(self):
    MADE.append(1)
    anew(self)
serving._THINGS["again"] = again
serving.Run.after = after
serving._THINGS["after"] = lambda self, number, parent, result: after(self._runs[number], parent, result)
{RIGHT}
""",
    "another_automaton_after_some_calls": f"""
import builtins
builtins.calls = getattr(builtins, "calls", 0)
{RIGHT}
right = dup_mmap
{WRONG}
wrong = dup_mmap
async def dup_mmap(mm, oldmm):
    builtins.calls += 1
    await (right if builtins.calls < 12 else wrong)(mm, oldmm)
""",
    "claims_that_it_was_verified": f"""
import mmlocks.labs.serving as serving, mmlocks.machine.coroutine as coroutine
coroutine.CoroutineSupplier.verify = lambda self: None
{WRONG}
""",
    "changes_the_library": f"""
import mmlocks.mm.rights, mmlocks.oracles, mmlocks.machine.machine, mmlocks.labs.lab as lab
mmlocks.machine.machine.Machine.judge = lambda self, state: None
lab.Judgement.points = lab.CheckResult.points = 10
{WRONG}
""",
}

ESCAPES = {
    "posix_exit": f"import posix\nposix._exit(0)\n{WRONG}",
    "os_exit": f"import os\nos._exit(0)\n{WRONG}",
    "sys_exit": f"import sys\nsys.exit(0)\n{WRONG}",
    "exits_in_the_function": WRONG.replace(
        "    await mmap_write_lock(oldmm)\n", "    import posix; posix._exit(0)\n"
    ),
    "sys_exit_in_the_function": WRONG.replace(
        "    await mmap_write_lock(oldmm)\n", "    raise SystemExit(0)\n"
    ),
    "kills_itself": f"import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n{WRONG}",
    "kills_its_parent": f"import os\nos.kill(os.getppid(), 9)\nos.kill(1, 9)\n{WRONG}",
    "kills_all": f"import os\nos.kill(-1, 9)\n{WRONG}",
    "kills_the_judge": f"import os\nos.kill({os.getpid()}, 9)\n{WRONG}",
    "fork_bomb": f"import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n{WRONG}",
    "memory_bomb": f"x = []\nwhile True:\n    x.append(bytearray(10_000_000))\n{WRONG}",
    "memory_bomb_in_the_function": WRONG.replace(
        "    await mmap_write_lock(oldmm)\n", "    x = bytearray(2_000_000_000)\n"
    ),
    "endless": f"while True:\n    pass\n{WRONG}",
    "ignores_all_signals": """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
""",
    "swallows_all": WRONG.replace(
        "    await mmap_write_lock(oldmm)\n",
        "    while True:\n        try:\n            while True:\n                pass\n"
        "        except BaseException:\n            pass\n",
    ),
    "computes_in_c": WRONG.replace(
        "    await mmap_write_lock(oldmm)\n", "    sum(range(10**12))\n"
    ),
}  # fmt: skip

LOOKS = {
    "etc": "open('/etc/passwd').read()",
    "etc_listed": "import os; assert os.listdir('/etc') and 'passwd' in os.listdir('/etc')",
    "bank": "import mmlocks.labs as l, pathlib; assert (pathlib.Path(l.__file__).parent / 'lab07_fork_vs_fault' / 'bank.toml').read_text()",
    "fixes": "import mmlocks.labs as l, pathlib; assert (pathlib.Path(l.__file__).parent / 'lab07_fork_vs_fault' / 'fixes.patch').read_text()",
    "solutions": "import mmlocks.labs as l, os, pathlib; assert os.listdir(pathlib.Path(l.__file__).parents[2] / 'solutions')",
    "tests": "import mmlocks.labs as l, os, pathlib; assert os.listdir(pathlib.Path(l.__file__).parents[2] / 'tests')",
    "grading": "import mmlocks.grading",
    "others": "open(OTHER).read()",
    "network": "import socket; socket.create_connection(('127.0.0.1', PORT), 2)",
    "processes": "import os; os.kill(JUDGE, 0)",
    "shared_memory": "open('/dev/shm/x', 'w')",
    "writes_beside_itself": "open(__file__ if '__file__' in globals() else '/answer/x', 'w')",
    "writes_to_the_library": "import mmlocks; open(mmlocks.__file__, 'a')",
    "fills_the_disk": "[open(f'/tmp/{n}', 'wb').write(bytes(7_000_000)) for n in range(9)]",
    "one_large_file": "open('/tmp/large', 'wb').write(bytes(15_000_000))",
    "is_root": "import os; assert os.getuid() == 0",
    "becomes_root": "import os; os.setuid(0)",
    "mounts": "import ctypes; assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "site_packages": "import pytest",
}  # fmt: skip


def examined(source: str, tmp_path: Path, wall: float = 60.0, name: str = "hostile.py") -> Examined:
    file = tmp_path / name
    file.write_text(source)
    before = time.monotonic()
    found = examine(LAB, file, wall=wall, require_isolation=True)
    assert time.monotonic() - before < wall + 10, "it hangs"
    assert found.isolation == BUBBLEWRAP
    return found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "SECONDS", 8.0)


def earns_nothing(found: Examined) -> None:
    assert found.points == 0 and found.finding in (None, Finding.WRONG, Finding.UNPROVED), found
    assert found.finding is not None or found.said
    assert "Traceback" not in str(found)


@pytest.mark.parametrize("name", PIPE)
def test_a_lie_on_the_pipe_earns_nothing(name: str, tmp_path: Path) -> None:
    found = examined(PIPE[name], tmp_path)
    earns_nothing(found)
    assert not any("judge failed" in reason for reason in found.eye), found


@pytest.mark.parametrize(
    "name",
    ["forged", "duplicated", "reordered", "100_mb", "says_that_100_mb_come", "not_json", "not_utf8",
     "deep", "not_a_number", "no_form", "a_list_in_place_of_a_dict", "raises_what_it_likes",
     "a_huge_key", "a_surrogate", "early", "writes_between", "after_all",
     "another_automaton_on_the_second_asking"],
)  # fmt: skip
def test_what_breaks_the_rules_of_the_pipe_is_told_as_that(name: str, tmp_path: Path) -> None:
    found = examined(PIPE[name], tmp_path)
    assert found.finding is None and "Nothing was judged" in found.said
    assert any("breaks the rules of the pipe" in reason for reason in found.eye), found


@pytest.mark.parametrize("name", ESCAPES)
def test_an_escape_earns_nothing(name: str, tmp_path: Path) -> None:
    found = examined(ESCAPES[name], tmp_path)
    earns_nothing(found)
    assert not any("judge failed" in reason for reason in found.eye), found


def gets_out(name: str, tmp_path: Path) -> bool:
    """Whether the attempt succeeds: only if it fails, there is an answer behind it."""
    other = tmp_path / "other.py"
    other.write_text("secret")
    file = tmp_path / "looks.py"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        file.write_text(
            f"OTHER, PORT, JUDGE = {str(other)!r}, {port}, {os.getpid()}\n"
            f"try:\n    {LOOKS[name]}\nexcept BaseException:\n"
            "    async def dup_mmap(mm, oldmm): pass\n"
        )
        with started(file, 30.0) as running:
            try:
                running.link.ask("describe")
            except NotJudged:
                raise
            except AnswerError:
                return True
            return False


@pytest.mark.parametrize("name", LOOKS)
def test_what_is_outside_cannot_be_reached(name: str, tmp_path: Path) -> None:
    assert not gets_out(name, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["etc", "etc_listed", "bank", "fixes", "solutions", "tests", "grading", "others", "network",
     "processes"],
)  # fmt: skip
def test_without_isolation_it_is_reached_and_each_result_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above would test nothing."""
    monkeypatch.setattr(sandbox, "isolation", lambda: Isolation(NONE, "NOT ISOLATED: a test."))
    assert gets_out(name, tmp_path)


def test_without_isolation_answers_are_judged_and_the_result_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sandbox, examining):
        monkeypatch.setattr(module, "isolation", lambda: Isolation(NONE, "NOT ISOLATED: a test."))
    file = tmp_path / "answer.py"
    file.write_text(RIGHT)
    found = examine(LAB, file)
    assert (found.points, found.isolation) == (LAB.points, NONE)
    assert any("NOT ISOLATED" in reason for reason in found.eye)
    with pytest.raises(AnswerError, match=r"NOT ISOLATED.*required"):
        examine(LAB, file, require_isolation=True)


def test_after_all_of_them_a_right_answer_is_right_and_a_wrong_one_wrong(tmp_path: Path) -> None:
    for name in ("kills_all", "memory_bomb"):
        earns_nothing(examined(ESCAPES[name], tmp_path))
        assert examined(RIGHT, tmp_path).points == LAB.points
        assert examined(WRONG, tmp_path).finding is Finding.WRONG


@pytest.mark.parametrize("name", ["fork_bomb", "ignores_all_signals", "memory_bomb"])
def test_no_process_is_left(name: str, tmp_path: Path) -> None:
    # Its name is in the commands of all processes that were started for it, and of no others.
    mine = f"escaped_{os.getpid()}_{name}.py"
    earns_nothing(examined(ESCAPES[name], tmp_path, name=mine))
    time.sleep(0.5)
    commands = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            commands.append((folder / "cmdline").read_text())
    assert commands and not any(mine in one for one in commands)


def test_what_takes_longer_than_the_wall_time_is_not_proved(tmp_path: Path) -> None:
    found = examined(RIGHT, tmp_path, wall=0.5)
    assert found.finding in (Finding.UNPROVED, None) and found.points < found.of, found
    assert "is used up" in found.said + "".join(check.message for check in found.checks)


def test_a_link_to_another_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text(RIGHT)
    (tmp_path / "hostile.py").symlink_to(tmp_path / "secret.py")
    found = examine(LAB, tmp_path / "hostile.py")
    assert found.finding is None and "is a link" in found.said


def test_this_machine_isolates() -> None:
    assert isolation().kind == BUBBLEWRAP, isolation().says
