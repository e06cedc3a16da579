"""The promise that the model can be read in an evening."""

from pathlib import Path

MM = Path(__file__).resolve().parents[2] / "mmlocks" / "mm"
PATH = [
    "address",
    "frames",
    "pagetable",
    "tlb",
    "vm_flags",
    "vma",
    "maple_node",
    "maple",
    "mm",
    "mmap_lock",
    "vma_lock",
    "rmap",
    "fault",
    "cow",
    "fork",
    "stack",
    "mmap",
]


def test_the_readers_path_is_an_evening() -> None:
    lines = {name: len((MM / f"{name}.py").read_text(encoding="utf-8").splitlines()) for name in PATH}
    assert sum(lines.values()) < 2000, lines


def test_the_architecture_names_every_file_of_the_model() -> None:
    text = (MM.parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8")
    missing = [
        file.stem for file in MM.glob("*.py") if file.stem != "__init__" and f"`{file.stem}`" not in text
    ]
    assert not missing
