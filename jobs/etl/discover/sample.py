"""Read a file of unknown make: tell how it is written, and take an honest sample of its rows as text."""

from __future__ import annotations

import csv
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import IO, Literal

import polars as pl
import pyarrow as pa
import pyarrow.csv

from jobs.etl import read
from shared.contract_parts import File
from shared.errors import ConfigError, DataError

WHOLE_BYTES = 16 << 20
"""Size up to which every row is read; etl's reader takes about a second and a half for it."""
BLOCKS, BLOCK_BYTES = 48, 256 << 10
"""Pieces of a larger file that are read, evenly spread from its first byte to its last."""
WHOLE_CELLS = 5_000_000
"""The same for Parquet, by cells."""
COUNTED_BYTES = 4 << 30
"""Size up to which all values of one column are counted."""
SNIFFED_LINES = 300

_DELIMITERS = ",;\t|^~"
_DOUBTFUL = ": #&!@/\\"
"""Delimiters that stand in cells, too: taken only where no other fits."""
_JSON = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{\]])')
"""How JSON begins, and a CSV header does not."""
_NUMBER_OR_DATE = r"[+-]?\d+([.,]\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}( .*)?"
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_OTHERS = {
    b"PK\x03\x04": "an Excel or zip file: save the sheet as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an Excel file of the old kind: save the sheet as CSV",
    b"%PDF": "a PDF: send CSV, JSON lines or Parquet",
    b"\x89PNG": "a picture: send CSV, JSON lines or Parquet",
    b"\xff\xd8\xff": "a picture: send CSV, JSON lines or Parquet",
    b"\xff\xfe": "UTF-16: save it as CSV in UTF-8",
    b"\xfe\xff": "UTF-16: save it as CSV in UTF-8",
}


@dataclass(frozen=True)
class Sample:
    """Rows of a file as etl reads them.

    Attributes
    ----------
    kind : {'CSV', 'JSON lines', 'Parquet'}
    whole : bool
        Whether these are all rows.
    rows : int
        Rows of the file; where not whole, about.
    broken : int
        Lines of a whole file that are no row.
    notes : tuple of str
        What a person should know of how it is written.
    """

    path: Path
    kind: str
    file: File
    lines: pl.Series
    cells: pl.DataFrame
    whole: bool
    rows: int
    broken: int
    notes: tuple[str, ...] = ()


def take(path: Path) -> Sample:
    """Read all of a file, or a sample from its start to its end.

    Raises
    ------
    ConfigError
        There is no such file.
    DataError
        It is no table of a known format, or has no header or no rows.
    """
    if not path.is_file():
        raise ConfigError(f"FILE: {path} is {'a folder: name one file of it' if path.is_dir() else 'not there'}")
    try:
        with path.open("rb") as stream:
            taken = _parquet if stream.read(len(_PARQUET)) == _PARQUET else _text
        with tempfile.TemporaryDirectory(prefix="claimsight-discover-") as folder:
            return taken(path, Path(folder) / "sample")
    except read.UnreadableFileError as error:
        raise DataError(f"{path}: {error}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{path}: the gzip file is damaged: pack it again") from None
    except pa.ArrowException:
        raise DataError(f"{path}: the Parquet file is damaged: send it again") from None


def count_distinct(sample: Sample, header: str) -> tuple[int, int] | None:
    """Count all rows of the file and the different values of one of its columns; None where that takes too long."""
    if sample.kind == "Parquet":
        from pyarrow.parquet import read_table  # here, since every start of etl would wait for it

        column = read_table(sample.path, columns=[header]).column(0)
    elif sample.kind == "CSV" and sample.path.stat().st_size < COUNTED_BYTES:
        place = sample.cells.columns.index(header)
        column = _csv_column(sample, place)
    else:
        return None
    values = pl.Series(pl.from_arrow(column))
    return len(values), values.n_unique()


def as_text(cells: pl.Series) -> pl.Series:
    """Decode a column's cells; what is not UTF-8 is replaced, as its rows will be set aside."""
    try:
        return cells.cast(pl.String)
    except pl.exceptions.PolarsError:
        return pl.Series(cells.name, [cell.decode("utf-8", "replace") for cell in cells], dtype=pl.String)


def _csv_column(sample: Sample, place: int) -> pa.ChunkedArray:
    names = [f"f{number}" for number in range(sample.cells.width)]
    broken_lines = any(bool(column.alias("cell").bin.contains(b"\n").any()) for column in sample.cells)
    with _unpacked(sample.path) as stream:
        table = pa.csv.read_csv(
            stream,
            read_options=pa.csv.ReadOptions(column_names=names, skip_rows=1),
            parse_options=pa.csv.ParseOptions(
                delimiter=sample.file.delimiter,
                quote_char=sample.file.quote or False,
                newlines_in_values=broken_lines,
                invalid_row_handler=lambda _row: "skip",
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=[names[place]], column_types={names[place]: pa.binary()}, strings_can_be_null=False
            ),
        )
    return table.column(0)


def _parquet(path: Path, part: Path) -> Sample:
    """Take every row group's rows, or every so many of them."""
    from pyarrow.parquet import ParquetFile, ParquetWriter

    try:
        whole = ParquetFile(path)
    except OSError as error:  # so Arrow calls a footer that makes no sense
        raise pa.ArrowInvalid from error
    height, width = whole.metadata.num_rows, len(whole.schema_arrow)
    step = height * width // WHOLE_CELLS + 1
    if step == 1:
        return _read(path, path, "Parquet", File(), height)
    size = max(height // (BLOCKS * step), 1)
    with ParquetWriter(part, whole.schema_arrow) as writer:
        for number, batch in enumerate(whole.iter_batches(batch_size=size)):
            if number % step == 0:
                writer.write_batch(batch)
    return _read(path, part, "Parquet", File(), height)


def _text(path: Path, part: Path) -> Sample:
    with _unpacked(path) as stream:
        start = stream.read(BLOCK_BYTES)
        _refuse_others(path, start)
        whole = len(start) + len(stream.read(WHOLE_BYTES)) < WHOLE_BYTES
        taken, total = (b"", 0) if whole else _spread(stream)
    if not whole:
        part.write_bytes(taken)
    with _unpacked(path if whole else part) as stream:
        sniffed = taken or stream.read(WHOLE_BYTES)
    encoding, notes = _encoding(sniffed)
    text = sniffed.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    if _JSON.match(text):
        file, kind = File(encoding=encoding), "JSON lines"
    else:
        file, kind = _dialect(path, text, encoding), "CSV"
        _refuse_headless(path, text, file)
    sample = _read(path, path if whole else part, kind, file, None)
    if whole:
        broken = (f"{sample.broken:,} lines are no row and will be set aside",) if sample.broken else ()
        return replace(sample, notes=(*notes, *broken))
    # Where a block begins or ends within quotes, its edge is no row of the file's either way.
    rows = round(sample.rows * total / max(len(taken), 1))
    return replace(sample, whole=False, rows=rows, broken=0, notes=notes)


def _read(path: Path, part: Path, kind: str, file: File, rows: int | None) -> Sample:
    names = read.header(part, file, ())
    batches = list(read.batches(part, file, names))
    # JSON's later batches may have more keys than the first.
    none = pl.DataFrame(schema=dict.fromkeys(names, pl.Binary))
    cells = pl.concat([none, *(batch.cells for batch in batches)], how="diagonal")
    # Under a name of our own: Polars takes a header such as ^a$ for a pattern.
    cells = pl.DataFrame({column.name: column.alias("cell").fill_null(b"") for column in cells})
    lines = pl.int_range(2, cells.height + 2, eager=True).alias("file_line")
    broken = sum(batch.broken.height for batch in batches)
    if not cells.height:
        told = "no line below its header is a row" if broken else "it has a header and no row"
        raise DataError(f"{path}: {told}: give a file with rows")
    whole = rows is None or rows == cells.height
    return Sample(path, kind, file, lines, cells, whole, cells.height if whole else rows or 0, broken)


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as stream:
        packed = stream.read(len(_GZIP)) == _GZIP
        stream.seek(0)
        with gzip.open(stream) if packed else stream as unpacked:
            yield unpacked  # type: ignore[misc]  # a gzip file reads as any other


def _refuse_others(path: Path, start: bytes) -> None:
    for magic, sentence in _OTHERS.items():
        if start.startswith(magic):
            raise DataError(f"{path}: it is {sentence}")
    if not start.removeprefix(b"\xef\xbb\xbf").strip():
        raise DataError(f"{path}: the file is empty")
    controls = len(re.findall(rb"[\x00-\x08\x0e-\x1f\x7f]", start))
    if b"\x00" in start or controls > 0.01 * len(start):
        raise DataError(f"{path}: it is not text: send CSV, JSON lines or Parquet")
    if re.match(rb"(\xef\xbb\xbf)?sep=.\r?\n", start):
        raise DataError(f"{path}: its first line, 'sep=', is Excel's own: remove it, so that the header comes first")


def _spread(stream: IO[bytes]) -> tuple[bytes, int]:
    """Whole lines of blocks spread over a text, and the text's size."""
    total = stream.seek(0, 2)
    blocks = []
    for number in range(BLOCKS):
        stream.seek(number * (total - BLOCK_BYTES) // (BLOCKS - 1))
        block = stream.read(BLOCK_BYTES)
        end = b"\n" if b"\n" in block else b"\r"
        first = block.find(end) + 1 if number else 0
        blocks.append(block[first : block.rfind(end) + 1])
    return b"".join(blocks), total


def _encoding(text: bytes) -> tuple[Literal["utf-8", "latin-1"], tuple[str, ...]]:
    lines = text.splitlines()
    garbled = sum(not _is_utf8(line) for line in lines)
    if not garbled:
        return "utf-8", ()
    several = sum(len(line) > len(line.decode()) for line in lines if _is_utf8(line))
    if several > garbled:
        return "utf-8", (f"{garbled:,} lines are not UTF-8, though the rest is; their rows will be set aside",)
    return "latin-1", ("not UTF-8, so taken for Latin-1: look whether its accents and umlauts are right",)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _dialect(path: Path, text: str, encoding: Literal["utf-8", "latin-1"]) -> File:
    """Tell the delimiter and the quotation mark: those by which most lines have as many fields as the header."""
    lines = _lines(text)
    for delimiters in (_DELIMITERS, _DOUBTFUL):
        fits = {(sign, mark): _fit(lines, sign, mark) for sign in delimiters for mark in ('"', "'", "")}
        # The first of equals is the usual one.
        best = max(fits, key=lambda pair: (round(fits[pair][0], 2) if fits[pair][1] > 1 else 0.0, fits[pair][1]))
        share, fields = fits[best]
        if fields > 1 and share >= 0.8:
            return File(delimiter=best[0], quote=_mark(lines, best, fits), encoding=encoding)  # type: ignore[arg-type]
    _refuse_preamble(path, lines)
    rarest = min(_DELIMITERS, key=lambda sign: sum(line.count(sign) for line in lines))
    return File(delimiter=rarest, encoding=encoding)


def _lines(text: str) -> list[str]:
    return [line for line in text[: 4 * BLOCK_BYTES].splitlines(keepends=True) if line.strip()][:SNIFFED_LINES]


def _fit(lines: list[str], delimiter: str, mark: str) -> tuple[float, int]:
    """Share of the rows that have as many fields as the header, and that number."""
    rows = list(_rows(lines, delimiter, mark))
    fields = len(rows[0]) if rows else 0
    return (sum(len(row) == fields for row in rows) / len(rows) if rows else 0.0), fields


def _rows(lines: list[str], delimiter: str, mark: str) -> Iterator[list[str]]:
    told = StringIO("".join(lines))
    try:
        if mark:
            yield from csv.reader(told, delimiter=delimiter, quotechar=mark)
        else:
            yield from csv.reader(told, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    except csv.Error:
        return


def _mark(lines: list[str], best: tuple[str, str], fits: dict[tuple[str, str], tuple[float, int]]) -> str:
    """The usual quotation mark, unless another is seen at work or this one only does harm."""
    sign = best[0]
    if fits[sign, '"'][0] < fits[best][0] - 0.005 and best[1] != "'":
        return ""
    edge = re.escape(sign)
    around = {
        mark: len(re.findall(rf"(?:^|{edge}){mark}[^{mark}\n]*{mark}(?={edge}|\r?$)", "".join(lines), re.M))
        for mark in "\"'"
    }
    at_work = around["'"] > len(lines) / 2 and around["'"] > around['"']
    return "'" if at_work and fits[sign, "'"] >= fits[sign, '"'] else '"'


def _refuse_preamble(path: Path, lines: list[str]) -> None:
    for sign in _DELIMITERS:
        counts = [len(row) for row in _rows(lines, sign, '"')]
        usual = max(set(counts), key=counts.count, default=0)
        if usual > 2 and counts.count(usual) > 0.5 * len(counts) and counts[0] < usual:
            raise DataError(
                f"{path}: its first line is no header of the {usual} columns below it: "
                "remove what stands above the header, or complete it"
            )


def _refuse_headless(path: Path, text: str, file: File) -> None:
    """Refuse a file whose first line is a row: it has numbers or dates above such, or values that come again."""
    names, *rows = list(_rows(_lines(text), file.delimiter, file.quote)) or [[]]
    alike = 0
    for place, name in enumerate(map(str.strip, names)):
        below = [cell for row in rows if place < len(row) and (cell := row[place].strip())]
        if re.fullmatch(_NUMBER_OR_DATE, name):
            alike += sum(bool(re.fullmatch(_NUMBER_OR_DATE, cell)) for cell in below) > 0.9 * len(below) > 0
        elif name:
            alike += name in below
    if alike > 0.3 * len(names):
        raise DataError(f"{path}: it has no header: its first line looks like a row; add one that names the columns")
