"""What is to be done about a task that stopped: the table of exit codes, applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.errors import ExitCode

from .runs import WHOLE, Run, group_of

SCORE = "score"
"""It ends with 70 each time it is started while drift has stopped it."""
DELAYS = (60, 300, 900)
"""Seconds before each further try of what may pass by itself; SQS delays no message longer than 900."""
NO_CAPACITY = ("Capacity is unavailable", "RESOURCE:")
"""How ECS begins to say that it has no room for a task."""


@dataclass(frozen=True)
class Stopped:
    """A task of ours that stopped.

    Attributes
    ----------
    run : Run
        What it was started for.
    task : str
        Its id, the last part of its ARN.
    exit_code : int, optional
        That of its container; None if it never started.
    code, reason : str
        ECS's words, ``stopCode`` and ``stoppedReason`` with the container's own reason.
    held : bool
        Whether something asked for the same while it ran.
    """

    run: Run
    task: str
    exit_code: int | None
    code: str
    reason: str
    held: bool

    @property
    def mark(self) -> str:
        """What tells its notice from others: the task, but what score refuses it refuses until someone acts."""
        refused = self.run.stage == SCORE and self.exit_code == ExitCode.MODEL
        return refusal_of(self.run) if refused else self.task


def refusal_of(run: Run) -> str:
    """Mark of the one notice that tells of all refusals of score on a line, until it works again."""
    return f"{run.stage}-{run.line}-{int(ExitCode.MODEL)}"


@dataclass(frozen=True)
class Done:
    """Nothing has to be done."""


@dataclass(frozen=True)
class Again:
    """Start a run after some seconds."""

    run: Run
    delay: int = 0


@dataclass(frozen=True)
class Tell:
    """Somebody has to act: a sentence that says what happened."""

    sentence: str


def read(task: Mapping[str, Any]) -> Stopped | None:
    """Read a task as ECS describes it, with its tags; None if it is not the run of a stage."""
    named = group_of(task.get("group") or "")
    if named is None:
        return None
    stage, line, shard = named
    tags = {tag["key"]: tag["value"] for tag in task.get("tags", ())}
    container: Mapping[str, Any] = next((one for one in task.get("containers", ()) if one["name"] == stage), {})
    overrides = task.get("overrides", {}).get("containerOverrides", ())
    command = next((one.get("command", ()) for one in overrides if one["name"] == stage), ())
    identity = task["taskArn"].rsplit("/", 1)[-1]
    run = Run(
        stage,
        line,
        cause=identity,
        event=tags.get("event", ""),
        # Of a task that ECS has forgotten nobody knows how often it was tried: once is enough then.
        attempt=int(tags.get("attempt", len(DELAYS))),
        arguments=tuple(command if shard == WHOLE else command[2:]),
        on_demand=task.get("capacityProviderName") == "FARGATE",
        shard=shard,
    )
    reasons = [task.get("stoppedReason") or "", container.get("reason") or ""]
    return Stopped(
        run,
        identity,
        container.get("exitCode"),
        task.get("stopCode") or "",
        "; ".join(dict.fromkeys(filter(None, reasons))),
        held="held" in tags,
    )


def judge(stopped: Stopped) -> Done | Again | Tell:
    """Whether a stopped task did its work, is to be started again, or is to be told of.

    A new run has the stopped task as its cause, and so a token of its own; that of a doubled event is the same.
    """
    run = stopped.run
    refused = stopped.exit_code is None and stopped.reason.startswith(NO_CAPACITY)
    match stopped.exit_code:
        case ExitCode.OK:
            return Done()
        case _ if stopped.code == "SpotInterruption" or (refused and not run.on_demand):
            return Again(_again(run, on_demand=True))
        case ExitCode.STOPPED:
            return Again(_again(run))
        case ExitCode.KILLED if run.attempt == 0:
            return Again(_again(run, failed=True))
        case ExitCode.TRANSIENT if run.attempt < len(DELAYS):
            return Again(_again(run, failed=True), DELAYS[run.attempt])
        case None if refused and run.attempt < len(DELAYS):
            return Again(_again(run, failed=True), DELAYS[run.attempt])
        case ExitCode.TRANSIENT:
            return Tell(f"{ExitCode.TRANSIENT.sentence} by its next event or schedule; this was the last try for now")
    return Tell(sentence(stopped.exit_code))


def sentence(exit_code: int | None) -> str:
    """What an exit code means, or that there is none.

    >>> sentence(None), sentence(139)
    ('never started', 'ended with exit code 139, which is none of a stage; its log may tell more')
    """
    if exit_code is None:
        return "never started"
    if exit_code in set(ExitCode):
        return ExitCode(exit_code).sentence
    return f"ended with exit code {exit_code}, which is none of a stage; its log may tell more"


def follow_up(stopped: Stopped) -> Run:
    """The run that catches up with what was held while another was at work."""
    return Run(stopped.run.stage, stopped.run.line, stopped.task, "Held", shard=stopped.run.shard)


def _again(run: Run, *, failed: bool = False, on_demand: bool | None = None) -> Run:
    return replace(run, attempt=run.attempt + failed, on_demand=run.on_demand if on_demand is None else on_demand)
