"""What can be tried: families, from the simplest to the least simple, and the settings of their parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

Settings = Mapping[str, float]
Scale = Literal["even", "log", "whole"]
FAMILIES = ("logistic", "anomaly_score", "boosted_trees", "random_forest", "blend")
"""From the simplest to the least simple: a tie goes to the earlier."""


@dataclass(frozen=True)
class Candidate:
    """One way to fit a model: its family and the settings of its parts, whose log odds are averaged.

    Attributes
    ----------
    logistic, anomaly, trees : Mapping, optional
        A part's settings; None where the model has no such part.
    """

    family: str
    logistic: Settings | None = None
    anomaly: Settings | None = None
    trees: Settings | None = None

    @property
    def settings(self) -> dict[str, float]:
        """Settings of all parts, by a name that says of which."""
        parts = {"logistic": self.logistic, "anomaly": self.anomaly, "trees": self.trees}
        return {f"{part}.{name}": value for part, settings in parts.items() for name, value in (settings or {}).items()}


# For tabular problems of some thousand rows and few frauds: shallow trees, sampled rows and columns, strong shrinkage.
_BOOSTED = {"max_depth": 3, "learning_rate": 0.05, "subsample": 0.7, "colsample_bytree": 0.5, "scale_pos_weight": 1.0}
_LOOSE = _BOOSTED | {"rounds": 300, "reg_lambda": 3.0, "min_child_weight": 1.0}
_TIGHT = _BOOSTED | {"rounds": 150, "reg_lambda": 10.0, "min_child_weight": 5.0}
_BAGGED = {
    "rounds": 1,
    "learning_rate": 1.0,
    "num_parallel_tree": 200,
    "subsample": 0.63,  # the share of different rows in a bootstrap sample
    "reg_lambda": 1.0,
}
_FOREST = _BAGGED | {"max_depth": 8, "colsample_bynode": 0.3, "min_child_weight": 2.0}

CANDIDATES: tuple[Candidate, ...] = (
    Candidate("logistic", logistic={"C": 0.1, "linear": 0}),
    Candidate("logistic", logistic={"C": 1.0, "linear": 0}),
    Candidate("boosted_trees", trees=_TIGHT),
    Candidate("boosted_trees", trees=_LOOSE),
    Candidate("random_forest", trees=_FOREST),
    Candidate("blend", logistic={"C": 0.1, "linear": 0}, trees=_LOOSE),
    Candidate("anomaly_score", anomaly={}),
    Candidate("logistic", logistic={"C": 0.1, "linear": 1}),
)
"""Tried first: a search of few trials has then met every family, and a longer one knows where to look."""

_Space = Mapping[str, tuple[Scale, float, float]]
_LOGISTIC: _Space = {
    "logistic.C": ("log", 0.001, 10.0),
    "logistic.linear": ("whole", 0, 1),  # whether it looks at numbers themselves, too, beside their bins
}
_TREES: _Space = {
    "trees.max_depth": ("whole", 2, 6),
    "trees.rounds": ("whole", 50, 400),
    "trees.learning_rate": ("log", 0.02, 0.2),
    "trees.subsample": ("even", 0.5, 1.0),
    "trees.colsample_bytree": ("even", 0.3, 1.0),
    "trees.reg_lambda": ("log", 0.5, 30.0),
    "trees.min_child_weight": ("log", 0.5, 30.0),
    # How much more a fraud weighs than another claim; calibration makes probabilities of it again.
    "trees.scale_pos_weight": ("log", 1.0, 10.0),
}
_DRAWN: Mapping[str, _Space] = {
    "logistic": _LOGISTIC,
    "boosted_trees": _TREES,
    "random_forest": {
        "trees.max_depth": ("whole", 4, 12),
        "trees.colsample_bynode": ("even", 0.1, 0.7),
        "trees.min_child_weight": ("log", 0.5, 30.0),
    },
    "blend": {**_LOGISTIC, **_TREES},
}
"""What is drawn for each family that has something to draw: scale and range."""
_KEPT: Mapping[str, Settings] = {"random_forest": {f"trees.{name}": value for name, value in _BAGGED.items()}}


def candidate_of(family: str, settings: Settings) -> Candidate:
    """Give the candidate whose :attr:`Candidate.settings` these are.

    >>> candidate_of("blend", {"logistic.C": 0.1, "trees.rounds": 10})
    Candidate(family='blend', logistic={'C': 0.1}, anomaly=None, trees={'rounds': 10})
    """
    if family == "anomaly_score":
        return Candidate(family, anomaly={})
    parts: dict[str, dict[str, float]] = {}
    for name, value in settings.items():
        part, _, setting = name.partition(".")
        parts.setdefault(part, {})[setting] = value
    return Candidate(family, **parts)


def draw(trial: optuna.Trial) -> Candidate:
    """Let optuna choose a family and its settings."""
    family = trial.suggest_categorical("family", list(_DRAWN))
    drawn: dict[str, float] = {}
    for name, (scale, low, high) in _DRAWN[family].items():
        asked = f"{family}.{name}"
        if scale == "whole":
            drawn[name] = trial.suggest_int(asked, int(low), int(high))
        else:
            drawn[name] = trial.suggest_float(asked, low, high, log=scale == "log")
    return candidate_of(family, {**_KEPT.get(family, {}), **drawn})


def as_drawn(candidate: Candidate) -> tuple[dict[str, Any], dict[str, BaseDistribution]] | None:
    """Write a candidate as optuna keeps it: what was drawn and what from; None where nothing is."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if candidate.family not in _DRAWN:
        return None
    drawn: dict[str, Any] = {"family": candidate.family}
    spans: dict[str, BaseDistribution] = {"family": CategoricalDistribution(list(_DRAWN))}
    for name, (scale, low, high) in _DRAWN[candidate.family].items():
        asked = f"{candidate.family}.{name}"
        drawn[asked] = candidate.settings[name]
        whole = IntDistribution(int(low), int(high))
        spans[asked] = whole if scale == "whole" else FloatDistribution(low, high, log=scale == "log")
    return drawn, spans
