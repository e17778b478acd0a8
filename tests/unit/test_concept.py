"""What is said of a window whose outcomes are mature, and how often that is said of one in which nothing changed."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from jobs.drift.cohorts import as_frame, cut, rows
from jobs.drift.concept import Comparison, Matured, Rates, comparison, concept_measures, late
from jobs.drift.measure import Measure
from jobs.drift.selection import Cells
from shared.contract import Gates

RATE = 0.025
LIVES = int(os.environ.get("CLAIMSIGHT_DRIFT_LIVES", "8"))


def window(n: int, seed: int, keeps: float = 1.0, odds: float = 0.0, looked: str = "all") -> Matured:
    """Claims of which a share `keeps` of the log odds is still true, and whose odds are others by a factor.

    With ``audit`` outcomes come of flagged and audited claims only, with ``some`` of every second.
    """
    random = np.random.default_rng([n, seed])
    score = random.normal(-3, 1.5, n)
    truth = -3 + keeps * (score + 3) + (1 - keeps**2) ** 0.5 * random.normal(0, 1.5, n) + odds
    flagged = score > np.quantile(score, 0.9)
    audited = ~flagged & (random.random(n) < 0.02)
    fraud = random.random(n) < 1 / (1 + np.exp(-truth))
    tells = {"all": np.ones(n, bool), "audit": flagged | audited, "some": random.random(n) < 0.5}[looked]
    return Matured(
        pl.DataFrame(
            {
                "event_time": [
                    datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=int(d)) for d in random.integers(0, 28, n)
                ],
                "probability": 1 / (1 + np.exp(-score)),
                "flagged": flagged,
                "looked": flagged if looked == "audit" else np.zeros(n, bool),
                "audited": audited if looked == "audit" else np.zeros(n, bool),
                "amount": random.lognormal(7, 1, n),
                "is_fraud": pl.Series(fraud),
                "tells": tells,
            }
        ).with_columns(is_fraud=pl.when("tells").then("is_fraud"))
    )


def said(*windows: Matured, rate: float = RATE) -> dict[str, Measure]:
    return {m.metric: m for m in concept_measures(windows, comparison(windows, rate), Gates(), rate)}


@pytest.mark.parametrize("looked", ["all", "audit", "some"])
def test_false_alarms_are_as_rare_as_agreed(looked: str) -> None:
    """Windows of lives without any change, each judged once as it matures, are called changed at the rate or less."""
    alarms = []
    for seed in range(LIVES):
        life = [
            window(2500, seed, looked=looked),
            *(window(800, 1000 + 10 * seed + k, looked=looked) for k in range(4)),
        ]
        alarms += [any(m.verdict != "ok" for m in said(*life[: k + 2]).values()) for k in range(4)]
    assert sum(alarms) <= max(1, 0.05 * len(alarms))


@pytest.mark.parametrize("claims", [5000, 500_000])
def test_verdict_does_not_depend_on_how_many_claims_there_are(claims: int) -> None:
    """A model as good as ever is ok and one that knows half as much is not, in small windows and in large ones."""
    reference = window(claims, 1)
    assert all(measure.verdict == "ok" for measure in said(reference, window(claims, 2)).values())
    worse = said(reference, window(claims, 2, keeps=0.5))
    assert (worse["roc_auc"].verdict, worse["lift_top_decile"].verdict) == ("retrain", "retrain")
    assert "AUC" in str(worse["roc_auc"].reason)


def test_probabilities_that_are_off_by_more_than_the_gate_ask_for_a_new_model() -> None:
    """Three times as many frauds are found at once; half as many again is within the gate."""
    reference = window(5000, 1)
    gone = said(reference, window(5000, 2, odds=np.log(4)))["calibration_error"]
    assert gone.verdict == "retrain"
    assert "too few frauds" in str(gone.reason)
    assert said(reference, window(5000, 2, odds=np.log(1.5)))["calibration_error"].verdict == "ok"


def test_audit_sample_with_few_frauds_speaks_of_the_flagged_claims_only() -> None:
    """What cannot be told of the claims that nobody suspects is not told; what flagged ones come to is judged."""
    reference = window(8000, 1, looked="audit")
    kept = said(reference, window(1500, 2, looked="audit"))
    assert "roc_auc" not in kept
    assert kept["precision"].verdict == "ok"
    worse = said(reference, window(1500, 2, keeps=0.3, looked="audit"))
    assert "retrain" in {measure.verdict for measure in worse.values()}


def test_outcomes_that_come_about_otherwise_are_held_against_windows_alike() -> None:
    """The first window after a change of who is looked at says so; the next is held against that one."""
    judged, first, second = (
        window(5000, 1, looked="some"),
        window(3000, 2, looked="audit"),
        window(3000, 3, looked="audit"),
    )
    assert comparison([judged, first], RATE) is None
    assert said(judged, first)["selection"].verdict == "watch"
    assert comparison([judged, first, second], RATE) == Comparison((1,), (2,))
    assert said(judged, first, second)["selection"].verdict == "ok"


def test_few_frauds_do_not_stand_in_for_the_judged_claims() -> None:
    """Where outcomes come about otherwise, windows are taken together until they hold frauds enough to compare with."""
    life = [window(5000, 1, looked="some"), *(window(300, seed) for seed in range(2, 8))]
    frauds = np.cumsum([each.frauds for each in life[1:]])
    enough = int(np.searchsorted(frauds, 50)) + 1
    assert 1 < enough < 6
    assert comparison(life[: enough + 1], RATE) == Comparison((), (enough,))
    held = comparison(life[: enough + 2], RATE)
    assert held == Comparison(tuple(range(1, enough + 1)), (enough + 1,))
    assert said(*life[: enough + 1])["selection"].verdict == "ok"


def test_too_few_frauds_say_nothing() -> None:
    """A window in which hardly any fraud is known is no reason for anything."""
    found = said(window(5000, 1), window(60, 2))
    assert all(measure.verdict == "ok" for measure in found.values())
    assert "roc_auc" not in found


def test_rates_of_all_findings_make_up_the_rate() -> None:
    """Two of the ranking and five others share out the false alarms."""
    assert 2 * Rates(RATE).ranking + 5 * Rates(RATE).other == pytest.approx(RATE)


def test_outcomes_that_come_late_are_told() -> None:
    """Less than half of what was to be expected by now is late, unless there are too few to tell."""
    assert late(20, 100.0, RATE).verdict == "watch"
    assert "20%" in str(late(20, 100.0, RATE).reason)
    assert late(80, 100.0, RATE).verdict == "ok"
    assert late(0, 1.0, RATE).verdict == "ok"
    assert late(0, 0.0, RATE).verdict == "ok"


def test_cohorts_are_whole_weeks_from_a_monday() -> None:
    """A cohort begins on a Monday; one that has not ended yet is left out; its figures stand beside its size."""
    claims = window(2000, 5).claims
    found = list(cut(claims, date(2024, 1, 3), 1, date(2024, 1, 22)))
    assert [cohort.week for cohort in found] == [date(2024, 1, 1), date(2024, 1, 8), date(2024, 1, 15)]
    frame = as_frame(rows(found[0], "realised", Cells.of(claims)) + rows(found[0], "estimated", Cells.of(claims)))
    assert frame.filter(pl.col("metric") == "roc_auc")["kind"].to_list() == ["realised", "estimated"]
    errors = frame.filter(pl.col("metric") == "calibration_error")
    assert errors["kind"].to_list() == ["realised"]
    assert errors.select((pl.col("low") >= 0) & (pl.col("low") <= pl.col("value"))).to_series().all()
    assert frame["matured"].unique().to_list() == [1.0]
    assert frame["claims"].unique().to_list() == [found[0].claims.height]
