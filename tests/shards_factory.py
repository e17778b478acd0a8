"""A line that several runs of score may share: a champion, many small batches, and a table that is slow to write to."""

from __future__ import annotations

from pathlib import Path

from tests import models_factory
from tests.models_factory import Line

CLAIMS = 700
BATCH = 30
SHARDS = 4
STAGE = f"""
from jobs.score import unscored
from jobs.score.__main__ import work
from shared.champion import check
from shared.job import run
unscored.BATCH = {BATCH}
run("score", "", work, check)
"""
"""Score, with batches so small that each shard has several."""
SLOW = """
CREATE FUNCTION garage.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END';
CREATE TRIGGER slow BEFORE INSERT ON garage.predictions FOR EACH STATEMENT EXECUTE FUNCTION garage.wait();
"""
"""So that a run can be struck between its first batch and its last."""
ONCE = (
    "SELECT count(*) AS claims, count(p.claim_id) AS scores, count(DISTINCT p.claim_id) AS once "
    "FROM claims c LEFT JOIN predictions p USING (claim_id)"
)
WRITTEN = "SELECT 1 FROM predictions p JOIN job_runs USING (run_id) WHERE shard = '2/4'"
LEDGER = "SELECT shard, status, rows_out FROM job_runs WHERE stage = 'score' ORDER BY run_id"


def scored(url: str, folder: Path) -> Line:
    """Make claims, and a champion that nobody judged."""
    made = models_factory.line(url, folder, claims=CLAIMS)
    made.add_model(good=True)
    made.rows(
        "INSERT INTO model_history (model_version, alias, actor, reason, threshold, metrics, gates, as_of, run_id) "
        "SELECT model_version, 'champion', 'test', 'test', 0.5, '{\"claims_per_week\": 7}', '[]', as_of, run_id "
        "FROM models"
    )
    return made
