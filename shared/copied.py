"""What Postgres sends by COPY, as frames."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor

import polars as pl
from psycopg import Copy
from psycopg.abc import PQGen
from psycopg.generators import copy_from

from shared.contract_parts import POLARS_DTYPES, DType

_CSV_DTYPES: dict[DType, pl.DataType] = {"boolean": pl.String(), "datetime": pl.String()}
"""Dtypes whose Postgres text Polars' CSV reader does not take as it is."""


def received(copy: Copy, size: int) -> Generator[io.BytesIO]:
    """Receive what a COPY sends, so many rows at a time; after the last of them, nothing."""
    ended = False
    while not ended:
        text, ended = copy.connection.wait(_some(copy, size))
        if text.tell():
            yield text


def _some(copy: Copy, size: int) -> PQGen[tuple[io.BytesIO, bool]]:
    """Receive rows, in one wait for all: the server sends a message a row, and a wait of its own costs more than it."""
    text = io.BytesIO()
    for _ in range(size):
        row = yield from copy_from(copy.connection.pgconn)
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
    raw = pl.read_csv(text, has_header=False, schema=schema, try_parse_dates=False)
    return raw.with_columns(_from_csv(name, dtype) for name, dtype in dtypes.items() if dtype in _CSV_DTYPES)


def _from_csv(name: str, dtype: DType) -> pl.Expr:
    column = pl.col(name)
    return column == "t" if dtype == "boolean" else column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us")
