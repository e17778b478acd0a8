"""CSV told apart line by line, with regular expressions: right for any bytes, and slow.

It defines what a row is; :mod:`jobs.etl.csv_rows` calls it where it cannot tell the same by the block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobs.etl.rows import MOST_BROKEN
from shared.contract_parts import File

_LINE = re.compile(b"[^\r\n]*+(?:\r\n|[\r\n])?")


@dataclass(frozen=True)
class Lines:
    """Some lines of a block.

    Attributes
    ----------
    rows : bytes
        Whole rows, with the tokenizer's mark where a broken line stood.
    broken : list of bytes
        The broken lines.
    end : int
        Where in the block the next line begins.
    """

    rows: bytes
    broken: list[bytes]
    end: int


class Tokenizer:
    """Tells rows of so many fields from lines that are none.

    A field in quotes (RFC 4180) holds anything, a quote doubled; one without holds anything but a quote at its start.
    """

    def __init__(self, file: File, fields: int) -> None:
        edge, quote = re.escape(file.delimiter.encode()), re.escape(file.quote.encode())
        spaces = b" \t".replace(file.delimiter.encode(), b"")
        quoted = b"%b[^%b]*+(?:%b%b[^%b]*+)*+%b" % ((quote,) * 6) if quote else b"(?!)"
        field = b"(?:%b|[^%b\r\n%b][^\r\n%b]*+|)" % (quoted, quote, edge, edge)
        self.mark = b"\x00broken" + (file.delimiter.encode() if fields == 1 else b"")
        """A line that has another number of fields than a row."""
        blank = b"[%b]*+(?:\r\n|[\r\n])" % spaces
        self.blank = re.compile(blank)
        self._row = re.compile(b"(?!%b)%b(?:%b%b){%d}(?:\r\n|[\r\n])" % (blank, field, edge, field, fields - 1))
        # Its end has not been read yet; the last field may be one in quotes that stay open.
        self._unfinished = re.compile(b"[^\r\n]*+\\Z|(?:%b%b)*+(?:%b|%b?+)\\Z" % (field, edge, field, quoted))
        self._cell = re.compile(b"%b(%b|\\Z)" % (field, edge))
        self._fields = fields

    def lines(self, block: bytes, start: int, stop: int, *, may_wait: bool) -> Lines:
        """Tell apart what begins between two places of a block, as far as there are not too many broken lines.

        With `may_wait`, it ends before a row or line whose end the block does not hold.
        """
        rows, broken, kept, here = [], list[bytes](), start, start
        while here < min(stop, len(block)) and len(broken) < MOST_BROKEN:
            if found := self._row.match(block, here):
                here = found.end()
                continue
            rows.append(block[kept:here])
            kept = here
            if may_wait and self._unfinished.match(block, here):
                break
            if found := self.blank.match(block, here):
                kept = here = found.end()
                continue
            line = _LINE.match(block, here)
            assert line is not None
            rows.append(self.mark + b"\n")
            broken.append(line[0].rstrip(b"\r\n"))
            kept = here = line.end()
        rows.append(block[kept:here])
        return Lines(b"".join(rows), broken, here)

    def fault(self, line: bytes) -> str:
        """Say why a line is no row."""
        fields, end = 0, -1
        while end < len(line) and (found := self._cell.match(line, max(end, 0))):
            fields += 1
            end = found.end() if found[1] else len(line) + 1
        if end > len(line):
            return f"{fields} fields instead of {self._fields}"
        return "a quote is not closed or not doubled"
