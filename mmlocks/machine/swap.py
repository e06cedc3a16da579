"""CPUs that are alike: a program may declare that exchanging two of them leaves it as it is.

Two CPUs that run the same code on things of their own (a slot, a frame, a TLB) can be exchanged, if
their things are exchanged with them. A `Swap` says so, and the search follows one of two such
states instead of both. The declaration is checked, not trusted (see `mmlocks.search.symmetry`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine.state import Cell, Layout, Record


def _same(name: str) -> str:
    return name


@dataclass(frozen=True)
class Swap:
    """Two CPUs that are alike. Exchange them and rename by `renamed`: the program is the same.

    `renamed` takes the name of a cell or a record, and returns the name of the one that takes its
    place. That is often the same name; applied twice it always is. Every cell takes over the value
    of the one whose place it takes; records in that value are renamed, too.
    """

    cpus: tuple[int, int]
    renamed: Callable[[str], str] = _same

    def __str__(self) -> str:
        return f"cpu{self.cpus[0]} and cpu{self.cpus[1]}"

    def other(self, cpu: int) -> int:
        """The CPU that takes the place of `cpu`."""
        one, two = self.cpus
        return {one: two, two: one}.get(cpu, cpu)

    def cells(self, layout: Layout) -> list[Cell[Any]]:
        """For each cell, by its index, the one that takes its place.

        Raises ModelError if the names do not pair up.
        """
        one, two = self.cpus
        if one == two or not {one, two} <= set(range(layout.cpus)):
            raise ModelError(
                f"{self} cannot be exchanged: name two different CPUs from 0 to {layout.cpus - 1}."
            )
        taken = []
        names = {cell.name: cell for cell in layout.cells}
        for cell in layout.cells:
            other = names.get(self._paired(cell.name, names))
            assert other is not None
            if _kind(cell) != _kind(other):
                raise ModelError(
                    f"{self} are declared alike, and {cell.name} to take the place of "
                    f"{other.name}: the two are not of the same kind and size."
                )
            taken.append(other)
        for name in layout.records:
            self._paired(name, layout.records)
        return taken

    def value(self, cell: Cell[Any], value: Any) -> Any:
        """What a value of `cell` becomes."""
        value = self._value(cell.layout, value)
        if cell.with_cpus is None:
            return value
        return cell.with_cpus(value, [self.other(cpu) for cpu in range(cell.layout.cpus)])

    def _value(self, layout: Layout, value: Any) -> Any:
        if isinstance(value, Record):
            return layout.records[self.renamed(value.name)]
        if isinstance(value, tuple):
            parts = [self._value(layout, part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if isinstance(value, frozenset):
            return frozenset(self._value(layout, part) for part in value)
        return value

    def _paired(self, name: str, known: Any) -> str:
        other = self.renamed(name)
        if other not in known or self.renamed(other) != name:
            raise ModelError(
                f"{self} are declared alike, and {name} to become {other}, but {other} "
                + (f"becomes {self.renamed(other)}" if other in known else "does not exist")
                + ". Names must be exchanged in pairs."
            )
        return other


def _kind(cell: Cell[Any]) -> Sequence[Any]:
    names_cpus = cell.with_cpus is not None
    return (
        type(cell),
        cell.bits,
        cell.hidden,
        cell.read_only,
        cell.is_lock,
        cell.poison is None,
        names_cpus,
    )
