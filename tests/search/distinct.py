"""Distinct executions (Mazurkiewicz traces) straight from the definition, to hold searches against. Slow on purpose: there is nothing clever to get wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mmlocks.machine import Machine
from mmlocks.machine.machine import Violation
from mmlocks.machine.step import Footprint


class Letter(NamedTuple):
    """A step: who takes it, where in its task, and what it may touch."""

    cpu: int
    node: int
    footprint: Footprint


NormalForm = tuple[frozenset[Letter], ...]
"""Foata's: the steps in levels, each as early as the steps that it conflicts with let it. Equal for all orders of one execution, and for no others."""


class Moment(NamedTuple):
    """A state, and the CPUs (bit mask) that broke a rule and stopped."""

    state: int
    stopped: int = 0


def conflicting(one: Letter, two: Letter) -> bool:
    (reads, writes, adds), (their_reads, their_writes, their_adds) = one.footprint, two.footprint
    return (
        one.cpu == two.cpu
        or bool(writes & (their_reads | their_writes | their_adds))
        or bool(their_writes & (reads | adds))
        or bool(adds & their_reads | their_adds & reads)
    )


def followed_by(form: NormalForm, letter: Letter) -> NormalForm:
    level = len(form)
    while level and not any(conflicting(letter, other) for other in form[level - 1]):
        level -= 1
    if level == len(form):
        return (*form, frozenset([letter]))
    return (*form[:level], form[level] | {letter}, *form[level + 1 :])


def moves(machine: Machine, now: Moment) -> Iterator[tuple[Letter, Moment]]:
    """What can happen next. A CPU that breaks a rule stops there; the others go on."""
    for cpu in machine.cpus:
        node = machine.node(now.state, cpu)
        outcome = None if now.stopped >> cpu & 1 else machine.outcome(now.state, node, cpu)
        if isinstance(outcome, Violation):
            yield (
                Letter(cpu, node.index, node.footprint),
                now._replace(stopped=now.stopped | 1 << cpu),
            )
        elif outcome is not None:
            yield Letter(cpu, node.index, node.footprint), now._replace(state=now.state + outcome)


def interleavings(machine: Machine) -> list[NormalForm]:
    """Every interleaving by itself, as the execution that it is."""
    found: list[NormalForm] = []
    work: list[tuple[NormalForm, Moment]] = [((), Moment(machine.initial))]
    while work:
        form, now = work.pop()
        after = [(followed_by(form, letter), then) for letter, then in moves(machine, now)]
        work += after
        if not after:
            found.append(form)
    return found


def executions(machine: Machine, most: int = 1_000_000) -> dict[NormalForm, Moment] | None:
    """Every distinct execution, and where it ends; None if it takes more than `most` beginnings of executions to find them.

    Grown step by step, beginnings that are the same taken as one. That they lead to the same state is what footprints promise; it is checked.
    """
    found: dict[NormalForm, Moment] = {}
    beginnings: dict[NormalForm, Moment] = {(): Moment(machine.initial)}
    while beginnings and most > 0:
        most -= len(beginnings)
        longer: dict[NormalForm, Moment] = {}
        for form, now in beginnings.items():
            after = list(moves(machine, now))
            if not after:
                found[form] = now
            for letter, then in after:
                assert longer.setdefault(followed_by(form, letter), then) == then, (
                    "conflicts are missing"
                )
        beginnings = longer
    return None if beginnings else found
