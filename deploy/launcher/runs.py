"""Which runs an event asks for, and what tells one run from another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.choreography import STAGES, started_by

WHOLE = "0/1"
"""Shard of a run that takes the whole line."""
SHARDED = "score"
"""The stage that may be divided, by a hash of the claims' ids."""
SHARD = re.compile(r"\d+/\d+")
FLAG = re.compile(r"--[a-z][a-z-]*")
"""All that an event may pass on: a value beside a flag could be a person's, and would stand in ECS's records."""


@dataclass(frozen=True)
class Run:
    """A stage to be started on a line of business.

    Attributes
    ----------
    cause : str
        What asked for it: the id of an event, or of the task in whose place it runs.
    event : str
        That event's name.
    shard : str
        Which part of the line's claims, ``i/n`` with i from 0.
    attempt : int
        How often it failed before.
    on_demand : bool
        Not on Spot capacity, which was just refused or taken away.
    """

    stage: str
    line: str
    cause: str
    event: str
    attempt: int = 0
    arguments: tuple[str, ...] = ()
    on_demand: bool = False
    shard: str = WHOLE

    def __str__(self) -> str:
        part = "" if self.shard == WHOLE else f" {self.shard}"
        return f"{self.stage}{part} of {self.line}"

    @property
    def group(self) -> str:
        """Runs of one group must not overlap."""
        return f"{self.stage}:{self.line}:{self.shard}"

    @property
    def command(self) -> list[str]:
        """What its container gets as arguments."""
        return [*([] if self.shard == WHOLE else ["--shard", self.shard]), *self.arguments]

    @property
    def token(self) -> str:
        """The same for the same cause, however often that is told: 32 hexadecimal digits."""
        text = "\n".join([self.cause, self.group, str(self.attempt)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def to_message(self) -> str:
        """As text, for a queue."""
        return json.dumps(asdict(self))


def from_message(text: str) -> Run:
    """Read what :meth:`Run.to_message` wrote.

    >>> run = Run("score", "demo", "e-1", "ClaimsLoaded", arguments=("--check",))
    >>> from_message(run.to_message()) == run
    True
    """
    fields = json.loads(text)
    return Run(**{**fields, "arguments": tuple(fields["arguments"])})


def runs_for(event: Mapping[str, Any], lines: Sequence[str], shards: int = 1) -> list[Run]:
    """Runs that an event asks for, in order: one a stage, line and shard, for all lines where it names none.

    Parameters
    ----------
    event : Mapping
        As EventBridge gives it, or a schedule in the same shape: ``id``, ``detail-type``, ``detail``. The detail may
        hold ``line`` and ``arguments`` (bare flags).
    lines : sequence of str
        Those that are served; for others there is nothing to do.
    shards : int
        Into how many score is divided, unless the event asks it for something else than its work.

    Raises
    ------
    KeyError
        No rule knows the event.
    ValueError
        An argument is more than a bare flag.

    >>> [run.group for run in runs_for({"id": "1", "detail-type": "DailySweep", "detail": {}}, ["demo"])]
    ['evaluate:demo:0/1', 'score:demo:0/1']
    """
    name, detail = event["detail-type"], event.get("detail") or {}
    arguments = tuple(detail.get("arguments", ()))
    if not all(isinstance(argument, str) and FLAG.fullmatch(argument) for argument in arguments):
        raise ValueError(f"{name}: its arguments must be bare flags such as --requeue; give values on the command line")
    named = _line(detail)
    concerned = [line for line in lines if named in (None, line)]
    return [
        Run(stage, line, event["id"], name, arguments=arguments, shard=shard)
        for stage in started_by(name)
        for line in concerned
        for shard in _shards(shards if stage == SHARDED and not arguments else 1)
    ]


def _shards(count: int) -> list[str]:
    return [f"{place}/{count}" for place in range(count)]


def _line(detail: Mapping[str, Any]) -> str | None:
    """The line that an event names; S3 names it as the second part of the object's key, ``drop/<line>/…``."""
    if "object" in detail:
        key: list[str] = detail["object"]["key"].split("/")
        return key[1] if len(key) > 2 else ""
    return detail.get("line")


def group_of(text: str) -> tuple[str, str, str] | None:
    """Stage, line and shard of a group; None if it is not one of a run of ours.

    >>> group_of("score:demo:1/4"), group_of("family:claimsight-dev-score"), group_of("service:mlflow")
    (('score', 'demo', '1/4'), None, None)
    """
    stage, _, rest = text.partition(":")
    line, _, shard = rest.partition(":")
    return (stage, line, shard) if stage in STAGES and line and SHARD.fullmatch(shard) else None
