"""Row accounting by SQL: where each row of each file stands, and whether the ledgers tell the truth."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from tests.drop_factory import QUARANTINE, Expected

ENDS_WITHIN = 3.0
"""Seconds in which the server lets go of a killed client's session."""
HOMES = ("claims", "outcomes", "reference_agents", QUARANTINE)
LATEST = "file_id IN (SELECT max(file_id) FROM ingest_files WHERE status <> 'replaced' GROUP BY uri)"
NOTHING = {
    "files whose counts are not those of their rows": """
        SELECT uri FROM ingest_files f WHERE rows_in <> rows_out + quarantined
        OR kind = 'claims' AND status = 'loaded'
        AND rows_out <> (SELECT count(*) FROM claims c WHERE c.file_id = f.file_id)
        OR status <> 'replaced'
        AND quarantined <> (SELECT count(*) FROM claims_quarantine q WHERE q.file_id = f.file_id)
        """,
    "rows of files that the ledger does not know": """
        SELECT file_id FROM claims UNION SELECT file_id FROM claims_quarantine UNION
        SELECT file_id FROM outcomes EXCEPT SELECT file_id FROM ingest_files
        """,
    "runs whose counts are not those of their files": """
        SELECT run_id FROM job_runs LEFT JOIN ingest_files f USING (run_id) GROUP BY run_id HAVING
        (job_runs.rows_in, job_runs.rows_out, job_runs.quarantined)
        <> (coalesce(sum(f.rows_in), 0), coalesce(sum(f.rows_out), 0), coalesce(sum(f.quarantined), 0))
        """,
    "open runs": "SELECT run_id FROM job_runs WHERE status = 'running'",
    "temporary tables": "SELECT relname FROM pg_class WHERE relpersistence = 't'",
    "tables that nobody knows": """
        SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ 'staging|rejects'
        """,
    "advisory locks": """
        SELECT objid FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """,
    "two current versions of a claim": """
        SELECT claim_id FROM claims WHERE superseded_at IS NULL GROUP BY claim_id HAVING count(*) > 1
        """,
}
"""Queries that must find nothing."""
OWN = {"file_id", "outcome_id", "run_id", "etag", "picture_id", "entered_at"}
"""Columns in which two loads of the same files may differ."""


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    connection = psycopg.connect(url, autocommit=True, options="-c search_path=motor,claimsight -c timezone=UTC")
    others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + ENDS_WITHIN
    while connection.execute(f"{others} AND backend_type = 'client backend'").rowcount:
        assert time.monotonic() < deadline, "a session is left"
        time.sleep(0.01)
    return connection


def assert_exact(url: str, expected: Expected) -> None:
    """Hold the tables against what must stand in them, line by line, and the ledgers against the tables."""
    with _connect(url) as connection:
        for what, query in NOTHING.items():
            assert connection.execute(query).fetchall() == [], what
        tables = [home for home in HOMES if connection.execute("SELECT to_regclass(%s)", [home]).fetchone() != (None,)]
        query = " UNION ALL ".join(
            f"SELECT uri, file_line, '{home}' FROM {home} JOIN ingest_files f USING (file_id) "
            f"WHERE {LATEST} AND f.kind {'IN' if home == QUARANTINE else '='} {_kind(home)}"
            for home in tables
        )
        found: dict[str, dict[int, str]] = {}
        for uri, line, home in connection.execute(query):
            lines = found.setdefault(uri, {})
            assert line not in lines, f"line {line} of {uri} stands twice: in {lines[line]} and in {home}"
            lines[line] = home
        for uri, fates in expected.fates.items():
            stands = found.pop(uri, {})
            wrong = {line for line in fates.keys() | stands.keys() if fates.get(line) != stands.get(line)}
            some = [(line, fates.get(line), stands.get(line)) for line in sorted(wrong)[:3]]
            assert not wrong, f"{uri}: {len(wrong)} lines, such as (line, due in, stands in): {some}"
        assert not found
        amounts = connection.execute(
            "SELECT uri, file_line, claim_id, amount FROM claims JOIN ingest_files f USING (file_id) "
            "WHERE f.status = 'loaded'"
        )
        assert {(uri, line): (claim, amount) for uri, line, claim, amount in amounts} == expected.amounts


def _kind(home: str) -> str:
    """Files whose rows end in a table; a label in a claims file is an outcome beside its claim."""
    if home == QUARANTINE:
        return "('claims', 'outcomes', 'reference')"
    return f"'{home.partition('_')[0]}'"


def state(url: str) -> dict[str, list[str]]:
    """All that stands in a line's tables, but for numbers and times of the run."""
    found = {}
    with _connect(url) as connection:
        known = (
            "SELECT relname, EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'file_id') "
            "FROM pg_class c WHERE relnamespace = 'motor'::regnamespace AND relkind = 'r' ORDER BY relname"
        )
        for table, of_files in connection.execute(known).fetchall():
            without = "".join(f" - '{name}'" for name in sorted(OWN))
            joined = "LEFT JOIN motor.ingest_files f USING (file_id)" if of_files and table != "ingest_files" else ""
            uri = "f.uri" if joined else "''"
            query = f"SELECT {uri} || (to_jsonb(t){without})::text AS told FROM motor.{table} t {joined} ORDER BY told"
            found[table] = [told for (told,) in connection.execute(query)]
    return found
