"""For all tests. Imports pytest and hypothesis alone: much of it runs on bare interpreters too."""

from collections import Counter
from collections.abc import Iterable, Iterator
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
    """Print what passing tests report, and which files took longest.

    Tests report with record_property("summary", "CPython 3.14.2: 80 passed").
    """
    said = list(summaries(terminalreporter.stats.get("passed", [])))
    if said:
        terminalreporter.section("worth knowing")
        for text in said:
            terminalreporter.write_line(text)
    slowest = slowest_files(one for some in terminalreporter.stats.values() for one in some)
    if slowest:
        terminalreporter.section("slowest files")
        for file, seconds in slowest:
            terminalreporter.write_line(f"{seconds:7.1f} s  {file}")


def slowest_files(reports: Iterable[object], many: int = 10) -> list[tuple[str, float]]:
    """The files that took longest, a second at least: seconds of their tests and fixtures."""
    seconds: Counter[str] = Counter()
    for report in reports:
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid.partition("::")[0]] += report.duration  # type: ignore[assignment]
    return [(file, taken) for file, taken in seconds.most_common(many) if taken >= 1]


def summaries(reports: list[pytest.TestReport]) -> Iterator[str]:
    for report in reports:
        yield from (str(text) for name, text in report.user_properties if name == "summary")
