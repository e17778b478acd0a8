"""How far a window has moved, column by column, and all columns together."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from jobs.drift import joint
from jobs.drift.measure import RETRAIN, SHIFT, judged, outside
from shared.contract import Drift
from shared.distances import shift_of_auc
from shared.levels import FIRST_BIN
from shared.summaries import Grid, Summary
from tests.drift_factory import LENGTH, LIKE, Weeks, claims_like

WEEKS, LEARNT = 64, 60
LAST = range(LEARNT + 1, WEEKS + 1)


def verdicts(weeks: Weeks) -> dict[str, str]:
    return {m.feature: m.verdict for m in weeks.measures(LAST) if m.metric == SHIFT}


def counted(seed: int, window: int, shift: float) -> Weeks:
    """Counts of three numbers, of which the first moves after training, with so many claims a window."""
    random, normal = np.random.default_rng(seed), NormalDist()
    grid = Grid(tuple(normal.inv_cdf(place / 64) for place in range(1, 64)))
    summaries = {}
    for name, moved in (("x0", shift), ("x1", 0.0), ("x2", 0.0)):
        shares = [np.diff([0, *(NormalDist(mean).cdf(edge) for edge in grid.edges), 1]) for mean in (0.0, moved)]
        counts = np.zeros((WEEKS, grid.size), dtype=np.int64)
        for week in range(WEEKS):
            counts[week, FIRST_BIN::2] = random.multinomial(window // LENGTH, shares[week >= LEARNT])
        summaries[name] = Summary.of_counts(counts)
    return Weeks(LIKE[:3], dict.fromkeys(summaries, grid), summaries, LEARNT)


@pytest.mark.parametrize("window", [5_000, 500_000])
@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "ok"), (0.15, "ok"), (0.3, "watch"), (0.6, "retrain")])
def test_verdict_is_the_same_at_any_size(window: int, shift: float, verdict: str) -> None:
    """A window of 5,000 and one of 500,000 claims of one distribution come to the same verdict in each column."""
    for seed in range(10):
        assert verdicts(counted(seed, window, shift)) == {"x0": verdict, "x1": "ok", "x2": "ok"}


@pytest.mark.parametrize("size", [5_000, 500_000])
@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "ok"), (0.8, "retrain")])
def test_verdict_is_the_same_in_small_and_large_books(size: int, shift: float, verdict: str) -> None:
    """A book of 5,000 claims, 300 a window, and one of 500,000 come to the same verdict in each column."""
    known, week = claims_like(1, size, WEEKS)
    moved, _ = claims_like(1, size, WEEKS, shift)
    frame = pl.DataFrame({name: moved[name].zip_with(week > LEARNT, known[name]) for name in known.columns})
    found = verdicts(Weeks.of(frame, week, LEARNT, LIKE))
    assert {name for name, told in found.items() if told != "ok"} == ({"x0", "x1"} if shift else set())
    assert {found["x0"], found["x1"]} == {verdict}


def test_what_moved_is_told_without_a_value() -> None:
    """A reason names the column, how far it moved and how: empty, new levels, larger; no value of a claim."""
    known, week = claims_like(2, 20_000, WEEKS)
    late = pl.Series(week > LEARNT)
    frame = known.with_columns(
        x0=pl.when(~(late & (pl.int_range(pl.len()) % 2 == 0))).then("x0"),
        x1=pl.col("x1").abs() * pl.when(late).then(1000.0).otherwise(10.0),
        c0=pl.when(late).then(pl.lit("Jane Roe")).otherwise("c0"),
    )
    reasons = {m.feature: m.reason for m in Weeks.of(frame, week, LEARNT, LIKE).measures(LAST) if m.reason}
    assert set(reasons) == {"x0", "x1", "c0"}
    assert "empty in 50% of the claims, 0% before" in str(reasons["x0"])
    assert "times as large in the mean" in str(reasons["x1"])
    assert "100% have a level that training never saw" in str(reasons["c0"])
    assert not any("Roe" in str(reason) for reason in reasons.values())


def test_each_kind_of_column_has_its_metrics() -> None:
    """Numbers and categories are told of by what suits them, one canonical shift each; no figure is infinite."""
    known, week = claims_like(3, 6_400, WEEKS)
    measures = Weeks.of(known, week, LEARNT, LIKE).measures(LAST)
    metrics = {name: {m.metric for m in measures if m.feature == name} for name in ("x0", "c0")}
    common = {SHIFT, "psi", "jensen_shannon", "missing"}
    assert metrics["x0"] == common | {"ks", "wasserstein", "outside"}
    assert metrics["c0"] == common | {"chi_square", "unseen"}
    assert all(np.isfinite(measure.value) for measure in measures)
    assert {m.metric for m in measures if m.limit is not None} == {SHIFT}


def test_an_empty_column_is_measured() -> None:
    """A column that nobody fills any more, or for the first time, is a shift like another."""
    known, week = claims_like(4, 6_400, WEEKS)
    late, empty = pl.Series(week > LEARNT), pl.lit(None, dtype=pl.Float64)
    frame = known.with_columns(
        x0=pl.when(late).then(empty).otherwise("x0"), x1=pl.when(late).then("x1").otherwise(empty)
    )
    found = verdicts(Weeks.of(frame, week, LEARNT, LIKE))
    assert {name for name, verdict in found.items() if verdict == "retrain"} == {"x0", "x1"}


def test_a_few_weeks_are_held_to_chance_alone() -> None:
    """With too few weeks to know its own windows, a reference raises no alarm all the same."""
    known, week = claims_like(5, 3_000, 12)
    found = Weeks.of(known, week, 8, LIKE).measures(range(9, 13), Drift(least_shift=0.001))
    assert {measure.verdict for measure in found} == {"ok"}


def test_range_is_the_middle_of_the_reference() -> None:
    """One odd claim does not make the range wide, and nothing known lies nowhere."""
    reference = np.array([0, 0, *[0, 100] * 10, 1])
    assert outside(reference, np.array([0, 5, *[0, 1] * 10, 10])) == 0.5
    assert outside(reference, np.array([0, 5, *[0] * 21])) == 0


def test_limits_worth_of_shift_are_worth_a_model() -> None:
    """From the limit on it is watched, from two and a half times it a new model is wanted."""
    assert [judged(value, 0.1) for value in (0.09, 0.1, RETRAIN * 0.1 - 0.01, RETRAIN * 0.1)] == [
        *("ok", "watch", "watch", "retrain")
    ]


def matrix(seed: int, claims: int, correlation: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = random.normal(size=(claims, 10))
    found[:, 1] = correlation * found[:, 0] + np.sqrt(1 - correlation**2) * found[:, 1]
    return found.astype(np.float32)


def test_columns_that_move_only_together_are_seen() -> None:
    """Two columns that begin to go together are told apart though neither moved; claims alike are not."""
    week = np.arange(5000) % 60
    reference = matrix(0, 5000)
    past = joint.past_aucs(reference, week, LENGTH, 1)
    limit = joint.limit(past.tolist(), (5000, 5000), 0.05 / 2 / 11)
    assert shift_of_auc(joint.auc(reference, matrix(1, 5000), 1)) < limit
    assert shift_of_auc(joint.auc(reference, matrix(1, 5000, 0.8), 1)) > limit
    assert joint.auc(reference, matrix(1, 5000), 1) == joint.auc(reference, matrix(1, 5000), 2)
    assert joint.limit([], (5000, 5000), 0.001) < joint.limit([], (200, 200), 0.001)
