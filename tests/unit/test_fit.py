"""The search: what it tries, leaves out, chooses and makes of odd claims."""

from __future__ import annotations

import pickle

import numpy as np
import polars as pl
import pytest

from jobs.train import candidates, fit, trials, yardsticks
from jobs.train.candidates import CANDIDATES, Candidate
from jobs.train.fit import Fitter
from jobs.train.search import Search
from jobs.train.search import search as search_claims
from jobs.train.trials import Trial, choose
from shared.features import Feature, features_of, values
from shared.metrics import roc_auc
from tests import claims_factory
from tests.claims_factory import ODD

LOGISTIC, TREES = CANDIDATES[0], CANDIDATES[2]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates, of which the second grows few trees."""
    small = Candidate("boosted_trees", trees={**(TREES.trees or {}), "rounds": 10})
    monkeypatch.setattr(candidates, "CANDIDATES", (LOGISTIC, small))
    monkeypatch.setattr(trials, "FRAUDS_A_TRIAL", 1e9)
    monkeypatch.setattr(yardsticks, "TREES", 5)


def search(claims: pl.DataFrame, text: str = claims_factory.GARAGE) -> Search:
    found = search_claims(claims, claims_factory.contract(text), 2, 1)
    assert isinstance(found, Search), found
    return found


def test_same_claims_in_any_order_give_the_same_model() -> None:
    """The same claims, seed and threads give the same model, byte for byte, in whatever order the rows come."""
    claims = claims_factory.claims(600)
    first, second = search(claims), search(claims.sample(fraction=1, shuffle=True, seed=3))
    assert pickle.dumps(first.model) == pickle.dumps(second.model)
    assert first.trials == second.trials
    assert first.profile == second.profile


def test_model_ranks_later_claims() -> None:
    """What was learnt from one book ranks another drawn alike, without its noise columns."""
    found, later = search(claims_factory.claims(2000)), claims_factory.claims(2500, seed=1)
    assert {feature.name for feature in found.model.features} >= {"amount", ODD, "age"}
    assert roc_auc(later["is_fraud"].to_numpy().astype(float), found.model.score(later, 1)) > 0.75
    assert found.trials[found.chosen].mean >= max(trial.mean for trial in found.trials) - 0.05


def test_some_claims_tell_the_bins_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bins that come from a part of the claims rank later claims as well, though that part lacks the extreme values."""
    claims, later = claims_factory.claims(2001), claims_factory.claims(2500, seed=1)
    claims = claims.with_columns(pl.when(pl.int_range(pl.len()) == 1).then(1e9).otherwise("amount").alias("amount"))
    actual, y = (frame["is_fraud"].to_numpy().astype(float) for frame in (later, claims))
    features = features_of(claims_factory.contract())
    known = values(claims, features)
    every = Fitter(features, known, y, 1, 0).fit(TREES)
    monkeypatch.setattr(fit, "SKETCHED", 500)
    some = Fitter(features, known, y, 1, 0).fit(TREES)
    assert some != every
    assert roc_auc(actual, some.score(later, 1)) > roc_auc(actual, every.score(later, 1)) - 0.01


@pytest.mark.parametrize(("rates", "order"), [((0.1, 0.9, 0.5), "acb"), ((0.5, 0.52, 0.48), "abc")])
def test_levels_stand_by_their_frauds_only_beyond_chance(rates: tuple[float, ...], order: str) -> None:
    """Levels whose frauds differ beyond chance stand in that order, others in that of their names; no rare one does."""
    levels = np.repeat([*"cba", "rare"], [200, 200, 200, 29])
    frauds = np.concatenate([np.arange(200) < 200 * rate for rate in (rates[2], rates[1], rates[0])] + [np.ones(29)])
    known = pl.DataFrame({"level": [*levels, None]}, schema={"level": pl.String})
    fitter = Fitter([Feature("level", ("level",), "category")], known, np.append(frauds, 1.0).astype(float), 1, 0)
    assert fitter.levels == (tuple(order),)


def test_shared_parts_are_those_fitted_alone() -> None:
    """A blend whose parts other candidates have too is the blend of parts fitted for it alone."""
    claims = claims_factory.claims(600)
    features = [Feature("amount", ("amount",), "number"), Feature(ODD, (ODD,), "category")]
    known, y = claims.select("amount", ODD), claims["is_fraud"].to_numpy().astype(float)
    fitter = Fitter(features, known, y, 1, 0)
    models = [fitter.fit(candidate) for candidate in CANDIDATES]
    assert CANDIDATES[5].family == "blend"
    assert models[5].parts == Fitter(features, known, y, 1, 0).fit(CANDIDATES[5]).parts
    assert models[5].parts == (models[0].parts[0], models[3].parts[0])


@pytest.mark.usefixtures("quick")
def test_leaks_and_dates_are_left_out_unless_allowed() -> None:
    """A planted leak and a month are left out and told; the contract can let each in with a reason."""
    claims = claims_factory.claims(1500).with_columns(
        paid=pl.col("is_fraud").cast(pl.Float64), month=pl.col("event_time").dt.strftime("%Y-%m")
    )
    text = claims_factory.GARAGE + 'paid = { dtype = "number" }\nmonth = { dtype = "category" }\n'
    barred = search(claims, text)
    assert {(finding.column, finding.kind) for finding in barred.left_out} >= {("paid", "leak"), ("month", "time")}
    assert not {"paid", "month"} & {feature.name for feature in barred.model.features}
    allowed = search(claims, text + '[features]\nallow = { paid = "known when the claim is made" }\n')
    assert "paid" in {feature.name for feature in allowed.model.features}
    assert ("paid", "leak") in {(finding.column, finding.kind) for finding in allowed.findings}


@pytest.mark.usefixtures("quick")
def test_claims_without_a_date_make_a_model() -> None:
    """Where no column dates the claims, folds are drawn, no date is a feature and none is suspected of telling it."""
    draws = np.random.default_rng(0).integers(0, 2**32, 1500)
    claims = claims_factory.claims(1500).with_columns(draw=pl.Series(draws), month=pl.col("event_time").dt.month())
    found = search(claims, claims_factory.UNDATED + 'month = { dtype = "integer" }\n')
    assert not [finding for finding in found.findings if finding.kind == "time"]
    assert not [feature for feature in found.model.features if feature.name.startswith("days from")]
    assert len(found.trials[0].average_precision) == 4
    assert found.trials[found.chosen].mean > 0.25


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "change",
    [
        {"amount": pl.lit(None, dtype=pl.Float64), ODD: pl.lit(None, dtype=pl.String)},
        {"amount": pl.lit(5.0), ODD: pl.lit("^a$"), "size": pl.lit("S")},
        {"amount": pl.lit(float("inf")), "age": pl.when(pl.int_range(pl.len()) < 600).then("age")},
        {ODD: pl.concat_str(pl.lit("own "), pl.int_range(pl.len()) // 2), "amount": pl.col("amount") * 1e300},
        {"amount": pl.when(pl.int_range(pl.len()) >= 600).then("amount")},
    ],
    ids=["null columns", "constant columns", "infinite one, one that ends", "levels of two claims each", "late column"],
)
def test_odd_columns_do_not_stop_the_search(change: dict[str, pl.Expr]) -> None:
    """Columns that say nothing or nearly nothing end in a model that gives probabilities."""
    claims = claims_factory.claims(1000).with_columns(**change)
    probability = search(claims).model.score(claims, 1)
    assert np.isfinite(probability).all()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("only", ["amount", ODD, "names"])
def test_one_feature_is_enough(only: str) -> None:
    """A contract of one feature makes a model, even one whose levels are all rare."""
    head = claims_factory.GARAGE.partition("amount =")[0]
    dtype = "number" if only == "amount" else "category"
    claims = claims_factory.claims(1000).with_columns(names=pl.concat_str(pl.lit("n"), pl.int_range(pl.len()) % 250))
    found = search(claims, head + f'"{only}" = {{ dtype = "{dtype}", nullable = true }}\n')
    names = {feature.name for feature in found.model.features}
    assert names <= {only, "weekday of event_time"}
    assert only in names or only == "names"


@pytest.mark.usefixtures("quick")
def test_four_hundred_columns() -> None:
    """Hundreds of columns of noise neither stop the search nor hide what matters."""
    noise = np.random.default_rng(0).random((500, 400))
    more = {f"n{place}": noise[:, place] for place in range(400)}
    text = claims_factory.GARAGE + "".join(f'{name} = {{ dtype = "number" }}\n' for name in more)
    found = search(claims_factory.claims(500).with_columns(**{k: pl.Series(v) for k, v in more.items()}), text)
    assert "amount" in {feature.name for feature in found.model.features}


@pytest.mark.parametrize(
    "claims",
    [
        claims_factory.claims(0),
        claims_factory.claims(1),
        claims_factory.claims(300).with_columns(is_fraud=pl.lit(False)),
        claims_factory.claims(300).with_columns(is_fraud=pl.lit(True)),
        claims_factory.claims(300, days=1),
        claims_factory.claims(300).with_columns(known_at=pl.lit(claims_factory.FIRST_DAY).dt.offset_by("9y")),
    ],
    ids=["none", "one", "no fraud", "all fraud", "one day", "outcomes known late"],
)
def test_nothing_to_learn_from_is_said(claims: pl.DataFrame) -> None:
    """Where no fold can be made there is a sentence instead of a model."""
    assert "no fold" in str(search_claims(claims, claims_factory.contract(), 1, 0))


def test_all_columns_barred_is_said() -> None:
    """Where nothing is left to learn from there is a sentence instead of a model, which names what was suspected."""
    head = claims_factory.GARAGE.partition("amount =")[0]
    claims = claims_factory.claims(500).with_columns(number=pl.int_range(pl.len()))
    text = head + 'number = { dtype = "integer" }\n'
    said = str(search_claims(claims, claims_factory.contract(text), 1, 0))
    assert said.startswith("no column is left to learn from: all are identifiers, leaks or tied to the date (number),")


def trial(*precision: float) -> Trial:
    return Trial(LOGISTIC, precision, precision, float(np.mean(precision)))


def test_simplest_candidate_within_one_standard_error_is_chosen() -> None:
    """A candidate that the best one does not clearly beat is preferred if it is simpler; a clear one wins."""
    assert choose([trial(0.30, 0.30, 0.30), trial(0.25, 0.40, 0.28)]) == 0
    assert choose([trial(0.30, 0.30, 0.30), trial(0.40, 0.41, 0.42)]) == 1
    assert choose([trial(0.2), trial(0.2)]) == 0
