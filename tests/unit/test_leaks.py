"""Columns that must not be learnt from are found, and real ones are not."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

from jobs.train.folds import Fold, forward_folds
from jobs.train.leaks import Finding, suspected_leaks, time_bound
from shared.features import Feature, Floats, features_of, values
from tests import claims_factory

N = 4000
RANDOM = np.random.default_rng(0)
CATEGORY, NUMBER = Feature("x", ("x",), "category"), Feature("x", ("x",), "number")


@cache
def book() -> tuple[pl.DataFrame, Floats, list[Fold]]:
    claims = claims_factory.claims(N, seed=5)
    folds = forward_folds(claims["event_time"].to_list(), claims["known_at"].to_list())
    return claims, claims["is_fraud"].to_numpy().astype(float), folds


def found(column: object, dtype: str, unit: str = "") -> list[Finding]:
    """Findings against one more column of the claims."""
    claims, y, folds = book()
    text = claims_factory.GARAGE + f'planted = {{ dtype = "{dtype}", nullable = true, unit = "{unit}" }}\n'
    contract = claims_factory.contract(text)
    planted = pl.Series("planted", column, dtype=pl.Float64 if dtype == "number" else None)
    claims = claims.with_columns(planted)
    features = features_of(contract)
    findings = suspected_leaks(claims, features, values(claims, features), y, folds, contract)
    return [finding for finding in findings if finding.column == "planted"]


def label() -> Floats:
    return book()[1]


def after_investigation(share: float) -> list[str | None]:
    """A code that is entered for some of the frauds once they are proven."""
    entered = RANDOM.random(N) < share
    return ["referred" if fraud and yes else "none" for fraud, yes in zip(label(), entered, strict=True)]


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (lambda: 1.0 * label(), "number"),
        (lambda: np.where(RANDOM.random(N) < 0.05, 1 - label(), label()), "number"),
        (lambda: ["^a$" if fraud else "*" for fraud in label()], "category"),
        (lambda: np.argsort(np.argsort(label() + RANDOM.random(N) / 2)), "integer"),
        (lambda: label() * 1000 + RANDOM.integers(0, 500, N), "number"),
        (lambda: after_investigation(0.3), "category"),
        (lambda: after_investigation(0.9), "category"),
        (lambda: [None if fraud else 1.0 for fraud in label()], "number"),
        (lambda: [value if value == "referred" else None for value in after_investigation(0.5)], "category"),
    ],
    ids=[
        "copy of the label",
        "noisy copy",
        "copy in odd words",
        "id sorted by the label",
        "amount paid",
        "code entered after some investigations",
        "code entered after most investigations",
        "missing where fraud",
        "known where fraud",
    ],
)
def test_planted_leak_is_found(column: object, dtype: str) -> None:
    """What could only be known after an investigation is suspected."""
    assert [finding.kind for finding in found(column(), dtype)] == ["leak"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (lambda: label() + RANDOM.normal(0, 1.1, N), "number"),
        (lambda: np.where(RANDOM.random(N) < 0.25 + 0.5 * label(), "total loss", "scratch"), "category"),
        (lambda: np.where(RANDOM.random(N) < 0.05 + 0.1 * label(), None, "yes"), "category"),
        (lambda: RANDOM.integers(0, 250, N).astype(str), "category"),
        (lambda: np.ones(N), "number"),
        (lambda: [None] * N, "number"),
        (lambda: RANDOM.lognormal(7, 1, N), "number"),
    ],
    ids=["strong number", "strong level", "telling gap", "garages", "constant", "never known", "amount"],
)
def test_plausible_column_is_not_suspected(column: object, dtype: str) -> None:
    """A strong sign that an investigator would know, and columns that say nothing, are left in peace."""
    assert found(column(), dtype) == []  # type: ignore[operator]


def test_identifiers_are_suspected_unless_they_measure() -> None:
    """A value of its own for each claim names it, in words or whole numbers; a whole number with a unit measures."""
    numbers = RANDOM.permutation(10 * N)[:N]
    assert "an identifier" in found([f"policy {number}" for number in numbers], "category")[0].evidence
    assert "an identifier" in found(numbers, "integer")[0].evidence
    assert found(numbers, "integer", unit="km") == []


def days(n: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(0, 500, n)).astype(np.int32)


def tied(feature: Feature, column: pl.Series, day: np.ndarray) -> bool:
    return bool(time_bound([feature], pl.DataFrame({"x": column}), day, 0))


@pytest.mark.parametrize("n", [400, 5000])
@pytest.mark.parametrize(
    ("feature", "of_day"),
    [
        (CATEGORY, lambda day: (day // 30 % 12).astype(str)),
        (CATEGORY, lambda day: (day // 7 % 5).astype(str)),
        (NUMBER, lambda day: day // 7 * 1.0),
        (NUMBER, lambda day: np.arange(day.size) + 7e5),
        (NUMBER, lambda day: day + np.random.default_rng(0).normal(0, 20, day.size)),
        (CATEGORY, lambda day: np.where(np.random.default_rng(0).random(day.size) < 0.2, "?", (day // 30).astype(str))),
    ],
    ids=["month", "week of month", "week number", "running number", "date reported", "month, often unknown"],
)
def test_column_that_tells_the_date_is_found(feature: Feature, of_day: object, n: int) -> None:
    """What goes with the calendar or counts up with time is tied to the date."""
    day = days(n, 1)
    assert tied(feature, pl.Series("x", of_day(day)), day)  # type: ignore[operator]


@pytest.mark.parametrize("n", [60, 300, 5000])
@pytest.mark.parametrize("seed", range(4))
def test_column_that_does_not_is_left(n: int, seed: int) -> None:
    """Neither rare levels nor hundreds of them, nor a mild trend, are tied to the date."""
    random, day = np.random.default_rng(seed), days(n, seed)
    plain = {
        "number": random.random(n),
        "two levels": random.integers(0, 2, n).astype(str),
        "rare level": (random.random(n) < 0.01).astype(str),
        "garages": random.integers(0, 250, n).astype(str),
        "few of many": (random.pareto(1, n).astype(int) % 400).astype(str),
        "mild trend": day / 500 + random.normal(0, 2, n),
        "mostly unknown": pl.Series([value if value < 0.05 else None for value in random.random(n)], dtype=pl.Float64),
        "constant": np.zeros(n),
    }
    kinds = {name: CATEGORY if pl.Series(column).dtype == pl.String else NUMBER for name, column in plain.items()}
    assert [name for name, column in plain.items() if tied(kinds[name], pl.Series("x", column), day)] == []


def test_photos_used_before_are_no_leak() -> None:
    """Pictures that stood in an earlier claim cannot know the outcome of this one, however well they tell it."""
    claims, y, folds = book()
    contract = claims_factory.contract().model_copy(update={"photos": True})
    claims = claims.with_columns(photos_reused=pl.Series(y).cast(pl.Int64))
    features = features_of(contract)
    assert features[-1] == Feature("photos_reused", ("photos_reused",), "number")
    findings = suspected_leaks(claims, features, values(claims, features), y, folds, contract)
    assert "photos_reused" not in [finding.column for finding in findings]
