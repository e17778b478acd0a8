"""Claims that nobody has heard of: they need no comparing, and go straight to their table."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from jobs.etl.store import LABEL_SOURCE, Feed
from shared.contract import Contract
from shared.database import Database, encode


@dataclass(frozen=True)
class Fresh:
    """New claims and the outcomes that stand in their rows, each with its columns, encoded for Postgres."""

    rows: int
    claims: tuple[list[str], bytes]
    outcomes: tuple[list[str], bytes] | None

    def append_to(self, database: Database) -> None:
        """Write them."""
        database.append_encoded("claims", *self.claims)
        if self.outcomes is not None:
            database.append_encoded("outcomes", *self.outcomes)


def fresh_rows(claims: pl.DataFrame, contract: Contract, file_id: int) -> Fresh | None:
    """Lay new claims out as their tables want them; None where there are none.

    Parameters
    ----------
    claims : polars.DataFrame
        As :func:`shared.clean.clean_claims` gives them.
    """
    if claims.is_empty():
        return None
    content = [name for name in Feed("claims").content(contract) if name != "event_time"]
    rows = claims.select(
        "claim_id",
        pl.lit(1, pl.Int32).alias("revision"),
        "event_time",
        pl.col("event_time").alias("known_at"),
        pl.lit(file_id, pl.Int64).alias("file_id"),
        "file_line",
        *content,
    )
    return Fresh(claims.height, (rows.columns, encode(rows)), _outcomes(claims, contract, file_id))


def _outcomes(claims: pl.DataFrame, contract: Contract, file_id: int) -> tuple[list[str], bytes] | None:
    told = claims.filter(pl.col("is_fraud").is_not_null())
    if contract.label is None or told.is_empty():
        return None
    known = pl.col("event_time") + contract.label.delay
    rows = told.select(
        "claim_id",
        "is_fraud",
        known.alias("decided_at"),
        known.alias("known_at"),
        pl.lit(LABEL_SOURCE).alias("source"),
        pl.lit(file_id, pl.Int64).alias("file_id"),
        "file_line",
    )
    return rows.columns, encode(rows)


class Seen:
    """Ids met so far in a file, by a hash of 64 bits: now and then a false alarm, never a miss; 8 bytes an id."""

    def __init__(self) -> None:
        self._runs: list[pl.Series] = []
        """Sorted hashes, each run more than twice as long as the next, so that few are searched and merged."""

    def add(self, ids: pl.Series) -> pl.Series:
        """Take ids in, and tell of each whether it may have come before.

        >>> Seen().add(pl.Series(["a", "b", "a"])).to_list()
        [False, False, True]
        """
        hashes = ids.hash()
        before = ~hashes.is_first_distinct()
        for run in self._runs:
            places = run.search_sorted(hashes).clip(0, run.len() - 1)
            before |= run.gather(places) == hashes
        new = hashes.filter(~before).sort()
        while self._runs and self._runs[-1].len() <= 2 * new.len():
            new = new.append(self._runs.pop()).sort()
        if not new.is_empty():
            self._runs.append(new)
        return before
