"""Dates as senders write them: which formats fit, and which days are no days."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import cast

import polars as pl

from jobs.etl.discover.words import weigh, words_of
from shared.contract_parts import DType

YEARS = (1900, 2100)
"""Years of living people and their policies."""
TRIED = 200
"""Values that every format is tried on; only one that fits nearly all of them is tried on the rest."""
ZERO_DAYS = ("1900-01-01", "1899-12-30", "1899-12-31", "1970-01-01")
"""Where calendars of programs begin."""
ZERO_GAP = timedelta(days=15 * 365)
EPOCHS = {1: (4e8, 4e9), 1000: (4e11, 4e12), 1_000_000: (4e14, 4e15)}
"""Units a second, and the range of the moments from 1982 to 2096 in them."""
SHEET_DAYS = (15_000, 60_000)
"""Days of the years 1941 to 2064 as spreadsheets number them; 25,569 is 1970-01-01."""

_NUMERIC = "%m/%d/%Y %d/%m/%Y %d.%m.%Y %Y/%m/%d %d-%m-%Y %m-%d-%Y %Y.%m.%d %Y%m%d"
_SHORT = "%m/%d/%y %d/%m/%y %d.%m.%y %d-%b-%y %d-%m-%y"
_DAYS = (*_NUMERIC.split(), "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", *_SHORT.split())
_TIMES = (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %H:%M:%S%.f", "T%H:%M:%S", "T%H:%M")
_LIKE = r"^(\d{1,4}[-/. ] ?(\d{1,2}|[A-Za-z]{3,9})[-/., ] ?\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})"
_COMPACT = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"


def formats(values: pl.Series) -> list[tuple[str, DType]]:
    """Formats of a date or datetime that fit nearly all of some values, ISO 8601 (an empty format) first."""
    some = values[:TRIED]
    if some.is_empty() or not bool((some.str.contains(_LIKE) | some.str.contains(_COMPACT)).any()):
        return []
    tried: list[tuple[str, DType]] = [("", "date"), *((form, "date") for form in _DAYS)]
    if bool(some.str.contains(":").any()):
        isos = ("", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M")
        tried += [(form, "datetime") for form in (*isos, *(day + time for day in _DAYS for time in _TIMES))]
    return [(form, dtype) for form, dtype in tried if parsed(some, form, dtype).null_count() <= 0.1 * some.len()]


def parsed(text: pl.Series, form: str, dtype: DType) -> pl.Series:
    """Read dates or datetimes as etl will, as moments without a zone; null outside :data:`YEARS`."""
    if form == "%Y%m%d":  # else it reads 52158 as a day of a far year
        text = text.set(~text.str.contains(_COMPACT), None)
    if form and dtype == "date":
        moments = text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    elif form:
        moments = text.str.to_datetime(form, strict=False, time_unit="us")
    else:
        spaced = text.set(~text.str.contains(r"^\d{4}-"), None)
        moments = spaced.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        if dtype == "datetime":
            spaced = spaced.str.replace("T", " ", literal=True).str.replace("Z", "+00:00", literal=True)
            for zone in ("%#z", ""):
                more = spaced.str.to_datetime("%Y-%m-%d %H:%M:%S%.f" + zone, strict=False, time_unit="us")
                moments = moments.zip_with(moments.is_not_null(), more.dt.replace_time_zone(None))
    return moments.set(~moments.dt.year().is_between(*YEARS), None)


def no_day(values: pl.Series) -> pl.Series:
    """Where 00/00/0000, 99/99/9999 and the like stand, or the year 9999 of those who must fill in something."""
    return values.str.replace_all(r"\D", "").str.contains(r"^(0{6,}|9{6,}|9999(0\d|1[0-2])\d*|\d{4}9999)$")


def zero_day(moments: pl.Series) -> pl.Series:
    """Where the first day of all, decades before the second, is the zero of some calendar."""
    first = cast(datetime | None, moments.min())
    second = cast(datetime | None, moments.filter(moments > first).min()) if first else None
    is_zero = first is not None and second is not None and str(first)[:10] in ZERO_DAYS and second - first > ZERO_GAP
    return (moments == first).fill_null(False) & is_zero


def moment_sql(header: str, low: float, high: float) -> tuple[str, DType] | None:
    """SQL that makes a moment of time since 1970, or a day of a spreadsheet's, where the header speaks of time."""
    said = words_of(header)
    if not (re.search(r"date|datum|fecha|time|\bts\b", said) or max(weigh(part, header)[0] for part in _TIMELY) > 0):
        return None
    for unit, (first, last) in EPOCHS.items():
        if first <= low and high <= last:
            scale = f"* {1_000_000 // unit} " if unit < 1_000_000 else ""
            return f"CAST({{}} {scale}AS TIMESTAMP)", "datetime"
    if low >= SHEET_DAYS[0] and high <= SHEET_DAYS[1] and re.search("date|datum|fecha", said):
        return "CAST(CAST({} - 25569 AS INTEGER) AS DATE)", "date"
    return None


_TIMELY = ("event_time", "born")
