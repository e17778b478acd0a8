"""Decide from how far a shift tells: what the reference's own past windows reached, chance, and what matters at all.

Each window of weeks within the reference is held against the rest of it, as later windows are held against the whole:
so season, storms and growth that training has seen are no news. All columns are tested at once, so the limit goes by
the greatest of their shifts: one rate of false alarms holds for the whole window.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np

from shared.distances import NORMAL, Counts, shift
from shared.features import Floats

FEWEST_WINDOWS = 6
"""Windows' worth of weeks that a reference needs to tell how far its own windows lie apart; with fewer, the limit goes
by what chance alone would make of claims that come independently of each other."""
EULER = 0.5772156649015329


@dataclass(frozen=True)
class Past:
    """How far the reference's own windows lay from the rest of it.

    Attributes
    ----------
    shifts : array of shape (windows, columns)
        Of each window that moves on by a week; NaN where a column has too few weeks to tell.
    length : int
        Weeks of a window.
    """

    shifts: Floats
    length: int

    @property
    def windows(self) -> float:
        """How many of the windows have no week in common."""
        return (len(self.shifts) + self.length - 1) / self.length

    def limits(self, rate: float) -> Floats:
        """From where each column has shifted, with all columns together wrong in a share `rate` of the windows.

        Returns
        -------
        array of shape (columns,)
            0 where the past cannot tell.

        Notes
        -----
        The greatest of many is distributed as E. J. Gumbel describes (Statistics of Extremes, 1958); here of the
        columns' shifts in units of their own spread, fitted by its moments.
        """
        columns = self.shifts.shape[1]
        told = np.isfinite(self.shifts).all(axis=0)
        limits = np.zeros(columns)
        if not told.any() or self.windows < FEWEST_WINDOWS:
            return limits
        shifts = self.shifts[:, told]
        greatest = np.empty(len(shifts))
        for place, window in enumerate(shifts):
            # By windows that share no week with it, as a later one shares none: else its own shift would hide it.
            others = shifts[np.abs(np.arange(len(shifts)) - place) >= self.length]
            greatest[place] = ((window - others.mean(axis=0)) / _spread(others)).max()
        scale = greatest.std(ddof=1) * sqrt(6) / pi
        multiple = greatest.mean() - scale * (EULER + log(-log(1 - rate)))
        limits[told] = shifts.mean(axis=0) + max(multiple, NORMAL.inv_cdf(1 - rate)) * _spread(shifts)
        return limits


def _spread(shifts: Floats) -> Floats:
    return np.asarray(np.maximum(shifts.std(axis=0, ddof=1), 1e-9))


def past_shifts(weekly: Counts, length: int) -> Floats:
    """Hold each stretch of weeks against all others.

    Parameters
    ----------
    weekly : array of shape (weeks, groups)
        Counts of one column, week after week.
    length : int
        Weeks of a stretch.

    Returns
    -------
    array of shape (weeks - length + 1,)
        Empty where there is no other week.
    """
    if len(weekly) <= length:
        return np.empty(0)
    until = np.vstack([np.zeros_like(weekly[:1]), np.cumsum(weekly, axis=0)])
    within = until[length:] - until[:-length]
    return shift(until[-1] - within, within)
