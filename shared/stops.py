"""Whether score may work: the table ``stops``, of which the last entry holds.

Drift stops score where the input is broken, since scores of broken claims would be wrong without looking so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.database import Database

if TYPE_CHECKING:
    from shared.job import Job

# By the clock first: a replay of an earlier day may have written the later entry.
NEWEST = "SELECT * FROM stops WHERE as_of <= %s ORDER BY as_of DESC, stop_id DESC LIMIT 1"
"""The entry that holds at the clock's moment."""
STOPS = "SELECT * FROM stops WHERE as_of <= %s ORDER BY as_of, stop_id"
"""Every entry that was known by a moment; by the clock first, since a replay of an earlier day may have come later."""


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
        """What is broken, and since when, in words."""
        since = f"scoring of {line} is stopped since {self.since:%Y-%m-%d %H:%M}"
        return f"{since}, for drift found the input broken: {self.reason}"


def standing_stop(database: Database, as_of: datetime) -> Stop | None:
    """Look up the stop that holds at the clock's moment, or None: score may work."""
    return stop_of(database.rows(NEWEST, [as_of]))


def stop_of(found: Sequence[Mapping[str, Any]]) -> Stop | None:
    """Tell the stop that stands from the rows of `NEWEST`."""
    if not found or found[0]["action"] == "clear":
        return None
    row = found[0]
    return Stop(row["model_version"], row["window_end"], row["reason"], row["as_of"])


def stretches(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Times in which scoring stood still, the first first.

    Parameters
    ----------
    entries : iterable of mapping
        As :data:`STOPS` finds them.

    Returns
    -------
    list of dict
        The stop's entry, ``until`` and the entry that ``cleared`` it; None both for one that stands.
    """
    told: list[dict[str, Any]] = []
    for entry in entries:
        standing = bool(told) and told[-1]["until"] is None
        if entry["action"] == "stop" and not standing:
            told.append({**entry, "until": None, "cleared": None})
        elif entry["action"] == "clear" and standing:
            told[-1] |= {"until": entry["as_of"], "cleared": entry}
    return told


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
