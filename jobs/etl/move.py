"""Apply: rows move to where they belong or are set aside, whether they come in a file or from quarantine.

Claims that nobody has heard of go straight to their table; rows that may repeat or correct others wait in a temporary
table until all are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol, cast

import polars as pl

from jobs.etl.fresh import Fresh, Seen, fresh_rows
from jobs.etl.levels import Levels
from jobs.etl.persons import Persons
from jobs.etl.read import raw_rows
from jobs.etl.rows import Batch
from jobs.etl.store import DECISION, Content, Feed, same, store, told_last
from shared.ahead import ahead
from shared.clean import Cleaned, clean_claims, clean_outcomes, clean_reference, hold_dates, keys
from shared.contract import Contract
from shared.database import Database, quoted
from shared.job import Job
from shared.pseudonyms import Pseudonyms

MOST_FAULTS = 3
"""Kinds of fault that a refusal names, the commonest first."""
REFUSED = "file_rejected: "
"""How the reason of a sound row of a rejected file begins."""


class OverLimitError(Exception):
    """More of a file's rows break the contract than it lets pass."""


class Source(Protocol):
    """Where a file's rows are read, and where those go that are set aside."""

    is_file: bool
    """Whether it reads without the database, so that it may run ahead."""

    def batches(self) -> Generator[Batch]:
        """Read the rows."""
        ...

    def set_aside(self, rows: pl.DataFrame) -> None:
        """Set rows aside: ``file_line``, ``column_name``, ``reason``, ``raw``."""
        ...


@dataclass(frozen=True)
class Staged:
    """What became of a file's rows so far: how many count, break the contract, or say nothing new and break nothing."""

    rows: int
    bad: int
    elsewhere: int
    erased: int
    """Rows of persons who were erased: they break nothing."""
    waits: bool
    """Whether there is any in ``staging``, so perhaps in ``rejects``."""
    faults: Counter[str]
    """What is wrong with the bad ones, and with how many."""


@dataclass(frozen=True)
class _Part:
    """A batch of a file, cleaned: rows straight for ``claims`` where there are any, the rest, and those set aside."""

    fresh: Fresh | None
    rest: pl.DataFrame
    bad: pl.DataFrame
    faults: Counter[str]

    @property
    def rows(self) -> int:
        return self.rest.height + self.bad.height + (self.fresh.rows if self.fresh else 0)


@dataclass(frozen=True)
class Move:
    """One content of a file on its way into the tables."""

    job: Job
    uri: str
    feed: Feed
    file_id: int
    pseudonyms: Pseudonyms | None
    erased: Persons | None
    """Whoever was erased; their rows are set aside without content."""
    pull: str = ""
    """The pull that the file is of; its rows that say again what is known are left out, and do not count."""

    @property
    def database(self) -> Database:
        """The session of the job."""
        return self.job.database

    @property
    def contract(self) -> Contract:
        """The contract of the job."""
        return self.job.contract

    @cached_property
    def levels(self) -> Levels:
        """What the file's categories hold."""
        return Levels(self.database, self.feed, self.contract)

    def stage(self, source: Source) -> Staged:
        """Move new claims to their table and all else to ``staging``, and set aside what breaks the contract."""
        rows = bad = erased = 0
        waits, faults = False, Counter[str]()
        for part in self._parts(source):
            faults += part.faults
            rows, bad = rows + part.rows, bad + part.bad["raw"].count()
            erased += part.bad["raw"].null_count()
            source.set_aside(part.bad)
            if part.fresh is not None:
                part.fresh.append_to(self.database)
            if not part.rest.is_empty():
                if not waits:
                    create_temporary_tables(self.database, self.feed, self.contract)
                    waits = True
                self.database.append("staging", part.rest)
        elsewhere = corrected = 0
        if waits:
            self.database.rows(f"ANALYZE staging ({self.feed.key})")  # nobody else does for a temporary table
            if self.feed.kind == "outcomes":
                corrected = self._set_corrected_aside(requeued=not source.is_file)
            repeated = self._set_repetitions_aside(requeued=not source.is_file)
            bad, faults = bad + repeated, faults + Counter({f"{self._named or 'a row'}: repeats another row": repeated})
            elsewhere += self._set_loaded_aside()
            if not source.is_file:
                elsewhere += self._set_outdated_aside()
        if self.pull:
            again = self._leave_quarantined_out() if bad else 0
            rows, bad, elsewhere = rows - again - elsewhere, bad - again, 0
            if again:
                faults.clear()  # they count those left out, too
        return Staged(rows, bad, elsewhere + corrected, erased, waits, faults)

    def hold_to_limit(self, bad: int, rows: int, faults: Mapping[str, int]) -> None:
        """Raise OverLimitError if too many of a file's rows are bad; it names the commonest faults, and no cell."""
        limit = self.contract.file.reject_limit
        if bad > limit * rows:
            most = sorted(faults.items(), key=lambda one: (-one[1], one[0]))[:MOST_FAULTS]
            told = ", ".join(f"{fault} ({count:,} {'row' if count == 1 else 'rows'})" for fault, count in most)
            over = f"{bad:,} of {rows:,} rows break the contract, over the reject limit of {limit:.1%}"
            raise OverLimitError(f"{over}: {told}" if told else over)

    def store(self, staged: Staged, statuses: list[str]) -> None:
        """Move what is staged to its table, in place of what the file's contents of these statuses had brought."""
        earlier = self.retire_earlier(statuses)
        if staged.waits or earlier:
            create_temporary_tables(self.database, self.feed, self.contract)
            store(self.database, self.feed, self.contract, Content(self.file_id, earlier, self.job.as_of))

    def clean(self, batch: Batch) -> Cleaned:
        """Hold a batch against the contract."""
        lines, cells, contract = batch.lines, batch.cells, self.contract
        match self.feed.kind:
            case "claims":
                return clean_claims(lines, cells, contract, self.pseudonyms, self._tables(cells), self.job.as_of)
            case "outcomes":
                cleaned = clean_outcomes(lines, cells, contract, self.pseudonyms)
                return hold_dates(cleaned, contract, self._latest, self._events(cleaned.good["claim_id"]))
            case "reference":
                return clean_reference(lines, cells, contract, self.feed.name, self.pseudonyms)

    def retire_earlier(self, statuses: list[str]) -> list[int]:
        """Mark what this file's other contents came to as replaced.

        Returns
        -------
        list of int
            Contents whose rows this one takes over.
        """
        retired = self.database.rows(
            "UPDATE ingest_files SET status = 'replaced' WHERE uri = %s AND file_id <> %s AND status = ANY(%s) "
            "RETURNING file_id",
            [self.uri, self.file_id, statuses],
        )
        gone = [row["file_id"] for row in retired]
        if gone:
            self.database.rows("DELETE FROM claims_quarantine WHERE file_id = ANY(%s)", [gone])
        return gone

    def batches(self, source: Source) -> Generator[Batch]:
        """Read the rows; those of persons who were erased stand among the broken ones, without content."""
        with closing(source.batches()) as batches:
            for batch in batches:
                yield self.erased.taken_from(batch, self.feed) if self.erased else batch

    def _parts(self, source: Source) -> Generator[_Part]:
        """Read and clean ahead of what is sent; only what asks the database waits for it."""
        batches = ahead(self.batches(source)) if source.is_file else self.batches(source)
        seen = Seen()
        # Whoever is first needs not ask who is there.
        first = self.feed.kind == "claims" and not self.database.rows("SELECT 1 FROM claims LIMIT 1")
        levels = self.levels

        def parts() -> Generator[_Part]:
            with closing(batches):
                for batch in batches:
                    cleaned = self.clean(batch)
                    levels.meet(cleaned)
                    fresh, rest = None, cleaned.good
                    if self.feed.kind == "claims":
                        new = ~seen.add(rest["claim_id"])
                        if not first:
                            new &= ~self._stored(rest["claim_id"])
                        fresh, rest = fresh_rows(rest.filter(new), self.contract, self.file_id), rest.filter(~new)
                    yield _Part(fresh, rest, bad_rows(batch, cleaned), cleaned.counts() + _broken(batch))

        alone = source.is_file and first and not self.contract.reference
        return ahead(parts()) if alone else parts()

    def _stored(self, claim_ids: pl.Series) -> pl.Series:
        found = self.database.frame(
            "SELECT DISTINCT claim_id FROM claims WHERE claim_id = ANY(%s)", {"claim_id": "text"}, [claim_ids.to_list()]
        )
        return claim_ids.is_in(found["claim_id"].implode())

    @cached_property
    def _latest(self) -> datetime:
        """The later of the run's clock and the real one.

        A replay loads what was decided after its moment, too, and does not see it until its clock has come as far.
        """
        found = self.database.rows("SELECT greatest(now(), %s) AS latest", [self.job.as_of])
        return cast(datetime, found[0]["latest"])

    def _events(self, claim_ids: pl.Series) -> pl.DataFrame:
        """Find when those of some claims happened that are known, where a column dates claims."""
        asked = claim_ids.to_list() if self.contract.roles.event_time else []
        return self.database.frame(
            "SELECT claim_id, event_time FROM claims WHERE superseded_at IS NULL AND claim_id = ANY(%s)",
            {"claim_id": "text", "event_time": "datetime"},
            [asked],
        )

    def _tables(self, cells: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of each reference table the rows that some claims' keys name."""
        found = {}
        for name, reference in self.contract.reference.items():
            asked = keys(cells, self.contract, name)
            stored = self.pseudonyms.of(asked) if self.pseudonyms and reference.key in self.contract.personal else asked
            dtypes = {column: self.contract.dtype(column) for column in reference.columns}
            columns = ", ".join(["key", *map(quoted, dtypes)])
            query = f"SELECT {columns} FROM {Feed('reference', name).table} WHERE key = ANY(%s)"
            rows = self.database.frame(query, {"key": "text", **dtypes}, [stored.to_list()])
            found[name] = rows.with_columns(pl.col("key").replace_strict(stored, asked, return_dtype=pl.String))
        return found

    def _set_corrected_aside(self, *, requeued: bool) -> int:
        """Set staged outcomes aside on whose decision their file has another word further on; they break nothing."""
        key = ", ".join(DECISION)
        pairs = " AND ".join(f"s.{name} = t.{name}" for name in DECISION)
        stored = ""
        if requeued:
            stored = f" UNION ALL SELECT {key}, is_fraud, file_line FROM outcomes WHERE file_id = %(file_id)s "
            stored += "AND claim_id IN (SELECT claim_id FROM staging)"
        found = self.database.rows(
            f"WITH every AS (SELECT {key}, is_fraud, file_line FROM staging{stored}), "
            f"told AS (SELECT {key}, max(file_line) FILTER (WHERE is_fraud) AS fraud, "
            f"max(file_line) FILTER (WHERE NOT is_fraud) AS not_fraud FROM every GROUP BY {key} "
            "HAVING bool_or(is_fraud) <> bool_and(is_fraud)), "
            f"gone AS (DELETE FROM staging s USING told t WHERE {pairs} "
            "AND s.file_line < CASE WHEN s.is_fraud THEN t.not_fraud ELSE t.fraud END RETURNING s.file_line) "
            "INSERT INTO rejects (file_line, column_name, reason) "
            "SELECT file_line, %(column)s, 'corrected by a later row of the file' FROM gone RETURNING file_line",
            {"file_id": self.file_id, "column": self._named},
        )
        return len(found)

    def _set_repetitions_aside(self, *, requeued: bool) -> int:
        """Set staged rows aside that repeat a row of their file."""
        feed, contract = self.feed, self.contract
        key = ", ".join([feed.key, *feed.content(contract)]) if feed.kind == "outcomes" else feed.key
        # The first one may have gone straight to the claims; what a requeued row repeats may be anywhere in the file.
        stored = ""
        if feed.kind == "claims" or requeued:
            stored = f" UNION ALL SELECT {key}, file_line, false FROM {feed.table} WHERE file_id = %(file_id)s "
            stored += f"AND {feed.key} IN (SELECT {feed.key} FROM staging)"
        found = self.database.rows(
            f"WITH every AS (SELECT {key}, file_line, true AS waits FROM staging{stored}), "
            "repeated AS (SELECT file_line, waits, first_value(file_line) OVER same AS first, "
            f"row_number() OVER same AS place FROM every WINDOW same AS (PARTITION BY {key} ORDER BY waits, file_line)"
            "), gone AS (DELETE FROM staging s USING repeated r WHERE s.file_line = r.file_line "
            "AND r.waits AND r.place > 1 RETURNING r.*) "
            "INSERT INTO rejects (file_line, column_name, reason) "
            "SELECT file_line, %(column)s, 'repeats row ' || first || ' of the file' FROM gone RETURNING file_line",
            {"file_id": self.file_id, "column": self._named},
        )
        return len(found)

    def _set_loaded_aside(self) -> int:
        """Set staged rows aside that another file already brought; they break nothing."""
        feed, contract = self.feed, self.contract
        current = {"claims": "c.superseded_at IS NULL", "outcomes": told_last(), "reference": "true"}[feed.kind]
        # An outcome without a file is a decision of the console.
        join = "JOIN" if feed.kind == "claims" else "LEFT JOIN"
        found = self.database.rows(
            f"WITH gone AS (DELETE FROM staging s USING {feed.table} c {join} ingest_files f USING (file_id) "
            f"WHERE c.{feed.key} = s.{feed.key} AND f.uri IS DISTINCT FROM %s AND {current} AND {same(feed, contract)} "
            "RETURNING s.file_line, coalesce(f.uri, 'the console') AS origin) "
            "INSERT INTO rejects (file_line, column_name, reason) "
            "SELECT file_line, %s, CASE WHEN %s = '' THEN 'already loaded from ' || origin END FROM gone "
            "RETURNING file_line",
            [self.uri, self._named, self.pull],
        )
        return len(found)

    def _leave_quarantined_out(self) -> int:
        """Of a pull's bad rows leave out those that an earlier one has set aside, just as they are."""
        found = self.database.rows(
            "DELETE FROM claims_quarantine q USING claims_quarantine told JOIN ingest_files f USING (file_id) "
            "WHERE q.file_id = %s AND f.pull = %s AND told.raw = q.raw RETURNING q.file_line",
            [self.file_id, self.pull],
        )
        return len(found)

    def _set_outdated_aside(self) -> int:
        """Set requeued rows aside of which a file that was loaded later has another version: that one stands."""
        feed = self.feed
        # Outcomes stand side by side; only between two known at the same time the later entry counts.
        current = {"claims": "c.superseded_at IS NULL", "outcomes": "c.known_at = s.known_at", "reference": "true"}
        found = self.database.rows(
            f"WITH gone AS (DELETE FROM staging s USING {feed.table} c JOIN ingest_files f USING (file_id) "
            f"WHERE c.{feed.key} = s.{feed.key} AND c.file_id > %s AND {current[feed.kind]} "
            "RETURNING s.file_line, f.uri) INSERT INTO rejects (file_line, column_name, reason) "
            "SELECT file_line, %s, 'another version came later from ' || min(uri) FROM gone GROUP BY file_line "
            "RETURNING file_line",
            [self.file_id, self._named],
        )
        return len(found)

    @property
    def _named(self) -> str | None:
        """Column at fault where a row repeats another; the whole row where none names it."""
        return self.contract.reference[self.feed.name].key if self.feed.name else self.contract.roles.id


def create_temporary_tables(database: Database, feed: Feed, contract: Contract) -> None:
    """Make ``staging`` and ``rejects``, which go with the transaction, where they are not there yet."""
    columns = ", ".join(["file_line", feed.key, *map(quoted, feed.content(contract))])
    label = ", NULL::boolean AS is_fraud" if feed.kind == "claims" else ""
    for statement in (
        f"staging ON COMMIT DROP AS SELECT {columns}{label} FROM {feed.table} WITH NO DATA",
        "rejects (file_line bigint, column_name text, reason text) ON COMMIT DROP",
    ):
        database.rows(f"CREATE TEMP TABLE IF NOT EXISTS {statement}")


def raw(batch: Batch, lines: pl.Series) -> pl.DataFrame:
    """Some rows of a batch, as they came."""
    wanted = batch.lines.is_in(lines.implode()).arg_true()
    return raw_rows(batch.lines[wanted], batch.cells[wanted])


def _broken(batch: Batch) -> Counter[str]:
    reasons = batch.broken.filter(pl.col("raw").is_not_null())["reason"]  # one without is of a person who was erased
    return Counter(dict(reasons.value_counts().iter_rows()))


def bad_rows(batch: Batch, cleaned: Cleaned) -> pl.DataFrame:
    """Rows of a batch that are set aside: as they came, and why."""
    columns = ["file_line", "column_name", "reason", "raw"]
    wrong = cleaned.bad.join(raw(batch, cleaned.bad["file_line"]), on="file_line")
    broken = batch.broken.with_columns(column_name=pl.lit(None, pl.String))
    return pl.concat([wrong.select(columns), broken.select(columns)])
