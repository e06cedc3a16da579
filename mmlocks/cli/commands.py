"""How a command is found, and how it ends.

Bad input ends in one line and an exit status, never in a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from mmlocks.cli.needs import PACKAGES, package_of
from mmlocks.cli.terminal import Status, complain
from mmlocks.errors import MmlocksError


class Later(click.Command):
    """A command whose module is imported when the command runs, but not to list it."""

    def __init__(self, name: str, sentence: str, module: str) -> None:
        super().__init__(name, help=sentence)
        self.module = module

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context with which click runs the real command."""
        command: click.Command = getattr(importlib.import_module(self.module), str(self.name))
        return command.make_context(info_name, args, parent, **extra)


def later(modules: str, sentences: Mapping[str, str]) -> dict[str, click.Command]:
    """Commands by name. Command `name` is the object `name` in the module `modules` + `name`."""
    return {name: Later(name, sentence, modules + name) for name, sentence in sentences.items()}


class Commands(click.Group):
    """All commands, in the order in which they are listed."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The names in their order. Click would sort them."""
        return list(self.commands)

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run a command line, and end the process with the exit status of the command."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A character that the terminal does not have must not end the command.
                stream.reconfigure(errors="backslashreplace")
        sys.exit(self._guarded(sys.argv[1:] if args is None else list(args)))

    def _guarded(self, args: list[str]) -> int:
        if sys.stdout is None:  # closed before Python began, as by `>&-`
            complain("cannot write the output: it is closed.")
            return Status.USAGE
        try:
            done = self._run(args)
            sys.stdout.flush()
        except MmlocksError as problem:
            complain(str(problem))
            return Status.USAGE
        except click.ClickException as problem:
            return _usage(problem)
        except KeyboardInterrupt:
            done = Status.INTERRUPTED
        except BrokenPipeError:
            # The reader has ended, as in `mmlocks demo | head`. Python would flush again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Status.PIPE_CLOSED
        except OSError as problem:
            complain(f"cannot write the output: {problem.strerror or problem}.")
            return Status.USAGE
        except ModuleNotFoundError as missing:
            if package_of(missing) in PACKAGES:
                raise  # `mmlocks.cli.main` says how to install it
            return _defect()
        except Exception:
            return _defect()
        if done == Status.INTERRUPTED:
            complain("interrupted; nothing was decided.")
        return done

    def _run(self, args: list[str]) -> int:
        """Run a command as click's `main` does, but write nothing when interrupted."""
        try:
            with self.make_context(self.name, args) as context:
                done = self.invoke(context)
        except click.exceptions.Exit as left:  # after --help and --version
            return left.exit_code
        return done if isinstance(done, int) else Status.FINE


def _usage(problem: click.ClickException) -> int:
    """Say what is wrong with a command line, and which help to read."""
    context = problem.ctx if isinstance(problem, click.UsageError) else None
    where = context.command_path if context is not None else "mmlocks"
    said = " ".join(_words(problem).split())
    said = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in said)
    said = said if said.endswith((".", "?")) else f"{said}."
    complain(f"{said} See {where} --help", where)
    return Status.USAGE


def _words(problem: click.ClickException) -> str:
    """The words of click, except where ours are plainer."""
    if isinstance(problem, click.NoSuchOption | click.NoSuchCommand):
        from mmlocks.cli.names import did_you_mean

        return f"{problem.message} {did_you_mean(sorted(map(repr, problem.possibilities or ())))}"
    if isinstance(problem, click.BadParameter) and isinstance(problem.param, click.Argument):
        # Click calls an optional argument '[RUNG]'.
        problem.param_hint = f"'{problem.param.human_readable_name}'"
    return problem.format_message()


def _defect() -> int:
    import traceback

    traceback.print_exc()
    complain(
        "the text above shows a defect of mmlocks, not a mistake of yours. Please report it with "
        "that text."
    )
    return Status.DEFECT
