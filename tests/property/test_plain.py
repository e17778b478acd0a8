"""What holds for every cell: read by itself it is what its column makes of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.cells import judge, judge_few
from shared.contract_parts import Column
from shared.plain import FALSE, TRUE, reader

NA_VALUES = ("?", " none ")
LEVELS = ("hail", "theft", "Ü b", "1")

digits = st.integers(-(10**19), 10**19).map(str)
floats = st.floats().map(str) | st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str)
days = st.dates().map(str)
moments = st.tuples(
    st.datetimes().map(str),
    st.sampled_from(["", "", "Z", "+00:00", "-00:00", "+01:30", "-14:00", "+23:59", "+24:00", "+0100", " "]),
).map("".join)
NASTY = """
+1 007 -0 -0.0 1. .5 1e3 inf NaN 0x1 1_0 111111111111111 1111111111111111 0.111111111111111111111 7,5 ७ YES K
2024-02-30 2024-2-3 0000-01-01 2024-02-03T24:00:00 2024-02-03T23:59:60 2024-02-03T10:00 2024-02-03T10:00:00,5
2024-02-03t10:00:00 2024-02-03T10:00:00z 20240203 2024-W05-6
"""
BLANKS = ("", " ", "none ", "hail\n", "\x1fhail", "\u00a0hail", "a\u00a0b", "a\0", "\ud800")
some = st.sampled_from([*BLANKS, *NASTY.split(), *NA_VALUES, *LEVELS, *TRUE, *FALSE])
given_cells = st.one_of(
    digits, floats, days, moments, moments.map(lambda text: text.replace(" ", "T")), some, st.text()
)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """Draw a column of any dtype, with bounds or levels where it may have them."""
    told: dict[str, Any] = {
        "dtype": draw(st.sampled_from(["integer", "number", "category", "text", "boolean", "date", "datetime"])),
        "nullable": draw(st.booleans()),
        "na_values": draw(st.sampled_from([(), ("hail",), ("0",)])),
    }
    match told["dtype"]:
        case "integer" | "number":
            bounds = st.none() | st.integers(-10, 10) | st.floats(0.5, 1e17) | st.floats(-1e17, -0.5)
            told |= {end: draw(bounds) for end in ("min", "max")}
        case "date":
            told |= {end: draw(st.none() | st.dates()) for end in ("min", "max")}
            told["format"] = draw(st.none() | st.just("%d.%m.%Y"))
        case "category":
            told["levels"] = draw(st.sampled_from([(), LEVELS]))
    return Column(**told)


@settings(deadline=None, max_examples=500)
@given(columns(), st.lists(given_cells, min_size=1, max_size=3))
def test_a_few_cells_are_judged_as_many_are(column: Column, cells: list[str]) -> None:
    """Text, value and what is wrong are the same to the last bit, whatever the cells are."""
    (few,) = judge_few([{"x": cell} for cell in cells], {"x": column}, NA_VALUES).values()
    raw = [cell.encode(errors="surrogatepass") for cell in cells]
    many = judge(pl.Series("x", raw, dtype=pl.Binary), column, NA_VALUES)
    assert few.value.dtype == many.value.dtype
    assert list(map(repr, few.value)) == list(map(repr, many.value))
    assert few.text.to_list() == many.text.to_list()
    assert (few.fault is None, [*(few.fault if few.fault is not None else [])]) == (
        many.fault is None,
        [*(many.fault if many.fault is not None else [])],
    )


@pytest.mark.parametrize(
    ("dtype", "cells"),
    [
        ("integer", st.integers(-(10**15) + 1, 10**15 - 1).map(str)),
        ("number", st.floats(1e-3, 1e14).map(repr) | st.floats(-1e14, -1e-3).map(repr)),
        (
            "text",
            st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1).filter(
                lambda text: text not in ("?", "none")
            ),
        ),
        ("date", st.dates(date(1000, 1, 1), date(2999, 12, 31)).map(str)),
        ("boolean", st.sampled_from([*TRUE, *FALSE])),
    ],
)
def test_what_nearly_all_cells_are_is_plain(dtype: Any, cells: st.SearchStrategy[str]) -> None:
    """What a system writes of its own numbers, dates and words needs no query."""

    @given(cells)
    def is_plain(cell: str) -> None:
        assert reader(Column(dtype=dtype), NA_VALUES)(cell) is not None

    is_plain()
