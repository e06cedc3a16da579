"""A deterministic multiprocessor: tasks are coroutines, and every awaited step is atomic.

It knows nothing of memory management.

Reading order: values, state, step, locks, rcu, task, machine, run, schedule. Then the code behind
the tasks: moment, loops, mistakes, apart, coroutine, foreign, crossing.
"""

from mmlocks.machine.locks import RwSem, SeqCount, SpinLock
from mmlocks.machine.machine import Blocked, Machine, Transition, Violation, Watch
from mmlocks.machine.rcu import Rcu
from mmlocks.machine.run import Run
from mmlocks.machine.schedule import Schedule
from mmlocks.machine.state import Cell, Counter, Layout, Record, View
from mmlocks.machine.step import Operation, operation, require, together
from mmlocks.machine.swap import Swap
from mmlocks.machine.values import Step

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
