"""A schedule as a value: which CPU took each step, in which program. It has a short text form.

mml1:fork_lost_store:6.4.0:0x6.2x10.1.2x2.1:5c0f3a91
|    |               |     |                 checksum of all before it
|    |               |     cpu0 six steps, cpu2 ten, cpu1 one, ...
|    scenario        kernel
version of this form
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from itertools import groupby

from mmlocks.errors import ScheduleError

VERSION = "mml1"
LONGEST = 100_000


@dataclass(frozen=True)
class Schedule:
    """The CPUs in the order of their steps, and the names of the program that they drive."""

    scenario: str
    kernel: str
    cpus: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.cpus)

    def __str__(self) -> str:
        runs = ((cpu, len(list(run))) for cpu, run in groupby(self.cpus))
        steps = ".".join(f"{cpu}x{length}" if length > 1 else f"{cpu}" for cpu, length in runs)
        body = f"{VERSION}:{self.scenario}:{self.kernel}:{steps}"
        return f"{body}:{_checksum(body)}"

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """The schedule that `str()` wrote down.

        Raises ScheduleError, saying whether the text is of another version, cut short, or damaged.
        """
        text = text.strip()
        if not re.match(r"mml\d+:", text):
            raise ScheduleError(
                f"this is not a schedule: {text[:40]!r}. A schedule begins with {VERSION}: and is "
                "printed below every timeline."
            )
        if not text.startswith(VERSION + ":"):
            raise ScheduleError(
                f"this schedule is of version {text.split(':')[0]}, and this mmlocks reads "
                f"{VERSION}. "
                "Record it again, or install the release that wrote it."
            )
        fields = text.split(":")
        if len(fields) != 5:
            raise ScheduleError(
                f"this schedule has {len(fields)} fields where 5 belong; was it cut off while "
                "copying? Copy the whole line."
            )
        body, checksum = text.rsplit(":", 1)
        if checksum != _checksum(body):
            raise ScheduleError(
                "this schedule is damaged: its checksum does not match. Copy the whole line again."
            )
        _, scenario, kernel, steps = body.split(":")
        return cls(scenario, kernel, _steps(steps))


def _steps(text: str) -> tuple[int, ...]:
    cpus: list[int] = []
    for run in filter(None, text.split(".")):
        match = re.fullmatch(r"(\d{1,3})(?:x(\d{1,6}))?", run)
        if match is None:
            raise ScheduleError(f"this schedule has a run of steps that cannot be read: {run!r}.")
        cpus += [int(match[1])] * int(match[2] or 1)
        if len(cpus) > LONGEST:
            raise ScheduleError(f"this schedule is longer than {LONGEST:,} steps; no scenario is.")
    return tuple(cpus)


def _checksum(body: str) -> str:
    # A text from anywhere may hold characters that have no encoding; it is damaged then, and must
    # be called so.
    return f"{zlib.crc32(body.encode(errors='backslashreplace')):08x}"
