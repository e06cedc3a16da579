"""Answers reach `mmlocks check` in the encodings, suffixes and shapes that editors, browsers and tools give them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labs.test_reading import check, put
from tests.notebook.cases import (
    ANSWER,
    GIVEN,
    RIGHT,
    SETUP,
    SHARE,
    SHARING,
    Notebook,
    answer,
    below,
    change,
    notebook,
)

pytestmark = pytest.mark.usefixtures("proved_once")

pytestmark = pytest.mark.usefixtures("proved_once")

SOLVED = notebook(answer(RIGHT))
TEXT = json.dumps(SOLVED)


def version_3() -> dict[str, object]:
    """The format of notebooks up to 2014."""
    cells = [
        {
            "cell_type": "code",
            "language": "python",
            "input": cell["source"],
            "outputs": [],
            "collapsed": False,
        }
        if cell["cell_type"] == "code"
        else {"cell_type": cell["cell_type"], "source": cell["source"]}
        for cell in SOLVED["cells"]
    ]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}


def with_screenshots() -> str:
    """Pictures of 6 MB pasted into a text cell, and one of 6 MB as an output."""
    picture = base64.b64encode(random.Random(0).randbytes(4_500_000)).decode()
    made = notebook(answer(RIGHT))
    made["cells"][0]["attachments"] = {"image.png": {"image/png": picture}}
    made["cells"][SETUP]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture}}
    ]
    return json.dumps(made)


def lines_as(ends: str) -> str:
    made = notebook(answer(RIGHT.replace("\n", ends)))
    return json.dumps(made).replace("\n", ends)


TAKEN: dict[str, Callable[[], bytes]] = {
    "plain.py": RIGHT.encode,
    "mark.py": lambda: RIGHT.encode("utf-8-sig"),
    "mark.ipynb": lambda: TEXT.encode("utf-8-sig"),
    "utf16.py": lambda: RIGHT.encode("utf-16"),
    "utf16.ipynb": lambda: TEXT.encode("utf-16"),
    "utf16_be.py": lambda: b"\xfe\xff" + RIGHT.encode("utf-16-be"),
    "utf16_unmarked.py": lambda: RIGHT.encode("utf-16-le"),
    "utf32.py": lambda: RIGHT.encode("utf-32"),
    "latin1.py": lambda: f"# -*- coding: latin-1 -*-\n# é\n{RIGHT}".encode("latin-1"),
    "crlf.py": lambda: RIGHT.replace("\n", "\r\n").encode(),
    "cr.py": lambda: RIGHT.replace("\n", "\r").encode(),
    "crlf.ipynb": lines_as("\r\n").encode,
    "LAB07.IPYNB": TEXT.encode,
    "ANSWER.PY": RIGHT.encode,
    "lab07.ipynb.txt": TEXT.encode,
    "lab07.ipynb.json": TEXT.encode,
    "lab07 (1).ipynb": TEXT.encode,
    "notebook_called.py": TEXT.encode,
    "ünï code 数.ipynb": TEXT.encode,
    "version3.ipynb": lambda: json.dumps(version_3()).encode(),
    "screenshots.ipynb": lambda: bytes(with_screenshots(), "utf-8"),
    "no_metadata_at_all.ipynb": lambda: json.dumps(
        {"cells": [{"cell_type": "code", "source": RIGHT}]}
    ).encode(),
    "source_as_text.ipynb": lambda: json.dumps(notebook(change(ANSWER, lambda _: RIGHT))).encode(),
    "module_with_imports.py": f"from mmlocks.mm import *\nfrom mmlocks.machine import together\n\n{RIGHT}".encode,
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_right_answer_is_taken_however_it_was_saved(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(TAKEN[name]())
    done = check(path, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["points"] == 10


REFUSED = {
    "empty.ipynb": (b"", "is empty. Save it again"),
    "page.ipynb": (
        b"<!DOCTYPE html>\n<html></html>",
        "is a web page. In JupyterLab, take File > Download",
    ),
    "merged.ipynb": (
        b'{"cells": [\n<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> x\n]}',
        "git has merged two of them",
    ),
    "cut.ipynb": (TEXT[:900].encode(), "(line 1: "),
    "other.ipynb": (b'{"a": 1}', "cannot be read as one"),
    "binary.ipynb": (b"\x89PNG\r\n\x1a\n\xff", "not a text file in UTF-8. Save it again as UTF-8"),
    "answer.docx": (
        b"PK\x03\x04 x",
        "neither a .py nor an .ipynb file. Save your answer as one of these",
    ),
    "latin1_unsaid.py": ("# é\n".encode("latin-1"), "not a text file in UTF-8. Save it again"),
    "large.py": (b"x = 1\n" * 900_000, "5,400,000 bytes; an answer has at most 5,000,000"),
    "much_code.ipynb": (
        json.dumps({"cells": [{"cell_type": "code", "source": "x = 1\n" * 900_000}]}).encode(),
        "bytes of code",
    ),
    "cells.ipynb": (
        b'{"cells": [{"cell_type": "code"}]}',
        "it has cells, and one of them cannot be read",
    ),
    "no_code.ipynb": (
        b'{"cells": [{"cell_type": "markdown", "source": "x"}]}',
        "(0 code cells) has no cell that defines a kernel function",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line_that_says_what_to_do(
    name: str, tmp_path: Path
) -> None:
    content, words = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    done = check(tmp_path / name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


def test_places_are_the_learners_own_lines_also_behind_empty_ones_and_magics(
    tmp_path: Path,
) -> None:
    for before in ("\n\n", "%%time\n", "%matplotlib inline\n", "\n\n%%time\n", "\n!ls\n"):
        source = f"{before}{RIGHT}    undefined\n".replace(
            "    await mmap_write_unlock(oldmm)    undefined\n", "    undefined\n"
        )
        done = check(put(tmp_path, notebook(answer(source))), "--json")
        line = before.count("\n") + 9
        assert (
            f"(lab.ipynb, cell 4, line {line})" in json.loads(done.stdout)["checks"][0]["message"]
        )


# -- scripts ----------------------------------------------------------------------------------------------------------


def exported(made: Notebook) -> str:
    """The notebook as `jupyter nbconvert --to script` writes it."""
    import nbconvert
    import nbformat

    text, _ = nbconvert.PythonExporter().from_notebook_node(
        nbformat.reads(json.dumps(made), as_version=4)
    )
    return str(text)


@pytest.mark.parametrize(
    ("source", "points"),
    [
        (GIVEN, 0),
        (RIGHT, 10),
        (f"%matplotlib inline\nfiles = !ls\n{RIGHT}\n%time 1 + 1\n", 10),
        (f"{RIGHT}\nlab07.hint(2)\n", 10),
        (f"%%time\n{RIGHT}", 10),
    ],
    ids=["unsolved", "solved", "magics", "hint", "time"],
)
def test_an_exported_script_is_judged(source: str, points: int, tmp_path: Path) -> None:
    text = exported(notebook(answer(source)))
    assert 'lab07.check("lost_store", globals())' in text
    (tmp_path / "lab07.py").write_text(text, encoding="utf-8")
    done = check(tmp_path / "lab07.py", "--json")
    assert "Traceback" not in done.output
    assert json.loads(done.stdout)["points"] == points
    assert done.exit_code == (0 if points else 1)
    told = check(tmp_path / "lab07.py")
    assert ("The shortest way to break it takes" in told.stdout) == (points == 0)


def test_a_script_says_the_line_of_what_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "forking.py").write_text(f"from mmlocks.mm import *\n\n{RIGHT}")
    for source, judged in (
        (f"x = 1\n{RIGHT}", "replaced: dup_mmap (line 2)."),
        (f"{RIGHT}\nmine = dup_mmap\n\ndup_mmap = mine\n", "replaced: dup_mmap (line 1)."),
        ("from forking import dup_mmap\n", "replaced: dup_mmap (forking.py, line 3)."),
        ("from forking import *\n", "replaced: dup_mmap (forking.py, line 3)."),
    ):
        (tmp_path / "answer.py").write_text(source)
        assert json.loads(check(tmp_path / "answer.py", "--json").stdout)["judged"] == judged


def test_a_module_beside_the_file_is_read_anew_each_time(tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text("from forking import dup_mmap\n")
    for source, points in ((GIVEN, 0), (RIGHT, 10)):
        (tmp_path / "forking.py").write_text(f"from mmlocks.mm import *\n\n{source}")
        assert json.loads(check(tmp_path / "answer.py", "--json").stdout)["points"] == points
    assert not (tmp_path / "__pycache__").exists(), "the learner's folder stays as it was"


def test_a_module_may_be_imported_inside_of_a_function(tmp_path: Path) -> None:
    (tmp_path / "which.py").write_text("FLUSH = True\n")
    source = RIGHT.replace(
        "    await flush", "    import which\n    if which.FLUSH:\n        await flush"
    )
    (tmp_path / "answer.py").write_text(source)
    assert json.loads(check(tmp_path / "answer.py", "--json").stdout)["points"] == 10


def test_a_file_or_a_notebook_beside_it_can_be_run_by_a_magic(tmp_path: Path) -> None:
    (tmp_path / "forking.py").write_text(SHARE)
    put(
        tmp_path,
        {
            "cells": [
                {"cell_type": "code", "source": "1 + 1"},
                {"cell_type": "code", "source": SHARE},
            ]
        },
        "forking.ipynb",
    )
    for call in ("%run forking.py", "%run forking", "%run -i 'forking.py'", "%run forking.ipynb"):
        done = check(put(tmp_path, notebook(answer(f"{call}\n{SHARING}"))), "--json")
        assert json.loads(done.stdout)["points"] == 10, (call, done.output)
    done = check(put(tmp_path, notebook(answer(f"%run nothing.py\n{SHARING}"))))
    assert (
        "cell 4, line 1: FileNotFoundError: there is no file nothing.py beside this one"
        in " ".join(done.output.split())
    )


def test_what_cannot_be_text_or_code_in_a_cell_is_said_and_the_rest_is_judged(
    tmp_path: Path,
) -> None:
    for source, said in (
        ("x = '\ud800'", "surrogates not allowed"),
        ("\0", "null bytes"),
        ("(" * 100_000, "cell 5"),
        ("import os\nos.chdir('/')\n1 / 0", "line 3: ZeroDivisionError"),
    ):
        path = tmp_path / "lab.ipynb"
        path.write_text(json.dumps(notebook(answer(RIGHT), below(source))))
        done = check(path, "--json")
        found = json.loads(done.stdout)
        assert found["points"] == 10
        assert said in found["judged"]
