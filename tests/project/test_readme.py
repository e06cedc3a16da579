"""README.md shows what the program really prints, and names what there is."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def printed(*arguments: str) -> list[str]:
    """The lines that `mmlocks` prints on 80 columns without colour."""
    done = subprocess.run(
        [sys.executable, "-m", "mmlocks", *arguments],
        cwd=REPOSITORY,
        env={"PATH": "", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return [line.rstrip() for line in done.stdout.splitlines()]


def test_the_output_of_the_demo_is_what_the_demo_prints() -> None:
    block = next(each for each in README.split("```") if "\n1. Linux 6.4.0\n" in each)
    real, at = printed("demo"), 0
    for part in block.strip("\n").split("\n[...]\n"):
        lines = [line.rstrip() for line in part.splitlines()]
        found = [
            start
            for start in range(at, len(real) - len(lines) + 1)
            if real[start : start + len(lines)] == lines
        ]
        assert found, "`mmlocks demo` does not print this (or not here):\n" + part
        at = found[0] + len(lines)


def test_every_file_and_command_that_readme_names_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert "docs/player.png" in links
    assert not [name for name in links if not (REPOSITORY / name).exists()]
    listed = "\n".join(printed("--help"))
    commands = set(re.findall(r"(?:bin/|`)mmlocks ([a-z]+)", README))
    assert {"demo", "run", "check", "releases"} <= commands
    assert not [name for name in commands if not re.search(rf"^\W*{name}\b", listed, re.MULTILINE)]
