"""Decide from what age on claims can be judged by their outcomes: before, those known are a biased sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from shared.features import Floats

MATURE = 0.9
"""Share of the outcomes that ever come which must have come to earlier claims at an age, for claims to be judged at it.

Frauds may be decided earlier than other claims, or later; what is missing can then bias a share by a ninth at most."""
LATE = 0.5
"""Share of the outcomes expected by now below which they are said to come late."""


@dataclass(frozen=True)
class Maturity:
    """How outcomes come.

    Attributes
    ----------
    known : array of shape (weeks,)
        Share of the outcomes that ever come which are known that many whole weeks after the claim, rising to 1.
    """

    known: Floats

    @classmethod
    def of(cls, delays: pl.DataFrame) -> Self:
        """Measure it.

        Parameters
        ----------
        delays : polars.DataFrame
            Of claims with an outcome, how many there are by ``age`` (whole weeks since the claim) and ``delay`` (weeks
            from the claim to its outcome, rounded up): ``claims``.

        Notes
        -----
        A young claim can have short delays only, so a plain mean would be too short. Hence the product-limit estimator
        for such right-truncated times [1]_, known to actuaries as the chain ladder [2]_.

        .. [1] S. W. Lagakos, L. M. Barraj and V. De Gruttola, Nonparametric analysis of truncated survival data,
           Biometrika 75 (1988), 515-523.
        .. [2] T. Mack, Distribution-free calculation of the standard error of chain ladder reserve estimates, ASTIN
           Bulletin 23 (1993), 213-225.
        """
        if delays.is_empty():
            return cls(np.ones(1))
        age, delay, claims = (delays[name].to_numpy() for name in ("age", "delay", "claims"))
        delay = np.clip(delay, 0, age)
        known = np.ones(int(delay.max()) + 1)
        for weeks in range(known.size - 1, 0, -1):
            old = age >= weeks
            by_then = claims[old & (delay <= weeks)].sum()
            at_last = claims[delay == weeks].sum()
            known[weeks - 1] = known[weeks] * (1 - at_last / by_then if by_then else 1.0)
        return cls(known)

    def age(self, share: float) -> int:
        """Whole weeks by which a share of the outcomes is known."""
        return int(np.searchsorted(self.known, share))

    @property
    def mature(self) -> int:
        """Age in whole weeks from which claims can be judged."""
        return self.age(MATURE)

    def expected(self, ages: Floats) -> float:
        """Outcomes known of claims of these ages (whole weeks), as a share of those that will be."""
        return float(self.known[np.clip(ages, 0, self.known.size - 1).astype(int)].mean()) if ages.size else 1.0
