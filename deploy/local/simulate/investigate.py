"""Which claims the investigators of the generated book take on, what they find, and when.

They choose by suspicion and have a capacity, so the labels that Claimsight gets are selected, late, and a few of them
wrong. A fixed part of their capacity goes to claims drawn at random. All figures are chosen.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from deploy.local.simulate.world import Flags, Floats

CAPACITY = 0.30
"""Share of a week's claims that the investigators can take on."""
RANDOM_SHARE = 0.25
"""Share of the capacity."""
WRONG_SHARE = 0.02
"""Share of the decisions."""
DECISION_DAYS = (14, 112)
"""From report to decision: 2 to 16 weeks, both ends included."""
DRIFTED_DECISION_DAYS = (112, 210)
"""The same once the delay has drifted: 16 to 30 weeks."""


def investigate(
    claims: pl.DataFrame,
    logit: Floats,
    is_fraud: Flags,
    rng: np.random.Generator,
    *,
    slow: bool = False,
    by_amount: bool = False,
) -> pl.DataFrame:
    """Choose the claims to investigate and decide them.

    Parameters
    ----------
    claims : polars.DataFrame, n rows
        ``claim_id``, ``reported_on`` and ``amount``.
    logit, is_fraud : numpy.ndarray, shape (n,)
        Log odds of fraud, and the truth.
    rng : numpy.random.Generator
        Chance.
    slow : bool
        Whether the label delay has drifted.
    by_amount : bool
        Whether the selection has drifted.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``is_fraud`` (Y or N, as decided), ``decided_at`` (date), ``source``; in no particular order.
    """
    count = len(claims)
    taken = int(CAPACITY * count + rng.random())  # rounded at random: a week of one claim has its chance too
    at_random = int(RANDOM_SHARE * taken + rng.random())
    # People see part of what matters, look at the sum too much, and disagree with each other.
    large = np.log(claims["amount"].cast(pl.Float64).to_numpy())
    noise = rng.normal(0.0, 1.6, count)
    suspicion = large + 0.2 * noise if by_amount else 0.8 * logit + 0.4 * large + noise
    # The random quarter is drawn first and from all claims, so that it is a fair sample of them.
    suspicion[rng.permutation(count)[:at_random]] = np.inf
    chosen = np.argsort(-suspicion, kind="stable")[:taken]
    found = is_fraud[chosen] ^ (rng.random(taken) < WRONG_SHARE)
    first, last = DRIFTED_DECISION_DAYS if slow else DECISION_DAYS
    days = pl.Series(rng.integers(first, last + 1, taken))
    return claims[chosen].select(
        "claim_id",
        is_fraud=yes_no(found),
        decided_at=pl.col("reported_on") + pl.duration(days=pl.lit(days)),
        source=pl.lit("siu"),
    )


def yes_no(flags: Flags) -> pl.Series:
    """Y or N for each."""
    return pl.Series(("N", "Y")).gather(flags.astype(np.int64))
