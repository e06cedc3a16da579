"""Imports run one way, so that each package can be read knowing only the ones before it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "mmlocks"

# Who may import whom, in reading order. Each name is a module or a package right inside mmlocks/.
BASICS = {"errors", "releases", "sentences"}
MM = BASICS | {"machine", "mm"}
SCENARIOS = MM | {"oracles", "search", "scenarios"}
LABS = SCENARIOS | {"explain", "labs"}
SHOW = LABS | {"show"}
ALL = SHOW | {"maps", "notebook", "conformance", "grading"}
MAY_IMPORT = {
    "errors": set[str](),
    "releases": {"errors"},
    "sentences": set[str](),
    "machine": BASICS,
    "search": {"errors", "sentences", "machine"},
    "mm": BASICS | {"machine"},
    "oracles": MM,
    "scenarios": MM | {"oracles", "search"},
    "explain": SCENARIOS,
    "labs": LABS,
    "show": LABS,
    "maps": MM | {"show"},
    "notebook": SHOW,
    "grading": SHOW,
    "conformance": MM | {"maps"},
    "cli": ALL,
    "__init__": LABS,
    "__main__": {"cli"},
}
STANDARD_LIBRARY_ONLY = {
    "__init__",
    "errors",
    "releases",
    "sentences",
    "machine",
    "search",
    "mm",
    "oracles",
    "scenarios",
    "explain",
    "labs",
}
MAY_IMPORT_WIDGETS = {"notebook/parsons.py", "notebook/player.py", "notebook/quiz.py"}


def imports(single: bool = False) -> Iterator[tuple[Path, int, str]]:
    """(file, line, dotted name) of every import in mmlocks/, wherever in the file it stands. `single` names what is imported from a package one by one."""
    for file in sorted(PACKAGE.rglob("*.py")):
        package = ("mmlocks", *file.relative_to(PACKAGE).parent.parts)
        for node in ast.walk(ast.parse(file.read_text(), str(file))):
            if isinstance(node, ast.Import):
                yield from ((file, node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                start = [] if node.level == 0 else list(package[: len(package) + 1 - node.level])
                base = ".".join([*start, *filter(None, [node.module])])
                # `from mmlocks import mm` and `from . import mm` name modules after the word import
                own = single or base == "mmlocks"
                names = [f"{base}.{alias.name}" for alias in node.names] if own else [base]
                yield from ((file, node.lineno, name) for name in names)


def part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def offences() -> Iterator[str]:
    parts = {part(file) for file in PACKAGE.rglob("*.py")}
    for file, line, name in imports():
        where, mine = f"{file.relative_to(REPOSITORY)}:{line}", part(file)
        top, _, rest = name.partition(".")
        if top == "mmlocks":
            theirs = rest.partition(".")[0]
            if theirs in parts and theirs not in MAY_IMPORT.get(mine, set()) | {mine}:
                yield f"{where} {mine} must not import mmlocks.{theirs}"
        elif mine in STANDARD_LIBRARY_ONLY and top not in sys.stdlib_module_names:
            yield f"{where} {mine} is core: the standard library only, not {top}"
        elif (
            top in {"ipywidgets", "anywidget"}
            and file.relative_to(PACKAGE).as_posix() not in MAY_IMPORT_WIDGETS
        ):
            yield f"{where} only {', '.join(MAY_IMPORT_WIDGETS)} imports {top}"


def test_imports_run_one_way() -> None:
    found = list(offences())
    assert not found, "\n" + "\n".join(found)


def test_every_part_has_its_place_in_the_order() -> None:
    unknown = {part(file) for file in PACKAGE.rglob("*.py")} - set(MAY_IMPORT)
    assert not unknown, f"say in MAY_IMPORT (this file) what these may import: {sorted(unknown)}"


def test_the_core_runs_on_the_standard_library_alone() -> None:
    core = [
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        for file in sorted(PACKAGE.rglob("*.py"))
        if part(file) in STANDARD_LIBRARY_ONLY
    ]
    # -I -S: no site-packages, no PYTHONPATH. Whatever is not in the standard library cannot be found.
    program = f"import sys, importlib; sys.path.insert(0, {str(REPOSITORY)!r})\n"
    program += f"for name in {core!r}: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_import_mmlocks_loads_no_third_party_module() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); before = set(sys.modules); import mmlocks\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names) - {'mmlocks'}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def circles() -> list[set[str]]:
    """Files of which each imports the next and the last one the first, one set for each knot of them (Tarjan 1972)."""
    modules = {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
    }
    names = {file: name for name, file in modules.items()}
    after: dict[str, set[str]] = {name: set() for name in modules}
    for file, _, imported in imports(single=True):
        after[names[file]].add(imported if imported in modules else imported.rpartition(".")[0])
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        waiting.append(name)
        for following in sorted(after[name] & modules.keys()):
            if following not in number:
                visit(following)
            if following in waiting:
                lowest[name] = min(lowest[name], lowest[following])
        if lowest[name] == number[name]:
            at = waiting.index(name)
            if len(waiting) - at > 1:
                found.append(set(waiting[at:]))
            del waiting[at:]

    for name in sorted(modules):
        if name not in number:
            visit(name)
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles() == []
