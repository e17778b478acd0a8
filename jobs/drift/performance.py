"""How well a model does on claims whose outcome is known, and how well its own probabilities say that it will."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from shared.features import Floats
from shared.metrics import Ranking, percentile

METRICS = (
    "recall_at_capacity",
    "precision",
    "lift_top_decile",
    "average_precision",
    "roc_auc",
    "calibration",
    "prevalence",
)
OF_FLAGGED = ("precision", "calibration")
"""What the flagged claims alone can tell."""
RESAMPLES = 200
GROUPS = 500
"""Groups of about equal probability into which more claims than twice as many are put; those in one count as tied."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval, and its standard error."""

    value: float
    low: float
    high: float
    error: float


Figures = Mapping[str, Figure]


def realised(probability: Floats, y: Floats, weight: Floats, flagged: Floats, seed: int = 0) -> Figures:
    """Measure what came true.

    Parameters
    ----------
    probability, y, weight, flagged : arrays of shape (n,)
        Of claims with an outcome: the model's, 1 for fraud, how many claims each stands for, 1 where it is flagged.

    Returns
    -------
    dict
        `METRICS`, without those that cannot be told; ``precision`` and ``recall_at_capacity`` are of the flagged, and
        ``calibration`` is ``log(expected / actual frauds)``.

    Notes
    -----
    Intervals are those of the Bayesian bootstrap [1]_: each claim's weight times an exponential draw. The sum of such
    draws over claims of a group that are fraud, or not, is a gamma draw of the same mean and variance [2]_; so what it
    takes does not grow with the claims.

    .. [1] D. B. Rubin, The Bayesian bootstrap, Annals of Statistics 9 (1981), 130-134.
    .. [2] F. E. Satterthwaite, An approximate distribution of estimates of variance components, Biometrics 2 (1946),
       110-114.
    """
    groups = _grouped(probability, flagged).with_columns(y=pl.Series(y), weight=pl.Series(weight))
    cells = (
        groups.filter(pl.col("weight") > 0)
        .group_by("group", "flagged", "tied", "y", maintain_order=True)
        .agg(
            total=pl.col("weight").sum(),
            square=(pl.col("weight") ** 2).sum(),
            expected=(pl.col("weight") * pl.col("probability")).sum() / pl.col("weight").sum(),
        )
    )
    total, square, fraud, flag, expected = (
        cells[name].to_numpy() for name in ("total", "square", "y", "flagged", "expected")
    )
    drawn = np.random.default_rng(seed).gamma(total**2 / square, square / total, (RESAMPLES, total.size))
    ranking = Ranking(fraud, cells["tied"].to_numpy())
    whole, resampled = (
        _figures(ranking, weights, fraud[None, :], flag, expected) for weights in (total[None, :], drawn)
    )
    return _told(whole, resampled)


def estimated(probability: Floats, flagged: Floats, seed: int = 0) -> Figures:
    """Estimate from calibrated probabilities alone what will come true, before any outcome is known.

    Returns
    -------
    dict
        As :func:`realised` gives, without ``calibration``. The intervals hold chance only: how the outcomes may
        fall if the probabilities are right.

    Notes
    -----
    Each claim counts as a fraud to the share of its probability: confidence-based performance estimation, as in J.
    Bialek, W. Kuberski, N. Perrakis and A. Bifet, Estimating model performance under covariate shift without labels,
    2024, arXiv:2401.08348.
    """
    cells = (
        _grouped(probability, flagged)
        .group_by("group", "flagged", "tied", maintain_order=True)
        .agg(claims=pl.len().cast(pl.Float64), expected=pl.col("probability").mean())
    )
    claims, expected, flag = (cells[name].to_numpy() for name in ("claims", "expected", "flagged"))
    drawn = np.random.default_rng(seed).binomial(claims.astype(int), expected, (RESAMPLES, claims.size)) / claims
    ranking = Ranking(expected, cells["tied"].to_numpy())
    whole, resampled = (
        _figures(ranking, np.broadcast_to(claims, y.shape), y, flag, expected) for y in (expected[None, :], drawn)
    )
    return {name: figure for name, figure in _told(whole, resampled).items() if name != "calibration"}


def _grouped(probability: Floats, flagged: Floats) -> pl.DataFrame:
    claims = pl.DataFrame({"probability": probability, "flagged": flagged.astype(float)})
    rank = pl.col("probability").rank("dense" if claims.height <= 2 * GROUPS else "min")
    steps = 1 if claims.height <= 2 * GROUPS else claims.height / GROUPS
    return claims.with_columns(group=(rank / steps).cast(pl.Int64)).with_columns(
        # Below and above the threshold apart, so that what is flagged is told exactly.
        tied=pl.col("probability").mean().over("group", "flagged")
    )


def _figures(ranking: Ranking, weights: Floats, y: Floats, flagged: Floats, expected: Floats) -> dict[str, Floats]:
    """Every figure, of shape (resamples,)."""
    ranked = ranking.values(weights[:, ranking.order], np.broadcast_to(y, weights.shape)[:, ranking.order])
    frauds = weights * y
    total, found = frauds.sum(axis=1), frauds @ flagged
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "recall_at_capacity": found / total,
            "precision": found / (weights @ flagged),
            "calibration": np.log((weights @ expected) / total),
            **{name: ranked[name] for name in METRICS if name in ranked},
        }


def _told(whole: Mapping[str, Floats], resampled: Mapping[str, Floats]) -> Figures:
    found = {}
    for name in METRICS:
        value, draws = float(whole[name][0]), resampled[name][np.isfinite(resampled[name])]
        if not np.isfinite(value) or draws.size < 2:
            continue
        interval = percentile(value, draws)
        found[name] = Figure(value, interval.low, interval.high, float(draws.std()))
    return found
