"""Read cells that are plain: written as nearly all are, and with nothing wrong about them.

What else a cell may be, and what is wrong with it, :mod:`shared.cells` decides, column by column. Of a few claims a
query of Polars costs a hundred times what it decides; so what is plain of theirs is read here, to the same value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from shared.contract_parts import Column, DType

TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_DAY = r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}"
"""Of a year that no zone pushes out of the calendar."""


def unknown_words(column: Column, na_values: tuple[str, ...]) -> list[str]:
    """What cells that say nothing hold, without the blanks around them."""
    return ["", *(word.strip() for word in (*na_values, *column.na_values))]


@lru_cache(maxsize=10_000)
def reader(column: Column, na_values: tuple[str, ...]) -> Callable[[str], Any]:
    """Make what reads the plain cells of a column.

    Parameters
    ----------
    na_values : tuple of str
        Words that mean "unknown" in every column.

    Returns
    -------
    callable
        Gives the value of a cell, None for one that is unknown and may be; ValueError where the cell is not plain.

    >>> age = reader(Column(dtype="integer", max=120, nullable=True), ("?",))
    >>> age("42"), age("?")
    (42, None)
    """
    unknown, levels, least, most = unknown_words(column, na_values), column.levels, column.min, column.max
    is_plain, value_of = _FORMS[column.dtype]
    if column.format or (column.dtype == "datetime" and (least, most) != (None, None)):
        is_plain = _form(r"(?!)")  # nothing is: only Polars knows its forms, and compares moments with days

    def read(cell: str) -> Any:
        if cell in unknown:
            if column.nullable:
                return None
        elif is_plain(cell):
            value = value_of(cell)
            if (
                (least is None or value >= least)
                and (most is None or value <= most)
                and (not levels or value in levels)
            ):
                return value
        raise ValueError

    return read


def _form(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).fullmatch


def _is_plain_text(cell: str) -> bool:
    """Without a blank at an end, and without what no pen writes: other blanks, control characters, halves of pairs."""
    return cell.isprintable() and not cell.startswith(" ") and not cell.endswith(" ")


def _moment(cell: str) -> datetime:
    moment = datetime.fromisoformat(cell)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


_FORMS: Mapping[DType, tuple[Callable[[str], object], Callable[[str], Any]]] = {
    "integer": (_form(r"-?[0-9]{1,15}"), int),
    "number": (_form(r"-?[0-9]{1,15}(\.[0-9]{1,20})?"), float),
    "category": (_is_plain_text, str),
    "text": (_is_plain_text, str),
    "boolean": ((*TRUE, *FALSE).__contains__, TRUE.__contains__),
    "date": (_form(_DAY), date.fromisoformat),
    "datetime": (
        _form(rf"{_DAY}([T ][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]{{1,6}})?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?"),
        _moment,
    ),
}
"""By dtype: which cells are plain, and what their value is. An integer has so few digits that a float, as which its
bounds are given, holds it."""
