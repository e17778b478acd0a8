"""Stop score where the input is broken, and let it work again."""

from __future__ import annotations

from datetime import datetime

from shared.arguments import Detail, Option, text
from shared.errors import ConfigError
from shared.job import Job
from shared.stops import append_stop, standing_stop

ACTOR = "drift"


def settle(job: Job, version: int, window_end: datetime, verdict: str, reason: str) -> None:
    """Stop score, or let it work again, as the verdict on the newest window says.

    A window that was stopped for once does not stop again: a person who cleared it is not overruled by it.
    """
    standing = standing_stop(job.database, job.as_of)
    if verdict == "stop":
        known = job.database.rows("SELECT max(window_end) AS newest FROM stops WHERE as_of <= %s", [job.as_of])
        newest = known[0]["newest"]
        if standing is None and (newest is None or newest < window_end):
            append_stop(job, "stop", version, window_end, ACTOR, reason)
            job.put_event("ScoringStopped", model_version=version, window_end=window_end, reason=reason)
    elif standing is not None and standing.window_end <= window_end:
        why = f"claims to {window_end:%Y-%m-%d} are whole again: {verdict}"
        append_stop(job, "clear", standing.model_version, standing.window_end, ACTOR, why)
        job.put_event("ScoringResumed", model_version=version)


def clear(job: Job, reason: str, actor: str) -> str:
    """Let score work again although no later verdict said so; the entry holds who and why.

    Raises
    ------
    ConfigError
        Nothing is stopped, or the clock stands before the last entry.
    """
    entries = job.database.rows("SELECT action, actor, as_of FROM stops ORDER BY as_of DESC, stop_id DESC LIMIT 1")
    if entries and entries[0]["as_of"] > job.as_of:
        raise ConfigError(
            f"the clock stands before {entries[0]['as_of']:%Y-%m-%d %H:%M}, when scoring was last stopped or cleared: "
            "the past cannot be changed; set CLAIMSIGHT_AS_OF later, or not at all"
        )
    standing = standing_stop(job.database, job.as_of)
    if standing is None:
        by = f"; {entries[0]['actor']} cleared it {entries[0]['as_of']:%Y-%m-%d %H:%M}" if entries else ""
        raise ConfigError(f"scoring of {job.contract.name} is not stopped{by}")
    append_stop(job, "clear", standing.model_version, standing.window_end, actor, reason)
    job.put_event("ScoringResumed", model_version=standing.model_version)
    return f"scoring of {job.contract.name} is cleared; it was stopped since {standing.since:%Y-%m-%d %H:%M}"


OPTIONS = (
    Option(
        "--clear",
        "REASON",
        "let score work again that was stopped for broken input",
        clear,
        (Detail("--actor", "NAME", "who decides", text, required=True),),
        parse=text,
    ),
)
