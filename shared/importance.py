"""How much each feature weighs in a model's probabilities, and whether two models lean on the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from shared.features import Floats
from shared.model import Model

WEIGHED = 2000
"""Claims that a feature's weight is the mean of: exact shares cost trees up to a millisecond a claim."""
FEWEST = 3
"""Features that a rank correlation needs: of two it can only be 1 or -1."""


def importance(model: Model, claims: pl.DataFrame, threads: int, seed: int = 0) -> dict[str, float]:
    """Weigh each feature: the mean over claims of |its share in the log odds|.

    Returns
    -------
    dict
        By feature, in the model's order, in log odds; empty without claims. Of many claims, drawn ones stand for all.
    """
    if claims.is_empty():
        return {}
    some = claims if claims.height <= WEIGHED else claims.sample(WEIGHED, seed=seed)
    known = model.known(some)
    weights = np.abs(model.contributions(known, threads)).mean(axis=0)
    return dict(zip(known.columns, map(float, weights), strict=True))


def rank_correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Spearman's correlation of two models' importances over the features that both look at.

    A feature that only one of them has, since the code or the contract changed, says nothing of how stable the rest is.

    Returns
    -------
    float or None
        From -1 to 1; None where they share fewer than three features, or all weigh the same in one model.

    >>> rank_correlation({"a": 3.0, "b": 2.0, "c": 1.0}, {"a": 0.3, "b": 0.2, "c": 0.1})
    1.0
    """
    names = sorted(first.keys() & second.keys())
    one, other = (_ranks([weights[name] for name in names]) for weights in (first, second))
    if len(names) < FEWEST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return round(float(np.corrcoef(one, other)[0, 1]), 12)


def _ranks(numbers: Sequence[float]) -> Floats:
    """Ranks, the mean of theirs for those that tie."""
    return pl.Series(numbers, dtype=pl.Float64).rank("average").to_numpy()
