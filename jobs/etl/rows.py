"""What reading gives, whatever the format: batches of rows as text, and the lines that are none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from shared.contract_parts import File

LONGEST_ROW = 16 << 20
"""Bytes after which a row that has not ended is given up, so that no file can fill the memory."""
MOST_CELLS = 2_000_000
"""Cells of one batch: those that hold nothing take memory, too."""
MOST_BROKEN = 50_000
"""Broken lines of one batch, about."""
BOM = b"\xef\xbb\xbf"
"""Byte order mark of UTF-8."""


class UnreadableFileError(Exception):
    """The file as a whole is no table of this contract; the message says why.

    Attributes
    ----------
    has_lines : bool
        Whether its lines can still be set aside one by one.
    """

    def __init__(self, reason: str, *, has_lines: bool = True) -> None:
        super().__init__(reason)
        self.has_lines = has_lines


class LackingColumnsError(UnreadableFileError):
    """A file has a header and rows, but not all columns that the contract wants.

    Attributes
    ----------
    names : list of str
        Columns that it has.
    missing : list of str
        Those that it lacks.
    """

    def __init__(self, reason: str, names: list[str], missing: list[str]) -> None:
        super().__init__(reason)
        self.names, self.missing = names, missing


class Stream(Protocol):
    """Bytes of a file from its start, unpacked where it was packed."""

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, fewer only at the end."""
        ...


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
        ``file_line``, ``reason``, ``raw``: lines at which no row begins.
    """

    lines: pl.Series
    cells: pl.DataFrame
    broken: pl.DataFrame

    def parts(self) -> Iterator[Batch]:
        """Cut a batch of many rows into some of at most :data:`MOST_CELLS` cells."""
        height = max(MOST_CELLS // max(self.cells.width, 1), 1)
        yield Batch(self.lines[:height], self.cells[:height], self.broken)
        for start in range(height, self.cells.height, height):
            yield Batch(self.lines[start : start + height], self.cells[start : start + height], self.broken.clear())


def whole_lines(stream: Stream, file: File, size: int, longest: int = LONGEST_ROW) -> Iterator[list[bytes]]:
    """Read a text's lines, so many bytes at once, in UTF-8; a line that is too long comes in pieces."""
    rest, more = b"", stream.read(size).removeprefix(BOM)
    while more or rest:
        block = rest + (more if file.encoding == "utf-8" else more.decode(file.encoding).encode())
        lines, rest = block.splitlines(), b""
        if more and not block.endswith((b"\n", b"\r")) and len(lines[-1]) < longest:
            rest = lines.pop()
        yield lines
        more = stream.read(size)


def broken_rows(rows: Iterable[tuple[int, str, bytes]]) -> pl.DataFrame:
    """Lay out broken lines, each with its number and its fault, as :attr:`Batch.broken`."""
    return pl.DataFrame(
        [(number, reason, as_text(line)) for number, reason, line in rows],
        schema={"file_line": pl.Int64, "reason": pl.String, "raw": pl.String},
        orient="row",
    )


def numbers(first: int, height: int, skipped: list[int]) -> pl.Series:
    """Number rows through from the first, leaving out what broken lines have for theirs."""
    every = pl.int_range(first, first + height + len(skipped), eager=True).alias("file_line")
    return every.filter(~every.is_in(skipped)) if skipped else every


def as_text(raw: bytes) -> str:
    r"""Decode bytes that may be no UTF-8, escaping what is not, and what Postgres cannot store in text.

    >>> as_text(b"caf\xe9"), as_text(b"a\x00")
    ('caf\\xe9', 'a\\x00')
    """
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def some(names: list[str], most: int = 5) -> str:
    """List the first few names.

    >>> some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
