"""Error analysis: a planted miss is found and told in words, noise is not told at all."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from jobs.evaluate.groups import Groups, in_words
from jobs.evaluate.kinds import kinds
from jobs.evaluate.slices import SMALLEST, find_slices
from shared.features import Feature

PERIL = Feature("peril", ("peril",), "category")
AMOUNT = Feature("amount", ("amount",), "number")
BAND = Feature("band", ("band",), "ordered", ("low", "middle", "high"))
NOISE = [Feature(f"x{place}", (f"x{place}",), "number") for place in range(8)]
FEATURES = [PERIL, AMOUNT, BAND, *NOISE]


def book(seed: int, claims: int = 4000, missed: float = 0.0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Claims whose outcomes are drawn by `p`, but for small hail claims, which are frauds more often by `missed`."""
    random = np.random.default_rng(seed)
    amount = np.exp(random.normal(7, 0.8, claims))
    columns = pl.DataFrame(
        {
            "peril": random.choice(["theft", "hail", "fire"], claims, p=[0.4, 0.3, 0.3]),
            "amount": np.where(random.random(claims) < 0.05, np.nan, amount),
            "band": random.integers(0, 3, claims).astype(float),
            **{feature.name: random.normal(size=claims) for feature in NOISE},
        }
    ).with_columns(pl.col("amount").fill_nan(None))
    p = 1 / (1 + np.exp(3.0 - columns["x0"].to_numpy()))
    planted = (columns["peril"] == "hail").to_numpy() & (amount < 1200)
    y = (random.random(claims) < p + missed * planted).astype(float)
    return columns, y, p


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_planted_miss_is_found(seed: int) -> None:
    """Frauds among small hail claims that the model does not expect are told, in words, with their counts."""
    columns, y, p = book(seed, missed=0.25)
    missed = [found for found in find_slices(columns, FEATURES, y, p, p > np.quantile(p, 0.9)) if found.error.low > 0]
    assert missed
    for found in missed:
        assert "peril is hail" in found.words
        assert "amount is under" in found.words
        assert found.frauds > 1.5 * found.expected
        assert found.claims >= SMALLEST
        for row in found.examples:
            assert (columns["peril"][row], y[row]) == ("hail", 1)
            assert columns["amount"][row] is None or columns["amount"][row] < 2000


def test_a_group_that_is_suspected_in_vain_is_found() -> None:
    """Where frauds are fewer than the model says, the slice's error is below zero and its examples are no frauds."""
    columns, y, p = book(2)
    theft = (columns["peril"] == "theft").to_numpy()
    worst = find_slices(columns, FEATURES, np.where(theft, 0, y), p, p > 0.2)[0]
    assert worst.words == "peril is theft"
    assert (worst.frauds, worst.missed) == (0, 0)
    assert worst.error.high < 0
    assert worst.false_alarms > 0
    assert theft[list(worst.examples)].all()


def test_noise_has_no_slices() -> None:
    """Of forty models that say the truth, at most one is told to miss something."""
    told = [
        bool(find_slices(columns, FEATURES, y, p, p > 0.2))
        for columns, y, p in (book(seed, 1000) for seed in range(40))
    ]
    assert sum(told) <= 1


def test_a_model_that_is_wrong_everywhere_has_no_slice() -> None:
    """Probabilities that are all too low by the same factor of the odds are calibration's matter, not a slice's."""
    columns, y, p = book(3)
    assert find_slices(columns, FEATURES, y, p / (p + 4 * (1 - p)), p > 0.2) == []


@pytest.mark.parametrize("y", [np.zeros(0), np.zeros(50), np.ones(50)])
def test_claims_that_tell_nothing_have_no_slices(y: np.ndarray) -> None:
    """Without claims, frauds or honest claims there is nothing to tell."""
    columns = book(1, y.size)[0]
    assert find_slices(columns, FEATURES, y, np.full(y.size, 0.5), y > 2) == []


@pytest.mark.parametrize(
    ("feature", "values", "kept", "words"),
    [
        (AMOUNT, [1.0, 2.0, 3.0, None], [0, 0, 1, 1, 0], "under 3"),
        (AMOUNT, [1.0, 2.0, 3.0, None], [0, 1, 0, 0, 1], "3 or more or unknown"),
        (AMOUNT, [1.0, 2.0, 3.0, None], [0, 1, 0, 1, 0], "from 2 to under 3 or unknown"),
        (AMOUNT, [1.0, 2.0, 3.0, None], [0, 0, 1, 1, 1], "known"),
        (AMOUNT, [1.0, 2.0, 3.0, None], [0, 1, 0, 0, 0], "unknown"),
        (PERIL, ["hail", "hail", "fire", None], [0, 0, 1, 0], "hail"),
        (PERIL, ["hail", "hail", "fire", None], [0, 1, 0, 1], "not hail"),
        (PERIL, ["hail", "hail", "fire", "theft"], [0, 1, 1, 0, 0], "hail"),
        (BAND, [0.0, 1.0, 2.0, None], [0, 0, 1, 1, 0], "low or middle"),
    ],
)
def test_groups_in_words(feature: Feature, values: list[object], kept: list[int], words: str) -> None:
    """Bins are told as a person would tell them, by the values that occur."""
    dtype = pl.String if feature.kind == "category" else pl.Float64
    groups = Groups.of(feature, pl.Series(feature.name, values, dtype=dtype), 12)
    assert groups.told(np.array(kept, dtype=bool)) == words


@pytest.mark.parametrize("seed", range(10))
def test_rounded_edges_stay_in_order(seed: int) -> None:
    """Edges between quantiles of any spread have few digits, and none is lost."""
    random = np.random.default_rng(seed)
    values = pl.Series("amount", np.exp(random.normal(random.uniform(-5, 10), random.uniform(0.01, 3), 500)))
    edges = Groups.of(AMOUNT, values, 12).bins.edges
    assert list(edges) == sorted(set(edges))
    assert len(edges) == 11
    counts = np.bincount(Groups.of(AMOUNT, values, 12).codes)[2:]
    assert counts.min() > 10


def test_truths_become_words() -> None:
    """What is true or false is told as yes or no, and what is unknown stays unknown."""
    hurt = Feature("hurt", ("hurt",), "number")
    claims = pl.DataFrame({"hurt": [True, False, None]})
    columns, features = in_words(claims, pl.DataFrame({"hurt": [1.0, 0.0, None]}), [hurt])
    assert columns["hurt"].to_list() == ["yes", "no", None]
    assert features[0].kind == "category"


def test_kinds_add_up() -> None:
    """Each column's kinds hold every claim and every fraud once; the amount comes first, in bands."""
    columns, y, p = book(4)
    flagged = p > 0.1
    found = kinds(columns, FEATURES, y, flagged, ["amount"])
    assert list(dict.fromkeys(kind.column for kind in found)) == ["amount", "peril"]
    for name in ("amount", "peril"):
        of_column = [kind for kind in found if kind.column == name]
        assert sum(kind.claims for kind in of_column) == y.size
        assert sum(kind.found for kind in of_column) == (y * flagged).sum()
        assert sum(kind.missed for kind in of_column) == (y * ~flagged).sum()
        assert sum(kind.false_alarms for kind in of_column) == ((1 - y) * flagged).sum()
    assert found[0].level.startswith("under ")
    assert found[5].level == "unknown"
