"""Where a model misses: kinds of claims in which frauds are more, or fewer, than it says.

A slice is found by a shallow tree on one half of the judged claims and measured on the other, so that what is told of
it is no artefact of the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from jobs.evaluate.groups import Flags, Groups
from shared.features import Feature, Floats
from shared.metrics import Estimate, wilson

Rows = NDArray[np.intp]

DEPTH = 3
BINS = 12
SMALLEST = 40
"""Claims that a slice needs in each half."""
GROWN = 0.5
"""Chance at which a split is believed while the tree grows; the other half has the last word."""
TOLD = 0.05
"""Chance that any of the slices that are told is none."""
SURE = 4.0
"""Gain from which two leaves that err alike are not two slices: two standard errors."""
FACTOR = 1.5
"""How far from the model's the frauds of a slice must be to be worth a word."""
MOST = 6
EXAMPLES = 3
_EDGE = 1e-6


@dataclass(frozen=True)
class Slice:
    """Claims of one kind, as the half on which the slice was not chosen has them.

    Attributes
    ----------
    words : str
        What its claims have in common; names and levels in it are the sender's.
    expected : float
        Frauds that the model expects, once it expects as many as there are in all judged claims together.
    missed, false_alarms : int
        Frauds that are not flagged, and flagged claims that are no fraud.
    error : Estimate
        Fraud rate less the expected one; the intervals of all slices hold together with 95 %.
    examples : tuple of int
        Rows of claims that the model misjudges most.
    """

    words: str
    claims: int
    frauds: int
    expected: float
    missed: int
    false_alarms: int
    error: Estimate
    examples: tuple[int, ...]


def find_slices(
    columns: pl.DataFrame, features: Sequence[Feature], y: Floats, p: Floats, flagged: Flags, seed: int = 0
) -> list[Slice]:
    """Find the kinds of claims in which a model errs, those of the largest error first.

    Parameters
    ----------
    columns : polars.DataFrame
        What claims are told apart by, as :func:`jobs.evaluate.groups.in_words` gives it.
    y, p : arrays of shape (n,)
        1 for fraud; fraud probabilities.
    flagged : array of shape (n,)
        Whether the claim is flagged for review.

    Notes
    -----
    The tree's gain is that of boosting by the logistic loss: the sum of ``y - p``, squared, over that of
    ``p * (1 - p)``. J. H. Friedman, Greedy function approximation, Annals of Statistics 29 (2001), 1189-1232.
    """
    n, frauds = y.size, y.sum()
    if not 0 < frauds < n:
        return []
    expected = _levelled(p, float(frauds))
    chosen = np.random.default_rng(seed).permutation(n) < n // 2
    groups = [Groups.of(feature, columns[feature.name], BINS) for feature in features]
    search = _Search(groups, y - expected, expected * (1 - expected))
    suspects = sorted(search.leaves(np.flatnonzero(chosen)), key=lambda leaf: -leaf.gain)[:MOST]
    if not suspects:
        return []
    z = NormalDist().inv_cdf(1 - TOLD / 2 / len(suspects))
    measured = (_measure(leaf, groups, ~chosen, y, expected, flagged, z) for leaf in suspects)
    return sorted((found for found in measured if found), key=lambda found: -abs(found.error.value))


def _levelled(p: Floats, frauds: float) -> Floats:
    """Shift the log odds of all claims alike, so that as many frauds are expected as there are."""
    odds = np.clip(p, _EDGE, 1 - _EDGE)
    odds = odds / (1 - odds)
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        shifted = odds * np.exp(middle)
        low, high = (middle, high) if (shifted / (1 + shifted)).sum() < frauds else (low, middle)
    shifted = odds * np.exp(low)
    return np.asarray(shifted / (1 + shifted))


@dataclass(frozen=True)
class _Leaf:
    """Claims that the tree left together: the bins of each feature that they may have, by the feature's place."""

    kept: dict[int, Flags]
    gain: float
    direction: float


@dataclass(frozen=True)
class _Search:
    """Grows the tree; `error` is ``y - p`` and `spread` its variance, each of shape (n,)."""

    groups: Sequence[Groups]
    error: Floats
    spread: Floats

    def leaves(self, rows: Rows, kept: dict[int, Flags] | None = None, depth: int = 0) -> list[_Leaf]:
        """Leaves below a node, but for one that holds every claim; those that all err alike are told as one."""
        kept = kept or {}
        error, spread = self.error[rows].sum(), self.spread[rows].sum()
        whole = _Leaf(kept, float(self._score(error, spread)), float(np.sign(error)))
        split = self._best(rows) if depth < DEPTH else None
        if split is None:
            return [whole] if kept else []
        place, way = split
        group, found = self.groups[place], []
        for side in (way, ~way):
            within = kept.get(place, np.ones(group.bins.size, dtype=bool)) & side
            found += self.leaves(rows[side[group.codes[rows]]], kept | {place: within}, depth + 1)
        alike = all(leaf.gain >= SURE and leaf.direction == whole.direction for leaf in found)
        return [whole] if kept and alike else found

    def _best(self, rows: Rows) -> tuple[int, Flags] | None:
        """Feature and way of the best split of some claims, or None: none is better than chance would have it."""
        error, spread = self.error[rows], self.spread[rows]
        gains = []
        for group in self.groups:
            codes, size = group.codes[rows], group.bins.size
            claims = group.ways @ np.bincount(codes, minlength=size)
            here = [np.asarray(group.ways @ np.bincount(codes, each, size), dtype=float) for each in (error, spread)]
            there = error.sum() - here[0], spread.sum() - here[1]
            gain = self._score(*here) + self._score(*there) - self._score(error.sum(), spread.sum())
            gains.append(np.where((claims >= SMALLEST) & (rows.size - claims >= SMALLEST), gain, -1.0))
        tried = sum(int((gain >= 0).sum()) for gain in gains)
        if not tried:
            return None
        place = int(np.argmax([gain.max(initial=-1.0) for gain in gains]))
        way = int(np.argmax(gains[place]))
        if gains[place][way] < NormalDist().inv_cdf(1 - GROWN / 2 / tried) ** 2:
            return None
        return place, self.groups[place].ways[way]

    @staticmethod
    def _score(error: Floats, spread: Floats) -> Floats:
        return np.asarray(error**2 / np.maximum(spread, _EDGE))


def _measure(
    leaf: _Leaf, groups: Sequence[Groups], among: Flags, y: Floats, p: Floats, flagged: Flags, z: float
) -> Slice | None:
    """Measure a slice on claims on which it was not chosen; None where there is nothing to tell."""
    within = among.copy()
    for place, kept in leaf.kept.items():
        within &= kept[groups[place].codes]
    rows = np.flatnonzero(within)
    if not SMALLEST <= rows.size <= among.sum() / 2:
        return None
    frauds, expected = float(y[rows].sum()), float(p[rows].sum())
    low, high = (bound - expected / rows.size for bound in wilson(int(frauds), rows.size, z))
    if low <= 0 <= high or 1 / FACTOR < frauds / expected < FACTOR:
        return None
    # Where frauds are more than expected, those least expected; else the claims that look worst and are none.
    worst = rows[np.argsort(p[rows] - y[rows] if low > 0 else y[rows] - p[rows], kind="stable")]
    return Slice(
        words=" and ".join(
            f"{groups[place].feature.name} is {groups[place].told(kept)}" for place, kept in leaf.kept.items()
        ),
        claims=rows.size,
        frauds=int(frauds),
        expected=expected,
        missed=int((y[rows] * ~flagged[rows]).sum()),
        false_alarms=int(((1 - y[rows]) * flagged[rows]).sum()),
        error=Estimate((frauds - expected) / rows.size, low, high),
        examples=tuple(worst[:EXAMPLES].tolist()),
    )
