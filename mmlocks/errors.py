"""The errors a user can meet. Every message says who, what, where, and what to do next."""


class MmlocksError(Exception):
    """Base of all errors that are a user's or an author's to mend; its text is meant to be read as it is."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ModelError(MmlocksError):
    """A program or scenario asked the machine for something that it cannot do (an author's error)."""


class ScenarioTooSmall(ModelError):
    """A program is right to ask for more than its scenario has set aside: a VMA, a frame, a larger number in a counter.

    So it ends a search without a verdict. It is never the program's mistake.
    """


class UndeclaredAccess(ModelError):
    """An operation touched a cell that its footprint does not name: an error in the operation, and it makes searches unsound."""


class ScheduleError(MmlocksError):
    """A schedule text is damaged, foreign, or does not fit the program that it is to drive."""


class AnswerError(MmlocksError):
    """A learner's file or notebook cannot be read, or holds nothing that can be judged."""


class NotJudged(AnswerError):
    """A learner's code did what makes every verdict on it worthless, such as running kernel text outside of the kernel that is examined."""


class Undecided(MmlocksError):
    """A search cannot come to its end: its text says why. Nothing is known to be wrong, and nothing is proved."""


class GradingError(MmlocksError):
    """A file of a course cannot be used: a roster, submissions, results, or a gradebook."""


class NondeterminismError(MmlocksError):
    """A task asked for different steps after the same results, so no search of it can be trusted."""


class HostError(MmlocksError):
    """A process, a file under /proc or a tool of this computer is missing, belongs to another user, or is not what it should be."""
