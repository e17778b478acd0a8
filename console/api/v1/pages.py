"""Lists that are read page by page: where the next one begins is told as a text that only this module reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query

from console.api.problems import ProblemError

Limit = Annotated[int, Query(ge=1, le=1000, description="Entries of one page.")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the page before; without one, the first.")]
Since = Annotated[datetime | None, Query(description="Only what came then or later; UTC unless it names a zone.")]


def cursor_of(place: Sequence[object]) -> str:
    """Write a place in a list.

    >>> place_of(cursor_of(["2024-05-01T00:00:00+00:00", "C-17"]), (str, str))
    ['2024-05-01T00:00:00+00:00', 'C-17']
    """
    return base64.urlsafe_b64encode(json.dumps(list(place)).encode()).decode().rstrip("=")


def place_of(cursor: str | None, kinds: Sequence[type]) -> list[Any]:
    """Read what :func:`cursor_of` wrote; nothing known of each part for the first page.

    Raises
    ------
    ProblemError
        422: it did not.
    """
    if cursor is None:
        return [None] * len(kinds)
    try:
        place = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        place = None
    is_sound = isinstance(place, list) and [type(part) for part in place] == [*kinds]
    if not is_sound or any(isinstance(part, str) and "\x00" in part for part in place or ()):
        raise ProblemError(
            422, "the cursor is none", [{"field": "cursor", "message": "send `next` of the page before"}]
        )
    return list(place)


def in_utc(moment: datetime | None) -> datetime | None:
    """Take a moment without a zone as UTC."""
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
