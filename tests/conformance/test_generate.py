"""Random programs: repeatable, different from each other, and of what they should be."""

from collections import Counter

from hypothesis import given, settings

from mmlocks.conformance.generate import numbered, programs
from mmlocks.conformance.program import PARAMETERS, PLACES, PROCESSES, Place, Program, size


def test_equal_seeds_give_equal_programs() -> None:
    assert [numbered("a", number, 40) for number in range(20)] == [
        numbered("a", n, 40) for n in range(20)
    ]
    assert numbered("a", 7, 40) != numbered("b", 7, 40)
    assert numbered("a", 7, 40) != numbered("a", 8, 40)
    assert numbered("a", 7, 40)[:12] == numbered("a", 7, 12), (
        "a longer program begins as a shorter one does"
    )


def test_no_two_programs_are_equal_and_hardly_any_operation_is_nothing() -> None:
    made = [numbered("many", number, 40) for number in range(1000)]
    assert len(set(made)) == 1000
    assert sum(map(size, made)) > 0.98 * 40_000


def test_every_operation_takes_its_share() -> None:
    names = Counter(one.name for number in range(250) for one in numbered("share", number, 40))
    assert all(names[name] > 100 for name in PARAMETERS if name != "nothing"), names


def check(program: Program) -> None:
    processes = {0}
    for number, (name, process, args) in enumerate(program):
        assert process in processes, "only what was forked does anything"
        assert len(args) == len(PARAMETERS[name])
        for parameter, value in zip(PARAMETERS[name], args, strict=True):
            assert isinstance(value, Place) == (parameter in PLACES)
            if isinstance(value, Place) and value.base[0] == "r":
                assert int(value.base[1:]) < number, "a result is used after it is there"
        if name == "fork":
            assert args[0] not in processes
            assert isinstance(args[0], int) and args[0] < PROCESSES
            processes.add(args[0])
        if name in ("store", "load"):
            assert isinstance(args[0], Place) and args[0].byte in (0, 8), (
                "no word lies in two pages"
            )


def test_programs_make_sense() -> None:
    for number in range(300):
        check(numbered("sense", number, 40))


@settings(max_examples=50)
@given(programs(20))
def test_hypothesis_makes_the_same_kind_of_programs(program: Program) -> None:
    assert len(program) == 20
    check(program)
