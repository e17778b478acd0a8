"""What changes in a generated book from a week on."""

from __future__ import annotations

import polars as pl
import pytest

from deploy.local.simulate.book import Week
from deploy.local.simulate.drift import KINDS, Kind
from tests.book_factory import average_precision, draw_book, monday, read_book

WEEK, LAST = 16, 22
"""Week of the drift, and last week drawn."""


def _drawn(drift: str, last: int = LAST) -> tuple[Week, ...]:
    return draw_book(drift=f"{drift}@{WEEK}" if drift else "", last=last)


def _before_and_after(kind: Kind, last: int = LAST) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Claims of a book that drifts, from its first week and from the week of the drift."""
    claims = read_book(drift=f"{kind}@{WEEK}", last=last)
    since = pl.col("reported_on") >= monday(WEEK)
    return claims.filter(~since), claims.filter(since)


def _without_drift() -> pl.DataFrame:
    """Claims of the steady book, from the week of the drift."""
    return read_book(last=LAST).filter(pl.col("reported_on") >= monday(WEEK))


def _changed(kind: Kind, weeks: slice) -> set[str]:
    """Which parts of some weeks a drift changes."""
    pairs = list(zip(_drawn(kind)[weeks], _drawn("")[weeks], strict=True))
    parts = ("rows", "truth", "outcomes")
    return {part for part in parts if not all(getattr(one, part).equals(getattr(other, part)) for one, other in pairs)}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changes_before_its_week(kind: Kind) -> None:
    """Up to its week a book with a drift is the book without it, and in that week it is another."""
    assert _changed(kind, slice(WEEK - 1)) == set()
    assert _changed(kind, slice(WEEK - 1, WEEK)) != set()


def test_a_book_has_no_drift_unless_asked() -> None:
    """Late claims of the book are like early ones: none is in cents, few garages are missing, no new mechanism."""
    claims = read_book()
    late = claims.filter(pl.col("reported_on") >= monday(80))
    early = claims.filter(pl.col("reported_on") < monday(25))
    assert late["amount"].median() < 1.5 * early["amount"].median()
    assert late["garage_id"].is_null().mean() == pytest.approx(early["garage_id"].is_null().mean(), abs=0.02)
    assert (late["channel"] == "online").mean() == pytest.approx((early["channel"] == "online").mean(), abs=0.03)
    assert "phantom_glass" not in claims["mechanism"]


def _stability_index(claims: pl.DataFrame, reference: pl.DataFrame, column: str) -> float:
    """Population stability index of a category."""
    shares = [book.group_by(column).agg(share=pl.len() / len(book)) for book in (claims, reference)]
    now, then = shares[0].join(shares[1], on=column).select("share", "share_right")
    return ((now - then) * (now / then).log()).sum()


@pytest.mark.parametrize("seed", [7, 2])
def test_seasons_are_no_drift(seed: int) -> None:
    """No four weeks of the second year are so unlike the first as to be worth a word: 0.1, and 0.02 for chance."""
    claims = read_book(seed)
    first = claims.filter(pl.col("reported_on") < monday(53))
    for week in range(53, 101):
        four = claims.filter(pl.col("reported_on").is_between(monday(week), monday(week + 4), closed="left"))
        assert all(_stability_index(four, first, column) < 0.12 for column in ("peril", "channel", "region")), week


def test_covariate_drift_changes_who_claims() -> None:
    """With the portfolio taken over come claims sold online, of younger drivers, of dearer vehicles."""
    before, after = _before_and_after("covariate")
    assert (after["channel"] == "online").mean() > (before["channel"] == "online").mean() + 0.15
    assert after["driver_age"].mean() < before["driver_age"].mean() - 3
    assert after["vehicle_value"].mean() > before["vehicle_value"].mean() * 1.1
    fixed = ("claimant_id", "policy_start", "sex", "region", "channel", "agent_id", "deductible")
    every = pl.concat([before, after])
    assert every.select("policy_id", *fixed).unique().height == every["policy_id"].n_unique()


def test_concept_drift_ends_one_mechanism_and_begins_another() -> None:
    """Collisions are no longer staged and glass is claimed that never broke, while the claims stay as they were."""
    before, after = _before_and_after("concept", last=60)
    assert _changed("concept", slice(None)) == {"truth", "outcomes"}
    assert "staged_collision" in before["mechanism"] and "phantom_glass" not in before["mechanism"]
    assert "staged_collision" not in after["mechanism"] and "phantom_glass" in after["mechanism"]
    # What was known of fraud before ranks less well now.
    steady = read_book(last=60).filter(pl.col("reported_on") >= monday(WEEK))
    assert steady["claim_id"].equals(after["claim_id"])
    outdated = average_precision(after["is_fraud"], steady["fraud_probability"])
    assert outdated < 0.85 * average_precision(after["is_fraud"], after["fraud_probability"])


def test_null_burst_empties_two_columns() -> None:
    """Seven in ten cells of garage and police report go, and nothing else changes."""
    before, after = _before_and_after("nulls")
    assert _changed("nulls", slice(None)) == {"rows"}
    for column in ("garage_id", "police_report"):
        kept = after[column].is_not_null().mean() / before[column].is_not_null().mean()
        assert kept == pytest.approx(0.3, abs=0.03)
    steady = _without_drift()
    assert after.drop("garage_id", "police_report").equals(steady.drop("garage_id", "police_report"))


def test_unit_change_multiplies_amounts_by_a_hundred() -> None:
    """The amount is in cents from its week on, and nothing else changes."""
    _, after = _before_and_after("units")
    assert _changed("units", slice(None)) == {"rows"}
    steady = _without_drift()
    assert after["amount"].to_list() == pytest.approx((100 * steady["amount"]).to_list())
    assert after.drop("amount").equals(steady.drop("amount"))


def test_label_delay_changes_when_outcomes_come() -> None:
    """The same claims are investigated with the same findings, 16 to 30 weeks after their report."""
    assert _changed("delay", slice(None)) == {"outcomes"}
    drifting, steady = (pl.concat(week.outcomes for week in _drawn(drift)[WEEK - 1 :]) for drift in ("delay", ""))
    assert drifting.drop("decided_at").equals(steady.drop("decided_at"))
    reported = _without_drift().select("claim_id", "reported_on")
    days = drifting.join(reported, on="claim_id").select((pl.col("decided_at") - pl.col("reported_on")).dt.total_days())
    assert (days.min().item(), days.max().item()) == (112, 210)


def test_selection_change_changes_which_claims_are_investigated() -> None:
    """As many claims are investigated, by their amount now: dearer ones, and less suspicious."""
    assert _changed("selection", slice(None)) == {"outcomes"}
    claims = _without_drift()
    drifting, steady = (
        claims.join(pl.concat(week.outcomes for week in _drawn(drift)[WEEK - 1 :]), on="claim_id")
        for drift in ("selection", "")
    )
    assert len(drifting) == len(steady)
    assert drifting["amount"].median() > 1.5 * steady["amount"].median()
    assert drifting["fraud_probability"].mean() < 0.9 * steady["fraud_probability"].mean()


def test_drifts_go_together() -> None:
    """A book may have several drifts, each from its own week on."""
    claims = read_book(drift="units@3,nulls@5", last=6)
    by_week = (
        claims.group_by(week=(pl.col("reported_on") - monday(1)).dt.total_days() // 7 + 1)
        .agg(pl.col("amount").median(), pl.col("police_report").is_null().mean())
        .sort("week")
    )
    assert (by_week["amount"] > 50_000).to_list() == [False, False, True, True, True, True]
    assert (by_week["police_report"] > 0.5).to_list() == [False, False, False, False, True, True]
