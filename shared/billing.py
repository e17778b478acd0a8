"""What a run would be billed as a task on Fargate, at the dated prices of ``prices.toml``; none on Spot."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.sizes import Size

PRICES = Path(__file__).with_name("prices.toml")
START_SECONDS = 30.0
"""Assumed: until a task's image is there. Fargate bills it, and no task for less than a minute."""
LEAST_SECONDS = 60.0


def prices_of(region: str) -> dict[str, Any]:
    """Give a region's table."""
    found: dict[str, Any] = tomllib.loads(PRICES.read_text())[region]
    return found


def billed(seconds: float) -> float:
    """Seconds that Fargate bills for a run.

    >>> billed(2), billed(100)
    (60.0, 130.0)
    """
    return max(LEAST_SECONDS, START_SECONDS + seconds)


def an_hour(size: Size, prices: Mapping[str, Any]) -> float:
    """USD for an hour of a task, not on Spot; Fargate bills by the second.

    >>> an_hour(Size(1024, 2048), {"fargate_vcpu_hour": 0.04, "fargate_gb_hour": 0.005})
    0.05
    """
    return float(size.cpu / 1024 * prices["fargate_vcpu_hour"] + size.memory / 1024 * prices["fargate_gb_hour"])
