"""Which steps of a bad execution matter: the fewest orders between CPUs that force its violation.

A bad execution orders all its steps, and most of that is chance. A few orders matter, each of the
form "this step of cpu1 comes before that step of cpu0". Such orders are a *cause* of the violation
if

    every execution that turns none of them around, and comes to an end, breaks the same rule,

in whatever order all other steps come. An execution turns an order around when it takes the second
step while the first one's CPU is still on its way to the first. (A CPU on another path is not on
its way there, so nothing is turned around.) The number of orders in the smallest cause is known as
the depth of a concurrency bug (Burckhardt, Kothari, Musuvathi & Nagarakatte, "A randomized
scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010). The steps that these orders
name are the slice.

Candidates are the orders in which the bad execution took two steps of different CPUs that touch the
same cell, one of them changing it. All of them together are a cause, since they fix its
Mazurkiewicz trace. The smallest cause is found by implicit hitting sets (Moreno-Centeno & Karp,
Operations Research 61, 2013):

1. An execution that ends otherwise has turned some orders around. Every cause must forbid one of
   these.
2. Take the fewest orders that meet all such executions known so far.
3. Search for one more such execution that keeps them. If there is one, go back to 2.
4. If there is none, they are a cause, and no smaller one exists.

Then each order is weakened as far as possible: an earlier first step, a later second one.

The claim is that these orders suffice, which the last search has proved, and that fewer of the
candidates do not. The violation need not need them: other orders may lead to it as well. Nothing is
claimed about executions that never end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from mmlocks.machine.machine import Machine, Violation
from mmlocks.machine.run import Run
from mmlocks.machine.state import View
from mmlocks.machine.step import Footprint
from mmlocks.machine.task import Node
from mmlocks.machine.watch import parts_of
from mmlocks.search.reduction import clashing, touched
from mmlocks.search.verdict import STOPPED, Cancelled, Meter, why


class Event(NamedTuple):
    """A step of the run that is explained: its CPU, and which of that CPU's steps it is, from 1."""

    cpu: int
    nth: int


class Order(NamedTuple):
    """`first` comes before `then`; both touch `cells`.

    There are no cells if it only matters that `then` waits.
    """

    first: Event
    then: Event
    cells: tuple[str, ...] = ()

    def weaker(self, other: Order) -> bool:
        """Whether this order asks for less than the other.

        Its first step is the same or an earlier one, its second the same or a later one.
        """
        return (
            self[:2] != other[:2]
            and (self.first.cpu, self.then.cpu) == (other.first.cpu, other.then.cpu)
            and self.first.nth <= other.first.nth
            and self.then.nth >= other.then.nth
        )


@dataclass(frozen=True)
class Slice:
    """What is behind the violation in which `run` ends.

    `orders` are a smallest cause, in the order in which the run kept them; None if the budget ended
    before one was known. `settled` says that none of them can be weakened; if the search stopped
    before that was known, `reason` says why. `states` and `transitions` count each one as often as
    the search came to it.
    """

    run: Run
    orders: tuple[Order, ...] | None
    settled: bool
    states: int
    transitions: int
    reason: str = ""

    @property
    def steps(self) -> tuple[int, ...]:
        """Numbers (from 1) of the steps that an order names, and of the one that broke a rule."""
        if self.orders is None:
            return ()
        named = {event for order in self.orders for event in order[:2]}
        last = len(self.run) if _broken_by_a_step(self.run) else 0
        return tuple(
            number
            for number, event in enumerate(_events(self.run), 1)
            if event in named or number == last
        )


def slice_of(run: Run, meter: Meter) -> Slice:
    """The cause of what `run` came to: a violation, or if it breaks no rule, that it never ends."""
    causes = _Causes(run, meter)
    orders: tuple[Order, ...] | None = None
    reason = ""
    try:
        for better in causes.better_and_better():
            orders = better
    except STOPPED as stopped:
        reason = why(stopped)
    return Slice(run, orders, not reason, causes.states, causes.transitions, reason)


def turned_around(run: Run, orders: Sequence[Order], other: Run) -> tuple[Order, ...]:
    """Which of the orders that `run` kept another execution turns around."""
    lookout = _Lookout(_Path(run), orders)
    taken = turned = 0
    for state, cpu in zip(other.states, other.cpus, strict=False):
        nodes = [other.machine.node(state, one) for one in other.machine.cpus]
        step, turns = lookout.turned_by(cpu, nodes, taken)
        taken, turned = taken | step, turned | turns
    return tuple(order for number, order in enumerate(orders) if turned >> number & 1)


# -- the orders that a run kept --------------------------------------------------------------------


def runs_before(run: Run) -> dict[Event, Run]:
    """For each of the run's steps, the run that is about to take it.

    A CPU that has not come to its end is followed beyond the run's end, as if it ran alone, until
    it blocks, ends or repeats itself. These steps come after all others, which may matter.
    """
    before = {event: run.at(number) for number, event in enumerate(_events(run))}
    end = run.undo() if _broken_by_a_step(run) else run
    for cpu in run.machine.cpus:
        if _broken_by_a_step(run) and cpu == run.cpus[-1]:
            continue
        alone, nth, been = end, run.cpus.count(cpu), set[Node]()
        while (node := run.machine.node(alone.state, cpu)).step is not None and node not in been:
            been.add(node)
            nth += 1
            before[Event(cpu, nth)] = alone
            alone = alone.step(cpu)
            if alone.violation is not None:
                break
    return before


def orders_of(run: Run) -> tuple[Order, ...]:
    """The orders in which `run` took steps of different CPUs, in the order of their second steps.

    Both steps touch the same cell, and one of them changes it.

    Beyond the run's end, each CPU's next step also waits for the last step of every other CPU.
    """
    machine, before = run.machine, runs_before(run)
    cells = len(machine.layout.cells)
    touches = [
        (event, _footprint(machine, earlier.state, event.cpu)) for event, earlier in before.items()
    ]
    orders = []
    for place, (then, footprint) in enumerate(touches):
        touch = touched(footprint, cells)
        for first, earlier in touches[: min(place, len(run))]:
            if first.cpu != then.cpu and (common := clashing(earlier, cells) & touch):
                orders.append(Order(first, then, _names(machine, common, cells)))
    own = _events(run)
    waiting = {event.cpu: event for event in reversed(before) if event not in own}
    last = {event.cpu: event for event in own}
    known = {order[:2] for order in orders}
    pairs = [
        (first, then)
        for then in waiting.values()
        for first in last.values()
        if first.cpu != then.cpu
    ]
    return (*orders, *(Order(*pair) for pair in pairs if pair not in known))


def _events(run: Run) -> tuple[Event, ...]:
    return tuple(
        Event(cpu, run.cpus[: number + 1].count(cpu)) for number, cpu in enumerate(run.cpus)
    )


def _broken_by_a_step(run: Run) -> bool:
    return bool(run.taken) and run.taken[-1].violation is not None


def _footprint(machine: Machine, state: int, cpu: int) -> Footprint:
    """The cells that `cpu`'s next step really touches in this state: often few of those declared.

    All that are declared, if the step is blocked.
    """
    node = machine.node(state, cpu)
    assert node.step is not None
    view = View(machine.layout, state, -1, -1)
    accesses = [access for part in parts_of(view, cpu, node.step) for access in part.accesses]
    if not accesses:
        return node.footprint
    written = sum({1 << access.cell for access in accesses if access.writes})
    reads = sum({1 << access.cell for access in accesses if not access.writes})
    adds = written & node.footprint.adds & ~(node.footprint.reads | node.footprint.writes)
    return Footprint(reads & ~adds, written & ~adds, adds)


def _names(machine: Machine, common: int, cells: int) -> tuple[str, ...]:
    either = common | common >> cells | common >> 2 * cells
    return tuple(cell.name for cell in machine.layout.cells if either >> cell.index & 1)


# -- the smallest cause ----------------------------------------------------------------------------


class _Causes:
    """The search for causes of what `run` came to."""

    def __init__(self, run: Run, meter: Meter) -> None:
        self.run = run
        self.machine = run.machine
        self.meter = meter
        self.states = 0
        self.transitions = 0
        self.violation = run.violation
        self.candidates = orders_of(run)
        self.path = _Path(run)

    def better_and_better(self) -> Iterator[tuple[Order, ...]]:
        """A smallest cause; then the same, weakened order by order."""
        turned_around: list[int] = []
        while True:
            chosen = [self.candidates[index] for index in fewest_meeting(turned_around)]
            turned = self.ends_otherwise(chosen, self.candidates)
            if turned is None:
                break
            if not turned:
                raise Cancelled(
                    "some execution ends otherwise, and turns no order of steps around that touch "
                    "the same cell"
                )
            turned_around.append(turned)
        yield tuple(chosen)
        for place in range(len(chosen)):
            for other in self.candidates:
                tried = [*chosen[:place], other, *chosen[place + 1 :]]
                if other.weaker(chosen[place]) and self.ends_otherwise(tried) is None:
                    chosen = tried
                    yield tuple(chosen)
        yield tuple(sorted(chosen, key=self.candidates.index))

    def ends_otherwise(self, kept: Sequence[Order], counted: Sequence[Order] = ()) -> int | None:
        """An execution that keeps some orders and ends otherwise; None if there is none.

        The result says which of the `counted` orders it turned around, as a bit mask.

        Of all such executions it turns the fewest around. None if there is none.
        """
        machine, every = self.machine, self.meter.every
        lookout = _Lookout(self.path, (*kept, *counted))
        forbidden = (1 << len(kept)) - 1
        # Dijkstra's algorithm over states together with the named steps that were taken. Last in,
        # first out among equals.
        cheapest = {(machine.initial, 0): 0}
        queue = [(0, 0, machine.initial, 0, 0)]
        while queue:
            cost, _, state, taken, turned = heappop(queue)
            if state == OTHERWISE:
                return turned
            if cheapest[state, taken] < cost:
                continue
            self.states += 1
            if self.states % every == 0:
                self.meter.check(self.states)
            nodes = [machine.node(state, cpu) for cpu in machine.cpus]
            over = True
            for cpu, after in machine.moves(state):
                over = False
                self.transitions += 1
                step, turns = lookout.turned_by(cpu, nodes, taken)
                if turns & forbidden:
                    continue
                if not isinstance(after, Violation):
                    place = (after, taken | step)
                elif self.otherwise(after):
                    place = (OTHERWISE, self.transitions)
                else:
                    continue
                now = turned | turns >> len(kept)
                price = now.bit_count()
                if price < cheapest.get(place, 1 << 60):
                    cheapest[place] = price
                    heappush(queue, (price, -self.transitions, *place, now))
            if over and self.otherwise(machine.ends_badly(state)):
                return turned
        return None

    def otherwise(self, ending: Violation | None) -> bool:
        """Whether an ending is not the one that a cause must lead to."""
        return self.violation is None or ending is None or ending.oracle != self.violation.oracle


OTHERWISE = -1
"""Stands for the state after a step that breaks another rule."""


class _Path:
    """The steps that each CPU takes in a run and beyond, to be recognised in other executions.

    Two steps are the same if the code stands at the same place, asks for the same operation, and
    has done so equally often.
    """

    def __init__(self, run: Run) -> None:
        self._events: dict[tuple[object, ...], list[Event]] = {}
        for event, before in runs_before(run).items():
            node = run.machine.node(before.state, event.cpu)
            self._events.setdefault(self._name(event.cpu, node), []).append(event)
        self._times = {event: events for events in self._events.values() for event in events}
        self._at: dict[tuple[int, int], Sequence[Event]] = {}

    def same(self, event: Event) -> Sequence[Event]:
        """The events at which the run takes the same step, one after the other."""
        return self._times[event]

    def meant(self, cpu: int, node: Node) -> Sequence[Event]:
        """The events that the step of `cpu` at that node may be."""
        try:
            return self._at[cpu, node.index]
        except KeyError:
            return self._at.setdefault(
                (cpu, node.index), self._events.get(self._name(cpu, node), ())
            )

    def leads_to(self, event: Event, node: Node) -> bool:
        """Whether the event's CPU, standing at that node, is on its way to the event."""
        meant = self.meant(event.cpu, node)
        return bool(meant) and meant[0] <= event

    @staticmethod
    def _name(cpu: int, node: Node) -> tuple[object, ...]:
        return cpu, node.step, node.answer.where


class _Lookout:
    """Sees which of some orders a step turns around.

    It remembers the steps taken in a bit mask, `taken`.
    """

    def __init__(self, path: _Path, orders: Sequence[Order]) -> None:
        self._path = path
        named = {event for order in orders for event in order[:2]}
        # Of steps that are the same, those before a named one must be known as well, so that it is
        # told from them.
        known = {earlier for event in named for earlier in path.same(event) if earlier <= event}
        self._bits = {event: 1 << number for number, event in enumerate(sorted(known))}
        self._orders: dict[int, list[tuple[Event, int]]] = {}
        for number, order in enumerate(orders):
            self._orders.setdefault(self._bits[order.then], []).append((order.first, 1 << number))

    def turned_by(self, cpu: int, nodes: Sequence[Node], taken: int) -> tuple[int, int]:
        """What `cpu`'s next step adds to `taken`, and which orders it turns around: two bit masks.

        `nodes` is where the CPUs stand.
        """
        bits = (self._bits.get(event, 0) for event in self._path.meant(cpu, nodes[cpu]))
        step = next((bit for bit in bits if bit and not taken & bit), 0)
        turned = 0
        for first, order in self._orders.get(step, ()):
            if not taken & self._bits[first] and self._path.leads_to(first, nodes[first.cpu]):
                turned |= order
        return step, turned


def fewest_meeting(sets: Sequence[int]) -> tuple[int, ...]:
    """The fewest elements that meet every set (a bit mask): a minimum hitting set.

    Found by iterative deepening.
    """
    size = 0
    while (found := _meeting(sets, 0, size)) is None:
        size += 1
    return tuple(index for index in range(found.bit_length()) if found >> index & 1)


def _meeting(sets: Sequence[int], chosen: int, more: int) -> int | None:
    left = [one for one in sets if not one & chosen]
    if not left or not more:
        return None if left else chosen
    smallest = min(left, key=int.bit_count)
    for index in range(smallest.bit_length()):
        if (
            smallest >> index & 1
            and (found := _meeting(left, chosen | 1 << index, more - 1)) is not None
        ):
            return found
    return None
