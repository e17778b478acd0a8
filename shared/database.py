"""Postgres, by way of psycopg: connections, bulk rows by COPY, locks and migrations.

A connection's ``search_path`` is the schema of its line of business, so queries name tables plainly.
"""

from __future__ import annotations

import io
import select
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import resources
from typing import Any, Self

import polars as pl
import psycopg
import stamina
from psycopg import sql
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import dict_row

from shared import access, grants
from shared.contract import Contract
from shared.contract_parts import POSTGRES_TYPES, DType
from shared.copied import FRAME_ROWS, parsed, parsed_aside, received
from shared.errors import ConfigError, Stopped, TransientError

CONNECT_ATTEMPTS = 4
CANCEL_SECONDS = 1.5
"""For a server to hear that a statement is cancelled, and again to answer it."""
COPY_BYTES = 1 << 18
COPY_ROWS = 10_000
"""Rows that are written as CSV at once."""
MIGRATION_LOCK = "claimsight:migrations"
_PRESENCE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
"""When a server's machine is gone, nobody says so: after 15 s without a sign of it the connection counts as lost. The
kernel of one that is merely busy still answers."""
_OPTIONS = (
    "-c timezone=UTC -c datestyle=ISO -c client_connection_check_interval=1s "
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3 -c tcp_user_timeout=15s"
)
"""With the third the server notices within a second that a killed client is gone, and lets go of its lock; with the
rest, within 15 s, that its machine is: otherwise it kept the lock for two hours, and every run would find it taken."""


def quoted(column: str) -> str:
    """Write a column's name into a query that takes parameters, so with its per cent signs doubled.

    >>> quoted("discount %")
    '"discount %%"'
    """
    return '"' + column.replace('"', '""').replace("%", "%%") + '"'


def reference_table(name: str) -> str:
    """Table that holds a reference table of the contract."""
    return f"reference_{name}"


def encode(frame: pl.DataFrame) -> bytes:
    """Encode rows for binary COPY, which costs Postgres half as much as reading CSV.

    The columns' dtypes must be the table's to the byte: Int32 for ``integer``, Int64 for ``bigint``, and so on.
    """
    import pgpq

    batch = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()[0]
    encoder = pgpq.ArrowToPostgresBinaryEncoder(batch.schema)
    return b"".join((encoder.write_header(), encoder.write_batch(batch), encoder.finish()))


class Database:
    """A session on one line of business.

    Parameters
    ----------
    url : str
        A libpq connection string.
    line : str
        Schema of the line of business, as the contract names it.

    Raises
    ------
    TransientError
        The server cannot be reached, or went away.
    ConfigError
        The server refuses these credentials or these rights.
    """

    def __init__(self, url: str, line: str) -> None:
        self._line = line
        with translated():
            try:
                self._connection = connect(url, f"{_OPTIONS} -c search_path={line},claimsight")
            except psycopg.ProgrammingError:  # its message would repeat the URL, password and all
                raise ConfigError("CLAIMSIGHT_DATABASE_URL is no libpq connection string") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block, roll back if it raises."""
        with self._statement(), self._connection.transaction():
            yield

    def rows(self, query: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[dict[str, Any]]:
        """Run a statement and return its rows, each a dict; an empty list where it returns none."""
        with self._statement():
            cursor = self._connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def frame(
        self, query: str, dtypes: dict[str, DType], parameters: Sequence[Any] | dict[str, Any] = ()
    ) -> pl.DataFrame:
        """Read a query's rows by COPY.

        Parameters
        ----------
        query : str
            A SELECT; its columns must be those of `dtypes`, in that order.
        dtypes : dict
            Contract dtype by column.

        Returns
        -------
        polars.DataFrame
            In the query's row order.
        """
        with closing(self._received(query, parameters, FRAME_ROWS)) as texts:
            return parsed_aside(texts, dtypes)

    def batches(
        self, query: str, dtypes: dict[str, DType], parameters: Sequence[Any] | dict[str, Any], size: int
    ) -> Generator[pl.DataFrame]:
        """Read a query's rows as :meth:`frame` does, in one pass, some at a time; no more than these are in memory."""
        with closing(self._received(query, parameters, size)) as texts:
            yield from (parsed(text, dtypes) for text in texts)

    def _received(self, query: str, parameters: Sequence[Any] | dict[str, Any], size: int) -> Generator[io.BytesIO]:
        with self._statement():
            yield from received(self._connection, query, parameters, size)

    def append(self, table: str, frame: pl.DataFrame) -> None:
        """Write a frame's rows to the columns of the same names, by COPY.

        Text must hold no empty string: CSV keeps it apart from null by quotes alone, and claims know only null.
        """
        if frame.is_empty():
            return
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, frame.columns))
        )
        with self._statement(), self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            # By way of a buffer: Polars would turn an exception of a stream's own into one of its own.
            for rows in frame.iter_slices(COPY_ROWS):
                text = io.BytesIO()
                rows.write_csv(text, include_header=False)
                copy.write(text.getbuffer())

    def append_encoded(self, table: str, columns: Sequence[str], rows: bytes) -> None:
        """Write rows, as :func:`encode` made them, to some columns of a table, by binary COPY."""
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._statement(), self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            view = memoryview(rows)
            for start in range(0, len(view), COPY_BYTES):
                copy.write(view[start : start + COPY_BYTES])

    def try_lock(self, name: str) -> bool:
        """Take a session's advisory lock if it is free; it goes with the connection, however that ends."""
        query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS taken"
        return bool(self.rows(query, [name])[0]["taken"])

    def release_locks(self) -> None:
        """Give back all advisory locks of the session."""
        self.rows("SELECT pg_advisory_unlock_all()")

    def prepare(self, contract: Contract) -> None:
        """Bring the tables up to this code and contract: numbered migrations, what the contract asks for, grants.

        Where all is as it should be, this asks for no right but to look.

        Raises
        ------
        ConfigError
            A stored column has another type than the contract now gives it, or this login may not change the tables.
        """
        try:
            self._prepare(contract)
        except ConfigError as error:
            if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                raise ConfigError(
                    f"database: {in_one_line(error.__cause__)}; either this login is in no stage's role, or the "
                    f"tables of {contract.name} are behind this code and contract: run `python -m jobs.etl --check` "
                    "once as their owner"
                ) from error
            raise

    def act_as(self, role: str) -> bool:
        """Give up, for the rest of the session, all rights but a role's.

        Returns
        -------
        bool
            False where there is no such role, or this login may not act as it.
        """
        may = self.rows("SELECT 1 FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, 'SET')", [role])
        if may:
            self._connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        return bool(may)

    def _prepare(self, contract: Contract) -> None:
        with self.transaction():
            self.rows("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [MIGRATION_LOCK])
            self._migrate("claimsight", "claimsight")
            self._migrate(contract.name, "line")
            stored = {name: dtype for name, dtype in contract.stored.items() if name not in ("claim_id", "event_time")}
            problems = self._add_columns("claims", "columns", stored)
            for name, reference in contract.reference.items():
                table = reference_table(name)
                if self.rows("SELECT to_regclass(%s) AS there", [table])[0]["there"] is None:
                    keyed = "CREATE TABLE {} (key text PRIMARY KEY, file_id bigint NOT NULL, file_line bigint NOT NULL)"
                    self._connection.execute(sql.SQL(keyed).format(sql.Identifier(table)))
                dtypes = {column: described.dtype for column, described in reference.columns.items()}
                problems += self._add_columns(table, f"reference.{name}.columns", dtypes)
            if problems:
                raise ConfigError(*(f"contract {contract.name}: {problem}" for problem in problems))
            access.disclose(self, contract)
            self._grant(contract.name)
            access.admit(self, contract.name)

    @contextmanager
    def _statement(self) -> Iterator[None]:
        """Translate errors; when told to stop, end the statement, so that the session can still roll back.

        Psycopg itself does so on Ctrl-C only.
        """
        try:
            with translated():
                yield
        except Stopped:
            if self._connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                try:
                    self._connection.cancel_safe(timeout=CANCEL_SECONDS)
                    self._drain(time.monotonic() + CANCEL_SECONDS)
                except (psycopg.Error, TimeoutError):
                    self._connection.close()  # who asked nothing more of it need not wait for it
            raise

    def _drain(self, deadline: float) -> None:
        """Take what a cancelled statement still answers; libpq itself would wait for it forever."""
        pgconn = self._connection.pgconn

        def wait() -> None:
            if not select.select([pgconn.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            pgconn.consume_input()

        while True:
            pgconn.flush()
            while pgconn.is_busy():
                wait()
            result = pgconn.get_result()
            if result is None:
                return
            if result.status == ExecStatus.COPY_IN:
                pgconn.put_copy_end(b"stopped")
            elif result.status == ExecStatus.COPY_OUT:  # until its rows are taken, there is no other result
                while (size := pgconn.get_copy_data(1)[0]) >= 0:
                    if size == 0:
                        wait()

    def _migrate(self, schema: str, family: str) -> None:
        known = self.rows("SELECT to_regclass('claimsight.schema_versions') AS versions")[0]["versions"]
        applied = set()
        if known:
            query = "SELECT number FROM claimsight.schema_versions WHERE schema_name = %s"
            applied = {row["number"] for row in self.rows(query, [schema])}
        else:
            self.rows("CREATE SCHEMA IF NOT EXISTS claimsight")
            self.rows(
                "CREATE TABLE claimsight.schema_versions (schema_name text, number int, "
                "applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (schema_name, number))"
            )
        if not applied:
            self._connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        for file in sorted(resources.files("shared.migrations").iterdir(), key=lambda file: file.name):
            if not file.name.startswith(f"{family}_"):
                continue
            number = int(file.name.removeprefix(f"{family}_").removesuffix(".sql"))
            if number not in applied:
                # The schema's name is held to [a-z0-9_] by the contract; quoting would only hide a mistake.
                self._connection.execute(file.read_text().replace("{line}", f'"{schema}"'))
                self.rows("INSERT INTO claimsight.schema_versions VALUES (%s, %s)", [schema, number])

    def _add_columns(self, table: str, key: str, dtypes: dict[str, DType]) -> list[str]:
        """Add a table's missing columns; return what stands against those it has, by their `key` in the contract."""
        query = (
            "SELECT attname AS name, format_type(atttypid, -1) AS type FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
        )
        stored = {
            row["name"]: row["type"].replace("timestamp with time zone", "timestamptz")
            for row in self.rows(query, [table])
        }
        problems, missing = [], []
        for name, dtype in dtypes.items():
            wanted = POSTGRES_TYPES[dtype]
            if name not in stored:
                missing.append(sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(name), sql.SQL(wanted)))
            elif stored[name] != wanted:
                problems.append(f"{key}.{name}: stored as {stored[name]}, the contract now says {wanted}")
        if missing:
            self._connection.execute(
                sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), sql.SQL(", ").join(missing))
            )
        return problems

    def _grant(self, line: str) -> None:
        """Make the roles where this login may, and let each do what `shared.grants` says."""
        workers = {grants.role(worker) for worker in grants.WORKERS}
        there = {row["rolname"] for row in self.rows("SELECT rolname FROM pg_roles")}
        absent = {*workers, access.ANALYST} - there
        if absent and self.rows("SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)"):
            for role in sorted(absent):
                # Roles are the whole server's: another database may be making them at this moment.
                self.rows(
                    f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; "
                    "END $$"
                )
        elif not workers <= there:
            return
        found = self.rows(
            "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE relkind IN ('r', 'p') AND nspname IN ('claimsight', %s) ORDER BY 1, 2",
            [line],
        )
        tables = [(row["nspname"], row["relname"]) for row in found]
        missing = self.rows(
            "SELECT 1 FROM unnest(%s::text[], %s::text[], %s::text[]) AS wanted (role, name, privilege) "
            "WHERE NOT has_table_privilege(role, name, privilege) LIMIT 1",
            [list(column) for column in zip(*grants.wanted(tables), strict=True)],
        )
        if missing:
            self.rows("; ".join(grants.statements(tables)))


def connect(url: str, options: str) -> psycopg.Connection[dict[str, Any]]:
    """Connect with some of the server's options, again where the failure may pass; raises the driver's errors."""
    for attempt in stamina.retry_context(
        on=_is_passing, attempts=CONNECT_ATTEMPTS, wait_initial=0.2, wait_max=2.0, timeout=30
    ):
        with attempt:
            return psycopg.connect(
                url, autocommit=True, row_factory=dict_row, options=options, connect_timeout=5, **_PRESENCE
            )
    raise AssertionError("a retry either returns or raises")


def _is_passing(error: Exception) -> bool:
    """Whether a failure to connect may pass by itself: not so a wrong password or an unknown database."""
    return isinstance(error, psycopg.OperationalError) and not is_refusal(error)


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the server refuses these credentials or knows no such database."""
    # libpq gives no SQLSTATE for an error at connection time; the server's own word stands in the message.
    return any(word in str(error) for word in ("authentication failed", "does not exist", "no pg_hba.conf entry"))


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's exceptions into ours."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(f"database: {in_one_line(error)}; grant the stage's role what it needs") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if is_refusal(error):
            raise ConfigError(f"database: {in_one_line(error)}; check CLAIMSIGHT_DATABASE_URL") from error
        raise TransientError(f"database: {in_one_line(error)}; check that Postgres runs and has room") from error


def in_one_line(error: Exception) -> str:
    """An exception's message without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
