"""Executions that never end: from some state on no ending can be reached, because a CPU spins.

A search of final states does not see them. In a finite graph such an execution stays on a cycle,
and every cycle takes a step that closes a loop of some task. So it is enough to look at the states
in which a CPU stands at such a step, and to ask whether an ending is still possible.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.search.reduction import Reduction
from mmlocks.search.symmetry import Symmetry
from mmlocks.search.verdict import Meter


def never_ending(
    machine: Machine, seen: Iterable[int], meter: Meter
) -> tuple[int, Violation] | None:
    """The first of the `seen` states from which nothing ends, and what to say of it; or None.

    Raises Cancelled when the budget is used up.
    """
    reduction = Reduction(machine)
    reduction.refresh()
    loops = reduction.loops
    if machine.symmetries:  # a state may have been seen as its image, with another CPU at the loop
        symmetry = Symmetry(machine)
        symmetry.close()
        symmetry.widen(loops)
    at_loops = [
        (cpu, shift, loops[cpu]) for cpu, shift in enumerate(machine.layout.pc_shifts) if loops[cpu]
    ]
    good: set[int] = set()
    for state in list(seen):
        at_loop = next(
            (cpu for cpu, shift, nodes in at_loops if state >> shift & PC_FIELD in nodes), None
        )
        if at_loop is None or state in good or _can_end(machine, state, good, meter):
            continue
        spinning = [cpu for cpu in machine.cpus if not machine.done(state, cpu)]
        cpu = at_loop if at_loop in spinning else spinning[0]
        place = machine.node(state, cpu).answer.where[-1]
        return state, Violation(
            "mistake",
            f"cpu{cpu}: once in {place.function} ({place.spot}), it goes round for ever: whatever "
            "the others do, this execution never ends. Give the loop a way out.",
        )
    return None


def _can_end(machine: Machine, start: int, good: set[int], meter: Meter) -> bool:
    """Whether an ending can be reached from `start`; the states on the way there become `good`."""
    came_from = {start: -1}
    work = [start]
    while work:
        state = work.pop()
        meter.tick(len(came_from))
        moves = list(machine.moves(state))
        breaks_a_rule = any(isinstance(after, Violation) for _, after in moves)
        if not moves or breaks_a_rule or state in good:
            while state != -1:
                good.add(state)
                state = came_from[state]
            return True
        for _, after in moves:
            if isinstance(after, int) and after not in came_from:
                came_from[after] = state
                work.append(after)
    return False
