"""A model as data: tables, coefficients and XGBoost's own JSON, never a pickle; and what it makes of claims."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shared.errors import ModelError
from shared.features import Bins, Feature, Floats, values

if TYPE_CHECKING:
    import xgboost

FORMAT = 1
EXPLAINED = 1000
"""Claims that are explained in one call."""
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on weights of evidence.

    Attributes
    ----------
    bins : tuple of Bins
        One a feature.
    evidence : tuple of tuple of float
        Weight of each bin of each feature.
    coefficients : tuple of float
        One a feature.
    """

    bins: tuple[Bins, ...]
    evidence: tuple[tuple[float, ...], ...]
    coefficients: tuple[float, ...]
    intercept: float

    def contributions(self, known: pl.DataFrame, _threads: int) -> Floats:
        """Share of each feature in the log odds, of shape (n, features + 1); the intercept last."""
        columns = [
            np.asarray(evidence)[bins.codes(known[name])] * coefficient
            for name, bins, evidence, coefficient in zip(
                known.columns, self.bins, self.evidence, self.coefficients, strict=True
            )
        ]
        return np.column_stack([*columns, np.full(known.height, self.intercept)])

    def margin(self, known: pl.DataFrame, threads: int) -> Floats:
        """Log odds of fraud, of shape (n,)."""
        return np.asarray(self.contributions(known, threads).sum(axis=1))


@dataclass(frozen=True)
class Trees:
    """Trees of XGBoost on numbers and on one indicator a frequent level.

    Attributes
    ----------
    levels : tuple of tuple of str
        Levels that have an indicator, for each feature; empty for a number.
    booster_json : str
        As XGBoost writes it.
    """

    levels: tuple[tuple[str, ...], ...]
    booster_json: str

    @cached_property
    def _booster(self) -> xgboost.Booster:
        import xgboost

        return xgboost.Booster(model_file=bytearray(self.booster_json.encode()))

    def check(self, features: Sequence[Feature]) -> None:
        """Raise ValueError if the trees cannot be read, or are not for these features."""
        per_feature = [
            len(levels) if feature.kind == "category" else 1
            for feature, levels in zip(features, self.levels, strict=True)
        ]
        if self._booster.num_features() != max(1, sum(per_feature)):
            raise ValueError("its trees do not fit its features")

    def contributions(self, known: pl.DataFrame, threads: int) -> Floats:
        """Exact share of each feature in the log odds (TreeSHAP), shape (n, features + 1); the expected value last."""
        import xgboost

        self._booster.set_param({"nthread": threads})
        laid_out = indicators(known, self.levels)
        # Some at a time: until XGBoost returns, nobody hears SIGTERM, and a claim costs it up to a millisecond.
        shares = np.concatenate(
            [
                self._booster.predict(xgboost.DMatrix(rows, nthread=threads), pred_contribs=True)
                for rows in np.split(laid_out, range(EXPLAINED, len(laid_out), EXPLAINED))
            ]
        )
        owners = [
            place
            for place, (name, levels) in enumerate(zip(known.columns, self.levels, strict=True))
            for _ in (levels if known.schema[name] == pl.String else (name,))
        ]
        by_feature = shares[:, :-1].astype(float) @ np.eye(known.width)[owners or [0]]
        return np.column_stack([by_feature, shares[:, -1]])

    def margin(self, known: pl.DataFrame, threads: int) -> Floats:
        """Log odds of fraud, of shape (n,)."""
        self._booster.set_param({"nthread": threads})
        return np.asarray(
            self._booster.inplace_predict(indicators(known, self.levels), predict_type="margin"), dtype=float
        )


@dataclass(frozen=True)
class Model:
    """A fitted model.

    Attributes
    ----------
    family : str
        Such as ``logistic`` or ``boosted_trees``.
    features : tuple of Feature
        What it looks at.
    parts : tuple
        Its log odds are the mean of theirs.
    """

    family: str
    features: tuple[Feature, ...]
    parts: tuple[Logistic | Trees, ...]

    def known(self, claims: pl.DataFrame) -> pl.DataFrame:
        """Compute what this model looks at; see :func:`known_values`."""
        return known_values(claims, self.features)

    def fraud_probability(self, known: pl.DataFrame, threads: int) -> Floats:
        """Probability of fraud, of shape (n,), from 0 to 1, rows as they came."""
        if known.is_empty():
            return np.empty(0)
        margin = np.mean([part.margin(known, threads) for part in self.parts], axis=0)
        return np.asarray(1 / (1 + np.exp(-margin)))

    def score(self, claims: pl.DataFrame, threads: int) -> Floats:
        """Probability of fraud straight from claims; see :meth:`known` and :meth:`fraud_probability`."""
        return self.fraud_probability(self.known(claims), threads)

    def contributions(self, known: pl.DataFrame, threads: int) -> Floats:
        """Share of each feature in the log odds, of shape (n, features), less its share in an average claim's."""
        return np.asarray(np.mean([part.contributions(known, threads)[:, :-1] for part in self.parts], axis=0))

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and, for trees, ``trees-N.json`` beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        parts: list[dict[str, Any]] = []
        for number, part in enumerate(self.parts):
            if isinstance(part, Trees):
                (folder / f"trees-{number}.json").write_text(part.booster_json)
                parts.append({"trees": f"trees-{number}.json", "levels": part.levels})
            else:
                parts.append({"logistic": asdict(part)})
        document = {
            "format": FORMAT,
            "family": self.family,
            "features": [asdict(feature) for feature in self.features],
            "parts": parts,
        }
        (folder / "model.json").write_text(json.dumps(document, indent=1))


def load(folder: Path) -> Model:
    """Read a model that :meth:`Model.save` wrote.

    Raises
    ------
    ModelError
        It is not there, or of another format than this code writes.
    """
    with read_model(folder, FORMAT) as (document, features):
        parts = tuple(_part(folder, part, features) for part in document["parts"])
        return Model(document["family"], features, parts)


def known_values(claims: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """Compute what a model looks at; see :func:`shared.features.values`.

    Raises
    ------
    ModelError
        The claims lack a column of it.
    """
    wanted = dict.fromkeys(source for feature in features for source in feature.sources)
    if missing := [source for source in wanted if source not in claims.columns]:
        raise ModelError(f"the model looks at {', '.join(missing)}, which the contract lacks; train a new one")
    return values(claims, features)


@contextmanager
def read_model(folder: Path, form: int) -> Iterator[tuple[dict[str, Any], tuple[Feature, ...]]]:
    """Read ``model.json`` and its features; what goes wrong with the document within the block is a ModelError."""
    try:
        document = json.loads((folder / "model.json").read_text())
        if document["format"] != form:
            raise ModelError(f"model {folder}: format {document['format']}, this code reads {form}; train a new one")
        yield document, tuple(Feature(**_tuples(feature)) for feature in document["features"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = str(error).partition("\n")[0]  # XGBoost goes on with a stack trace
        raise ModelError(f"model {folder}: cannot be read ({said}); train a new one") from error


def indicators(known: pl.DataFrame, levels: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """Lay features out for trees.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the features.
    levels : sequence of sequence of str
        For each feature the levels that get a column of their own; none for a number, which stays as it is.

    Returns
    -------
    array of shape (n, columns), float32
        NaN where a number is unknown; a category that is unknown or rare has 0 in all its columns. One column of 0
        where there would be none, since XGBoost wants one.
    """
    columns = [
        column
        for name, kept in zip(known.columns, levels, strict=True)
        for column in (
            [pl.col(name).eq_missing(level) for level in kept]
            if known.schema[name] == pl.String
            else [pl.col(name).clip(-_LARGEST, _LARGEST)]
        )
    ]
    if not columns:
        return np.zeros((known.height, 1), dtype=np.float32)
    frame = known.select(column.cast(pl.Float32).alias(str(place)) for place, column in enumerate(columns))
    return frame.fill_null(np.nan).to_numpy()


def _part(folder: Path, part: dict[str, Any], features: Sequence[Feature]) -> Logistic | Trees:
    if "trees" in part:
        trees = Trees(tuple(map(tuple, part["levels"])), (folder / part["trees"]).read_text())
        trees.check(features)
        return trees
    table = part["logistic"]
    bins = tuple(Bins(tuple(bins["edges"]), tuple(bins["levels"])) for bins in table["bins"])
    evidence = tuple(map(tuple, table["evidence"]))
    coefficients = tuple(map(float, table["coefficients"]))
    if not len(features) == len(bins) == len(coefficients) or [b.size for b in bins] != list(map(len, evidence)):
        raise ValueError("its tables do not fit its features")
    return Logistic(bins, evidence, coefficients, float(table["intercept"]))


def _tuples(feature: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in feature.items()}
