"""The error of everything here: the Linux that runs us said no, or said something that we do not understand."""

from mmlocks.errors import MmlocksError


class HostError(MmlocksError):
    """A process, a file under /proc or a tool of this computer is not there, not ours, or not what it should be."""
