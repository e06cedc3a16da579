"""What an instructor hands out: notebooks, instructions, and a zip of both for the LMS.

All students get the same files. An answer is a function, so other addresses or other names in each
copy would not hinder copying. docs/instructors.md says what helps.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp

from mmlocks import __version__
from mmlocks.errors import MmlocksError
from mmlocks.grading.masters import master_file
from mmlocks.labs import Lab
from mmlocks.sentences import counted

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of all entries of a zip: the same files make the same zip, byte by byte."""

INSTRUCTIONS = "INSTRUCTIONS.md"


def parsed_due(text: str) -> datetime:
    """A due date as it is typed: `2026-12-24` (its last minute) or `2026-12-24T12:00+01:00`.

    Without an offset it is in this computer's time zone. Raises MmlocksError for anything else.
    """
    try:
        due = datetime.fromisoformat(text)
    except ValueError:
        raise MmlocksError(
            f"{text!r} is not a date. Write 2026-12-24 (to the end of that day) or "
            "2026-12-24T12:00, with an offset such as +01:00 if it is not your time zone."
        ) from None
    if len(text) <= len("2026-12-24"):
        due = due.replace(hour=23, minute=59, second=59)
    return due if due.tzinfo is not None else due.astimezone()


def assign(
    labs: Sequence[Lab], out: Path, roster: Path | None = None, due: datetime | None = None
) -> dict[str, Path]:
    """Write the folder `out`; gives what is in it: for each thing a word, and its file.

    All of it is written, or nothing. Raises MmlocksError if `out` exists and is not empty, and if
    something cannot be read or written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise MmlocksError(
            f"{out} exists already, and students may work with what is in it. Name a new folder."
        )
    handed_out = {file.name: file.read_bytes() for file in map(master_file, labs)}
    handed_out[INSTRUCTIONS] = instructions(labs, due).encode()
    named = "_".join(lab.name for lab in labs) if len(labs) < 3 else "mmlocks_labs"
    files = {f"student/{name}": content for name, content in handed_out.items()}
    files[f"{named}.zip"] = zipped(handed_out)
    files["assignment.toml"] = _assignment(labs, due, handed_out).encode()
    if roster is not None:
        try:
            files["roster.csv"] = roster.read_bytes()
        except OSError as problem:
            raise MmlocksError(
                f"the roster {roster} cannot be read: {problem.strerror or problem}."
            ) from None
    _write(out, files)
    made = {
        "student notebooks": out / "student",
        "zip for the LMS": out / f"{named}.zip",
        "for `mmlocks grade`": out / "assignment.toml",
    }
    return made if roster is None else {**made, "roster": out / "roster.csv"}


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    """A new folder with these files: all of them, or nothing."""
    out = out.resolve()
    beside: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        beside.chmod(0o755)
        for name, content in files.items():
            (beside / name).parent.mkdir(exist_ok=True)
            (beside / name).write_bytes(content)
        if out.exists():
            out.rmdir()  # it is empty
        beside.rename(out)
    except OSError as problem:
        raise MmlocksError(
            f"{out} cannot be written: {problem.strerror or problem}. Nothing was handed out."
        ) from None
    finally:
        if beside is not None and beside.exists():
            shutil.rmtree(beside, ignore_errors=True)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files. The same files give the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return stream.getvalue()


def instructions(labs: Sequence[Lab], due: datetime | None) -> str:
    """What students are told: what to do, how to look at it themselves, what to hand in."""
    lines = [f"# {'Your lab' if len(labs) == 1 else 'Your labs'}", ""]
    for lab in labs:
        checks = counted(len(lab.checks), "check")
        lines.append(f"* `{lab.name}.ipynb`: {lab.title} ({checks}, {lab.points} points)")
    lines += ["", f"Hand in by **{due:%A, %d %B %Y, %H:%M} (UTC{due:%z})**." if due else ""]
    lines += [
        "",
        "1. Open the notebook in JupyterLab, and run its cells one by one.",
        "2. Write your answer in the cell below *Your answer*. You may add cells of your own.",
        "3. Run the check cells. Each one searches every interleaving of your code, and shows the",
        "   shortest way to go wrong if there is one. Your mark comes from the same checks.",
        "4. To be sure, save the notebook and judge the saved file:",
        "",
        *(f"       mmlocks check {lab.name} {lab.name}.ipynb" for lab in labs),
        "",
        "5. Hand in the notebook file (`.ipynb`), and nothing else. You may rename it.",
        "",
        "Only your code counts. The text of the checks in your file does not: the grader uses its",
        "own. How your code looks does not matter, and there are no hidden checks.",
        "",
        f"Made with mmlocks {__version__}; `mmlocks --version` prints yours.",
    ]
    return "\n".join(lines) + "\n"


def _assignment(labs: Sequence[Lab], due: datetime | None, files: Mapping[str, bytes]) -> str:
    """What `mmlocks grade` may want to know of this assignment, as TOML."""
    lines = [
        'format = "mmlocks assignment"',
        "version = 1",
        f'mmlocks = "{__version__}"',
        f"labs = {[lab.name for lab in labs]}",
    ]
    if due is not None:
        lines.append(f"due = {due.isoformat()}")
    lines += ["", "[sha256]"]
    lines += [
        f'"{name}" = "{hashlib.sha256(content).hexdigest()}"'
        for name, content in sorted(files.items())
    ]
    return "\n".join(lines) + "\n"
