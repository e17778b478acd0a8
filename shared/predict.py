"""Decide about claims: how probable fraud is, whether to look, and why."""

from __future__ import annotations

import numpy as np
import polars as pl

from shared.draws import DRAWS, Arm
from shared.model import Model
from shared.reasons import Explainer
from shared.unscorable import unscorable

AUDIT_OF_CAPACITY = 0.1
"""Share of the review capacity that goes to claims nobody suspects: only so can recall be known."""


def audit_share(capacity_per_week: int, claims_per_week: float) -> float:
    """Share of the claims to audit, from 0 to 1.

    >>> audit_share(25, 250.0), audit_share(25, 0.0)
    (0.01, 1.0)
    """
    return min(1.0, AUDIT_OF_CAPACITY * capacity_per_week / max(claims_per_week, 1e-9))


def arms(draws: pl.Series, share: float, kept: pl.Series) -> pl.Series:
    """Put claims into arms: the challenger's holds those whose draw lies below its share.

    Parameters
    ----------
    kept : polars.Series
        The arm in which a claim stands already, and stays; null where there is none.

    >>> arms(pl.Series([0, DRAWS // 2, DRAWS - 1]), 0.5, pl.Series([None] * 3, dtype=pl.String)).to_list()
    ['challenger', 'champion', 'champion']
    >>> arms(pl.Series([0, 0]), 0.0, pl.Series([None, "challenger"])).to_list()
    ['champion', 'challenger']
    """
    drawn = (draws < share * DRAWS).replace_strict({True: "challenger", False: "champion"}, return_dtype=pl.String)
    return kept.fill_null(drawn)


def predict(
    claims: pl.DataFrame,
    model: Model,
    threshold: float,
    audit_share: float,
    explainer: Explainer,
    threads: int,
    variant: Arm = "champion",
) -> pl.DataFrame:
    """Score claims.

    Parameters
    ----------
    claims : polars.DataFrame
        ``claim_id``, ``arm`` (the variant that decides about it), ``draw`` (a whole number from 0 to 2^32, a hash of
        the claim's id), the contract's kind and the model's source columns.
    threshold : float
        Probability from which a claim is flagged.
    audit_share : float
        Share of the unflagged claims to audit, from 0 to 1; the same claims each time, since the draw goes with the id.
    explainer : Explainer
        Of this model.
    variant : {'champion', 'challenger'}
        What the model is.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``arm``, ``fraud_probability``, ``flagged``, ``audited``, ``reasons`` (JSON, only for claims
        flagged or audited, and by the challenger only in its own arm: of others nobody asks), ``unscorable`` (why a
        claim has no score; null where it has one) and ``variant``. Rows as they came.
    """
    known = model.known(claims)
    probability = model.fraud_probability(known, threads)
    why = unscorable(known, probability)
    scored = why.is_null().to_numpy()
    flagged = scored & (probability >= threshold)
    audited = scored & ~flagged & (claims["draw"].to_numpy() < audit_share * DRAWS)
    # The champion's row decides wherever no challenger's does, which nobody can tell yet: it may be rolled back.
    explained = (flagged | audited) & (variant == "champion" or (claims["arm"] == variant).to_numpy())
    reasons: list[str | None] = [None] * claims.height
    if explained.any():
        asked = known.filter(explained)
        texts = explainer.explain(claims.filter(explained), asked, model.contributions(asked, threads))
        for place, text in zip(np.flatnonzero(explained), texts, strict=True):
            reasons[place] = text
    return pl.DataFrame(
        {
            "claim_id": claims["claim_id"],
            "arm": claims["arm"],
            "fraud_probability": probability,
            "flagged": flagged,
            "audited": audited,
            "reasons": pl.Series(reasons, dtype=pl.String),
            "unscorable": why,
        }
    ).with_columns(variant=pl.lit(variant))
