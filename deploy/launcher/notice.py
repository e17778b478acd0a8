"""What a notification says: stage, line, what happened, and where to look; of claims no more than how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .judge import Stopped
from .runs import Run

SUBJECT_LIMIT = 100
"""Characters that SNS takes as a subject."""
EVENTS: Mapping[str, tuple[str, str]] = {
    "ClaimsScored": (
        "{alerts} claims of {line} to look at now",
        "{alerts} of {claims} claims of {line} that were just scored are flagged and exceed the contract's alert "
        "amount ([review] alert_amount). They stand first in the worklist, with their reasons.",
    ),
    "DriftDetected": (
        "model of {line} no longer fits",
        "The claims of {line} to {window_end:.10} no longer look like those that model {model_version} learnt from. "
        "Train has been started; the model that stands scores on until a better one is promoted. The report's page on "
        "drift says what changed.",
    ),
    "ScoringStopped": (
        "scoring of {line} is stopped",
        "Drift found the claims of {line} to {window_end:.10} broken: {reason}. Nothing is scored until they are "
        "mended, or until someone says that they are right as they are; claims wait meanwhile. The runbook says how: "
        "docs/runbook.md, Scoring is stopped.",
    ),
    "ScoringResumed": (
        "scoring of {line} goes on",
        "The stop of scoring on {line} is over, and score has been started: claims that waited are scored now.",
    ),
}
"""Subject and text by event, with the names of its detail in braces."""


def write_event(event: Mapping[str, Any], environment: str) -> tuple[str, str] | None:
    """Subject and text of what an event has to say to people; None if it says nothing to them.

    >>> write_event({"detail-type": "ClaimsScored", "detail": {"line": "demo", "claims": 9, "alerts": 0}}, "dev")
    """
    name, detail = event["detail-type"], event.get("detail") or {}
    if name not in EVENTS or (name == "ClaimsScored" and not detail["alerts"]):
        return None
    subject, text = (template.format_map(detail) for template in EVENTS[name])
    return f"Claimsight {environment}: {subject}"[:SUBJECT_LIMIT], text


def write_overdue(run: Run, task: str, environment: str, logs: str, region: str) -> tuple[str, str]:
    """Subject and text of the notification of a task that does not end, while others wait for it."""
    text = "\n".join(
        [
            f"{run} has been at work for more than a day, and its next run waits for it.",
            "Look whether its log still grows. If not, stop the task:",
            "it is started again at once and goes on where it left off.",
            "",
            f"log      {log_link(f'{logs}/{run.stage}', f'task/{run.stage}/{task}', region)}",
            f"task     {task}",
        ]
    )
    return f"Claimsight {environment}: {run} does not end"[:SUBJECT_LIMIT], text


def write(stopped: Stopped, sentence: str, environment: str, release: str, logs: str, region: str) -> tuple[str, str]:
    """Subject and text of the notification of one stopped task."""
    run = stopped.run
    code = "no exit code" if stopped.exit_code is None else f"exit code {stopped.exit_code}"
    subject = f"Claimsight {environment}: {run} {_in_short(stopped)}"
    text = "\n".join(
        [
            f"{run} {sentence}.",
            "",
            f"reason   {code}; {stopped.reason or 'ECS gives no reason'}",
            f"log      {log_link(f'{logs}/{run.stage}', f'task/{run.stage}/{stopped.task}', region)}",
            f"task     {stopped.task}",
            f"started  by {run.event or 'hand'}, {run.attempt + 1}. try",
            f"release  {release}",
        ]
    )
    return subject[:SUBJECT_LIMIT], text


def log_link(group: str, stream: str, region: str) -> str:
    """Address of a log stream in CloudWatch's console, which wants its names escaped twice, with ``$`` for ``%``.

    >>> log_link("/claimsight/dev/etl", "task/etl/0f3", "eu-west-1").rpartition("#")[2]
    'logsV2:log-groups/log-group/$252Fclaimsight$252Fdev$252Fetl/log-events/task$252Fetl$252F0f3'
    """
    escaped = [quote(quote(name, safe=""), safe="").replace("%", "$") for name in (group, stream)]
    home = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    return f"{home}#logsV2:log-groups/log-group/{escaped[0]}/log-events/{escaped[1]}"


def _in_short(stopped: Stopped) -> str:
    return "never started" if stopped.exit_code is None else f"failed ({stopped.exit_code})"
