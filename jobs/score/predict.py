"""Decide about claims: how probable fraud is, whether to look, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import polars as pl

from jobs.score.unscorable import unscorable
from shared.draws import DRAWS
from shared.features import Feature, Floats
from shared.model import Model

REASONS = 3
AUDIT_OF_CAPACITY = 0.1
"""Share of the review capacity that goes to claims nobody suspects: only so can recall be known."""


def audit_share(capacity_per_week: int, claims_per_week: float) -> float:
    """Share of the claims to audit, from 0 to 1.

    >>> audit_share(25, 250.0), audit_share(25, 0.0)
    (0.01, 1.0)
    """
    return min(1.0, AUDIT_OF_CAPACITY * capacity_per_week / max(claims_per_week, 1e-9))


def predict(claims: pl.DataFrame, model: Model, threshold: float, audit_share: float, threads: int) -> pl.DataFrame:
    """Score claims.

    Parameters
    ----------
    claims : polars.DataFrame
        ``claim_id``, ``draw`` (a whole number from 0 to 2^32, a hash of the claim's id) and the model's source columns.
    threshold : float
        Probability from which a claim is flagged.
    audit_share : float
        Share of the unflagged claims to audit, from 0 to 1; the same claims each time, since the draw goes with the id.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``fraud_probability``, ``flagged``, ``audited``, ``reasons`` (JSON, for flagged and audited
        claims only) and ``unscorable`` (why a claim has no score; null where it has one). Rows as they came.
    """
    known = model.known(claims)
    probability = model.fraud_probability(known, threads)
    why = unscorable(known, probability)
    scored = why.is_null().to_numpy()
    flagged = scored & (probability >= threshold)
    audited = scored & ~flagged & (claims["draw"].to_numpy() < audit_share * DRAWS)
    explained = flagged | audited
    reasons: list[str | None] = [None] * claims.height
    if explained.any():
        asked = known.filter(pl.Series(explained))
        texts = explain(asked, model.contributions(asked, threads), model.features)
        for place, text in zip(np.flatnonzero(explained), texts, strict=True):
            reasons[place] = text
    return pl.DataFrame(
        {
            "claim_id": claims["claim_id"],
            "fraud_probability": probability,
            "flagged": flagged,
            "audited": audited,
            "reasons": pl.Series(reasons, dtype=pl.String),
            "unscorable": why,
        }
    )


def explain(known: pl.DataFrame, contributions: Floats, features: Sequence[Feature]) -> list[str]:
    """Write the strongest reasons of each claim as JSON.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the features, of shape (n, features).
    contributions : array of shape (n, features)
        Their shares in the log odds.

    Returns
    -------
    list of str
        For each claim a list of objects: ``feature``, ``value`` (null where unknown), ``direction`` (``raises`` or
        ``lowers``) and ``log_odds``, the strongest first.
    """
    strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :REASONS]
    rows = known.rows()
    return [
        json.dumps(
            [
                {
                    "feature": known.columns[place],
                    "value": said(features[place], row[place]),
                    "direction": "raises" if shares[place] > 0 else "lowers",
                    "log_odds": round(float(shares[place]), 4),
                }
                for place in places
                if shares[place] != 0
            ]
        )
        for row, shares, places in zip(rows, contributions, strongest, strict=True)
    ]


def said(feature: Feature, value: float | str | None) -> float | str | None:
    """Name an ordered level, of which the model knows the rank."""
    return feature.levels[int(value)] if feature.kind == "ordered" and isinstance(value, float) else value
