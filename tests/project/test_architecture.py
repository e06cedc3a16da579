"""ARCHITECTURE.md and the pages of docs/why name what there is, and are short enough to be read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "mmlocks"
MODEL = PACKAGE / "mm"
ARCHITECTURE = REPOSITORY / "ARCHITECTURE.md"
WHY = sorted((REPOSITORY / "docs" / "why").glob("*.md"))
PAGES = [ARCHITECTURE, *WHY]

ENDINGS = "py|md|json|jsonl|ipynb|svg|png|toml|txt"
NAMED = re.compile(rf"`(?!/)((?:[\w.*-]+/)+|[\w.*/-]+\.(?:{ENDINGS})|(?:[\w-]+/)+[\w*]*\*)`")
"""A file or a folder in backquotes: `mm/fork.py`, `labs/`, `labs/lab07*`."""
LINKED = re.compile(r"\]\((?!https?:|#)([^)#]+)")
DRAWN = re.compile(r"│[^`│]*?((?:\w+/)+)")
"""A room in the drawing of the house."""


def missing(page: Path) -> Iterator[str]:
    """What the page names, from the repository's root or from mmlocks/, and there is not."""
    text = page.read_text(encoding="utf-8")
    for name in [*NAMED.findall(text), *DRAWN.findall(text)]:
        if not any(any(root.glob(name)) for root in (REPOSITORY, PACKAGE)):
            yield name
    for name in LINKED.findall(text):
        if not (page.parent / name).exists():
            yield name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    assert not list(missing(page))


def test_the_architecture_names_every_room() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rooms = [file.parent.relative_to(PACKAGE) for file in PACKAGE.rglob("*/__init__.py")]
    alone = [file.name for file in PACKAGE.glob("*.py") if not file.name.startswith("__")]
    assert len(rooms) > 10
    listed = set(re.findall(r"^\|(?: `([^`]+)`)(?: `([^`]+)`)?(?: `([^`]+)`)?", text, re.MULTILINE))
    assert not {*(f"{room}/" for room in rooms), *alone} - {name for row in listed for name in row}


def test_the_architecture_is_read_in_ten_minutes() -> None:
    assert len(ARCHITECTURE.read_text(encoding="utf-8").splitlines()) <= 120


def test_the_architecture_leads_to_every_reason() -> None:
    linked = set(LINKED.findall(ARCHITECTURE.read_text(encoding="utf-8")))
    assert linked >= {file.relative_to(REPOSITORY).as_posix() for file in WHY}
    assert WHY


@pytest.mark.parametrize("page", WHY, ids=lambda page: str(page.name))
def test_a_reason_begins_with_the_decision_in_one_sentence(page: Path) -> None:
    title, decision, *_ = page.read_text(encoding="utf-8").split("\n\n")
    assert title.startswith("# ")
    assert decision.endswith(".")
    assert not re.search(r"[.;!?] ", decision), decision


def test_the_page_of_the_model_names_every_file_of_the_model() -> None:
    text = (REPOSITORY / "docs" / "why" / "model.md").read_text(encoding="utf-8")
    files = [file.relative_to(PACKAGE).as_posix() for file in MODEL.rglob("*.py")]
    assert not [
        name for name in files if not name.endswith("__init__.py") and f"`{name}`" not in text
    ]
