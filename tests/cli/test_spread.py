"""One search on several processes, real ones: `--jobs` on this computer, `--dask` on a cluster, some of which are killed half way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mmlocks.cli import executors
from mmlocks.errors import MmlocksError
from mmlocks.scenarios.checking import program_named
from mmlocks.search import Budget, Exhaustive, Exploration
from mmlocks.search.parallel import ALONE, Parallel
from mmlocks.search.verdict import Meter
from tests.cli.test_typed_badly import complaint

Mmlocks = Callable[..., Result]
REPOSITORY = Path(__file__).resolve().parents[2]
LARGE = partial(program_named, "fork_many_2_3", "6.4.3")
"""50,641 states, of which the first 20,000 are searched before anybody is asked."""
RUN_LARGE = ("run", "fork_many_2_3", "-r", "6.4.3", "--full", "--json")
AMPLE = Budget(5_000_000, 300.0)


def words(done: Result) -> str:
    return " ".join(done.stdout.split())


def told(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    del found["seconds"]
    return found


def figures(found: Exploration) -> tuple[Any, ...]:
    return (
        found.outcome,
        found.reason,
        found.states,
        found.transitions,
        len(found.endings),
        found.violations,
    )


@pytest.fixture(scope="module")
def alone() -> tuple[Any, ...]:
    return figures(Exhaustive(reduced=False).explore(LARGE(), Meter(AMPLE), stop=False))


class Killing:
    """A progress that kills, once, when the helpers have been at work for a while."""

    def __init__(self, pids: Callable[[], list[int]], after: int = 5) -> None:
        self.pids = pids
        self.after = after
        self.killed: list[int] = []

    def __call__(self, states: int, transitions: int, seconds: float) -> bool:
        # What one process searches alone is counted first, and the count begins anew when others are asked.
        self.after -= transitions > 0 and bool(self.pids())
        if self.after <= 0 and not self.killed:
            self.killed = self.pids()
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)
        return True


def searched(
    helpers: executors.Helpers, progress: Killing | None = None, said: list[str] | None = None
) -> tuple[Any, ...]:
    assert helpers.executor is not None
    complain = [].append if said is None else said.append
    strategy = Parallel(helpers.executor, LARGE, helpers.many, reduced=False, complain=complain)
    return figures(strategy.explore(LARGE(), Meter(AMPLE, progress), stop=False))


# -- processes of this computer ---------------------------------------------------------------------------------------


def children() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def test_processes_find_the_same(mmlocks: Mmlocks) -> None:
    one, two = mmlocks(*RUN_LARGE), mmlocks(*RUN_LARGE, "--jobs", 2)
    assert (two.exit_code, two.stderr) == (0, "")
    assert told(one) == told(two)
    assert told(two)["states"] > ALONE
    assert children() == []


def test_a_process_killed_half_way_loses_nothing(alone: tuple[Any, ...]) -> None:
    said = list[str]()
    with executors.executor(2, None) as helpers:
        killing = Killing(lambda: children()[:1])
        assert searched(helpers, killing, said) == alone
    assert len(killing.killed) == 1
    assert len(said) == 1
    assert said[0].startswith("the workers are lost (BrokenProcessPool: ")
    assert children() == []


def test_a_small_search_starts_no_process(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_process(*_: Any) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", no_process)
    for release in ("6.4.0", "6.4.3"):
        asked = ("run", "fork_lost_store", "-r", release)
        one, two = mmlocks(*asked), mmlocks(*asked, "--jobs", 8)
        assert (one.stdout, two.stderr) == (two.stdout, "")
    done = mmlocks(*RUN_LARGE, "--jobs", 2)
    assert done.exit_code == 0, "and where none can be started, this one does it all"
    assert done.stderr == (
        "mmlocks: the workers are lost (OSError: no more processes); the search goes on in this process alone.\n"
    )


def test_patches_and_oracles_go_along(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for, the processes build the same program."""
    monkeypatch.setattr(Parallel, "alone", 1)
    given = list[Any]()

    def spread(*how: Any, **more: Any) -> Exhaustive:
        given.append((how, more))
        return Exhaustive(how[3])

    monkeypatch.setattr("mmlocks.search.parallel.Parallel", spread)
    more = ("--without", "fork_locks_vmas", "--also", "stale_copy", "--jobs", 2)
    assert mmlocks("run", "fork_lost_store", "-r", "6.4.3", *more).exit_code == 1
    (_, build, many, reduced), _ = given[0]
    machine = build()
    assert (many, reduced) == (2, True)
    found = Exhaustive().explore(machine, Meter(AMPLE), stop=False)
    assert {violation.oracle for violation in found.violations} == {"stale_copy"}, (
        "which comes before a store is lost"
    )


@pytest.mark.parametrize(
    ("number", "all_of_them", "status"),
    [
        (signal.SIGINT, True, 3),
        (signal.SIGTERM, False, 3),
        (signal.SIGKILL, False, -signal.SIGKILL),
    ],
    ids=["ctrl-c", "terminated", "killed"],
)
def test_however_it_ends_all_processes_end(
    number: signal.Signals, all_of_them: bool, status: int
) -> None:
    """Ctrl-C as a terminal sends it: to all of them. Other signals go to one."""
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mmlocks",
            "run",
            "fork_many_2_6",
            "-r",
            "6.4.3",
            "--jobs",
            "2",
            "--states",
            "9000000",
            "--json",
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while len(group(process.pid)) < 3:  # it, and two more
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        (os.killpg if all_of_them else os.kill)(process.pid, number)
        try:
            out, err = process.communicate(
                timeout=20
            )  # which waits for all who could write to its pipes
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == status
    if status == 3:
        assert (json.loads(out)["reason"], err) == ("interrupted", "")
    while group(process.pid):  # multiprocessing's own helper goes a moment later
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_half_an_answer_is_not_waited_for(tmp_path: Path) -> None:
    """A worker is killed when it has sent the beginning of one."""
    (tmp_path / "half.py").write_text(
        "import os, signal, struct, sys, time\n"
        "def half(killed):\n"
        "    answers = sys._getframe(1).f_locals['result_queue']\n"
        "    os.write(answers._writer.fileno(), struct.pack('!i', 1000) + b'half')\n"
        "    open(killed, 'w').close()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    from mmlocks.cli.executors import executor\n"
        "    with executor(2, None) as helpers:\n"
        "        helpers.executor.submit(half, sys.argv[1])\n"
        "        while not os.path.exists(sys.argv[1]):\n"
        "            time.sleep(0.05)\n"
    )
    subprocess.run(
        [sys.executable, tmp_path / "half.py", tmp_path / "killed"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=20,
        check=True,
    )


def group(leader: int) -> list[int]:
    """The processes of a group (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, pgrp = status.read_text().rpartition(")")[2].split()[:3]
            if (
                int(pgrp) == leader
                and state != "Z"
                and b"resource_tracker" not in (status.parent / "cmdline").read_bytes()
            ):
                found.append(int(status.parent.name))
    return found


# -- typed badly ------------------------------------------------------------------------------------------------------

RUN = ("run", "fork_lost_store", "-r", "6.4.3")
NOWHERE = "tcp://127.0.0.1:1"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((*RUN, "--jobs", "0"), "--jobs"),
        ((*RUN, "--jobs", "257"), "--jobs"),
        ((*RUN, "--jobs", "many"), "--jobs"),
        ((*RUN, "--jobs", "2", "--dask", NOWHERE), "--jobs and --dask contradict each other"),
        (("releases", "--jobs", "2", "--dask", NOWHERE), "--jobs and --dask contradict each other"),
        ((*RUN, "--jobs", "2", "--strategy", "pct"), "work with the strategies reduced and full"),
        (
            (*RUN, "--dask", ""),
            "is not an address of a scheduler. An address looks like tcp://HOST:PORT",
        ),
        ((*RUN, "--dask", "localhost"), "is not an address"),
        ((*RUN, "--dask", "localhost:8786"), "is not an address"),
        ((*RUN, "--dask", "http://localhost:8786"), "is not an address"),
        ((*RUN, "--dask", "tcp://localhost"), "is not an address"),
        ((*RUN, "--dask", "tls://localhost:8786"), "cannot be used: tls is not supported, tcp is"),
        ((*RUN, "--dask", "ucx://localhost:8786"), "cannot be used: ucx is not supported, tcp is"),
        (
            (*RUN, "--dask", "tcp://localhost:65536"),
            "there is no port 65536; ports go from 1 to 65535",
        ),
        ((*RUN, "--dask", "tcp://localhost:0"), "there is no port 0"),
        (("releases", "--dask", "tcp://localhost:x"), "is not an address"),
        (
            ("run", "fork_many_0_3", "-r", "6.4.3"),
            "fork_many_V_N is fork_lost_store grown to V VMAs (1 to 7)",
        ),
        (
            ("run", "fork_many_8_3", "-r", "6.4.3"),
            "there is no scenario called 'fork_many_8_3': fork_many_V_N is",
        ),
        (
            ("run", "fork_many_2_0", "-r", "6.4.3"),
            "and N writers (1 to 9). For example: fork_many_2_6.",
        ),
        (("run", "fork_many_2_30", "-r", "6.4.3"), "there is no scenario called 'fork_many_2_30'"),
        (
            ("run", "fork_many", "-r", "6.4.3"),
            "and fork_many_V_N, which is fork_lost_store grown to V VMAs (1 to 7)",
        ),
    ],
    ids=lambda value: " ".join(value[-3:]) if isinstance(value, tuple) else "",
)
def test_asked_for_badly(mmlocks: Mmlocks, asked: tuple[str, ...], said: str) -> None:
    assert said in complaint(mmlocks(*asked))


def test_nobody_answers(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "PATIENCE", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    for asked in (RUN, ("releases",)):
        said = complaint(mmlocks(*asked, "--dask", address))
        assert f"no scheduler answers at {address}" in said
        assert "To start a cluster: `dask scheduler`" in said


def test_somebody_else_answers(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something listens there, and says nothing that a scheduler says."""
    monkeypatch.setattr(executors, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        assert f"no scheduler answers at {address}" in complaint(mmlocks(*RUN, "--dask", address))


def test_no_dask(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = complaint(mmlocks(*RUN, "--dask", NOWHERE))
    assert "--dask needs the Python package distributed" in said
    assert "pip install distributed" in said


def test_of_a_cluster_no_library_says_anything() -> None:
    """Such as tornado.application, whose level is its own: what is said of lost workers is followed by no traceback."""
    pytest.importorskip("distributed")
    family = [
        logging.getLogger(name) for name in ("tornado.application", "distributed.worker", "asyncio")
    ]
    levels = [logger.level for logger in family]
    try:
        for logger in family:
            logger.setLevel(logging.ERROR)
        executors._silence(executors.LIBRARIES)
        assert not any(logger.isEnabledFor(logging.CRITICAL) for logger in family)
    finally:
        for logger, level in zip(family, levels, strict=True):
            logger.setLevel(level)


class Client:
    """What a cluster of which something is amiss says."""

    def __init__(self, found: dict[str, Any] | Exception) -> None:
        self.found = found

    def _run(self, function: Callable[[], Any], **_: Any) -> dict[str, Any]:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def sync(self, function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        return function(*args)

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self._run(str), 2)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "the cluster at tcp://a:1 has no workers. To start one: dask worker tcp://a:1"),
        ({"tcp://b:2": "0" * 64}, "the worker at tcp://b:2 has another mmlocks than this process"),
        ({"tcp://b:2": ModuleNotFoundError("No module named 'mmlocks'")}, "No module named 'mmlocks'). It needs mmlocks, and a Python like"),
        (ModuleNotFoundError("No module named 'mmlocks'"), "cannot help (ModuleNotFoundError: No module named 'mmlocks')"),
    ],
    ids=["nobody", "another", "without", "none has it"],
)  # fmt: skip
def test_a_cluster_that_cannot_help(found: Any, said: str) -> None:
    with pytest.raises(MmlocksError) as problem:
        executors._able(Client(found), "tcp://a:1")
    assert said in str(problem.value)
    assert executors._able(Client(dict.fromkeys("ab", executors.installed())), "tcp://a:1") == 4


# -- a cluster --------------------------------------------------------------------------------------------------------


class Cluster:
    """A scheduler and workers, processes of their own, which nobody else can reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start(
            "scheduler", "--port", "0", "--scheduler-file", folder / "scheduler.json"
        )
        self.address = ""

    def start(self, what: str, *options: object, **environment: str) -> subprocess.Popen[bytes]:
        name = f"{what}{len(self.processes)}"
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"distributed.cli.dask_{what}",
                    "--host",
                    "127.0.0.1",
                    "--no-dashboard",
                    *map(str, options),
                ],
                cwd=self.folder,  # so that it is for PYTHONPATH to say what can be imported
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            )
        self.processes.append(process)
        return process

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        # No nanny, who would start a worker again that is killed.
        folder = self.folder / f"worker{len(self.processes)}"
        options = (
            "--scheduler-file",
            self.folder / "scheduler.json",
            "--nthreads",
            1,
            "--no-nanny",
            "--local-directory",
            folder,
        )
        return self.start("worker", *options, **environment)

    def ready(self, workers: int) -> None:
        import distributed

        deadline = time.monotonic() + 60
        while not (self.folder / "scheduler.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address = json.loads((self.folder / "scheduler.json").read_text())["address"]
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    made = Cluster(tmp_path)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.slow
def test_a_cluster_finds_the_same_though_a_worker_is_killed(
    mmlocks: Mmlocks, cluster: Cluster, alone: tuple[Any, ...]
) -> None:
    victim, _ = cluster.worker(), cluster.worker()
    cluster.ready(workers=2)
    one, two = mmlocks(*RUN_LARGE), mmlocks(*RUN_LARGE, "--dask", cluster.address)
    assert (two.exit_code, two.stderr) == (0, "")
    assert told(one) == told(two)
    some = ("releases", "--scenario", "fork_torn_snapshot", "-r", "6.4.0", "-r", "6.4.3", "--json")
    cells = [
        [{**cell, "seconds": 0} for cell in json.loads(mmlocks(*some, *more).stdout)["cells"]]
        for more in (["--jobs", "1"], ["--dask", cluster.address])
    ]
    assert cells[0] == cells[1]
    said = list[str]()
    with executors.executor(None, cluster.address) as helpers:
        assert helpers.many == 2
        killing = Killing(lambda: [victim.pid])
        assert searched(helpers, killing, said) == alone
        assert (killing.killed, victim.wait(10), said) == ([victim.pid], -signal.SIGKILL, []), (
            "the other one did it all"
        )


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["workers", "scheduler"])
def test_a_cluster_that_is_lost_half_way(
    cluster: Cluster, alone: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr("mmlocks.search.parallel.SILENCE", 3.0)
    workers = [cluster.worker(), cluster.worker()]
    cluster.ready(workers=2)
    victims = workers if lost == "workers" else [cluster.scheduler]
    said = list[str]()
    with executors.executor(None, cluster.address) as helpers:
        killing = Killing(lambda: [victim.pid for victim in victims])
        assert searched(helpers, killing, said) == alone
    assert len(killing.killed) == len(victims)
    assert len(said) == 1
    assert said[0].startswith("the workers are lost (")


@pytest.mark.slow
def test_a_cluster_helps_where_an_event_loop_runs_already(
    cluster: Cluster, alone: tuple[Any, ...]
) -> None:
    """As it does in a notebook."""
    cluster.worker()
    cluster.ready(workers=1)

    async def notebook() -> tuple[Any, ...]:
        with executors.executor(None, cluster.address) as helpers:
            return searched(helpers)

    with ThreadPoolExecutor(
        1
    ) as aside:  # an earlier test of browsers may have left a loop running here
        assert aside.submit(asyncio.run, notebook()).result() == alone


@pytest.mark.slow
def test_a_worker_with_another_mmlocks_and_one_without(
    mmlocks: Mmlocks, cluster: Cluster, tmp_path: Path
) -> None:
    without, other = tmp_path / "without", tmp_path / "other"
    without.mkdir()
    (without / "mmlocks.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'mmlocks'\")\n"
    )
    shutil.copytree(REPOSITORY / "mmlocks", other / "mmlocks")
    with (other / "mmlocks" / "machine" / "step.py").open("a") as step:
        step.write("# changed\n")
    changed = cluster.worker(PYTHONPATH=str(other))
    cluster.ready(workers=1)
    assert "has another mmlocks than this process" in complaint(
        mmlocks(*RUN, "--dask", cluster.address)
    )
    address = re.search(r"Start worker at: +(tcp://\S+)", (tmp_path / "worker1.log").read_text())
    assert address is not None
    assert "no scheduler answers at" in complaint(mmlocks(*RUN, "--dask", address[1])), (
        "a worker is none"
    )
    changed.kill()
    cluster.worker(PYTHONPATH=str(without))
    deadline = time.monotonic() + 60
    while "No module named 'mmlocks'" not in (
        said := complaint(mmlocks(*RUN, "--dask", cluster.address))
    ):
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    assert "cannot help" in said


# -- a scenario of any size -------------------------------------------------------------------------------------------


def test_fork_is_searched_beside_as_many_writers_as_you_like(mmlocks: Mmlocks) -> None:
    done = mmlocks("run", "fork_many_1_2", "-r", "6.4.0")
    assert done.exit_code == 1
    assert "fork of 1 VMA beside 2 writers" in words(done)
    assert "cpu0 forks a process with 1 VMA of one page; 2 other CPUs store to it." in words(done)
    assert "VIOLATED (lost_store)" in words(done)
    schedule = next(
        line.split()[-1] for line in done.stdout.splitlines() if "mmlocks replay" in line
    )
    again = mmlocks("replay", schedule)
    assert again.exit_code == 1
    assert "that store is lost" in words(again)
    assert mmlocks("run", "fork_many_1_2", "-r", "6.4.3").exit_code == 0


def test_fork_beside_too_many_ends_by_its_budget(mmlocks: Mmlocks) -> None:
    done = mmlocks("run", "fork_many_1_9", "-r", "6.4.3", "--states", 3_000, "--jobs", 2)
    assert done.exit_code == 3
    assert "UNPROVED: stopped early (budget of 3,000 states reached)" in words(done)
    assert mmlocks("run", "fork_many_7_9", "-r", "6.4.3", "--states", 100).exit_code == 3, (
        "the largest"
    )
    assert "fork_many_V_N fork_lost_store grown to V VMAs (1 to 7)" in words(mmlocks("scenarios"))
