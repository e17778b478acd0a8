"""What is fraud in the generated book: features first, then a probability, then one Bernoulli draw from it.

Suspicious patterns are therefore common among honest claims too, and no model can beat the ranking by
``fraud_probability``. Sex takes no part in it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from deploy.local.simulate.world import Flags, Floats

MECHANISMS = (
    "early_claim", "inflated_amount", "staged_collision", "ring", "staged_hail", "reused_photo", "phantom_glass",
)  # fmt: skip
"""The ways of defrauding that `fraud_terms` knows by name; other frauds are an ``opportunist``'s.

``phantom_glass`` is there only once the concept has drifted, and ``staged_collision`` only until then."""


def fraud_terms(claims: pl.DataFrame, *, drifted: bool) -> pl.DataFrame:
    """Weigh what speaks for fraud in each claim, on the log-odds scale.

    Parameters
    ----------
    claims : polars.DataFrame
        What `deploy.local.simulate.claims.draw_claims` gives.
    drifted : bool
        Whether the concept has drifted.

    Returns
    -------
    polars.DataFrame
        Row for row, a column for each of `MECHANISMS` (at least 0) and ``background``, which holds the intercept and
        the small terms. ``fraud_probability`` is the logistic function of the row's sum. All weights are chosen.
    """
    days = (pl.col("loss_on") - pl.col("policy_start")).dt.total_days()
    delay = (pl.col("reported_on") - pl.col("loss_on")).dt.total_days()
    peril = pl.col("peril")
    unreported = pl.col("police_report").ne_missing("yes")
    night = ~pl.col("hour").is_between(6, 21)
    online = pl.col("channel") == "online"
    high = (pl.col("excess") - 1.0).clip(0.0, 3.0)
    early = (-days / 30.0).exp()
    staged = (peril == "collision") & night & unreported & (pl.col("witnesses") == 0)
    young_in_costly = (pl.col("driver_age") < 25) & (pl.col("vehicle_value") > 25_000)
    return claims.select(
        early_claim=early * (3.4 + 1.0 * high),
        inflated_amount=1.5 * high + 0.5 * high * (pl.col("photos") <= 1),
        staged_collision=(staged & pl.lit(not drifted)) * (3.4 + 0.9 * (pl.col("injuries") > 0)),
        ring=pl.col("partner") * (1.8 + 1.2 * (pl.col("excess") > 0.5) + 1.5 * pl.col("ring_phone")),
        staged_hail=((peril == "hail") & ~pl.col("storm")) * (3.0 + 0.8 * (delay > 7)),
        reused_photo=pl.col("borrowed") * (2.6 + 0.8 * (pl.col("excess") > 0.5)),
        phantom_glass=((peril == "glass") & online & unreported & pl.lit(drifted)) * 2.8,
        background=-4.8
        + 0.25 * pl.col("prior_claims")
        + 0.5 * (pl.col("photos") == 0)
        + 1.0 * ((peril == "theft") & unreported)
        + 0.5 * (delay > 14)
        + 0.5 * young_in_costly
        + 0.3 * online
        - 0.3 * pl.col("witnesses"),
    )


def draw_fraud(terms: pl.DataFrame, rng: np.random.Generator) -> tuple[Floats, Flags, pl.Series]:
    """Draw the labels.

    Parameters
    ----------
    terms : polars.DataFrame, n rows
        What `fraud_terms` gives.
    rng : numpy.random.Generator
        Chance.

    Returns
    -------
    probability : numpy.ndarray of float, shape (n,)
        True probability of fraud.
    is_fraud : numpy.ndarray of bool, shape (n,)
        One draw from it.
    mechanism : polars.Series of str
        Of a fraud, the mechanism that speaks loudest, or ``opportunist`` where none speaks for it; else ``none``.
    """
    probability = 1.0 / (1.0 + np.exp(-terms.sum_horizontal().to_numpy()))
    is_fraud = rng.random(len(terms)) < probability
    leading = terms.select(MECHANISMS).to_numpy()
    named = np.where(leading.max(axis=1) >= 1.0, leading.argmax(axis=1), len(MECHANISMS))
    labels = pl.Series((*MECHANISMS, "opportunist", "none"))
    return probability, is_fraud, labels.gather(np.where(is_fraud, named, len(MECHANISMS) + 1))
