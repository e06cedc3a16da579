"""fork_many(V, N) for frontrun: one task forks, N others store, V VMAs of one page each. Prints one line of JSON.

python fork_many_frontrun.py V N FIX [--driver engine|explore] [--seconds S]        FIX=0: Linux 6.4.0, without fb49c455323f

Whatever stands between two `await STEP` is one atomic step, as one `await` is in mmlocks.mm and one d_step in fork_many.pml.
frontrun is stateless: it runs the program again and again, and its DPOR chooses orders in which conflicting accesses change places.
What favours it here:
  - steps that read only what never changes are left out (Harmony calls that "folded");
  - every shared variable is a cell of its own (a bit per reader of a lock, a cell per word), so that few accesses conflict;
  - who would have to wait gives up instead, and the run is not judged (an "assume", as in Nidhugg): another order, in which he came later,
    is among those to be searched. That saves the many orders of failed attempts. It is a deadlock if nobody could go on at the end.

Two drivers. `explore` is the way the manual shows: frontrun.explore with async workers, which finds the accesses by tracing
bytecode, without a bound on preemptions. `engine` calls its Rust engine directly and reports the same accesses itself, with no
event loop and no tracing: about a hundred times as fast, with about as many executions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, NamedTuple

FREE = 0
POISON = -1
"""What a word holds in a frame that nobody owns."""
NEVER = -1
"""vm_lock_seq of a VMA that was never write-locked."""


class Step:
    """Awaited between two steps."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        """Let others run."""
        yield


STEP = Step()


class Cell:
    """A shared variable. `frontrun.explore` sees an access to `now` in the methods' bytecode."""

    __slots__ = ("now",)

    def __init__(self, now: Any) -> None:
        self.now = now

    def load(self) -> Any:
        """Its value."""
        return self.now

    def store(self, value: Any) -> None:
        """Give it another."""
        self.now = value


class Entry(NamedTuple):
    """A page-table entry."""

    frame: int
    write: bool


class Broken(Exception):
    """A property does not hold; the text is its oracle's name in mmlocks."""


def insist(holds: bool, oracle: str) -> None:
    if not holds:
        raise Broken(oracle)


class Memory:
    """Everything that the tasks share. Frames 0 to V-1 back the pages at the start; frame V+n-1 is CPU n's to allocate."""

    def __init__(self, vmas: int, writers: int, fixed: bool, cell: type[Cell] = Cell) -> None:
        def cells(*values: Any) -> tuple[Cell, ...]:
            return tuple(cell(value) for value in values)

        self.vmas, self.writers, self.fixed = vmas, writers, fixed
        words = -(-writers // vmas)  # writer n stores to VMA n modulo V, each to a word of its own
        self.mmap_writer = cell(FREE)
        self.mmap_readers = cells(*[False] * (writers + 1))
        self.mm_lock_seq = cell(0)
        self.vm_writer = cells(*[FREE] * vmas)
        self.vm_readers = [cells(*[False] * (writers + 1)) for _ in range(vmas)]
        self.vm_lock_seq = cells(*[NEVER] * vmas)
        self.ptl = cells(*[FREE] * vmas)
        self.pte = cells(*[Entry(page, True) for page in range(vmas)])
        self.child = cells(*[None] * vmas)
        self.count = cells(*[1] * vmas, *[0] * writers)
        self.data = [
            cells(*[0 if frame < vmas else POISON] * words) for frame in range(vmas + writers)
        ]
        self.truth = [cells(*[0] * words) for _ in range(vmas)]
        # CPU n's translation of the one page that it uses; CPU 1 has stored to it.
        self.tlb = cells(None, Entry(0, True), *[None] * (writers - 1))
        self.waiting: dict[int, tuple[Cell, tuple[Cell, ...]]] = {}

    def must_wait(self, cpu: int, writer: Cell, readers: tuple[Cell, ...] = ()) -> bool:
        """Whether a lock is taken, in which case `cpu` gives up."""
        if free(writer, readers):
            return False
        self.waiting[cpu] = (writer, readers)
        return True


def unlock_page(memory: Memory, me: int, page: int) -> None:
    insist(memory.ptl[page].load() == me, "lock_misuse")
    memory.ptl[page].store(FREE)


def folio_put(memory: Memory, frame: int) -> None:
    count = memory.count[frame].load()
    insist(count > 0, "references")
    memory.count[frame].store(count - 1)
    if count == 1:
        for word in memory.data[frame]:
            word.store(POISON)


def free(writer: Cell, readers: tuple[Cell, ...]) -> bool:
    """Whether a lock that these CPUs may hold can be taken."""
    return writer.load() == FREE and not any(reader.load() for reader in readers)


async def forker(memory: Memory) -> None:
    me, cpu = 1, 0
    if memory.must_wait(cpu, memory.mmap_writer, memory.mmap_readers):
        return
    memory.mmap_writer.store(me)
    for page in range(memory.vmas):
        if memory.fixed:
            await STEP
            # vma_start_write: never locked yet
            insist(memory.vm_lock_seq[page].load() != memory.mm_lock_seq.load(), "lock_misuse")
            await STEP
            writer = memory.vm_writer[page]
            if memory.must_wait(cpu, writer, memory.vm_readers[page]):
                return
            writer.store(me)
            await STEP
            memory.vm_lock_seq[page].store(memory.mm_lock_seq.load())
            insist(writer.load() == me, "lock_misuse")
            writer.store(FREE)
        await STEP
        lock = memory.ptl[page]
        if memory.must_wait(cpu, lock):
            return
        lock.store(me)
        frame = memory.pte[page].load().frame
        await STEP
        memory.count[frame].store(memory.count[frame].load() + 1)
        memory.pte[page].store(Entry(frame, False))
        memory.child[page].store(Entry(frame, False))
        unlock_page(memory, me, page)
    await STEP
    for translation in memory.tlb:  # flush_tlb_mm
        translation.store(None)
    await STEP
    memory.mm_lock_seq.store(memory.mm_lock_seq.load() + 1)  # vma_end_write_all
    await STEP
    insist(memory.mmap_writer.load() == me, "lock_misuse")
    memory.mmap_writer.store(FREE)


def mmu_store(memory: Memory, cpu: int, page: int, word: int) -> bool:
    """True if the store was completed, by the TLB or else by the page table; False for a page fault."""
    translation = memory.tlb[cpu].load()
    if translation is None or not translation.write:
        entry = memory.pte[page].load()
        if not entry.write:
            memory.tlb[cpu].store(None)
            return False
        if translation is None:
            translation = entry
            memory.tlb[cpu].store(entry)
    data = memory.data[translation.frame][word]
    insist(data.load() != POISON, "freed_frame")
    data.store(1)
    memory.truth[page][word].store(1)
    return True


async def lock_vma_under_rcu(memory: Memory, cpu: int, page: int) -> bool:
    """True with the VMA locked for reading."""
    if memory.vm_lock_seq[page].load() == memory.mm_lock_seq.load():  # first look
        return False
    await STEP
    if memory.vm_writer[page].load() != FREE:  # trylock, and the look that counts
        return False
    memory.vm_readers[page][cpu].store(True)
    if memory.vm_lock_seq[page].load() != memory.mm_lock_seq.load():
        return True
    await STEP
    memory.vm_readers[page][cpu].store(False)
    return False


async def handle_mm_fault(memory: Memory, me: int, cpu: int, page: int) -> bool:
    """False if a lock was taken and the CPU gives up."""
    entry = memory.pte[page].load()
    if entry.write:
        return True
    await STEP
    lock = memory.ptl[page]
    if memory.must_wait(cpu, lock):  # do_wp_page: lock, entry and count
        return False
    lock.store(me)
    if memory.pte[page].load() != entry:
        await STEP
        unlock_page(memory, me, page)
        return True
    if memory.count[entry.frame].load() == 1:
        await STEP
        memory.pte[page].store(Entry(entry.frame, True))
        unlock_page(memory, me, page)
        return True
    await STEP
    memory.count[entry.frame].store(memory.count[entry.frame].load() + 1)
    unlock_page(memory, me, page)
    return await wp_page_copy(memory, me, cpu, page, entry)


async def wp_page_copy(memory: Memory, me: int, cpu: int, page: int, entry: Entry) -> bool:
    mine = memory.vmas + cpu - 1
    await STEP  # allocate and copy, under no page-table lock
    insist(memory.count[mine].load() == 0, "references")
    memory.count[mine].store(1)
    for number in range(len(memory.data[mine])):
        word = memory.data[entry.frame][number].load()
        insist(word != POISON, "freed_frame")
        memory.data[mine][number].store(word)
    await STEP
    lock = memory.ptl[page]
    if memory.must_wait(cpu, lock):  # lock, and look again
        return False
    lock.store(me)
    if memory.pte[page].load() != entry:
        await STEP
        unlock_page(memory, me, page)
        await STEP
        folio_put(memory, mine)
        await STEP
        folio_put(memory, entry.frame)
        return True
    await STEP
    for other in range(1, memory.writers + 1):  # ptep_clear_flush, set_pte_at
        if (other - 1) % memory.vmas == page:
            memory.tlb[other].store(None)
    memory.pte[page].store(Entry(mine, True))
    for number in range(len(memory.data[mine])):
        insist(memory.data[mine][number].load() == memory.truth[page][number].load(), "lost_store")
    await STEP
    folio_put(memory, entry.frame)
    unlock_page(memory, me, page)
    await STEP
    folio_put(memory, entry.frame)
    return True


def writer(number: int) -> Callable[[Memory], Coroutine[Any, Any, None]]:
    """The program of one writer, CPU number + 1."""

    async def thread(memory: Memory) -> None:
        cpu, me = number + 1, number + 2
        page, word = number % memory.vmas, number // memory.vmas
        while not mmu_store(memory, cpu, page, word):
            await STEP
            if await lock_vma_under_rcu(memory, cpu, page):
                reader = memory.vm_readers[page][cpu]
            else:
                await STEP
                if memory.must_wait(cpu, memory.mmap_writer):
                    return
                reader = memory.mmap_readers[cpu]
                reader.store(True)
            await STEP
            if not await handle_mm_fault(memory, me, cpu, page):
                return
            await STEP
            insist(reader.load(), "lock_misuse")
            reader.store(False)
            await STEP

    return thread


def judge(memory: Memory) -> bool:
    """What the oracles say of a final state; nothing if somebody gave up who could go on now."""
    if memory.waiting:
        insist(
            any(free(writer, readers) for writer, readers in memory.waiting.values()), "deadlock"
        )
        return True
    insist(free(memory.mmap_writer, memory.mmap_readers), "held_at_end")
    for page in range(memory.vmas):
        insist(free(memory.vm_writer[page], memory.vm_readers[page]), "held_at_end")
        insist(memory.ptl[page].load() == FREE, "held_at_end")
        mine, childs = memory.pte[page].load(), memory.child[page].load()
        words = zip(memory.data[mine.frame], memory.truth[page], strict=True)
        insist(all(word.load() == truth.load() for word, truth in words), "lost_store")
        insist(mine.frame != childs.frame or not (mine.write or childs.write), "isolation")
    for cpu in range(1, memory.writers + 1):
        translation, now = memory.tlb[cpu].load(), memory.pte[(cpu - 1) % memory.vmas].load()
        insist(translation in (None, now, Entry(now.frame, False)), "stale_translation")
    mapped = [entry.load().frame for entry in (*memory.pte, *memory.child)]
    for frame, count in enumerate(memory.count):
        insist(count.load() == mapped.count(frame), "references")
    return True


def with_engine(vmas: int, writers: int, fixed: bool, seconds: float) -> dict[str, Any]:
    """Its Rust engine alone: each run is a handful of coroutines, and every access is reported as it happens.

    `conflict-first` finds the bug sooner; the default, depth first, takes the fewest executions where there is none.
    """
    from frontrun._dpor import PyDporEngine  # type: ignore[import-untyped]

    engine = PyDporEngine(writers + 1, search=None if fixed else "conflict-first")
    report = engine.report_access
    names = 0
    task: int | None = None

    class Reported(Cell):
        __slots__ = ("name",)

        def __init__(self, now: Any) -> None:
            nonlocal names
            super().__init__(now)
            self.name = names
            names += 1

        def load(self) -> Any:
            if task is not None:
                report(execution, task, self.name, "read")
            return self.now

        def store(self, value: Any) -> None:
            if task is not None:
                report(execution, task, self.name, "write")
            self.now = value

    threads = [forker, *(writer(number) for number in range(writers))]
    given_up = steps = 0
    violation = None
    began = time.perf_counter()
    while True:
        execution = engine.begin_execution()
        names, task = 0, None
        memory = Memory(vmas, writers, fixed, Reported)
        running = [thread(memory) for thread in threads]
        try:
            while (task := engine.schedule(execution)) is not None:
                steps += 1
                try:
                    running[task].send(None)
                except StopIteration:
                    execution.finish_thread(task)
            judge(memory)
        except Broken as broken:
            violation = str(broken)
        given_up += bool(memory.waiting)
        timed_out = time.perf_counter() - began > seconds
        more = engine.next_execution()
        if violation is not None or timed_out or not more:
            break
    outcome = "violated" if violation else "unproved" if more else "safe"
    return {
        "outcome": outcome,
        "violation": violation,
        "executions": engine.executions_completed,
        "given_up": given_up,
        "transitions": steps,
        "search_seconds": time.perf_counter() - began,
    }


def with_explore(vmas: int, writers: int, fixed: bool, seconds: float) -> dict[str, Any]:
    """frontrun.explore as the manual has it: exhaustive, with nothing detected that is not here, and no replays afterwards."""
    import frontrun  # type: ignore[import-untyped]

    began = time.perf_counter()

    async def explored() -> Any:
        return await frontrun.explore(
            setup=lambda: Memory(vmas, writers, fixed),
            workers=[forker, *(writer(number) for number in range(writers))],
            invariant=judge,
            preemption_bound=None,
            detect_io=False,
            reproduce_on_failure=0,
            total_timeout=seconds,
            timeout_per_run=seconds,
        )

    found = asyncio.run(explored())
    spent = time.perf_counter() - began
    violated = found.property_holds is False
    return {
        # It says that the property holds, too, when its time was up before it had seen everything.
        "outcome": "violated"
        if violated
        else "safe"
        if found.property_holds and spent < seconds
        else "unproved",
        "violation": (found.explanation or "").partition("\n")[0] if violated else None,
        "executions": found.num_explored,
        "search_seconds": spent,
    }


def main() -> None:
    """Search what the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("vmas", type=int)
    parser.add_argument("writers", type=int)
    parser.add_argument("fixed", type=int, choices=(0, 1))
    parser.add_argument("--driver", choices=("engine", "explore"), default="engine")
    parser.add_argument("--seconds", type=float, default=60.0)
    wanted = parser.parse_args()
    search = with_engine if wanted.driver == "engine" else with_explore
    found = search(wanted.vmas, wanted.writers, bool(wanted.fixed), wanted.seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
