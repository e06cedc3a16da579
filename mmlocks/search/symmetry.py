"""Symmetry reduction: of states that differ by an exchange of CPUs that are alike, follow one.

A program declares by `Swap` that two CPUs are alike. The exchange maps each state to another one
with the same future, up to the exchange: what can be reached from one can be reached from the
other, exchanged. So a search may replace every state by one that stands for both (Ip & Dill,
"Better verification through symmetry", FMSD 1996). A persistent set of that one will do: the
program can be in every state that is followed, up to an exchange (Emerson, Jha & Peled, "Combining
partial order and symmetry reductions", TACAS 1997). What the reduction reads off the automata must
then be true of both CPUs: what one was seen to do, the other may do.

Declarations are checked. The initial state must be its own image. For every step that was looked
at, in every situation, the other CPU's step is carried out in the image. It may touch the images of
the same cells only, and must lead to the image of the same state. This also finds the image of a
task's node among the nodes of the other task. No code is compared, only what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import NoReturn

from mmlocks.errors import ModelError
from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.machine.state import Cell, Counter
from mmlocks.machine.step import Footprint
from mmlocks.machine.swap import Swap
from mmlocks.machine.task import Node

PIECE = 40
"""Bits of a state whose image is one look-up: more mean fewer look-ups, and more to remember."""


class Symmetry:
    """The symmetries that a machine declares, at work on its states."""

    def __init__(self, machine: Machine) -> None:
        self._exchanges = [_Exchange(machine, swap, self.close) for swap in machine.symmetries]

    def close(self) -> None:
        """Compare all steps seen with their images, until there are no new ones.

        Raises ModelError if CPUs are declared alike and are not.
        """
        while any(exchange.compare() for exchange in self._exchanges):
            pass

    def canonical(self, state: int) -> int:
        """The state that stands for `state` and its images.

        Several exchanges are applied in turn, as long as that changes anything.
        """
        while True:
            before = state
            for exchange in self._exchanges:
                state = exchange.smaller(state)
            if state == before or len(self._exchanges) == 1:
                return state

    def orbit(self, state: int) -> list[int]:
        """The state and all its images: the states for which it may stand."""
        found = {state: None}
        work = [state]
        while work:
            at = work.pop()
            for exchange in self._exchanges:
                image = exchange.image(at)
                if image not in found:
                    found[image] = None
                    work.append(image)
        return list(found)

    def widen(self, loops: Sequence[set[int]]) -> None:
        """Add to the nodes at which tasks close loops their images.

        A CPU that is exchanged halfway round a loop closes it, too.
        """
        while any(exchange.widen(loops) for exchange in self._exchanges):
            pass


class _Piece(dict[int, int]):
    """The images of some bits of a state, worked out when they are first asked for."""

    def __init__(self, mask: int, image: Callable[[int], int]) -> None:
        self.mask = mask
        self._image = image

    def __missing__(self, bits: int) -> int:
        image = self[bits] = self._image(bits)
        return image


class _Exchange:
    """One swap of a machine's states."""

    def __init__(self, machine: Machine, swap: Swap, close: Callable[[], None]) -> None:
        self._machine = machine
        self._swap = swap
        self._close = close
        layout = machine.layout
        self._cells = swap.cells(layout)
        self._nodes: list[dict[int, int]] = [{} for _ in machine.cpus]
        """For each CPU and node the other CPU's node that is its image."""
        self._compared: list[list[int]] = [[] for _ in machine.cpus]
        """For each CPU and node in how many situations it was compared with its image."""
        self._fixed = sum(cell.mask for cell in layout.cells if not self._affected(cell))
        self._contents = [
            _Piece(sum(cell.mask for cell in cells), partial(self._image_of_cells, cells))
            for cells in self._adjacent()
        ]
        self._pair, *self._positions = [
            _Piece(
                sum(PC_FIELD << layout.pc_shifts[cpu] for cpu in cpus),
                partial(self._image_of_positions, cpus),
            )
            for cpus in (swap.cpus, *((cpu,) for cpu in machine.cpus if cpu not in swap.cpus))
        ]
        for task in machine.tasks:
            self._match(task.cpu, 0, 0)
        self._check_initial()

    # -- images --------------------------------------------------------------------------------

    def smaller(self, state: int) -> int:
        """The state or its image: the one in which the CPUs' positions are the smaller number.

        If these are equal, the smaller state.
        """
        before = state & self._pair.mask
        after = self._pair[before]
        if before < after:
            return state
        image = self.image(state)
        return image if after < before else min(state, image)

    def image(self, state: int) -> int:
        """The state after the exchange."""
        image = self.contents(state) + self._pair[state & self._pair.mask]
        for piece in self._positions:
            image += piece[state & piece.mask]
        return image

    def contents(self, state: int) -> int:
        """The image of a state's cells, without positions."""
        image = state & self._fixed
        for piece in self._contents:
            image += piece[state & piece.mask]
        return image

    def _affected(self, cell: Cell[object]) -> bool:
        """Whether the cell's bits can have another image than themselves."""
        moved = self._cells[cell.index] is not cell
        return moved or not isinstance(cell, Counter) or cell.with_cpus is not None

    def _adjacent(self) -> list[list[Cell[object]]]:
        """The affected cells, in groups of up to `PIECE` bits."""
        groups: list[list[Cell[object]]] = []
        bits = PIECE
        for cell in filter(self._affected, self._machine.layout.cells):
            bits += cell.bits
            if bits > PIECE:
                groups.append([])
                bits = cell.bits
            groups[-1].append(cell)
        return groups

    def _image_of_cells(self, cells: Sequence[Cell[object]], bits: int) -> int:
        image = 0
        for cell in cells:
            other = self._cells[cell.index]
            image += other.encode(self._swap.value(cell, cell.of(bits))) << other.shift
        return image

    def _image_of_positions(self, cpus: Sequence[int], bits: int) -> int:
        shifts, image = self._machine.layout.pc_shifts, 0
        for cpu in cpus:
            index = bits >> shifts[cpu] & PC_FIELD
            if index not in self._nodes[cpu]:
                self._close()
            image += self._nodes[cpu][index] << shifts[self._swap.other(cpu)]
        return image

    # -- comparing -----------------------------------------------------------------------------

    def compare(self) -> bool:
        """Compare the steps looked at since the last call with their images; was there any?"""
        any_new = False
        for task, known in zip(self._machine.tasks, self._compared, strict=True):
            for node in task.nodes:
                if node.index == len(known):
                    known.append(0)
                if len(node.outcomes) > known[node.index] and node.index in self._nodes[task.cpu]:
                    for situation in list(islice(node.outcomes, known[node.index], None)):
                        self._compare(task.cpu, node, situation)
                        known[node.index] += 1
                    any_new = True
        return any_new

    def widen(self, loops: Sequence[set[int]]) -> bool:
        """See `Symmetry.widen`. Says whether there was anything to add."""
        before = sum(map(len, loops))
        for cpu, indices in enumerate(loops):
            loops[self._swap.other(cpu)].update([self._nodes[cpu][index] for index in indices])
        return sum(map(len, loops)) > before

    def _compare(self, cpu: int, node: Node, situation: int) -> None:
        """Compare a step with its image, in one `situation`: values of the cells it depends on."""
        machine, layout = self._machine, self._machine.layout
        other = self._swap.other(cpu)
        twin = machine.tasks[other].nodes[self._nodes[cpu][node.index]]
        state = machine.initial & ~(layout.pc_mask | node.project) | situation
        mirrored = self.contents(state)
        ours, theirs = node.outcomes[situation], machine.outcome(mirrored, twin, other)
        if ours.__class__ is not theirs.__class__:
            self._differ(cpu, node, twin, f"{_said(ours)} here, and {_said(theirs)} there")
        if isinstance(ours, Violation) and ours.oracle != theirs.oracle:
            self._differ(cpu, node, twin, f"{_said(ours)} here, and {_said(theirs)} there")
        # A situation gives the values of the cells that a step may touch. Its image is complete
        # only if the other CPU's step touches no further cells.
        stray = self._mask(_cells(twin.accesses[mirrored & twin.project])) & ~_cells(node.footprint)
        if stray:
            name = self._cells[(stray & -stray).bit_length() - 1].name
            self._differ(
                cpu, node, twin, f"it touches {name} there, to which nothing corresponds here"
            )
        if ours.__class__ is not int:
            return
        shift, to = layout.pc_shifts[cpu], layout.pc_shifts[other]
        after = state + (node.index << shift) + ours
        expected = mirrored + (twin.index << to) + theirs
        if self.contents(after) != expected & ~layout.pc_mask:
            image = self.contents(after)
            cell = next(cell for cell in layout.cells if (image ^ expected) & cell.mask)
            told = (
                f"{cell.name} is then {cell.text(cell.of(expected))}, "
                f"and should be {cell.text(cell.of(image))}"
            )
            self._differ(cpu, node, twin, told)
        self._match(cpu, after >> shift & PC_FIELD, expected >> to & PC_FIELD)

    def _match(self, cpu: int, index: int, image: int) -> None:
        """Note that two nodes are each other's image."""
        other = self._swap.other(cpu)
        node, twin = self._machine.tasks[cpu].nodes[index], self._machine.tasks[other].nodes[image]
        for at, one, two in ((cpu, index, image), (other, image, index)):
            if self._nodes[at].setdefault(one, two) != two:
                self._differ(
                    cpu, node, twin, "one of them has merged moments that the other tells apart"
                )
        if _kind(node) != _kind(twin) or self._mask(node.looks) != twin.looks:
            self._differ(cpu, node, twin, "the steps are not of one kind")

    def _mask(self, cells: int) -> int:
        """The images of cells, as a mask over their indices."""
        image = 0
        while cells:
            lowest = cells & -cells
            image |= 1 << self._cells[lowest.bit_length() - 1].index
            cells ^= lowest
        return image

    def _check_initial(self) -> None:
        initial = self._machine.initial
        image = self.contents(initial)
        for cell in self._machine.layout.cells:
            if (image ^ initial) & cell.mask:
                raise ModelError(
                    f"{self._swap} are declared alike, but exchanging them would make {cell.name} "
                    f"begin as {cell.text(cell.of(image))} instead of "
                    f"{cell.text(cell.of(initial))}. {MEND}"
                )

    def _differ(self, cpu: int, node: Node, twin: Node, how: str) -> NoReturn:
        raise ModelError(
            f"{self._swap} are declared alike, and are not: where cpu{cpu} {_told(node)}, "
            f"cpu{self._swap.other(cpu)} {_told(twin)} in the same situation; {how}. {MEND}"
        )


MEND = "Let the Swap rename what differs, or leave it out."


def _cells(footprint: Footprint) -> int:
    return footprint.reads | footprint.writes | footprint.adds


def _kind(node: Node) -> str:
    return node.answer.ended if node.step is None else node.step.op


def _told(node: Node) -> str:
    if node.step is None:
        return f"has {node.answer.ended}"
    place = node.answer.where[-1:]
    return f"takes {node.step!r}" + "".join(
        f" in {where.function} ({where.spot})" for where in place
    )


def _said(outcome: object) -> str:
    if outcome is None:
        return "it cannot run"
    return f"{outcome.oracle} is violated" if isinstance(outcome, Violation) else "it runs"
