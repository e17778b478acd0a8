"""What a notification says: stage, line, what happened, and where to look. Never a word of claims."""

from __future__ import annotations

from urllib.parse import quote

from .judge import Stopped

SUBJECT_LIMIT = 100
"""Characters that SNS takes as a subject."""


def write(stopped: Stopped, sentence: str, environment: str, release: str, logs: str, region: str) -> tuple[str, str]:
    """Subject and text of the notification of one stopped task."""
    run = stopped.run
    code = "no exit code" if stopped.exit_code is None else f"exit code {stopped.exit_code}"
    subject = f"Claimsight {environment}: {run.stage} of {run.line} {_in_short(stopped)}"
    text = "\n".join(
        [
            f"{run.stage} of {run.line} {sentence}.",
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
