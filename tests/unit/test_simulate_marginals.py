"""The marginals of the generated book against their targets, each with where it comes from.

A source is a published figure that was read; ``chosen`` says that there is none, and that the book merely is so.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pytest

from tests.book_factory import read_book

III = "ISO, by the Insurance Information Institute, Private Passenger Auto Insurance Losses 2013-2022 (2023)"
GDV = "GDV for 2024, by VersicherungsJournal (29 January 2026)"
CRASHES = "crashes a day in Catalonia, Basagaña et al., Environmental Health Perspectives 123 (2015), table 1"
CHOSEN = "chosen"

COLLISION, HAIL, GLASS, THEFT = (pl.col("peril") == peril for peril in ("collision", "hail", "glass", "theft"))
FRAUD, AMOUNT, WEEKDAY = pl.col("is_fraud"), pl.col("amount"), pl.col("loss_on").dt.weekday()
POLICE = pl.col("police_report")
PHONES = pl.col("claimant_id").n_unique().over("phone")
SECOND_YEAR = pl.col("reported_on").dt.year() == 2025
TENURE = pl.col("loss_on") - pl.col("policy_start")


@dataclass(frozen=True)
class Target:
    """A figure of the book: an aggregate of its claims, its value, and how far off it may be."""

    name: str
    figure: pl.Expr
    value: float
    tolerance: float
    source: str


TARGETS = (
    Target("collision among claims", COLLISION.mean(), 0.62, 0.03, f"{III}: 2018-2022, collision 25.8 of 41.5"),
    Target("hail among claims", HAIL.mean(), 0.06, 0.02, "six in a hundred, Allianz, by Reuters (July 2018)"),
    Target("glass among claims", GLASS.mean(), 0.19, 0.02, CHOSEN),
    Target("theft among claims", THEFT.mean(), 0.06, 0.01, CHOSEN),
    Target("mean of collision", AMOUNT.filter(COLLISION).mean(), 4946, 900, f"{III}: in USD, 2020-2022"),
    Target("mean of hail", AMOUNT.filter(HAIL).mean(), 3443, 450, f"{GDV}: 940 M EUR for 273,000 of storm and hail"),
    Target("mean of glass", AMOUNT.filter(GLASS).mean(), 909, 60, f"{GDV}: nearly 2,000 M EUR for nearly 2.2 M"),
    Target(
        "mean of theft", AMOUNT.filter(THEFT).mean(), 4954, 600,
        "GDV, Kfz-Diebstahlreport (2023), cars and parts: 249 M and 114 M EUR for 12,277 and 61,000",
    ),
    Target(
        "growth of amounts a year", AMOUNT.log().filter(SECOND_YEAR).mean() - AMOUNT.log().filter(~SECOND_YEAR).mean(),
        0.033, 0.03, f"{III}: collision, 3144 USD in 2013 to 3826 in 2019",
    ),
    Target("growth of claims a year", SECOND_YEAR.sum() / (~SECOND_YEAR).sum(), 1.05, 0.03, CHOSEN),
    Target("losses on a Monday", (WEEKDAY == 1).mean(), 0.146, 0.01, CRASHES),
    Target("losses on a Friday", (WEEKDAY == 5).mean(), 0.162, 0.01, CRASHES),
    Target("losses on a Saturday", (WEEKDAY == 6).mean(), 0.133, 0.01, CRASHES),
    Target("losses on a Sunday", (WEEKDAY == 7).mean(), 0.115, 0.01, CRASHES),
    Target(
        "four hours with most collisions", (pl.col("hour") // 4 * 4).filter(COLLISION).mode().first(), 16, 0,
        "peak of non-fatal crashes 16:00-19:59, National Safety Council, Injury Facts (2021)",
    ),
    Target(
        "hail from May to August", pl.col("loss_on").dt.month().is_between(5, 8).filter(HAIL).mean(), 0.57, 0.1,
        "the season is that of Verti's Hagel-Atlas (2024); the share is chosen",
    ),
    Target("frauds among claims", FRAUD.mean(), 0.042, 0.006, CHOSEN),
    Target(
        "fraud among amounts", AMOUNT.filter(FRAUD).sum() / AMOUNT.sum(), 0.08, 0.02,
        "up to one tenth of claims expenditure, Insurance Europe, The impact of insurance fraud (2013)",
    ),
    Target(
        "claims that look suspicious", (pl.col("fraud_probability") >= 0.1).mean(), 0.10, 0.015,
        "about one in ten, GDV (May 2024), by Cash; that one in ten of them at least is fraud is chosen",
    ),
    Target("claims in a policy's first 30 days", (TENURE.dt.total_days() < 30).mean(), 0.04, 0.01, CHOSEN),
    Target("collisions that the police know", (POLICE == "yes").filter(COLLISION).mean(), 0.44, 0.04, CHOSEN),
    Target("claims of women", (pl.col("sex") == "F").mean(), 0.46, 0.02, CHOSEN),
    Target("claims without a phone", pl.col("phone").is_null().mean(), 0.03, 0.005, CHOSEN),
    Target("phones that several claimants give", (PHONES > 1).mean(), 0.055, 0.02, CHOSEN),
    Target("photos a claim", pl.col("photos").mean(), 2.55, 0.1, CHOSEN),
    Target("claims with a photo used before", pl.col("photo_from").is_not_null().mean(), 0.017, 0.004, CHOSEN),
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("seed", [7, 2])
def test_marginal(target: Target, seed: int) -> None:
    """The figure of a book of 26,000 claims is its target's, whatever the seed."""
    assert read_book(seed).select(target.figure).item() == pytest.approx(target.value, abs=target.tolerance)
