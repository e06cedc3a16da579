"""Steps: what a task may do to shared state, one atomic operation at a time.

A `Step` is a plain value: the name of an operation and its arguments. A registry says what each
operation does, and which cells it touches. So a machine that never saw the code which asked for a
step can carry it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine.state import Cell, Counter, Layout, Poison, View
from mmlocks.machine.values import CALL, UNAWAITED, Step

BLOCKED = object()
"""The result of an operation that cannot happen in this state. It must have changed nothing."""


class Footprint(NamedTuple):
    """Bit masks over cell indices: what a step reads, what it writes, what it only adds to."""

    reads: int
    writes: int
    adds: int

    def joined(self, other: Footprint) -> Footprint:
        """Everything that either of the two may touch."""
        return Footprint(
            self.reads | other.reads, self.writes | other.writes, self.adds | other.adds
        )

    def narrowed(self, read: int, written: int) -> Footprint:
        """The part of it that a step really touched, if it read and wrote these cells.

        An addition reads and writes its cell, and still counts as an addition. A cell that was
        declared as written counts as both if it was read, too: a store first looks whether the
        object is still alive.
        """
        plain = self.reads | self.writes
        return Footprint(read & plain, written & plain, (read | written) & self.adds & ~plain)


NOTHING = Footprint(0, 0, 0)


def touching(
    *, reads: Iterable[int] = (), writes: Iterable[int] = (), adds: Iterable[int] = ()
) -> Footprint:
    """A footprint from cell indices."""
    return Footprint(_bits(reads), _bits(writes), _bits(adds))


def _bits(indices: Iterable[int]) -> int:
    mask = 0
    for index in indices:
        mask |= 1 << index
    return mask


@dataclass(frozen=True)
class Operation:
    """One kind of atomic step.

    * `touches(layout, cpu, *args)` declares the footprint.
    * `run(view, cpu, *args)` does the work, and returns the result or BLOCKED.
    * `tell(layout, before, after, cpu, result, *args)` says in a few words what happened.
    * `awaits(view, cpu, *args)` says what a blocked step waits for.
    * `holders(view, cpu, *args)` names the CPUs that it waits for.
    """

    name: str
    touches: Callable[..., Footprint]
    run: Callable[..., Any]
    tell: Callable[..., str]
    awaits: Callable[..., str]
    holders: Callable[..., tuple[int, ...]]


OPERATIONS: dict[str, Operation] = {}


def _no_cpus(*_: Any) -> tuple[int, ...]:
    return ()


def _something(*_: Any) -> str:
    return "something"


def _name_only(layout: Layout, before: int, after: int, cpu: int, result: Any, *args: Any) -> str:
    return ", ".join(map(str, args))


def operation(
    name: str,
    touches: Callable[..., Footprint],
    run: Callable[..., Any],
    tell: Callable[..., str] = _name_only,
    awaits: Callable[..., str] = _something,
    holders: Callable[..., tuple[int, ...]] = _no_cpus,
) -> None:
    """Add a kind of step to the machine's vocabulary."""
    if name in OPERATIONS:
        raise ModelError(f"there are two operations called {name}")
    OPERATIONS[name] = Operation(name, touches, run, tell, awaits, holders)


def telling(name: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Decorator: say what a step of that operation did in these words.

    For operations whose words stand in a file of their own.
    """

    def registered(tell: Callable[..., str]) -> Callable[..., str]:
        OPERATIONS[name] = replace(OPERATIONS[name], tell=tell)
        return tell

    return registered


class ViolationSignal(Exception):
    """Raised inside an operation when the step itself breaks a rule that an oracle watches."""

    def __init__(self, oracle: str, message: str) -> None:
        super().__init__(message)
        self.oracle = oracle
        self.message = message


def footprint_of(layout: Layout, cpu: int, step: Step) -> Footprint:
    """What `step` may touch when `cpu` takes it."""
    return _known(step).touches(layout, cpu, *step.args)


def perform(view: View, cpu: int, step: Step) -> Any:
    """Carry out `step` on `view`; its result, or BLOCKED."""
    return _known(step).run(view, cpu, *step.args)


def _known(step: Step) -> Operation:
    try:
        return OPERATIONS[step.op]
    except KeyError:
        if step.op == CALL:
            raise ModelError(
                f"{step.args[0]} was called outside of any kernel. A scenario's threads call "
                "kernel functions by the names that they have in mmlocks.mm, and run under a "
                "kernel: check(scenario, '6.4.3')"
            ) from None
        raise ModelError(
            f"no operation is called {step.op}; register it with operation()"
        ) from None


def together(*parts: Step | Cell[Any]) -> Step:
    """Several operations as one atomic step, with a tuple of results.

    It is for operations that no other CPU could see one by one. Each use says in a comment why:
    usually the first part takes a lock, or the last one releases it (Lipton, "Reduction: a method
    of proving properties of parallel programs", CACM 1975). If any part would block, the whole step
    does, and nothing happens. `Machine(split_together=True)` takes the parts one by one again; a
    test compares the endings.
    """
    steps = tuple(part.load() if isinstance(part, Cell) else part for part in parts)
    if UNAWAITED.steps is not None:
        UNAWAITED.steps[:] = [
            step for step in UNAWAITED.steps if not any(step is part for part in steps)
        ]
    return Step("together", steps)


def parts(step: Step) -> list[Step]:
    """The operations inside a step, in order: the parts of a `together`, or the step itself."""
    if step.op != "together":
        return [step]
    return [inner for part in step.args for inner in parts(part)]


def require(condition: bool, oracle: str, message: str) -> Step:
    """The step of an assertion: a violation of `oracle` unless `condition` holds.

    `oracle` is one of ORACLES, or a name for a rule of your own.
    For programs: scenarios, tests.
    """
    return Step("require", (bool(condition), oracle, message))


# -- the operations on plain cells -----------------------------------------------------------------


def _together_touches(layout: Layout, cpu: int, *parts: Step) -> Footprint:
    footprint = NOTHING
    for part in parts:
        footprint = footprint.joined(footprint_of(layout, cpu, part))
    # A cell that one part adds to and another reads is read: the sum of the two does not commute.
    return footprint


def _together_run(view: View, cpu: int, *parts: Step) -> Any:
    results = []
    before = view.delta
    for part in parts:
        result = perform(view, cpu, part)
        if result is BLOCKED:
            view.delta = before
            return BLOCKED
        results.append(result)
    return tuple(results)


def _together_tell(
    layout: Layout, before: int, after: int, cpu: int, result: Any, *parts: Step
) -> str:
    told: list[str] = []
    aside: list[str] = []
    state = before
    for part, value in zip(parts, result, strict=True):
        view = View(layout, state, -1, -1)
        perform(view, cpu, part)
        seldom = part.op == "load" and layout.cells[part.args[0]].aside
        told_of = aside if seldom else told
        told_of.append(_known(part).tell(layout, state, state + view.delta, cpu, value, *part.args))
        state += view.delta
    return "; ".join(text for text in told if text) or "; ".join(aside)


def _first_blocked(view: View, cpu: int, parts: tuple[Step, ...]) -> Step | None:
    """The part that keeps the whole from happening; None if none does."""
    before = view.delta
    try:
        return next((part for part in parts if perform(view, cpu, part) is BLOCKED), None)
    except ViolationSignal:
        return None
    finally:
        view.delta = before


def _together_awaits(view: View, cpu: int, *parts: Step) -> str:
    part = _first_blocked(view, cpu, parts)
    return _known(part).awaits(view, cpu, *part.args) if part is not None else "nothing"


def _together_holders(view: View, cpu: int, *parts: Step) -> tuple[int, ...]:
    part = _first_blocked(view, cpu, parts)
    return _known(part).holders(view, cpu, *part.args) if part is not None else ()


def _name(layout: Layout, index: int) -> str:
    return layout.cells[index].name


def _plain(view: View, cpu: int, index: int, write: bool = True) -> int:
    cell = view.layout.cells[index]
    if cell.hidden or (write and cell.read_only):
        raise ViolationSignal(
            "mistake",
            f"cpu{cpu}: {cell.name} cannot be {'stored to' if write else 'read'} like a variable. "
            "Use the function that the kernel has for it, such as set_pte_at or flush_tlb_mm.",
        )
    return index


def alive(view: View, cpu: int, index: int, does: str) -> Any:
    """The value of a cell. If the object that it is part of has been freed, that is a violation."""
    value = view[index]
    if isinstance(value, Poison):
        name = view.layout.cells[index].name
        raise ViolationSignal(
            value.oracle, f"cpu{cpu}: {does} {name}, but {value.what} has been freed"
        )
    return value


def _load(view: View, cpu: int, index: int) -> Any:
    return alive(view, cpu, _plain(view, cpu, index, write=False), "reads")


def _store(view: View, cpu: int, index: int, value: Any) -> None:
    alive(view, cpu, _plain(view, cpu, index), "writes")
    view[index] = value


def _swap(view: View, cpu: int, index: int, expected: Any, value: Any) -> bool:
    if alive(view, cpu, _plain(view, cpu, index), "writes") != expected:
        return False
    view[index] = value
    return True


def _add(view: View, cpu: int, index: int, n: int) -> None:
    if not isinstance(view.layout.cells[index], Counter):
        raise ModelError(
            f"{view.layout.cells[index].name} is not a counter, so nothing can be added to it"
        )
    view[index] = view[_plain(view, cpu, index)] + n


def _fetch_add(view: View, cpu: int, index: int, n: int) -> int:
    before: int = view[_plain(view, cpu, index)]
    view[index] = before + n
    return before


def _wait(view: View, cpu: int, index: int, value: Any, equal: bool) -> Any:
    found = alive(view, cpu, _plain(view, cpu, index, write=False), "reads")
    return found if (found == value) == equal else BLOCKED


def _require(view: View, cpu: int, condition: bool, oracle: str, message: str) -> None:
    if not condition:
        raise ViolationSignal(oracle, f"cpu{cpu}: {message}")


def _only_changer(view: View, cpu: int, index: int, *_: Any) -> tuple[int, ...]:
    changer = view.layout.cells[index].changed_by
    return () if changer is None else (changer,)


def _tell_change(
    layout: Layout, before: int, after: int, cpu: int, result: Any, index: int, *_: Any
) -> str:
    cell = layout.cells[index]
    old, new = cell.text(cell.of(before)), cell.text(cell.of(after))
    return f"{cell.name}: {old} -> {new}" if old != new else f"{cell.name} stays {new}"


def _tell_load(layout: Layout, before: int, after: int, cpu: int, result: Any, index: int) -> str:
    cell = layout.cells[index]
    return f"{cell.name} is {cell.text(result)}"


operation(
    "together",
    _together_touches,
    _together_run,
    _together_tell,
    _together_awaits,
    _together_holders,
)
operation("load", lambda layout, cpu, i: touching(reads=[i]), _load, _tell_load)
operation("store", lambda layout, cpu, i, value: touching(writes=[i]), _store, _tell_change)
operation("swap", lambda layout, cpu, i, *_: touching(reads=[i], writes=[i]), _swap, _tell_change)
# Additions of one sign commute: if the sum leaves the counter's range, it does so in every order. A
# subtraction may find too little there, or not, depending on what came before.
operation(
    "add",
    lambda layout, cpu, i, n: touching(adds=[i]) if n >= 0 else touching(reads=[i], writes=[i]),
    _add,
    _tell_change,
)
operation(
    "fetch_add", lambda layout, cpu, i, n: touching(reads=[i], writes=[i]), _fetch_add, _tell_change
)
operation(
    "wait",
    lambda layout, cpu, i, *_: touching(reads=[i]),
    _wait,
    lambda layout, before, after, cpu, result, i, *_: (
        f"{_tell_load(layout, before, after, cpu, result, i)} at last"
    ),
    awaits=lambda view, cpu, i, value, equal: (
        f"{_name(view.layout, i)} to {'become' if equal else 'change from'} "
        f"{view.layout.cells[i].text(value)}"
    ),
    holders=_only_changer,
)
operation(
    "require",
    lambda layout, cpu, *_: NOTHING,
    _require,
    lambda layout, before, after, cpu, result, condition, oracle, message: (
        f"the rule {oracle} holds"
    ),
)
