"""Decide which claims a model cannot score."""

from __future__ import annotations

import numpy as np
import polars as pl

from shared.features import Floats

NOTHING_KNOWN = "nothing that the model looks at is known of it"
NO_NUMBER = "the model gives no finite number for it"


def unscorable(known: pl.DataFrame, score: Floats) -> pl.Series:
    """Why a claim cannot be scored, null where it can.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the features, of shape (n, features).
    score : array of shape (n,)
        What the model makes of them.

    >>> unscorable(pl.DataFrame({"amount": [1.0, None]}), np.array([0.5, 0.5])).to_list()
    [None, 'nothing that the model looks at is known of it']
    """
    if min(known.null_count().row(0), default=0) == 0 and np.isfinite(score).all():
        return pl.Series("unscorable", [None], dtype=pl.String).new_from_index(0, known.height)
    return known.select(
        pl.when(pl.all_horizontal(pl.all().is_null()))
        .then(pl.lit(NOTHING_KNOWN))
        .when(~pl.lit(pl.Series(score)).is_finite())
        .then(pl.lit(NO_NUMBER))
        .alias("unscorable")
    ).to_series()
