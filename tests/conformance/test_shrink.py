"""Programs that show a mismatch are made small, and stay programs that show that mismatch."""

from typing import Any

from mmlocks.conformance.compare import Mismatch
from mmlocks.conformance.generate import numbered
from mmlocks.conformance.program import PAGE, Place, Program, compact, size
from mmlocks.conformance.shrink import shrink
from tests.conformance.helpers import against_odd


def denies_holes(said: int, name: str, *_: int) -> int:
    return 0 if name == "mprotect" and said == -12 else said


def first(**replaced: Any) -> Mismatch:
    """A mismatch of a random program with a model that says something else."""
    found = (against_odd(numbered("shrink", number, 40), **replaced) for number in range(200))
    return next(mismatch for mismatch in found if mismatch is not None and mismatch.number > 5)


def test_only_what_matters_is_left() -> None:
    mismatch = first(call=denies_holes)
    small = shrink(mismatch, lambda program: against_odd(program, call=denies_holes))
    (operation,) = compact(small.program)
    assert (operation.name, operation.process) == ("mprotect", 0)
    assert operation.args[1] == PAGE
    assert (small.what, small.expected.result, small.found.result) == ("result", -12, 0)
    assert small.number == len(small.program) - 1, "it ends with the mismatch"


def test_operations_that_belong_together_stay_together() -> None:
    def forgets(said: int | None, _address: int) -> int | None:
        return 0 if said else said

    small = shrink(first(peek=forgets), lambda program: against_odd(program, peek=forgets))
    program = compact(small.program)
    assert [one.name for one in program] in (["mmap", "store"], ["brk", "store"], ["store"])
    assert small.what == "words"


def test_the_arena_is_left_from_its_start() -> None:
    def loses(said: Any, name: str, *args: int) -> Any:
        return -22 if name == "munmap" and args[1] == 2 * PAGE and said == 0 else said

    small = shrink(first(call=loses), lambda program: against_odd(program, call=loses))
    places = [arg for one in compact(small.program) for arg in one.args if isinstance(arg, Place)]
    assert places
    assert all(place.page == 0 for place in places if place.base == "arena")


def test_another_mismatch_is_not_taken_for_this_one() -> None:
    def two_errors(said: int, name: str, *_: int) -> int:
        return (
            denies_holes(said, name)
            if name == "mprotect"
            else (-1 if name == "munmap" and said == 0 else said)
        )

    found = (against_odd(numbered("two", number, 40), call=two_errors) for number in range(100))
    mismatch = next(
        one for one in found if one is not None and one.program[one.number].name == "mprotect"
    )
    small = shrink(mismatch, lambda program: against_odd(program, call=two_errors))
    assert small.program[small.number].name == "mprotect"


def test_it_ends_in_time_with_what_it_has() -> None:
    mismatch = first(call=denies_holes)
    tried = []

    def run(program: Program) -> Mismatch | None:
        tried.append(program)
        return against_odd(program, call=denies_holes)

    small = shrink(mismatch, run, seconds=-1)
    assert not tried
    assert small.program == mismatch.program[: mismatch.number + 1], (
        "nothing comes after the mismatch"
    )


def test_ctrl_c_ends_it_with_what_it_has() -> None:
    tried = 0

    def interrupted(program: Program) -> Mismatch | None:
        nonlocal tried
        tried += 1
        if tried == 4:
            raise KeyboardInterrupt
        return against_odd(program, call=denies_holes)

    mismatch = first(call=denies_holes)
    assert size(shrink(mismatch, interrupted).program) <= mismatch.number + 1
