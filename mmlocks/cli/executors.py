"""Helpers of a search: processes of this computer (`--jobs`) or workers of Dask (`--dask`)."""

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
"""Seconds that a scheduler may take to answer."""
LIBRARIES = ("distributed", "tornado", "asyncio")
"""Their log messages are not shown. This file reports problems with a cluster in a sentence."""
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
"""What must be the same on every computer that takes part in a search."""


class Helpers(NamedTuple):
    """An executor, and how many jobs it does at once. None if this process searches alone."""

    executor: Executor | None = None
    many: int = 1


@contextmanager
def executor(jobs: int | None, dask: str | None) -> Iterator[Helpers]:
    """The helpers that `--jobs` and `--dask` ask for, until the search is over.

    With one job, this process searches alone. Raises MmlocksError if the cluster does not exist or
    cannot help.
    """
    if dask is None:
        with _processes(jobs or 1) as helpers:
            yield helpers
        return
    if jobs is not None:
        raise ModelError(
            "--jobs and --dask contradict each other: a cluster knows how many workers it has. "
            "Leave one of them out."
        )
    with _cluster(dask) as helpers:
        yield helpers


# -- processes of this computer --------------------------------------------------------------------


@contextmanager
def _processes(jobs: int) -> Iterator[Helpers]:
    """Processes that start when they are first needed. At the end they stop, even inside a job."""
    if jobs <= 1:
        yield Helpers()
        return
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    class Pool(ProcessPoolExecutor):
        """Its processes ignore Ctrl-C, which a terminal sends to all. Their parent stops them."""

        def submit(self, *what: Any, **named: Any) -> Future[Any]:
            if not hasattr(signal, "pthread_sigmask"):  # not Linux
                return super().submit(*what, **named)
            old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                return super().submit(*what, **named)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, old)

    others = set(multiprocessing.active_children())
    # Not fork: if the parent has threads, a forked child may find locks that stay held for ever.
    pool = Pool(jobs, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        with _terminated_as_interrupted():
            yield Helpers(pool, jobs)
    except BrokenProcessPool:
        raise MmlocksError(
            "a process of the search has died; see whether memory ran out (dmesg). "
            "To search in one process: --jobs 1"
        ) from None
    finally:
        results = getattr(pool, "_result_queue", None)
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.terminate()
                worker.join()
        # A worker that died while it wrote an answer left half of it in the pipe. The pool's thread
        # waits for the rest as long as some process has the pipe open for writing, and Python waits
        # for the thread. This process is the last one that has it open.
        if (writer := getattr(results, "_writer", None)) is not None:
            writer.close()


def _end_with_parent() -> None:
    """Make a worker end when its parent has ended.

    A parent that is killed cannot tell its workers, so each worker watches its parent.
    """
    import multiprocessing

    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that there is time to clear up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


# -- a cluster -------------------------------------------------------------------------------------


@contextmanager
def _cluster(address: str) -> Iterator[Helpers]:
    """The workers of a Dask cluster. Each must have the same mmlocks as this process."""
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
        warnings.simplefilter("ignore")  # about versions of packages that we do not use
        try:
            # In another thread: this one may have a running event loop, as in a notebook.
            with ThreadPoolExecutor(1) as aside:
                aside.submit(asyncio.run, asyncio.wait_for(_knock(address), PATIENCE)).result()
            connect: Any = distributed.Client
            client = connect(address, timeout=PATIENCE, set_as_default=False, asynchronous=False)
        except Exception as problem:  # any program may listen there and answer anything
            raise MmlocksError(
                f"no scheduler answers at {address} ({_told(problem)}). To start a cluster: "
                f"`dask scheduler`, then `dask worker {address}` once for each worker."
            ) from None
        try:
            yield Helpers(client.get_executor(pure=False), _able(client, address))
        except (distributed.KilledWorker, CancelledError) as problem:
            raise MmlocksError(
                f"the cluster at {address} has lost its workers ({_told(problem)}). See their own "
                "output, or leave --dask out to search without them."
            ) from None
        finally:
            client.close(timeout=PATIENCE)


def _see_address(address: str) -> None:
    """Raise ModelError for an address that is not `tcp://HOST:PORT`.

    Other protocols need more than an address, such as certificates.
    """
    found = re.fullmatch(r"tcp://\S+:(\d{1,5})", address)
    if found is None:
        other = re.match(r"(tls|ws|wss|ucx)://", address)
        why = (
            f"cannot be used: {other[1]} is not supported, tcp is"
            if other
            else "is not an address of a scheduler"
        )
        raise ModelError(
            f"--dask {address!r} {why}. An address looks like tcp://HOST:PORT, and "
            "`dask scheduler` prints it."
        )
    if not 0 < int(found[1]) <= LAST_PORT:
        raise ModelError(
            f"--dask {address!r}: there is no port {found[1]}; ports go from 1 to {LAST_PORT}. "
            "`dask scheduler` prints its address."
        )


def _silence(libraries: tuple[str, ...]) -> None:
    """Stop the log messages of libraries. Some loggers below theirs have their own levels."""
    import logging

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in libraries:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


async def _knock(address: str) -> None:
    """See whether the program there answers as Dask does. The client would wait for ever."""
    from distributed.comm import core

    connect: Any = core.connect  # has no types
    there = await connect(address, timeout=PATIENCE)
    await there.close()


def _able(client: Any, address: str) -> int:
    """How many jobs the workers do at once.

    Raises MmlocksError if there are no workers, or if one has no mmlocks or another version of it.
    """
    try:
        # The same as `client.run`, which has no timeout.
        found = client.sync(client._run, installed, on_error="return", callback_timeout=PATIENCE)
    except Exception as problem:
        found = {address: problem}
    for worker, theirs in found.items():
        if isinstance(theirs, Exception):
            raise MmlocksError(
                f"the worker at {worker} cannot help ({_told(theirs)}). It needs mmlocks, and a "
                f"Python like this one ({sys.version_info.major}.{sys.version_info.minor})."
            )
        if theirs != installed():
            raise MmlocksError(
                f"the worker at {worker} has another mmlocks than this process. "
                "Install the same one there, and start the worker again."
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
    """A digest of all code that a search depends on. Every worker must have the same."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for name in FOUNDATIONS:
        for file in sorted((package / name).rglob("*.py")) or [package / name]:
            digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
