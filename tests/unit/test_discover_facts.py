"""What discover tells of a column from its cells."""

from __future__ import annotations

import polars as pl
import pytest

from jobs.etl.discover.facts import Cells, Facts, facts_of
from jobs.etl.discover.personal import personal_shape
from jobs.etl.discover.roles import guess_parts


def told(*cells: str, header: str = "column", times: int = 10, tolerance: float = 0.0) -> Facts:
    """Facts of a column in which each cell stands so many times, evenly spread."""
    return facts_of(Cells.of(header, pl.Series(header, [*cells] * times, dtype=pl.String)), tolerance)


@pytest.mark.parametrize(
    ("cells", "header", "dtype"),
    [
        (("1", "-2", "30"), "column", "integer"),
        (("1", "2.5", "1e3"), "column", "number"),
        (("nan", "2.5", "7"), "column", "number"),
        (("02134", "10001"), "column", "category"),
        (("12134", "10001"), "zip", "category"),
        (("12134", "10001"), "PolicyNumber", "category"),
        (("1", "2"), "number_of_vehicles", "integer"),
        (("1" * 19, "2" * 19), "column", "category"),
        (("yes", "No"), "column", "boolean"),
        (("Y", "N", "?"), "column", "boolean"),
        (("0", "1"), "column", "integer"),
        (("2024-02-03", "2024-12-31"), "column", "date"),
        (("2024-02-03T10:00:00Z", "2024-12-31"), "column", "datetime"),
        (("12/31/2024 5:30 PM", "1/2/2024 11:01 AM"), "column", "datetime"),
        (("20240203", "20241231"), "column", "date"),
        (("20240203", "99999998"), "column", "integer"),
        (("12:30", "13:45"), "column", "category"),
        (("1.2.3", "4.5.6"), "version", "category"),
        (("", ""), "column", "text"),
    ],
)
def test_dtypes(cells: tuple[str, ...], header: str, dtype: str) -> None:
    """A column is what all its cells are; digits of a code, or with a leading zero, are no number."""
    assert told(*cells, header=header).dtype == dtype


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        (("2024-01-13",), ("",)),
        (("1/13/2024", "2/3/2024"), ("%m/%d/%Y",)),
        (("13/1/2024", "2/3/2024"), ("%d/%m/%Y",)),
        (("1/2/2024", "2/3/2024"), ("%m/%d/%Y", "%d/%m/%Y")),
        (("13.01.24",), ("%d.%m.%y",)),
        (("5-Jan-2024", "17-Dec-2023"), ("%d-%b-%Y",)),
        (("2024-01-13 10:20",), ("%Y-%m-%d %H:%M",)),
    ],
)
def test_date_formats(cells: tuple[str, ...], formats: tuple[str, ...]) -> None:
    """The format of a date is decided over the whole column, and every one that fits is named."""
    assert told(*cells).formats == formats


@pytest.mark.parametrize(
    ("cells", "header", "unknown"),
    [
        (("?", "a", "b"), "column", {"?"}),
        (("N/A", "NULL", "3", "4"), "column", {"N/A", "NULL"}),
        (("-999", "3", "4", "5"), "column", {"-999"}),
        (("-999", "-5", "4", "5"), "column", set()),
        (("9999", "3", "4", "5"), "column", {"9999"}),
        (("9999", "8000", "4", "5"), "column", set()),
        (("0", "18", "40"), "driver_age", {"0"}),
        (("0", "18", "40"), "vehicle_age", set()),
        (("none", "a", "b"), "column", set()),
        (("0", "Monday", "Friday", "Sunday"), "column", {"0"}),
        (("99/99/9999", "12/31/2024"), "column", {"99/99/9999"}),
        (("9999-12-31", "2024-12-31"), "column", {"9999-12-31"}),
        (("1900-01-01", "2024-12-31"), "column", {"1900-01-01"}),
        (("1900-01-01", "1901-12-31"), "column", set()),
    ],
)
def test_unknown_markers(cells: tuple[str, ...], header: str, unknown: set[str]) -> None:
    """Words and numbers that stand for "unknown" are told from answers, by what else is in the column."""
    assert set(told(*cells, header=header).unknown) == unknown


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        (("1.234,50", "7,5"), [1234.5, 7.5]),
        (("1,234.50", "7"), [1234.5, 7.0]),
        (("$1,234", "$7"), [1234.0, 7.0]),
        (("1 234,5 €", "7 €"), [1234.5, 7.0]),
        (("1'234.50", "7"), [1234.5, 7.0]),
        (("EUR 12", "EUR 7,50"), [12.0, 7.5]),
    ],
)
def test_numbers_as_people_write_them(cells: tuple[str, ...], number: list[float]) -> None:
    """A number with a decimal comma, thousands or a currency stays text, with the SQL that makes the number."""
    facts = told(*cells)
    assert facts.dtype == "text"
    made = pl.DataFrame({"c": cells}).select(pl.sql_expr(facts.sql.replace("{}", '"c"')).alias("n"))
    assert made["n"].to_list() == number


def test_misfits_are_counted_up_to_the_tolerance() -> None:
    """One odd cell in many numbers is a misfit; without tolerance the column is no number."""
    cells = ["7"] * 999 + ["seven"]
    assert told(*cells, times=1, tolerance=0.01).misfits == 1
    assert told(*cells, times=1).dtype == "category"


@pytest.mark.parametrize(
    ("cells", "header", "complete"),
    [
        (["a", "b"] * 10, "peril", True),
        (["a"] * 20 + ["b"] * 20, "peril", False),
        (["a", "b"] * 10 + ["c"], "peril", False),
        (["a", "b"] * 10, "state", False),
        ([str(number) + "x" for number in range(20)] * 10, "peril", False),
    ],
)
def test_levels_are_complete(cells: list[str], header: str, complete: bool) -> None:
    """Levels count as complete if they are few, each frequent, the same all through the file, and no open list."""
    assert told(*cells, header=header, times=1).complete == complete


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (["a@b.org", "c@d.com"], "e-mail addresses"),
        (["123-45-6789"], "social security numbers"),
        (["+49 89 1234567", "(555) 123-4567"], "telephone numbers"),
        (["DE89 3704 0044 0532 0130 00"], "bank account numbers (IBAN)"),
        (["DE88 3704 0044 0532 0130 00"], ""),
        (["4111 1111 1111 1111"], "card numbers"),
        (["4111111111111112", "4111111111111113"], ""),
        (["9935 4th Drive", "12 Main St"], "street addresses"),
        (["2024-01-02", "2024-01-03"], ""),
        ([], ""),
    ],
)
def test_personal_shapes(values: list[str], shape: str) -> None:
    """E-mail, telephone, account and card numbers are known by their form and their check digits."""
    assert personal_shape(pl.Series(values, dtype=pl.String)) == shape


@pytest.mark.parametrize(
    ("header", "cells", "fraud", "not_fraud"),
    [
        ("fraud", ["0", "0", "1"], ("1",), ("0",)),
        ("FraudFlag", ["False", "False", "True"], ("True",), ("False",)),
        ("betrug", ["nein", "nein", "ja"], ("ja",), ("nein",)),
        ("is_fraud", ["y", "Y", "n", "N", "n"], ("Y", "y"), ("N", "n")),
        ("fraud_class", ["A", "A", "B"], ("B",), ("A",)),
        ("fraud", ["legit", "legit", "fraud"], ("fraud",), ("legit",)),
        ("is_legit", ["yes", "yes", "no"], ("no",), ("yes",)),
        ("fraud", ["N", "N"], ("Y",), ("N",)),
        ("fraud", ["legit"], ("1",), ("legit",)),
    ],
)
def test_words_of_the_label(header: str, cells: list[str], fraud: tuple[str, ...], not_fraud: tuple[str, ...]) -> None:
    """Which of a label's words means fraud is told by the word, else by the header, else by rarity."""
    column = Cells.of(header, pl.Series(header, cells))
    label = guess_parts([(column, facts_of(column, 0.0))]).label
    assert label is not None
    assert (label.fraud, label.not_fraud) == (fraud, not_fraud)
