"""Claims in groups that can be told in words: by a level, or by a range whose ends are easy to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.features import Bins, Codes, Feature
from shared.levels import FIRST_BIN, MISSING

Flags = NDArray[np.bool_]

LEVELS = 30
"""Levels of a category that are told apart from the rest, the most frequent ones."""


def in_words(
    claims: pl.DataFrame, known: pl.DataFrame, features: Sequence[Feature]
) -> tuple[pl.DataFrame, list[Feature]]:
    """Lay features out for people: what is true or false becomes yes or no.

    Parameters
    ----------
    known : polars.DataFrame
        Values of `features` for these claims.
    """
    truths = [f.name for f in features if claims.schema[f.sources[0]] == pl.Boolean]
    words = pl.col(truths).replace_strict({1.0: "yes", 0.0: "no"}, default=None, return_dtype=pl.String)
    told = [Feature(f.name, f.sources, "category") if f.name in truths else f for f in features]
    return known.select(f.name for f in features).with_columns(words), told


@dataclass(frozen=True)
class Groups:
    """A feature's values in bins, as codes of shape (n,)."""

    feature: Feature
    bins: Bins
    codes: Codes

    @classmethod
    def of(cls, feature: Feature, column: pl.Series, most: int) -> Self:
        """Put values into groups, at most `most` of a number's."""
        bins = _bins(feature, column, most)
        return cls(feature, bins, bins.codes(column))

    @property
    def occurring(self) -> Codes:
        """Codes that occur, that of the unknown last."""
        codes = np.unique(self.codes)
        return np.concatenate([codes[codes != MISSING], codes[codes == MISSING]])

    @property
    def ways(self) -> Flags:
        """Ways of dividing the groups in two, of shape (ways, codes): true for those on one side."""
        every = np.arange(self.bins.size)
        if self.feature.kind == "category":
            ways = [every == code for code in range(FIRST_BIN, min(self.bins.size, FIRST_BIN + LEVELS))]
        else:
            ways = [(every >= FIRST_BIN) & (every < cut) for cut in range(FIRST_BIN + 1, self.bins.size)]
        if MISSING in self.occurring:
            missing = every == MISSING
            if self.feature.kind != "category":
                ways += [way | missing for way in ways]
            ways.append(missing)
        return np.array(ways, dtype=bool).reshape(-1, self.bins.size)

    def told(self, kept: Flags) -> str:
        """Say which values are in some of the groups, those on which `kept`, of shape (codes,), is true."""
        occurring = self.occurring
        among, others = occurring[kept[occurring]], occurring[~kept[occurring]]
        known = among[among != MISSING]
        if self.feature.kind == "number" and known.size:
            return self._range(int(known[0]), int(known[-1])) + (" or unknown" if known.size < among.size else "")
        turned = others.size < among.size
        return ("not " if turned else "") + _listed([self._level(int(code)) for code in (others if turned else among)])

    def _range(self, first: int, last: int) -> str:
        ends = ("-inf", *(f"{edge:,.12g}" for edge in self.bins.edges), "inf")
        low, high = ends[first - FIRST_BIN], ends[last - FIRST_BIN + 1]
        if low == "-inf":
            return "known" if high == "inf" else f"under {high}"
        return f"{low} or more" if high == "inf" else f"from {low} to under {high}"

    def _level(self, code: int) -> str:
        ordered = self.feature.kind == "ordered" and code >= FIRST_BIN
        return self.feature.levels[code - FIRST_BIN] if ordered else self.bins.label(code)


def _bins(feature: Feature, column: pl.Series, most: int) -> Bins:
    """Bins of values themselves where they are few, else between quantiles, rounded."""
    if feature.kind == "ordered":
        return Bins(edges=tuple(map(float, range(1, len(feature.levels)))))
    if feature.kind == "category":
        return Bins.of(feature, column, most)
    distinct = column.drop_nulls().unique().sort().to_numpy()
    if distinct.size <= most:
        return Bins(edges=tuple(map(float, distinct[1:])))
    edges = Bins.of(feature, column, most).edges
    if len(edges) > 1:
        gaps = np.diff(edges)
        # No further than a quarter of the way to the next.
        steps = 10.0 ** np.floor(np.log10(np.minimum(np.r_[gaps, gaps[-1]], np.r_[gaps[0], gaps]) / 2))
        edges = tuple(float(f"{edge:.12g}") for edge in np.round(np.asarray(edges) / steps) * steps)
    return Bins(edges=edges)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
