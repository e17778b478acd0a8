"""What a person may decide: to promote a model that was refused, to go back to the champion before, and to look."""

from __future__ import annotations

import argparse
from datetime import date
from typing import Any

from jobs.evaluate.ab import ab
from jobs.evaluate.history import append, entries, live_on, mirror, succession, table
from shared.arguments import Detail, Option, text
from shared.champion import check_fits
from shared.errors import ConfigError, TransientError
from shared.job import Job

MOST_TOLD = 10
"""Models that a message names, the newest first."""


def override(job: Job, reason: str, actor: str, model: int | None) -> str:
    """Promote a model whatever its gates said; the entry holds who, why, and the gates with their verdicts.

    Parameters
    ----------
    model : int or None
        Version; or else the challenger that was refused last, if none was promoted since.

    Raises
    ------
    ConfigError
        There is no such model, it has no verdict, it stands already, or the clock stands before the last entry.
    ModelError
        It cannot score what the contract describes.
    """
    _refuse_the_past(job)
    if model is None:
        known = entries(job)
        if not known or known[-1]["alias"] != "refused":
            raise ConfigError("no challenger was refused since the last promotion; name a model with --model N")
        model = known[-1]["model_version"]
    return _promote(job, model, "override", reason, actor)


def rollback(job: Job, reason: str, actor: str) -> str:
    """Go back to the champion before; again, to the one before that. Forward goes evaluate, or --override --model N.

    Raises
    ------
    ConfigError
        There was none before, or the clock stands before the last entry.
    ModelError
        The champion before cannot score what the contract describes.
    """
    _refuse_the_past(job)
    line = succession(job)
    if not line:
        raise ConfigError("there is no champion yet")
    if not line[1:]:
        others = [version for version in _promotable(job) if version != line[0]]
        way = "promote another with --override REASON --model N" if others else "load more, and train another"
        raise ConfigError(
            f"there was no champion before model {line[0]}, which scores until another is champion; "
            f"{way}; {_newest(others, 'others judged')}"
        )
    return _promote(job, line[-2], "rollback", reason or f"rolled back from model {line[-1]}", actor)


def history(job: Job, _: str, on: date | None) -> str:
    """Print which model was live when, why, and who said so."""
    found: list[Any] = entries(job)
    found = found if on is None else live_on(found, on)
    print(table(found))
    return f"{len(found)} entries of the models of {job.contract.name}"


def _refuse_the_past(job: Job) -> None:
    later = job.database.rows("SELECT max(as_of) AS moment FROM model_history WHERE as_of > %s", [job.as_of])
    if later[0]["moment"] is not None:
        raise ConfigError(
            f"the clock stands before {later[0]['moment']:%Y-%m-%d %H:%M}, when a model was decided on last: what was "
            "live in the past cannot be changed; set CLAIMSIGHT_AS_OF later, or not at all"
        )


def _promote(job: Job, version: int, action: str, reason: str, actor: str) -> str:
    standing = next(reversed(succession(job)), None)
    if version == standing:
        raise ConfigError(f"model {version} is champion already")
    found = job.database.rows(
        "SELECT h.model_version, h.threshold, h.judged_start, h.judged_end, h.metrics::text, h.gates::text, "
        "m.artifact_uri, m.files_sha256 FROM models m LEFT JOIN model_history h ON h.model_version = m.model_version "
        "AND h.action = 'judged' WHERE m.model_version = %s AND m.as_of <= %s ORDER BY h.entry_id DESC LIMIT 1",
        [version, job.as_of],
    )
    if not found:
        raise ConfigError(f"there is no model {version}; {_newest(_promotable(job), 'models judged')}")
    judged = found[0]
    check_fits(judged.pop("artifact_uri"), judged.pop("files_sha256"), job.contract)
    if judged["threshold"] is None:
        why = "has no verdict yet: run evaluate" if judged["model_version"] is None else "was judged on no claims"
        raise ConfigError(f"model {version} {why}; without, there is no threshold to flag by")
    with job.database.transaction():
        append(job, {**judged, "alias": "champion", "action": action, "actor": actor, "reason": reason}, standing)
    job.put_event("ModelPromoted", model_version=version)
    try:
        mirror(job)
    except TransientError as error:  # it is done: whoever believed it failed would go back once more
        job.log("MLflow's aliases will follow with the next run of evaluate", reason=str(error))
    return f"model {version} is champion, in place of {'none' if standing is None else f'model {standing}'}"


def _promotable(job: Job) -> list[int]:
    """Models that were judged on any claims, so that they have a threshold to flag by; the newest first."""
    found = job.database.rows(
        "SELECT DISTINCT model_version AS version FROM model_history WHERE action = 'judged' "
        "AND threshold IS NOT NULL AND as_of <= %s ORDER BY version DESC",
        [job.as_of],
    )
    return [row["version"] for row in found]


def _newest(versions: list[int], name: str) -> str:
    """Name models.

    >>> _newest([3, 1], "models judged"), _newest([], "models judged")
    ('models judged, the newest first: 3, 1', 'models judged: none')
    """
    told = ", ".join(map(str, versions[:MOST_TOLD]))
    return f"{name}, the newest first: {told}" if versions else f"{name}: none"


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError("a day is written as 2024-03-31") from None


_ACTOR = Detail("--actor", "NAME", "who decides", text, required=True)
_MODEL = Detail("--model", "N", "version, in place of the challenger that was refused last", int)
_ON = Detail("--on", "DATE", "only what was live on that day", _day)
OPTIONS = (
    Option("--override", "REASON", "promote a model that was refused", override, (_ACTOR, _MODEL), parse=text),
    Option("--rollback", "REASON", "go back to the champion before", rollback, (_ACTOR,), str.strip, optional=True),
    Option("--history", "", "tell which model was live when, why, and who said so", history, (_ON,), looks=True),
    Option("--ab", "", "tell what the challenger's trial shows, and whether to stop it", ab, looks=True),
)
