"""A drop, its tables, and a run of etl that loads one file at a time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.etl.load import Loaded, load_file
from jobs.etl.store import Feed
from shared import storage
from shared.contract import Contract
from shared.database import Database
from shared.job import Job
from tests.factories import AS_OF, csv_text, drop, job, settings

DECISION = {"claim": "c1", "verdict": "Y", "decided": "2024-03-01", "known": "2024-03-02", "by": "court"}


def decisions(*rows: dict[str, str]) -> str:
    """Write a file of outcomes; what a row does not say is that of `DECISION`."""
    return csv_text([DECISION | row for row in rows], DECISION)


class Etl:
    """A drop, its tables, and a run that loads one file at a time."""

    def __init__(self, folder: Path, database: Database, contract: Contract, url: str) -> None:
        self.folder, self.database, self.contract, self.url = folder, database, contract, url
        database.prepare(contract)
        self.job = self._job()

    def _job(self, as_of: datetime = AS_OF) -> Job:
        return job(self.database, self.contract, settings(self.folder, self.url, CLAIMSIGHT_AS_OF=as_of.isoformat()))

    def at(self, as_of: datetime) -> None:
        """Start another run, at another time."""
        self.job = self._job(as_of)

    def load(self, name: str, content: str | bytes, folder: str = "claims") -> Loaded:
        """Drop a file and load it."""
        path = drop(self.folder, name, content, folder)
        uri = path.relative_to(self.folder / "drop").as_posix()
        (file,) = [file for file in storage.listing(self.folder / "drop", "motor") if file.uri == uri]
        return load_file(self.job, file, file.etag, Feed(*folder.split("/", 1)))  # type: ignore[arg-type]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query; its rows as tuples."""
        return [tuple(row.values()) for row in self.database.rows(query)]

    def current(self) -> list[tuple[Any, ...]]:
        """Current claims: id, amount, revision, and the file they count as."""
        return self.rows(
            "SELECT claim_id, amount, revision, f.uri FROM claims JOIN ingest_files f USING (file_id) "
            "WHERE superseded_at IS NULL ORDER BY claim_id"
        )

    def quarantine(self) -> list[tuple[Any, ...]]:
        """Quarantined rows: line and reason."""
        return self.rows("SELECT file_line, reason FROM claims_quarantine ORDER BY file_id, file_line")
