"""The report's page of drift; the challenger in the shadow, and the worklist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from deploy.local.report.drift import gather_drift, worst
from deploy.local.report.model import shadow
from deploy.local.report.present import present
from shared.database import Database
from shared.metrics import average_precision
from tests.unit.test_report import AS_OF, HOSTILE, TRAIN_END, contract, load, page, pages, promote, score

CHAMPION = {"model_version": 1, "metrics": {"ranking": {"lift_top_decile": {"value": 3.0}}}}
COHORTS = """
CREATE TABLE cohorts (
    model_version integer, week date, weeks integer, metric text, kind text, value double precision,
    low double precision, high double precision, claims bigint, frauds bigint, matured double precision,
    as_of timestamptz, run_id bigint
)
"""
WORKLIST = """
CREATE FUNCTION worklist_as_of(moment timestamptz) RETURNS TABLE (
    week date, rank_in_week bigint, claim_id text, event_time timestamptz, fraud_probability double precision,
    amount double precision, expected_loss double precision, flagged boolean, audited boolean, arm text,
    model_version integer, scored_as_of timestamptz, reasons jsonb
) LANGUAGE sql STABLE AS $$
    SELECT date_trunc('week', c.event_time)::date, row_number() OVER (
        PARTITION BY date_trunc('week', c.event_time) ORDER BY p.fraud_probability DESC), p.claim_id, c.event_time,
        p.fraud_probability, c.amount, p.fraud_probability * c.amount, p.flagged, p.audited, 'champion',
        p.model_version, p.scored_as_of, p.reasons
    FROM predictions p JOIN claims_as_of(moment) c USING (claim_id)
    WHERE (p.flagged OR p.audited) AND NOT EXISTS (SELECT FROM outcomes o WHERE o.claim_id = p.claim_id)
$$
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url, "motor") as database:
        database.prepare(contract())
        yield database


@pytest.fixture
def live(database: Database, tmp_path: Path) -> Database:
    """A champion, and predictions of claims later than its training."""
    load(database, 120)
    promote(database, tmp_path)
    score(database)
    database.rows("DELETE FROM drift_metrics")
    return database


def measure(database: Database, week: int, feature: str, metric: str, value: float, **facts: object) -> None:
    """One figure of a week's window."""
    start = TRAIN_END + timedelta(weeks=week)
    given = {"limit": None, "verdict": "ok", "reason": "as usual" if metric == "verdict" else None} | facts
    database.rows(
        'INSERT INTO drift_metrics (window_start, window_end, model_version, feature, metric, value, "limit", verdict, '
        "reason, as_of, run_id) VALUES (%(start)s, %(end)s, 1, %(feature)s, %(metric)s, %(value)s, %(limit)s, "
        "%(verdict)s, %(reason)s, %(end)s, 1)",
        {"start": start, "end": start + timedelta(weeks=1), "feature": feature, "metric": metric, "value": value}
        | given,
    )


def weigh(database: Database, **importance: float) -> None:
    """How much each feature matters."""
    for feature, value in importance.items():
        database.rows(
            "INSERT INTO importance VALUES (1, %s, %s, %s, %s, %s, 1)", [TRAIN_END, AS_OF, feature, value, AS_OF]
        )


def test_the_heat_map_puts_first_what_matters(live: Database, tmp_path: Path) -> None:
    """Shift over its limit by feature and week: all together, then by shift times importance; never colour alone."""
    weigh(live, amount=3.0, peril=1.0)
    for week, value in enumerate((0.01, 0.03)):
        measure(live, week, "*", "verdict", 1, verdict="watch", reason="a has shifted; b has shifted")
        measure(live, week, "*", "shift", 0.2, limit=0.4)
        measure(live, week, "peril", "shift", 0.4, limit=0.2)
        measure(live, week, "amount", "shift", value, limit=0.02)
        measure(live, week, "amount", "psi", 9, limit=None)
        measure(live, week, "other", "shift", 0.9, limit=0.1)
    grid = gather_drift(live, CHAMPION, AS_OF)["shifts"]
    assert [row["feature"] for row in grid["features"]] == ["*", "amount", "peril", "other"]
    assert [cell["ratio"] for cell in grid["features"][1]["cells"]] == pytest.approx([0.5, 1.5])
    assert [row["feature"] for row in worst(live, 1, AS_OF)] == ["amount", "peril", "other"]
    text, found = page(live, tmp_path)
    assert re.search(r'<td class="h2">0.50</td><td class="h4">1.50</td>', text)
    for said in ("all features together", "1 and more: beyond the limit", "verdict of the window", "75\u202f%"):
        assert said in found.text
    assert '<ol class="lines"><li>a has shifted</li><li>b has shifted</li></ol>' in text


def test_before_the_champion_is_measured_the_model_before_is_shown(live: Database, tmp_path: Path) -> None:
    """A model just promoted has no windows: those of the model measured last are shown, and the page says so."""
    measure(live, 0, "*", "verdict", 0)
    measure(live, 0, "peril", "shift", 0.1, limit=0.2)
    live.rows(
        "INSERT INTO models SELECT 2, family, snapshot, 50, train_start, train_end, artifact_uri, 'run', 'hash', "
        "'sha', 'digest', as_of, 1 FROM models"
    )
    live.rows(
        "INSERT INTO model_history (model_version, alias, actor, reason, threshold, judged_start, judged_end, metrics, "
        "gates, as_of, run_id) SELECT 2, alias, actor, reason, threshold, judged_start, judged_end, metrics, gates, "
        "as_of, 1 FROM model_history"
    )
    _, found = page(live, tmp_path)
    assert "Model 2, the champion, has no measured window yet. These are the windows of model 1" in found.text


def test_each_weeks_claims_are_told_as_they_came_true_and_as_estimated(live: Database, tmp_path: Path) -> None:
    """Of each week what was said last, realised beside estimated, with intervals in the chart and in the table."""
    if not present(live, "cohorts"):
        live.rows(COHORTS)
    week = date(2024, 4, 1)
    for days, kind, value in ((5, "realised", 9.0), (1, "realised", 2.5), (3, "estimated", 3.25)):
        live.rows(
            "INSERT INTO cohorts (model_version, week, weeks, metric, kind, value, low, high, claims, frauds, matured, "
            "as_of, run_id) VALUES (1, %s, 4, 'lift_top_decile', %s, %s, 1.5, 4.5, 700, 33, 0.6, %s, 1)",
            [week, kind, value, AS_OF - timedelta(days=days)],
        )
    (found,) = gather_drift(live, CHAMPION, AS_OF)["cohorts"]
    assert (found["name"], found["judged"]) == ("Lift of the top tenth", 3.0)
    (told,) = found["weeks"]
    assert (told["realised"]["value"], told["estimated"]["value"]) == (2.5, 3.25)
    text, shown = page(live, tmp_path)
    assert "2.50 (1.50 to 4.50)" in shown.text
    assert text.count('circle class="realised"') == text.count('circle class="estimated"') == 1
    assert "2024-04-01, estimated: 3.25 (95 %: 1.50 to 4.50)" in shown.text


def test_late_outcomes_associations_bias_and_sources_have_their_tables(live: Database, tmp_path: Path) -> None:
    """Each measure stands where it belongs, what is amiss first and in a word, hostile names as text."""
    for week in (0, 1):
        measure(live, week, "*", "verdict", 0)
        measure(live, week, "*", "roc_auc", 0.7 + week / 10, limit=0.65)
        measure(live, week, "*", "maturity", 0.4)
        measure(live, week, HOSTILE, "association", 1.0, limit=0.5, verdict="retrain")
        measure(live, week, "surname", "demographic_parity", 0.05, limit=0.1)
        measure(live, week, "source:claims", "rejected", 0.01 + week / 100, limit=0.1)
        measure(live, week, "source:outcomes", "silent_days", 30, limit=14, verdict="watch", reason=HOSTILE)
    text, found = page(live, tmp_path)
    for said in ("AUC", "Outcomes known", "Associations", "surname: shares flagged", "silent days", "0.0200", "2.00"):
        assert said in found.text
    quality = gather_drift(live, CHAMPION, AS_OF)["quality"]
    assert [row["feature"] for row in quality] == ["source:outcomes", "source:claims"]
    assert (quality[1]["value"], quality[1]["before"]) == (0.02, 0.01)
    assert HOSTILE not in text


def test_what_drift_has_not_measured_is_said(live: Database, tmp_path: Path) -> None:
    """Without figures each section is a sentence."""
    page(live, tmp_path)
    told = pages(tmp_path / "new", "motor")["drift"]
    for said in (
        "Not measured",
        "No window of claims has been measured for model 1 yet.",
        "Of no week enough outcomes",
        "No source",
    ):
        assert said in told
    assert "<svg" not in told


def test_the_challenger_in_the_shadow_is_held_against_the_champion(live: Database, tmp_path: Path) -> None:
    """Average precision of both on the same claims that neither learnt from, as the library of metrics has it."""
    assert shadow(live, CHAMPION, AS_OF) is None
    live.rows(
        "INSERT INTO models SELECT 2, family, snapshot, 50, train_start, train_end, artifact_uri, 'run', 'hash', "
        "'sha', 'digest', as_of, 1 FROM models"
    )
    live.rows(
        "INSERT INTO predictions (claim_id, model_version, variant, fraud_probability, flagged, audited, reasons, "
        "scored_as_of, run_id) SELECT claim_id, 2, 'challenger', round((1 - fraud_probability)::numeric, 1), false, "
        "false, NULL, scored_as_of, 1 FROM predictions"
    )
    found = shadow(live, CHAMPION, AS_OF)
    rows = live.rows(
        "SELECT is_fraud, p.fraud_probability AS standing, q.fraud_probability AS challenger FROM outcomes "
        "JOIN claims USING (claim_id) JOIN predictions p USING (claim_id) JOIN predictions q USING (claim_id) "
        "WHERE p.model_version = 1 AND q.model_version = 2 AND claims.event_time > %s",
        [TRAIN_END],
    )
    assert found is not None
    y = np.array([row["is_fraud"] for row in rows], dtype=float)
    for model in ("standing", "challenger"):
        expected = average_precision(y, np.array([row[model] for row in rows]))
        assert found[model]["average_precision"] == pytest.approx(expected)
        assert (found[model]["claims"], found[model]["frauds"]) == (len(rows), y.sum())
    _, told = page(live, tmp_path)
    assert "The challenger in the shadow" in told.text


def test_the_worklist_ranks_by_week_and_marks_the_audit_sample(live: Database, tmp_path: Path) -> None:
    """Open claims only, the newest week first, with expected loss and reasons in the model's own words."""
    if not present(live, "worklist_as_of"):
        live.rows(WORKLIST)
    live.rows("UPDATE predictions SET flagged = false, audited = true WHERE claim_id = 'C119'")
    reason = {"feature": "peril", "value": "fire", "log_odds": 0.7, "text": "Fires are rare."}
    live.rows("UPDATE predictions SET reasons = %s WHERE claim_id = 'C117'", [json.dumps([reason])])
    page(live, tmp_path)
    text = pages(tmp_path / "new", "motor")["claims"]
    ids = re.findall(r'class="name">(C\d+)', text)
    assert ids[:3] == ["C119", "C117", "C115"]
    assert not {"C118", "C116"} & set(ids)
    assert re.search(r"C119<span class=.under.><span class=.tag.>audit</span>", text, re.DOTALL)
    assert "Week of <time>2024-04-29</time>" in text
    assert "<li>Fires are rare.</li>" in text
