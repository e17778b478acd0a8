"""Decide about one column of a batch: every cell comes as bytes, is cast strictly, and is held against its column.

Most columns have far fewer different cells than cells, so each different one is judged once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any

import polars as pl

from shared.contract_parts import POLARS_DTYPES, Column
from shared.json_cells import Row, column_of
from shared.plain import FALSE, TRUE, reader, unknown_words

_MOST_DIFFERENT = 0.5
"""Share of different cells from which it costs less to judge each."""
_MOST_REMEMBERED = 10_000
"""Different cells of a column that are remembered."""

Check = tuple[pl.Expr, str]
"""Condition under which a cell breaks its column, and what to say then: never a value, which may be a person's."""


@dataclass(frozen=True)
class Judged:
    """One column of a batch, row by row.

    Attributes
    ----------
    text : polars.Series
        Cells without the blanks around them, null where unknown or no UTF-8.
    value : polars.Series
        Of the column's dtype, null also where the cell is none.
    fault : polars.Series or None
        What is wrong with a cell (the first of what is), null where nothing is; None where nothing is with any.
    different : polars.Series or None
        Different cells, as they came; None where there are too many to tell apart.
    """

    text: pl.Series
    value: pl.Series
    fault: pl.Series | None
    different: pl.Series | None = None


def judge(cells: pl.Series, column: Column, na_values: tuple[str, ...]) -> Judged:
    """Judge a column's cells.

    Parameters
    ----------
    cells : polars.Series
        Of Binary, without nulls.
    na_values : tuple of str
        Words that mean "unknown" in every column.
    """
    cells = cells.alias("cell")  # Polars takes some headers for patterns, also those of a Series
    return _remembered(column, na_values).judge(cells)


def judge_few(rows: Sequence[Row], columns: Mapping[str, Column], na_values: tuple[str, ...]) -> dict[str, Judged]:
    """Judge the cells of a few rows as :func:`judge` does those of each column, by the name of their column.

    It remembers nothing, and needs no query for a column all of whose cells are plain.
    """
    values, texts, judged = dict[str, list[Any]](), dict[str, list[str | None]](), dict[str, Judged]()
    for name, column in columns.items():
        header = column.source or name
        cells = [row.get(header) or "" for row in rows]
        try:
            values[name] = [*map(reader(column, na_values), cells)]
        except ValueError:
            judged[name] = _judge(column_of(header, rows), column, na_values)
        else:
            texts[name] = [None if value is None else cell for cell, value in zip(cells, values[name], strict=True)]
    typed = _series(values, {name: POLARS_DTYPES[columns[name].dtype] for name in values})
    written = _series(texts, dict.fromkeys(texts, pl.String()))
    judged |= {name: Judged(text, value, None) for name, text, value in zip(values, written, typed, strict=True)}
    return {name: judged[name] for name in columns}


def _series(columns: Mapping[str, Sequence[Any]], schema: Mapping[str, pl.DataType]) -> list[pl.Series]:
    """Make them from rows, of which few cost Polars less than a series a column."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return pl.DataFrame(rows, schema).get_columns()


class _Memory:
    """What was found of a column's cells in earlier batches, most of which come again."""

    def __init__(self, column: Column, na_values: tuple[str, ...]) -> None:
        self._column, self._na_values = column, na_values
        self._varied = False
        self._forget()

    def judge(self, cells: pl.Series) -> Judged:
        different = None if self._varied else cells.unique()
        if different is None or different.len() >= _MOST_DIFFERENT * cells.len():
            self._varied = cells.len() > _MOST_REMEMBERED
            return replace(_judge(cells, self._column, self._na_values), different=different)
        self._learn(different)
        if self._plain:
            text = cells.cast(pl.String)
            return Judged(text, text.cast(POLARS_DTYPES[self._column.dtype]), None, different)
        places = cells.replace_strict(self._cells, pl.int_range(self._cells.len(), eager=True, dtype=pl.UInt32))
        fault = self._fault.gather(places)
        return Judged(
            self._text.gather(places),
            self._value.gather(places),
            fault if fault.null_count() < fault.len() else None,
            different,
        )

    def _forget(self) -> None:
        self._known: set[bytes] = set()
        self._cells = pl.Series(dtype=pl.Binary)
        self._text, self._fault = pl.Series(dtype=pl.String), pl.Series(dtype=pl.String)
        self._value = pl.Series(dtype=POLARS_DTYPES[self._column.dtype])
        # A cell that is plain is its text, and a cast of that its value.
        self._plain = self._column.dtype in ("category", "text", "integer", "number")

    def _learn(self, different: pl.Series) -> None:
        new = [cell for cell in different if cell not in self._known]
        if not new:
            return
        if len(self._known) + len(new) > _MOST_REMEMBERED:
            self._forget()
            new = different.to_list()
        cells = pl.Series("cell", new, dtype=pl.Binary)
        judged = _judge(cells, self._column, self._na_values)
        fault = (
            judged.fault if judged.fault is not None else pl.Series([None], dtype=pl.String).new_from_index(0, len(new))
        )
        self._known |= set(new)
        self._cells = pl.concat([self._cells, cells])
        self._text, self._value = pl.concat([self._text, judged.text]), pl.concat([self._value, judged.value])
        self._fault = pl.concat([self._fault, fault])
        self._plain &= judged.fault is None and bool((cells == judged.text.cast(pl.Binary)).fill_null(False).all())


@lru_cache(maxsize=10_000)
def _remembered(column: Column, na_values: tuple[str, ...]) -> _Memory:
    return _Memory(column, na_values)


def verdict(text: pl.Series, fraud: tuple[str, ...], not_fraud: tuple[str, ...]) -> tuple[pl.Series, pl.Series | None]:
    """Tell fraud from not fraud: the verdicts, and what is wrong with those that are neither, None if none is."""
    told = text.to_frame("text").select(
        verdict=pl.when(pl.col("text").is_in(fraud)).then(True).when(pl.col("text").is_in(not_fraud)).then(False)
    )["verdict"]
    neither = told.is_null() & text.is_not_null()
    return told, _said(neither, "neither fraud nor not fraud") if neither.any() else None


def _said(where: pl.Series, sentence: str) -> pl.Series:
    return where.to_frame("where").select(pl.when("where").then(pl.lit(sentence))).to_series()


def _judge(cells: pl.Series, column: Column, na_values: tuple[str, ...]) -> Judged:
    raw, garbled, text, value = map(pl.col, ("raw", "garbled", "text", "value"))
    frame = pl.DataFrame([_decoded(cells).alias("raw")]).select(
        garbled=raw.is_null(), text=_text(raw, column, na_values)
    )
    frame = frame.with_columns(value=_cast(text, column))
    checks = _checks(column, garbled, text, value)
    broken = frame.select(pl.any_horizontal(condition.fill_null(False) for condition, _ in checks)).to_series()
    return Judged(frame["text"], frame["value"], frame.select(_fault(checks)).to_series() if broken.any() else None)


def _text(raw: pl.Expr, column: Column, na_values: tuple[str, ...]) -> pl.Expr:
    stripped = raw.str.strip_chars()
    return pl.when(~stripped.is_in(unknown_words(column, na_values))).then(stripped)


def _fault(checks: Sequence[Check]) -> pl.Expr:
    return pl.coalesce(pl.when(condition).then(pl.lit(say)) for condition, say in checks)


def _decoded(cells: pl.Series) -> pl.Series:
    """Text of cells, null where one is not UTF-8."""
    try:
        return cells.cast(pl.String)
    except pl.exceptions.ComputeError:  # Polars refuses all cells for one such, strict or not: cell by cell then
        return pl.Series(map(_utf8, cells), dtype=pl.String)


def _utf8(cell: bytes) -> str | None:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return None


def _cast(text: pl.Expr, column: Column) -> pl.Expr:
    match column.dtype:
        case "boolean":
            lower = text.str.to_lowercase()
            return pl.when(lower.is_in(TRUE)).then(True).when(lower.is_in(FALSE)).then(False)
        case "date" if column.format:
            return within_calendar(text.str.to_date(column.format, strict=False))
        case "date":
            return within_calendar(_with_long_year(text).str.to_date("%Y-%m-%d", strict=False))
        case "datetime" if column.format:
            moment = text.str.to_datetime(column.format, strict=False, time_unit="us")
            return within_calendar(moment.dt.replace_time_zone("UTC"))
        case "datetime":
            return within_calendar(_iso_datetime(_with_long_year(text)))
        case "category" | "text":
            return text
        case _:
            return text.cast(POLARS_DTYPES[column.dtype], strict=False)


def _with_long_year(text: pl.Expr) -> pl.Expr:
    """Leave out 24-01-01, which would be read as a day of the year 24."""
    return pl.when(text.str.slice(4, 1) == "-").then(text)


def within_calendar(moment: pl.Expr) -> pl.Expr:
    """Leave out what neither Postgres nor Python can hold; a zone may push a moment out of its year."""
    return pl.when(moment.dt.year().is_between(1, 9999)).then(moment)


def _iso_datetime(text: pl.Expr) -> pl.Expr:
    """ISO 8601 with or without time and zone; without a zone it is UTC."""
    spaced = text.str.replace("T", " ", literal=True).str.replace("Z", "+00:00", literal=True)
    zoned = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="us")
    plain = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
    day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return pl.coalesce(zoned, plain.dt.replace_time_zone("UTC"), day.dt.replace_time_zone("UTC"))


def _checks(column: Column, garbled: pl.Expr, text: pl.Expr, value: pl.Expr) -> list[Check]:
    checks: list[Check] = [(garbled, "not UTF-8")]
    if not column.nullable:
        checks.append((text.is_null() & ~garbled, "missing"))
    if column.dtype in ("category", "text"):
        checks.append((text.str.contains("\x00", literal=True), "holds a NUL byte"))
    else:
        wanted = f"not a {column.dtype}" if column.dtype != "integer" else "not an integer"
        shape = f" of the form {column.format}" if column.format else ""
        checks.append((text.is_not_null() & value.is_null(), wanted + shape))
    if column.dtype == "number":
        checks.append((~value.is_finite(), "not a finite number"))
    if column.min is not None:
        checks.append((value < column.min, f"below {_bound(column.min)}"))
    if column.max is not None:
        checks.append((value > column.max, f"above {_bound(column.max)}"))
    if column.levels:
        checks.append((~value.is_in(column.levels), "not one of the levels"))
    return checks


def _bound(value: float | date) -> str:
    return str(value) if isinstance(value, date) else f"{value:.15g}"
