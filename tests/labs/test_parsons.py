"""Where does the line go: arrangements are valid Python, and the search judges each of them."""

from __future__ import annotations

import ast
import random

import pytest

from mmlocks.labs import LABS
from mmlocks.labs.lab import Finding
from mmlocks.labs.parsons import Arrangement, Parsons, every_place

LAB = LABS["lab07_fork_vs_fault"]
assert LAB.parsons is not None
STAGE: Parsons = LAB.parsons
RIGHT = STAGE.lines.index("await vma_start_write(mpnt)")


def where(arrangement: Arrangement, line: int) -> tuple[int, int]:
    """The row of a placed line, and its spaces."""
    return next((at, row.indent) for at, row in enumerate(arrangement.rows) if row.line == line)


def first_failing(arrangement: Arrangement) -> str:
    examination = LAB.examination(arrangement.answer())
    for check in LAB.checks:
        if not examination.result(check).passed:
            return check.name
    return ""


def test_every_arrangement_that_buttons_can_make_is_python() -> None:
    chance = random.Random(7)
    now = STAGE.begin()
    for _ in range(2000):
        line = chance.randrange(len(STAGE.lines))
        act = chance.choice(
            [
                lambda: now.put(line, chance.randrange(len(now.rows))),  # noqa: B023
                lambda: now.take(line),  # noqa: B023
                lambda: now.move(line, chance.choice((-1, 1))),  # noqa: B023
                lambda: now.shift(line, chance.choice((-1, 1))),  # noqa: B023
            ]
        )
        now = act()
        ast.parse(now.text)
        given = [f"{' ' * row.indent}{row.text}" for row in now.rows if row.line is None]
        assert given == list(STAGE.given)
        assert len(set(now.placed)) == len(now.placed)


def test_a_line_goes_in_and_out_up_and_down() -> None:
    one = STAGE.begin().put(RIGHT, 2)
    assert where(one, RIGHT) == (3, 8)  # the first line of the loop
    assert where(one.move(RIGHT, 1), RIGHT) == (4, 8)
    assert where(one.move(RIGHT, -1), RIGHT) == (2, 4)
    assert where(one.move(RIGHT, -99), RIGHT) == (1, 4)
    last = one.move(RIGHT, 2)
    assert where(last, RIGHT) == (5, 8)
    assert where(last.shift(RIGHT, -1), RIGHT) == (5, 4)
    assert where(last.shift(RIGHT, -9).shift(RIGHT, 9), RIGHT) == (5, 8)
    assert one.take(RIGHT) == STAGE.begin()


def test_of_all_places_the_search_accepts_two_and_finds_the_others_wrong() -> None:
    failing = {where(one, RIGHT): first_failing(one) for one in every_place(STAGE, RIGHT)}
    assert {place for place, check in failing.items() if not check} == {(3, 8), (4, 8)}
    assert len(failing) == 8


@pytest.mark.parametrize("line", [at for at in range(len(STAGE.lines)) if at != RIGHT])
def test_a_distractor_alone_is_accepted_nowhere(line: int) -> None:
    assert all(first_failing(one) for one in every_place(STAGE, line))


def test_the_checks_accept_the_arrangement_as_the_answer() -> None:
    judgement = LAB.judge(STAGE.begin().put(RIGHT, 2).answer())
    assert judgement.finding is Finding.CORRECT and judgement.points == LAB.points
