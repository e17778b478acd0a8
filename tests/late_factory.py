"""Generated books as drift sees them late: a fixed score, what each claim came to, and who was looked at."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from jobs.drift.concept import Matured, comparison, concept_measures
from jobs.drift.measure import Measure
from shared.contract import Gates
from tests.book_factory import draw_book, monday, read_book

World = Literal["all", "audit", "chosen"]
"""Whose outcomes come: everyone's, those of flagged and audited claims, or those whom the book's investigators took."""
JUDGED = range(53, 79)
"""Weeks whose claims judged the champion."""
WINDOWS = tuple(range(week, week + 4) for week in range(79, 103, 4))
CAPACITY = 25
AUDIT_SHARE = 0.01
RATE = 0.025
"""Half of the contract's default."""


def matured(world: World, seed: int, drift: str = "") -> list[Matured]:
    """The claims that judged a champion, and each window after them, all outcomes known that ever will be.

    The score is the steady book's log odds, blurred, and calibrated on the claims of the first year with an outcome.
    """
    book, random = read_book(seed, drift), np.random.default_rng(seed)
    decided = pl.concat(week.outcomes for week in draw_book(seed, drift)).select("claim_id", decided="is_fraud")
    blurred = _log_odds(read_book(seed)["fraud_probability"].to_numpy()) * 0.8 + random.normal(0, 0.8, book.height)
    book = book.with_columns(score=pl.Series(blurred)).join(decided, on="claim_id", how="left", maintain_order="left")
    fraud = pl.col("decided") == "Y" if world == "chosen" else pl.col("is_fraud")
    first = book.with_columns(fraud=fraud).filter(
        pl.col("reported_on") < monday(JUDGED.start), pl.col("fraud").is_not_null()
    )
    slope, intercept = _calibrated(first["score"].to_numpy(), first["fraud"].to_numpy().astype(float))
    score = book["score"].to_numpy() * slope + intercept
    week = (book["reported_on"] - monday(1)).dt.total_days() // 7 + 1
    judged = np.sort(score[week.is_between(JUDGED.start, JUDGED.stop - 1).to_numpy()])
    flagged = score > judged[-CAPACITY * len(JUDGED)]
    audited = ~flagged & (random.random(book.height) < AUDIT_SHARE)
    followed = world == "audit"
    looked, drawn = pl.Series(flagged & followed), pl.Series(audited & followed)
    claims = book.select(
        week=week,
        probability=1 / (1 + (-pl.Series(score)).exp()),
        flagged=pl.Series(flagged),
        looked=looked,
        audited=drawn,
        amount=pl.col("amount").cast(pl.Float64),
        is_fraud=pl.when(looked | drawn).then(fraud) if followed else fraud,
    )
    return [
        Matured(claims.filter(pl.col("week").is_between(weeks.start, weeks.stop - 1))) for weeks in (JUDGED, *WINDOWS)
    ]


def replayed(windows: list[Matured]) -> list[list[Measure]]:
    """What is said of each window as it matures."""
    return [
        concept_measures(windows[:last], comparison(windows[:last], RATE), Gates(), RATE)
        for last in range(2, len(windows) + 1)
    ]


def found(measures: list[Measure]) -> dict[str, str]:
    """What is not as it was, with its verdict."""
    return {measure.metric: measure.verdict for measure in measures if measure.verdict != "ok"}


def _log_odds(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1 - probability))


def _calibrated(score: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6).fit(score[:, None], y)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
