"""A JSON object as the cells of a row: what a sender's file of JSON lines and a request to score hold alike."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import polars as pl

Row = dict[str, str | None]
"""Text by key; None where the object says null."""


def row_of(text: str) -> Row:
    """Read one object.

    A string stands for itself, a boolean is ``true`` or ``false``, and anything else is text as it is written: a number
    keeps its digits.

    Raises
    ------
    ValueError
        It is no JSON (:class:`json.JSONDecodeError`, but for NaN and the like), no object, or names a key twice.
    RecursionError
        It is nested too deeply.

    >>> row_of('{"amount": 12.50, "hurt": true, "note": null, "parts": [1, 2]}')
    {'amount': '12.50', 'hurt': 'true', 'note': None, 'parts': '[1, 2]'}
    """
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


def column_of(name: str, rows: Sequence[Row]) -> pl.Series:
    """Cells of a key, of Binary; what an object lacks, or says is null, is empty."""
    values = [row.get(name) or "" for row in rows]
    try:
        return pl.Series(name, values, dtype=pl.String).cast(pl.Binary)
    except UnicodeEncodeError:  # the strict cast says which row's
        return pl.Series(name, [value.encode(errors="surrogatepass") for value in values], dtype=pl.Binary)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant}")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_refuse)
"""Leaves numbers as they are written."""
