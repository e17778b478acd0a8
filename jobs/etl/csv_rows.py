"""CSV: rows by the block, and line by line only where a block leaves a doubt.

A line at which no whole row begins is set aside by itself, and reading goes on with the next one; so a quote that is
never closed costs its own row and swallows no other. :mod:`jobs.etl.csv_lines` defines this. Here the same is found
by the block: where each quote opens or closes a whole field, pyarrow's parser ends rows where the definition does.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv

from jobs.etl.csv_lines import Lines, Tokenizer
from jobs.etl.rows import (
    BOM,
    LONGEST_ROW,
    MOST_BROKEN,
    Batch,
    LackingColumnsError,
    Stream,
    UnreadableFileError,
    broken_rows,
    numbers,
    some,
)
from shared.contract_parts import File

BLOCK_BYTES = 8 << 20
"""Bytes of the file that are read at once."""
CAREFUL_BYTES = 1 << 12
"""Bytes that are read line by line after a doubt."""
WINDOW_BYTES = 1 << 16
"""Bytes whose quotes are looked at together, at least."""
HEADER_BYTES = 1 << 20
"""Bytes within which the header ends."""


def header(stream: Stream, file: File, wanted: Collection[str]) -> list[str]:
    """Read the header, and hold it against the columns that the contract wants; see :func:`jobs.etl.read.header`."""
    start = stream.read(HEADER_BYTES)
    encoding = "utf-8-sig" if file.encoding == "utf-8" else file.encoding
    # Lenient, since the decoder sees rows that are not the header's fault.
    text = io.StringIO(start.decode(encoding, "surrogateescape"), newline="")
    reader = csv.reader(
        text,
        delimiter=file.delimiter,
        quotechar=file.quote or None,
        quoting=csv.QUOTE_MINIMAL if file.quote else csv.QUOTE_NONE,
    )
    try:
        names = next((row for row in reader if "".join(row).strip(" \t\r\n")), [])
    except csv.Error as error:
        raise UnreadableFileError(f"the header cannot be read ({error})") from None
    missing = [name for name in wanted if name not in names]
    if b"\x00" in start and (missing or "\x00" in "".join(names)):
        raise UnreadableFileError(
            "the file is not text (it holds NUL bytes, as UTF-16 does): send UTF-8", has_lines=False
        )
    if len(start) == HEADER_BYTES and not text.read(1):
        raise UnreadableFileError(f"the header cannot be read (it does not end within {HEADER_BYTES >> 10} KB)")
    if re.search("[\udc80-\udcff]", "".join(names)):
        raise UnreadableFileError(f"the header is not {file.encoding} text")
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if missing:
        lacks = f"the header lacks {some(missing)}{_delimiter_hint(start, file, missing)}"
        if repeated or len(missing) == len(wanted):  # another table altogether
            raise UnreadableFileError(lacks)
        raise LackingColumnsError(lacks, names, missing)
    if repeated:
        raise UnreadableFileError(f"the header names twice: {some([*map(repr, repeated)])}")
    if not names:  # nor is any wanted: the file is looked at for the first time
        raise UnreadableFileError("the header names no column")
    return names


def batches(stream: Stream, file: File, names: list[str]) -> Iterator[Batch]:
    """Read the rows below the header; see :func:`jobs.etl.read.batches`."""
    reader = _Reader(file, names)
    rest, more = b"", stream.read(BLOCK_BYTES).removeprefix(BOM)
    number = 1
    while more or rest:
        block = rest + (more if file.encoding == "utf-8" else more.decode(file.encoding).encode())
        may_wait = bool(more) and len(block) < LONGEST_ROW
        if not more and not block.endswith((b"\n", b"\r")):
            block += b"\n"
        here = 0
        while here < len(block) and number == 1:
            lines = reader.tokenizer.lines(block, here, here + 1, may_wait=may_wait)
            if lines.end == here:
                break
            here, number = lines.end, 2 if lines.rows else 1
        while here < len(block) and number > 1:
            lines, batch = reader.batch(block, here, number, may_wait=may_wait)
            if lines.end == here:
                break
            yield from batch.parts()
            here, number = lines.end, number + batch.lines.len() + batch.broken.height
        rest = block[here:]
        more = stream.read(BLOCK_BYTES)


class _Reader:
    """Reads blocks of rows that have the header's number of fields."""

    def __init__(self, file: File, names: list[str]) -> None:
        # Columns by their place: a header may hold anything.
        self._places = [f"f{place}" for place in range(len(names))]
        self._convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(self._places, pa.binary()),
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        )
        self._names, self._file = names, file
        self.tokenizer = Tokenizer(file, len(names))

    def batch(self, block: bytes, start: int, number: int, *, may_wait: bool) -> tuple[Lines, Batch]:
        """Read the rows from a place of a block on, the first of which has the number."""
        # A row of one column can look like a blank line, and the tokenizer's mark begins with NUL.
        if len(self._names) > 1 and b"\x00" not in block:
            quick = self._quick(block, start, may_wait=may_wait)
            # pyarrow decodes the lines that it hands over.
            if not quick.broken or _is_utf8(quick.rows):
                try:
                    return quick, self._parse(quick, number)
                except pa.ArrowInvalid:  # the line after a broken one begins within its quotes
                    pass
        careful = self.tokenizer.lines(block, start, len(block), may_wait=may_wait)
        return careful, self._parse(careful, number)

    def _quick(self, block: bytes, start: int, *, may_wait: bool) -> Lines:
        """Take for rows what stands between line ends, and look closer at lines with a quote that leaves a doubt."""
        rows, broken, here, window = [], list[bytes](), start, len(block)
        while here < len(block) and len(broken) < MOST_BROKEN:
            end, is_doubtful = _sound(block, here, min(here + window, len(block)), self._file)
            rows.append(block[here:end])
            window = max(2 * (end - here), WINDOW_BYTES)
            here = end
            if is_doubtful:
                lines = self.tokenizer.lines(block, here, here + CAREFUL_BYTES, may_wait=may_wait)
                rows.append(lines.rows)
                broken += lines.broken
                if lines.end == here:
                    break
                here = lines.end
        return Lines(b"".join(rows), broken, here)

    def _parse(self, lines: Lines, number: int) -> Batch:
        """Parse rows; ArrowInvalid if a line is none and it is not sure where the next one begins."""
        marked = iter(lines.broken)
        broken, blank = list[tuple[int, bytes]](), 0

        def note(row: Any) -> str:
            nonlocal blank
            line = row.text.encode()
            if line == self.tokenizer.mark:
                line = next(marked)
            elif self.tokenizer.blank.match(line + b"\n"):
                blank += 1
                return "skip"
            elif len(broken) >= MOST_BROKEN or re.search(b"[\r\n]", line):
                return "error"
            broken.append((number + row.number - 1 - blank, line))
            return "skip"

        cells = pl.DataFrame(schema=dict.fromkeys(self._names, pl.Binary))
        if lines.rows:
            # A mark of byte order is a cell's here, not the file's: pyarrow keeps it behind a blank line.
            rows = b"\n" + lines.rows if lines.rows.startswith(BOM) else lines.rows
            # On one thread, or it would not count rows.
            options = pa.csv.ReadOptions(column_names=self._places, block_size=len(rows) + 1, use_threads=False)
            parse = pa.csv.ParseOptions(
                delimiter=self._file.delimiter,
                quote_char=self._file.quote or False,
                newlines_in_values=True,
                invalid_row_handler=note if lines.broken or _is_utf8(rows) else None,
            )
            table = pa.csv.read_csv(pa.BufferReader(rows), options, parse, self._convert)
            cells = pl.DataFrame(pl.from_arrow(table))
            cells.columns = self._names
        told = numbers(number, cells.height, [at for at, _ in broken])
        return Batch(told, cells, broken_rows((at, self.tokenizer.fault(line), line) for at, line in broken))


def _sound(block: bytes, start: int, stop: int, file: File) -> tuple[int, bool]:
    """Find how far each quote opens or closes a whole field, or is doubled in one.

    Returns
    -------
    end : int
        End of the last row before the first quote that does not.
    is_doubtful : bool
        Whether that is why it ends there, or there is no end of a row at all.
    """
    quote = file.quote.encode()
    if not quote or block.find(quote, start, stop) < 0:
        end = block.rfind(b"\n", start, stop) + 1
        return max(end, start), end == 0
    content = pl.Series(_array(pa.uint8(), stop - start, memoryview(block)[start:stop]))
    is_quote = content == quote[0]
    is_edge = is_quote | (content == b"\n"[0]) | (content == b"\r"[0]) | (content == ord(file.delimiter))
    # Quotes open and close by turns: all that open, and all that close, must stand at an edge of a field.
    # Slices, since they cost nothing; what is before the first byte and behind the last is an edge.
    can_open = is_quote[:1].filter(is_quote[:1]).append(is_edge[:-1].filter(is_quote[1:]))
    can_close = is_edge[1:].filter(is_quote[:-1]).append(is_quote[-1:].filter(is_quote[-1:]))
    closes = pl.Series(_array(pa.bool_(), can_open.len(), b"\xaa" * (can_open.len() // 8 + 1)))
    doubts = (~((can_open & ~closes) | (can_close & closes))).arg_true().head(1)
    within = can_open.len() % 2 == 1
    limit = stop - start
    if doubts.len() or within:
        places = is_quote.arg_true()
        # Of a quote that should close, the doubt is about the one that opened.
        limit = places[doubts.item() // 2 * 2 if doubts.len() else -1]
    for _ in range(100):  # nearly every line end may stand within quotes
        end = block.rfind(b"\n", start, start + limit) + 1 - start
        if end <= 0:
            break
        before = int(is_quote[:end].sum())
        if before % 2 == 0:
            return start + end, doubts.len() > 0
        limit = is_quote.arg_true()[before - 1]
    return start, True


def _array(dtype: pa.DataType, length: int, content: bytes | memoryview) -> Any:
    """Take bytes for an array's."""
    return pl.from_arrow(pa.Array.from_buffers(dtype, length, [None, pa.py_buffer(content)]))


def _is_utf8(content: bytes) -> bool:
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _delimiter_hint(start: bytes, file: File, missing: list[str]) -> str:
    first = start.split(b"\n")[0].decode("utf-8", "replace")
    likely = max(",;\t|", key=first.count)
    if likely == file.delimiter or first.count(likely) < max(len(missing) // 2, 1):
        return ""
    return f"; it looks separated by {likely!r}, the contract says {file.delimiter!r}"
