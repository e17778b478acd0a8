"""What a champion makes of a window's claims: nothing yet."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from jobs.drift.measure import Measure
from shared.champion import Champion
from shared.features import Floats
from shared.job import Job


def watched(
    _job: Job, _found: Champion, _start: datetime, _end: datetime, _claims: pl.DataFrame, _probability: Floats
) -> list[Measure]:
    """Measure bias and importance on a sample of a window's claims."""
    return []
