"""What a model is made of, as data: tables, coefficients, XGBoost's own JSON; each gives log odds of fraud."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.anomaly import Anomaly
from shared.features import Bins, Feature, Floats
from shared.levels import codes_by
from shared.profile import Profile
from shared.shapley import Shapley

if TYPE_CHECKING:
    import xgboost

EXPLAINED = 1000
"""Claims that XGBoost explains in one call."""
LAID_OUT = 50_000
"""Claims that are laid out at once."""
_LARGEST = 1e30
UNKNOWN = -2 * _LARGEST
"""An unknown number as trees see it: below all others. For one NaN, XGBoost would keep all columns as a sparse matrix,
on which trees take 1.6 times as long to grow."""

_HASHED = pl.col(pl.String).hash()


WINSORIZED = (0.001, 0.999)
"""Quantiles between which a number's linear term is held, so that one huge amount cannot run away."""


@dataclass(frozen=True)
class Linear:
    """A number's linear term, in its logarithm: a bin is flat, however far its last values reach.

    Attributes
    ----------
    feature : str
    low, high : float
        Between which the logarithm is held.
    middle : float
        The logarithm whose share is 0; that of an unknown number is 0, too.
    slope : float
        Log odds a unit of the logarithm.
    """

    feature: str
    low: float
    high: float
    middle: float
    slope: float

    @classmethod
    def of(cls, column: pl.Series) -> Self | None:
        """Make one whose shares have mean 0 and deviation 1 over a feature's known values; None where all are alike."""
        logs = _logarithms(column.drop_nulls())
        if logs.size == 0:
            return None
        low, high = map(float, np.quantile(logs, WINSORIZED))
        held = np.clip(logs, low, high)
        spread = float(held.std())
        return cls(column.name, low, high, float(held.mean()), 1 / spread) if low < high else None

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` wrote."""
        numbers = {name: float(value) for name, value in document.items() if name != "feature"}
        return cls(document["feature"], **numbers)

    def shares(self, column: pl.Series) -> Floats:
        """Share of each value in the log odds, of shape (n,)."""
        # Not by np.clip and np.nan_to_num: of a single claim they cost twice as much.
        shares = self.slope * (np.minimum(np.maximum(_logarithms(column), self.low), self.high) - self.middle)
        shares[np.isnan(shares)] = 0.0
        return shares


def _logarithms(column: pl.Series) -> Floats:
    """``sign(x) log(1 + |x|)``, NaN for null: also of what may be 0 or below, as days between dates may."""
    numbers = column.to_numpy()
    return np.asarray(np.copysign(np.log1p(np.abs(numbers)), numbers))


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on weights of evidence, and on numbers themselves where it has linear terms.

    Attributes
    ----------
    bins : tuple of Bins
        One a feature.
    evidence : tuple of tuple of float
        Weight of each bin of each feature.
    coefficients : tuple of float
        One a feature.
    linear : tuple of Linear
        None, or one a number.
    """

    bins: tuple[Bins, ...]
    evidence: tuple[tuple[float, ...], ...]
    coefficients: tuple[float, ...]
    intercept: float
    linear: tuple[Linear, ...] = ()

    def contributions(self, known: pl.DataFrame, _threads: int) -> Floats:
        """Share of each feature in the log odds, of shape (n, features)."""
        columns = {
            name: np.asarray(evidence)[bins.codes(known[name])] * coefficient
            for name, bins, evidence, coefficient in zip(
                known.columns, self.bins, self.evidence, self.coefficients, strict=True
            )
        }
        for term in self.linear:
            columns[term.feature] += term.shares(known[term.feature])
        return np.column_stack(list(columns.values()))

    def margin(self, known: pl.DataFrame, threads: int) -> Floats:
        """Log odds of fraud, of shape (n,)."""
        return np.asarray(self.contributions(known, threads).sum(axis=1) + self.intercept)

    def as_document(self) -> dict[str, Any]:
        """Write it ready for JSON; :meth:`of_document` reads it."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: dict[str, Any], features: Sequence[Feature]) -> Self:
        """Read what :meth:`as_document` wrote; ValueError if it is not for these features."""
        bins = tuple(map(Bins.of_document, document["bins"]))
        evidence = tuple(tuple(map(float, weights)) for weights in document["evidence"])
        coefficients = tuple(map(float, document["coefficients"]))
        if not len(features) == len(bins) == len(coefficients) or [b.size for b in bins] != list(map(len, evidence)):
            raise ValueError("its tables do not fit its features")
        linear = tuple(map(Linear.of_document, document.get("linear", ())))
        if not {term.feature for term in linear} <= {feature.name for feature in features if feature.kind == "number"}:
            raise ValueError("its linear terms do not fit its features")
        return cls(bins, evidence, coefficients, float(document["intercept"]), linear)


@dataclass(frozen=True)
class Unusual:
    """How unusual a claim is, put on the scale of log odds.

    Attributes
    ----------
    histograms : Anomaly
        Of the same features as the model; its ranks are not kept.
    slope : float
        Log odds a nat, from 0.
    """

    histograms: Anomaly
    slope: float
    intercept: float

    def contributions(self, known: pl.DataFrame, _threads: int) -> Floats:
        """Share of each feature in the log odds, of shape (n, features)."""
        return self.histograms.contributions(self.histograms.codes(known)) * self.slope

    def margin(self, known: pl.DataFrame, threads: int) -> Floats:
        """Log odds of fraud, of shape (n,)."""
        return np.asarray(self.contributions(known, threads).sum(axis=1) + self.intercept)

    def as_document(self) -> dict[str, Any]:
        """Write it ready for JSON; :meth:`of_document` reads it."""
        return {
            "histograms": self.histograms.profile.as_document(),
            "slope": self.slope,
            "intercept": self.intercept,
        }

    @classmethod
    def of_document(cls, document: dict[str, Any], features: Sequence[Feature]) -> Self:
        """Read what :meth:`as_document` wrote; ValueError if it is not for these features."""
        profile = Profile.of_document(document["histograms"])
        if [column.name for column in profile.columns] != [feature.name for feature in features]:
            raise ValueError("its histograms do not fit its features")
        return cls(Anomaly(tuple(features), profile), float(document["slope"]), float(document["intercept"]))


@dataclass(frozen=True)
class Trees:
    """Trees of XGBoost on one column of numbers a feature: a number as it is, a category by the code of its level.

    Attributes
    ----------
    levels : tuple of tuple of str
        Levels that have a code of their own, for each feature; empty for a number.
    booster_json : str
        As XGBoost writes it.
    """

    levels: tuple[tuple[str, ...], ...]
    booster_json: str

    @cached_property
    def _booster(self) -> xgboost.Booster:
        import xgboost

        return xgboost.Booster({"nthread": 1}, model_file=bytearray(self.booster_json.encode()))

    def check(self, features: Sequence[Feature]) -> None:
        """Raise ValueError if the trees cannot be read, or are not for these features."""
        if not len(features) == len(self.levels) == self._booster.num_features():
            raise ValueError("its trees do not fit its features")

    def contributions(self, known: pl.DataFrame, threads: int) -> Floats:
        """Exact share of each feature in the log odds (TreeSHAP), of shape (n, features)."""
        return self._contributions(laid_out(known, self.levels), threads)

    def _contributions(self, rows: NDArray[np.float32], threads: int) -> Floats:
        if self._shapley is not None:
            return self._shapley.values(rows, threads)
        self._booster.set_param({"nthread": threads})
        # Some at a time: until XGBoost returns, nobody hears SIGTERM, and a claim costs it up to a millisecond.
        shares = [
            self._booster.predict(_matrix(part, threads), pred_contribs=True)[:, :-1]
            for part in np.split(rows, range(EXPLAINED, len(rows), EXPLAINED))
        ]
        return np.concatenate(shares).astype(float)

    def explained(self, known: pl.DataFrame) -> tuple[Floats, Floats]:
        """Margin and contributions of a few claims, which are laid out once for both.

        By one thread: to wake others takes longer than a claim.
        """
        rows = laid_out(known, self.levels)
        return self._predict(rows).astype(float), self._contributions(rows, 1)

    def margin(self, known: pl.DataFrame, threads: int) -> Floats:
        """Log odds of fraud, of shape (n,)."""
        self._booster.set_param({"nthread": threads})
        return self._predict(laid_out(known, self.levels)).astype(float)

    def _predict(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._booster.inplace_predict(rows, predict_type="margin"))

    @cached_property
    def _shapley(self) -> Shapley | None:
        trees = json.loads(self.booster_json)["learner"]["gradient_booster"]["model"]["trees"]
        return Shapley.of(trees, len(self.levels))


def _matrix(rows: NDArray[np.float32], threads: int) -> xgboost.DMatrix:
    import xgboost

    return xgboost.DMatrix(rows, nthread=threads)


Part = Logistic | Unusual | Trees


def laid_out(known: pl.DataFrame, levels: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """Lay features out for trees.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the features.
    levels : sequence of sequence of str
        For each feature the levels that get a code of their own; none for a number, which stays as it is.

    Returns
    -------
    array of shape (n, features), float32
        `UNKNOWN` where a number is; for a category the codes of :class:`shared.features.Bins`: 0 a level that is rare
        or new, 1 none, from 2 on the levels. In memory column by column, which XGBoost takes as readily as rows.
    """
    columns = np.empty((known.width, known.height), np.float32)
    for start in range(0, known.height, LAID_OUT):  # some at a time, for memory's sake
        part, laid = known[start : start + LAID_OUT], columns[:, start : start + LAID_OUT]
        hashing = part.lazy().select(_HASHED).collect(background=True)  # by others, while this thread does the numbers
        for column, place in zip(part.iter_columns(), laid, strict=True):
            if column.dtype != pl.String:
                with np.errstate(over="ignore"):  # infinity is clipped next
                    np.copyto(place, column.to_numpy(), casting="same_kind")
                np.clip(place, -_LARGEST, _LARGEST, out=place)
                if column.has_nulls():
                    np.copyto(place, UNKNOWN, where=np.isnan(place))
        hashed = hashing.fetch_blocking()
        for column, place, kept in zip(part.iter_columns(), laid, levels, strict=True):
            if column.dtype == pl.String:
                codes_by(tuple(kept))(hashed[column.name].to_numpy(), out=place)
    return columns.T
