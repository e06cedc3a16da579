"""Shared state: named cells, packed into one integer.

A program's whole shared state is a single Python int. Each cell owns a few of its bits. So a state
is hashable, comparable and immutable: undo is free, a visited set is a plain dict, and an update is
one addition (new = old + delta). That makes the search in `mmlocks.search` fast.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from mmlocks.errors import ModelError, ScenarioTooSmall, UndeclaredAccess
from mmlocks.machine.values import Step, exact, words

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

PC_BITS = 14
"""Bits for one CPU's position in its task: 16,384 positions, far above a task's step budget."""


class NewWord(BaseException):
    """A value or a moment turned up that has no number yet.

    Only the process that leads the search gives numbers out (see `mmlocks.machine.words`). This is
    not a task's fault, so no handler for those may catch it.
    """


class Poison(NamedTuple):
    """What the cells of an object hold once it has been freed.

    `oracle` is the one that speaks when a CPU uses it; `what` names the object.
    """

    oracle: str
    what: str

    def __str__(self) -> str:
        return "freed"


class Foreign(threading.local):
    """Whether a learner's code is running in this thread (see `mmlocks.machine.foreign`).

    Handles then refuse to keep anything.
    """

    running = False


FOREIGN = Foreign()


class Outlasting:
    """Something that outlasts a search, and that all moments share: its address stands for it."""


class Handle(Outlasting):
    """What kernel code holds in place of shared state.

    It has no state of its own, so nothing can be kept in it.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if FOREIGN.running:
            raise AttributeError(
                f"{self!r} is a handle, and {name} cannot be kept in it: no other CPU would see "
                f"that. Use a local variable, or `await {self!r}.{name}.set(...)` if {name} is a "
                "field"
            )
        super().__setattr__(name, value)


class Record(Handle):
    """A named, immutable handle on a group of cells: a VMA, a frame, a lock.

    Handles may be stored in cells.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        self.name = name
        self._number = len(layout.records)
        layout.add_record(self)

    def __hash__(self) -> int:
        # With its address, the order of a set of handles would differ from run to run. So would
        # the messages about an answer that goes through one.
        return self._number

    def __repr__(self) -> str:
        return self.name


class Cell(Handle, Generic[T]):
    """One shared variable: `await cell` reads it, `await cell.set(value)` writes it.

    Each is one atomic step. A cell holds any hashable plain value (None, bool, int, str, tuples of
    those, handles). It gives a number to each value that it meets; `bits` limits how many it may
    meet.
    """

    hidden = False
    """Set for cells of the hardware or an oracle: kernel code can neither read nor write them."""
    read_only = False
    """Set for cells that have operations of their own: plain ones can read but not write them."""
    is_lock = False
    """Set for the cells of locks. Operations on locks work on these alone."""
    aside = False
    """Set for cells that seldom change: a step of several parts does not tell that it read them."""
    with_cpus: Callable[[Any, Sequence[int]], Any] | None = None
    """Set for a cell whose values name CPUs: the value once cpu n is called `numbers[n]`.

    See `mmlocks.machine.swap`.
    """
    changed_by: int | None = None
    """Set for the cell that one CPU alone changes: to wait for it is to wait for that CPU."""
    poison: Poison | None = None
    """Set for the cell of a lock in an object that may be freed: what it then holds."""
    show: Callable[[Any], str] = staticmethod(words)
    """How a value of this cell is written, if not by `words`. Callers use `text`."""

    def __init__(self, layout: Layout, name: str, index: int, shift: int, bits: int) -> None:
        self.layout = layout
        self.name = name
        self.index = index
        self.shift = shift
        self.bits = bits
        self.limit = 1 << bits
        self.mask = (self.limit - 1) << shift
        self._values: list[T] = []
        self._codes: dict[Any, int] = {}

    def encode(self, value: T) -> int:
        """The number that stands for `value` in this cell's bits."""
        key = exact(value)
        code = self._codes.get(key)
        if code is None:
            if self.layout.dictated:
                raise NewWord
            code = len(self._values)
            if code >= self.limit:
                raise ScenarioTooSmall(
                    f"cell {self.name} has met {self.limit} different values, and its {self.bits} "
                    "bits have room for no more"
                )
            self._values.append(value)
            self._codes[key] = code
        return code

    def decode(self, code: int) -> T:
        """The value that `code` stands for."""
        return self._values[code]

    @property
    def met(self) -> tuple[T, ...]:
        """The values met so far, each in the place of its number."""
        return tuple(self._values)

    def text(self, value: T | Poison) -> str:
        """A value of this cell, for people to read."""
        return str(value) if isinstance(value, Poison) else self.show(value)

    def of(self, state: Any) -> T:
        """This cell's value in a state: a packed one, or `now` where a layout grows."""
        return self.decode((state & self.mask) >> self.shift)

    def __await__(self) -> Generator[Step, Any, T]:
        result: T = yield self.load()
        return result

    def load(self) -> Step:
        """The step that reads this cell; `await cell` is the same."""
        return Step("load", (self.index,))

    def set(self, value: T) -> Step:
        """The step that stores `value`."""
        return Step("store", (self.index, value))

    def swap(self, expected: T, value: T) -> Step:
        """The step that stores `value` if the cell holds `expected` (cmpxchg).

        Its result says whether it did.
        """
        return Step("swap", (self.index, expected, value))

    def wait_for(self, value: T) -> Step:
        """The step that blocks until the cell holds `value`."""
        return Step("wait", (self.index, value, True))

    def wait_until_not(self, value: T) -> Step:
        """The step that blocks until the cell holds anything but `value`."""
        return Step("wait", (self.index, value, False))

    # A cell is not its value. Comparing one is the commonest slip of all (a forgotten await), and
    # Python would answer False without a word.
    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{self.name} was used as a value but never read; write `await` in front of it"
        )

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(f"{self.name} was compared but never read; write `await` in front of it")

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return self.name


class Counter(Cell[int]):
    """A cell that holds a small non-negative number, and to which additions commute."""

    def encode(self, value: int) -> int:
        if not isinstance(value, int) or not 0 <= value < self.limit:
            # A larger counter could hold a larger number. No counter holds one below 0.
            larger = isinstance(value, int) and value > 0
            raise (ScenarioTooSmall if larger else ModelError)(
                f"counter {self.name} cannot hold {value!r}: it counts from 0 to {self.limit - 1}"
            )
        return int(value)

    def decode(self, code: int) -> int:
        return code

    @property
    def met(self) -> tuple[int, ...]:
        return ()

    def add(self, n: int) -> Step:
        """The step that adds `n`; its result does not tell the sum.

        So two additions commute, which halves many searches.
        """
        return Step("add", (self.index, n))

    def fetch_add(self, n: int) -> Step:
        """The step that adds `n` and returns the value before (x86 `lock xadd`)."""
        return Step("fetch_add", (self.index, n))


class Layout:
    """Which cells exist, and where each lives in the packed state; made before a program runs."""

    grows = False
    """Whether cells and records may be made while the program runs.

    See `mmlocks.machine.sequential`.
    """
    dictated = False
    """Whether another process gives the numbers out, so that cells here number no new value.

    See `mmlocks.machine.words`.
    """

    def __init__(self, cpus: int) -> None:
        if cpus < 1:
            raise ModelError(f"a machine needs at least one CPU, not {cpus}")
        self.cpus = cpus
        self.cells: list[Cell[Any]] = []
        self.records: dict[str, Record] = {}
        self.initial = 0
        # The CPUs' positions have the lowest bits: so `state & pc_mask` is a small number, which
        # is hashed quickly.
        self.pc_shifts = tuple(cpu * PC_BITS for cpu in range(cpus))
        self.pc_mask = (1 << cpus * PC_BITS) - 1
        self._names: dict[str, Cell[Any]] = {}
        self._next_bit = cpus * PC_BITS

    def cell(self, name: str, initial: T, bits: int = 8) -> Cell[T]:
        """A new cell that may meet up to 2**bits different values."""
        return self._add(Cell[T](self, name, len(self.cells), self._next_bit, bits), initial)

    def counter(self, name: str, initial: int = 0, bits: int = 8) -> Counter:
        """A new counter for the numbers 0 to 2**bits - 1."""
        cell = Counter(self, name, len(self.cells), self._next_bit, bits)
        self._add(cell, initial)
        return cell

    def _add(self, cell: Cell[T], initial: T) -> Cell[T]:
        if cell.name in self._names:
            raise ModelError(f"two cells are called {cell.name}; names must be unique")
        self.cells.append(cell)
        self._names[cell.name] = cell
        self._next_bit += cell.bits
        self.initial += cell.encode(initial) << cell.shift
        return cell

    def add_record(self, record: Record) -> None:
        """Remember a handle by its name, so that it can be written down and found again."""
        if record.name in self.records:
            raise ModelError(f"two records are called {record.name}; names must be unique")
        self.records[record.name] = record

    def preset(self, cell: Cell[T], value: T) -> None:
        """Change a cell's initial value while the program is being set up."""
        self.initial += (
            cell.encode(value) - ((self.initial & cell.mask) >> cell.shift)
        ) << cell.shift

    def hide(self, cells: Iterable[Cell[Any]]) -> None:
        """Put cells out of reach of plain loads and stores (see `Cell.hidden`)."""
        for cell in cells:
            cell.hidden = True

    def read_only(self, cells: Iterable[Cell[Any]]) -> None:
        """Let cells be changed by special operations only (see `Cell.read_only`)."""
        for cell in cells:
            cell.read_only = True

    def locks(self, cells: Iterable[Cell[Any]]) -> None:
        """Mark the cells of a lock (see `Cell.is_lock`)."""
        for cell in cells:
            cell.is_lock = cell.read_only = True

    @property
    def size(self) -> int:
        """Bytes of a packed state."""
        return (self._next_bit + 7) // 8

    def named(self, name: str) -> Cell[Any]:
        """The cell of that name."""
        try:
            return self._names[name]
        except KeyError:
            raise ModelError(f"there is no cell called {name}") from None

    def values(self, state: int) -> Iterator[tuple[str, Any]]:
        """Every cell's name and value in `state`, also of hidden ones."""
        return ((cell.name, cell.of(state)) for cell in self.cells)


class OnDemand(dict[K, V]):
    """Cells or locks by a key that programs choose, such as a page number.

    They are made in advance. If the layout grows, they are made when they are asked for.
    """

    def __init__(self, layout: Layout, make: Callable[[K], V], keys: Iterable[K]) -> None:
        super().__init__((key, make(key)) for key in keys)
        self._layout = layout
        self._make = make

    def __missing__(self, key: K) -> V:
        if not self._layout.grows:
            raise KeyError(f"there is no {key} here, only {', '.join(map(str, self))}")
        made = self[key] = self._make(key)
        return made


class View:
    """What one step may see and change of a state: exactly the cells that it declared.

    Reduction is sound only if declarations are true. So a step that touches an undeclared cell is
    an error here, and not an interleaving that is lost silently.
    """

    def __init__(self, layout: Layout, state: int, readable: int, writable: int) -> None:
        self.layout = layout
        self.state = state
        self.delta = 0
        self.reads = 0
        """The cells (a bit mask over their indices) that were really read so far."""
        self.writes = 0
        """The cells that were really written."""
        self._readable = readable
        self._writable = writable

    def __getitem__(self, index: int) -> Any:
        self.reads |= 1 << index
        if not self._readable >> index & 1:
            raise UndeclaredAccess(
                f"a step read {self.layout.cells[index].name} without declaring it"
            )
        return self.layout.cells[index].of(self.state + self.delta)

    def __setitem__(self, index: int, value: Any) -> None:
        self.writes |= 1 << index
        if not self._writable >> index & 1:
            raise UndeclaredAccess(
                f"a step wrote {self.layout.cells[index].name} without declaring it"
            )
        cell = self.layout.cells[index]
        old = (self.state + self.delta & cell.mask) >> cell.shift
        self.delta += (cell.encode(value) - old) << cell.shift
