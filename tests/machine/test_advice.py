"""What a learner is told to do about an exception, and which name is taken for a misspelled one."""

import pytest

from mmlocks.machine.advice import advice_on, nearest

NAMES = [
    "vma_start_write",
    "vma_start_read",
    "vma_end_write_all",
    "vm_lock",
    "vm_lock_seq",
    "mmap_write_lock",
    "flush_tlb_mm",
    "mm",
    "oldmm",
]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("vma_write_start", "vma_start_write"),
        ("vma_start_wirte", "vma_start_write"),
        ("lock", "vm_lock"),
        ("mmap_wite_lock", "mmap_write_lock"),
        ("flush_tlb", "flush_tlb_mm"),
        ("old_mm", "oldmm"),
        ("printk", ""),
        ("x", ""),
    ],
)
def test_a_misspelled_name_is_taken_for_the_one_that_is_nearest(written: str, meant: str) -> None:
    assert nearest(written, NAMES) == meant


def test_no_code_of_the_object_runs_to_learn_its_names() -> None:
    class Own:
        field = 1

        def __dir__(self):
            raise AssertionError

        def __getattribute__(self, name):
            raise AttributeError(f"there is no {name}", name=name, obj=self)

    with pytest.raises(AttributeError) as raised:
        Own().feild  # noqa: B018
    assert advice_on(raised.value, str(raised.value)) == "Is field meant?"


def test_python_is_left_to_speak_for_itself_where_it_says_enough() -> None:
    assert advice_on(ValueError("'Cell' is a word"), "'Cell' is a word") == ""
