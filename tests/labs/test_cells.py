"""A cell becomes Python as IPython makes it, with IPython or without."""

from __future__ import annotations

import ast

import pytest

from mmlocks.labs import harmless
from mmlocks.labs.cells import as_python

CELLS = [
    "x = 1\n",
    "x = '%d' % 3\n%time x\n",
    "%matplotlib inline\nx = 1\n",
    "%%time\nx = 1\n",
    "%%capture out --no-stderr\nx = 1\n",
    "%%bash\nls | wc\n",
    "%%time",
    "!ls -l | wc\n",
    "!!ls\n",
    "x = !ls\n",
    "files, more = !ls\n",
    "y = %time 3\n",
    "a.b[0] = %pwd\n",
    "s = '''\n%time\n!x\n'''\n!x\n",
    "x = (10\n%time)\n!z\n",
    "x = [\n 1,\n]\n%who\n",
    "x = {\n  'a': 1,\n  # a comment\n}\n!ls {x}\n",
    "def f():\n    %time\n    !ls\n    return 1\n",
    "for i in range(3):\n    %time i\n",
    "if x:\n    y = !ls\nelse:\n    y = %pwd\n",
    "    x = 1\n    y = 2\n    %time\n",
    "?len\n",
    "len?\n",
    "len??\n",
    "x.y?\n",
    "%time?\n",
    ">>> x = 1\n>>> def f():\n...     return 1\n",
    "In [1]: x = 1\n   ...: y = 2\n",
    "\n\n%time\n",
    "# %time\n%time\n",
    "x = 1; y = 2\n%time",
    "%time # not a comment\nx = 1\n",
    "# note\n\n!true\n@staticmethod\ndef f():\n    return 2 \\\n        % 3\n",
    'f"{1}"\n%time\n',
    "async def f():\n    await g()\n    %time await g()\n",
]


@pytest.mark.parametrize("cell", CELLS)
def test_the_way_without_ipython_agrees_with_ipython(cell: str) -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    own = as_python(cell, own=True)
    assert own.strip() == TransformerManager().transform_cell(cell).strip()
    assert own.strip() == as_python(cell).strip()


@pytest.mark.parametrize(
    "cell", [cell for cell in CELLS if not cell.startswith(("%%", ">>>", "In [", "    "))]
)
def test_lines_keep_their_numbers(cell: str) -> None:
    made = as_python(cell).splitlines()
    assert len(made) == len(cell.splitlines())
    for old, new in zip(cell.splitlines(), made, strict=True):
        assert old == new or "get_ipython()" in new


def test_what_is_python_already_is_left_alone_to_the_byte() -> None:
    for cell in ("x = 1", "\n\n x\n".strip() + "\n", "def f():\n\treturn 3 % 2\n\n\n", "x % 3", ""):
        assert as_python(cell) is cell


@pytest.mark.parametrize(
    "cell",
    [
        "x = (",
        "def f(:\n",
        "'''",
        "\\",
        "%%",
        "%",
        "!",
        "x = !",
        "\0",
        "(" * 1000,
        "%time\n" * 60,
        "'''\n%time\n" * 101,
    ],
)
def test_what_is_no_python_is_left_to_the_compiler(cell: str) -> None:
    for own in (True, False):
        assert isinstance(as_python(cell, own), str)


def test_all_magics_of_ipython_are_known() -> None:
    from ipykernel.zmqshell import KernelMagics
    from IPython.core.interactiveshell import InteractiveShell

    had = InteractiveShell.initialized()
    shell = InteractiveShell.instance()
    try:
        magics = shell.magics_manager.lsmagic()
        assert set(magics["line"]) | set(KernelMagics.magics["line"]) <= harmless.LINE_MAGICS
        assert set(magics["cell"]) <= harmless.CELL_MAGICS
    finally:
        if not had:
            InteractiveShell.clear_instance()


def test_own_text_of_a_cell_parses_wherever_ipythons_does() -> None:
    for cell in CELLS:
        ast.parse(as_python(cell, own=True))
