"""What a trial shows: its intervals may be looked at after every fraud, and it stops for the better model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2_contingency

from jobs.evaluate.arms import ALPHA, Tally, compare, evidence, further, interval
from shared.draws import AUDIT_DRAW, DRAWS, SPLIT_DRAW, arm_draw

LOOKS = 600
RUNS = 4000


def tally(found: int, claimants: int = 10_000) -> Tally:
    """An arm in which each claimant has one claim, and reviews find a fraud in every third."""
    return Tally(claimants, claimants, 3 * found, 3 * found, found, found, 1000.0 * found)


def trials(share: float, ratio: float, seed: int, runs: int = RUNS) -> NDArray[np.int64]:
    """Frauds found in the challenger's arm after each fraud found at all, of shape (runs, looks)."""
    odds = ratio * share / (1 - share)
    drawn = np.random.default_rng(seed).random((runs, LOOKS)) < odds / (1 + odds)
    return np.cumsum(drawn, axis=1)


def ever_left_out(here: NDArray[np.int64], share: float, ratio: float) -> float:
    """Share of the runs in which the interval ever leaves out a ratio, looked at after every fraud."""
    all_of = np.arange(1, LOOKS + 1)
    table = np.full((LOOKS + 1, LOOKS), np.nan)
    for n in all_of:
        for x in np.unique(here[:, n - 1]):
            table[x, n - 1] = evidence(x, n - x, share, ratio)
    return float((table[here, all_of - 1] >= math.log(1 / ALPHA)).any(axis=1).mean())


@pytest.mark.parametrize(
    ("share", "ratio", "seed"),
    [(0.5, 1.0, 1), (0.2, 1.0, 2), (0.05, 1.0, 3), (0.5, 1.6, 4), (0.2, 0.5, 5), (0.1, 3.0, 6)],
)
def test_looking_all_the_time_misleads_seldom(share: float, ratio: float, seed: int) -> None:
    """Looked at after each of 600 frauds, the interval ever leaves out the true ratio in at most 5 % of 4,000 trials.

    So where both models find alike, a difference is found no more often.
    """
    assert ever_left_out(trials(share, ratio, seed), share, ratio) <= ALPHA


def test_an_interval_for_one_look_would_raise_many() -> None:
    """The same looks by the usual 95 % interval find a difference in a fifth of the trials and more."""
    all_of = np.arange(20, LOOKS + 1)
    here = trials(0.5, 1.0, 1)[:, 19:]
    assert (abs(here - all_of / 2) > 1.96 * np.sqrt(all_of / 4)).any(axis=1).mean() > 0.2


@pytest.mark.parametrize(("ratio", "better"), [(2.0, "challenger"), (0.5, "champion")])
def test_a_real_difference_stops_the_trial_in_its_favour(ratio: float, better: str) -> None:
    """Of trials in which one model finds twice as many, nearly all stop for it, and none for the other."""
    verdicts = []
    for here in trials(0.5, ratio, 7, runs=100)[:, 59::60].tolist():
        found = (compare(tally(60 * n - x), tally(x), 0.5, 0.25).verdict for n, x in enumerate(here, start=1))
        verdicts.append(next((verdict for verdict in found if verdict != "go on"), "go on"))
    assert verdicts.count(better) >= 95
    assert set(verdicts) <= {better, "go on"}


def test_no_difference_worth_having_ends_the_trial_too() -> None:
    """With enough frauds that are found alike, it stops for want of a difference; with the half of them it goes on."""
    assert compare(tally(4000, 10**6), tally(4000, 10**6), 0.5, 0.1).verdict == "alike"
    assert compare(tally(1000, 10**6), tally(1000, 10**6), 0.5, 0.1).verdict == "go on"


@pytest.mark.parametrize(("here", "there"), [(0, 0), (0, 30), (30, 0), (1, 2), (400, 500), (3, 3000)])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_interval_holds_just_what_is_not_spoken_against(here: int, there: int, share: float) -> None:
    """Its ends lie where the evidence reaches 1/alpha, whatever the counts; without counts it holds everything."""
    low, high = interval(here, there, share)
    bound = math.log(1 / ALPHA)
    for end, outside in ((low, low * 0.99), (high, high * 1.01)):
        if 0 < end < math.inf:
            assert evidence(here, there, share, end) == pytest.approx(bound, abs=1e-6)
            assert evidence(here, there, share, outside) > bound
    assert low < high
    assert (low == 0, high == math.inf) == (here == 0 or low == 0, there == 0 or high == math.inf)


def test_evidence_is_a_martingale() -> None:
    """The expected factor after one more fraud is the factor before it, so that it cannot be gained by waiting."""
    share, ratio = 0.3, 1.7
    odds = ratio * share / (1 - share)
    for here, there in ((0, 0), (3, 9), (50, 20)):
        further_on = odds / (1 + odds) * math.exp(evidence(here + 1, there, share, ratio))
        further_on += math.exp(evidence(here, there + 1, share, ratio)) / (1 + odds)
        assert further_on == pytest.approx(math.exp(evidence(here, there, share, ratio)))


def test_how_many_more_outcomes() -> None:
    """What it says is missing, at the rates so far, leads to a verdict, and the half of it does not."""
    found = compare(tally(40), tally(60), 0.5, 0.25)
    assert found.verdict == "go on"
    more = further(60, 40, 0.5, 0.25)
    assert more is not None
    assert found.outcomes == math.ceil(3 * more)
    for part, verdict in ((1.0, "challenger"), (0.5, "go on")):
        factor = 1 + part * more / 100
        assert compare(tally(round(40 * factor)), tally(round(60 * factor)), 0.5, 0.25).verdict == verdict


def test_before_the_first_fraud() -> None:
    """Without a fraud found, and without claims, it goes on, and does not say for how long."""
    for arms in ((Tally(), Tally()), (tally(0), tally(0))):
        found = compare(*arms, 0.5, 0.25)
        assert (found.verdict, found.outcomes, found.low, found.high) == ("go on", None, 0.0, math.inf)
        assert math.isnan(found.ratio)


def test_arms_that_do_not_hold_their_share() -> None:
    """Where far more claimants stand in an arm than the share says, frauds are not compared."""
    assert compare(tally(40, 10_000), tally(80, 12_000), 0.5, 0.25).verdict == "unbalanced"
    assert compare(tally(40, 10_000), tally(80, 10_050), 0.5, 0.25).verdict == "challenger"


def test_figures_of_an_arm() -> None:
    """Precision, frauds of a thousand claims and net money are what they say; NaN or None where there is nothing."""
    arm = Tally(2000, 1900, 40, 38, 10, 9, 50_000.0)
    assert (arm.precision, arm.found_per_thousand, arm.net(300.0)) == (0.25, 5.0, 38_000.0)
    assert math.isnan(Tally().precision)
    assert math.isnan(Tally().found_per_thousand)
    assert Tally().net(300.0) is None


def test_shares_are_those_of_the_contract(postgres: str) -> None:
    """Of many claimants the share is drawn, the same each time, whatever the audit and the split have drawn."""
    query = (
        f"SELECT c.who, ({arm_draw('who')}) AS arm, ({AUDIT_DRAW}) AS audit, ({SPLIT_DRAW}) AS split FROM "
        "(SELECT 'claim ' || n AS claim_id, CASE WHEN n % 10 > 0 THEN 'person ' || n / 2 END AS who "
        "FROM generate_series(1, 60000) n) c"
    )
    with psycopg.connect(postgres) as connection:
        drawn: list[Any] = connection.execute(query).fetchall()  # type: ignore[arg-type]
    frame = pl.DataFrame(drawn, schema=["who", "arm", "audit", "split"], orient="row")
    persons = frame.drop_nulls("who").group_by("who").agg(pl.col("arm").n_unique().alias("arms"), pl.col("arm").first())
    assert persons["arms"].max() == 1
    for share in (0.05, 0.2, 0.5):
        units = pl.concat([persons["arm"], frame.filter(pl.col("who").is_null())["arm"]])
        below = int((units < share * DRAWS).sum())
        assert binomtest(below, len(units), share).pvalue > 0.001
    of_claims = frame.filter(pl.col("who").is_null())
    for other in ("audit", "split"):
        table = of_claims.group_by(pl.col("arm") < 0.2 * DRAWS, pl.col(other) < 0.2 * DRAWS).len()
        counts = table.sort("arm", other)["len"].to_numpy().reshape(2, 2)
        assert chi2_contingency(counts).pvalue > 0.001
