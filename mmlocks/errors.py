"""The errors a user can meet. Every message says who, what, where, and what to do next."""


class MmlocksError(Exception):
    """Base of all errors that a user or an author can mend. Its text is shown as it is."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ModelError(MmlocksError):
    """A program or scenario asked the machine for something impossible: its author's error."""


class ScenarioTooSmall(ModelError):
    """A correct program needs more than its scenario has: VMAs, frames or room in a counter.

    It ends the search without a verdict. It is never the program's mistake.
    """


class UndeclaredAccess(ModelError):
    """An operation touched a cell that its footprint does not name.

    This is an error in the operation, and searches would be unsound.
    """


class ScheduleError(MmlocksError):
    """A schedule text is damaged, from another version, or does not fit the program."""


class AnswerError(MmlocksError):
    """A learner's file or notebook cannot be read, or has nothing in it to judge."""


class NotJudged(AnswerError):
    """A learner's code did something that makes every verdict on it worthless.

    For example, it ran kernel text outside the kernel that is being searched.
    """


class Undecided(MmlocksError):
    """A search cannot finish, and its text says why. Nothing was found and nothing is proved."""


class GradingError(MmlocksError):
    """A file of a course cannot be used: a roster, submissions, results, or a gradebook."""


class NondeterminismError(MmlocksError):
    """A task chose different steps after the same results, so a search of it proves nothing."""


class HostError(MmlocksError):
    """Something on this computer is missing, belongs to another user, or is damaged.

    It may be a process, a file under /proc, or a tool.
    """
