"""JSON lines: one object a line; what an object lacks is an empty cell, and a line that is no object is set aside."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

import polars as pl

from jobs.etl.rows import MOST_BROKEN, Batch, Stream, UnreadableFileError, broken_rows, numbers, some, whole_lines
from shared.contract_parts import File
from shared.json_cells import Row, column_of, row_of

BLOCK_BYTES = 4 << 20
"""Bytes of the file that are read at once, and of the longest line; as objects they can take twenty times as much."""
MOST_KEYS = 10_000
"""Keys of a batch that are told apart."""
BEGIN = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*[\[{\]])')
"""How JSON begins, and a CSV header does not."""


def header(stream: Stream, file: File, wanted: Collection[str]) -> list[str]:
    """Name the wanted columns and the keys of the first objects; see :func:`jobs.etl.read.header`."""
    lines = next(_lines(stream, file), [])
    if next((line for line in map(bytes.lstrip, lines) if line), b"").startswith(b"["):
        raise UnreadableFileError("the file is one JSON array: send JSON lines, one object a line")
    keys = dict.fromkeys(wanted)
    rows, _ = _rows(lines, 1, keys)
    if not rows:
        raise UnreadableFileError("none of the first lines is a JSON object: send one object a line")
    if wanted and not any(name in row for row in rows for name in wanted):
        raise UnreadableFileError(f"none of the first objects has {some([*wanted])}")
    return [*wanted, *sorted(keys.keys() - set(wanted))]  # whose order means nothing


def batches(stream: Stream, file: File, names: list[str]) -> Iterator[Batch]:
    """Read the objects; see :func:`jobs.etl.read.batches`. Keys that turn up later are columns of their own batch."""
    first = 1
    for lines in _lines(stream, file):
        keys = dict.fromkeys(names)
        rows, broken = _rows(lines, first, keys)
        cells = pl.DataFrame([column_of(name, rows) for name in keys])
        told = numbers(first, len(rows), [number for number, _, _ in broken])
        first += len(rows) + len(broken)
        yield from Batch(told, cells, broken_rows(broken)).parts()


def _lines(stream: Stream, file: File) -> Iterator[list[bytes]]:
    for lines in whole_lines(stream, file, BLOCK_BYTES, longest=BLOCK_BYTES):
        for start in range(0, len(lines), MOST_BROKEN):
            yield lines[start : start + MOST_BROKEN]


def _rows(lines: list[bytes], first: int, keys: dict[str, None]) -> tuple[list[Row], list[tuple[int, str, bytes]]]:
    """Tell objects from lines that are none, and add the objects' keys to `keys`."""
    rows: list[Row] = []
    broken: list[tuple[int, str, bytes]] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            row = row_of(line.decode())
            if not row.keys() <= keys.keys():
                _add(keys, row)
        except RecursionError:
            reason = "nested too deeply"
        except UnicodeDecodeError:
            reason = "not UTF-8"
        except json.JSONDecodeError as error:
            reason = f"not JSON: {error.msg} at character {error.colno}"
        except ValueError as error:
            reason = str(error)
        else:
            rows.append(row)
            continue
        broken.append((first + len(rows) + len(broken), reason, line))
    return rows, broken


def _add(keys: dict[str, None], row: Row) -> None:
    more = [key for key in row if key not in keys]
    if len(keys) + len(more) > MOST_KEYS:
        raise ValueError(f"with it there are more than {MOST_KEYS:,} different keys")
    if not all(map(_is_text, more)):
        raise ValueError("a key is not text")
    keys.update(dict.fromkeys(more))


def _is_text(text: str) -> bool:
    """Whether it is without half a surrogate pair, which JSON can write and UTF-8 cannot."""
    return not re.search("[\ud800-\udfff]", text)
