"""What a model sees of a claim."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from shared.features import Bins, Feature, features_of, values, weights_of_evidence
from shared.levels import FIRST_BIN, MISSING, UNSEEN
from shared.past import past_of
from tests import claims_factory
from tests.claims_factory import ODD

ODD_LEVELS = ["^a$", "^.*$", "*", "%", "'", '"', "a\nb", "ü", "null", " "]


def test_features_leave_out_what_names_or_dates_a_claim() -> None:
    """The id, the event's time and whatever the contract hides are no features; a date is seen as days before."""
    text = claims_factory.GARAGE.replace("[outcomes]", 'pii = ["age"]\nignore = ["workshop"]\n\n[outcomes]')
    text += '\n[derived.decade]\ndtype = "integer"\nsql = "age / 10"\n'
    found = features_of(claims_factory.contract(text))
    assert [feature.name for feature in found] == [
        *("amount", ODD, "size", "days from bought", "weekday of bought", "weekday of event_time"),
    ]
    kinds = ["number", "category", "ordered", "number", "category", "category"]
    assert [feature.kind for feature in found] == kinds


def test_values_keep_rows_and_turn_what_is_unknown_into_null() -> None:
    """Infinity and NaN are unknown, as is a level out of order; rows stay as they came."""
    claims = pl.DataFrame(
        {
            "event_time": [datetime(2024, 3, 1, tzinfo=UTC)] * 4,
            "amount": [1.5, float("inf"), float("nan"), None],
            "size": ["L", "^a$", "S", None],
            "bought": [date(2024, 2, 1), None, date(2024, 3, 2), date(2024, 3, 1)],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC")},
    )
    features = [feature for feature in features_of(claims_factory.contract()) if feature.sources[0] in claims.columns]
    assert values(claims, features).to_dict(as_series=False) == {
        "amount": [1.5, None, None, None],
        "size": [2.0, None, 0.0, None],
        "days from bought": [29.0, None, -1.0, 0.0],
        "weekday of bought": ["Thursday", None, "Saturday", "Friday"],
        "weekday of event_time": ["Friday"] * 4,
    }


def test_values_of_a_claim_do_not_depend_on_the_claims_beside_it() -> None:
    """Alone or among others, to the last bit: the API scores one and the batch many."""
    begin, draw = datetime(2024, 1, 1, tzinfo=UTC), np.random.default_rng(1)
    moments = {
        name: [begin + timedelta(seconds=int(second)) for second in draw.integers(0, 10**8, 500)]
        for name in ("event_time", "bought")
    }
    claims = pl.DataFrame(moments, schema_overrides=dict.fromkeys(moments, pl.Datetime("us", "UTC")))
    feature = Feature("days from bought", ("bought", "event_time"), "number")
    alone = pl.concat(values(claim, [feature]) for claim in claims.iter_slices(1))
    assert alone.equals(values(claims, [feature]))


def test_days_between_dates_and_amounts_against_the_usual() -> None:
    """Days are counted between each two dates, if there are few; an amount is a multiple of what is usual."""
    text = claims_factory.GARAGE.replace("[outcomes]", 'amount = "amount"\nkind = "workshop"\n\n[outcomes]')
    more = "".join(f'day{number} = {{ dtype = "date" }}\n' for number in range(5))
    few = {
        feature.name: feature for feature in features_of(claims_factory.contract(text + 'sold = { dtype = "date" }\n'))
    }
    many = [feature.name for feature in features_of(claims_factory.contract(text + more))]
    assert not [name for name in many if name.startswith("days from bought to")]
    asked = [few["days from bought to sold"], few["amount, times the usual of its workshop"]]
    claims = pl.DataFrame(
        {
            "bought": [date(2024, 2, 1), None, date(2024, 3, 2)],
            "sold": [date(2024, 2, 3), date(2024, 2, 3), date(2024, 3, 1)],
            "amount": [100.0, 100.0, 100.0],
            "workshop: usual amount": [50.0, 0.0, None],
        }
    )
    assert values(claims, asked).rows() == [(2.0, 2.0), (None, None), (-1.0, None)]


def test_unseen_and_missing_are_alike_in_train_and_score() -> None:
    """What a level or an unknown past becomes hangs on the claim alone, not on the claims it is read with."""
    contract = claims_factory.contract(
        claims_factory.GARAGE.replace("[outcomes]", 'entities = ["workshop"]\n\n[outcomes]')
    )
    features = features_of(contract)
    past = {name: pl.Series([1.0, None, 3.0] * 10) for name in past_of(contract)}
    claims = claims_factory.claims(30).with_columns(**past)
    whole = values(claims, features)
    assert values(claims[7:8].with_columns(size=pl.lit("never")), features)["size"].to_list() == [None]
    for place in range(3):
        assert values(claims[place : place + 1], features).equals(whole[place : place + 1])
    for feature in features:
        bins = Bins.of(feature, whole[feature.name], 5)
        alone = [int(bins.codes(whole[feature.name][place : place + 1])[0]) for place in range(30)]
        assert alone == bins.codes(whole[feature.name]).tolist()


def test_odd_levels_are_taken_literally() -> None:
    """A level that looks like a pattern, a quotation or a null is a level."""
    bins = Bins.of(Feature("x", ("x",), "category"), pl.Series("x", ODD_LEVELS), 5)
    codes = bins.codes(pl.Series("x", [*ODD_LEVELS, "a", None]))
    assert sorted(codes[:-2]) == list(range(FIRST_BIN, FIRST_BIN + len(ODD_LEVELS)))
    assert list(codes[-2:]) == [UNSEEN, MISSING]


@pytest.mark.parametrize("kind", ["number", "category"])
def test_column_without_values_has_bins(kind: str) -> None:
    """A column that is null throughout has codes all the same."""
    column = pl.Series("x", [None, None], dtype=pl.String if kind == "category" else pl.Float64)
    bins = Bins.of(Feature("x", ("x",), kind), column, 5)  # type: ignore[arg-type]
    assert list(bins.codes(column)) == [MISSING, MISSING]
    assert bins.size > FIRST_BIN


def test_few_values_are_bins_of_their_own_and_many_are_quantiles() -> None:
    """Up to the given number each value is a bin; beyond it bins hold about as many values each."""
    number = Feature("x", ("x",), "number")
    few = pl.Series("x", [0.0, 0.0, 0.0, 1.0, 7.0])
    assert list(Bins.of(number, few, 5).codes(few)) == [2, 2, 2, 3, 4]
    many = pl.Series("x", np.arange(1000.0))
    assert np.bincount(Bins.of(number, many, 5).codes(many)).tolist() == [0, 0, 200, 200, 200, 200, 200]


def test_ties_stay_in_one_bin() -> None:
    """Claims of one value share a bin, however many they are."""
    column = pl.Series("x", [0.0] * 900 + list(np.arange(1.0, 101.0)))
    codes = Bins.of(Feature("x", ("x",), "number"), column, 5).codes(column)
    assert len(set(codes[:900])) == 1


def test_weights_of_evidence() -> None:
    """A bin of frauds speaks for fraud, one without against it, and an unseen value says nothing."""
    codes = np.array([2] * 50 + [3] * 50, dtype=np.int32)
    y = np.repeat([1.0, 0.0], 50)
    evidence = weights_of_evidence(codes, y, 5, 30.0)
    assert evidence[2] > 0 > evidence[3]
    assert evidence[2] == pytest.approx(-evidence[3])
    assert evidence[UNSEEN] == evidence[MISSING] == evidence[4] == pytest.approx(0)


@pytest.mark.parametrize("fraud", [0.0, 1.0])
def test_weights_of_one_class_are_finite(fraud: float) -> None:
    """Claims of one class make no infinite weight."""
    assert np.isfinite(weights_of_evidence(np.full(9, 2, dtype=np.int32), np.full(9, fraud), 3, 30.0)).all()
