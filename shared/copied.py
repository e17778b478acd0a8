"""What Postgres sends by COPY, as frames."""

from __future__ import annotations

import io

import polars as pl

from shared.contract_parts import POLARS_DTYPES, DType

_CSV_DTYPES: dict[DType, pl.DataType] = {"boolean": pl.String(), "datetime": pl.String()}
"""Dtypes whose Postgres text Polars' CSV reader does not take as it is."""


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
