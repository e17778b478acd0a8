"""How unusual claims are, where no outcome is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from jobs.score.rank import rank
from jobs.train.histogram import Histograms, histograms
from shared.anomaly import Anomaly, load
from shared.errors import ModelError
from shared.reasons import REASONS
from tests import claims_factory
from tests.claims_factory import ODD

CONTRACT = claims_factory.contract(claims_factory.GARAGE.replace("[outcomes]\n", ""))
CLAIMS = claims_factory.claims(1000).drop("is_fraud", "known_at")


def learnt(claims: pl.DataFrame = CLAIMS) -> Histograms:
    found = histograms(claims, CONTRACT)
    assert isinstance(found, Histograms), found
    return found


def ranked_by(claims: pl.DataFrame, model: Anomaly) -> pl.DataFrame:
    return rank(claims, model, CONTRACT)


@pytest.fixture(scope="module")
def model() -> Anomaly:
    return learnt().model


def test_what_stands_apart_ranks_first(model: Anomaly) -> None:
    """Of claims drawn alike, the one whose amount and workshop are like no other's is first, and that is why."""
    strange = CLAIMS.head(1).with_columns(amount=pl.lit(9e6), workshop=pl.lit("w-never-seen"), claim_id=pl.lit("odd"))
    ranked = ranked_by(pl.concat([CLAIMS, strange]), model).sort("score", descending=True)
    first = json.loads(ranked["reasons"][0])
    assert ranked["claim_id"][0] == "odd"
    assert ranked["rank_share"][0] == 0.001
    assert {reason["feature"] for reason in first[:2]} == {"amount", "workshop"}
    assert next(reason["share"] for reason in first if reason["feature"] == "workshop") == 0
    told = {reason["feature"]: reason["text"] for reason in first}
    assert told["workshop"] == "Workshop: w-never-seen, as in no claim before."
    assert told["amount"].startswith("Amount: 9,000,000 EUR (")
    assert {"value": 9e6, "feature": "amount"}.items() <= first[0].items() | first[1].items()


def test_average_claim_scores_zero(model: Anomaly) -> None:
    """Each feature's mean over the model's own claims is 0, so that one of many rare levels counts no more."""
    contributions = model.contributions(model.codes(model.known(CLAIMS)))
    assert contributions.mean(axis=0) == pytest.approx(0, abs=1e-9)
    assert ranked_by(CLAIMS, model)["score"].mean() == pytest.approx(0, abs=1e-9)


def test_rank_share_is_the_share_of_claims_at_least_as_unusual(model: Anomaly) -> None:
    """A tenth of the model's own claims is among the top tenth."""
    ranked = ranked_by(CLAIMS, model)
    assert (ranked["rank_share"] <= 0.1).mean() == pytest.approx(0.1, abs=0.01)
    assert ranked["rank_share"].is_between(0, 1).all()


def test_reasons_are_what_is_unusual(model: Anomaly) -> None:
    """At most three reasons a claim, the strongest first, each a value rarer than its feature's average."""
    for text in ranked_by(CLAIMS, model)["reasons"]:
        surprisals = [reason["surprisal"] for reason in json.loads(text)]
        assert len(surprisals) <= REASONS
        assert surprisals == sorted(surprisals, reverse=True)
        assert all(surprisal >= 0 for surprisal in surprisals)
        assert all(reason["text"].endswith(" of all claims.") for reason in json.loads(text))
    sizes = {
        r["group"] for text in ranked_by(CLAIMS, model)["reasons"] for r in json.loads(text) if r["feature"] == "size"
    }
    assert sizes <= {"S", "M", "L"}


def test_a_sensitive_value_is_not_shown(model: Anomaly) -> None:
    """Of a column that is watched for bias only that it is unusual is told."""
    watched = CONTRACT.model_copy(update={"roles": CONTRACT.roles.model_copy(update={"sensitive": ("age",)})})
    reasons = [r for text in rank(CLAIMS, model, watched)["reasons"] for r in json.loads(text) if r["feature"] == "age"]
    assert {(r["value"], r["group"], r["text"]) for r in reasons} == {
        (None, None, "Age is unusual; its value is not shown, as it is watched for bias.")
    }


def test_batches_say_what_the_whole_says(model: Anomaly) -> None:
    """A claim's score and rank do not depend on the claims beside it."""
    assert pl.concat([ranked_by(CLAIMS[:300], model), ranked_by(CLAIMS[300:], model)]).equals(ranked_by(CLAIMS, model))


def test_saved_model_is_read_as_it_was(model: Anomaly, tmp_path: Path) -> None:
    """What is written as data ranks the same after reading."""
    model.save(tmp_path)
    assert load(tmp_path) == model
    assert ranked_by(CLAIMS, load(tmp_path)).equals(ranked_by(CLAIMS, model))


@pytest.mark.parametrize("change", [{"scores": []}, {"histograms": []}, {"format": 0}, {"features": [{"name": 1}]}])
def test_broken_model_is_refused(model: Anomaly, tmp_path: Path, change: dict[str, object]) -> None:
    """A file that does not fit itself or this code is a ModelError with what to do."""
    model.save(tmp_path)
    written = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(written | change))
    with pytest.raises(ModelError, match="train a new one"):
        load(tmp_path)


@pytest.mark.parametrize("counts", [[1, 2], ["many"] * 3, [0.5] * 3])
def test_counts_that_are_none(model: Anomaly, tmp_path: Path, counts: list[object]) -> None:
    """Histograms whose counts do not fit their bins, or are no whole numbers, are refused."""
    model.save(tmp_path)
    written = json.loads((tmp_path / "model.json").read_text())
    written["histograms"][0] |= {"bins": {"edges": [], "levels": []}, "counts": counts}
    (tmp_path / "model.json").write_text(json.dumps(written))
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path)


def test_identifiers_and_constants_say_nothing() -> None:
    """Columns that name claims or are the same in all of them are left out and told."""
    claims = CLAIMS.with_columns(workshop=pl.concat_str(pl.lit("w"), "claim_id"), size=pl.lit("S"))
    found = learnt(claims)
    assert {finding.column for finding in found.left_out} >= {"workshop"}
    assert found.constant == ("size",)
    assert not {"workshop", "size"} & {feature.name for feature in found.model.features}


@pytest.mark.parametrize(
    "change",
    [
        {"amount": pl.lit(None, dtype=pl.Float64)},
        {"amount": pl.when(pl.int_range(pl.len()) % 5 == 0).then("amount").otherwise(0.0)},
        {"amount": pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(float("inf"))).otherwise(pl.col("amount"))},
        {"amount": pl.col("amount") * 1e300},
        {ODD: pl.concat_str(pl.lit("own "), pl.int_range(pl.len()) // 2)},
    ],
    ids=["null", "mostly one value", "infinite", "huge", "levels of two claims each"],
)
def test_odd_columns_are_ranked(change: dict[str, pl.Expr]) -> None:
    """Columns that say little, or too much, end in finite scores."""
    claims = CLAIMS.with_columns(**change)
    assert np.isfinite(ranked_by(claims, learnt(claims).model)["score"].to_numpy()).all()


def test_nothing_to_rank_by_is_said() -> None:
    """Without claims, or without a column that tells them apart, there is a sentence instead of a model."""
    assert "no claim" in str(histograms(CLAIMS.clear(), CONTRACT))
    assert "no column is left" in str(histograms(CLAIMS.head(1), CONTRACT))
