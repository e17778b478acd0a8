"""Tell what a column's cells are: from their text alone, and from the header's words where the text leaves it open."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from jobs.etl.discover import dates
from jobs.etl.discover.words import MARKERS, weigh, words_of
from shared.contract_parts import DType

FEW_LEVELS = 12
"""The months of a year; a longer list is rarely complete, and a level that it lacks would cost a row."""
LEVEL_ROWS = 5
"""Times that each level must be seen before the list counts as complete."""
FREE_TEXT_WORDS = 5
"""Words a cell from which text is told rather than chosen."""
LONGEST_INTEGER = 18
"""Digits that a 64-bit integer holds in any case."""
_TRUTH = ({"y", "n"}, {"yes", "no"}, {"true", "false"}, {"t", "f"})
_DATELIKE = r"^(\d{1,4}[-/. ] ?(\d{1,2}|[A-Za-z]{3,9})[-/., ] ?\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})"
_SIGNS = "$€£%'"
_CURRENCIES = ("EUR", "USD", "CHF", "GBP")
_CALENDARS = ("jan feb mar apr may jun jul aug sep oct nov dec", "mon tue wed thu fri sat sun")


@dataclass(frozen=True)
class Cells:
    """All cells of a column, or of a sample of it.

    Attributes
    ----------
    rows, missing : int
        How many there are, and how many are empty.
    values : polars.DataFrame
        ``value`` (stripped, not empty), ``count``, the most frequent first, and ``steady``: whether it stands in the
        first half of the rows as well as in the second (told where there are few only).
    """

    header: str
    rows: int
    missing: int
    values: pl.DataFrame

    @classmethod
    def of(cls, header: str, text: pl.Series) -> Cells:
        """Count a column's text."""
        clean = text.rename("value").str.strip_chars()
        known = clean.filter(clean != "")
        counts = known.value_counts(sort=True, name="count").cast({"count": pl.Int64})
        half = len(clean) // 2
        few = counts.height <= 2 * FEW_LEVELS
        both = set(clean[:half].unique()) & set(clean[half:].unique()) if few else set()
        steady = counts["value"].is_in(list(both)).alias("steady")
        return cls(header, len(clean), len(clean) - len(known), counts.with_columns(steady))


@dataclass(frozen=True)
class Facts:
    """What the cells of a column are.

    Attributes
    ----------
    unknown : tuple of str
        Markers among the cells that mean "unknown".
    filled : int
        Cells that are neither empty nor unknown.
    formats : tuple of str
        Of a date or datetime: each that fits, "" being ISO 8601.
    range : tuple of float or None
        Least and largest number.
    span : tuple of datetime or None
        First and last moment.
    levels : tuple of str
        All values, sorted, where they are few.
    complete : bool
        Whether other levels than these are unlikely to come.
    misfits : int
        Cells that are none of the dtype; their rows will be set aside.
    sql, sql_dtype : str
        Expression that makes a number or a datetime of it, where the cells themselves are none; ``{}`` is the column.
    notes : tuple of str
        What a person should know.
    """

    header: str
    dtype: DType
    rows: int
    filled: int
    distinct: int
    unknown: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    span: tuple[datetime, datetime] | None = None
    levels: tuple[str, ...] = ()
    complete: bool = False
    free_text: bool = False
    misfits: int = 0
    sql: str = ""
    sql_dtype: DType = "number"
    notes: tuple[str, ...] = field(default=())

    @property
    def constant(self) -> bool:
        """Whether it says the same of every row, of which there are several."""
        return self.distinct <= 1 < self.rows


def facts_of(cells: Cells, tolerance: float) -> Facts:
    """Tell what a column's cells are.

    Parameters
    ----------
    tolerance : float
        Share of the cells that may be of another kind than the rest.
    """
    lower = cells.values["value"].str.to_lowercase()
    marks = cells.values.filter(lower.is_in(list(MARKERS)))
    known = cells.values.filter(~lower.is_in(list(MARKERS)))
    if not known.height:
        return _facts(cells, marks["value"], known, "text", notes=("always empty" if not marks.height else "unknown",))
    for kind in (_as_date, _as_number, _as_boolean, _as_local_number):
        if found := kind(cells, marks["value"], known, tolerance):
            return found
    return _as_text(cells, marks["value"], known)


def _facts(cells: Cells, marks: Iterable[str], known: pl.DataFrame, dtype: DType, **told: object) -> Facts:
    filled = int(known["count"].sum())
    made = {"unknown": tuple(marks), "filled": filled, "distinct": known.height} | told
    return Facts(cells.header, dtype, cells.rows, **made)  # type: ignore[arg-type]  # built key by key


def _total(values: pl.DataFrame) -> int:
    return int(values["count"].sum())


def _fitting(known: pl.DataFrame, fits: pl.Series, tolerance: float) -> list[str] | None:
    """Words for "unknown" among cells of a kind; None if too many of the rest are not of the kind."""
    odd = known.filter(~fits)
    # A word that stands there again and again among numbers is a marker, not a slip.
    words = odd.filter(~odd["value"].str.contains(r"\d") & (odd["value"].str.len_chars() <= 20) & (odd["count"] >= 3))
    if words.height > 2 or _total(words) > 0.1 * _total(known):
        words = words.clear()
    good = _total(known.filter(fits))
    return words["value"].to_list() if good and _total(odd) - _total(words) <= tolerance * good else None


def _as_number(cells: Cells, marks: pl.Series, known: pl.DataFrame, tolerance: float) -> Facts | None:
    value = known["value"]
    number = value.cast(pl.Float64, strict=False)
    fits = value.str.contains(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$") & number.is_finite().fill_null(False)
    words = _fitting(known, fits, tolerance)
    digits = value.str.contains(r"^\d+$")
    codes = value.str.contains(r"^[+-]?0\d") | (digits & (value.str.len_chars() > LONGEST_INTEGER))
    if words is None or bool((codes & fits).any()) or (bool(digits.all()) and _is_code(cells.header)):
        return None
    sentinels = _sentinels(known.with_columns(number=number).filter(fits), cells.header)
    meant = fits & ~number.is_in(sentinels)
    rest, numbers = known.filter(meant), number.filter(meant).to_list()
    whole = bool(rest["value"].str.contains(r"^[+-]?\d+$").all())
    sql, sql_dtype = (dates.moment_sql(cells.header, min(numbers), max(numbers)) if whole else None) or ("", "number")
    listed = ", ".join(f"{sentinel:g}" for sentinel in sentinels)
    return _facts(
        cells, [*marks, *words, *value.filter(fits & ~meant)], rest, "integer" if whole else "number",
        range=(min(numbers), max(numbers)), misfits=_total(known.filter(~fits & ~value.is_in(words))),
        sql=sql, sql_dtype=sql_dtype, levels=tuple(rest["value"].sort()) if rest.height == 2 else (),
        notes=(f"{listed} stands far from all else: taken for 'unknown'",) if sentinels else (),
    )  # fmt: skip


def _is_code(header: str) -> bool:
    """Whether digits under this header are a code: a number of a thing, not of how many."""
    last = " ".join(words_of(header).split()[-2:])
    return weigh("code", last)[0] > 0


def _sentinels(rest: pl.DataFrame, header: str) -> list[float]:
    """Numbers that stand for "unknown": repeated nines far from all others, and the zero of a person's age."""
    numbers = rest.group_by("number").agg(pl.col("count").sum()).sort("number")
    values, counts = numbers["number"].to_list(), numbers["count"].to_list()
    found = []
    if len(values) > 2:
        if re.fullmatch("-9{2,}", f"{values[0]:g}") and values[1] >= 0 and counts[0] > 1:
            found.append(values[0])
        if re.fullmatch("9{3,}", f"{values[-1]:.0f}") and values[-1] > 5 * values[-2] and counts[-1] > 2:
            found.append(values[-1])
        if weigh("age", header)[0] > 0 and values[0] == 0 and values[1] >= 14:
            found.append(0.0)
    return found


def _as_date(cells: Cells, marks: pl.Series, known: pl.DataFrame, tolerance: float) -> Facts | None:
    far = dates.no_day(known["value"])
    days = known.filter(~far)
    fitting: list[tuple[str, DType, pl.Series]] = []
    for form, dtype in dates.formats(days["value"]):
        moments = dates.parsed(days["value"], form, dtype)
        if _fitting(days, moments.is_not_null(), tolerance) is not None:
            fitting.append((form, dtype, moments))
    if not fitting:
        return None
    _, dtype, moments = min(fitting, key=lambda one: one[2].null_count())
    zero = dates.zero_day(moments)
    far |= known["value"].is_in(days.filter(zero)["value"].to_list())
    moments, days = moments.filter(~zero), days.filter(~zero)
    words = _fitting(days, moments.is_not_null(), tolerance) or []
    misfits = _total(days.filter(moments.is_null() & ~days["value"].is_in(words)))
    notes = ("days that are none, such as all nines or zeros, are taken for 'unknown'",) if far.any() else ()
    return _facts(
        cells, [*marks, *words, *known.filter(far)["value"]], days.filter(moments.is_not_null()), dtype,
        span=(moments.min(), moments.max()), misfits=misfits, notes=notes,
        formats=tuple(form for form, kind, _ in fitting if kind == dtype),
    )  # fmt: skip


def _as_boolean(cells: Cells, marks: pl.Series, known: pl.DataFrame, _tolerance: float) -> Facts | None:
    told = set(known["value"].str.to_lowercase())
    if len(told) == 2 and told in _TRUTH:
        return _facts(cells, marks, known, "boolean", levels=tuple(known["value"].sort()))
    return None


def _as_local_number(cells: Cells, marks: pl.Series, known: pl.DataFrame, _tolerance: float) -> Facts | None:
    """A number with a decimal comma, thousands or a currency: text to etl, and an expression that makes the number."""
    value = known["value"]
    edges = rf"^[{_SIGNS} ]+|[{_SIGNS} ]+$|{'|'.join(_CURRENCIES)}"
    bare = value.str.replace_all(edges, "").str.strip_chars()
    for drop, decimal in ((",", "."), (".", ",")):
        shape = rf"^[+-]?([1-9]\d{{0,2}}([{drop} ']\d{{3}})+|0|[1-9]\d*)([{decimal}]\d+)?$"
        words = _fitting(known, bare.str.contains(shape), 0.0)
        if words is None or not bool(value.str.contains(rf"[,{_SIGNS} ]|{'|'.join(_CURRENCIES)}").any()):
            continue
        sql = "{}"
        for sign in (*_SIGNS, " ", drop, *_CURRENCIES):
            if bool(value.str.contains(sign, literal=True).any()):
                sql = f"REPLACE({sql}, {_text_sql(sign)}, '')"
        sql = f"REPLACE({sql}, ',', '.')" if decimal == "," else sql
        note = f"cannot be read as a number as it is written (decimal '{decimal}'): text here, a number below"
        rest = known.filter(~value.is_in(words))
        return _facts(cells, [*marks, *words], rest, "text", sql=f"CAST({sql} AS DOUBLE)", notes=(note,))
    return None


def _as_text(cells: Cells, marks: pl.Series, known: pl.DataFrame) -> Facts:
    value, filled = known["value"], _total(known)
    words = int((value.str.count_matches(r"\S+") * known["count"]).sum()) / filled
    free = words > FREE_TEXT_WORDS and known.height > max(50, 0.3 * filled)
    is_zero = value == "0"
    if 4 <= known.height <= FEW_LEVELS + 1 and is_zero.any() and not value.filter(~is_zero).str.contains(r"\d").any():
        # The zero of a sender who writes words is no level.
        known, marks = known.filter(~is_zero), pl.concat([marks, value.filter(is_zero)])
    few = 1 < known.height <= FEW_LEVELS
    settled = bool((known["steady"] & (known["count"] >= LEVEL_ROWS)).all())
    digits = bool(value.str.contains(r"^\d+$").all())
    return _facts(
        cells, marks, known, "text" if free or known.height > 0.9 * filled > 45 else "category",
        levels=_in_order(known["value"].to_list()) if few else (), free_text=free,
        complete=few and settled and weigh("open", cells.header)[0] <= 0,
        notes=("digits, but a code rather than a quantity",) if digits else (),
    )  # fmt: skip


def _in_order(levels: list[str]) -> tuple[str, ...]:
    """Sort levels by the calendar if they are its months or weekdays, else by the alphabet."""
    for calendar in _CALENDARS:
        if all(level[:3].lower() in calendar.split() for level in levels):
            return tuple(level for _, level in sorted((calendar.index(level[:3].lower()), level) for level in levels))
    return tuple(sorted(levels))


def _text_sql(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Write a column's name as SQL does."""
    return '"' + name.replace('"', '""') + '"'
