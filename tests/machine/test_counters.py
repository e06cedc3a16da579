"""Additions commute; a subtraction does not, where the counter may be empty."""

import pytest

from mmlocks.machine import Layout, Machine
from mmlocks.search import judge


@pytest.mark.parametrize("reduced", [True, False])
def test_a_subtraction_that_may_come_too_early_is_found(reduced: bool) -> None:
    layout = Layout(cpus=2)
    count = layout.counter("count", 0)

    async def up() -> None:
        await count.add(1)

    async def down() -> None:
        await count.add(-1)

    verdict = judge(Machine(layout, [("up", up), ("down", down)]), reduced=reduced)
    assert verdict.outcome == "violated"
    assert verdict.violation is not None
    assert "count" in verdict.violation.message
