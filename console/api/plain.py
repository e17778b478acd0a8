"""Values that JSON can write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Make None of what is not a finite number, however deep it stands.

    >>> plain({"low": float("nan"), "curve": [0.5, float("inf")]})
    {'low': None, 'curve': [0.5, None]}
    """
    return {key: _plain(value) for key, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
