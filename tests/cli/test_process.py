"""The command line as a process of its own: exit statuses, pipes, signals, speed, and what it may not need."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmlocks.cli.app import COMMANDS
from mmlocks.cli.host import COMMANDS as HOST_COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
MMLOCKS = [sys.executable, "-m", "mmlocks"]


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MMLOCKS, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
    )


def test_exit_statuses_and_json(answers: Path) -> None:
    for words, status in (
        (["run", "fork_lost_store", "-r", "6.4.3", "--json"], 0),
        (["run", "fork_lost_store", "-r", "6.4.0", "--json"], 1),
        (["run", "young_reproducer", "-r", "6.4.3", "--full", "--states", "2100", "--json"], 3),
        (["check", "07", answers / "costly.py", "--json"], 4),
    ):
        done = run(*words)
        assert (done.returncode, done.stderr) == (status, ""), words
        json.loads(done.stdout)


def test_bad_usage_has_no_traceback() -> None:
    done = run("run", "nonsense", "-r", "6.4.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_a_pipe_gets_neither_colours_nor_progress() -> None:
    for extra in (
        {},
        {"NO_COLOR": "1", "FORCE_COLOR": ""},
        {"PYTHONIOENCODING": "ascii"},
        {"TERM": "dumb"},
    ):
        done = run("demo", **extra)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.isascii()
        assert "\x1b" not in done.stdout


def test_colours_repeat_what_words_say() -> None:
    done = run("demo", FORCE_COLOR="1", TERM="xterm-256color", COLUMNS="100")
    assert "\x1b[1;31mVIOLATED\x1b[0m" in done.stdout
    assert "\x1b[1;32mSAFE\x1b[0m" in done.stdout
    assert done.stderr == "", "forced colours make no terminal"


def test_a_terminal_sees_progress(tmp_path: Path) -> None:
    import pty

    keeper, terminal = pty.openpty()
    words = ["run", "young_reproducer", "-r", "6.4.3", "--full", "--json"]
    program = "from mmlocks.cli import terminal, main; terminal.Meter.PATIENCE = 0; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(terminal)
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["verdict"] == "safe"
    shown = os.read(keeper, 100_000).decode()
    os.close(keeper)
    assert "young_reproducer on 6.4.3: " in shown
    assert " states, " in shown
    assert " a second, " in shown


@pytest.mark.parametrize("output", ["closed", "full"])
def test_an_output_that_cannot_be_written(output: str) -> None:
    with subprocess.Popen(
        [*MMLOCKS, "demo"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE if output == "closed" else Path("/dev/full").open("w"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is not None:
            process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
    if output == "closed":
        assert (process.returncode, said) == (141, "")
    else:
        assert (process.returncode, said) == (
            2,
            "mmlocks: cannot write the output: No space left on device.\n",
        )


@pytest.mark.parametrize(
    "words",
    [["run", "stackrot", "-r", "6.4.0"], ["run", "stackrot", "-r", "6.4.0", "--json"], ["--help"]],
    ids=" ".join,
)
def test_an_output_that_is_not_there(words: list[str]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *MMLOCKS, *words],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "mmlocks: cannot write the output: it is closed.\n",
    )


def test_ctrl_c_ends_a_graph_in_one_line(tmp_path: Path) -> None:
    """Whatever was asked for, of half a graph nothing is shown or refused."""
    program = (
        "import signal\nfrom mmlocks.search import verdict\ncheck = verdict.Meter.check\n"
        "def interrupted(self, states):\n    states < 5000 or signal.raise_signal(signal.SIGINT)\n    check(self, states)\n"
        "verdict.Meter.check = interrupted\nfrom mmlocks.cli import main\nmain()"
    )
    picture = tmp_path / "x.svg"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            "graph",
            "fork_many_2_6",
            "-r",
            "6.4.3",
            "--states",
            "1000000",
            "--svg",
            picture,
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "mmlocks: interrupted; nothing was decided.\n"
    assert not picture.exists()


def test_ctrl_c_ends_in_one_line(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    (tmp_path / "waits.py").write_text(
        f"open({str(ready)!r}, 'w').close()\nimport time\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [*MMLOCKS, "check", "07", tmp_path / "waits.py"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not ready.exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == "mmlocks: interrupted; nothing was decided.\n"
    assert process.returncode == 130


def test_ctrl_c_while_searching_leaves_the_answer_unproved(tmp_path: Path, answers: Path) -> None:
    ready = tmp_path / "ready"
    (tmp_path / "slow.py").write_text(
        "import time\n"
        + (answers / "right.py")
        .read_text()
        .replace(
            "    await flush",
            f"    open({str(ready)!r}, 'w').close()\n    time.sleep(0.1)\n    await flush",
        )
    )
    with subprocess.Popen(
        [*MMLOCKS, "check", "07", tmp_path / "slow.py", "--json"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not ready.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) in (
        (3, ""),
        (130, "mmlocks: interrupted; nothing was decided.\n"),
    )
    if stdout:
        assert json.loads(stdout)["finding"] == "UNPROVED"


def test_an_answer_that_holds_on_is_ended_all_the_same(tmp_path: Path) -> None:
    holds = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass\n"
    (tmp_path / "stubborn.py").write_text(holds)
    program = (
        "from mmlocks.cli import answers, main; answers.load_answer.__defaults__ = (0.2,); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "check", "07", tmp_path / "stubborn.py"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "stubborn.py, line " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "line",
    ["import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()",
     "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start(); 1 / 0", "import os; os._exit(0)", "import sys; sys.stdin.read()",
     "import pdb; pdb.set_trace()", "breakpoint()", "input()", "exit()"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["above", "inside"])
def test_no_answer_keeps_the_command_from_ending_or_ends_it_as_if_it_were_right(
    tmp_path: Path, answers: Path, line: str, where: str
) -> None:
    right = (answers / "right.py").read_text()
    source = (
        f"{line}\n{right}"
        if where == "above"
        else right.replace("    await flush", f"    {line}\n    await flush")
    )
    (tmp_path / "answer.py").write_text(source)
    with subprocess.Popen(
        [*MMLOCKS, "check", "07", tmp_path / "answer.py"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert (
            process.stdout is not None and process.stderr is not None
        )  # stdin stays open: whoever reads it waits
        told, said = process.stdout.read(), process.stderr.read()
        process.wait(timeout=30)
    assert "Traceback" not in said
    if "Thread" in line and "1 / 0" in line:
        assert process.returncode == (2 if where == "above" else 1)
    elif "Thread" in line:
        assert (process.returncode, "CORRECT: 10 of 10 points" in told) == (0, True)
    elif where == "above":
        assert (process.returncode, told) == (2, "")
        assert "answer.py, line 1: " in said and "cannot be used here" in said
    else:
        assert process.returncode == 1
        assert "(answer.py, line 8): " in " ".join(
            told.split()
        ) and "cannot be used here" in " ".join(told.split())


def test_a_notebook_with_magics_is_judged_where_ipython_is_not_installed(
    tmp_path: Path, answers: Path
) -> None:
    source = f"%%time\n{(answers / 'right.py').read_text()}"
    cells = [
        {"cell_type": "code", "source": text}
        for text in ("%matplotlib inline\n!ls\nx = !ls\n", source)
    ]
    (tmp_path / "lab.ipynb").write_text(json.dumps({"cells": cells}))
    program = (
        "import sys\n"
        "for name in ('ipywidgets', 'anywidget', 'matplotlib', 'IPython', 'jupyterlab', 'nbformat', 'nbclient'):\n"
        "    sys.modules[name] = None\n"
        "from mmlocks.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "check", "07", tmp_path / "lab.ipynb"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "replaced: dup_mmap (cell 2)." in done.stdout


def test_demo_needs_no_course() -> None:
    program = (
        "import sys\n"
        "for name in ('ipywidgets', 'anywidget', 'matplotlib', 'IPython', 'jupyterlab', 'nbformat', 'nbclient'):\n"
        "    sys.modules[name] = None\n"
        "from mmlocks.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "demo"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_package_is_named(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None\nfrom mmlocks.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install click rich" in done.stderr


def modules_after(*words: str) -> set[str]:
    """Which modules are loaded when a command line was run."""
    program = (
        "import atexit, sys\nfrom mmlocks.cli import main\n"
        "atexit.register(lambda: print('\\n', *sys.modules, file=sys.stderr))\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words", [(), ("--help",), ("--version",), ("host", "--help")], ids=" ".join
)
def test_help_loads_no_command_no_search_and_no_rich(words: tuple[str, ...]) -> None:
    loaded = modules_after(*words)
    assert "rich" not in loaded
    host = {
        "mmlocks.cli.host",
        "mmlocks.cli.host_options",
        "mmlocks.cli.options",
        "mmlocks.releases",
    }
    assert {name for name in loaded if name.startswith("mmlocks")} == {
        "mmlocks", "mmlocks.cli", "mmlocks.cli.app", "mmlocks.cli.commands", "mmlocks.cli.needs", "mmlocks.cli.terminal",
            "mmlocks.errors",
    } | (host if "host" in words else set())  # fmt: skip


@pytest.mark.parametrize("command", [*COMMANDS, *(f"host {name}" for name in HOST_COMMANDS)])
def test_the_help_of_a_command_loads_no_search(command: str) -> None:
    loaded = modules_after(*command.split(), "--help")
    assert f"mmlocks.cli.{command.replace(' ', '_')}" in loaded
    heavy = {
        "rich",
        *(f"mmlocks.{part}" for part in ("machine", "search", "mm", "scenarios", "labs", "show")),
    }
    assert loaded & heavy == set()
