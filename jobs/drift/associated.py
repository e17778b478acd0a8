"""Gather how features go with outcomes since the champion was judged, and apply whether that has changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from jobs.drift.bias import bias
from jobs.drift.change import association_changes
from jobs.drift.measure import Measure
from shared.associations import associations
from shared.claims import read_claims
from shared.draws import DRAWS, SPLIT_DRAW
from shared.errors import ModelError
from shared.fairness import disparity, grouped
from shared.job import Job
from shared.profile import Profile

if TYPE_CHECKING:
    from shared.champion import Champion
    from shared.features import Floats

MOST_CLAIMS = 20_000
"""Claims with an outcome that are looked at; of more, drawn ones."""


def outcome_claims(
    job: Job, found: Champion, after: datetime, until: datetime, *, judged: bool = False
) -> pl.DataFrame:
    """Read claims with an outcome, at most `MOST_CLAIMS` of them.

    Parameters
    ----------
    judged : bool
        Only those that judged the champion, where a draw told them from those it learnt from.
    """
    return read_claims(
        job.database,
        job.contract,
        "JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) "
        "WHERE c.event_time > %(after)s AND c.event_time <= %(until)s "
        f"AND (%(share)s::float8 IS NULL OR {SPLIT_DRAW} < %(share)s * {DRAWS})",
        {"as_of": job.as_of, "after": after, "until": until, "share": found.judged_share if judged else None},
        {"is_fraud": ("o.is_fraud", "boolean")},
        f"{SPLIT_DRAW}, c.claim_id LIMIT {MOST_CLAIMS}",
    )


def outcome_measures(
    job: Job, found: Champion, judged: pl.DataFrame, claims: pl.DataFrame, rate: float
) -> list[Measure]:
    """Judge by features whether fraud looks as it did, and whether each group's frauds are found alike.

    Parameters
    ----------
    judged, claims : polars.DataFrame
        With an outcome: those that the window is held against, and those judged with it.

    Raises
    ------
    ModelError
        What train wrote beside the model cannot be read.
    """
    model, y = found.model, _fraud(claims)
    changes = association_changes(model.known(judged), _fraud(judged), model.known(claims), y, _profile(found), rate)
    flagged = (model.score(claims, job.settings.threads) >= found.threshold).astype(float)
    limit = job.contract.gates.max_equal_opportunity_difference
    return changes + [
        bias(told.column, "equal_opportunity", "shares of frauds found", told.equal_opportunity, limit)
        for told in (disparity(sensitive, y, flagged) for sensitive in grouped(claims, job.contract))
        if told.equal_opportunity is not None
    ]


def append_associations(job: Job, found: Champion, until: datetime) -> None:
    """Go on with table ``bivariate`` where evaluate left off, month by month as far as outcomes are mature."""
    # Also what a run at a later clock wrote: a month is said once.
    rows = job.database.rows("SELECT max(month) AS month FROM bivariate WHERE model_version = %s", [found.version])
    if rows[0]["month"] is None:
        return
    profile, model = _profile(found), found.model
    month = _next(rows[0]["month"])
    while _next(month) <= until.date():
        starts, ends = (datetime(day.year, day.month, 1, tzinfo=job.as_of.tzinfo) for day in (month, _next(month)))
        tick = timedelta(microseconds=1)
        claims = outcome_claims(job, found, starts - tick, ends - tick)
        stamps = {"model_version": found.version, "as_of": job.as_of.isoformat(), "run_id": job.run_id}
        if claims.height:
            told = associations(model.known(claims), _fraud(claims), claims["event_time"], profile)
            flat = [asdict(one) | asdict(one.dependence) | {"month": one.month.isoformat()} for one in told]
            frame = pl.DataFrame([{k: v for k, v in row.items() if k != "dependence"} for row in flat])
            job.database.append("bivariate", frame.with_columns(**{k: pl.lit(v) for k, v in stamps.items()}))
        month = _next(month)


def _profile(found: Champion) -> Profile:
    try:
        return Profile.of_document(json.loads((found.folder / "profile.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {found.folder}: cannot be read ({error}); train a new one") from error


def _fraud(claims: pl.DataFrame) -> Floats:
    return claims["is_fraud"].cast(pl.Float64).to_numpy()


def _next(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=7)).replace(day=1)
