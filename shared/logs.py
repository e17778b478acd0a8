"""Log records of every process in a container: one JSON object a line on stdout, never claimant data."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(line | getattr(record, "facts", {}), default=str)


def configure(stream: TextIO | None = None) -> None:
    """Send all records to stdout, or another stream: ours from info on, those of libraries from warning on."""
    out = logging.StreamHandler(stream or sys.stdout)
    out.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[out], force=True)
    logging.getLogger("claimsight").setLevel(logging.INFO)


def log(level: int, message: str, **facts: Any) -> None:
    """Write one record; facts are counts and names."""
    logging.getLogger("claimsight").log(level, message, extra={"facts": facts})
