"""The class at a glance: each check, the marks, who behaves alike, and what needs a person."""

from __future__ import annotations

from fractions import Fraction
from html.parser import HTMLParser

from mmlocks.grading.class_page import class_page, groups
from mmlocks.grading.formats import Graded
from mmlocks.grading.late import Mark
from mmlocks.grading.pages import Page, as_html, as_markdown
from mmlocks.grading.result import Checked, HandedIn, Result
from mmlocks.grading.roster import Student

NAME = '<script>alert("x")</script>'


def result(
    login: str, finding: str, *, schedule: str = "", mistake: str = "", eye: str = ""
) -> Result:
    points = 4 if finding == "CORRECT" else 0
    return Result(
        "lab07_fork_vs_fault",
        Student(login=login),
        HandedIn("lab07.ipynb", "0" * 64),
        "bubblewrap",
        finding,
        4,
        (Checked("lost_store", points, 4, finding, schedule=schedule or None),),
        behaves_like=mistake or None,
        eye=(eye,) if eye else (),
    )


CLASS = [
    result("ada", "CORRECT"),
    result("bob", "WRONG", schedule="mml1:a:6.4.0:0x20", mistake="locks too late"),
    result("cid", "WRONG", schedule="mml1:a:6.4.0:0x3", mistake="locks too late"),
    result("dan", "WRONG", schedule="mml1:b:6.4.0:0x9", mistake="locks nothing"),
    result(NAME, "WRONG", schedule="mml1:b:6.4.0:0x9", mistake="locks nothing", eye=f"see {NAME}"),
]


def page(absent: tuple[Student, ...] = ()) -> str:
    graded = [Graded(each, Mark(Fraction(each.points), ())) for each in CLASS]
    return class_page("lab07_fork_vs_fault", graded, absent, 4)


class Tags(HTMLParser):
    """The tags of a page, which must be closed in order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_answers_that_behave_alike_stand_together_with_their_shortest_run() -> None:
    found = groups(CLASS)
    assert [[each.student.login for each in group.results] for group in found] == [
        ["bob", "cid"],
        ["dan", NAME],
        ["ada"],
    ]
    assert [group.schedule for group in found] == ["mml1:a:6.4.0:0x3", "mml1:b:6.4.0:0x9", None]


def test_the_page_says_how_each_check_went_and_who_needs_a_person() -> None:
    shown = Tags(page((Student(login="eve"),)))
    assert not shown.open
    assert "1 of 5" in shown.text
    assert "CORRECT: 1, WRONG: 4" in shown.text
    assert "1 submission for a person to look at" in shown.text
    assert "Nothing was handed in by 1 student" in shown.text
    assert "locks too late" in shown.text


def test_a_students_text_is_never_markup() -> None:
    shown = Tags(page())
    assert shown.seen.count("script") == 0
    assert NAME in shown.text
    feedback = Tags(as_html(Page(NAME, "lab07", "NOT JUDGED", 0, 10, None, said=[NAME])))
    assert not feedback.open
    assert feedback.seen.count("script") == 1  # our own


def test_what_was_not_judged_says_why_in_both_forms() -> None:
    told = Page("ada", "lab07", "NOT JUDGED", 0, 10, None, said=["It is not a notebook."])
    for text in (as_html(told), as_markdown(told)):
        assert "It is not a notebook." in text
        assert "0 of 10 points" in text


def test_the_same_class_gives_the_same_page() -> None:
    assert page() == page()
