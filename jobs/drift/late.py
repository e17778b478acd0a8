"""Gather what became of the claims of a champion's life, and apply what it says of the champion."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from shared.champion import Champion
from shared.contract_parts import DType
from shared.database import quoted
from shared.draws import DRAWS, SPLIT_DRAW
from shared.job import Job

if TYPE_CHECKING:
    from jobs.drift.concept import Matured
    from jobs.drift.maturity import Maturity
    from jobs.drift.measure import Measure

WEEK = timedelta(weeks=1)
TICK = timedelta(microseconds=1)
AS_EXPECTED = 0.8
"""Share of the outcomes to be expected at last that must be known before a window is judged; it is waited for until
twice the age at which claims are mature."""
CLAIMS = """
SELECT c.event_time, p.fraud_probability AS probability, p.flagged, coalesce(l.looked, false) AS looked,
       coalesce(l.audited, false) AS audited, {amount} AS amount, o.is_fraud
FROM predictions p
JOIN claims_as_of(%(as_of)s) c USING (claim_id)
LEFT JOIN outcomes_as_of(%(as_of)s) o USING (claim_id)
LEFT JOIN (
    SELECT q.claim_id, bool_or(q.flagged) AS looked, bool_or(q.audited) AS audited
    FROM predictions q LEFT JOIN outcomes_as_of(%(as_of)s) k USING (claim_id)
    WHERE q.variant = q.arm AND q.scored_as_of <= coalesce(k.known_at, %(as_of)s) GROUP BY q.claim_id
) l USING (claim_id)
WHERE p.model_version = %(version)s AND p.variant = 'champion' AND p.arm = 'champion' AND p.scored_as_of <= %(as_of)s
  AND c.event_time >= %(since)s
  AND (%(share)s::float8 IS NULL OR c.event_time > %(until)s OR {draw} < %(share)s * {draws})
ORDER BY c.claim_id
"""
"""Each claim with what the champion, and whoever was in charge before its outcome was known, said of it."""
DTYPES: dict[str, DType] = {
    "event_time": "datetime",
    "probability": "number",
    "flagged": "boolean",
    "looked": "boolean",
    "audited": "boolean",
    "amount": "number",
    "is_fraud": "boolean",
}
DELAYS = """
SELECT floor(extract(epoch FROM %(as_of)s - c.event_time) / 604800)::int AS age,
       ceil(extract(epoch FROM o.known_at - c.event_time) / 604800)::int AS delay, count(*) AS claims
FROM claims_as_of(%(as_of)s) c JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Judged:
    """The claims that judged a champion: from their first to their last event, and the frauds known then."""

    start: datetime
    end: datetime
    frauds: int

    @property
    def frauds_a_week(self) -> float:
        """Known frauds a week."""
        return self.frauds / max((self.end - self.start) / WEEK, 1.0)


@dataclass(frozen=True)
class Late:
    """Late outcomes of a champion's claims.

    Attributes
    ----------
    judged : Judged or None
        None for one that a person promoted though no claim had judged it: nothing to hold it against.
    """

    job: Job
    found: Champion
    judged: Judged | None

    @cached_property
    def maturity(self) -> Maturity:
        """How outcomes of the line come."""
        from jobs.drift.maturity import Maturity

        dtypes: dict[str, DType] = dict.fromkeys(("age", "delay", "claims"), "integer")
        return Maturity.of(self.job.database.frame(DELAYS, dtypes, {"as_of": self.job.as_of}))

    @cached_property
    def claims(self) -> pl.DataFrame:
        """Claims since the first that judged the champion; none of what they tell but `DTYPES`."""
        assert self.judged is not None
        amount = self.job.contract.roles.amount
        query = CLAIMS.format(amount=f"c.{quoted(amount)}" if amount else "NULL", draw=SPLIT_DRAW, draws=DRAWS)
        parameters = {
            "as_of": self.job.as_of,
            "version": self.found.version,
            "since": self.judged.start,
            "until": self.judged.end,
            "share": self.found.judged_share,
        }
        return self.job.database.frame(query, DTYPES, parameters)

    @cached_property
    def reference(self) -> Matured:
        """The claims that judged the champion, as far as their outcomes are mature by now."""
        assert self.judged is not None
        oldest = self.job.as_of - self.maturity.mature * WEEK
        return self._matured(self.judged.start - TICK, min(self.judged.end, oldest))

    def due(self, start: datetime, end: datetime, done: Set[str]) -> bool:
        """Whether there is something new to say of a window: whether its outcomes come, or what they tell."""
        return self._asks_whether_late(end, done) or self._is_mature(start, end, done)

    def measures(self, start: datetime, end: datetime, done: Set[str]) -> list[Measure]:
        """What there is to say of a window that is due."""
        measures = []
        if self._asks_whether_late(end, done):
            measures.append(self._whether_late(start, end))
        if self._is_mature(start, end, done):
            measures += self._concept(start, end)
        return measures

    def append_cohorts(self) -> None:
        """Append to table ``cohorts`` what is new since it was looked at last."""
        if self.judged is None:
            return
        stored, last = self._stored()
        if last is not None and last >= self.job.as_of:
            return
        from jobs.drift.cohorts import Kind, as_frame, cut, rows, weeks_pooled
        from jobs.drift.selection import Cells

        cells, weeks = Cells.of(self.claims), weeks_pooled(self.judged.frauds_a_week)
        oldest = (self.job.as_of - self.maturity.mature * WEEK).date()
        kinds: tuple[Kind, ...] = ("estimated", "realised")
        new = []
        for cohort in cut(self.claims, self.judged.start.date(), weeks, self.job.as_of.date()):
            for kind in kinds:
                claims, matured = stored.get((cohort.week, kind), (0, 0.0))
                if kind == "realised":
                    said = cohort.end > oldest or (claims, matured) == (cohort.claims.height, cohort.matured)
                else:
                    said = claims == cohort.claims.height
                if not said:
                    new += rows(cohort, kind, cells)
        if new:
            self.job.database.append("cohorts", as_frame(new).with_columns(*stamps(self.job, self.found)))

    def _stored(self) -> tuple[dict[tuple[date, str], tuple[int, float]], datetime | None]:
        """Claims and matured share of each cohort when it was looked at last, and when any was."""
        found = self.job.database.rows(
            "SELECT DISTINCT ON (week, kind) week, kind, claims, matured, as_of FROM cohorts "
            "WHERE model_version = %s ORDER BY week, kind, as_of DESC",
            [self.found.version],
        )
        said = {(row["week"], row["kind"]): (row["claims"], row["matured"]) for row in found}
        return said, max((row["as_of"] for row in found), default=None)

    def _asks_whether_late(self, end: datetime, done: Set[str]) -> bool:
        from jobs.drift.maturity import LATE

        return "outcomes_known" not in done and self._is_aged(end, self.maturity.age(LATE))

    def _is_mature(self, start: datetime, end: datetime, done: Set[str]) -> bool:
        mature = self.maturity.mature
        if "maturity" in done or not self._is_aged(end, mature):
            return False
        return self._known(start, end) >= AS_EXPECTED * self._expected or self._age(end) >= 2 * max(mature, 1)

    def _is_aged(self, end: datetime, weeks: int) -> bool:
        """Whether a window ended after the judged claims and so long ago, and can be held against something."""
        later = self.judged is not None and end > self.judged.end
        return later and self._age(end) >= weeks and self.reference.frauds > 0

    def _age(self, end: datetime) -> int:
        return int((self.job.as_of - end) / WEEK)

    @cached_property
    def _expected(self) -> float:
        return 1 - self.reference.claims["is_fraud"].null_count() / max(self.reference.claims.height, 1)

    def _known(self, start: datetime, end: datetime) -> float:
        claims = self._matured(start, end).claims
        return 1 - claims["is_fraud"].null_count() / max(claims.height, 1)

    def _matured(self, start: datetime, end: datetime) -> Matured:
        from jobs.drift.concept import Matured

        return Matured(self.claims.filter(pl.col("event_time") > start, pl.col("event_time") <= end))

    def _whether_late(self, start: datetime, end: datetime) -> Measure:
        from jobs.drift.concept import Rates, late

        claims = self._matured(start, end).claims
        ages = claims.select(((self.job.as_of - pl.col("event_time")) / WEEK).floor()).to_series().to_numpy()
        expected = self._expected * self.maturity.expected(ages) * claims.height
        known = claims.height - claims["is_fraud"].null_count()
        return late(known, expected, Rates(self.rate).other)

    @property
    def rate(self) -> float:
        """Share of windows that may raise a false alarm by their outcomes; the other half goes to their columns."""
        return self.job.contract.drift.false_alarm_rate / 2

    def _concept(self, start: datetime, end: datetime) -> list[Measure]:
        from jobs.drift.associated import append_associations, outcome_claims, outcome_measures
        from jobs.drift.concept import Rates, comparison, concept_measures
        from jobs.drift.measure import WHOLE, Measure

        assert self.judged is not None
        length, spans = end - start, [(start, end)]
        while spans[0][0] > self.judged.end:
            spans.insert(0, (spans[0][0] - length, spans[0][0]))
        spans = [(max(opens, self.judged.end), closes) for opens, closes in spans]
        matured = [self.reference, *(self._matured(*span) for span in spans)]
        known = Measure(WHOLE, "maturity", self._known(*spans[-1]), None, "ok")
        if matured[-1].claims.is_empty():  # all of its claims judged the champion
            return [known]
        held = comparison(matured, self.rate)
        measures = concept_measures(matured, held, self.job.contract.gates, self.rate)
        if held is not None and held.then:
            spans.insert(0, (self.judged.start - TICK, self.judged.end))
            then, since = (
                pl.concat(outcome_claims(self.job, self.found, *spans[place], judged=place == 0) for place in places)
                for places in (held.then, held.since)
            )
            measures += outcome_measures(self.job, self.found, then, since, Rates(self.rate).other)
        append_associations(self.job, self.found, self.job.as_of - self.maturity.mature * WEEK)
        return [*measures, known]


def stamps(job: Job, found: Champion) -> list[pl.Expr]:
    """Which model, at which moment of the clock and in which run."""
    values = {"model_version": found.version, "as_of": job.as_of.isoformat(), "run_id": job.run_id}
    return [pl.lit(value).alias(name) for name, value in values.items()]


def late_outcomes(job: Job, found: Champion) -> Late:
    """Look by which claims a champion was judged; what became of others is read when it is asked for."""
    rows = job.database.rows(
        "SELECT judged_start, judged_end, (metrics #>> '{capacity,frauds}')::int AS frauds FROM model_history "
        "WHERE model_version = %s AND action = 'judged' AND as_of <= %s ORDER BY entry_id DESC LIMIT 1",
        [found.version, job.as_of],
    )
    told = rows and rows[0]["judged_start"] is not None
    judged = Judged(rows[0]["judged_start"], rows[0]["judged_end"], rows[0]["frauds"] or 0) if told else None
    return Late(job, found, judged)
