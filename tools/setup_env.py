"""Make .venv and install the project into it: again when its pins change, and never half.

This runs before the right Python is known. So it needs the standard library alone, and Python 3.6
can parse it.
Usage: python3 tools/setup_env.py course,test      (the extras of pyproject.toml that are wanted)
"""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set

try:
    import fcntl
except ImportError:  # Windows: there, nothing keeps two set-ups apart
    fcntl = None  # type: ignore[assignment]

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
# No such file: not our .venv. An empty object in it: an installation that did not finish.
STATE = os.path.join(VENV, "mmlocks-setup.json")
LOG = os.path.join(VENV, "mmlocks-setup.log")
INPUTS = ("pyproject.toml", "constraints.txt")

NO_NETWORK = (
    "NewConnectionError",
    "Failed to establish a new connection",
    "Connection refused",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
)


class Problem(Exception):
    """Something the user can put right; its text says how."""


class Interpreter(NamedTuple):
    path: str
    version: str
    makes_venvs: bool

    @property
    def new_enough(self) -> bool:
        return tuple(int(part) for part in self.version.split(".")[:2]) >= NEEDED


def main(arguments: List[str]) -> int:
    extras = set(arguments[0].split(",")) if arguments else {"course"}
    try:
        with one_at_a_time():
            set_up(extras)
    except Problem as problem:
        print("mmlocks: {}".format(problem), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nmmlocks: interrupted; run make again and the installation starts afresh",
            file=sys.stderr,
        )
        return 130
    return 0


def set_up(extras: Set[str]) -> None:
    state = read_state()
    if state == {}:
        say("the last installation did not finish: starting afresh")
        shutil.rmtree(VENV)
    elif os.path.exists(VENV):
        usable = probe(VENV_PYTHON)
        if usable is None or not usable.new_enough:
            say("the Python of .venv is gone or too old: making a new .venv")
            shutil.rmtree(VENV)
            state = None
    if state:
        wanted = extras | set(state["extras"])
        if state == finished_state(wanted):
            return
        extras = wanted
    try:
        install(extras)
    except Problem:
        if state:  # pip changes nothing before it has everything: what was installed still works
            write_state(state)
        raise


def install(extras: Set[str]) -> None:
    new = not os.path.exists(VENV)
    interpreter = find_interpreter() if new else None
    os.makedirs(VENV, exist_ok=True)
    write_state({})
    if interpreter:
        make_venv(interpreter)
    say(
        "installing {} into .venv{}".format(
            ", ".join(sorted(extras)), " (a minute or two)" if new else ""
        )
    )
    run_pip(extras)
    if "course" in extras:
        silence_jupyter_news()
    write_state(finished_state(extras))


def find_interpreter() -> Interpreter:
    named = os.environ.get("PYTHON", "")
    found = [seen for seen in map(probe, [named] if named else usual_places()) if seen]
    if named and not found:
        raise Problem(
            "PYTHON={} does not run; give the path of a Python 3.11 or newer".format(named)
        )
    fitting = [seen for seen in found if seen.new_enough]
    if not fitting:
        seen_text = "; ".join(
            sorted({"{} is {}".format(seen.path, seen.version) for seen in found})
        )
        raise Problem(
            "needs Python 3.11 or newer (seen: {}). Install one, or name it: "
            "make ... PYTHON=/path/to/python3.12".format(seen_text or "none")
        )
    for seen in fitting:
        if seen.makes_venvs:
            return seen
    worst = fitting[0]
    raise Problem(
        "{} ({}) cannot make virtual environments. "
        "On Debian or Ubuntu: sudo apt-get install python{}-venv".format(
            worst.path, worst.version, ".".join(worst.version.split(".")[:2])
        )
    )


def usual_places() -> Iterator[str]:
    yield sys.executable
    for name in ("python3", "python3.13", "python3.12", "python3.14", "python3.11", "python"):
        path = shutil.which(name)
        if path:
            yield path
    for pattern in (
        "~/.pyenv/versions/3.*/bin/python3",
        "~/.local/share/uv/python/cpython-3.*/bin/python3",
    ):
        for path in sorted(glob.glob(os.path.expanduser(pattern)), reverse=True):
            yield path


def probe(path: str) -> Optional[Interpreter]:
    """What `path` is, or None if it is not a Python that runs.

    That can be a pyenv shim, or a venv whose Python is gone.
    """
    ask = (
        "import sys, importlib.util as u\n"
        "print('%d.%d.%d' % sys.version_info[:3], all(map(u.find_spec, ('venv', 'ensurepip'))))"
    )
    try:
        answer = subprocess.check_output([path, "-c", ask], stderr=subprocess.DEVNULL, timeout=30)
        version, makes_venvs = answer.decode().split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(path, version, makes_venvs == "True")


def make_venv(interpreter: Interpreter) -> None:
    say("making .venv with Python {} ({})".format(interpreter.version, interpreter.path))
    made = subprocess.run(
        [interpreter.path, "-m", "venv", VENV],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if made.returncode:
        raise Problem(
            "python -m venv failed: {}".format(last_words(made.stdout.decode(errors="replace")))
        )


def run_pip(extras: Set[str]) -> None:
    command = [VENV_PYTHON, "-m", "pip", "install", "--constraint", "constraints.txt"]
    command += ["--disable-pip-version-check", "--no-input"]
    command += ["--editable", ".[{}]".format(",".join(sorted(extras)))]
    # In the environment, so that the pip that pip itself starts has it too.
    surroundings = dict({"PIP_RETRIES": "2"}, **os.environ)
    with open(LOG, "w", encoding="utf-8") as log:
        pip = subprocess.Popen(
            command, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert pip.stdout
        packages = 0
        for line in pip.stdout:
            text = line.decode(errors="replace")
            log.write(text)
            packages += text.startswith("Collecting ")
            show_progress("{} packages found".format(packages) if packages else "")
        show_progress("")
    if pip.wait():
        with open(LOG, encoding="utf-8") as log:
            raise Problem(explain_pip_failure(log.read()))


def explain_pip_failure(output: str) -> str:
    if any(sign in output for sign in NO_NETWORK):
        return "no network: pip could not reach its package index. Connect, then run make again"
    if "No space left on device" in output:
        return "the disk is full; free about 1 GB, then run make again"
    return "pip failed: {} (all it said: .venv/{})".format(
        last_words(output), os.path.basename(LOG)
    )


def last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.upper().startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1]


def silence_jupyter_news() -> None:
    """Keep JupyterLab from asking about news, and from looking for newer versions."""
    folder = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    os.makedirs(folder, exist_ok=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    with open(os.path.join(folder, "overrides.json"), "w", encoding="utf-8") as file:
        json.dump({"@jupyterlab/apputils-extension:notification": quiet}, file, indent=2)


def read_state() -> Optional[Dict[str, Any]]:
    try:
        with open(STATE, encoding="utf-8") as file:
            return dict(json.load(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}  # cut off while it was written


def write_state(state: Dict[str, Any]) -> None:
    with open(STATE, "w", encoding="utf-8") as file:
        json.dump(state, file)


def finished_state(extras: Set[str]) -> Dict[str, Any]:
    digest = hashlib.sha256()
    for name in INPUTS:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    # With ROOT: if the folder moves, the scripts in .venv/bin and the editable install break.
    return {"root": ROOT, "inputs": digest.hexdigest(), "extras": sorted(extras)}


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one make install at a time: else each takes the other's .venv for a broken one."""
    if fcntl is None:
        yield
        return
    with open(os.path.join(ROOT, ".setup.lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another make is installing: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def show_progress(text: str) -> None:
    if sys.stdout.isatty():
        print("\r\033[K" + text, end="", flush=True)


def say(text: str) -> None:
    print("mmlocks: " + text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
