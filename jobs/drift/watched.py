"""What is watched of a window before any outcome is known: whom the champion flags, and what it leans on."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from jobs.drift.bias import parity
from jobs.drift.change import leaning
from jobs.drift.measure import Measure
from shared.champion import Champion
from shared.fairness import disparity, grouped
from shared.features import Floats
from shared.importance import importance, rank_correlation
from shared.job import Job


def watched(
    job: Job, found: Champion, start: datetime, end: datetime, claims: pl.DataFrame, probability: Floats
) -> list[Measure]:
    """Measure bias and importance of a window, and append the importance to its table.

    Parameters
    ----------
    claims : polars.DataFrame
        A random sample of the window's, as :func:`shared.claims.read_claims` gives them.
    probability : array of shape (n,)
        The champion's.
    """
    weights = importance(found.model, claims, job.settings.threads)
    frame = pl.DataFrame(
        {
            "model_version": found.version,
            "window_start": start.isoformat(),
            "window_end": end.isoformat(),
            "feature": list(weights),
            "value": list(weights.values()),
            "as_of": job.as_of.isoformat(),
            "run_id": job.run_id,
        }
    )
    if frame.height:
        job.database.append("importance", frame)
    flagged, unknown = (probability >= found.threshold).astype(float), np.full(claims.height, np.nan)
    gates = job.contract.gates
    measures = [
        measure
        for sensitive in grouped(claims, job.contract)
        for measure in parity(disparity(sensitive, unknown, flagged), gates.max_demographic_parity_difference)
    ]
    correlation = rank_correlation(weights, found.metrics["importance"])
    if correlation is not None:
        measures.append(leaning(correlation, gates.min_importance_correlation))
    return measures
