"""Things to allocate: a few made in advance, or for one CPU that runs alone, as many as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine.state import Layout, Record, View

R = TypeVar("R", bound=Record)


class Pool(Generic[R]):
    """Records of one kind.

    `make(number)` makes one; `unused(view, record)` says whether one may be handed out. If `unused`
    is false for a freed record, a search does not hand it out again: a use after free then finds
    the freed record, and not another owner's.
    """

    def __init__(
        self, layout: Layout, what: str, make: Callable[[int], R], unused: Callable[[View, R], bool]
    ) -> None:
        self._layout = layout
        self._what = what
        self._make = make
        self._unused = unused
        self.members: list[R] = []
        self._again: list[R] = []

    def __iter__(self) -> Iterator[R]:
        return iter(self.members)

    def set_aside(self, count: int = 1) -> None:
        """Make `count` more to allocate."""
        self.members.extend(self._make(len(self.members) + n) for n in range(count))

    def add(self, record: R) -> R:
        """Put in one that was made elsewhere."""
        self.members.append(record)
        return record

    def take(self, view: View, cpu: int) -> R:
        """One that is not in use. Raises ScenarioTooSmall if a search's pool is empty."""
        if self._layout.grows:
            return self._again.pop() if self._again else self._make(len(self._layout.records))
        for record in self.members:
            if self._unused(view, record):
                return record
        raise ScenarioTooSmall(
            f"cpu{cpu} has no {self._what} left to allocate (there were {len(self.members)})"
        )

    def give_back(self, record: R) -> None:
        """Say that `record` was freed.

        It may be handed out again where no other CPU can still be looking at it.
        """
        if self._layout.grows:
            self._again.append(record)
