"""A Postgres database of the business, by way of psycopg: read only, by the snapshot, every cell as text.

What a transaction that has not ended has written is not there to be read; :meth:`Source.open_since` tells how long ago
the oldest of those began.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import psycopg
from psycopg import sql

from shared.contract_parts import Pull
from shared.database import connect, in_one_line, is_refusal
from shared.errors import ConfigError, TransientError

SETTLE_ATTEMPTS, SETTLE_SECONDS = 20, 0.1
"""How often, and how far apart, to look whether transactions end that were open when the pull began: most take less."""
OVERLAP_MINUTES, OVERLAP_NUMBERS = 60, 10_000
"""Clocks of several writers differ by seconds, and an unseen transaction rarely takes an hour; sequences that hand out
numbers by the block are some thousands out of order."""
_OPTIONS = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601 -c client_encoding=UTF8 -c extra_float_digits=1 "
    "-c application_name=claimsight -c default_transaction_read_only=on "
    "-c statement_timeout=1h -c lock_timeout=30s -c idle_in_transaction_session_timeout=1h"
)
"""None that a Postgres of ten years ago did not know."""
_INTEGERS, _TIMES = ("int2", "int4", "int8"), ("timestamp", "timestamptz")


@dataclass(frozen=True)
class Point:
    """How far the watermark had come at a moment of the source's clock; None where no row had one."""

    watermark: str | None
    taken_at: datetime


class Source:
    """A session that reads one table or query.

    Parameters
    ----------
    url : str
        A libpq connection string.
    name : str
        Of the pull, for messages.
    columns : sequence of str
        Columns to read, the watermark apart.

    Raises
    ------
    TransientError
        The server cannot be reached, went away, or took too long.
    ConfigError
        It refuses these credentials or rights, the query is none, or columns are missing or of a type that is no text.
    """

    def __init__(self, url: str, name: str, pull: Pull, columns: Sequence[str]) -> None:
        self._name, self._pull = name, pull
        # The line break ends a comment.
        relation = sql.Identifier(*pull.table.split(".")) if pull.table else sql.SQL(f"({pull.query}\n)")
        self._from = sql.SQL("FROM {} AS q").format(relation)
        self._watermark = sql.Identifier("q", pull.watermark)
        self._columns = sql.SQL(", ").join(sql.Identifier("q", column) for column in columns)
        with self._translated():
            try:
                self._connection = connect(url, _OPTIONS)
            except psycopg.ProgrammingError:  # its message would repeat the URL, password and all
                raise ConfigError("CLAIMSIGHT_SOURCE_URL is no libpq connection string") from None
        self._connection.read_only = True
        try:
            self._is_time = self._look(columns)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def point(self, until: datetime) -> Point:
        """Look how far the watermark has come; a time after `until` is not there yet."""
        query = sql.SQL("SELECT max({w}) AS watermark, clock_timestamp() AS taken_at {source} WHERE {limit}")
        row = self._row(query.format(w=self._watermark, source=self._from, limit=self._limit(until)))
        top = row["watermark"]
        return Point(None if top is None else top.isoformat() if self._is_time else str(top), row["taken_at"])

    def open_since(self, point: Point) -> tuple[datetime | None, bool]:
        """Look when the oldest transaction began whose rows may not be seen yet; best after a point, before the rows.

        Those that were open at the point are given a moment to end.

        Returns
        -------
        began : datetime or None
            By the source's clock, now where none is open; None where nobody knows, since one is prepared for a
            two-phase commit.
        is_sure : bool
            Whether all transactions can be seen: not so on a standby, nor those of other roles without the right to.
        """
        # The statement's own start, since a transaction may begin while the others are being looked at.
        query = sql.SQL(
            "SELECT least(min(xact_start), statement_timestamp()) AS began, "
            "NOT pg_is_in_recovery() AND coalesce(bool_and(coalesce(state <> 'disabled', false)), true) AS is_sure, "
            "EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database()) AS is_prepared "
            "FROM pg_stat_activity WHERE datname = current_database() AND usesysid IS NOT NULL "
            "AND pid <> pg_backend_pid()"
        )
        row = self._row(query)
        for _ in range(SETTLE_ATTEMPTS):
            if row["began"] >= point.taken_at:
                break
            time.sleep(SETTLE_SECONDS)
            row = self._row(query)
        return None if row["is_prepared"] else row["began"], row["is_sure"]

    def before(self, watermark: str) -> str:
        """Go back from a watermark by the overlap."""
        overlap = self._pull.overlap
        try:
            if self._is_time:
                minutes = OVERLAP_MINUTES if overlap is None else overlap
                return (datetime.fromisoformat(watermark) - timedelta(minutes=minutes)).isoformat()
            return str(int(watermark) - (OVERLAP_NUMBERS if overlap is None else overlap))
        except ValueError:
            raise self._mistaken("the watermark is of another type than before; give the pull another name") from None

    def rows(self, since: str | None, again: str | None, until: datetime) -> Generator[bytes]:
        """Read the rows of one snapshot, in no order.

        Parameters
        ----------
        since : str or None
            Watermark from which rows are read, those without one always; None for all.
        again : str or None
            Watermark from which the next pull will read.
        until : datetime
            A row whose watermark is a time after that is not there yet.

        Yields
        ------
        bytes
            A row as CSV: ``t`` or ``f``, whether the next pull will meet it again; its watermark; its columns.
        """
        met = sql.SQL("coalesce({w} >= {again}, true)").format(w=self._watermark, again=again)
        above = sql.SQL("{w} >= {since}").format(w=self._watermark, since=since)
        statement = sql.SQL(
            "COPY (SELECT {met}, {w}, {columns} {source} WHERE {w} IS NULL OR ({limit} AND {above})) "
            "TO STDOUT (FORMAT csv)"
        ).format(
            met=sql.SQL("true") if again is None else met,
            above=sql.SQL("true") if since is None else above,
            limit=self._limit(until),
            w=self._watermark,
            columns=self._columns,
            source=self._from,
        )
        with (
            self._translated(),
            self._connection.transaction(),
            self._connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            for message in copy:  # one a row: the protocol says so
                yield bytes(message)

    def _look(self, columns: Sequence[str]) -> bool:
        """Hold the columns against what can be pulled; tell whether the watermark is a time."""
        query = sql.SQL("SELECT {}, {} {} LIMIT 0").format(self._watermark, self._columns, self._from)
        with self._translated(), self._connection.transaction():
            # In binary, since the protocol for that takes one statement and no more.
            described = self._connection.execute(query, binary=True).description or []
        types = [self._connection.adapters.types.get(column.type_code) for column in described]
        names = [found.name if found else "" for found in types]
        if binary := [column for column, name in zip(columns, names[1:], strict=True) if name == "bytea"]:
            raise self._mistaken(f"column '{binary[0]}' is bytea, which is no text; cast it in a query")
        if names[0] not in _INTEGERS + _TIMES:
            raise self._mistaken(
                f"watermark '{self._pull.watermark}' is neither a timestamp nor an integer; cast it in a query"
            )
        return names[0] in _TIMES

    def _limit(self, until: datetime) -> sql.Composable:
        if not self._is_time:
            return sql.SQL("true")
        return sql.SQL("{} <= {}").format(self._watermark, until)

    def _row(self, query: sql.SQL | sql.Composed) -> dict[str, Any]:
        with self._translated(), self._connection.transaction():
            (row,) = self._connection.execute(query).fetchall()
        return row

    def _mistaken(self, says: str) -> ConfigError:
        return ConfigError(f"pull.{self._name}: {says}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's exceptions into ours; of the server's words only those that hold no value."""
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            said = error.diag.message_primary or in_one_line(error)
            if is_refusal(error):
                raise self._mistaken(f"{said}; check CLAIMSIGHT_SOURCE_URL") from error
            raise TransientError(f"pull.{self._name}: {said}; check the source at CLAIMSIGHT_SOURCE_URL") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise self._mistaken(f"{error.diag.message_primary}; grant the source's role what it needs") from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise self._mistaken("the query writes; a pull only reads") from error
        except psycopg.ProgrammingError as error:
            raise self._mistaken(f"{error.diag.message_primary}; mend the contract or the source") from error
        except psycopg.Error as error:
            raise self._mistaken(f"the source cannot compute it ({type(error).__name__})") from error
