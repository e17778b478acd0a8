"""Parquet: rows by the slice, every cell as the text that the strict cast reads back."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from jobs.etl.rows import (
    MOST_CELLS,
    Batch,
    LackingColumnsError,
    UnreadableFileError,
    as_text,
    broken_rows,
    numbers,
    some,
)

MAGIC = b"PAR1"
SLICE_BYTES = 16 << 20
"""Size in memory of the rows that are read at once, about."""
FIRST_ROWS = 1000
"""Rows of the first slice, from which the size of the next is reckoned."""


def header(path: Path, wanted: Collection[str]) -> list[str]:
    """Read the names of the columns; see :func:`jobs.etl.read.header`."""
    with _damage():
        names = [*pl.read_parquet_schema(path)]
    if missing := [name for name in wanted if name not in names]:
        raise LackingColumnsError(f"the Parquet file lacks {some(missing)}", names, missing)
    return names


def batches(path: Path, names: list[str]) -> Iterator[Batch]:
    """Read the rows; see :func:`jobs.etl.read.batches`."""
    rows = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    with _damage():
        height = rows.select(pl.len()).collect().item()
    start, count, most = 0, FIRST_ROWS, max(MOST_CELLS // max(len(names), 1), 1)
    while start < height:
        count = min(count, most)
        with _damage():
            slice_ = rows.slice(start, count).collect()
            cells = slice_.select(_as_text(column) for column in slice_)
        yield Batch(numbers(start + 1, cells.height, []), cells, broken_rows([]))
        start += count
        # Never eight times as many at once: the first rows may be the small ones.
        count = max(min(8 * count, count * SLICE_BYTES // max(int(cells.estimated_size()), 1)), 1)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        raise UnreadableFileError("the Parquet file is damaged: send it again", has_lines=False) from None


def _as_text(column: pl.Series) -> pl.Series:
    match column.dtype:
        case pl.Binary:
            text = column
        case pl.Float32 | pl.Float64:  # a whole number with gaps comes as floats: 3.0
            text = column.cast(pl.String).str.strip_suffix(".0")
        case pl.Datetime(time_zone=zone):
            text = _moments(column, zone)
        case pl.Duration:
            text = column.dt.to_string("iso")
        case pl.List | pl.Array | pl.Struct:
            text = column.map_elements(_as_json, return_dtype=pl.String)
        case _:
            text = column.cast(pl.String)
    return text.cast(pl.Binary).fill_null(b"")


def _moments(column: pl.Series, zone: str | None) -> pl.Series:
    """Write ISO 8601, midnight as its date: a date often comes as a moment, and a moment may be written as a date."""
    moments = (column.dt.convert_time_zone("UTC") if zone else column).dt.cast_time_unit("us")
    is_midnight = moments == moments.dt.truncate("1d")
    return (
        pl.select(
            pl.when(is_midnight)
            .then(moments.dt.strftime("%Y-%m-%d"))
            .otherwise(moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("+00:00" if zone else "")))
        )
        .to_series()
        .alias(column.name)
    )


def _as_json(value: Any) -> str:
    if isinstance(value, pl.Series):
        value = value.to_list()
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: object) -> str:
    return as_text(value) if isinstance(value, bytes) else str(value)
