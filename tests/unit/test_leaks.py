"""Columns that must not be learnt from are found, and real ones are not."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

from jobs.train.folds import Fold, forward_folds
from jobs.train.leaks import Finding, barred, suspected_leaks, time_bound
from shared.features import WEEKDAYS, Feature, Floats, features_of, values
from shared.past import past_of, usual_amount
from tests import claims_factory

N = 4000
RANDOM = np.random.default_rng(0)
COUNTED = "workshop: claims in the 90 days before, up to 5"
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
        (lambda: np.where(RANDOM.random(N) < 0.005 + 0.25 * label(), 0, RANDOM.lognormal(7, 1, N)), "number"),
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
        "nothing paid where declined",
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
        (lambda: np.where(RANDOM.random(N) < 0.05 + 0.1 * label(), 0, RANDOM.lognormal(7, 1, N)), "number"),
        (lambda: RANDOM.lognormal(7, 1, N) // 50 * 50, "number"),
    ],
    ids=[
        *("strong number", "strong level", "telling gap", "garages", "constant", "never known", "amount"),
        *("telling nought", "rounded amount"),
    ],
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


def test_what_is_no_feature_is_not_suspected() -> None:
    """The id, an ignored column and a personal one name claims, and no model would have seen them."""
    claims, y, folds = book()
    roles = 'ignore = ["ignored"]\npii = ["personal"]\n'
    text = claims_factory.GARAGE.replace("\n[outcomes]", f"{roles}\n[outcomes]")
    contract = claims_factory.contract(text + 'ignored = { dtype = "text" }\npersonal = { dtype = "text" }\n')
    claims = claims.with_columns(ignored="claim_id", personal="claim_id")
    features = features_of(contract)
    assert suspected_leaks(claims, features, values(claims, features), y, folds, contract) == []


def test_a_date_entered_after_an_investigation_is_blamed_alone() -> None:
    """It is told once, and neither the days between it and an honest date nor its weekday speak against that one."""
    claims, y, folds = book()
    closed = pl.when(pl.Series(y == 1) & (pl.int_range(N) % 10 > 0)).then(pl.col("event_time").dt.offset_by("30d"))
    claims = claims.with_columns(closed=closed.dt.date())
    contract = claims_factory.contract(claims_factory.GARAGE + 'closed = { dtype = "date", nullable = true }\n')
    features = features_of(contract)
    findings = suspected_leaks(claims, features, values(claims, features), y, folds, contract)
    assert [finding.column for finding in findings] == ["closed"]
    left = {feature.name for feature in features if not barred(feature, findings)}
    assert {"days from bought", "weekday of bought", "weekday of event_time"} <= left
    assert not {"days from closed", "days from bought to closed", "weekday of closed"} & left


def days(n: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(0, 500, n)).astype(np.int32)


def tied(feature: Feature, column: pl.Series, day: np.ndarray) -> bool:
    return bool(time_bound([feature], pl.DataFrame({"x": column}), day, claims_factory.contract(), 0))


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


@pytest.mark.parametrize("n", [60, 300, 5000])
@pytest.mark.parametrize("seed", range(3))
def test_weekdays_of_months_firsts_tell_the_month(n: int, seed: int) -> None:
    """Of dates by the day, and of claims that come on five days a week, weekdays come again; those of firsts do not."""
    feature, day = Feature("weekday of x", ("x",), "category", WEEKDAYS), days(n, seed)

    def told(day: np.ndarray) -> bool:
        weekdays = pl.Series("weekday of x", [WEEKDAYS[place] for place in (day + 3) % 7])
        return bool(time_bound([feature], weekdays.to_frame(), day, claims_factory.contract(), 0))

    assert not told(day)
    assert not told(day[(day + 3) % 7 < 5])
    assert not told(day // 7 * 7)
    assert told(pl.Series(day).cast(pl.Date).dt.month_start().to_physical().to_numpy())


def past_tied(usual: Floats, before: Floats) -> list[str]:
    """Columns tied to the date, of claims whose past says this."""
    claims, _, _ = book()
    roles = 'amount = "amount"\nkind = "size"\nentities = ["workshop"]\n'
    contract = claims_factory.contract(claims_factory.GARAGE.replace("\n[outcomes]", f"{roles}\n[outcomes]"))
    told = dict.fromkeys(past_of(contract), pl.Series(np.ones(N)))
    told |= {str(usual_amount(contract)): pl.Series(usual, nan_to_null=True), COUNTED: pl.Series(before)}
    claims = claims.with_columns(**told)
    features, day = features_of(contract), claims["event_time"].cast(pl.Date).to_physical().to_numpy()
    return [finding.column for finding in time_bound(features, values(claims, features), day, contract, 0)]


def test_that_no_amount_is_usual_as_a_book_begins_speaks_against_none() -> None:
    """Neither the amount nor the amount as a multiple of the usual is tied to the date for that."""
    usual = np.where(np.arange(N) < N // 4, np.nan, 1e3)
    assert past_tied(usual, np.random.default_rng(0).integers(0, 6, N)) == []


def test_a_count_that_is_full_once_a_book_has_begun_is_found() -> None:
    """It says nothing later on, and would teach how much fraud there was at the begin."""
    assert past_tied(np.full(N, 1e3), np.minimum(np.arange(N) // (N // 20), 5)) == [COUNTED]


def test_a_past_that_tells_the_date_leaves_its_columns() -> None:
    """What keeps growing is left out by itself: the amount that is divided by it stays."""
    growing = np.arange(N) + 1.0
    assert past_tied(growing**9, growing) == [COUNTED, "amount, times the usual of its size"]


def test_photos_used_before_are_no_leak() -> None:
    """Pictures that stood in an earlier claim cannot know the outcome of this one, however well they tell it."""
    claims, y, folds = book()
    contract = claims_factory.contract().model_copy(update={"photos": True})
    claims = claims.with_columns(photos_reused=pl.Series(y).cast(pl.Int64))
    features = features_of(contract)
    assert features[-1] == Feature("photos_reused", ("photos_reused",), "number")
    findings = suspected_leaks(claims, features, values(claims, features), y, folds, contract)
    assert "photos_reused" not in [finding.column for finding in findings]
