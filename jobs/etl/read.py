"""Read a sender's CSV file as text, in batches, and lose none of its rows.

Rows are numbered as records: the header is 1, blank lines do not count, and a line break within quotes starts no new
one. A line at which no whole row begins is set aside by itself, and reading goes on with the next one; so a quote that
is never closed costs its own row and swallows no other.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv

from shared.contract import File

BLOCK_BYTES = 8 << 20
"""Bytes of the file that are read at once."""
LONGEST_ROW = 64 << 20
"""Bytes after which a row that has not ended is given up, so that no file can fill the memory."""
HEADER_BYTES = 1 << 16


class UnreadableFileError(Exception):
    """The file as a whole is no table of this contract; the message says why.

    Attributes
    ----------
    has_lines : bool
        Whether it is text, whose lines can still be set aside one by one.
    """

    def __init__(self, reason: str, *, has_lines: bool = True) -> None:
        super().__init__(reason)
        self.has_lines = has_lines


@dataclass(frozen=True)
class Batch:
    """Some rows of a file, as they came.

    Attributes
    ----------
    lines : polars.Series
        Number of each row of `cells`.
    cells : polars.DataFrame
        One Binary column a header, every cell as its bytes, in UTF-8 where the sender kept to his encoding.
    broken : polars.DataFrame
        ``file_line``, ``reason``, ``raw``: lines at which no row of the header's number of fields begins.
    """

    lines: pl.Series
    cells: pl.DataFrame
    broken: pl.DataFrame


def header(path: Path, file: File, wanted: Collection[str]) -> list[str]:
    """Read a file's header and hold it against the columns that the contract wants.

    Raises
    ------
    UnreadableFileError
        The file is empty or no text, or its header lacks a wanted column or repeats one.
    """
    with path.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
        if not start.removeprefix(_BOM).strip():
            raise UnreadableFileError("the file is empty", has_lines=False)
        if start.startswith(_BINARY):
            raise UnreadableFileError("the file is packed or binary: send plain CSV", has_lines=False)
        stream.seek(0)
        encoding = "utf-8-sig" if file.encoding == "utf-8" else file.encoding
        # Lenient, since the decoder looks ahead at rows that are not the header's fault.
        text = TextIOWrapper(stream, encoding, "surrogateescape", newline="")
        try:
            names = next((row for row in csv.reader(text, delimiter=file.delimiter) if "".join(row).strip()), [])
        except csv.Error as error:
            raise UnreadableFileError(f"the header cannot be read ({error})") from None
    missing = [name for name in wanted if name not in names]
    if b"\x00" in start and (missing or "\x00" in "".join(names)):
        raise UnreadableFileError(
            "the file is not text (it holds NUL bytes, as UTF-16 does): send CSV", has_lines=False
        )
    if re.search("[\udc80-\udcff]", "".join(names)):
        raise UnreadableFileError(f"the header is not {file.encoding} text")
    if missing:
        raise UnreadableFileError(f"the header lacks {_some(missing)}{_delimiter_hint(start, file, missing)}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UnreadableFileError(f"the header names twice: {', '.join(map(repr, repeated))}")
    return names


def batches(path: Path, file: File, names: list[str]) -> Generator[Batch]:
    """Read the rows of a file.

    Parameters
    ----------
    names : list of str
        The header, as :func:`header` returned it.

    Yields
    ------
    Batch
        In the file's order; together they hold each row once.
    """
    # Columns by their place: a header may hold anything.
    places = [f"f{place}" for place in range(len(names))]
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(places, pa.binary()), strings_can_be_null=False, quoted_strings_can_be_null=False
    )
    for block in _blocks(path, file, _row(file.delimiter, len(names))):
        cells = pl.DataFrame(schema=dict.fromkeys(names, pl.Binary))
        if block.rows:
            table = pa.csv.read_csv(
                pa.BufferReader(block.rows),
                read_options=pa.csv.ReadOptions(column_names=places, block_size=len(block.rows) + 1),
                parse_options=pa.csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
                convert_options=convert,
            )
            cells = pl.DataFrame(pl.from_arrow(table))
            cells.columns = names
        lines = _line_numbers(block.first, cells.height, [number for number, _ in block.broken])
        yield Batch(lines, cells, _broken_rows(block.broken, file.delimiter, len(names)))


def raw_rows(lines: pl.Series, cells: pl.DataFrame) -> pl.DataFrame:
    """Write rows as they came: ``file_line`` and ``raw``, a JSON object of header and cell."""
    try:
        text = pl.select(pl.struct(column.cast(pl.String) for column in cells)).to_series().struct.json_encode()
    except pl.exceptions.PolarsError:  # some cell is no UTF-8: slower, cell by cell
        rows = (dict(zip(cells.columns, map(as_text, row), strict=True)) for row in cells.iter_rows())
        text = pl.Series([json.dumps(row, ensure_ascii=False) for row in rows], dtype=pl.String)
    return pl.DataFrame({"file_line": lines, "raw": text})


def physical_lines(path: Path, file: File) -> Iterator[pl.DataFrame]:
    """Read an unreadable file's lines below the first as they are: ``file_line`` and ``raw``; blanks do not count."""
    for block in _blocks(path, file, _NO_ROW):
        yield pl.DataFrame(
            [(number, as_text(line)) for number, line in block.broken],
            schema={"file_line": pl.Int64, "raw": pl.String},
            orient="row",
        )


def as_text(raw: bytes) -> str:
    r"""Decode bytes that may be no UTF-8, escaping what is not, and what Postgres cannot store in text.

    >>> as_text(b"caf\xe9"), as_text(b"a\x00")
    ('caf\\xe9', 'a\\x00')
    """
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


@dataclass(frozen=True)
class _Block:
    """Whole rows as one piece of CSV, and the lines among them that are none; ``first`` is the first one's number."""

    first: int
    rows: bytes
    broken: list[tuple[int, bytes]]


def _blocks(path: Path, file: File, row: re.Pattern[bytes]) -> Iterator[_Block]:
    """Tell rows apart, below the header."""
    blank, unfinished = _blank(file.delimiter), _unfinished(file.delimiter)
    number, rest = 1, b""
    with path.open("rb") as stream:
        if stream.read(len(_BOM)) != _BOM:
            stream.seek(0)
        more = stream.read(BLOCK_BYTES)
        while more or rest:
            block = rest + (more if file.encoding == "utf-8" else more.decode(file.encoding).encode())
            may_wait = bool(more) and len(block) < LONGEST_ROW
            if not more and not block.endswith((b"\n", b"\r")):
                block += b"\n"
            first, rows, broken, start, here = max(number, 2), [], [], 0, 0
            while here < len(block):
                if found := row.match(block, here):
                    here = found.end()
                    number += 1
                    if number == 2:  # that was the header
                        start = here
                    continue
                rows.append(block[start:here])
                start = here
                if may_wait and unfinished.match(block, here):
                    break
                if found := blank.match(block, here):
                    start = here = found.end()
                    continue
                line = _LINE.match(block, here)
                assert line is not None
                if number > 1:
                    broken.append((number, line[0].rstrip(b"\r\n")))
                number += 1
                start = here = line.end()
            rows.append(block[start:here])
            yield _Block(first, b"".join(rows), broken)
            rest = block[here:]
            more = stream.read(BLOCK_BYTES)


_BOM = b"\xef\xbb\xbf"
_BINARY = (b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"%PDF")
"""How PNG, JPEG, gzip, zip (so Excel), Parquet and PDF begin."""
_LINE = re.compile(b"[^\r\n]*+(?:\r\n|[\r\n])?")
_NO_ROW = re.compile(b"(?!)")
# In quotes (RFC 4180) anything, a quote doubled; without, anything but a quote at the start.
_QUOTED = b'"[^"]*+(?:""[^"]*+)*+"'


def _field(delimiter: str) -> bytes:
    edge = re.escape(delimiter.encode())
    return b'(?:%b|[^"\r\n%b][^\r\n%b]*+|)' % (_QUOTED, edge, edge)


def _row(delimiter: str, fields: int) -> re.Pattern[bytes]:
    field, edge = _field(delimiter), re.escape(delimiter.encode())
    return re.compile(
        b"(?!%b)%b(?:%b%b){%d}(?:\r\n|[\r\n])" % (_blank(delimiter).pattern, field, edge, field, fields - 1)
    )


def _unfinished(delimiter: str) -> re.Pattern[bytes]:
    """The start of a row or line whose end has not been read yet."""
    field, edge = _field(delimiter), re.escape(delimiter.encode())
    # The last field may be one in quotes that stay open.
    return re.compile(b"[^\r\n]*+\\Z|(?:%b%b)*+(?:%b|%b?+)\\Z" % (field, edge, field, _QUOTED))


def _blank(delimiter: str) -> re.Pattern[bytes]:
    spaces = b" \t".replace(delimiter.encode(), b"")
    return re.compile(b"[%b]*+(?:\r\n|[\r\n])" % spaces)


def _line_numbers(first: int, height: int, skipped: list[int]) -> pl.Series:
    every = pl.int_range(first, first + height + len(skipped), eager=True).alias("file_line")
    return every.filter(~every.is_in(skipped)) if skipped else every


def _broken_rows(lines: list[tuple[int, bytes]], delimiter: str, expected: int) -> pl.DataFrame:
    return pl.DataFrame(
        [(number, _fault(line, delimiter, expected), as_text(line)) for number, line in lines],
        schema={"file_line": pl.Int64, "reason": pl.String, "raw": pl.String},
        orient="row",
    )


def _fault(line: bytes, delimiter: str, expected: int) -> str:
    cell = re.compile(b"%b(%b|\\Z)" % (_field(delimiter), re.escape(delimiter.encode())))
    fields, end = 0, -1
    while end < len(line) and (found := cell.match(line, max(end, 0))):
        fields += 1
        end = found.end() if found[1] else len(line) + 1
    return f"{fields} fields instead of {expected}" if end > len(line) else "a quote is not closed or not doubled"


def _delimiter_hint(start: bytes, file: File, missing: list[str]) -> str:
    first = start.split(b"\n")[0].decode("utf-8", "replace")
    likely = max(",;\t|", key=first.count)
    if likely == file.delimiter or first.count(likely) < max(len(missing) // 2, 1):
        return ""
    return f"; it looks separated by {likely!r}, the contract says {file.delimiter!r}"


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
