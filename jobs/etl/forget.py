"""Forget: a person when somebody asks for it, and the content of rows in quarantine when its time is up."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from jobs.etl.persons import Naming, Persons, pseudonyms_of, value_of
from jobs.etl.rows import as_text
from jobs.etl.store import Feed, feeds
from shared.arguments import Option
from shared.choreography import Stage
from shared.contract import Contract
from shared.database import Database, quoted, reference_table
from shared.errors import ConfigError, TransientError
from shared.job import Job, locks_of
from shared.pseudonyms import Pseudonyms

WRITERS: tuple[Stage, ...] = ("evaluate", "score")
"""Stages that write of claims by their ids."""
ROWS_AT_ONCE = 10_000
"""Quarantined rows that stand in memory at once."""


def expire(job: Job) -> None:
    """Take the content from rows that have been in quarantine for too long; all else of them stays."""
    job.database.rows(
        "UPDATE claims_quarantine SET raw = NULL WHERE raw IS NOT NULL "
        "AND file_id IN (SELECT file_id FROM ingest_files WHERE loaded_at < %s)",
        [job.as_of - timedelta(days=job.contract.file.quarantine_days)],
    )


def forget(job: Job, claimant: str) -> str:
    """Erase a person from all tables of the line, in one transaction, and note that in ``erasures``.

    Theirs are the claims whose latest version that names anyone names them, with all that any table holds of those;
    of other claims, the versions that name them; rows of reference tables whose key they are; and rows in quarantine
    that name them or one of their claims. The ledger counts a file's rows that went this way as erased.

    Parameters
    ----------
    claimant : str
        As a sender writes it; ``-`` reads it from the standard input.

    Raises
    ------
    ConfigError
        The contract does not say which column names the claimant, there is no key, or no claimant is given.
    TransientError
        evaluate or score is at work: it may have read the claims already, and would write of them again.
    """
    database = job.database
    person = _person(job, claimant)
    for stage in WRITERS:
        if not all(map(database.try_lock, locks_of(stage, job.contract.name))):
            raise TransientError(
                f"{stage} is at work, and may write of the claimant's claims; start it again when that ended"
            )
    with database.transaction():
        claims = _claims(database, person)
        erased = _erase_quarantined(database, person, claims)
        own = f"claim_id = ANY(%(claims)s) OR {quoted(person.column)} = ANY(%(pseudonyms)s)"
        values = {"claims": sorted(claims), "pseudonyms": person.pseudonyms}
        for table, has_file in _tables_of_claims(database):
            condition = own if table == "claims" else "claim_id = ANY(%(claims)s)"
            erased[table] = _erase(database, table, condition, values, has_file=has_file)
        for name, reference in job.contract.reference.items():
            if reference.key == person.column:
                table = reference_table(name)
                erased[table] = _erase(database, table, "key = ANY(%(pseudonyms)s)", values, has_file=True)
        erased = {table: count for table, count in erased.items() if count}
        if not erased:
            return "nothing is held of that claimant; nothing to erase"
        database.rows(
            "INSERT INTO erasures (claimant, claims, rows, run_id) VALUES (%s, %s, %s, %s)",
            [person.pseudonyms[0], person.known_as(claims), json.dumps(erased), job.run_id],
        )
    return "the claimant is erased: " + ", ".join(f"{count:,} rows of {table}" for table, count in erased.items())


FORGET = Option("--forget", "CLAIMANT", "erase a person, for good; - reads the name from the standard input", forget)


@dataclass(frozen=True)
class _Person:
    """Whom to erase: in clear, and by the pseudonyms that stand for them, the first of them as claims have it."""

    values: list[str]
    pseudonyms: list[str]
    contract: Contract
    keyed: Pseudonyms

    @property
    def column(self) -> str:
        assert self.contract.roles.claimant is not None
        return self.contract.roles.claimant

    def known_as(self, claims: set[str]) -> list[str]:
        """Pseudonyms of claims' ids, which personal ones are already."""
        ids = pl.Series(sorted(claims), dtype=pl.String)
        return (ids if self.contract.roles.id in self.contract.personal else self.keyed.of(ids)).to_list()

    def with_claims(self, claims: set[str]) -> Persons:
        return Persons(self.pseudonyms, self.known_as(claims), self.contract, self.keyed)

    def as_stored(self, ids: pl.Series) -> pl.Series:
        """Ids of claims as the tables have them."""
        return self.keyed.of(ids) if self.contract.roles.id in self.contract.personal else ids

    def spelled(self, claims: set[str]) -> re.Pattern[str]:
        """What a line that is no row must hold to name them: a value, not within a longer word, however escaped."""
        clear = [*self.values, *self.pseudonyms, *claims]
        ways = sorted({way for value in clear for way in _spellings(value)}, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ways))})(?!\w)")


def _person(job: Job, claimant: str) -> _Person:
    contract = job.contract
    if contract.roles.claimant is None:
        raise ConfigError(
            f"contract {contract.name}: no roles.claimant says which column names who claims; name it, and in pii too"
        )
    keyed = pseudonyms_of(job)
    assert keyed is not None  # the claimant's column is personal
    given = sys.stdin.buffer.readline() if claimant == "-" else os.fsencode(claimant)
    value = value_of(pl.Series([given.strip()], dtype=pl.Binary), contract.columns[contract.roles.claimant], contract)[
        0
    ]
    if value is None:
        raise ConfigError("--forget: that is no claimant; give the name as senders write it, in UTF-8")
    values = list(dict.fromkeys([value, given.decode().strip()]))
    return _Person(values, keyed.of(pl.Series(values)).to_list(), contract, keyed)


def _claims(database: Database, person: _Person) -> set[str]:
    column = quoted(person.column)
    rows = database.rows(
        f"SELECT claim_id FROM (SELECT DISTINCT ON (claim_id) claim_id, {column} AS claimant FROM claims "
        f"WHERE {column} IS NOT NULL AND claim_id IN (SELECT claim_id FROM claims WHERE {column} = ANY(%(them)s)) "
        "ORDER BY claim_id, revision DESC) latest WHERE claimant = ANY(%(them)s)",
        {"them": person.pseudonyms},
    )
    return {row["claim_id"] for row in rows}


def _tables_of_claims(database: Database) -> list[tuple[str, bool]]:
    """Tables of the line that speak of claims, whoever made them, and whether they tell which file a row came in."""
    rows = database.rows(
        "SELECT relname, bool_or(attname = 'file_id') AS has_file FROM pg_class c JOIN pg_attribute a "
        "ON attrelid = c.oid AND NOT attisdropped WHERE relnamespace = current_schema()::regnamespace "
        "AND relkind IN ('r', 'p') GROUP BY relname HAVING bool_or(attname = 'claim_id') ORDER BY relname"
    )
    return [(row["relname"], row["has_file"]) for row in rows]


def _erase(database: Database, table: str, condition: str, values: dict[str, Any], *, has_file: bool) -> int:
    """Delete rows and count them as erased in the ledger; a claims file's by its claims, not once more by outcomes."""
    if not has_file:
        return len(database.rows(f"DELETE FROM {quoted(table)} WHERE {condition} RETURNING 1", values))
    counted = "quarantined" if table == "claims_quarantine" else "rows_out"
    (found,) = database.rows(
        f"WITH gone AS (DELETE FROM {quoted(table)} WHERE {condition} RETURNING file_id), "
        "counted AS (SELECT file_id, count(*) AS rows FROM gone GROUP BY file_id), "
        f"told AS (UPDATE ingest_files f SET {counted} = f.{counted} - rows, erased = f.erased + rows FROM counted c "
        "WHERE f.file_id = c.file_id AND (f.kind <> 'claims' OR %(table)s IN ('claims', 'claims_quarantine'))) "
        "SELECT count(*) AS rows FROM gone",
        values | {"table": table},
    )
    return int(found["rows"])


def _erase_quarantined(database: Database, person: _Person, claims: set[str]) -> dict[str, int]:
    """Erase rows in quarantine; claims of theirs that stand only there join `claims`, for what else tells of them."""
    places: list[str] = []
    for kinds in ("= 'claims'", "<> 'claims'"):
        search = _Search(person, person.with_claims(claims), person.spelled(claims))
        for rows in _quarantined(database, kinds):
            places += search.places(rows)
        stored = database.frame(
            "SELECT DISTINCT claim_id FROM claims WHERE claim_id = ANY(%s)", {"claim_id": "text"}, [list(search.claims)]
        )
        claims |= search.claims - set(stored["claim_id"])
    values = {"places": places}
    return {
        "claims_quarantine": _erase(
            database, "claims_quarantine", "ctid = ANY(%(places)s::tid[])", values, has_file=True
        )
    }


def _quarantined(database: Database, kinds: str) -> Iterator[list[dict[str, Any]]]:
    database.rows(
        "DECLARE quarantined CURSOR FOR SELECT q.ctid::text AS place, f.kind, f.uri, q.raw FROM claims_quarantine q "
        f"JOIN ingest_files f USING (file_id) WHERE q.raw IS NOT NULL AND f.kind {kinds}"
    )
    while rows := database.rows(f"FETCH {ROWS_AT_ONCE} FROM quarantined"):
        yield rows
    database.rows("CLOSE quarantined")


class _Search:
    """Looks for a person in rows as they came; ``claims`` are ids that were found beside their name."""

    def __init__(self, person: _Person, persons: Persons, spelled: re.Pattern[str]) -> None:
        self._person, self._persons, self._spelled = person, persons, spelled
        namings = ((feed, Naming.of(feed, person.contract)) for feed in feeds(person.contract))
        self._named_in = {feed: [place for place in (it.claimant, it.claim) if place] for feed, it in namings}
        self.claims: set[str] = set()

    def places(self, rows: list[dict[str, Any]]) -> list[str]:
        """Where the rows stand that name the person or one of their claims."""
        told: dict[Feed, list[tuple[str, dict[str, Any]]]] = {}
        found = []
        for row in rows:
            # The name of a reference table is that of its folder.
            feed = Feed(row["kind"], row["uri"].split("/")[2] if row["kind"] == "reference" else "")
            cells = self._cells(row["raw"], feed)
            if cells is not None:
                told.setdefault(feed, []).append((row["place"], cells))
            elif self._spelled.search(row["raw"] if feed in self._named_in else f"{row['uri']} {row['raw']}"):
                found.append(row["place"])
        return found + [place for feed, cells in told.items() for place in self._named(feed, cells)]

    def _cells(self, raw: str, feed: Feed) -> dict[str, Any] | None:
        """Cells of a row; None for a line that is none."""
        if feed not in self._named_in:
            return None
        try:
            cells = json.loads(raw)
        except ValueError:
            return None
        is_row = isinstance(cells, dict) and all(header in cells for header, _ in self._named_in[feed])
        return cells if is_row else None

    def _named(self, feed: Feed, rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
        headers = [header for header, _ in self._named_in[feed]]
        if not headers:
            return []
        cells = pl.DataFrame({name: [_bytes(row[name]) for _, row in rows] for name in headers})
        theirs = self._persons.named_by(cells, feed)
        claim = Naming.of(feed, self._person.contract).claim
        if feed.kind == "claims" and claim:
            header, column = claim
            ids = value_of(cells[header].filter(theirs), column, self._person.contract)
            self.claims |= set(self._person.as_stored(ids).drop_nulls())
        return [place for (place, _), named in zip(rows, theirs, strict=True) if named]


def _bytes(cell: Any) -> bytes:
    text = "" if cell is None else cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
    return text.encode(errors="replace")


def _spellings(value: str) -> set[str]:
    """A value as JSON, CSV, and a file in another encoding may have it."""
    in_json = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {value, *in_json, value.replace('"', '""'), as_text(value.encode("latin-1", "backslashreplace"))}
