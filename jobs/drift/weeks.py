"""Gather the weeks' claims as counts: each claim is read once, some at a time, and only the counts are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from jobs.drift.due import MOST_WEEKS, WEEK, Week, since, starts, weeks_before
from jobs.drift.limits import FEWEST_WINDOWS
from jobs.drift.measure import WHOLE
from shared.champion import Champion
from shared.claims import claim_batches
from shared.contract import Contract
from shared.contract_parts import DType
from shared.database import quoted
from shared.draws import DRAWS, SPLIT_DRAW
from shared.job import Job
from shared.model import Model
from shared.past import WINDOW_DAYS, past_of
from shared.profile import PROBABILITY
from shared.summaries import Grid, Summary

BATCH = 100_000
"""Claims in memory at a time."""
PLACE = f"ceil(extract(epoch FROM c.event_time - %(train_end)s) / {WEEK.total_seconds():.0f})::int"
WHERE = f"WHERE c.event_time > %(since)s AND {PLACE} = ANY(%(places)s)"


@dataclass(frozen=True)
class Span:
    """The weeks of a champion's life.

    Attributes
    ----------
    weeks : list of Week
        Those with claims, the oldest first: of its training, as many as count, and all since.
    latest : datetime
        Of the last claim.
    """

    weeks: list[Week]
    latest: datetime

    @property
    def learnt(self) -> list[Week]:
        """Those of its training."""
        return [week for week in self.weeks if week.place <= 0]

    @property
    def later(self) -> list[Week]:
        """Those since."""
        return [week for week in self.weeks if week.place > 0]

    @property
    def usual(self) -> list[int]:
        """Claims of each week learnt from, of weeks without any, too: most are, where claims bear firsts of months."""
        claims = {week.place: week.claims for week in self.learnt}
        return [claims.get(place, 0) for place in range(min(claims, default=1), 1)]


def span(job: Job, found: Champion) -> Span:
    """Look up which weeks there are, as the clock's moment sees them."""
    starts_at = job.database.rows(
        "SELECT train_start, (SELECT min(event_time) FROM claims_as_of(%s)) AS first FROM models "
        "WHERE model_version = %s",
        [job.as_of, found.version],
    )[0]
    rows = job.database.rows(
        f"SELECT {PLACE} AS place, count(*) AS claims, max(c.known_at) AS known_at, max(c.event_time) AS latest "
        "FROM claims_as_of(%(as_of)s) c WHERE c.event_time > %(since)s GROUP BY place ORDER BY place",
        {"as_of": job.as_of, "train_end": found.train_end, "since": starts(found.train_end, 1 - MOST_WEEKS)},
    )
    weeks = [Week(row["place"], row["claims"], row["known_at"]) for row in rows]
    # The week in which training begins is not a whole one.
    begins = weeks_before(found.train_end, starts_at["train_start"])
    if past_of(job.contract):  # nor is the past of the book's first claims
        begins = max(begins, weeks_before(found.train_end, starts_at["first"] + timedelta(days=WINDOW_DAYS)))
    fewest = FEWEST_WINDOWS * (job.contract.drift.window_days // 7)
    return Span(since(weeks, begins, fewest), max((row["latest"] for row in rows), default=found.train_end))


def edges(job: Job, version: int) -> dict[str, tuple[float, ...]]:
    """Edges of the numbers' grids, by feature; empty where drift has not met the model yet."""
    rows = job.database.rows("SELECT feature, edges FROM profile_edges WHERE model_version = %s", [version])
    return {row["feature"]: tuple(row["edges"]) for row in rows}


def keep_edges(job: Job, version: int, numbers: Mapping[str, Sequence[float]]) -> None:
    """Write the numbers' edges: later weeks are counted as the first ones were."""
    with job.database.transaction():
        for name, found in numbers.items():
            job.database.rows(
                "INSERT INTO profile_edges VALUES (%s, %s, %s, %s)", [version, name, list(found), job.run_id]
            )


def bring_up_to_date(job: Job, found: Champion, model: Model, grids: Mapping[str, Grid], weeks: Sequence[Week]) -> int:
    """Count the claims of weeks that were not counted yet, or of which other claims are visible now.

    So a claim that comes late, is corrected or erased changes the counts of its week. What was said of a window stands.

    Returns
    -------
    int
        Claims counted.
    """
    counted = _counted(job, found)
    due = [week for week in weeks if counted.get(week.place) != (week.claims, week.known_at)]
    if not due:
        return 0
    repeats = _repeats(job, found, [week.place for week in due])
    summaries = _count(job, found, model, grids, [week.place for week in due])
    frames = [
        _rows(summary, [starts(found.train_end, week.place) for week in due], name)
        for name, summary in summaries.items()
    ]
    totals = np.array([[week.claims, repeats.get(week.place, 0)] for week in due])
    frames.append(_rows(Summary.of_counts(totals), [starts(found.train_end, week.place) for week in due], WHOLE))
    known = {starts(found.train_end, week.place): week.known_at for week in due}
    frame = pl.concat(frames).with_columns(
        model_version=pl.lit(found.version),
        known_at=pl.col("week").replace_strict(known, return_dtype=pl.Datetime("us", "UTC")),
        run_id=pl.lit(job.run_id),
    )
    claims = sum(week.claims for week in due)
    with job.database.transaction():
        job.database.rows(
            "DELETE FROM weekly_profiles WHERE model_version = %s AND week = ANY(%s)", [found.version, list(known)]
        )
        job.database.append(
            "weekly_profiles", frame.with_columns(pl.col("week", "known_at").dt.to_string("iso:strict"))
        )
        job.record(rows_in=claims, rows_out=claims)
    return claims


def summaries(
    job: Job, found: Champion, grids: Mapping[str, Grid], places: Collection[int]
) -> tuple[list[int], dict[str, Summary]]:
    """Read the counts of weeks.

    Returns
    -------
    list of int, dict of str to Summary
        The places of those that have claims, ascending, and each feature's counts in that order; `WHOLE` has those of
        claims and repeated ones.
    """
    dtypes: dict[str, DType] = {"place": "integer", "feature": "text", "counts": "text"}
    dtypes |= dict.fromkeys(("least", "most", "total"), "number")
    frame = job.database.frame(
        f"SELECT {PLACE.replace('c.event_time', 'c.week')} + 1 AS place, feature, array_to_string(counts, ' '), "
        "least, most, total FROM weekly_profiles c WHERE model_version = %(version)s ORDER BY feature, week",
        dtypes,
        {"version": found.version, "train_end": found.train_end},
    ).filter(pl.col("place").is_in(list(places)))
    there = frame["place"].unique().sort().to_list()
    read = {}
    for (name,), rows in frame.group_by("feature", maintain_order=True):
        size = 2 if name == WHOLE else grids[str(name)].size
        counts = rows["counts"].str.split(" ").explode().cast(pl.Int64).to_numpy().reshape(rows.height, size)
        read[str(name)] = Summary(
            counts.copy(),
            rows["least"].fill_null(np.inf).to_numpy(),
            rows["most"].fill_null(-np.inf).to_numpy(),
            rows["total"].fill_null(0.0).to_numpy(),
        )
    return there, read


def count(
    known: pl.DataFrame, probability: pl.Series | None, places: pl.Series, due: Sequence[int], grids: Mapping[str, Grid]
) -> dict[str, Summary]:
    """Count claims by week and bin.

    Parameters
    ----------
    known : polars.DataFrame
        Values of the model's features.
    probability : polars.Series or None
        The model's, where the claims may be judged by it.
    places : polars.Series
        Week of each claim, one of `due`, which ascend.
    """
    found = _by_week(known, places, due, grids)
    if probability is not None:
        judging = probability.is_not_null()
        found |= _by_week(
            pl.DataFrame({PROBABILITY.name: probability}).filter(judging), places.filter(judging), due, grids
        )
    return found


def _by_week(
    values: pl.DataFrame, places: pl.Series, due: Sequence[int], grids: Mapping[str, Grid]
) -> dict[str, Summary]:
    order = places.arg_sort()
    ends = np.searchsorted(places.gather(order).to_numpy(), due, side="right").tolist()
    return {column.name: grids[column.name].count(column.gather(order), ends) for column in values}


def grids_of(levels: Mapping[str, Sequence[str]], numbers: Mapping[str, Sequence[float]]) -> dict[str, Grid]:
    """Put the grids of a model's features, and of its probabilities, together."""
    categories = {name: Grid(levels=tuple(found)) for name, found in levels.items()}
    return (
        categories
        | {name: Grid(tuple(found)) for name, found in numbers.items()}
        | {PROBABILITY.name: Grid.of_probability()}
    )


def _counted(job: Job, found: Champion) -> dict[int, tuple[int, datetime]]:
    rows = job.database.rows(
        "SELECT week, counts[1] AS claims, known_at FROM weekly_profiles WHERE model_version = %s AND feature = %s",
        [found.version, WHOLE],
    )
    return {round((row["week"] - found.train_end) / WEEK) + 1: (row["claims"], row["known_at"]) for row in rows}


def _count(
    job: Job, found: Champion, model: Model, grids: Mapping[str, Grid], due: Sequence[int]
) -> dict[str, Summary]:
    total = {name: Summary.of_counts(np.zeros((len(due), grid.size), dtype=np.int64)) for name, grid in grids.items()}
    # What it learnt from says nothing of its probabilities: there it is too sure of itself.
    judging = "c.event_time > %(train_end)s"
    if found.judged_share is not None:
        judging = f"({judging} OR {SPLIT_DRAW} < %(below)s)"
    parameters = _parameters(job, found, due) | {"below": (found.judged_share or 0.0) * DRAWS}
    extra: dict[str, tuple[str, DType]] = {"place": (PLACE, "integer"), "judging": (judging, "boolean")}
    for claims in claim_batches(job.database, job.contract, WHERE, parameters, extra, BATCH):
        known = model.known(claims)
        judges = known.filter(claims["judging"])
        probability = None
        if judges.height:
            scored = np.full(claims.height, np.nan)
            scored[claims["judging"].to_numpy()] = model.fraud_probability(judges, job.settings.threads)
            probability = pl.Series(scored, nan_to_null=True)
        for name, summary in count(known, probability, claims["place"], due, grids).items():
            total[name] += summary
    return total


def _repeats(job: Job, found: Champion, due: Sequence[int]) -> dict[int, int]:
    """Claims that say what another claim of their week says, under an id of their own, by week."""
    content = _content(job.contract)
    rows = job.database.rows(
        f"SELECT place, (sum(n) - count(*))::int AS repeats FROM (SELECT {PLACE} AS place, count(*) AS n "
        f"FROM claims_as_of(%(as_of)s) c {WHERE} GROUP BY place, hashtextextended(ROW(c.event_time{content})::text, 0)"
        ") AS said GROUP BY place",
        _parameters(job, found, due),
    )
    return {row["place"]: row["repeats"] for row in rows}


def _content(contract: Contract) -> str:
    names = [name for name in contract.stored if name not in (contract.roles.id, "claim_id", "event_time")]
    return "".join(f", c.{quoted(name)}" for name in names)


def _parameters(job: Job, found: Champion, due: Sequence[int]) -> dict[str, Any]:
    return {
        "as_of": job.as_of,
        "train_end": found.train_end,
        "since": starts(found.train_end, min(due)),
        "places": list(due),
    }


def _rows(summary: Summary, weeks: Sequence[datetime], name: str) -> pl.DataFrame:
    weeks_of = pl.Series("week", weeks, dtype=pl.Datetime("us", "UTC"))
    texts = ["{" + ",".join(map(str, counts)) + "}" for counts in summary.counts.tolist()]
    numbers = {
        of: pl.Series(getattr(summary, of), dtype=pl.Float64).replace([np.inf, -np.inf], [None, None])
        for of in ("least", "most", "total")
    }
    return pl.DataFrame({"week": weeks_of, "feature": [name] * len(weeks), "counts": texts, **numbers})
