"""What people hand in for lab 07, as small edits of the exercise, and what must become of each.

`found` and `points` are the verdict of `mmlocks check`, "" where it refuses the file; `says` are words of its output. `marks` are the
points that the check cells give in a kernel, by nbval's rule and by nbgrader's (which also asks for an empty stderr); None where the cells
see another program than the file's last state, or where a kernel adds nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
EXERCISE = json.loads(
    (REPOSITORY / "exercises" / "lab07_fork_vs_fault.ipynb").read_text(encoding="utf-8")
)
# The stage before the answer cell defines nothing. Without it, the numbers below are those of old.
EXERCISE["cells"] = [
    cell
    for cell in EXERCISE["cells"]
    if cell["metadata"]["nbgrader"]["grade_id"] not in ("text_stage", "stage")
]
SETUP, ANSWER, CHECKS = 1, 3, (5, 7, 9, 11)

Notebook = dict[str, Any]
Edit = Callable[[Notebook], None]

GIVEN = "".join(EXERCISE["cells"][ANSWER]["source"])
COPIES = "        tmp = await vm_area_dup(mm, mpnt)\n"
RIGHT = GIVEN.replace(COPIES, f"        await vma_start_write(mpnt)\n{COPIES}")
FLUSH = "    await flush_tlb_mm(oldmm)\n"
SHARE = "async def share(mm, mpnt):\n    await vma_start_write(mpnt)\n    await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)\n"
SHARING = RIGHT.replace(
    "        await vma_start_write(mpnt)\n" + COPIES + "        await copy_page_range(tmp, mpnt)\n",
    "        await share(mm, mpnt)\n",
)
SYNTAX_ERROR = GIVEN.rstrip() + "\n    x = (\n"


def notebook(*edits: Edit) -> Notebook:
    """The exercise, edited."""
    made: Notebook = copy.deepcopy(EXERCISE)
    for edit in edits:
        edit(made)
    return made


def code(source: str) -> Notebook:
    """A code cell as JupyterLab inserts it."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def answer(source: str) -> Edit:
    """Another text in the answer cell."""

    def edit(made: Notebook) -> None:
        made["cells"][ANSWER]["source"] = source.splitlines(keepends=True)

    return edit


def insert(at: int, *sources: str) -> Edit:
    """New code cells from an index on."""

    def edit(made: Notebook) -> None:
        made["cells"][at:at] = [
            {**code(source), "id": f"new-{at}-{n}"} for n, source in enumerate(sources)
        ]

    return edit


def below(*sources: str) -> Edit:
    """New code cells right below the answer cell."""
    return insert(ANSWER + 1, *sources)


def above(*sources: str) -> Edit:
    """New code cells right above the answer cell."""
    return insert(ANSWER, *sources)


def change(at: int, of: Callable[[str], str]) -> Edit:
    """The text of one cell, changed."""

    def edit(made: Notebook) -> None:
        made["cells"][at]["source"] = of("".join(made["cells"][at]["source"]))

    return edit


def kind(name: str, at: int = ANSWER) -> Edit:
    """A cell turned to another kind."""

    def edit(made: Notebook) -> None:
        cell = made["cells"][at]
        cell["cell_type"] = name
        del cell["outputs"], cell["execution_count"]

    return edit


def stripped(made: Notebook) -> None:
    """All metadata gone, as some tools and web sites leave a notebook."""
    for cell in made["cells"]:
        cell["metadata"] = {}
    made["metadata"] = {}


def checks(of: Callable[[str], str] = lambda text: text, **metadata: Any) -> Edit:
    """The check cells, changed."""

    def edit(made: Notebook) -> None:
        for at in CHECKS:
            made["cells"][at]["metadata"].update(metadata)
            change(at, of)(made)

    return edit


def inside(line: str) -> str:
    """The right answer with one more line in its function, as its line 9."""
    return RIGHT.replace(FLUSH, f"{FLUSH}    {line}\n")


def dropped(made: Notebook) -> None:
    """The answer cell, deleted."""
    del made["cells"][ANSWER]


def indented(source: str) -> str:
    """The source, four columns to the right."""
    return "".join(f"    {line}\n" for line in source.splitlines())


def flushing(condition: str) -> str:
    """The right answer, which flushes under a condition."""
    return RIGHT.replace(FLUSH, f"    if {condition}:\n    {FLUSH}")


@dataclass(frozen=True)
class Case:
    """A notebook and what must become of it."""

    made: Notebook
    found: str
    points: int
    says: tuple[str, ...]
    marks: tuple[int, int] | None = None


def correct(
    *edits: Edit,
    says: str | tuple[str, ...] = "replaced: dup_mmap (cell 4).",
    marks: tuple[int, int] | None = (10, 10),
) -> Case:
    """A right answer."""
    return Case(notebook(*edits), "CORRECT", 10, (says,) if isinstance(says, str) else says, marks)


def wrong(
    *edits: Edit, says: str | tuple[str, ...], marks: tuple[int, int] | None = (0, 0)
) -> Case:
    """An answer that earns nothing."""
    return Case(notebook(*edits), "WRONG", 0, (says,) if isinstance(says, str) else says, marks)


def refused(
    *edits: Edit, says: str | tuple[str, ...], marks: tuple[int, int] | None = (0, 0)
) -> Case:
    """A file that is not judged, for a reason that is said."""
    return Case(notebook(*edits), "", 0, (says,) if isinstance(says, str) else says, marks)


CASES: dict[str, Case] = {
    # -- as it is shipped, and solved
    "solved": correct(answer(RIGHT)),
    "unsolved": wrong(says="replaced: dup_mmap (cell 4)."),
    # -- split, doubled, moved
    "answer_in_a_new_cell_below": correct(
        below(RIGHT),
        says=(
            "replaced: dup_mmap (cell 5).",
            "Cell 4 defines dup_mmap as well: what is run last counts.",
        ),
    ),
    "answer_in_a_new_cell_at_the_end": correct(
        lambda made: made["cells"].append({**code(RIGHT), "id": "end"}),
        says="replaced: dup_mmap (cell 15).",
        marks=None,
    ),
    "answer_in_a_new_cell_above_the_given_one": wrong(
        above(RIGHT), says=("dup_mmap (cell 5)", "Cell 4 defines dup_mmap as well")
    ),
    "helper_in_a_cell_above": correct(
        answer(SHARING), above(SHARE), says="replaced: dup_mmap (cell 5)."
    ),
    "helper_in_a_cell_below": correct(answer(SHARING), below(SHARE)),
    "constant_in_a_cell_of_its_own": correct(answer(flushing("FLUSH")), below("FLUSH = True")),
    "two_functions_in_two_cells": correct(
        answer(GIVEN),
        below(
            "async def copy_page_range(dst_vma, src_vma):\n    await vma_start_write(src_vma)\n"
            "    if await src_vma.anon_vma is None:\n        return\n"
            "    for page in src_vma.vm_mm.page_table.pages(await src_vma.vm_start, await src_vma.vm_end):\n"
            "        await copy_present_pte(dst_vma, src_vma, page)\n"
        ),
        says=("dup_mmap (cell 4)", "copy_page_range (cell 5)"),
    ),
    "answer_cell_twice_the_first_broken": correct(
        answer(SYNTAX_ERROR),
        below(RIGHT),
        says=(
            "replaced: dup_mmap (cell 5).",
            "Not run to its end: lab.ipynb, cell 4, line 9: '(' was never closed.",
        ),
    ),
    "answer_cell_twice_the_second_broken": wrong(
        below(RIGHT.replace("):", ")", 1)),
        says=(
            "replaced: dup_mmap (cell 4).",
            "Not run to its end: lab.ipynb, cell 5, line 1: expected ':'.",
        ),
    ),
    "answer_cell_that_fails_after_the_definition": correct(
        answer(f"{RIGHT}\nundefined_name\n"),
        says="Not run to its end: lab.ipynb, cell 4, line 10: NameError: name 'undefined_name' is not defined.",
    ),
    "helper_cell_that_fails": wrong(
        answer(SHARING),
        above(SHARE.replace("mpnt):", "mpnt)", 1)),
        says=(
            "Not run to its end: lab.ipynb, cell 4, line 1: expected ':'.",
            "name 'share' is not defined",
        ),
    ),
    "setup_again_after_the_answer": refused(
        answer(RIGHT),
        below(
            'from mmlocks.mm import *\nfrom mmlocks.show import lab, show, Player\nlab07 = lab("07")\n'
        ),
        says="cell 5 puts something else in the place of the dup_mmap of cell 4",
    ),
    "setup_again_before_the_answer": correct(
        answer(RIGHT), above("from mmlocks.mm import *"), says="dup_mmap (cell 5)"
    ),
    "deleted_again": refused(
        answer(RIGHT), below("del dup_mmap"), says="cell 5 puts something else in the place"
    ),
    "no_answer_cell": refused(dropped, says="has no cell that defines a kernel function"),
    # -- what a locked cell was given
    "import_added_to_the_setup_cell": correct(
        change(SETUP, lambda text: f"{text}\nimport itertools\n"),
        answer(
            RIGHT.replace(
                "in await for_each_vma(oldmm)", "in itertools.chain(await for_each_vma(oldmm))"
            )
        ),
    ),
    "import_added_to_a_check_cell": correct(
        change(CHECKS[0], lambda text: f"import itertools\n{text}"),
        answer(
            RIGHT.replace(
                "in await for_each_vma(oldmm)", "in itertools.chain(await for_each_vma(oldmm))"
            )
        ),
    ),
    "results_looked_at_in_check_cells": correct(
        answer(RIGHT), checks(lambda text: f"found = {text}\nfound\n")
    ),
    # -- what notebooks add to Python
    "time_cell_magic": correct(answer(f"%%time\n{RIGHT}")),
    "capture_cell_magic": correct(answer(f"%%capture\n{RIGHT}")),
    "timeit_cell_magic_keeps_nothing": refused(
        dropped,
        insert(ANSWER, f"%%timeit -n1 -r1\n{RIGHT}"),
        says="has no cell that defines",
        marks=None,
    ),
    "line_magics_and_shell_lines": correct(
        answer(f"%matplotlib inline\n!true\nfiles = !ls\n{RIGHT}\n%time 1 + 1\n")
    ),
    "magic_without_its_sign": correct(answer(RIGHT), below("pwd")),
    "help_asked_for": correct(answer(f"{RIGHT}\ndup_mmap?\n")),
    "autoreload": correct(
        answer(RIGHT),
        insert(SETUP, "%load_ext autoreload\n%autoreload 2\n"),
        says="dup_mmap (cell 5)",
    ),
    "markup_cell": correct(answer(RIGHT), above("%%html\n<b>mine</b>\n"), says="dup_mmap (cell 5)"),
    "own_module_written_by_a_magic": correct(
        above(f"%%writefile forking.py\nfrom mmlocks.mm import *\n\n{SHARE}"),
        change(ANSWER + 1, lambda _: f"from forking import share\n\n{SHARING}"),
        says="dup_mmap (cell 5)",
    ),
    "shell_asked_for_by_name": correct(
        answer(
            f"from IPython import get_ipython\nfrom IPython.display import display\nget_ipython().run_line_magic('time', '1')\ndisplay('x')\n{RIGHT}"
        )
    ),
    "display_and_shell_of_the_namespace": correct(
        answer(f"display(3)\nget_ipython().user_ns\n{RIGHT}")
    ),
    "await_at_the_left_margin": correct(answer(f"import asyncio\nawait asyncio.sleep(0)\n{RIGHT}")),
    "indented_cell": correct(answer(indented(RIGHT))),
    "prompts_copied_along": correct(
        answer(
            "".join(
                f"{'>>> ' if n == 0 else '... '}{line}\n"
                for n, line in enumerate(RIGHT.splitlines())
            )
        )
    ),
    "unknown_magic_before_the_answer": refused(
        answer(f"%nomagic\n{RIGHT}"),
        says="lab.ipynb, cell 4, line 1: NameError: there is no magic %nomagic",
    ),
    "unknown_magic_on_the_checks": wrong(
        checks(lambda text: f"%notmagic\n{text}"), says="replaced: dup_mmap (cell 4)."
    ),
    "unknown_cell_magic_on_the_checks": wrong(
        checks(lambda text: f"%%notmagic\n{text}"), says="replaced: dup_mmap (cell 4)."
    ),
    "checks_marked_to_raise": wrong(
        checks(tags=["raises-exception"]), says="replaced: dup_mmap (cell 4)."
    ),
    "checks_marked_to_be_skipped": wrong(
        checks(tags=["nbval-skip"]), says="replaced: dup_mmap (cell 4)."
    ),
    "checks_rewritten": wrong(
        checks(lambda _: "print('10 of 10')"), says="replaced: dup_mmap (cell 4).", marks=None
    ),
    # -- the lab's own calls
    "hint_in_the_answer_cell": correct(answer(f"{RIGHT}\nlab07.hint(1)\n")),
    "check_in_the_answer_cell": correct(answer(f'{RIGHT}\nlab07.check("lost_store", globals())\n')),
    "failing_check_in_the_answer_cell": wrong(
        answer(f'{GIVEN}\nlab07.check("lost_store")\n'), says="replaced: dup_mmap (cell 4)."
    ),
    "checks_without_globals": correct(
        answer(RIGHT), checks(lambda text: text.replace(", globals()", ""))
    ),
    # -- Python that needs a module, or flags
    "dataclass": correct(
        answer(
            "from dataclasses import dataclass\n\n@dataclass\nclass Plan:\n    flush: bool = True\n\n"
            + flushing("Plan().flush")
        )
    ),
    "dataclass_with_annotations_as_text": correct(
        answer(
            "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n\n@dataclass\nclass Plan:\n"
            "    kind: ClassVar[str] = 'x'\n    flush: bool = True\n\n" + flushing("Plan().flush")
        )
    ),
    "future_import_in_an_earlier_cell": correct(
        above("from __future__ import annotations"),
        change(ANSWER + 1, lambda _: RIGHT.replace("(mm, oldmm)", "(mm: NoSuchName, oldmm)")),
        says="replaced: dup_mmap (cell 5).",
    ),
    "named_tuple_and_enum": correct(
        answer(
            "import enum\nimport typing\n\nclass Kind(enum.Enum):\n    FORK = 1\n\nclass Plan(typing.NamedTuple):\n    kind: Kind = Kind.FORK\n\n"
            + flushing("Plan().kind is Kind.FORK")
        )
    ),
    "main_of_a_notebook": correct(answer("if __name__ == '__main__':\n" + indented(RIGHT))),
    # -- what a person may have done to the file
    "markdown_cell": refused(
        answer(RIGHT),
        kind("markdown"),
        says="lab.ipynb, cell 4, line 1: dup_mmap stands in a Markdown cell",
    ),
    "raw_cell": refused(
        answer(RIGHT),
        kind("raw"),
        says="lab.ipynb, cell 4, line 1: dup_mmap stands in a cell of kind 'raw'",
    ),
    "metadata_stripped": correct(answer(RIGHT), stripped),
    "metadata_stripped_and_a_syntax_error": refused(
        answer(RIGHT.replace("):", ")", 1)),
        stripped,
        says="lab.ipynb, cell 4, line 1: expected ':'.",
    ),
    "commented_out": refused(
        answer("".join(f"# {line}\n" for line in RIGHT.splitlines())),
        says="lab.ipynb, cell 4, line 1: dup_mmap is commented out",
    ),
    "inside_a_class": refused(
        answer("class Answer:\n" + indented(RIGHT)),
        says="lab.ipynb, cell 4, line 2: dup_mmap is defined inside of something else",
    ),
    "a_slip_in_the_name": refused(
        answer(RIGHT.replace("dup_mmap", "dup_map")),
        says="lab.ipynb, cell 4, line 1: there is no kernel function dup_map. Did you mean dup_mmap?",
    ),
    "a_number_by_that_name": refused(answer("dup_mmap = 3"), says="dup_mmap is an int"),
    "async_forgotten": refused(
        answer(RIGHT.replace("async def", "def")),
        says="lab.ipynb, cell 4, line 3: 'await' outside async function.",
    ),
    "async_and_await_forgotten": refused(
        answer(RIGHT.replace("async def", "def").replace("await ", "")),
        says="must be a function written `async def dup_mmap(...)`",
    ),
    # -- what ends or stops a program
    **{
        f"{word}_in_the_function": wrong(
            answer(inside(f"{word}()")),
            says=f"dup_mmap (lab.ipynb, cell 4, line 9): {said}() cannot be used here",
        )
        for word, said in (
            ("exit", "exit"),
            ("quit", "quit"),
            ("input", "input"),
            ("breakpoint", "breakpoint"),
        )
    },
    "sys_exit_in_the_function": wrong(
        answer(inside("import sys; sys.exit()")),
        says="SystemExit in dup_mmap (lab.ipynb, cell 4, line 9)",
    ),
    "os_exit_in_the_function": wrong(
        answer(inside("import os; os._exit(0)")),
        says="(lab.ipynb, cell 4, line 9): os._exit() cannot be used here",
    ),
    "debugger_in_the_function": wrong(
        answer(inside("import pdb; pdb.set_trace()")),
        says="(lab.ipynb, cell 4, line 9): set_trace() cannot be used here",
    ),
    "stdin_in_the_function": wrong(
        answer(inside("import sys; sys.stdin.readline()")),
        says="reading from stdin cannot be used here",
    ),
    "exit_after_the_function": correct(
        answer(f"{RIGHT}\nexit()\n"), says="lab.ipynb, cell 4, line 10: exit() cannot be used here"
    ),
    "quit_in_a_cell_of_its_own": correct(
        answer(RIGHT), below("quit"), says="lab.ipynb, cell 5, line 1: quit() cannot be used here"
    ),
    "input_before_the_function": refused(
        answer(f"name = input('Your name: ')\n{RIGHT}"),
        says="lab.ipynb, cell 4, line 1: input() cannot be used here",
    ),
    "breakpoint_before_the_function": refused(
        answer(f"breakpoint()\n{RIGHT}"),
        says="lab.ipynb, cell 4, line 1: breakpoint() cannot be used here",
        marks=None,
    ),
    "sys_exit_after_the_function": correct(
        answer(f"{RIGHT}\nimport sys\nsys.exit(0)\n"), says="lab.ipynb, cell 4, line 11: SystemExit"
    ),
    # -- what is printed
    "print_in_the_function": correct(answer(inside("print('flushed')"))),
    "print_to_stderr_in_the_function": correct(
        answer(inside("import sys; print('flushed', file=sys.stderr)"))
    ),
    "stderr_kept_from_the_answer_cell": correct(
        answer("from sys import stderr\n" + inside("print('flushed', file=stderr)"))
    ),
    "logging_in_the_function": correct(
        answer("import logging\n" + inside("logging.warning('flushed %s', oldmm)"))
    ),
    "logging_set_up_in_the_answer_cell": correct(
        answer(
            "import logging\nlogging.basicConfig(level=logging.DEBUG)\nlog = logging.getLogger('mine')\n"
            + inside("log.debug('flushed')")
        )
    ),
    "warning_in_the_function": correct(
        answer("import warnings\n" + inside("warnings.warn('flushed')"))
    ),
    "display_in_the_function": correct(answer(inside("display('flushed')"))),
}
