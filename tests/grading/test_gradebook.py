"""A teacher's gradebook is filled in one column, and in no other byte; what is unsure is named.

The files in gradebooks/ are made up. They look like exports of Canvas and Moodle as far as the
sources that `mmlocks/grading/gradebook.py` names say.
"""

import csv
import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mmlocks.cli.app import app
from mmlocks.errors import GradingError
from mmlocks.grading.formats import Grades, Line
from mmlocks.grading.gradebook import Filled, fill_canvas, fill_moodle
from mmlocks.grading.roster import Student
from mmlocks.grading.tables import Table, read_table, table_of

BOOKS = Path(__file__).parent / "gradebooks"
JANE = Student("12345", "jdoe", "jdoe@uni.example", "Doe, Jane", ("s99", "4711"))
HANS = Student("", "hmueller", "hmueller@uni.edu", "Hans Müller", ("4712",))
Fill = Callable[[Grades, Table, str], Filled]


def grades(*marks: tuple[Student, object], most: int = 8) -> Grades:
    lines = (Line(who, None if mark is None else Fraction(str(mark))) for who, mark in marks)
    return Grades("lab07_fork_vs_fault", Fraction(most), tuple(lines))


def book(name: str) -> Table:
    return read_table(BOOKS / f"{name}.csv")


def parsed(content: bytes, separator: str = ",") -> list[list[str]]:
    text = content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


CASES = [
    ("canvas", fill_canvas, 7, 3, ","),
    ("moodle_de", fill_moodle, 4, 1, ";"),
    ("moodle_en", fill_moodle, 4, 1, ","),
    ("moodle_gradebook", fill_moodle, 7, 1, ","),
]


@pytest.mark.parametrize(("name", "fill", "column", "row", "separator"), CASES)
def test_every_byte_outside_of_the_filled_cell_is_the_same(
    name: str, fill: Fill, column: int, row: int, separator: str
) -> None:
    before = (BOOKS / f"{name}.csv").read_bytes()
    after = fill(grades((JANE, "6.5")), book(name), "").content
    written = "6,5" if name == "moodle_de" else "6.5"
    # What is before and behind the one change, byte by byte.
    start = next(n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    for old_size in range(6):
        if before[start + old_size :] == after[start + len(written) :]:
            break
    else:
        pytest.fail("more than one place has changed")
    rows, old = parsed(after, separator), parsed(before, separator)
    assert rows[row][column] == written
    rows[row][column] = old[row][column]
    assert rows == old


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xff\xfe"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_marks_ends_and_separators_are_kept(
    mark: bytes, ends: str, last: bool, separator: str
) -> None:
    lines = ["ID,Name,Grade,More", '4711,"a ""b""\n c",,  x ', '4712,é,"",y', "", "4713,d,5,"]
    text = ends.join(lines).replace(",", separator) + ends * last
    encoding = "utf-16-le" if mark == b"\xff\xfe" else "utf-8"
    table = table_of(mark + text.encode(encoding), "x.csv")
    assert table.filled(2, {}) == mark + text.encode(encoding)
    filled = table.filled(2, {1: "7", 2: "8", 3: "9"})
    for old, new in ((' c",,', ' c",7,'), ('é,"",', 'é,"8",'), ("d,5,", "d,9,")):
        text = text.replace(old.replace(",", separator), new.replace(",", separator), 1)
    assert filled == mark + text.encode(encoding)


def test_bytes_that_are_not_utf_8_are_kept() -> None:
    raw = "ID,Name,Grade\n4711,Müller,\n".encode("cp1252")
    assert table_of(raw, "x.csv").filled(2, {1: "7"}) == raw[:-1] + b"7\n"


def test_a_row_that_lacks_its_last_cells_gets_them() -> None:
    table = table_of(b"ID,Name,Grade,Lab 7\n4711,a\n", "x.csv")
    assert table.filled(3, {1: "7"}) == b"ID,Name,Grade,Lab 7\n4711,a,,7\n"


def test_students_are_matched_by_id_then_login_then_email() -> None:
    by = {
        "id": Student("12345"),
        "other id": Student("x", others=("s99",)),
        "login": Student(login="JDOE"),
        "email": Student("unknown", "unknown", "HMUELLER@uni.edu"),
    }
    for key, who in by.items():
        filled = fill_canvas(grades((who, 8)), book("canvas"))
        assert filled.left_out == (), key
        assert parsed(filled.content)[4 if key == "email" else 3][7] == "8"


def test_a_mark_without_a_certain_row_is_named_and_not_written() -> None:
    before = (BOOKS / "canvas.csv").read_bytes()
    for who, words in (
        (Student("1", "wait", "w@x", "Waitlisted"), "Waitlisted (wait): no row has its id"),
        (Student("12345", "hmueller"), "leads to the row of Doe, Jane (jdoe)"),
        (Student("12345", others=("12346",)), "2 rows have its id"),
        (Student("12999"), "no row has its id"),  # the test student
    ):
        filled = fill_canvas(grades((who, 5)), book("canvas"))
        assert len(filled.left_out) == 1 and words in filled.left_out[0]
        assert filled.content == before


def test_two_marks_for_one_row_are_named_and_neither_is_written() -> None:
    twice = grades((Student("12345"), 3), (Student(login="jdoe"), 8), (HANS, 7))
    filled = fill_canvas(twice, book("canvas"))
    assert "two marks for one row" in filled.left_out[0]
    assert [row[7] for row in parsed(filled.content)[3:5]] == ["", "7"]


def test_rows_of_canvas_that_are_no_students_stay_as_they_are() -> None:
    everyone = grades(*((Student(str(number)), 4) for number in range(12345, 12351)))
    rows = parsed(fill_canvas(everyone, book("canvas")).content)
    assert [row[7] for row in rows[1:]] == [
        *("Manual Posting", "8.00", "4", "4", "EX", "4", "N/A", "4", "")
    ]
    said = " ".join(fill_canvas(everyone, book("canvas")).said)
    assert "O'Brien, Pat" not in said and "12347 is excused" in said
    assert "12349 does not have this assignment" in said
    assert "2 marks stood there before with another value" in said


def test_a_formula_in_a_name_is_left_as_it_came() -> None:
    after = fill_canvas(grades((Student("12348"), 8)), book("canvas")).content
    before = (BOOKS / "canvas.csv").read_bytes()
    assert after == before.replace(b'=1+1,8.00,"2.00"', b'=1+1,8.00,"8"')


@pytest.mark.parametrize("column", ["Final project", "final project (103)"])
def test_the_trap_of_final_in_a_name_is_told(column: str) -> None:
    filled = fill_canvas(grades((JANE, 8), most=100), book("canvas"), column)
    assert '"final" in its name' in filled.warnings[0]
    assert parsed(filled.content)[3][8] == "8"


def test_columns_that_canvas_computes_are_refused() -> None:
    for column in ("Labs Final Points", "Current Score"):
        with pytest.raises(GradingError, match="does not import them"):
            fill_canvas(grades((JANE, 8)), book("canvas"), column)
    raw = (BOOKS / "canvas.csv").read_bytes()
    ours = table_of(raw.replace(b"8.00,100.00", b"(read only),100.00"), "canvas.csv")
    with pytest.raises(GradingError, match="is read only"):
        fill_canvas(grades((JANE, 8)), ours)
    named = table_of(raw.replace(b"Lab 7: fork, and", b"Lab 7 Final Grade"), "canvas.csv")
    with pytest.raises(GradingError, match="Rename the assignment"):
        fill_canvas(grades((JANE, 8)), named)


def test_other_traps_of_canvas_have_their_sentences() -> None:
    half = fill_canvas(grades((JANE, 5)), book("canvas")).warnings
    assert any("Complete/Incomplete" in warning for warning in half)
    full = fill_canvas(grades((JANE, 8), (HANS, 0)), book("canvas")).warnings
    assert full == ()
    other = fill_canvas(grades((JANE, 10), most=10), book("canvas")).warnings
    assert "has 8 points in Canvas and 10 in mmlocks" in other[0]


@pytest.mark.parametrize(
    "change",
    [
        (b"Student,ID,", b"Name,ID,"),
        (b",Section,", b",Group,"),
        (b",ID,SIS", b",Canvas,SIS"),
    ],
)
def test_a_canvas_gradebook_whose_first_columns_were_changed_is_refused(
    change: tuple[bytes, bytes],
) -> None:
    raw = (BOOKS / "canvas.csv").read_bytes().replace(*change, 1)
    with pytest.raises(GradingError, match="not a gradebook of Canvas"):
        fill_canvas(grades((JANE, 8)), table_of(raw, "canvas.csv"))


def test_a_column_that_is_missing_or_unclear_is_not_guessed() -> None:
    other = Grades("lab99", Fraction(8), grades((JANE, 8)).lines)
    with pytest.raises(GradingError, match=r"no column speaks of lab99.*Lab 6: COW"):
        fill_canvas(other, book("canvas"))
    with pytest.raises(GradingError, match="no column is called 'Lab 8'"):
        fill_canvas(grades((JANE, 8)), book("canvas"), "Lab 8")


def test_moodles_traps_have_their_sentences() -> None:
    with pytest.raises(GradingError, match="the highest grade is 8, and the lab has 10"):
        fill_moodle(grades((JANE, 9), most=10), book("moodle_de"))
    eva = Student(email="eva@uni.example")
    filled = fill_moodle(grades((JANE, 8), (eva, 8)), book("moodle_de"))
    assert "locked in Moodle" in " ".join(filled.said)
    rows = parsed(filled.content, ";")
    assert [row[4] for row in rows[1:]] == ["8", "", "", ""]
    scale = table_of(b"ID,Email address,Grade,Scale\nParticipant 1,a@b,,good\n", "x.csv")
    with pytest.raises(GradingError, match="has a scale"):
        fill_moodle(grades((JANE, 8)), scale)


def test_a_sheet_without_decimals_follows_its_separator() -> None:
    for separator, written in ((";", "7,5"), (",", "7.5")):
        text = f"ID{separator}Bewertung\n4711{separator}\n"
        filled = fill_moodle(grades((JANE, "7.5")), table_of(text.encode(), "x.csv"))
        assert filled.content.decode() == text[:-1] + written + "\n"


def test_moodles_participant_number_is_an_id() -> None:
    filled = fill_moodle(grades((Student("4712", name="Hans"), "7.25")), book("moodle_de"))
    assert parsed(filled.content, ";")[2][4] == "7,25"


GRADES_CSV = """id,login,email,name,other_ids,lab,finding,safety,points,mark,max_points
12345,jdoe,jdoe@uni.example,"Doe, Jane",s99|4711,lab07_fork_vs_fault,CORRECT,8,8,7.2,8
12346,,,"'=evil",,lab07_fork_vs_fault,WRONG,0,0,0,8
12350,,,Zhang,,lab07_fork_vs_fault,NOT HANDED IN,,,,8
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, words)], catch_exceptions=False)


def test_the_command_writes_beside_the_teachers_file(tmp_path: Path) -> None:
    (tmp_path / "grades.csv").write_text(GRADES_CSV, "utf-8")
    theirs = tmp_path / "book.csv"
    theirs.write_bytes((BOOKS / "canvas.csv").read_bytes())
    done = run("canvas", tmp_path, theirs)
    assert done.exit_code == 0
    assert "2 marks in the column Lab 7: fork, and the lost store (102)." in done.output
    assert "1 student handed in nothing" in done.output
    rows = parsed((tmp_path / "book-filled.csv").read_bytes())
    assert [row[7] for row in rows[3:5]] == ["7.2", "0"]
    assert theirs.read_bytes() == (BOOKS / "canvas.csv").read_bytes()


def test_the_command_writes_nothing_while_a_mark_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "grades.csv").write_text(
        GRADES_CSV + "1,w,,Waitlisted,,lab07_fork_vs_fault,CORRECT,8,8,8,8\n", "utf-8"
    )
    out = tmp_path / "out.csv"
    words = ("canvas", tmp_path / "grades.csv", BOOKS / "canvas.csv", "--out", out)
    runner = run(*words)
    assert "Waitlisted (w): no row has" in runner.output
    assert "Nothing was written" in runner.output and not out.exists()
    assert runner.exit_code == 1
    assert "Waitlisted (w): no row has" in run(*words, "--allow-missing").output
    assert parsed(out.read_bytes())[3][7] == "7.2"


def test_the_command_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "grades.csv").write_text(GRADES_CSV, "utf-8")
    (tmp_path / "no.csv").write_bytes(b"a,b\n1,2\n")
    no, book_ = tmp_path / "no.csv", BOOKS / "canvas.csv"
    for words, said in (
        (("canvas", tmp_path, no), "not a gradebook of Canvas"),
        (("moodle", tmp_path, no), "not a sheet of Moodle"),
        (("canvas", no, book_), "no column is called mark"),
        (("canvas", tmp_path, no, "--out", no), "is the gradebook itself"),
        (("canvas", tmp_path, tmp_path / "away.csv"), "there is no file"),
        (("canvas", tmp_path, book_, "--out", tmp_path / "x.pdf"), "ends in .csv"),
        (("blackboard", tmp_path, book_), "'canvas', 'moodle'"),
    ):
        done = run(*words)
        assert done.exit_code == 2 and done.output.startswith("mmlocks"), done.output
        assert said in " ".join(done.output.split())
        assert "Traceback" not in done.output
