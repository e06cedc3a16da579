"""The comparison: what it looks at, and that it sees every kind of difference at the operation after which it is there."""

from typing import Any

import pytest

from mmlocks.conformance.compare import COMPARED_FLAGS, LEFT_OUT, compare, observe
from mmlocks.conformance.generate import numbered
from mmlocks.conformance.program import (
    ARENA,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE,
    PROT_READ,
    PROT_WRITE,
    Operation,
    Place,
    Program,
)
from mmlocks.errors import HostError
from mmlocks.mm.area import Area
from tests.conformance.helpers import Odd, against_odd, model, start

RW = PROT_READ | PROT_WRITE


def map_at(page: int, pages: int = 1, process: int = 0) -> Operation:
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    return Operation("mmap", process, (Place("arena", page), pages * PAGE, RW, flags, 0, 0))


def store(page: int, value: int, process: int = 0) -> Operation:
    return Operation("store", process, (Place("arena", page), value))


FORK = Operation("fork", 0, (1,))
STORY: Program = (
    map_at(0, 2),
    store(0, 1),
    FORK,
    store(0, 2, process=1),
    Operation("load", 0, (Place("arena"),)),
    Operation("mprotect", 1, (Place("arena", 1), PAGE, PROT_READ)),
)


def test_the_same_twice_is_no_mismatch() -> None:
    for number in range(20):
        assert against_odd(numbered("twice", number, 40)) is None


def test_what_there_is_to_see() -> None:
    seen = list(observe(STORY, model(), start()))
    assert [one.result for one in seen] == [ARENA, 0, 0, 0, 1, 0]
    assert seen[3].words == {0: {ARENA: (1, 0)}, 1: {ARENA: (2, 0)}}
    assert seen[1].areas.keys() == {0}
    assert seen[2].areas.keys() == {0, 1}
    arena = [
        [str(area)[:30] for area in seen[5].areas[n] if area.start >> 40 == 16] for n in (0, 1)
    ]
    assert arena == [
        ["100000000000-100000002000 rw-p"],
        ["100000000000-100000001000 rw-p", "100000001000-100000002000 r--p"],
    ]


def test_a_different_result_is_seen() -> None:
    found = against_odd(STORY, call=lambda said, name, *_: -12 if name == "mprotect" else said)
    assert found is not None
    assert (found.number, found.what, found.process) == (5, "result", 1)
    assert (found.expected.result, found.found.result) == (0, -12)
    assert found.results == (ARENA, 0, 0, 0, 1, 0)


def test_a_segmentation_fault_that_only_one_has_is_seen() -> None:
    found = against_odd(STORY, store=lambda said, _address, value: said and value != 2)
    assert found is not None and (found.number, found.what) == (3, "result")
    found = against_odd(STORY, load=lambda *_: None)
    assert found is not None and (found.number, found.what) == (4, "result")


@pytest.mark.parametrize(
    "change",
    [
        {"start": ARENA - PAGE},
        {"end": ARENA + 3 * PAGE},
        {"perms": "r--p"},
        {"offset": PAGE},
        {"file": "/x"},
        {"flags": frozenset({"rd", "wr"})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_an_area_is_compared(change: dict[str, Any]) -> None:
    def changed(said: list[Area], *_: object) -> list[Area]:
        return [area._replace(**change) if area.start == ARENA else area for area in said]

    found = against_odd(STORY, areas=changed)
    assert found is not None and (found.number, found.what, found.process) == (0, "areas", 0)


def test_what_an_area_is_called_is_not_compared() -> None:
    def changed(said: list[Area], *_: object) -> list[Area]:
        other = frozenset({"sd", "ht", "de"})
        assert not other & COMPARED_FLAGS
        return [
            area._replace(
                file=area.file and area.file[0] + "other",
                inode=7,
                flags=(area.flags or other) | other,
            )
            for area in said
        ]

    assert against_odd(STORY, areas=changed) is None


def test_a_missing_area_is_seen_in_a_child_that_did_nothing() -> None:
    program = (map_at(0), FORK, store(0, 1), store(0, 2))

    class Forgetful(Odd):
        def fork(self) -> Any:
            return Odd(
                super().fork(),
                {"areas": lambda said, *_: [area for area in said if area.start != ARENA]},
            )

    found = compare(
        program,
        observe(program, model(), start()),
        observe(program, Forgetful(model(), {}), start()),
    )
    assert found is not None and (found.number, found.what, found.process) == (1, "areas", 1)


def test_a_store_that_a_parent_sees_of_its_child_is_seen() -> None:
    found = against_odd(STORY, peek=lambda said, address: 1 if said == 2 else said)
    assert found is not None and (found.number, found.what, found.process) == (3, "words", 1)


def test_a_page_that_moved_is_looked_at_where_it_went() -> None:
    program = (
        map_at(0),
        store(0, 7),
        Operation(
            "mremap",
            0,
            (Place("arena"), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, Place("arena", 9)),
        ),
    )
    *_, last = observe(program, model(), start())
    assert last.words[0] == {ARENA: (None, None), ARENA + 9 * PAGE: (7, 0)}


def test_an_operation_that_the_model_cannot_do_is_a_mismatch() -> None:
    def fails(*_: object) -> bool:
        raise ZeroDivisionError("by whom?")

    found = against_odd(STORY, store=fails)
    assert found is not None
    assert (found.number, found.what, found.note) == (1, "error", "ZeroDivisionError: by whom?")


def test_what_the_computer_refuses_is_no_mismatch() -> None:
    def fails(*_: object) -> bool:
        raise HostError("no more processes")

    with pytest.raises(HostError, match="no more processes"):
        against_odd(STORY, store=fails)


def test_nothing_reaches_what_a_real_process_needs() -> None:
    text = start().areas[0]
    fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    low = Place("zero", text.start // PAGE)
    operations = (
        Operation("munmap", 0, (low, PAGE)),
        Operation("mprotect", 0, (Place("zero", low.page - 3), 4 * PAGE, RW)),
        Operation("mmap", 0, (low, PAGE, RW, fixed, 0, 0)),
        Operation("madvise", 0, (low, 1 << 47, 4)),
        Operation("store", 0, (low, 1)),
        Operation("mremap", 0, (Place("arena"), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, low)),
        Operation("mmap", 0, (Place("zero", 1), PAGE, RW, fixed, 0, 0)),
        store(0, 1, process=1),
        Operation("fork", 1, (2,)),
    )
    assert list(observe(operations, model(), start())) == [LEFT_OUT] * len(operations)
    refused = Operation("munmap", 0, (low, 2**64 - PAGE))
    assert next(observe((refused,), model(), start())).result == -22, (
        "refused for its size: harmless"
    )


def test_fork_of_a_number_that_is_taken_is_left_out() -> None:
    seen = list(observe((FORK, FORK, Operation("fork", 1, (2,))), model(), start()))
    assert [bool(one.areas) for one in seen] == [True, False, True]
