"""A model as data: written, read, and what it makes of claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from jobs.train.candidates import Candidate
from jobs.train.fit import Fitter
from shared.errors import ModelError
from shared.features import Feature, features_of, values
from shared.metrics import average_precision
from shared.model import Model, load
from shared.parts import Linear, Trees, laid_out
from tests import claims_factory
from tests.claims_factory import ODD

CLAIMS = claims_factory.claims(800)
FEATURES = features_of(claims_factory.contract())
KNOWN = values(CLAIMS, FEATURES)
SMALL = {"max_depth": 3, "learning_rate": 0.3, "rounds": 10, "max_bin": 64}
CANDIDATES = [
    Candidate("logistic", logistic={"C": 0.1, "linear": 1}),
    Candidate("boosted_trees", trees=SMALL),
    Candidate("blend", logistic={"C": 0.1, "linear": 1}, trees=SMALL),
    Candidate("anomaly_score", anomaly={}),
]


def fitted(candidate: Candidate, known: pl.DataFrame = KNOWN) -> Model:
    features = [feature for feature in FEATURES if feature.name in known.columns]
    y = CLAIMS["is_fraud"].to_numpy().astype(float)
    return Fitter(features, known, y, 1, 0).fit(candidate)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.family)
def test_model_read_again_says_the_same(candidate: Candidate, tmp_path: Path) -> None:
    """A model that was written and read gives the same probabilities, also for values that training never saw."""
    model = fitted(candidate)
    model.save(tmp_path / "model")
    read = load(tmp_path / "model")
    assert read == model
    later = claims_factory.claims(200, seed=1).with_columns(
        pl.when(pl.int_range(pl.len()) < 50).then(pl.lit("never seen")).otherwise(ODD).alias(ODD),
        pl.when(pl.int_range(pl.len()) > 20).then("amount").alias("amount"),
    )
    probability = model.score(later, 1)
    assert np.array_equal(read.score(later, 1), probability)
    assert ((probability > 0) & (probability < 1)).all()


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.family)
def test_contributions_add_up_to_the_log_odds(candidate: Candidate) -> None:
    """The shares of the features differ from the log odds by one constant for all claims."""
    model = fitted(candidate)
    probability = model.fraud_probability(KNOWN, 1)
    rest = np.log(probability / (1 - probability)) - model.contributions(KNOWN, 1).sum(axis=1)
    assert rest == pytest.approx(rest[0], abs=1e-4)


def test_a_linear_term_is_held_where_claims_end() -> None:
    """A huge number says no more than the largest learnt from, an unknown one nothing; one alone is as among others."""
    values = np.r_[-np.geomspace(1, 100, 500), 0.0, np.geomspace(1, 1e5, 2000)]
    term = Linear.of(pl.Series("amount", values))
    assert term is not None
    shares = term.shares(pl.Series("amount", values))
    assert (shares.mean(), shares.std()) == pytest.approx((0, 1))
    assert (np.diff(shares[500:]) >= 0).all()
    odd = pl.Series("amount", [1e300, 1e5, 1e4, -1e300, -100.0, None])
    huge, largest, fewer, least, smallest, unknown = term.shares(odd)
    assert huge == largest > fewer > 0 > least == smallest
    assert unknown == 0
    assert [float(term.shares(odd[[place]])[0]) for place in range(5)] == term.shares(odd).tolist()[:5]
    assert Linear.of(pl.Series("amount", [5.0, 5.0, None])) is None
    assert Linear.of(pl.Series("amount", [None], dtype=pl.Float64)) is None


def test_a_model_of_the_format_before_is_read(tmp_path: Path) -> None:
    """A document without linear terms, of format 4, gives the same probabilities as when it was written."""
    model = fitted(Candidate("logistic", logistic={"C": 0.1, "linear": 0}))
    model.save(tmp_path)
    change(tmp_path, lambda document: document.update(format=4))
    change(tmp_path, lambda document: document["parts"][0]["logistic"].pop("linear"))
    assert load(tmp_path) == model


def test_linear_terms_find_what_bins_hide() -> None:
    """Where fraud rises with the logarithm of the amount, as far as amounts reach, they find most of what can be."""
    random = np.random.default_rng(3)
    y = (random.random(6000) < 1 / 15).astype(float)
    amounts = np.exp(random.normal(7 + 0.8 * y, 0.7))
    known = pl.DataFrame({"amount": amounts})
    past, future = slice(0, 3000), slice(3000, None)
    fitter = Fitter([Feature("amount", ("amount",), "number")], known[past], y[past], 1, 0)
    found = {
        linear: average_precision(
            y[future],
            fitter.fit(Candidate("logistic", logistic={"C": 0.1, "linear": linear})).margin(known[future], 1),
        )
        for linear in (0, 1)
    }
    attainable = average_precision(y[future], amounts[future])
    assert found[1] > 0.95 * attainable
    assert found[0] < 0.8 * attainable


def test_contributions_of_trees_are_those_of_xgboost() -> None:
    """A feature's share is XGBoost's own share of its column."""
    import xgboost

    (trees,) = fitted(CANDIDATES[1]).parts
    assert isinstance(trees, Trees)
    matrix = xgboost.DMatrix(laid_out(KNOWN, trees.levels))
    own = xgboost.Booster(model_file=bytearray(trees.booster_json.encode())).predict(matrix, pred_contribs=True)
    shares = trees.contributions(KNOWN, 1)
    assert shares == pytest.approx(own[:, :-1], abs=1e-5)
    assert shares.sum(axis=1) + own[0, -1] == pytest.approx(trees.margin(KNOWN, 1), abs=1e-4)


def test_row_order_does_not_matter_to_probabilities() -> None:
    """A claim's probability does not depend on the claims around it."""
    model = fitted(CANDIDATES[2])
    assert np.array_equal(model.fraud_probability(KNOWN[::-1], 1)[::-1], model.fraud_probability(KNOWN, 1))
    assert model.fraud_probability(KNOWN.clear(), 1).size == 0


def test_trees_without_a_column_of_their_own(tmp_path: Path) -> None:
    """Where every level is rare, trees say the same of all claims, with no reason."""
    names = pl.DataFrame({ODD: [f"only {number}" for number in range(CLAIMS.height)]})
    model = fitted(CANDIDATES[1], names)
    model.save(tmp_path)
    assert np.unique(load(tmp_path).fraud_probability(names, 1)).size == 1
    assert not model.contributions(names, 1).any()


def test_odd_levels_have_codes_of_their_own() -> None:
    """A level that looks like a pattern is compared as it is; rare and new levels share a code, none has another."""
    known = pl.DataFrame({"x": ["^a$", "a", "*", None], "y": [1.0, None, 1e300, -1e300]})
    codes = laid_out(known, [("^a$", "*"), ()])
    assert codes[:, 0].tolist() == [2, 0, 3, 1]
    assert codes[1, 1] < codes[:, 1][[0, 2, 3]].min()
    assert np.isfinite(codes[[0, 2, 3], 1]).all()


def test_claims_that_lack_a_column_do_not_fit() -> None:
    """A contract that gave up a column is a model's fault, said by name."""
    with pytest.raises(ModelError, match="amount"):
        fitted(CANDIDATES[0]).known(CLAIMS.drop("amount"))


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "model.json").unlink(),
        lambda folder: (folder / "model.json").write_text("{"),
        lambda folder: (folder / "model.json").write_text("[]"),
        lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "trees-1.json").unlink(),
        lambda folder: (folder / "trees-1.json").write_text("{}"),
        lambda folder: (folder / "trees-1.json").write_text((folder / "trees-1.json").read_text()[:500]),
        lambda folder: change(folder, lambda document: document.pop("family")),
        lambda folder: change(folder, lambda document: document.update(format=0)),
        lambda folder: change(folder, lambda document: document.pop("calibration")),
        lambda folder: change(folder, lambda document: document["calibration"].update(slope=None)),
        lambda folder: change(folder, lambda document: document["calibration"].update(slope=-1.0)),
        lambda folder: change(folder, lambda document: document["calibration"].update(intercept=float("nan"))),
        lambda folder: change(folder, lambda document: document.update(parts=[])),
        lambda folder: change(folder, lambda document: document.update(parts={})),
        lambda folder: change(folder, lambda document: document.update(features=[])),
        lambda folder: change(folder, lambda document: document["features"].pop()),
        lambda folder: change(folder, lambda document: document["features"][0].update(sources=[])),
        lambda folder: change(folder, lambda document: document["features"][0].update(sources="amount")),
        lambda folder: change(folder, lambda document: document["features"][0].update(sources=[["amount"]])),
        lambda folder: change(folder, lambda document: document["features"][0].update(name=1)),
        lambda folder: change(folder, lambda document: document["features"][0].update(kind="size")),
        lambda folder: change(folder, lambda document: document["features"][0].update(levels=[1])),
        lambda folder: change(folder, lambda document: document["features"][0].update(more=1)),
        lambda folder: change(folder, lambda document: logistic(document)["evidence"][0].__setitem__(0, "much")),
        lambda folder: change(folder, lambda document: logistic(document)["bins"][0].update(edges=["low"])),
        lambda folder: change(folder, lambda document: logistic(document)["bins"][0].update(levels=[1])),
        lambda folder: change(folder, lambda document: document["parts"][1]["levels"].__setitem__(0, [1])),
        lambda folder: change(folder, lambda document: logistic(document)["coefficients"].pop()),
        lambda folder: change(folder, lambda document: linear_of(document)[0].update(feature="size")),
        lambda folder: change(folder, lambda document: linear_of(document)[0].pop("slope")),
        lambda folder: change(folder, lambda document: linear_of(document)[0].update(slope="steep")),
        lambda folder: change(folder, lambda document: document["parts"][1]["levels"].pop()),
    ],
)
def test_harmed_model_is_a_model_error(harm: object, tmp_path: Path) -> None:
    """Whatever is missing or broken in a model's folder is told when it is read, in one line."""
    fitted(CANDIDATES[2]).save(tmp_path)
    harm(tmp_path)  # type: ignore[operator]
    with pytest.raises(ModelError) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def logistic(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["parts"][0]["logistic"]
    return found


def linear_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = logistic(document)["linear"]
    return found


def change(folder: Path, edit: object) -> None:
    document = json.loads((folder / "model.json").read_text())
    edit(document)  # type: ignore[operator]
    (folder / "model.json").write_text(json.dumps(document))
