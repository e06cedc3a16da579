"""The student's process: it reads one answer, and says what its functions do next.

The judge asks over a pipe (see `mmlocks.grading.link`). This process has the only copy of the
answer that runs. So nothing that it says is trusted: all of it is a claim that the judge checks.

A frame is four bytes of length, and then JSON. A question is `{"nonce": ..., "do": [...]}`. It has
one reply: `{"nonce": ..., "said": ...}` for the last thing to do, or `{"nonce": ..., "raised":
[kind, text]}`. `main` starts it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmlocks.errors import AnswerError, NondeterminismError, NotJudged, Undecided
from mmlocks.labs.answer import Answer, read_answer
from mmlocks.labs.harmless import NothingElsewhere
from mmlocks.machine.refused import guarded
from mmlocks.machine.side import Here, RunsHere
from mmlocks.machine.state import Layout
from mmlocks.machine.wire import from_plain, to_plain
from mmlocks.mm.replacing import ReplacementsHere
from mmlocks.mm.stubs import silent
from mmlocks.scenarios.catalogue import scenario_named

HEADER = 4
"""Bytes in front of a frame, which say how long it is."""

MOST_PLACES = 200
"""Lines of an await chain or a traceback that are passed on: the innermost ones."""

RAISED: Mapping[str, type[Exception]] = {
    kind.__name__: kind for kind in (AnswerError, NondeterminismError, NotJudged, Undecided)
}
"""What a reply may raise in the judge. Each of them lowers a mark."""


class Run:
    """One call of a function: its runs, and what was said of each history."""

    def __init__(self, runs: RunsHere, layout: Layout) -> None:
        self.runs = runs
        self.layout = layout
        self.histories: list[tuple[Any, ...]] = []
        self.said: list[Any] = []
        self._keys: dict[Hashable, int] = {}

    def after(self, parent: int, result: Any) -> Any:
        """What the function does after history number `parent` and one result more."""
        told = (*self.histories[parent], from_plain(result, self.layout)) if parent >= 0 else ()
        answer = self.runs.answer(told)
        key = None
        if answer.key is not None:
            key = self._keys.setdefault(answer.key, len(self._keys))
        plain = to_plain(replace(answer, where=answer.where[-MOST_PLACES:]))
        self.histories.append(told)
        self.said.append(plain)
        return [plain, key]

    def verify(self) -> str:
        """Run everything again, and give the digest of what was said."""
        self.runs.verify()
        return digest(self.said)


def digest(said: list[Any]) -> str:
    """A digest of what a function did, by its histories in their order: messages do not count."""
    made = hashlib.sha256()
    for plain in said:
        step, _, ended, value, _ = plain["answer"]
        made.update(json.dumps([step, ended, value]).encode())
    return made.hexdigest()


class Serving:
    """The things to do, by their names."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._answer: Answer | None = None
        self._functions: list[Mapping[str, Callable[..., Any]]] = []
        """The answer's functions, as they were made the first time, the second, and so on."""
        self._sides: list[Here] = []
        self._runs: dict[int, Run] = {}

    def describe(self) -> Any:
        """Read the answer: the names and fingerprints of its functions, and the sentence on it."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            answer = self._answer = read_answer(self._file)
        self._functions.append(answer.functions)
        return {
            "fingerprints": dict(ReplacementsHere(answer.functions).fingerprints),
            "judged": answer.judged,
        }

    def again(self) -> None:
        """Make the functions anew."""
        assert self._answer is not None
        assert self._answer.again is not None
        self._functions.append(self._answer.again())

    def side(self, generation: int, scenario: str) -> None:
        """Make the handles of a world, for the functions that were made that many times."""
        layout = scenario_named(scenario).world().layout
        self._sides.append(Here(self._functions[generation], layout, silent()))

    def call(
        self,
        number: int,
        side: int,
        cpu: int,
        name: str,
        args: list[Any],
        named: dict[str, Any],
        looks: int,
    ) -> None:
        """Begin the runs of a call, under a number of the judge's."""
        there = self._sides[side]
        here = [from_plain(arg, there.layout) for arg in args]
        by_name = {key: from_plain(arg, there.layout) for key, arg in named.items()}
        self._runs[number] = Run(there.runs(cpu, name, here, by_name, looks), there.layout)

    def after(self, number: int, parent: int, result: Any) -> Any:
        """What a call does next."""
        return self._runs[number].after(parent, result)

    def verify(self, number: int) -> str:
        """Run all histories of a call again."""
        return self._runs[number].verify()

    def close(self, number: int) -> None:
        """End a call's current run."""
        self._runs[number].runs.close()

    def do(self, things: list[Any]) -> Any:
        """Do these things in their order; gives what the last one says."""
        said: Any = None
        for name, *args in things:
            said = _THINGS[name](self, *args)
        return said


_THINGS: Mapping[str, Callable[..., Any]] = {
    thing.__name__: thing
    for thing in (
        Serving.describe,
        Serving.again,
        Serving.side,
        Serving.call,
        Serving.after,
        Serving.verify,
        Serving.close,
    )
}


def serve(file: Path, questions: int, replies: int) -> None:
    """Answer questions until there are no more."""
    serving = Serving(file)
    sys.path.insert(0, str(file.resolve().parent))
    sys.meta_path.append(NothingElsewhere())
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
        guarded(),
    ):
        while (frame := _frame(questions)) is not None:
            asked = json.loads(frame)
            reply = {"nonce": asked["nonce"], **_reply(serving, asked["do"], file)}
            text = json.dumps(reply, separators=(",", ":"), ensure_ascii=False)
            raw = text.encode("utf-8", "replace")
            _write(replies, len(raw).to_bytes(HEADER, "big") + raw)


def _reply(serving: Serving, things: list[Any], file: Path) -> dict[str, Any]:
    try:
        return {"said": serving.do(things)}
    except tuple(RAISED.values()) as problem:
        kind = next(name for name, kind in RAISED.items() if type(problem) is kind)
        return {"raised": [kind, str(problem)]}
    except (SystemExit, GeneratorExit) as problem:
        return {
            "raised": [
                AnswerError.__name__,
                f"a function in {file.name} raised {type(problem).__name__}, which ends the whole "
                "program instead of a task, so nothing was judged. Leave with `return`.",
            ]
        }


def _frame(questions: int) -> bytes | None:
    header = _exactly(questions, HEADER)
    return _exactly(questions, int.from_bytes(header, "big")) if header is not None else None


def _exactly(questions: int, wanted: int) -> bytes | None:
    raw = b""
    while len(raw) < wanted:
        part = os.read(questions, wanted - len(raw))
        if not part:
            return None
        raw += part
    return raw


def _write(replies: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(replies, raw) :]


def main(argv: list[str]) -> None:
    """Serve a file within limits: `FILE QUESTIONS REPLIES UID LIMITS`.

    `LIMITS` is JSON: names of `resource`, such as RLIMIT_AS, and numbers. A UID above 0 is taken.
    """
    file, questions, replies, uid, limits = argv
    take_limits(json.loads(limits), int(uid))
    for fd in (int(questions), int(replies)):
        os.set_inheritable(fd, False)
    serve(Path(file), int(questions), int(replies))


def take_limits(limits: Mapping[str, int], uid: int) -> None:
    """Take the limits for good, and the rights of that user: before a line of the answer runs."""
    import resource

    for name, most in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
