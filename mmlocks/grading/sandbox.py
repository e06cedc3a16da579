"""The sandbox of a student's process: bubblewrap, limits, and what it may see.

It sees the Python that runs, its standard library, the rooms of mmlocks that judge answers (without
banks and known fixes), and the one file. It has no network, no other processes, and a few megabytes
to write to. Without bubblewrap the same process runs with limits only: that is no isolation, and
each result says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmlocks.errors import AnswerError
from mmlocks.grading.link import Link, clean
from mmlocks.labs.files import LARGEST_NOTEBOOK
from mmlocks.labs.folder import FILE as LAB_FILE
from mmlocks.machine.task import PACKAGE

BUBBLEWRAP, NONE = "bubblewrap", "none"
"""The two kinds of isolation."""

ROOMS = (
    "__init__.py", "errors.py", "releases.py", "sentences.py", "machine", "search", "mm", "oracles",
    "scenarios", "explain", "labs",
)  # fmt: skip
"""What a student's process sees of this package."""

MEGABYTE = 1 << 20
LIMITS = {
    "RLIMIT_AS": 1024 * MEGABYTE,
    "RLIMIT_CORE": 0,
    "RLIMIT_FSIZE": 8 * MEGABYTE,
    "RLIMIT_MEMLOCK": 0,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_NPROC": 16,
}
"""Limits of the process: bytes, open files, and processes of its user. CPU time is set by wall."""
TMP_BYTES = 16 * MEGABYTE
"""What it can write to /tmp."""
USERS = range(61_000, 65_000)
"""Users that own nothing: where root calls, each student's process runs as one of them."""
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
"""Where shared libraries are."""
TMP = "/tmp"  # noqa: S108  the one inside of the sandbox
SAFE_NAME = 100
"""Characters of a file's name, which messages repeat. A longer one is shortened."""

START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from mmlocks.labs.serving import main; main(sys.argv[2:])"
)
TRY = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from mmlocks.labs.serving import take_limits; take_limits({}, int(sys.argv[2])); print('ok')"
)


@dataclass(frozen=True)
class Isolation:
    """What this machine gives: `kind` is BUBBLEWRAP or NONE, and `says` why, and what to do."""

    kind: str
    says: str


@cache
def isolation() -> Isolation:
    """What isolation this machine gives to a student's process. It is tried once."""
    if not sys.platform.startswith("linux"):
        return Isolation(
            NONE,
            f"NOT ISOLATED: bubblewrap needs Linux, and this is {sys.platform}. Mark the answers "
            "of others on a Linux machine, or in a virtual machine that you throw away.",
        )
    program = shutil.which("bwrap")
    if program is None:
        return Isolation(
            NONE,
            "NOT ISOLATED: the program bwrap was not found. Install the package bubblewrap (on "
            "Debian and Ubuntu: apt install bubblewrap).",
        )
    tried = subprocess.run(
        [*wrapped(program), *plain_python(), "-c", TRY, str(PACKAGE.parent), str(user())],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60,
        check=False,
    )  # fmt: skip
    if tried.stdout.strip() == "ok":
        version = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False
        )
        return Isolation(
            BUBBLEWRAP,
            f"isolated by {version.stdout.strip()}: answers run without network, apart from all "
            "other processes and files.",
        )
    why = clean(" ".join(tried.stderr.split()[-30:]) or f"exit status {tried.returncode}", 300)
    return Isolation(
        NONE,
        f"NOT ISOLATED: bwrap is installed and does not work here ({why}). Mostly the system "
        "forbids user namespaces: see `sysctl kernel.unprivileged_userns_clone` and, on Ubuntu, "
        "`sysctl kernel.apparmor_restrict_unprivileged_userns`; a container needs the right to "
        "make namespaces.",
    )


def plain_python() -> list[str]:
    """The Python without its site-packages, environment and compiled files of its own."""
    return [_interpreter(), "-I", "-S", "-B", "-X", "utf8"]


def _interpreter() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@cache
def wrapped(program: str) -> tuple[str, ...]:
    """The bubblewrap that shows what every answer may see."""
    words = [
        program, *_apart(), "--die-with-parent", "--new-session", "--clearenv",
        "--size", str(TMP_BYTES), "--perms", "1777", "--tmpfs", TMP,
    ]  # fmt: skip
    links = {path: str(Path(path).readlink()) for path in LIBRARIES if Path(path).is_symlink()}
    for path, target in links.items():
        words += ["--symlink", target, path]
    seen = {path: path for path in LIBRARIES if path not in links and Path(path).exists()}
    interpreter = Path(_interpreter())
    stdlib = Path(sysconfig.get_path("stdlib", vars=_BASE))
    for own in (interpreter, stdlib, *interpreter.parents[1].glob("lib/libpython*")):
        if not str(own).startswith(tuple(f"{each}/" for each in LIBRARIES)):
            seen[str(own)] = str(own)
    seen |= {str(PACKAGE / room): str(PACKAGE / room) for room in ROOMS}
    hidden: list[str] = []
    for packages in (stdlib / "site-packages", Path("/usr/lib/python3/dist-packages")):
        if packages.is_dir():
            hidden += ["--tmpfs", str(packages), "--remount-ro", str(packages)]
    for file in (PACKAGE / "labs").rglob("*"):
        if file.is_file() and file.suffix not in (".py", ".pyc") and file.name != LAB_FILE:
            seen[str(file)] = "/dev/null"  # banks and known fixes
    # A folder that bubblewrap makes by itself cannot always be read by another user.
    above = {str(each) for path in seen for each in Path(path).parents}
    for folder in sorted({*above, "/dev", "/answer"} - {"/", TMP}, key=len):
        if not folder.startswith(tuple(f"{path}/" for path in seen)) and folder not in seen:
            words += ["--perms", "0755", "--dir", folder]
    for path, source in seen.items():
        words += ["--ro-bind", source, path]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        words += ["--dev-bind", device, device]
    return (*words, *hidden, "--chdir", "/answer")


def _apart() -> tuple[str, ...]:
    """What is not shared. Root needs no user namespace, and takes the rights of another user."""
    if os.geteuid():
        return ("--unshare-all",)
    kinds = ("ipc", "pid", "net", "uts", "cgroup-try")
    return (
        *(f"--unshare-{kind}" for kind in kinds),
        *("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"),
    )


def user() -> int:
    """The user as which a student's process runs inside; 0 for the one that calls."""
    return USERS[os.getpid() % len(USERS)] if os.geteuid() == 0 else 0


_BASE = {"base": sys.base_prefix, "installed_base": sys.base_prefix}


class Started:
    """A student's process that runs: `link` asks it, and `stop` ends it.

    `fds` are where questions go, and where replies come from.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        fds: tuple[int, int],
        deadline: float,
        errors: Path,
        text: str,
    ) -> None:
        self.link = Link(*fds, deadline, self._ended)
        self.text = text
        """What stands for the answer: a digest of its bytes."""
        self._process = process
        self._fds = fds
        self._errors = errors

    def stop(self) -> None:
        """Kill it, and all processes that it started."""
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def _ended(self) -> str:
        """How it has ended, for a sentence, and what it said at its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        status = self._process.poll()
        if status is None:
            return ""
        how = f" by signal {-status}" if status < 0 else f" with status {status}"
        with contextlib.suppress(OSError):
            last = self._errors.read_bytes()[-2_000:].decode("utf-8", "replace").splitlines()
            said = [line.removeprefix("mmlocks: ") for line in last if line.startswith("mmlocks: ")]
            if said:
                how += f" (it said: {clean(said[-1], 500).rstrip('.')})"
        return how


@contextlib.contextmanager
def started(file: Path, wall: float) -> Iterator[Started]:
    """A process that serves this file, for so many seconds of wall time.

    Raises AnswerError for a file that cannot be copied.
    """
    with tempfile.TemporaryDirectory(prefix="mmlocks-answer-") as name:
        folder = Path(name)
        running = _start(isolation(), _copied(file, folder), folder, wall)
        try:
            yield running
        finally:
            running.stop()


def _start(found: Isolation, copied: Path, folder: Path, wall: float) -> Started:
    theirs_in, questions = os.pipe()
    replies, theirs_out = os.pipe()
    uid, words, seen = 0, list[str](), copied
    if found.kind == BUBBLEWRAP:
        program = shutil.which("bwrap")
        assert program is not None
        seen = Path("/answer") / copied.name
        words = [*wrapped(program), "--ro-bind", str(copied), str(seen)]
        words += ["--remount-ro", "/"]
        uid = user()
    limits = {**LIMITS, "RLIMIT_CPU": int(wall) + 10}
    errors = folder / "errors"
    try:
        with errors.open("wb") as said:
            process = subprocess.Popen(
                [*words, *plain_python(), "-c", START, str(PACKAGE.parent), seen.name,
                 str(theirs_in), str(theirs_out), str(uid), json.dumps(limits)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
                pass_fds=(theirs_in, theirs_out), start_new_session=True, cwd=copied.parent,
                env={},
            )  # fmt: skip
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    with copied.open("rb") as opened:
        text = hashlib.file_digest(opened, "sha256").hexdigest()
    return Started(process, (questions, replies), time.monotonic() + wall, errors, text)


def _copied(file: Path, folder: Path) -> Path:
    """A copy of the file in a private folder. Raises AnswerError, as reading it would."""
    name = file.name
    if len(name) > SAFE_NAME or not name.isprintable() or name.startswith("-"):
        name = f"answer{file.suffix if file.suffix in ('.py', '.ipynb') else ''}"
    place = folder / "answer" / name
    place.parent.mkdir()
    try:
        if file.is_symlink():
            raise AnswerError(
                f"{name} is a link to another file, which is not followed. Hand in the file itself."
            )
        if file.is_dir():
            raise AnswerError(f"{name} is a folder. Name the .py or .ipynb file in it.")
        if file.exists() and not file.is_file():
            raise AnswerError(
                f"{name} is not an ordinary file. Save your answer as a .py or .ipynb file and "
                "name that."
            )
        size = file.stat().st_size
        if size > LARGEST_NOTEBOOK:
            raise AnswerError(
                f"{name} has {size:,} bytes; an answer has at most {LARGEST_NOTEBOOK:,}. Is it the "
                "right file?"
            )
        shutil.copyfile(file, place, follow_symlinks=False)
        place.chmod(0o644)
    except FileNotFoundError:
        raise AnswerError(f"there is no file {name}. Look at its name and its folder.") from None
    except OSError as problem:
        raise AnswerError(
            f"{name} cannot be read: {problem.strerror}. Look at its name and its rights."
        ) from None
    return place
