"""A second champion for a book that has one: it stood before, and is the same model under another number."""

from __future__ import annotations

from datetime import timedelta

from tests.console.conftest import AS_OF, Book

COPY = (
    "INSERT INTO models SELECT %s, family, snapshot, outcomes_known, train_start, train_end, artifact_uri, "
    "mlflow_run_id, contract_hash, git_sha, image_digest, as_of, run_id, judged_share, claims FROM models "
    "WHERE model_version = 1"
)
"""A model under this number."""
ENTRY = (
    "INSERT INTO model_history (model_version, alias, actor, reason, threshold, judged_start, judged_end, metrics, "
    "gates, as_of, run_id, action) SELECT %s, 'champion', 'evaluate', reason, threshold, judged_start, judged_end, "
    "metrics, gates, %s, run_id, %s FROM model_history WHERE model_version = 1 ORDER BY entry_id LIMIT 1"
)
"""An entry of a model, at a moment, by an action."""
OLDER = 2


def let_an_older_champion_have_stood(book: Book) -> None:
    """Let another model have stood before the book's own; it has scored nothing."""
    assert [row["alias"] for row in book.rows("SELECT alias FROM model_history")] == ["champion"]
    book.rows(COPY, [OLDER])
    book.rows(ENTRY, [OLDER, AS_OF - timedelta(days=7), "judged"])
