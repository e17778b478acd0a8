"""Decide how unusual claims are, and why; for lines of business that know no outcome."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from jobs.score.predict import REASONS, said
from jobs.score.unscorable import unscorable
from shared.anomaly import Anomaly


def rank(claims: pl.DataFrame, model: Anomaly) -> pl.DataFrame:
    """Rank claims by how unusual they are.

    Parameters
    ----------
    claims : polars.DataFrame
        ``claim_id`` and the model's source columns.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``score`` (in nats; 0 is an average claim's), ``rank_share`` (share of the model's own claims that
        are at least as unusual) and ``reasons`` (JSON: at most three objects, the strongest first, with ``feature``,
        ``value``, null where unknown, ``group``, the values that count as alike, ``share``, that of the model's claims
        in the group, and ``surprisal``) and ``unscorable`` (why a claim has no score; null where it has one). Rows as
        they came.
    """
    known = model.known(claims)
    codes = model.codes(known)
    contributions = model.contributions(codes)
    score = contributions.sum(axis=1)
    strongest = np.argsort(-contributions, axis=1, kind="stable")[:, :REASONS]
    labels = [[column.bins.label(code) for code in range(column.bins.size)] for column in model.profile.columns]
    reasons = [
        json.dumps(
            [
                {
                    "feature": known.columns[place],
                    "value": (value := said(model.features[place], row[place])),
                    "group": value if model.features[place].kind == "ordered" else labels[place][codes[claim, place]],
                    "share": round(float(model.shares[place][codes[claim, place]]), 6),
                    "surprisal": round(float(contributions[claim, place]), 4),
                }
                for place in strongest[claim]
                if contributions[claim, place] > 0
            ]
        )
        for claim, row in enumerate(known.iter_rows())
    ]
    return pl.DataFrame(
        {
            "claim_id": claims["claim_id"],
            "score": score,
            "rank_share": model.rank_share(score),
            "reasons": pl.Series(reasons, dtype=pl.String),
            "unscorable": unscorable(known, score),
        }
    )
