"""Random edits of the kernel's own functions, as answers: what a learner might leave out, repeat, or put elsewhere."""

from __future__ import annotations

import ast
import copy
import importlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from mmlocks.mm.source import release_code
from mmlocks.mm.stubs import kernel_text

FORK_SIDE = ("dup_mmap", "copy_page_range", "copy_present_pte")
FAULT_SIDE = (
    "do_anonymous_page",
    "do_wp_page",
    "wp_page_copy",
    "vma_start_read",
    "lock_vma_under_rcu",
    "handle_mm_fault",
)

Edited = tuple[str, str]
"""The name of a kernel function, and its text after an edit."""


def edited(seed: int, release: str = "6.4.3") -> Edited:
    """One function, chosen and edited at random: one to three edits."""
    dice = random.Random(seed)
    name = dice.choice(FORK_SIDE if seed % 2 else FAULT_SIDE)
    tree = ast.parse(release_code(name, release))
    for _ in range(dice.choice((1, 1, 2, 3))):
        dice.choice(EDITS)(tree, dice)
    return name, ast.unparse(ast.fix_missing_locations(tree))


def function_of(name: str, text: str) -> Callable[..., Any]:
    """The function that a text defines, in the namespace where the kernel's own stands: its stubs, for those it calls."""
    module = importlib.import_module(kernel_text()[name].__module__)
    names = dict(vars(module))
    exec(compile(text, f"{name}.py", "exec", dont_inherit=True, flags=_annotations()), names)
    made: Callable[..., Any] = names[name]
    return made


def _annotations() -> int:
    import __future__

    return __future__.annotations.compiler_flag


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and not isinstance(node, ast.Module):
                yield block


def _somewhere(tree: ast.AST, dice: random.Random) -> tuple[list[ast.stmt], int]:
    block = dice.choice(list(_blocks(tree)))
    return block, dice.randrange(len(block))


def leave_out(tree: ast.AST, dice: random.Random) -> None:
    block, at = _somewhere(tree, dice)
    block[at] = ast.Pass()


def repeat(tree: ast.AST, dice: random.Random) -> None:
    block, at = _somewhere(tree, dice)
    block.insert(at, copy.deepcopy(block[at]))


def exchange(tree: ast.AST, dice: random.Random) -> None:
    block, at = _somewhere(tree, dice)
    if at:
        block[at - 1], block[at] = block[at], block[at - 1]


def move(tree: ast.AST, dice: random.Random) -> None:
    block, at = _somewhere(tree, dice)
    statement = block[at]
    block[at] = ast.Pass()
    other, to = _somewhere(tree, dice)
    other.insert(to, statement)


def turn_around(tree: ast.AST, dice: random.Random) -> None:
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    if tests:
        chosen = dice.choice(tests)
        chosen.test = ast.UnaryOp(ast.Not(), chosen.test)


def take_apart(tree: ast.AST, dice: random.Random) -> None:
    """What stands `together` in another order."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "together"
    ]
    if calls:
        chosen = dice.choice(calls)
        if (
            all(not isinstance(argument, ast.Starred) for argument in chosen.args)
            and len(chosen.args) > 1
        ):
            at = dice.randrange(1, len(chosen.args))
            chosen.args[at - 1], chosen.args[at] = chosen.args[at], chosen.args[at - 1]


EDITS = (leave_out, leave_out, repeat, exchange, exchange, move, turn_around, take_apart)
