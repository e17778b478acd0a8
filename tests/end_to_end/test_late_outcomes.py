"""What drift makes of outcomes that came late, on a line of business in Postgres."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from jobs.drift.late import Late, late_outcomes
from jobs.drift.measure import Measure
from jobs.drift.watched import watched
from jobs.score.__main__ import work as score
from shared.champion import champion
from shared.claims import read_claims
from shared.features import values
from shared.grants import role
from shared.job import Job
from shared.profile import Profile
from tests import claims_factory
from tests.models_factory import FEATURES, TRAIN_END, Line, line

LENGTH = timedelta(days=56)
JUDGED = claims_factory.FIRST_DAY + timedelta(days=520)
CHANGED = claims_factory.FIRST_DAY + timedelta(days=500)
END = claims_factory.FIRST_DAY + timedelta(days=720)


@pytest.fixture(scope="module")
def place(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A champion that was judged before fraud became something else, and the scores of all claims."""
    name = f"late_{uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        made = line(make_conninfo(postgres, dbname=name), tmp_path_factory.mktemp("late"), 6000)
        made.add_model(good=True, as_of=JUDGED)
        book = claims_factory.claims(2000, seed=3)
        profile = Profile.of(values(book, FEATURES), FEATURES).as_document()
        (made.folder / "model-0" / "profile.json").write_text(json.dumps(profile))
        assert "promoted" in made.evaluate(JUDGED)
        made.rows(
            "UPDATE outcomes o SET is_fraud = mod(hashtext(o.claim_id), 8) = 0 FROM claims c "
            f"WHERE c.claim_id = o.claim_id AND c.event_time > '{CHANGED}' RETURNING 1 AS changed"
        )
        made.call(score, as_of=END, stage="score")
        # As if score had come by on the day of each claim.
        made.rows(
            f"UPDATE predictions p SET scored_as_of = greatest(c.event_time, '{JUDGED}') FROM claims c "
            "WHERE c.claim_id = p.claim_id RETURNING 1 AS stamped"
        )
        yield made
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def said(job: Job) -> dict[datetime, list[Measure]]:
    """What there is to say of each window, by its end."""
    late = _late(job)
    spans = [(TRAIN_END + LENGTH * step, TRAIN_END + LENGTH * (step + 1)) for step in range(6)]
    return {end: late.measures(start, end, set()) for start, end in spans if late.due(start, end, set())}


def cohorts(place: Line) -> list[dict[str, object]]:
    return place.rows("SELECT week, metric, kind, as_of, matured FROM cohorts ORDER BY 1, 2, 3, 4")


def _late(job: Job) -> Late:
    assert job.database.act_as(role("drift"))
    found = champion(job.database, job.as_of)
    assert found is not None
    late = late_outcomes(job, found)
    late.append_cohorts()
    return late


def test_fraud_that_became_something_else_is_seen_once_outcomes_are_mature(place: Line) -> None:
    """Each window after those that judged is held against them; the ranking that is lost asks for a new model."""
    found = place.call(said, as_of=END)
    assert list(found) == [TRAIN_END + LENGTH * step for step in (3, 4, 5, 6)]
    last = {(m.feature, m.metric): m for m in found[TRAIN_END + 6 * LENGTH]}
    assert last["*", "roc_auc"].verdict == "retrain"
    assert last["*", "selection"].verdict == last["*", "outcomes_known"].verdict == "ok"
    assert last["amount", "association"].verdict == "watch"
    assert 0.0 < last["*", "estimate_error"].value < 0.5
    assert last["*", "maturity"].value == 1.0


def test_nothing_is_said_before_outcomes_are_mature(place: Line) -> None:
    """A window that has just ended waits; its claims are of weeks for which an estimate stands already."""
    end = TRAIN_END + 5 * LENGTH
    early = place.call(said, as_of=end + timedelta(days=10))
    assert end not in early
    assert TRAIN_END + 4 * LENGTH in early


def test_outcomes_that_come_later_are_told_and_no_performance_is(place: Line) -> None:
    """Where outcomes stay out, drift says so when half of them should be there, and waits with its judgement."""
    start, end = TRAIN_END + 4 * LENGTH, TRAIN_END + 5 * LENGTH
    moved = (
        "UPDATE outcomes o SET known_at = o.known_at {sign} interval '100 days' FROM claims c "
        f"WHERE c.claim_id = o.claim_id AND c.event_time > '{start}' RETURNING 1 AS moved"
    )
    place.rows(moved.format(sign="+"))
    try:
        found = place.call(said, as_of=end + timedelta(days=28))[end]
    finally:
        place.rows(moved.format(sign="-"))
    assert [(measure.metric, measure.verdict) for measure in found] == [("outcomes_known", "watch")]


def test_cohorts_grow_as_outcomes_mature(place: Line) -> None:
    """Runs append what is new since the last, running twice appends nothing, and the newest row is the most mature."""
    for day in (600, 640, 640, 720):
        as_of = claims_factory.FIRST_DAY + timedelta(days=day)
        place.call(_late, as_of=as_of)
        before = cohorts(place)
        place.call(_late, as_of=as_of)
        assert cohorts(place) == before
    kinds = {row["kind"] for row in before}
    assert kinds == {"realised", "estimated"}
    rows = place.rows(
        "SELECT week, matured FROM cohorts WHERE kind = 'realised' AND metric = 'roc_auc' ORDER BY week, as_of"
    )
    shares: dict[object, list[float]] = {}
    for row in rows:
        shares.setdefault(row["week"], []).append(row["matured"])
    assert all(each == sorted(set(each)) for each in shares.values())


def test_associations_go_on_where_evaluate_left_off(place: Line) -> None:
    """Later months stand in the same table, each once, as far as their outcomes are mature."""
    place.call(said, as_of=END)
    before = place.rows("SELECT feature, month FROM bivariate ORDER BY 1, 2")
    place.call(said, as_of=END)
    assert place.rows("SELECT feature, month FROM bivariate ORDER BY 1, 2") == before
    months = sorted({row["month"] for row in before})
    assert months[-1] > (JUDGED + timedelta(days=31)).date()
    assert len(before) == len(months) * len(FEATURES)


def test_bias_and_importance_need_no_outcome(place: Line) -> None:
    """A window's importance is stored beside that of the judged claims."""

    def look(job: Job) -> list[Measure]:
        found = champion(job.database, job.as_of)
        assert found is not None
        span = {"start": TRAIN_END + 5 * LENGTH, "end": TRAIN_END + 6 * LENGTH}
        where = "WHERE c.event_time > %(start)s AND c.event_time <= %(end)s"
        claims = read_claims(job.database, job.contract, where, {"as_of": job.as_of, **span})
        return watched(job, found, *span.values(), claims, found.model.score(claims, 1))

    measures = {measure.metric: measure for measure in place.call(look, as_of=END)}
    assert measures["importance_correlation"].verdict == "ok"
    assert len(place.rows("SELECT DISTINCT window_start FROM importance")) == 2


def test_a_champion_that_no_claim_judged_has_nothing_to_be_held_against(
    place: Line,
) -> None:
    """Without judged claims drift says nothing of performance, and does not fail."""

    def look(job: Job) -> bool:
        found = champion(job.database, job.as_of)
        assert found is not None
        late = Late(job, found, None)
        late.append_cohorts()
        return late.due(TRAIN_END, TRAIN_END + LENGTH, set())

    assert place.call(look, as_of=END) is False
