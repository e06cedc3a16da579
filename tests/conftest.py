"""For all tests. Imports pytest and hypothesis alone: much of it runs on bare interpreters too."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

# No deadline: a search may take long, and WebAssembly is slower. The same examples on all machines.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest file first: one worker has it while the other does all the rest.
    items.sort(key=lambda item: "interpreters" not in item.path.parts)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what passing tests report: record_property("summary", "CPython 3.14.2: 80 passed")."""
    said = list(summaries(terminalreporter.stats.get("passed", [])))
    if said:
        terminalreporter.section("worth knowing")
        for text in said:
            terminalreporter.write_line(text)


def summaries(reports: list[pytest.TestReport]) -> Iterator[str]:
    for report in reports:
        yield from (str(text) for name, text in report.user_properties if name == "summary")
