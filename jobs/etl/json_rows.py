"""JSON lines: one object a line; what an object lacks is an empty cell, and a line that is no object is set aside."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

import polars as pl

from jobs.etl.rows import MOST_BROKEN, Batch, Stream, UnreadableFileError, broken_rows, numbers, some, whole_lines
from shared.contract_parts import File

BLOCK_BYTES = 4 << 20
"""Bytes of the file that are read at once, and of the longest line; as objects they can take twenty times as much."""
MOST_KEYS = 10_000
"""Keys of a batch that are told apart."""
BEGIN = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*[\[{\]])')
"""How JSON begins, and a CSV header does not."""

_Row = dict[str, str | None]


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
        cells = pl.DataFrame([_column(name, rows) for name in keys])
        told = numbers(first, len(rows), [number for number, _, _ in broken])
        first += len(rows) + len(broken)
        yield from Batch(told, cells, broken_rows(broken)).parts()


def _lines(stream: Stream, file: File) -> Iterator[list[bytes]]:
    for lines in whole_lines(stream, file, BLOCK_BYTES, longest=BLOCK_BYTES):
        for start in range(0, len(lines), MOST_BROKEN):
            yield lines[start : start + MOST_BROKEN]


def _rows(lines: list[bytes], first: int, keys: dict[str, None]) -> tuple[list[_Row], list[tuple[int, str, bytes]]]:
    """Tell objects from lines that are none, and add the objects' keys to `keys`."""
    rows: list[_Row] = []
    broken: list[tuple[int, str, bytes]] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            row = _row(line.decode())
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


def _row(text: str) -> _Row:
    row = _DECODER.decode(text)
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    nested = []
    for key, value in row.items():
        match value:
            case str() | None:
                pass
            case bool():
                row[key] = "true" if value else "false"
            case _:
                nested.append(key)
    if nested:
        written = _values(text)
        row |= {key: written[key] for key in nested}
    return row


def _values(text: str) -> dict[str, str]:
    """Each value of an object as it is written."""
    values = {}
    here = _after(r"\s*\{\s*", text, 0)
    while text[here] != "}":
        key, end = _DECODER.raw_decode(text, here)
        start = _after(r"\s*:\s*", text, end)
        _, end = _DECODER.raw_decode(text, start)
        values[key] = text[start:end]
        here = _after(r"\s*,?\s*", text, end)
    return values


def _after(pattern: str, text: str, here: int) -> int:
    found = re.compile(pattern).match(text, here)
    assert found is not None  # it is JSON
    return found.end()


def _add(keys: dict[str, None], row: _Row) -> None:
    more = [key for key in row if key not in keys]
    if len(keys) + len(more) > MOST_KEYS:
        raise ValueError(f"with it there are more than {MOST_KEYS:,} different keys")
    if not all(map(_is_text, more)):
        raise ValueError("a key is not text")
    keys.update(dict.fromkeys(more))


def _is_text(text: str) -> bool:
    """Whether it is without half a surrogate pair, which JSON can write and UTF-8 cannot."""
    return not re.search("[\ud800-\udfff]", text)


def _column(name: str, rows: list[_Row]) -> pl.Series:
    values = [row.get(name) for row in rows]
    try:
        return pl.Series(name, values, dtype=pl.String).fill_null("").cast(pl.Binary)
    except UnicodeEncodeError:  # the strict cast says which row's
        return pl.Series(name, [(value or "").encode(errors="surrogatepass") for value in values], dtype=pl.Binary)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant}")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_refuse)
"""Leaves numbers as they are written."""
