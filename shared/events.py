"""Events: hints to others that there may be something to do. Here a file of JSON lines, read by the local run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def put(bus: Path, event: str, line: str, detail: Mapping[str, object]) -> None:
    """Append one event.

    Parameters
    ----------
    bus : Path
        The file; made if absent.
    event : str
        A name of ``shared.choreography``.
    line : str
        Line of business it concerns.
    detail : Mapping
        Small and free of claimant data.
    """
    bus.parent.mkdir(parents=True, exist_ok=True)
    record = json.dumps({"event": event, "line": line, "detail": dict(detail)}, default=str) + "\n"
    # One write to a file opened for appending: two stages at once do not mix their lines.
    descriptor = os.open(bus, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, record.encode())
    finally:
        os.close(descriptor)


def read(bus: Path, offset: int) -> tuple[list[str], int]:
    """Names of the events put since an offset, and the offset to go on from."""
    if not bus.exists():
        return [], offset
    with bus.open("rb") as file:
        file.seek(offset)
        lines = file.readlines()
    whole = [line for line in lines if line.endswith(b"\n")]
    return [json.loads(line)["event"] for line in whole], offset + sum(map(len, whole))
