"""One CPU alone: the same coroutines and operations, in memory that grows as it is needed.

A search needs every state as one small number, and so a layout of a fixed size. If a single CPU
runs from the first step to the last, it never returns to a state. So cells keep their values in a
list, and records may be made while the program runs.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from mmlocks.errors import ModelError
from mmlocks.machine.state import Cell, Counter, Layout, View
from mmlocks.machine.step import BLOCKED, OPERATIONS, ViolationSignal
from mmlocks.machine.values import Call, Step

T = TypeVar("T")


def carried_out(view: View, cpu: int, coroutine: Coroutine[Step, Any, T]) -> T:
    """The result of a coroutine: `cpu` takes all its steps now, and no other CPU runs.

    Raises ModelError if one of them would block: no other CPU could wake it.
    """
    result: Any = None
    try:
        while True:
            step = coroutine.send(result)
            if isinstance(step, Call):
                # Kernel text that runs without a kernel calls the functions that stand beside it.
                assert step.text is not None
                result = carried_out(view, cpu, step.text(*step.args[1:]))
                continue
            known = OPERATIONS[step.op]
            result = known.run(view, cpu, *step.args)
            if result is BLOCKED:
                raise ModelError(
                    f"cpu{cpu} waits for {known.awaits(view, cpu, *step.args)}, and runs alone: "
                    "no other CPU can release that. A lock was left behind, or is taken twice."
                )
    except StopIteration as returned:
        value: T = returned.value
        return value
    except ViolationSignal as broken:
        raise ModelError(broken.message) from None


class LiveCell(Cell[T]):
    """A cell of a `Sequential` layout: its value is in the layout's list, unlimited."""

    def of(self, state: Any) -> T:
        """This cell's value in the layout's `now`."""
        value: T = state[self.index]
        return value


class LiveCounter(LiveCell[int], Counter):
    """A counter of a `Sequential` layout."""


class Sequential(Layout):
    """The memory of one CPU that runs alone; `now` are the values of all cells."""

    grows = True

    def __init__(self) -> None:
        super().__init__(cpus=1)
        self.now: list[Any] = []
        self.view = LiveView(self)

    def cell(self, name: str, initial: T, bits: int = 0) -> Cell[T]:
        """A new cell; it has room for any value."""
        return self._add(LiveCell[T](self, name, len(self.cells), 0, bits), initial)

    def counter(self, name: str, initial: int = 0, bits: int = 0) -> Counter:
        """A new counter, without a limit."""
        cell = LiveCounter(self, name, len(self.cells), 0, bits)
        self._add(cell, initial)
        return cell

    def _add(self, cell: Cell[T], initial: T) -> Cell[T]:
        self.cells.append(cell)
        self.now.append(initial)
        return cell

    def preset(self, cell: Cell[T], value: T) -> None:
        """Change a cell's value."""
        self.now[cell.index] = value

    def run(self, coroutine: Coroutine[Step, Any, T]) -> T:
        """Carry out a coroutine from its first step to its last; its result."""
        return carried_out(self.view, 0, coroutine)


class LiveView(View):
    """What a step of the only CPU may see and change: everything."""

    def __init__(self, layout: Sequential) -> None:
        super().__init__(layout, 0, -1, -1)
        self._now = layout.now

    def __getitem__(self, index: int) -> Any:
        return self._now[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self._now[index] = value
