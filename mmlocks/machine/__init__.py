"""A deterministic multiprocessor: tasks are coroutines, every awaited step is atomic, all state is one number.

It knows nothing of memory management. Reading order: state, step, locks, rcu, task, loops, moment, coroutine, watch, symmetry, machine, run, schedule.
"""

from mmlocks.machine.locks import RwSem, SeqCount, SpinLock
from mmlocks.machine.machine import Blocked, Machine, Transition, Violation
from mmlocks.machine.rcu import Rcu
from mmlocks.machine.run import Run
from mmlocks.machine.schedule import Schedule
from mmlocks.machine.state import Cell, Counter, Layout, Record, View
from mmlocks.machine.step import Operation, Step, operation, require, together
from mmlocks.machine.swap import Swap
from mmlocks.machine.watch import Watch

__all__ = [
    "Blocked",
    "Cell",
    "Counter",
    "Layout",
    "Machine",
    "Operation",
    "Rcu",
    "Record",
    "Run",
    "RwSem",
    "Schedule",
    "SeqCount",
    "SpinLock",
    "Step",
    "Swap",
    "Transition",
    "View",
    "Violation",
    "Watch",
    "operation",
    "require",
    "together",
]
