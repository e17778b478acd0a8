"""What score says of claims."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from jobs.train.candidates import Candidate
from jobs.train.fit import Fitter
from shared.draws import Arm
from shared.features import features_of, values
from shared.model import Model
from shared.peers import Peers
from shared.predict import predict
from shared.reasons import REASONS, Explainer
from tests import claims_factory

CLAIMS = claims_factory.claims(600)
FEATURES = features_of(claims_factory.contract())
LATER = claims_factory.claims(400, seed=1).with_columns(
    arm=pl.Series(["champion", "challenger"] * 200),
    draw=pl.Series(np.random.default_rng(0).integers(0, 2**32, 400)),
    amount=pl.when(pl.int_range(pl.len()) % 7 > 0).then("amount"),
    size=pl.when(pl.int_range(pl.len()) % 5 > 0).then("size"),
)


@pytest.fixture(scope="module")
def model() -> Model:
    y = CLAIMS["is_fraud"].to_numpy().astype(float)
    trees = {"max_depth": 3, "learning_rate": 0.3, "rounds": 10, "max_bin": 64}
    candidate = Candidate("blend", logistic={"C": 0.1, "linear": 0}, trees=trees)
    return Fitter(FEATURES, values(CLAIMS, FEATURES), y, 1, 0).fit(candidate)


@pytest.fixture(scope="module")
def explainer(model: Model) -> Explainer:
    peers = Peers.of(CLAIMS, FEATURES, None)
    return Explainer(model.features, claims_factory.contract(), peers)


@pytest.mark.parametrize("variant", ["champion", "challenger"])
def test_predictions_stand_in_order_with_reasons_where_someone_looks(
    model: Model, explainer: Explainer, variant: Arm
) -> None:
    """Each claim has its row; reasons stand where the model may decide and somebody is to look, else nowhere."""
    found = predict(LATER, model, 0.3, 0.2, explainer, 1, variant)
    assert found["claim_id"].equals(LATER["claim_id"])
    assert found["arm"].equals(LATER["arm"])
    assert set(found["variant"]) == {variant}
    assert found["fraud_probability"].to_numpy() == pytest.approx(model.score(LATER, 1))
    assert (found["flagged"] == (found["fraud_probability"] >= 0.3)).all()
    assert not (found["flagged"] & found["audited"]).any()
    decides = pl.lit(variant == "champion") | (pl.col("arm") == variant)
    looked_at = found.select((pl.col("flagged") | pl.col("audited")) & decides).to_series()
    assert (looked_at == found["reasons"].is_not_null()).all()
    assert 0.1 < found.filter(~pl.col("flagged"))["audited"].mean() < 0.3
    for reasons in map(json.loads, found["reasons"].drop_nulls()):
        assert 0 < len(reasons) <= REASONS
        sizes = [abs(reason["log_odds"]) for reason in reasons]
        assert sizes == sorted(sizes, reverse=True)
        assert all((reason["log_odds"] >= 0) == (reason["direction"] == "raises") for reason in reasons)
        assert {reason["value"] for reason in reasons if reason["feature"] == "size"} <= {"S", "M", "L", None}


def test_same_claims_are_audited_whatever_stands_beside_them(model: Model, explainer: Explainer) -> None:
    """The lot goes with the claim: a batch cut in two gives the same predictions."""
    whole = predict(LATER, model, 0.3, 0.2, explainer, 1)
    halves = [predict(part, model, 0.3, 0.2, explainer, 1) for part in (LATER[:150], LATER[150:])]
    assert pl.concat(halves).equals(whole)


@pytest.mark.parametrize(("threshold", "audited", "explained"), [(2.0, 0.0, 0), (0.0, 0.0, 400), (2.0, 1.0, 400)])
def test_none_or_all_are_looked_at(
    model: Model, explainer: Explainer, threshold: float, audited: float, explained: int
) -> None:
    """Nobody's reasons, or everybody's, are no special case."""
    assert predict(LATER, model, threshold, audited, explainer, 1)["reasons"].count() == explained


def test_no_claims_are_no_special_case(model: Model, explainer: Explainer) -> None:
    """Of no claims there are no predictions."""
    assert predict(LATER.clear(), model, 0.3, 0.2, explainer, 1).is_empty()
