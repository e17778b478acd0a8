"""Segments of an address that may hold a slash, as ids of claims do: sent as ``%2F``, it parts nothing."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Path
from pydantic import BeforeValidator

# Postgres knows no NUL in a text.
Segment = Annotated[str, BeforeValidator(unquote), Path(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
"""A parameter of a path."""
ClaimId = Segment


def routed(raw_path: bytes) -> str:
    """Decode a path segment by segment: within one, a slash and a percent sign stay encoded until it is a `Segment`.

    A server decodes all of it, and then nobody knows which slash was part of an id.

    >>> routed(b"/api/claims/2024%2f7/photos/%C3%A9.jpg"), routed(b"/50%25")
    ('/api/claims/2024%2F7/photos/é.jpg', '/50%25')
    """
    parts = (unquote(part) for part in raw_path.decode("latin-1").split("/"))
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
