"""Events: hints to others that there may be something to do, on a bus of Amazon EventBridge.

Here they go to a file of JSON lines instead, which the local run reads.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from shared import aws
from shared.errors import ConfigError, TransientError
from shared.settings import EventBus

SOURCE = "claimsight"
"""Of every event, for the rules of the bus to look for."""


def put(bus: Path | EventBus, event: str, line: str, detail: Mapping[str, object]) -> None:
    """Put one event.

    Parameters
    ----------
    bus : Path or EventBus
        A file is made if absent. On a bus the event's name is its detail type, and the line stands in its detail.
    event : str
        A name of ``shared.choreography``.
    line : str
        Line of business it concerns.
    detail : Mapping
        Small and free of claimant data.

    Raises
    ------
    ConfigError, TransientError
        The bus refuses, or cannot be reached; the file cannot be written.
    """
    if isinstance(bus, EventBus):
        _send(bus, event, {"line": line, **detail})
    else:
        _append(bus, {"event": event, "line": line, "detail": dict(detail)})


def check(bus: Path | EventBus) -> None:
    """Look whether the bus is there, or that a file can be appended to; raises as :func:`put` does."""
    if isinstance(bus, EventBus):
        with aws.translated("EventBridge", str(bus)):
            aws.client("events").describe_event_bus(Name=bus.name)
    else:
        os.close(_opened(bus))


def _send(bus: EventBus, event: str, detail: Mapping[str, object]) -> None:
    entry = {"EventBusName": bus.name, "Source": SOURCE, "DetailType": event, "Detail": json.dumps(detail, default=str)}
    with aws.translated("EventBridge", f"{bus}: {event}"):
        (answer,) = aws.client("events").put_events(Entries=[entry])["Entries"]
    if code := answer.get("ErrorCode"):  # the request itself went well
        kind = TransientError if code in aws.PASSING else ConfigError
        raise kind(f"{bus}: {event} was not taken ({code}); a daily sweep does what it would have started")


def _append(file: Path, record: Mapping[str, object]) -> None:
    text = json.dumps(record, default=str) + "\n"
    descriptor = _opened(file)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _opened(file: Path) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # One write to a file opened for appending: two stages at once do not mix their lines.
        return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # which passes
            raise
        raise ConfigError(f"CLAIMSIGHT_EVENTS: {file}: {error.strerror}; name a file that can be written") from error


def read(bus: Path, offset: int) -> tuple[list[str], int]:
    """Names of the events put since an offset, and the offset to go on from."""
    if not bus.exists():
        return [], offset
    with bus.open("rb") as file:
        file.seek(offset)
        lines = file.readlines()
    whole = [line for line in lines if line.endswith(b"\n")]
    return [json.loads(line)["event"] for line in whole], offset + sum(map(len, whole))
