"""What a watch sees of a step before it is taken: its parts, what they touch, and their results.

A step may consist of parts that are taken together. A rule that holds at one part, such as "this
lock is held", need not hold at the next.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mmlocks.errors import UndeclaredAccess
from mmlocks.machine.state import View
from mmlocks.machine.step import BLOCKED, ViolationSignal, parts, perform
from mmlocks.machine.values import Step


class Access(NamedTuple):
    """A cell that a step really read or wrote, and the value that it found there."""

    cell: int
    writes: bool
    found: Any


class Part(NamedTuple):
    """A step, or one part of a `together`: the state before it, what it touched, and its result.

    `broke` is the rule that the operation itself said was broken; nothing comes after such a part.
    """

    step: Step
    before: View
    accesses: tuple[Access, ...]
    result: Any
    broke: ViolationSignal | None = None


class _Recorder(View):
    """A view that remembers what was really touched. A footprint names what *may* be touched."""

    def __init__(self, view: View) -> None:
        super().__init__(view.layout, view.state, view._readable, view._writable)
        self.delta = view.delta
        self.accesses: dict[tuple[int, bool], Access] = {}

    def __getitem__(self, index: int) -> Any:
        value = super().__getitem__(index)
        self.accesses.setdefault((index, False), Access(index, False, value))
        return value

    def __setitem__(self, index: int, value: Any) -> None:
        found = self.layout.cells[index].of(self.state + self.delta)
        self.accesses.setdefault((index, True), Access(index, True, found))
        super().__setitem__(index, value)


def parts_of(view: View, cpu: int, step: Step) -> tuple[Part, ...]:
    """What would happen, part by part, if `cpu` took the step now; () if it is blocked.

    `view` stays as it is.
    """
    found: list[Part] = []
    now = view
    for part in parts(step):
        recorder = _Recorder(now)
        try:
            result = perform(recorder, cpu, part)
        except ViolationSignal as broke:
            found.append(Part(part, now, tuple(recorder.accesses.values()), None, broke))
            return tuple(found)
        except UndeclaredAccess:
            raise
        except Exception:
            # The step makes no sense. The machine says so when it tries to take it.
            return tuple(found)
        if result is BLOCKED:
            return ()
        found.append(Part(part, now, tuple(recorder.accesses.values()), result))
        now = View(view.layout, view.state, view._readable, view._writable)
        now.delta = recorder.delta
    return tuple(found)
