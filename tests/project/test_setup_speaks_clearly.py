"""What can go wrong before the course starts is told in one line that says what to do."""

import ast
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what set-up reads, in a folder of its own."""
    folder = tmp_path / "checkout"
    (folder / "mmlocks").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "tools", folder / "tools")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, folder)
    (folder / "README.md").touch()
    (folder / "LICENSE").touch()
    return folder


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/setup_env.py", "course"]
    whole = {**os.environ, **environment}
    done = subprocess.run(
        command, cwd=checkout, env=whole, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def fake_python(folder: Path, version: str, makes_venvs: bool) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho {version} {makes_venvs}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_is_named(checkout: Path, tmp_path: Path) -> None:
    done = set_up(checkout, PYTHON=fake_python(tmp_path, "3.9.18", True))
    assert done.returncode == 1
    assert f"needs Python 3.11 or newer (seen: {tmp_path}/python is 3.9.18)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_python_that_does_not_run_is_named(checkout: Path) -> None:
    done = set_up(checkout, PYTHON="/nowhere/python3.12")
    assert done.stderr.startswith("mmlocks: PYTHON=/nowhere/python3.12 does not run")


def test_a_missing_venv_module_is_named(checkout: Path, tmp_path: Path) -> None:
    done = set_up(checkout, PYTHON=fake_python(tmp_path, "3.12.4", False))
    assert done.returncode == 1
    assert "sudo apt-get install python3.12-venv" in done.stderr


def test_set_up_can_be_read_by_the_pythons_that_it_refuses() -> None:
    source = (REPOSITORY / "tools" / "setup_env.py").read_text()
    ast.parse(source, feature_version=(3, 6))


def test_no_network_is_named_and_the_next_run_starts_afresh(checkout: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_later:
        port = closed_later.getsockname()[1]
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "NO_PROXY": "127.0.0.1",
    }
    first = set_up(checkout, **offline)
    assert first.returncode == 1
    assert first.stderr == (
        "mmlocks: no network: pip could not reach its package index. Connect, then run make again\n"
    )
    half_finished = checkout / ".venv" / "left-by-the-first-run"
    half_finished.touch()
    second = set_up(
        checkout, PYTHON=fake_python(tmp_path, "3.9.18", True)
    )  # any reason to end it there
    assert "the last installation did not finish: starting afresh" in second.stdout
    assert not half_finished.exists()


def lab(*options: str, path: str = "missing.ipynb") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/lab.py", path, *options]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("option", ["--port {}", "--port={}", "--ServerApp.port={}"])
def test_a_taken_port_is_named(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lab("--no-browser", *option.format(port).split())
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert 'make lab JUPYTER_ARGS="--port' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_other_options_reach_jupyterlab() -> None:
    assert lab("--version").stdout.startswith("4.")
