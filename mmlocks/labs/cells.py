"""A cell's text as Python: `%magics` and `!shell` lines become calls.

IPython does it where it is installed.
"""

from __future__ import annotations

import ast
import importlib
import io
import re
import textwrap
import tokenize
import warnings

MAGIC = re.compile(r"(?P<indent>\s*)%(?P<name>[^\W\d]\w*)\s*(?P<rest>.*)$")
SHELL = re.compile(r"(?P<indent>\s*)!(?P<twice>!?)(?P<rest>.*)$")
GIVEN = re.compile(r"(?P<target>\s*[\w.,\[\] ]+?)\s*=\s*(?P<sign>[%!])(?P<rest>.*)$")
HELP = re.compile(
    r"(?P<indent>\s*)(?:\?{1,2}(?P<after>[\w.*]+)|(?P<before>%{0,2}[\w.*]+)\?{1,2})\s*$"
)
PROMPT = re.compile(r"^(?:>>> ?|\.\.\. ?|In \[\d*\]: ?| *\.\.\.+: ?)", re.MULTILINE)


def as_python(source: str, own: bool = False) -> str:
    """The cell as Python text. Text that is Python already stays as it is; line numbers stay too.

    With `own` it does without IPython, as where that is not installed. Text that is still not
    Python is returned as well: the compiler will say why.
    """
    if _is_python(source):
        return source
    body = source.lstrip("\n")
    # IPython drops leading empty lines, and line numbers would change with them.
    before = "\n" * (len(source) - len(body))
    if own:
        return before + _without_ipython(body)
    try:
        ipython = importlib.import_module("IPython.core.inputtransformer2")
        return before + str(ipython.TransformerManager().transform_cell(body))
    except ImportError:
        return before + _without_ipython(body)
    except (SyntaxError, RuntimeError):  # the latter for hundreds of magics in one cell
        return source


def _is_python(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _without_ipython(source: str) -> str:
    """What IPython does to a cell, as far as learners use that."""
    if PROMPT.match(source):
        source = PROMPT.sub("", source)
    source = textwrap.dedent(source) if source[:1].isspace() else source
    head, _, body = source.partition("\n")
    cell_magic = re.match(r"%%(\S+)\s*(.*)$", head)
    if cell_magic:
        name, rest = cell_magic.groups()
        return f"get_ipython().run_cell_magic({name!r}, {rest!r}, {body!r})\n"
    lines = source.split("\n")
    for number, line in enumerate(lines):
        call = _call(line)
        # A line that looks like IPython's may stand inside a string or brackets.
        if call is not None and not _unfinished("\n".join(lines[:number])):
            lines[number] = call
    return "\n".join(lines)


def _call(line: str) -> str | None:
    """The Python of a line that could be IPython's."""
    if found := HELP.match(line):
        asked = "pinfo2" if "??" in line else "pinfo"
        return f"{found['indent']}{_magic(asked, found['after'] or found['before'])}"
    if found := MAGIC.match(line):
        return f"{found['indent']}{_magic(found['name'], found['rest'])}"
    if found := SHELL.match(line):
        asked = "getoutput" if found["twice"] else "system"
        return f"{found['indent']}get_ipython().{asked}({found['rest'].strip()!r})"
    if found := GIVEN.match(line):
        name, _, rest = found["rest"].partition(" ")
        shell = f"get_ipython().getoutput({found['rest'].strip()!r})"
        return f"{found['target']} = {shell if found['sign'] == '!' else _magic(name, rest)}"
    return None


def _magic(name: str, rest: str) -> str:
    return f"get_ipython().run_line_magic({name!r}, {rest.strip()!r})"


def _unfinished(text: str) -> bool:
    """Whether a string, a bracket or a line with a backslash is still open at the end."""
    try:
        for _ in tokenize.generate_tokens(io.StringIO(text + "\n").readline):
            pass
    except tokenize.TokenError:
        return True
    except SyntaxError:
        pass  # the compiler will say what is wrong
    return False
