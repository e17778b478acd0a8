"""Read a sender's file as text, in batches, and lose none of its rows.

The format is told by the content: CSV or JSON lines, each plain or packed with gzip, or Parquet. Rows are numbered as
records: the header, where there is one, is 1; blank lines do not count, and a line break within quotes starts no new
one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from jobs.etl import csv_rows, gzip_stream, json_rows, parquet_rows
from jobs.etl.rows import BOM, Batch, LackingColumnsError, Stream, UnreadableFileError, as_text, whole_lines
from shared.contract_parts import File

__all__ = [
    "Batch",
    "LackingColumnsError",
    "UnreadableFileError",
    "as_text",
    "batches",
    "header",
    "physical_lines",
    "raw_rows",
]

START_BYTES = 1 << 16
"""Bytes by which the format is told."""
BLANK = b" \t\r\n"
"""What a blank line is made of; a vertical tab and the like are somebody's cell."""
LINES_BYTES = 1 << 20
"""Bytes whose lines are set aside at once."""
_BINARY = (b"\x89PNG", b"\xff\xd8\xff", gzip_stream.MAGIC, b"PK\x03\x04", parquet_rows.MAGIC, b"%PDF")
"""How PNG, JPEG, gzip, zip (so Excel), Parquet and PDF begin."""


def header(path: Path, file: File, wanted: Collection[str]) -> list[str]:
    """Read the names of a file's columns and hold them against those that the contract wants.

    JSON lines have no header: they have the wanted columns, and the keys of the first objects.

    Raises
    ------
    UnreadableFileError
        The file is empty, damaged or of no known format, or it lacks a wanted column or names one twice.
    LackingColumnsError
        It lacks some wanted columns, and nothing else is wrong so far.
    """
    if _is_parquet(path):
        return parquet_rows.header(path, wanted)
    with _unpacked(path) as stream:
        start = stream.read(START_BYTES)
    if not start.removeprefix(BOM).strip(BLANK):
        raise UnreadableFileError("the file is empty", has_lines=False)
    if start.startswith(_BINARY):
        raise UnreadableFileError("the file is packed twice or binary: send CSV", has_lines=False)
    with _unpacked(path) as stream:
        if json_rows.BEGIN.match(start):
            return json_rows.header(stream, file, wanted)
        return csv_rows.header(stream, file, wanted)


def batches(path: Path, file: File, names: list[str]) -> Generator[Batch]:
    """Read the rows of a file.

    Parameters
    ----------
    names : list of str
        As :func:`header` returned it.

    Yields
    ------
    Batch
        In the file's order; together they hold each row once.

    Raises
    ------
    UnreadableFileError
        The file is damaged further on.
    """
    if _is_parquet(path):
        yield from parquet_rows.batches(path, names)
        return
    is_json = _is_json(path)
    with _unpacked(path) as stream:
        yield from (json_rows if is_json else csv_rows).batches(stream, file, names)


def raw_rows(lines: pl.Series, cells: pl.DataFrame) -> pl.DataFrame:
    """Write rows as they came: ``file_line`` and ``raw``, a JSON object of header and cell."""
    try:
        text = pl.select(pl.struct(column.cast(pl.String) for column in cells)).to_series().struct.json_encode()
    except pl.exceptions.PolarsError:  # some cell is no UTF-8: slower, cell by cell
        rows = (dict(zip(cells.columns, map(as_text, row), strict=True)) for row in cells.iter_rows())
        text = pl.Series([json.dumps(row, ensure_ascii=False) for row in rows], dtype=pl.String)
    return pl.DataFrame({"file_line": lines, "raw": text})


def physical_lines(path: Path, file: File) -> Iterator[pl.DataFrame]:
    """Read an unreadable file's lines as they are: ``file_line`` and ``raw``.

    Blank lines do not count, and of CSV the first is left out. Of a damaged gzip they are those that could be unpacked,
    the last perhaps in part; of Parquet, whose lines are rows, all.
    """
    if _is_parquet(path):
        for batch in parquet_rows.batches(path, parquet_rows.header(path, [])):
            yield raw_rows(batch.lines, batch.cells)
        return
    number, first = 1, 1 if _is_json(path) else 2
    with _unpacked(path, lenient=True) as stream:
        for lines in whole_lines(stream, file, LINES_BYTES):
            told = [
                (number, as_text(line))
                for number, line in enumerate(filter(lambda line: line.strip(BLANK), lines), number)
            ]
            number += len(told)
            yield pl.DataFrame(
                [line for line in told if line[0] >= first],
                schema={"file_line": pl.Int64, "raw": pl.String},
                orient="row",
            )


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(parquet_rows.MAGIC)) == parquet_rows.MAGIC


def _is_json(path: Path) -> bool:
    with _unpacked(path, lenient=True) as stream:
        return json_rows.BEGIN.match(stream.read(START_BYTES)) is not None


@contextmanager
def _unpacked(path: Path, *, lenient: bool = False) -> Iterator[Stream]:
    with path.open("rb") as stream:
        is_packed = stream.read(len(gzip_stream.MAGIC)) == gzip_stream.MAGIC
        stream.seek(0)
        yield gzip_stream.Unpacked(stream, lenient=lenient) if is_packed else stream
