"""A database of the business with a table of claims, and the etl that pulls from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from jobs.etl.load import Loaded
from jobs.etl.pull import pulls
from shared.contract import Contract
from shared.database import Database
from shared.job import Job
from tests.factories import CLAIM, contract, job, settings

TABLE = {"table": "sales.claims", "watermark": "changed"}
COLUMNS = (
    "claim text, lost_on date, amount numeric, peril text, note text, count int, seen_at timestamptz, hurt boolean, "
    "fraud text"
)


class Business:
    """A database of the business with a table of claims, and the etl that pulls from it."""

    def __init__(self, folder: Path, url: str, source_url: str) -> None:
        self.folder, self.url, self.source_url = folder, url, source_url
        self.source = psycopg.connect(source_url, autocommit=True)
        self.source.execute("SET client_min_messages = error; SET timezone = UTC; DROP SCHEMA IF EXISTS sales CASCADE")
        self.source.execute(f"CREATE SCHEMA sales; CREATE TABLE sales.claims ({COLUMNS}, changed timestamptz)")
        self.contract = self.pulling(claims=TABLE)

    def pulling(self, **parts: dict[str, Any]) -> Contract:
        """Make the contract pull this."""
        self.contract = contract(file={"reject_limit": 0.5}, pull=parts)
        return self.contract

    def write(self, claim: str, changed: str | None, connection: Any = None, **cells: str | None) -> None:
        """Write a claim, or a new version of it."""
        connection = connection or self.source
        connection.execute("DELETE FROM sales.claims WHERE claim = %s", [claim])
        row = CLAIM | {"claim": claim, "changed": changed} | cells
        connection.execute(
            "INSERT INTO sales.claims SELECT * FROM jsonb_populate_record(NULL::sales.claims, %s)", [Jsonb(row)]
        )

    def job(self, database: Database, **values: str) -> Job:
        """Open a run of etl."""
        return job(
            database,
            self.contract,
            settings(self.folder, self.url, **{"CLAIMSIGHT_SOURCE_URL": self.source_url} | values),
        )

    def pull(self, **values: str) -> list[Loaded]:
        """Pull once; what became of each pull that brought something."""
        with Database(self.url, "motor") as database:
            database.prepare(self.contract)
            return [found for _, found in pulls(self.job(database, **values), "reference", "claims", "outcomes")]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the tables of the line."""
        with Database(self.url, "motor") as database:
            return [tuple(row.values()) for row in database.rows(query)]

    def current(self) -> list[tuple[Any, ...]]:
        """Current claims: id, amount, revision."""
        return self.rows("SELECT claim_id, amount, revision FROM claims WHERE superseded_at IS NULL ORDER BY claim_id")

    def since(self) -> str | None:
        """Where the next pull will begin."""
        found = self.rows("SELECT since FROM ingest_files WHERE pull IS NOT NULL ORDER BY file_id DESC LIMIT 1")
        return found[0][0]  # type: ignore[no-any-return]
