"""What a packed state means: numbers for cells' values and tasks' moments, told to a process.

A state is one number. Its parts are numbers that are given out as the search goes on: a cell
numbers its values, a task its moments. Two processes that search the same program can exchange
states only if one of them gives the numbers out. It hands over its `Words`. The other process
builds the same machine and takes the words over. From then on it numbers nothing: a new value
raises `NewWord`, and the first process must number it.

The words include the tasks' automata, as far as they are known. So the other process runs no task's
code: it needs no learner's function, and need not be trusted with one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from mmlocks.errors import ModelError
from mmlocks.machine.machine import Machine
from mmlocks.machine.state import NewWord
from mmlocks.machine.step import Footprint
from mmlocks.machine.task import Answer
from mmlocks.machine.wire import from_plain, to_plain

Words = bytes
"""Compressed JSON, which holds nothing that is run when it is read.

Deterministic: equal machines, equal bytes.
"""


def words_of(machine: Machine) -> Words:
    """All numbers that `machine` has given out.

    Raises ModelError for a value that cannot travel.
    """
    plain = {
        "cells": [
            [cell.name, cell.bits, [to_plain(value) for value in cell.met]]
            for cell in machine.layout.cells
        ],
        "tasks": [
            {
                # What a task returned is not needed there. Its number keeps two ends apart.
                "answers": [
                    to_plain(replace(node.answer, value=node.index)) for node in task.nodes
                ],
                "footprints": [[*node.footprint, node.project] for node in task.nodes],
                "touched": [list(node.touched) for node in task.nodes],
                "edges": [
                    [node.index, to_plain(result), after]
                    for node in task.nodes
                    for result, after in zip(node.results, node.edges.values(), strict=True)
                ],
            }
            for task in machine.tasks
        ],
    }
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 1)


def dictated(machine: Machine, words: Words) -> Machine:
    """The same program in the words of the process that leads.

    `machine` is the program newly built; it cannot be used afterwards. Raises ModelError if it is
    not the same program.
    """
    plain = json.loads(zlib.decompress(words))
    layout = machine.layout
    _same(
        "cells",
        [[cell.name, cell.bits] for cell in layout.cells],
        [told[:2] for told in plain["cells"]],
    )
    _same("number of tasks", len(machine.tasks), len(plain["tasks"]))
    for cell, (name, _, values) in zip(layout.cells, plain["cells"], strict=True):
        for value in values:
            cell.encode(from_plain(value, layout))
        _same(f"values of {name}", [to_plain(value) for value in cell.met], values)
    answers = [
        [from_plain(answer, layout) for answer in task["answers"]] for task in plain["tasks"]
    ]
    names = [task.name for task in machine.tasks]
    first = [(name, _Dictated(told[0])) for name, told in zip(names, answers, strict=True)]
    made = machine.with_tasks(first)
    for task, told, answers_told in zip(made.tasks, plain["tasks"], answers, strict=True):
        for answer in answers_told[1:]:
            task.place(answer, ())
        _same(
            f"steps of {task.name}",
            [[*node.footprint, node.project] for node in task.nodes],
            told["footprints"],
        )
        for node, touched in zip(task.nodes, told["touched"], strict=True):
            node.touched = Footprint(*touched)
        for index, result, after in told["edges"]:
            task.connect(task.nodes[index], from_plain(result, layout), after)
    layout.dictated = True
    return made


def _same(what: str, here: object, there: object) -> None:
    if here != there:
        raise ModelError(
            "a process that helps to search has another program than the one that leads: their "
            f"{what} differ. Let both build the same one, with the same version of mmlocks."
        )


class _Dictated:
    """A task known only from what the leader sent."""

    def __init__(self, first: Answer) -> None:
        self._first = first

    def answer(self, results: Sequence[Any]) -> Answer:
        if results:
            raise NewWord
        return self._first

    def verify(self) -> NoReturn:
        raise NotImplementedError(
            "the process that leads the search runs the code, and verifies it"
        )
