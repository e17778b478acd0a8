"""What Postgres sends by COPY, received and made into frames."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.generators import copy_from
from psycopg.pq.abc import PGconn

from shared.contract_parts import POLARS_DTYPES, DType

FRAME_ROWS = 50_000
"""Rows of a frame that come as CSV while those before them are parsed."""
_CSV_DTYPES: dict[DType, pl.DataType] = {"boolean": pl.String(), "datetime": pl.String()}
"""Dtypes whose Postgres text Polars' CSV reader does not take as it is."""


def received(
    connection: Connection[Any], query: str, parameters: Sequence[Any] | dict[str, Any], size: int
) -> Generator[io.BytesIO]:
    """Receive a query's rows by COPY, so many at a time as CSV; of none, nothing."""
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)", parameters):
        ended = False
        while not ended:
            text, ended = connection.wait(_rows(connection.pgconn, size))
            if text.tell():
                yield text


def _rows(pgconn: PGconn, size: int) -> PQGen[tuple[io.BytesIO, bool]]:
    """Receive rows, and whether they were the last; in one wait, for the server sends a message a row."""
    text = io.BytesIO()
    for _ in range(size):
        row = yield from copy_from(pgconn)
        if not isinstance(row, memoryview):
            return text, True
        text.write(row)
    return text, False


def parsed_aside(texts: Iterable[io.BytesIO], dtypes: dict[str, DType]) -> pl.DataFrame:
    """Read rows as :func:`parsed` does, one text while the next one comes.

    The thread that waits for the server is this one: a signal finds it there.
    """
    with ThreadPoolExecutor(1) as parser:
        frames = list(parser.map(lambda text: parsed(text, dtypes), texts))
    return pl.concat(frames) if frames else parsed(io.BytesIO(), dtypes)


def parsed(text: io.BytesIO, dtypes: dict[str, DType]) -> pl.DataFrame:
    """Read rows that Postgres wrote as CSV; null is an empty cell.

    Parameters
    ----------
    dtypes : dict
        Contract dtype by column, in the order of the columns.
    """
    if not text.tell():
        return pl.DataFrame(schema={name: POLARS_DTYPES[dtype] for name, dtype in dtypes.items()})
    schema = {name: _CSV_DTYPES.get(dtype, POLARS_DTYPES[dtype]) for name, dtype in dtypes.items()}
    text.seek(0)
    # In one piece: rows are looked at many times, and each time piece by piece.
    raw = pl.read_csv(text, has_header=False, schema=schema, try_parse_dates=False).rechunk()
    return raw.with_columns(_from_csv(name, dtype) for name, dtype in dtypes.items() if dtype in _CSV_DTYPES)


def _from_csv(name: str, dtype: DType) -> pl.Expr:
    column = pl.col(name)
    return column == "t" if dtype == "boolean" else column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us")
