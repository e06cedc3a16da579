"""Who helps with a search: processes of this computer (`--jobs`), or the workers of a Dask cluster (`--dask`)."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmlocks.errors import MmlocksError, ModelError

if TYPE_CHECKING:
    from concurrent.futures import Executor

PATIENCE = 5.0
"""Seconds in which a scheduler has to answer."""
LIBRARIES = ("distributed", "tornado", "asyncio")
"""Whose complaints are not shown: what is amiss with a cluster is said here, in a sentence."""
LAST_PORT = 65_535
FOUNDATIONS = (
    "errors.py",
    "releases.py",
    "sentences.py",
    "machine",
    "search",
    "mm",
    "oracles",
    "scenarios",
)
"""What must be the same wherever a search is carried on."""


class Helpers(NamedTuple):
    """An executor, and how many jobs it does at once; no executor where this process is all there is."""

    executor: Executor | None = None
    many: int = 1


@contextmanager
def executor(jobs: int | None, dask: str | None) -> Iterator[Helpers]:
    """What was asked for by `--jobs` and `--dask`, until the search is over. One job is this process's own.

    Raises MmlocksError if there is no such cluster, or if it cannot help.
    """
    if dask is None:
        with _processes(jobs or 1) as helpers:
            yield helpers
        return
    if jobs is not None:
        raise ModelError(
            "--jobs and --dask contradict each other: a cluster knows how many workers it has. Leave one of them out."
        )
    with _cluster(dask) as helpers:
        yield helpers


# -- processes of this computer ---------------------------------------------------------------------------------------


@contextmanager
def _processes(jobs: int) -> Iterator[Helpers]:
    """Processes that are started when they are first needed, and stopped in the middle of a job where nobody waits for it."""
    if jobs <= 1:
        yield Helpers()
        return
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    class Pool(ProcessPoolExecutor):
        """Its processes never hear Ctrl-C, which a terminal sends to all: who started them tells them to stop."""

        def submit(self, *what: Any, **named: Any) -> Future[Any]:
            if not hasattr(signal, "pthread_sigmask"):  # not Linux
                return super().submit(*what, **named)
            old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                return super().submit(*what, **named)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, old)

    others = set(multiprocessing.active_children())
    # Not forked: a process that is forked from one with threads may find locks held for ever.
    pool = Pool(jobs, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        with _terminated_as_interrupted():
            yield Helpers(pool, jobs)
    except BrokenProcessPool:
        raise MmlocksError(
            "a process that searched has died; see whether memory ran out (dmesg). To search one after the other: --jobs 1"
        ) from None
    finally:
        results = getattr(pool, "_result_queue", None)
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.terminate()
                worker.join()
        # Who died in the middle of an answer left half of it. The pool's thread would wait for the rest for ever, and Python for the
        # thread, as long as there is anybody who could write it; and that is this process.
        if (writer := getattr(results, "_writer", None)) is not None:
            writer.close()


def _end_with_parent() -> None:
    """Called in a worker: it ends when the process that started it has ended, in whatever way. One that is killed tells nobody."""
    import multiprocessing

    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Hear SIGTERM, which would leave no time to clear up, as Ctrl-C is heard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


# -- a cluster --------------------------------------------------------------------------------------------------------


@contextmanager
def _cluster(address: str) -> Iterator[Helpers]:
    """The workers of a Dask cluster, each of which must have what this process has."""
    _see_address(address)
    try:
        import distributed
    except ModuleNotFoundError as missing:
        raise MmlocksError(
            f"--dask needs the Python package {missing.name}, which is not installed. "
            f"Install it: {sys.executable} -m pip install {missing.name}"
        ) from None
    import asyncio
    import warnings
    from concurrent.futures import CancelledError, ThreadPoolExecutor

    _silence(LIBRARIES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other versions of packages that we do not use
        try:
            with ThreadPoolExecutor(
                1
            ) as aside:  # this thread may have an event loop that runs, as in a notebook
                aside.submit(asyncio.run, asyncio.wait_for(_knock(address), PATIENCE)).result()
            connect: Any = distributed.Client
            client = connect(address, timeout=PATIENCE, set_as_default=False, asynchronous=False)
        except Exception as problem:  # whatever may listen there, and say
            raise MmlocksError(
                f"no scheduler answers at {address} ({_told(problem)}). To start a cluster: `dask scheduler`, and "
                f"`dask worker {address}` as often as you like."
            ) from None
        try:
            yield Helpers(client.get_executor(pure=False), _able(client, address))
        except (distributed.KilledWorker, CancelledError) as problem:
            raise MmlocksError(
                f"the cluster at {address} has lost its workers ({_told(problem)}). See what they say for themselves, or search "
                "without them: leave --dask out."
            ) from None
        finally:
            client.close(timeout=PATIENCE)


def _see_address(address: str) -> None:
    """Raise ModelError for what is no address of a scheduler, or of one that would want more, such as certificates."""
    found = re.fullmatch(r"tcp://\S+:(\d{1,5})", address)
    if found is None:
        other = re.match(r"(tls|ws|wss|ucx)://", address)
        why = (
            f"cannot be used: {other[1]} is not supported, tcp is"
            if other
            else "is no address of a scheduler"
        )
        raise ModelError(
            f"--dask {address!r} {why}. It looks like tcp://HOST:PORT, and `dask scheduler` prints it."
        )
    if not 0 < int(found[1]) <= LAST_PORT:
        raise ModelError(
            f"--dask {address!r}: there is no port {found[1]}; they go from 1 to {LAST_PORT}. `dask scheduler` prints its address."
        )


def _silence(libraries: tuple[str, ...]) -> None:
    """Let libraries log nothing: neither by their loggers nor by those below, some of which have levels of their own."""
    import logging

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in libraries:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


async def _knock(address: str) -> None:
    """See whether somebody there speaks as Dask does: the client would wait for ever for one who keeps silent."""
    from distributed.comm import core

    connect: Any = core.connect  # it has no types
    there = await connect(address, timeout=PATIENCE)
    await there.close()


def _able(client: Any, address: str) -> int:
    """How many jobs the workers do at once. Raises MmlocksError if there are none, or if one has another mmlocks, or none at all."""
    try:
        # As `client.run` does, but it would wait for ever.
        found = client.sync(client._run, installed, on_error="return", callback_timeout=PATIENCE)
    except Exception as problem:
        found = {address: problem}
    for worker, theirs in found.items():
        if isinstance(theirs, Exception):
            raise MmlocksError(
                f"the worker at {worker} cannot help ({_told(theirs)}). "
                f"It needs mmlocks, and a Python like this one ({sys.version_info.major}.{sys.version_info.minor})."
            )
        if theirs != installed():
            raise MmlocksError(
                f"the worker at {worker} has another mmlocks than this process. Install the same one there, and start the worker again."
            )
    threads: int = sum(client.nthreads().values())
    if not threads:
        raise MmlocksError(
            f"the cluster at {address} has no workers. To start one: dask worker {address}"
        )
    return threads


def _told(problem: BaseException) -> str:
    said = " ".join(str(problem).split()).removesuffix(".")
    return f"{type(problem).__name__}: {said}" if said else type(problem).__name__


def installed() -> str:
    """A digest of all that a search depends on here. It is asked of every worker."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for name in FOUNDATIONS:
        for file in sorted((package / name).rglob("*.py")) or [package / name]:
            digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
