"""Whether score may work: the table ``stops``, of which the last entry holds.

Drift stops score where the input is broken, since scores of broken claims would be wrong without looking so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.database import Database
from shared.errors import ModelError

if TYPE_CHECKING:
    from shared.job import Job


@dataclass(frozen=True)
class Stop:
    """A stop that stands.

    Attributes
    ----------
    window_end : datetime
        End of the window of claims that was found broken.
    reason : str
        What is broken.
    since : datetime
    """

    model_version: int
    window_end: datetime
    reason: str
    since: datetime

    def told(self, line: str) -> str:
        """What is broken, since when, and how to go on, in a sentence."""
        return (
            f"scoring of {line} is stopped since {self.since:%Y-%m-%d %H:%M}, for drift found the input broken: "
            f"{self.reason}; mend what is sent, or say that it is right as it is: "
            'python -m jobs.drift --clear "why" --actor you'
        )


def standing_stop(database: Database, as_of: datetime) -> Stop | None:
    """Look up the stop that holds at the clock's moment, or None: score may work."""
    found = database.rows(
        # By the clock first: a replay of an earlier day may have written the later entry.
        "SELECT * FROM stops WHERE as_of <= %s ORDER BY as_of DESC, stop_id DESC LIMIT 1",
        [as_of],
    )
    if not found or found[0]["action"] == "clear":
        return None
    row = found[0]
    return Stop(row["model_version"], row["window_end"], row["reason"], row["as_of"])


def refuse_stopped(job: Job) -> None:
    """Go no further under a standing stop.

    Raises
    ------
    ModelError
        One stands.
    """
    if standing := standing_stop(job.database, job.as_of):
        raise ModelError(standing.told(job.contract.name))


def append_stop(job: Job, action: str, model_version: int, window_end: datetime, actor: str, reason: str) -> None:
    """Append an entry.

    Parameters
    ----------
    action : str
        ``stop`` or ``clear``.
    """
    job.database.rows(
        "INSERT INTO stops (action, model_version, window_end, actor, reason, as_of, run_id) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [action, model_version, window_end, actor, reason, job.as_of, job.run_id],
    )
