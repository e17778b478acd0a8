"""Apply: one file and its row in the ledger, in one transaction.

All of a file's rows end in ``claims`` (or ``outcomes``) or in ``claims_quarantine``, each once; killed at any moment,
none do, and the next run starts the file afresh. Rows pass through temporary tables, which go with the transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from jobs.etl import read
from jobs.etl.clean import clean_claims, clean_outcomes, outcome_columns
from shared.contract import Contract
from shared.database import Database, quoted
from shared.job import Job
from shared.storage import Dropped

Kind = Literal["claims", "outcomes"]
LABEL_SOURCE = "claims file"
"""Source of an outcome that stands in the claims file itself."""


@dataclass(frozen=True)
class Loaded:
    """What became of a file's rows; ``reason`` is None unless the file was rejected."""

    rows_in: int
    rows_out: int
    quarantined: int
    reason: str | None


def load_file(job: Job, file: Dropped, etag: str, kind: Kind) -> Loaded:
    """Load a file that the ledger does not hold, or holds with another content.

    Raises
    ------
    TransientError
        The file changed while it was read, or the database went away; nothing of it is loaded.
    """
    database = job.database
    with database.transaction(), file.local() as path:
        _create_temporary_tables(database, kind, job.contract)
        try:
            with database.transaction():
                _stage(job, file.uri, path, kind)
                _set_duplicates_aside(database, kind, file.uri, job.contract)
                reason = _over_limit(database, job.contract.file.reject_limit)
        except read.UnreadableFileError as error:
            reason = str(error)
            _set_lines_aside(job, path, error)
        if reason is not None:
            _set_all_aside(database, reason)
        _fill_in_raw(job, path, kind)
        return _apply(job, file.uri, etag, kind, reason)


def _create_temporary_tables(database: Database, kind: Kind, contract: Contract) -> None:
    columns = ", ".join(["file_line", "claim_id", *map(quoted, _content(kind, contract))])
    label = ", NULL::boolean AS is_fraud" if kind == "claims" else ""
    database.rows(f"CREATE TEMP TABLE staging ON COMMIT DROP AS SELECT {columns}{label} FROM {kind} WITH NO DATA")
    database.rows(
        "CREATE TEMP TABLE rejects "
        "(file_line bigint, column_name text, reason text, raw text, breaks boolean DEFAULT true) ON COMMIT DROP"
    )
    database.rows("CREATE TEMP TABLE raw_rows (file_line bigint, raw text) ON COMMIT DROP")


def _content(kind: Kind, contract: Contract) -> list[str]:
    """Columns that make two rows of one claim the same or not."""
    if kind == "outcomes":
        return ["is_fraud", "decided_at", "known_at", "source"]
    return ["event_time", *(name for name in contract.stored if name not in ("claim_id", "event_time"))]


def _stage(job: Job, uri: str, path: Path, kind: Kind) -> None:
    contract = job.contract
    wanted = _wanted(kind, contract)
    names = read.header(path, contract.file, wanted)
    if extra := [name for name in names if name not in wanted]:
        job.log("columns that the contract does not name are passed over", file=uri, columns=extra)
    for batch in read.batches(path, contract.file, names):
        if kind == "claims":
            cleaned = clean_claims(batch.lines, batch.cells, contract)
        else:
            assert contract.outcomes is not None
            cleaned = clean_outcomes(batch.lines, batch.cells, contract.outcomes, contract.file.na_values)
        job.database.append("staging", cleaned.good)
        job.database.append("rejects", cleaned.bad.join(_raw(batch, cleaned.bad["file_line"]), on="file_line"))
        job.database.append("rejects", batch.broken)


def _raw(batch: read.Batch, lines: pl.Series) -> pl.DataFrame:
    wanted = batch.lines.is_in(lines.implode())
    return read.raw_rows(batch.lines.filter(wanted), batch.cells.filter(wanted))


def _wanted(kind: Kind, contract: Contract) -> list[str]:
    if kind == "claims":
        return list(contract.sources.values())
    assert contract.outcomes is not None
    return [column.source or name for name, column in outcome_columns(contract.outcomes).items()]


def _set_duplicates_aside(database: Database, kind: Kind, uri: str, contract: Contract) -> None:
    database.rows("ANALYZE staging (claim_id)")  # nobody else does for a temporary table
    key = "claim_id" if kind == "claims" else "claim_id, is_fraud, decided_at, known_at, source"
    database.rows(
        "WITH repeated AS (SELECT file_line, "
        f"first_value(file_line) OVER (PARTITION BY {key} ORDER BY file_line) AS first FROM staging), "
        "gone AS (DELETE FROM staging s USING repeated r WHERE s.file_line = r.file_line "
        "AND r.file_line > r.first RETURNING r.*) "
        "INSERT INTO rejects (file_line, column_name, reason) "
        "SELECT file_line, %s, 'repeats row ' || first || ' of the file' FROM gone",
        [contract.roles.id],
    )
    # A row that another file already brought breaks nothing, so it does not count against the reject limit.
    join, current = ("JOIN", "c.superseded_at IS NULL AND ") if kind == "claims" else ("LEFT JOIN", "")
    database.rows(
        f"WITH gone AS (DELETE FROM staging s USING {kind} c {join} ingest_files f USING (file_id) "
        f"WHERE c.claim_id = s.claim_id AND f.uri IS DISTINCT FROM %s AND {current}{_same(kind, contract)} "
        "RETURNING s.file_line, coalesce(f.uri, 'the console') AS origin) "
        "INSERT INTO rejects (file_line, column_name, reason, breaks) "
        "SELECT file_line, %s, 'already loaded from ' || origin, false FROM gone",
        [uri, contract.roles.id],
    )


def _same(kind: Kind, contract: Contract) -> str:
    """Condition under which a stored row ``c`` says the same as a staged row ``s``, its label included."""
    names = [quoted(name) for name in _content(kind, contract)]
    pairs = " AND ".join(f"c.{name} IS NOT DISTINCT FROM s.{name}" for name in names)
    if kind == "outcomes":
        return pairs
    # By c's id, so that it is looked up for the claims found only.
    told = f"FROM outcomes o WHERE o.claim_id = c.claim_id AND o.source = '{LABEL_SOURCE}'"
    # The label that counts is the latest; but of a version that another file has corrected since, any that was told.
    return (
        f"{pairs} AND (s.is_fraud IS NULL "
        f"OR s.is_fraud = (SELECT o.is_fraud {told} ORDER BY o.outcome_id DESC LIMIT 1) "
        f"OR (c.superseded_at IS NOT NULL AND s.is_fraud IN (SELECT o.is_fraud {told})))"
    )


def _over_limit(database: Database, limit: float) -> str | None:
    counts = database.rows(
        "SELECT (SELECT count(*) FROM staging) AS good, count(*) AS bad, "
        "count(*) FILTER (WHERE breaks) AS breaking FROM rejects"
    )[0]
    rows_in, breaking = counts["good"] + counts["bad"], counts["breaking"]
    if breaking <= limit * rows_in:
        return None
    return f"{breaking:,} of {rows_in:,} rows break the contract, over the reject limit of {limit:.1%}"


def _set_lines_aside(job: Job, path: Path, error: read.UnreadableFileError) -> None:
    if error.has_lines:
        for lines in read.physical_lines(path, job.contract.file):
            job.database.append("rejects", lines.with_columns(reason=pl.lit(f"file_rejected: {error}")))


def _set_all_aside(database: Database, reason: str) -> None:
    database.rows(
        "INSERT INTO rejects (file_line, reason) SELECT file_line, %s FROM staging", [f"file_rejected: {reason}"]
    )
    database.rows("TRUNCATE staging")


def _fill_in_raw(job: Job, path: Path, kind: Kind) -> None:
    """Read the file once more for rows that were found wanting only after they had been typed."""
    lines = [row["file_line"] for row in job.database.rows("SELECT file_line FROM rejects WHERE raw IS NULL")]
    if not lines:
        return
    wanted = pl.Series(lines, dtype=pl.Int64)
    names = read.header(path, job.contract.file, _wanted(kind, job.contract))
    for batch in read.batches(path, job.contract.file, names):
        job.database.append("raw_rows", _raw(batch, wanted))


def _apply(job: Job, uri: str, etag: str, kind: Kind, reason: str | None) -> Loaded:
    database = job.database
    earlier = _retire_earlier(database, uri, kind, only_rejected=reason is not None)
    counts = database.rows(
        "SELECT (SELECT count(*) FROM staging) AS rows_out, (SELECT count(*) FROM rejects) AS quarantined"
    )[0]
    loaded = Loaded(counts["rows_out"] + counts["quarantined"], counts["rows_out"], counts["quarantined"], reason)
    file_id = database.rows(
        "INSERT INTO ingest_files (uri, etag, kind, status, reason, rows_in, rows_out, quarantined, loaded_at, run_id) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING file_id",
        [
            uri,
            etag,
            kind,
            "loaded" if reason is None else "rejected",
            reason,
            loaded.rows_in,
            loaded.rows_out,
            loaded.quarantined,
            job.as_of,
            job.run_id,
        ],
    )[0]["file_id"]
    values = {"file_id": file_id, "as_of": job.as_of, "earlier": earlier}
    database.rows(
        "INSERT INTO claims_quarantine (file_id, file_line, column_name, reason, raw) "
        "SELECT %(file_id)s, file_line, column_name, reason, coalesce(r.raw, w.raw) "
        "FROM rejects r LEFT JOIN raw_rows w USING (file_line)",
        values,
    )
    if reason is None:
        _keep_unchanged(database, kind, job.contract, values)
        (_insert_claims if kind == "claims" else _insert_outcomes)(database, job.contract, values)
    job.record(rows_in=loaded.rows_in, rows_out=loaded.rows_out, quarantined=loaded.quarantined)
    return loaded


def _retire_earlier(database: Database, uri: str, kind: Kind, *, only_rejected: bool) -> list[int]:
    """Mark what this file's earlier contents had loaded as replaced; a rejected content replaces only rejected ones.

    Returns
    -------
    list of int
        Contents whose rows this one takes over: outcomes are never withdrawn, so theirs may be of any earlier content.
    """
    retired = database.rows(
        "UPDATE ingest_files SET status = 'replaced' WHERE uri = %s AND status = ANY(%s) RETURNING file_id",
        [uri, ["rejected"] if only_rejected else ["rejected", "loaded"]],
    )
    database.rows("DELETE FROM claims_quarantine WHERE file_id = ANY(%s)", [[row["file_id"] for row in retired]])
    earlier = retired if kind == "claims" else database.rows("SELECT file_id FROM ingest_files WHERE uri = %s", [uri])
    return [row["file_id"] for row in earlier]


def _keep_unchanged(database: Database, kind: Kind, contract: Contract, values: dict[str, Any]) -> None:
    """Rows that the file's earlier content had brought already stay as they are, and now count as this content's.

    So does a claim that another file has corrected since: saying the same again does not undo the correction.
    """
    if values["earlier"]:
        database.rows(
            f"WITH kept AS (UPDATE {kind} c SET file_id = %(file_id)s, file_line = s.file_line FROM staging s "
            f"WHERE c.claim_id = s.claim_id AND c.file_id = ANY(%(earlier)s) AND {_same(kind, contract)} "
            "RETURNING s.file_line) DELETE FROM staging s USING kept WHERE s.file_line = kept.file_line",
            values,
        )


def _insert_claims(database: Database, contract: Contract, values: dict[str, Any]) -> None:
    """A changed claim is superseded by its new version; one that its file no longer holds is withdrawn."""
    database.rows(
        "UPDATE claims c SET superseded_at = greatest(%(as_of)s, c.known_at) WHERE c.superseded_at IS NULL "
        "AND (c.file_id = ANY(%(earlier)s) OR EXISTS (SELECT FROM staging s WHERE s.claim_id = c.claim_id))",
        values,
    )
    columns = ", ".join(quoted(name) for name in _content("claims", contract) if name != "event_time")
    database.rows(
        "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line"
        f"{', ' + columns if columns else ''}) "
        "SELECT s.claim_id, coalesce(p.revision, 0) + 1, s.event_time, "
        "CASE WHEN p.revision IS NULL THEN s.event_time ELSE greatest(%(as_of)s, s.event_time, p.known_at) END, "
        f"%(file_id)s, s.file_line{', ' + columns if columns else ''} FROM staging s "
        "LEFT JOIN (SELECT DISTINCT ON (c.claim_id) c.claim_id, c.revision, c.known_at FROM claims c "
        "WHERE c.claim_id IN (SELECT claim_id FROM staging) ORDER BY c.claim_id, c.revision DESC) p "
        "ON p.claim_id = s.claim_id ORDER BY s.claim_id",
        values,
    )
    if contract.label is not None:
        # A label is known after its delay; one that changed is known when the change was loaded.
        database.rows(
            "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source, file_id, file_line) "
            "SELECT s.claim_id, s.is_fraud, s.event_time + %(delay)s, "
            "CASE WHEN o.known_at IS NULL THEN s.event_time + %(delay)s ELSE greatest(%(as_of)s, o.known_at) END, "
            "%(source)s, %(file_id)s, s.file_line FROM staging s LEFT JOIN "
            "(SELECT DISTINCT ON (o.claim_id) o.claim_id, o.known_at, o.is_fraud FROM outcomes o "
            "WHERE o.source = %(source)s AND o.claim_id IN (SELECT claim_id FROM staging) "
            "ORDER BY o.claim_id, o.outcome_id DESC) o ON o.claim_id = s.claim_id "
            "WHERE s.is_fraud IS NOT NULL AND s.is_fraud IS DISTINCT FROM o.is_fraud ORDER BY s.claim_id "
            "ON CONFLICT DO NOTHING",
            values | {"delay": contract.label.delay, "source": LABEL_SOURCE},
        )


def _insert_outcomes(database: Database, contract: Contract, values: dict[str, Any]) -> None:
    database.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source, file_id, file_line) "
        "SELECT claim_id, is_fraud, decided_at, known_at, source, %(file_id)s, file_line FROM staging",
        values,
    )
