"""Mutual exclusion with nothing but loads and stores: the classic algorithms, and what becomes of them when something is left out.

Each CPU enters once. A fault breaks either exclusion (two are inside) or progress (somebody waits for ever for a room that is empty).
"""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.machine import Layout, Machine, Record, require
from tests.helpers import each


class Room(Record):
    """A critical section that only one CPU may be in."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, "room")
        self.inside = layout.counter("inside", bits=4)

    async def use(self) -> None:
        await require(
            await self.inside.fetch_add(1) == 0, "exclusion", "enters while somebody else is inside"
        )
        await self.inside.add(-1)


def peterson(fault: str = "") -> Machine:
    """Peterson, "Myths about the mutual exclusion problem", 1981: say that you want to enter, give way, and then wait."""
    layout = Layout(cpus=2)
    wants = [layout.cell(f"wants{cpu}", False) for cpu in range(2)]
    turn = layout.cell("turn", 0)
    room = Room(layout)

    async def enter_and_leave(me: int) -> None:
        other = 1 - me
        if fault == "turn_first":
            await turn.set(other)
        if fault != "no_wish":
            await wants[me].set(True)
        if fault == "turn_to_myself":
            await turn.set(me)
        elif fault not in ("turn_first", "no_turn"):
            await turn.set(other)
        while await wants[other] and (fault == "no_turn" or await turn == other):
            pass
        await room.use()
        await wants[me].set(False)

    return Machine(layout, each(enter_and_leave, 2))


def dekker(fault: str = "") -> Machine:
    """Dekker's algorithm (Dijkstra, EWD123, 1965): who has not the turn withdraws its wish until the other has left."""
    layout = Layout(cpus=2)
    wants = [layout.cell(f"wants{cpu}", False) for cpu in range(2)]
    turn = layout.cell("turn", 0)
    room = Room(layout)

    async def enter_and_leave(me: int) -> None:
        other = 1 - me
        if fault == "look_first":
            while await wants[other]:
                pass
        await wants[me].set(True)
        while fault != "look_first" and await wants[other]:
            if await turn == other:
                if fault != "no_withdrawal":
                    await wants[me].set(False)
                while await turn == other:
                    pass
                await wants[me].set(True)
            elif fault == "turn_is_enough":
                break
        await room.use()
        if fault != "turn_kept":
            await turn.set(other)
        await wants[me].set(False)

    return Machine(layout, each(enter_and_leave, 2))


def bakery(fault: str = "", cpus: int = 2) -> Machine:
    """Lamport, "A new solution of Dijkstra's concurrent programming problem", 1974: draw a number and wait for all lower ones."""
    layout = Layout(cpus)
    choosing = [layout.cell(f"choosing{cpu}", False) for cpu in range(cpus)]
    number = [layout.counter(f"number{cpu}", bits=4) for cpu in range(cpus)]
    room = Room(layout)

    async def buy(me: int) -> None:
        await choosing[me].set(True)
        mine = 1
        for ticket in number:
            mine = max(mine, await ticket + 1)
        if fault == "chosen_too_soon":
            await choosing[me].set(False)
        await number[me].set(mine)
        if fault != "chosen_too_soon":
            await choosing[me].set(False)
        for other in range(cpus):
            while fault != "no_choosing" and await choosing[other]:
                pass
            while (ticket := await number[other]) and other != me:
                if fault == "no_tie_break":
                    first = ticket < mine
                elif fault == "ties_wait":
                    first = ticket <= mine
                else:
                    first = (ticket, other) < (mine, me)
                if not first:
                    break
        await room.use()
        await number[me].set(0)

    return Machine(layout, each(buy, cpus))


class Fault(NamedTuple):
    """What was left out, and the oracle that is to say so: `exclusion`, or `mistake` for an execution that never ends."""

    name: str
    breaks: str


ALGORITHMS = {"peterson": peterson, "dekker": dekker, "bakery": bakery}
FAULTS = {
    "peterson": (
        Fault("turn_first", "exclusion"),
        Fault("turn_to_myself", "exclusion"),
        Fault("no_wish", "exclusion"),
        Fault("no_turn", "mistake"),
    ),
    "dekker": (
        Fault("look_first", "exclusion"),
        Fault("turn_is_enough", "exclusion"),
        Fault("no_withdrawal", "mistake"),
        Fault("turn_kept", "mistake"),
    ),
    "bakery": (
        Fault("no_choosing", "exclusion"),
        Fault("chosen_too_soon", "exclusion"),
        Fault("no_tie_break", "exclusion"),
        Fault("ties_wait", "mistake"),
    ),
}
