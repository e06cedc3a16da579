"""The judge's end of the pipe to a student's process (see `mmlocks.labs.serving`).

One question, one reply. All else ends the link for good: a reply that is late, too large, broken,
not asked for, or to another question. Then nothing of the answer is judged.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from mmlocks.errors import NotJudged, Undecided
from mmlocks.labs.serving import HEADER, RAISED

LARGEST = 256 * 1024
"""Bytes of a reply. An honest one has a few hundred."""
LARGEST_SUM = 100 * 1024 * 1024
"""Bytes of all replies together."""
SECONDS = 30.0
"""Wall time for one reply. What a function does between two steps is stopped long before."""
LONGEST_TEXT = 3_000
"""Characters of a sentence that is shown."""
OUT_OF_TIME = "the time for the whole submission is used up"
NOTHING_JUDGED = "Nothing was judged."


class Asks(Protocol):
    """What is asked about an answer's functions: a process, or a record of it."""

    def later(self, *thing: Any) -> None:
        """Have this done before the next thing that is asked."""

    def ask(self, *thing: Any) -> Any:
        """Have this done, and give what is said of it."""

    def breaks(self, did: str) -> NoReturn:
        """End all, because of what the other end `did`. Raises NotJudged."""


class Link:
    """Asks a student's process. `ends` says how the process has ended, once it has.

    `deadline` is the time of `time.monotonic` after which nothing more is waited for.
    """

    def __init__(
        self, questions: int, replies: int, deadline: float, ends: Callable[[], str]
    ) -> None:
        self._questions = questions
        self._replies = replies
        self._deadline = deadline
        self._ends = ends
        self._waiting: list[Any] = []
        """What is to be done before the next thing that has a reply."""
        self._received = 0
        self.asked = 0
        """Questions so far."""
        self.broken = ""
        """Why nothing that the process says counts any more."""
        self.hostile = False
        """Whether it broke the rules of the pipe, which no honest answer does."""
        os.set_blocking(questions, False)

    def later(self, *thing: Any) -> None:
        """Have this done before the next thing that is asked."""
        self._waiting.append(thing)

    def ask(self, *thing: Any) -> Any:
        """Have this done, and give what is said of it.

        Raises what the reply raises. Raises NotJudged if there is no proper reply, and ever after;
        Undecided after the deadline.
        """
        if self.broken:
            raise NotJudged(self.broken)
        if time.monotonic() >= self._deadline:
            raise Undecided(OUT_OF_TIME)
        self.asked += 1
        until = min(time.monotonic() + SECONDS, self._deadline)
        nonce = secrets.token_hex(8)
        things, self._waiting = [*self._waiting, thing], []
        self._nothing_unasked()
        raw = json.dumps({"nonce": nonce, "do": things}, separators=(",", ":")).encode()
        self._write(len(raw).to_bytes(HEADER, "big") + raw, until)
        length = int.from_bytes(self._read(HEADER, until), "big")
        self._received += length
        if length > LARGEST:
            self.breaks(f"sends a reply of {length:,} bytes, where {LARGEST:,} are the most")
        if self._received > LARGEST_SUM:
            self.breaks(f"sends more than {LARGEST_SUM:,} bytes in all")
        return self._said(self._read(length, until), nonce)

    def finish(self) -> None:
        """See that nothing was sent that was not asked for. Call it once judging has ended."""
        if not self.broken:
            with contextlib.suppress(NotJudged):
                self._nothing_unasked(at_end=True)

    def _said(self, raw: bytes, nonce: str) -> Any:
        try:
            reply = json.loads(raw.decode(), parse_float=_no, parse_constant=_no)
        except (ValueError, RecursionError):
            self.breaks("sends a reply that is no JSON of plain values")
        if not isinstance(reply, dict) or reply.get("nonce") != nonce:
            self.breaks("sends a reply to something else than what it was asked")
        if reply.keys() == {"nonce", "said"}:
            return reply["said"]
        raised = reply.get("raised")
        if reply.keys() == {"nonce", "raised"} and isinstance(raised, list) and len(raised) == 2:
            kind, text = raised
            if isinstance(kind, str) and kind in RAISED and isinstance(text, str):
                raise RAISED[kind](clean(text))
        return self.breaks("sends a reply that has not the form of one")

    # -- bytes -------------------------------------------------------------------------------------

    def _nothing_unasked(self, at_end: bool = False) -> None:
        if not select.select([self._replies], [], [], 0)[0]:
            return
        if os.read(self._replies, 1):
            self.breaks("sends something that it was not asked for")
        if not at_end:
            self._died()

    def _write(self, raw: bytes, until: float) -> None:
        left = memoryview(raw)
        while left:
            if not self._ready([], [self._questions], until):
                self._late()
            try:
                left = left[os.write(self._questions, left) :]
            except BlockingIOError:
                continue
            except OSError:
                self._died()

    def _read(self, wanted: int, until: float) -> bytes:
        parts: list[bytes] = []
        while wanted:
            if not self._ready([self._replies], [], until):
                self._late()
            part = os.read(self._replies, min(wanted, 65_536))
            if not part:
                self._died()
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _ready(self, reads: list[int], writes: list[int], until: float) -> bool:
        left = until - time.monotonic()
        return left > 0 and any(select.select(reads, writes, [], left))

    # -- the end -----------------------------------------------------------------------------------

    def breaks(self, did: str) -> NoReturn:
        """End the link, because the process `did` what no honest one does. Raises NotJudged."""
        self.hostile = True
        self._end(f"the process in which your code runs {did}. {NOTHING_JUDGED}")

    def _late(self) -> NoReturn:
        self._end(
            "your code did not come back in the time that it has: it runs on and on, or waits. "
            f"{NOTHING_JUDGED} Look for a loop that never ends, and for an `except:` in a loop."
        )

    def _died(self) -> NoReturn:
        self._end(
            f"the process in which your code runs has ended{self._ends()}. {NOTHING_JUDGED} "
            "An answer only defines functions: delete what ends the program or uses up its limits "
            "(memory, processes, files)."
        )

    def _end(self, why: str) -> NoReturn:
        self.broken = why
        raise NotJudged(why)


def clean(text: str, most: int = LONGEST_TEXT) -> str:
    """A text of the student's process, as it may be shown: printable, and not too long."""
    shown = "".join(
        one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text[:most]
    )
    return f"{shown}..." if len(text) > most else shown


def _no(found: str) -> NoReturn:
    raise ValueError(found)
