"""The generated claims and what is fraud among them."""

from __future__ import annotations

import polars as pl
import pytest

from deploy.local.simulate.claims import COLUMNS
from deploy.local.simulate.fraud import MECHANISMS
from tests.book_factory import average_precision, read_book


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    """Read a book without dirt, typed, with its truth beside it."""
    return read_book()


def _area_under_curve(fraud: pl.Series, score: pl.Series) -> float:
    """Chance that a fraud scores above an honest claim, ties halved: Mann and Whitney's U."""
    frauds = fraud.sum()
    return (score.rank().filter(fraud).mean() - (frauds + 1) / 2) / (len(fraud) - frauds)


def test_prevalence_and_attainable_score(clean: pl.DataFrame) -> None:
    """About one claim in 25 is a fraud, and the best ranking of the claims is good and far from perfect."""
    assert 0.03 < clean["is_fraud"].mean() < 0.05
    assert 0.35 < average_precision(clean["is_fraud"], clean["fraud_probability"]) < 0.55


def test_probabilities_are_calibrated(clean: pl.DataFrame) -> None:
    """In each bin of fraud probability, the share of frauds is the mean probability up to chance."""
    bins = (
        clean.sort("fraud_probability")
        .group_by(pl.int_range(pl.len()) // 1300)
        .agg(
            share=pl.col("is_fraud").mean(),
            mean=pl.col("fraud_probability").mean(),
            error=(pl.col("fraud_probability") * (1 - pl.col("fraud_probability"))).sum().sqrt() / pl.len(),
        )
    )
    assert len(bins) >= 20
    assert ((bins["share"] - bins["mean"]).abs() < 4 * bins["error"]).all()


def test_mechanisms_label_the_frauds(clean: pl.DataFrame) -> None:
    """Every fraud has a mechanism, every mechanism has its frauds, and an honest claim has none."""
    assert set(clean.filter("is_fraud")["mechanism"]) == {*MECHANISMS, "opportunist"} - {"phantom_glass"}
    assert set(clean.filter(~pl.col("is_fraud"))["mechanism"]) == {"none"}


def test_no_level_gives_fraud_away(clean: pl.DataFrame) -> None:
    """No level of any column with at least 20 claims is fraud in more than 45 % of them."""
    for column in COLUMNS:
        levels = clean.group_by(column).agg(pl.len(), pl.col("is_fraud").mean()).filter(pl.col("len") >= 20)
        assert levels.is_empty() or levels["is_fraud"].max() < 0.45, column


def test_no_column_decides_alone(clean: pl.DataFrame) -> None:
    """Each column by itself, the age of the policy among them, ranks the claims far worse than the truth does."""
    fraud = clean["is_fraud"]
    days = {"tenure": pl.col("loss_on") - pl.col("policy_start"), "delay": pl.col("reported_on") - pl.col("loss_on")}
    claims = clean.select(*COLUMNS[7:], **{name: value.dt.total_days() for name, value in days.items()})
    areas = {}
    for column in claims:
        score = column if column.dtype.is_numeric() else clean.select(pl.mean("is_fraud").over(column.name)).to_series()
        area = _area_under_curve(fraud, score)
        areas[column.name] = max(area, 1 - area)
    assert len(areas) == 19
    assert max(areas.values()) < 0.8, areas
    assert _area_under_curve(fraud, clean["fraud_probability"]) > 0.85


def test_sex_causes_no_fraud(clean: pl.DataFrame) -> None:
    """Both sexes have the same fraud probability up to chance."""
    women, men = (clean.filter(pl.col("sex") == sex)["fraud_probability"] for sex in ("F", "M"))
    error = (women.var() / len(women) + men.var() / len(men)) ** 0.5
    assert abs(women.mean() - men.mean()) < 4 * error


def test_policy_stays_the_same_policy(clean: pl.DataFrame) -> None:
    """A policy that comes back with another claim has the same holder, start, sex, region, channel and agent."""
    fixed = ("claimant_id", "policy_start", "sex", "region", "channel", "agent_id", "deductible")
    assert clean["policy_id"].n_unique() < len(clean)
    assert clean.select("policy_id", *fixed).unique().height == clean["policy_id"].n_unique()


def test_claimant_stays_the_same_person(clean: pl.DataFrame) -> None:
    """A claimant has one sex and region whatever the policy; some have several policies, and more several claims."""
    fixed = ("sex", "region")
    assert clean.select("claimant_id", *fixed).unique().height == clean["claimant_id"].n_unique()
    each = clean.group_by("claimant_id").agg(pl.col("policy_id").n_unique(), pl.len())
    assert 0.005 < (each["policy_id"] > 1).mean() < (each["len"] > 1).mean() < 0.1


def test_phones_are_shared_in_rings_and_now_and_then_elsewhere(clean: pl.DataFrame) -> None:
    """A phone that several claimants give is rare, and points to fraud without proving it."""
    known = clean.drop_nulls("phone").with_columns(people=pl.col("claimant_id").n_unique().over("phone"))
    shared = known.filter(pl.col("people") > 1)
    assert 0.01 < len(shared) / len(known) < 0.05
    assert 3 < shared["is_fraud"].mean() / known["is_fraud"].mean() < 12
    assert known["phone"].str.contains(r"^\+999\d{9}$").all()  # a country that no plan of numbers has


def test_honest_hail_falls_in_storms(clean: pl.DataFrame) -> None:
    """Hail claims cluster on the days of their region's storms; those that do not are staged far more often."""
    hail = clean.filter(pl.col("peril") == "hail").with_columns(near=pl.len().over("region", "loss_on"))
    alone, many = hail.filter(pl.col("near") == 1), hail.filter(pl.col("near") >= 5)
    assert len(many) > len(hail) / 3
    assert len(alone) > 50
    assert alone["is_fraud"].mean() > 2 * many["is_fraud"].mean()
    assert set(hail.filter(pl.col("mechanism") == "staged_hail")["near"]) <= {1, 2, 3}


def test_amounts_grow_and_claims_grow(clean: pl.DataFrame) -> None:
    """The second year has about 5 % more claims than the first, and larger ones."""
    years = (
        clean.group_by(pl.col("reported_on").dt.year()).agg(pl.len(), pl.col("amount").log().mean()).sort("reported_on")
    )
    assert years["len"][1] / years["len"][0] == pytest.approx(1.05, abs=0.02)
    assert years["amount"][1] > years["amount"][0]
