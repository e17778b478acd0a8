"""Tell what a column's cells are: from their text alone, and from the header's words where the text leaves it open."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from jobs.etl.discover.words import MARKERS, weigh, words_of
from shared.contract import DType

FEW_LEVELS = 12
"""The months of a year; a longer list is rarely complete, and a level that it lacks would cost a row."""
LEVEL_ROWS = 5
"""Times that each level must be seen before the list counts as complete."""
FREE_TEXT_WORDS = 5
"""Words a cell from which text is told rather than chosen."""
LONGEST_INTEGER = 18
"""Digits that a 64-bit integer holds in any case."""
YEARS = (1900, 2100)
DAYS = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%Y%m%d") + (
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%d-%b-%y",
    "%d-%m-%y",
)
TIMES = (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %H:%M:%S%.f", "T%H:%M:%S", "T%H:%M")
ZERO_DAYS = ("1900-01-01", "1899-12-30", "1899-12-31", "1970-01-01")
"""Where calendars of programs begin."""
ZERO_GAP_DAYS = 15 * 365
EPOCHS = {1: (4e8, 4e9), 1000: (4e11, 4e12), 1_000_000: (4e14, 4e15)}
"""Units a second, and the range of the moments from 1982 to 2096 in them."""
_TRUTH = ({"y", "n"}, {"yes", "no"}, {"true", "false"}, {"t", "f"})
_DATELIKE = r"^(\d{1,4}[-/. ] ?(\d{1,2}|[A-Za-z]{3,9})[-/., ] ?\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})"
_MONEY_SIGNS = "$€£%'"


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
        halves = (set(clean[:half]), set(clean[half:])) if few else (set(), set())
        steady = counts["value"].is_in(list(halves[0] & halves[1])).alias("steady")
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
    low, high : float or datetime or None
        Range of a number, date or datetime.
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
    low: float | datetime | None = None
    high: float | datetime | None = None
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


def _fitting(known: pl.DataFrame, fits: pl.Series, tolerance: float) -> tuple[list[str], pl.Series] | None:
    """Tell cells of a kind from words for "unknown" and from misfits; None if they are too many for the kind."""
    total = int(known["count"].sum())
    odd = known.filter(~fits)
    # A word without letters of the kind that stands there again and again is a marker, not a slip.
    words = odd.filter(
        ~odd["value"].str.contains(r"\d") & (odd["value"].str.len_chars() <= 20) & (odd["count"] >= 3)
    )
    if words.height > 2 or int(words["count"].sum()) > 0.1 * total:
        words = words.clear()
    misfits = int(odd["count"].sum()) - int(words["count"].sum())
    good = int(known.filter(fits)["count"].sum())
    if not good or misfits > tolerance * good:
        return None
    return words["value"].to_list(), fits


def _as_number(cells: Cells, marks: pl.Series, known: pl.DataFrame, tolerance: float) -> Facts | None:
    value, header = known["value"], cells.header
    shaped = value.str.contains(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    number = value.cast(pl.Float64, strict=False)
    told = _fitting(known, shaped & number.is_finite().fill_null(False), tolerance)
    if told is None:
        return None
    words, fits = told
    codes = value.str.contains(r"^[+-]?0\d") | (value.str.contains(r"^\d+$") & (value.str.len_chars() > LONGEST_INTEGER))
    if bool((codes & fits).any()) or (bool(value.str.contains(r"^\d+$").all()) and _is_code(header)):
        return None
    rest = known.with_columns(number=number).filter(fits)
    sentinels = _sentinels(rest, header)
    rest = rest.filter(~rest["number"].is_in(sentinels)) if sentinels else rest
    whole = bool(rest["value"].str.contains(r"^[+-]?\d+$").all())
    low, high = float(rest["number"].min() or 0), float(rest["number"].max() or 0)  # type: ignore[arg-type]
    unknown = [*marks, *words, *known.filter(number.is_in(sentinels))["value"]] if sentinels else [*marks, *words]
    notes = [f"{_listed(sentinels)} stands far from all else: taken for 'unknown'"] if sentinels else []
    sql, sql_dtype = _moment(header, low, high) if whole else ("", "datetime")
    misfits = int(known.filter(~fits & ~value.is_in(words))["count"].sum())
    return _facts(
        cells, unknown, rest, "integer" if whole else "number", low=low, high=high, misfits=misfits, sql=sql,
        sql_dtype=sql_dtype, notes=tuple(notes), levels=tuple(rest["value"].sort()) if rest.height == 2 else (),
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
        nines = re.compile(r"-?9{2,}")
        if nines.fullmatch(f"{values[0]:.0f}") and values[0] < -90 and values[1] >= 0 and counts[0] > 1:
            found.append(values[0])
        if nines.fullmatch(f"{values[-1]:.0f}") and values[-1] >= 999 and values[-1] > 5 * values[-2] and counts[-1] > 2:
            found.append(values[-1])
        if weigh("age", header)[0] > 0 and values[0] == 0 and values[1] >= 14:
            found.append(0.0)
    return found


def _moment(header: str, low: float, high: float) -> tuple[str, DType]:
    """SQL that makes a moment of seconds since 1970, or a day of a spreadsheet's day number, where the header says so."""
    if weigh("event_time", header)[0] > 0 or weigh("born", header)[0] > 0 or re.search(r"date|time|\bts\b", words_of(header)):
        for unit, (first, last) in EPOCHS.items():
            if first <= low and high <= last:
                return f"CAST({{}} {_scale(unit)}AS TIMESTAMP)", "datetime"
        if 15_000 <= low and high <= 60_000 and re.search("date|datum|fecha", words_of(header)):
            return "CAST(CAST({} - 25569 AS INTEGER) AS DATE)", "date"
    return "", "datetime"


def _scale(unit: int) -> str:
    return f"* {1_000_000 // unit} " if unit < 1_000_000 else ""


def _as_date(cells: Cells, marks: pl.Series, known: pl.DataFrame, tolerance: float) -> Facts | None:
    value = known["value"]
    digits = value.str.contains(r"^\d+$")
    if int(known.filter(digits)["count"].sum()) > 0.5 * int(known["count"].sum()):
        compact = value.str.contains(r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")
        if _fitting(known, compact, tolerance) is None:
            return None
    elif not bool(value[:100].str.contains(_DATELIKE).any()):
        return None
    # 00/00/0000, 99/99/9999, and the year 9999 of those who must fill in something.
    far = value.str.replace_all(r"\D", "").str.contains("^(0{6,}|9{6,}|9999.*|.*9999)$")
    dates = known.filter(~far)
    fitting: list[tuple[str, DType, pl.Series]] = []
    for form, dtype in _formats(dates["value"][:200]):
        moments = parsed(dates["value"], form, dtype)
        if _fitting(dates, moments.is_not_null(), tolerance) is not None:
            fitting.append((form, dtype, moments))
    if not fitting:
        return None
    _, dtype, moments = min(fitting, key=lambda one: one[2].null_count())
    early = _early(moments)
    far |= value.is_in(dates.filter(early)["value"])
    moments, dates = moments.filter(~early), dates.filter(~early)
    words, fits = _fitting(dates, moments.is_not_null(), tolerance) or ([], moments.is_not_null())
    unknown = [*marks, *words, *known.filter(far)["value"]]
    misfits = int(dates.filter(~fits & ~dates["value"].is_in(words))["count"].sum())
    notes = ["dates of no day, such as all nines or zeros, are taken for 'unknown'"] if far.any() else []
    return _facts(
        cells, unknown, dates.filter(fits), dtype, low=moments.min(), high=moments.max(), misfits=misfits,
        formats=tuple(form for form, kind, _ in fitting if kind == dtype), notes=tuple(notes),
    )  # fmt: skip


def _early(moments: pl.Series) -> pl.Series:
    """Where the first day of all, decades before the second, is the zero of some calendar."""
    first = moments.min()
    later = moments.filter(moments > first)
    is_zero = str(first)[:10] in ZERO_DAYS and bool(later.len()) and (later.min() - first).days > ZERO_GAP_DAYS
    return (moments == first).fill_null(False) & is_zero


def _formats(some: pl.Series) -> list[tuple[str, DType]]:
    """Formats that fit nearly all of some values, ISO 8601 first."""
    tried: list[tuple[str, DType]] = [("", "date"), ("", "datetime"), ("%Y-%m-%d %H:%M", "datetime"), ("%Y-%m-%dT%H:%M", "datetime")]
    tried += [(form, "date") for form in DAYS]
    if bool(some.str.contains(":").any()):
        tried += [(day + time, "datetime") for day in DAYS for time in TIMES]
    return [(form, dtype) for form, dtype in tried if parsed(some, form, dtype).is_not_null().mean() >= 0.9]  # type: ignore[operator]


def parsed(text: pl.Series, form: str, dtype: DType) -> pl.Series:
    """Read dates or datetimes as etl will, those outside the years of living people left out."""
    if form and dtype == "date":
        moments = text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    elif form:
        moments = text.str.to_datetime(form, strict=False, time_unit="us")
    elif dtype == "date":
        moments = text.set(~text.str.contains(r"^\d{4}-"), None).str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    else:
        spaced = text.set(~text.str.contains(r"^\d{4}-"), None).str.replace("T", " ", literal=True)
        zoned = spaced.str.replace("Z", "+00:00", literal=True).str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="us")
        plain = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
        day = spaced.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        moments = zoned.dt.replace_time_zone(None).zip_with(zoned.is_not_null(), plain)
        moments = moments.zip_with(moments.is_not_null(), day)
    return moments.set(~moments.dt.year().is_between(*YEARS), None)


def _as_boolean(cells: Cells, marks: pl.Series, known: pl.DataFrame, _tolerance: float) -> Facts | None:
    told = set(known["value"].str.to_lowercase())
    if len(told) == 2 and told in _TRUTH:
        return _facts(cells, marks, known, "boolean", levels=tuple(known["value"].sort()))
    return None


def _as_local_number(cells: Cells, marks: pl.Series, known: pl.DataFrame, tolerance: float) -> Facts | None:
    """A number with a decimal comma, thousands or a currency: text to etl, and an expression that makes the number."""
    value = known["value"]
    bare = value.str.replace_all(rf"^[{_MONEY_SIGNS} ]+|[{_MONEY_SIGNS} ]+$|(?i:eur|usd|chf|gbp)", "").str.strip_chars()
    comma = bare.str.contains(r"^[+-]?(\d{1,3}([. ']\d{3})+|\d+)(,\d+)?$") & ~bare.str.contains(r"^[+-]?0\d")
    point = bare.str.contains(r"^[+-]?(\d{1,3}([, ']\d{3})+|\d+)(\.\d+)?$") & ~bare.str.contains(r"^[+-]?0\d")
    for shaped, drop, decimal in ((point, ",", "."), (comma, ".", ",")):
        told = _fitting(known, shaped, tolerance)
        if told is None or not bool(value.filter(shaped).str.contains(rf"[,{_MONEY_SIGNS} ]|(?i:eur|usd|chf|gbp)").any()):
            continue
        signs = [sign for sign in (*_MONEY_SIGNS, " ", drop) if bool(value.str.contains(sign, literal=True).any())]
        signs += [word for word in ("EUR", "USD", "CHF", "GBP") if bool(value.str.contains(word, literal=True).any())]
        sql = "{}"
        for sign in signs:
            sql = f"REPLACE({sql}, '{sign.replace(chr(39), chr(39) * 2)}', '')"
        sql = f"REPLACE({sql}, ',', '.')" if decimal == "," else sql
        note = f"cannot be read as a number as it is written (decimal '{decimal}'): text here, a number below"
        words, fits = told
        misfits = int(known.filter(~fits & ~value.is_in(words))["count"].sum())
        if misfits:  # the text itself is no misfit, but nothing could be made from it
            continue
        return _facts(cells, [*marks, *words], known.filter(fits), "text", sql=f"CAST({sql} AS DOUBLE)", notes=(note,))
    return None


def _as_text(cells: Cells, marks: pl.Series, known: pl.DataFrame) -> Facts:
    value = known["value"]
    words = (value.str.count_matches(r"\S+") * known["count"]).sum() / known["count"].sum()
    free = words > FREE_TEXT_WORDS and known.height > max(50, 0.3 * known["count"].sum())
    if known.height <= FEW_LEVELS + 1 and "0" in value.to_list() and known.height > 3 and not value.filter(value != "0").str.contains(r"\d").any():
        # The zero of a sender who writes words is no level.
        known, marks = known.filter(value != "0"), pl.concat([marks, pl.Series("value", ["0"])])
    few = known.height <= FEW_LEVELS
    settled = bool(known["steady"].all()) and bool((known["count"] >= LEVEL_ROWS).all())
    sure = few and settled and known.height > 1 and weigh("open", cells.header)[0] <= 0
    long_numbers = bool(value.str.contains(r"^\d+$").all())
    notes = ("digits, but a code rather than a quantity",) if long_numbers else ()
    return _facts(
        cells, marks, known, "text" if free or known.height > 0.9 * known["count"].sum() > 45 else "category",
        levels=_in_order(known["value"].to_list()) if few else (), complete=sure, free_text=free, notes=notes,
    )  # fmt: skip


def _in_order(levels: list[str]) -> tuple[str, ...]:
    """Sort levels by the calendar if they are its months or weekdays, else by the alphabet."""
    for calendar in ("jan feb mar apr may jun jul aug sep oct nov dec".split(), "mon tue wed thu fri sat sun".split()):
        if all(level[:3].lower() in calendar for level in levels):
            return tuple(sorted(levels, key=lambda level: calendar.index(level[:3].lower())))
    return tuple(sorted(levels))


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def quoted(name: str) -> str:
    """Write a column's name as SQL does."""
    return '"' + name.replace('"', '""') + '"'
