"""The exit codes of every stage, and the errors that carry them.

The exit code is a stage's interface to the scheduler: findings (drift found, challenger refused, nothing to do) are
data and end with 0; each other code says who has to act, and whether trying again can help.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of a stage; the numbers follow BSD's ``sysexits.h`` where it has one for the meaning."""

    OK = 0
    CRASHED = 1
    USAGE = 2
    DATA = 65
    MODEL = 70
    TRANSIENT = 75
    CONFIG = 78
    KILLED = 137
    STOPPED = 143

    @property
    def sentence(self) -> str:
        """What the code means and what to do about it, in words for a report or a notification."""
        return _SENTENCES[self]


_SENTENCES = {
    ExitCode.OK: "did its work",
    ExitCode.CRASHED: "crashed on a fault of Claimsight's own; the log has the traceback",
    ExitCode.USAGE: "was started with wrong arguments",
    ExitCode.DATA: "refused input that breaks the contract beyond the reject limit; its rows are in quarantine",
    ExitCode.MODEL: "met a model that does not fit this code or contract, or was stopped by drift; the log says which",
    ExitCode.TRANSIENT: "could not reach a service it needs; it will be tried again",
    ExitCode.CONFIG: "found settings or a contract missing or malformed; mend them and start it again",
    ExitCode.KILLED: "was killed from outside (memory, or the stop timeout); what it had committed stands",
    ExitCode.STOPPED: "was stopped politely; the next run goes on where it left off",
}


class ClaimsightError(Exception):
    """A failure that is not a bug: one line that says what, where and what to do.

    Parameters
    ----------
    *problems : str
        Every problem found, each a sentence; all are reported at once.
    """

    exit_code: ExitCode

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class DataError(ClaimsightError):
    """Input breaks the contract beyond the reject limit."""

    exit_code = ExitCode.DATA


class ModelError(ClaimsightError):
    """A model does not fit this code or this contract, or scoring is stopped."""

    exit_code = ExitCode.MODEL


class TransientError(ClaimsightError):
    """A service cannot be reached; raised by adapters only, from their driver's own exception."""

    exit_code = ExitCode.TRANSIENT


class ConfigError(ClaimsightError):
    """Settings or contract are missing or malformed."""

    exit_code = ExitCode.CONFIG


class Stopped(BaseException):
    """SIGTERM arrived: unwind, roll back the batch in hand, and leave.

    Not an ``Exception``, so that no ``except Exception`` on the way swallows it.
    """
