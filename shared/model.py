"""A model as data, never a pickle; and what it makes of claims."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shared.features import Feature, Floats, strings
from shared.parts import Logistic, Part, Trees, Unusual
from shared.stored import known_values, read_model

FORMAT = 5
READ = (4, FORMAT)
"""Formats that this code reads: in 4 no logistic regression has linear terms."""


@dataclass(frozen=True)
class Calibration:
    """What makes log odds say how often claims like these are fraud; it keeps their order.

    Attributes
    ----------
    slope : float
        Above 0.
    intercept : float
    """

    slope: float = 1.0
    intercept: float = 0.0


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
        Its log odds are the mean of theirs, calibrated.
    """

    family: str
    features: tuple[Feature, ...]
    parts: tuple[Part, ...]
    calibration: Calibration = Calibration()

    def known(self, claims: pl.DataFrame) -> pl.DataFrame:
        """Compute what this model looks at; see :func:`shared.stored.known_values`."""
        return known_values(claims, self.features)

    def margin(self, known: pl.DataFrame, threads: int) -> Floats:
        """Log odds of fraud, of shape (n,), rows as they came."""
        if known.is_empty():
            return np.empty(0)
        return self._calibrated([part.margin(known, threads) for part in self.parts])

    def _calibrated(self, margins: Sequence[Floats]) -> Floats:
        mean = reduce(np.add, margins) / len(margins)  # of one part, np.mean would copy it first
        return np.asarray(self.calibration.slope * mean + self.calibration.intercept)

    def fraud_probability(self, known: pl.DataFrame, threads: int) -> Floats:
        """Probability of fraud, of shape (n,), from 0 to 1, rows as they came."""
        return _probability(self.margin(known, threads))

    def score(self, claims: pl.DataFrame, threads: int) -> Floats:
        """Probability of fraud straight from claims; see :meth:`known` and :meth:`fraud_probability`."""
        return self.fraud_probability(self.known(claims), threads)

    def contributions(self, known: pl.DataFrame, threads: int) -> Floats:
        """Share of each feature in the log odds, of shape (n, features), less its share in an average claim's."""
        mean = np.mean([part.contributions(known, threads) for part in self.parts], axis=0)
        return np.asarray(self.calibration.slope * mean)

    def explained(self, known: pl.DataFrame) -> tuple[Floats, Floats]:
        """Probability and contributions of a few claims, by one thread; see the two by themselves."""
        told = [
            part.explained(known) if isinstance(part, Trees) else (part.margin(known, 1), part.contributions(known, 1))
            for part in self.parts
        ]
        margins, shares = zip(*told, strict=True)
        probability = _probability(self._calibrated(margins))
        return probability, self.calibration.slope * np.mean(shares, axis=0)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and, for trees, ``trees-N.json`` beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        parts: list[dict[str, Any]] = []
        for number, part in enumerate(self.parts):
            match part:
                case Trees():
                    (folder / f"trees-{number}.json").write_text(part.booster_json)
                    parts.append({"trees": f"trees-{number}.json", "levels": part.levels})
                case Unusual():
                    parts.append({"unusual": part.as_document()})
                case Logistic():
                    parts.append({"logistic": part.as_document()})
        document = {
            "format": FORMAT,
            "family": self.family,
            "features": [asdict(feature) for feature in self.features],
            "parts": parts,
            "calibration": asdict(self.calibration),
        }
        (folder / "model.json").write_text(json.dumps(document, indent=1))


def _probability(margin: Floats) -> Floats:
    odds = np.exp(-margin)
    odds += 1  # in place: beside trees that are this fast, a new array is felt
    return np.reciprocal(odds, out=odds)


def load(folder: Path) -> Model:
    """Read a model that :meth:`Model.save` wrote.

    Raises
    ------
    ModelError
        It is not there, or of a format that this code does not read.
    """
    with read_model(folder, READ) as (document, features):
        parts = tuple(_part(folder, part, features) for part in document["parts"])
        if not parts:
            raise ValueError("it has no parts")
        return Model(document["family"], features, parts, _calibration(**document["calibration"]))


def _calibration(slope: float, intercept: float) -> Calibration:
    if not (slope > 0 and isfinite(slope) and isfinite(intercept)):
        raise ValueError("its calibration does not keep the order of claims")
    return Calibration(float(slope), float(intercept))


def _part(folder: Path, part: dict[str, Any], features: Sequence[Feature]) -> Part:
    if "trees" in part:
        trees = Trees(tuple(map(strings, part["levels"])), (folder / part["trees"]).read_text())
        trees.check(features)
        return trees
    if "unusual" in part:
        return Unusual.of_document(part["unusual"], features)
    return Logistic.of_document(part["logistic"], features)
