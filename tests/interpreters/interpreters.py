"""A way to run pytest on each CPython that we support, whatever this machine has.

An installed interpreter gets a virtual environment. A missing one is replaced by Pyodide: the same CPython
as WebAssembly, run by node. Both live in .venvs/, with nothing but pytest, hypothesis and their needs.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.setup_env import probe

REPOSITORY = Path(__file__).resolve().parents[2]
CONSTRAINTS = REPOSITORY / "constraints.txt"
CACHE = REPOSITORY / ".venvs"
PACKAGES = ["pytest", "hypothesis"]
RUNNER = Path(__file__).with_name("pyodide_pytest.mjs")

# The npm package's version whose Python is ours.
PYODIDE = {"3.11": "0.25.1", "3.12": "0.27.7", "3.13": "0.29.4", "3.14": "314.0.7"}


def pytest_command(version: str) -> tuple[str, list[str]]:
    """What to call this interpreter, and the command that runs pytest on it in the repository's folder."""
    for path in installed(version):
        return f"CPython {version} ({path})", [
            str(virtual_environment(version, path)),
            "-m",
            "pytest",
        ]
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        raise LookupError(
            f"no Python {version} on PATH or in ~/.pyenv/versions, and no node with npm to run it as WebAssembly: "
            f"install either one (Debian: apt-get install nodejs npm)"
        )
    folder = pyodide(version, npm)
    return (
        f"CPython {version} (WebAssembly, Pyodide {PYODIDE[version]})",
        [node, str(RUNNER), str(folder), str(REPOSITORY)],
    )


def installed(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    by_pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for path in filter(None, [on_path, *map(str, by_pyenv)]):
        found = probe(path)
        if found and found.makes_venvs and found.version.startswith(f"{version}."):
            yield path


def virtual_environment(version: str, path: str) -> Path:
    folder = CACHE / f"core-{version}-{fingerprint(path)}"
    python = folder / "bin" / "python"
    if is_finished(folder):
        return python
    run([path, "-m", "venv", str(folder)])
    run(
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--constraint",
            str(CONSTRAINTS),
            *PACKAGES,
        ]
    )
    finish(folder)
    return python


def pyodide(version: str, npm: str) -> Path:
    folder = CACHE / f"pyodide-{version}-{fingerprint(PYODIDE[version])}"
    if is_finished(folder):
        return folder
    folder.mkdir(parents=True)
    run([npm, "pack", "--silent", f"pyodide@{PYODIDE[version]}", "--pack-destination", str(folder)])
    (archive,) = folder.glob("*.tgz")
    shutil.unpack_archive(archive, folder)  # makes folder/package
    pure = ["--only-binary=:all:", "--platform=any", "--abi=none", "--implementation=py"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--constraint", str(CONSTRAINTS)]
    run([*pip, *pure, f"--python-version={version}", f"--dest={folder / 'wheels'}", *PACKAGES])
    for wheel in (folder / "wheels").glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder / "site-packages")
    finish(folder)
    return folder


def fingerprint(origin: str) -> str:
    """Another origin or other pins make another folder."""
    return hashlib.sha256(origin.encode() + CONSTRAINTS.read_bytes()).hexdigest()[:8]


def is_finished(folder: Path) -> bool:
    if (folder / "finished").exists():
        return True
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
    return False


def finish(folder: Path) -> None:
    (folder / "finished").touch()


def run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
