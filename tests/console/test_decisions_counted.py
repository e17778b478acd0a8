"""What is decided in the console is learnt from next and counted by every reader; what is taken back, by none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pytest
from fastapi.testclient import TestClient

from console.api.add_person import add_person
from console.api.app import create_app
from deploy.local.report import queues
from deploy.local.report.book import gather_book
from deploy.local.report.sources import gather_sources
from jobs.drift.associated import outcome_claims
from jobs.drift.late import late_outcomes
from jobs.evaluate.ab import TALLIES
from jobs.train import snapshot
from jobs.train.windows import Windows, cut
from shared.champion import champion
from shared.contract import load
from shared.database import Database
from shared.job import Job
from shared.settings import from_environment
from tests.console.conftest import AS_OF, PASSWORD, Book
from tests.factories import ROOT

DECIDED, UNDONE = datetime(2024, 5, 6, 6, tzinfo=UTC), datetime(2024, 5, 6, 18, tzinfo=UTC)
"""No claim happens in between: one that does keeps the past that it had, with the decision."""


@pytest.fixture(scope="module")
def claims(book: Book) -> list[str]:
    """Name flagged claims from before the decisions of which nobody told an outcome."""
    found = book.rows(
        "SELECT claim_id FROM predictions JOIN claims_as_of(%s) c USING (claim_id) "
        "WHERE flagged AND variant = 'champion' AND c.event_time < %s "
        "AND NOT EXISTS (SELECT FROM outcomes o WHERE o.claim_id = c.claim_id) ORDER BY c.event_time LIMIT 5",
        [AS_OF, DECIDED - timedelta(days=14)],
    )
    assert len(found) == 5
    return [row["claim_id"] for row in found]


@pytest.fixture(scope="module")
def anna(book: Book) -> Iterator[TestClient]:
    """Sign an investigator in on the day of the decisions."""
    app = create_app(book.settings(CLAIMSIGHT_AS_OF=DECIDED.isoformat()))
    with TestClient(app, base_url="http://127.0.0.1") as made:
        assert made.portal is not None
        made.portal.call(add_person, app.state.store, "anna", "Anna", ["investigator"], PASSWORD)
        answer = made.post("/api/session", json={"login": "anna", "password": PASSWORD})
        made.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        yield made


def read(book: Book, as_of: datetime) -> dict[str, Any]:
    """Tell what each reader of outcomes makes of them."""
    contract = load(book.folder / "demo.toml")
    with Database(book.url, contract.name) as database:
        job = Job("train", from_environment(book.environment(as_of)), contract, database, 0)
        times = snapshot.labelled_times(job)
        found = cut(times, contract, None)
        assert isinstance(found, Windows)
        standing = champion(database, AS_OF)
        assert standing is not None
        late = late_outcomes(job, standing)
        arms = {"champion": standing.version, "challenger": 0, "opened": DECIDED - timedelta(days=365), "as_of": AS_OF}
        tallies = TALLIES.format(unit="c.claimant_id", amount="c.amount").replace("%(as_of)s", "%(clock)s")
        return {
            "train: how many": snapshot.outcomes_known(job),
            "train: when": times,
            "train: claims with their past": snapshot.snapshot(job, found),
            "train: sources": snapshot.outcome_sources(job, found),
            "drift: maturity": late.maturity.known.tolist(),
            "drift: claims": late.claims if late.judged else None,
            "drift: associations": outcome_claims(job, standing, DECIDED - timedelta(days=365), AS_OF),
            "evaluate: trial": database.rows(tallies, arms | {"clock": as_of}),
            "worklist": database.rows("SELECT claim_id FROM worklist_as_of(%s) ORDER BY 1", [as_of]),
            "report: queues": queues.unlabelled(database, standing.version, as_of),
            "report: queues of an old database": database.rows(
                f"SELECT count(*) FROM {queues._LISTED} l", {"version": standing.version, "as_of": as_of}
            ),
            "report: sources": gather_sources(database, as_of)["feeds"],
            "report: book": gather_book(database, contract, as_of)["book"],
        }


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Readers of which two readings differ."""
    return [
        name
        for name, told in one.items()
        if not (told.equals(other[name]) if hasattr(told, "equals") else told == other[name])
    ]


def test_a_decision_taken_back_was_never_made(book: Book, claims: list[str]) -> None:
    """To every reader after the undo; one as of a moment between still sees it, and nothing before it changes."""
    moments = DECIDED - timedelta(hours=1), DECIDED + timedelta(hours=1), AS_OF
    before, between, after = (read(book, moment) for moment in moments)
    book.rows("INSERT INTO people (login, name, roles) VALUES ('eve', 'Eve', '{investigator}')")
    for claim, decision in zip(claims[:3], ("fraud", "not_fraud", "fraud"), strict=True):
        book.rows("SELECT console_take('eve', %s)", [claim])
        book.rows("SELECT console_decide('eve', %s, %s, '', %s)", [claim, decision, DECIDED])
    assert set(differing(after, read(book, AS_OF))) >= {
        "train: how many", "train: when", "train: claims with their past", "train: sources", "drift: maturity",
        "drift: associations", "evaluate: trial", "worklist", "report: queues", "report: queues of an old database",
        "report: book",
    }  # fmt: skip
    for claim in claims[:3]:
        book.rows("SELECT console_undo('eve', %s, %s)", [claim, UNDONE])
    assert differing(after, read(book, AS_OF)) == []
    assert differing(before, read(book, moments[0])) == []
    seen = read(book, moments[1])
    assert seen["train: how many"] == between["train: how many"] + 3
    assert "report: queues" in differing(between, seen)


def test_the_next_training_learns_from_decisions(book: Book, anna: TestClient, claims: list[str]) -> None:
    """One that stands is among what is learnt from, told with its source; one that was taken back is not."""
    kept, undone = claims[3:]
    for claim in (kept, undone):
        anna.post(f"/api/cases/{claim}/take")
        answer = anna.post(f"/api/claims/{claim}/decision", json={"decision": "fraud", "note": "a ring"})
        assert answer.status_code == 201, answer.text
    assert anna.post(f"/api/claims/{undone}/undo", json=answer.json()).status_code == 200
    (before,) = book.rows("SELECT max(model_version) AS version FROM models")
    environment = book.environment() | {"PATH": os.environ["PATH"], "CLAIMSIGHT_GIT_SHA": "another"}
    subprocess.run([sys.executable, "-m", "jobs.train"], cwd=ROOT, env=environment, check=True, capture_output=True)
    (model,) = book.rows("SELECT * FROM models WHERE model_version > %s", [before["version"]])
    told = json.loads((Path(urlsplit(model["artifact_uri"]).path) / "training.json").read_text())
    assert {"source": "console", "claims": 1, "frauds": 1} in told["outcomes"]
    tags = mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"]).get_run(model["mlflow_run_id"]).data.tags
    assert json.loads(tags["claimsight.outcomes"])["console"] == 1
