"""Cleaning: what a cell must be, and what is said of one that is not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.clean import clean_claims, clean_outcomes
from shared.contract import Contract
from shared.contract_parts import Column
from tests.factories import CLAIM, cells, claims, contract, objects, with_outcomes

MOTOR = contract()


def _value(column: str, text: str | bytes, of: Contract = MOTOR) -> Any:
    """Value of a cell in an otherwise good claim; a string that begins with an exclamation mark is why it is bad."""
    rows = [CLAIM | {column: text}]
    cleaned, few = clean_claims(*cells(rows, of.columns), of), clean_claims(*objects(rows), of)
    assert few.good.equals(cleaned.good)
    assert few.bad.equals(cleaned.bad)
    assert cleaned.good.height + cleaned.bad.height == 1
    if cleaned.bad.height:
        assert cleaned.bad["column_name"][0] == column
        return f"!{cleaned.bad['reason'][0].removeprefix(f'{column}: ')}"
    return cleaned.good[{"claim": "claim_id", "fraud": "is_fraud"}.get(column, column)][0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("+5", 5),
        ("-5", -5),
        ("007", 7),
        ("", None),
        ("?", None),
        ("9223372036854775807", 2**63 - 1),
        *(
            (text, "!not an integer")
            for text in ("1e3", "1_000", "1,000", "1.0", "0x10", "99999999999999999999", "७", "7\0")
        ),
        (b"\xff", "!not UTF-8"),
    ],
)
def test_integers(text: str | bytes, value: object) -> None:
    """An integer is its digits with a sign, within 64 bits."""
    assert _value("count", text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0", 0.0),
        *((text, "!not a finite number") for text in ("nan", "inf", "-Infinity", "1e400")),
        *((text, "!not a number") for text in ("1_000", "1,5", "0x1p3", "12 EUR")),
        ("-1", "!below 0"),
        ("1000001", "!above 1000000"),
        ("", "!missing"),
    ],
)
def test_numbers(text: str, value: object) -> None:
    """A number is finite, within its bounds, and not missing where it must be there."""
    found = _value("amount", text)
    assert str(found).split(";")[0] == str(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-02-29", date(2024, 2, 29)),
        ("2024-2-3", date(2024, 2, 3)),
        ("0001-01-01", date(1, 1, 1)),
        ("9999-12-31", date(9999, 12, 31)),
        *(
            (text, "!not a date")
            for text in ("2024-02-31", "02/03/2024", "24-02-03", "0000-01-01", "-001-01-01", "+10000-01-01", "20240203")
        ),
    ],
)
def test_dates(text: str, value: object) -> None:
    """A date is one of the calendar, in the years 1 to 9999, with its year written out."""
    assert _value("lost_on", text) == value


def test_dates_of_another_form() -> None:
    """A date is read as the contract says it is written."""
    american = contract(columns={"lost_on": {"dtype": "date", "format": "%m/%d/%Y"}})
    assert _value("lost_on", "02/03/2024", american) == date(2024, 2, 3)
    assert _value("lost_on", "2024-02-03", american) == "!not a date of the form %m/%d/%Y"
    assert _value("lost_on", "01/01/0000", american) == "!not a date of the form %m/%d/%Y"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-02-03", datetime(2024, 2, 3, tzinfo=UTC)),
        ("2024-02-03 10:00:00", datetime(2024, 2, 3, 10, tzinfo=UTC)),
        ("2024-02-03T10:00:00Z", datetime(2024, 2, 3, 10, tzinfo=UTC)),
        ("2024-02-03T10:00:00.25+02:00", datetime(2024, 2, 3, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("2024-02-03 10:00:00-0130", datetime(2024, 2, 3, 11, 30, tzinfo=UTC)),
        ("9999-12-31T23:30:00-05:00", "!not a datetime"),
        ("0001-01-01T00:30:00+05:00", "!not a datetime"),
        ("2024-02-03T25:00:00", "!not a datetime"),
        ("yesterday", "!not a datetime"),
        ("", None),
    ],
)
def test_datetimes(text: str, value: object) -> None:
    """A datetime is ISO 8601 with or without time and zone, and in UTC if it names none."""
    assert _value("seen_at", text) == value


@pytest.mark.parametrize("truth", [True, False])
def test_booleans(truth: bool) -> None:
    """A boolean may be spelt in five ways, large or small."""
    for text in ("true", "T", "Yes", "y", "1") if truth else ("FALSE", "f", "no", "N", "0"):
        assert _value("hurt", text) is truth
    assert _value("hurt", "maybe") == "!not a boolean"


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("peril", " hail ", "hail"),
        ("peril", "Hail", "!not one of the levels"),
        ("note", "=HYPERLINK('x')", "=HYPERLINK('x')"),
        ("note", "a\nb", "a\nb"),
        ("note", "a\0b", "!holds a NUL byte"),
        ("note", b"caf\xe9", "!not UTF-8"),
        ("claim", "007", "007"),
        ("claim", "", "!missing"),
        ("claim", "x" * 256, "!longer than 255 bytes"),
        ("fraud", "Y", True),
        ("fraud", "", None),
        ("fraud", "perhaps", "!neither fraud nor not fraud"),
    ],
)
def test_text(column: str, text: str | bytes, value: object) -> None:
    """Text is taken as it stands but for blanks around it; levels, label and id are held to their own rules."""
    assert _value(column, text) == value


def test_an_integer_id() -> None:
    """An id that is an integer is the same claim with leading zeros or without."""
    assert _value("claim", "007", contract(columns={"claim": {"dtype": "integer"}})) == "7"


def test_all_faults_of_a_row() -> None:
    """A row with several faults is told once, with all of them, and no cell's text."""
    row = CLAIM | {"amount": "secret1", "peril": "secret2", "claim": ""}
    cleaned = clean_claims(*cells([CLAIM, row]), MOTOR)
    assert cleaned.good["file_line"].to_list() == [2]
    assert cleaned.bad.rows() == [
        (3, "claim", "claim: missing; amount: not a number; peril: not one of the levels"),
    ]


def test_faults_one_by_one() -> None:
    """Each fault of each bad row is told by itself too: those of cells, and of rows whose cells are sound."""
    derived = {"half": {"dtype": "integer", "sql": "count / 2"}}
    rows = [CLAIM, CLAIM | {"amount": "x", "claim": ""}, CLAIM | {"count": "?"}]
    for laid_out in (cells(rows), objects(rows)):
        cleaned = clean_claims(*laid_out, contract(derived=derived))
        assert sorted(cleaned.faults()) == [
            (3, "amount", "not a number"),
            (3, "claim", "missing"),
            (4, "half", "cannot be made from this row"),
        ]


def test_a_label_named_is_fraud() -> None:
    """The label may have the name under which it is kept, and levels."""
    own = contract(
        roles={"label": "is_fraud"}, columns={"fraud": None, "is_fraud": {"dtype": "category", "levels": ["N", "Y"]}}
    )
    cleaned = clean_claims(*cells([CLAIM | {"is_fraud": "Y"}, CLAIM | {"is_fraud": "?"}], own.columns), own)
    assert cleaned.good["is_fraud"].to_list() == [True]
    assert "not one of the levels" in cleaned.bad["reason"][0]


def test_headers_that_look_like_patterns() -> None:
    """A column is found by its header, whatever the header looks like."""
    odd = contract(columns={"note": {"dtype": "text", "source": "*"}, "count": {"dtype": "integer", "source": "^a.*$"}})
    columns = [odd.sources[name] for name in odd.columns]
    cleaned = clean_claims(*cells([CLAIM | {"*": "x", "^a.*$": "3"}], columns), odd)
    assert cleaned.good.select("note", "count").rows() == [("x", 3)]


def test_derived_columns_that_fail_on_some_rows() -> None:
    """A row from which a needed column cannot be made is bad; one that may be null, or no sound value, is null."""
    derived = {
        "born": {"dtype": "date", "sql": "DATE(note, '%Y-%m-%d')"},
        "share": {"dtype": "number", "sql": "amount / count", "nullable": True},
        "word": {"dtype": "text", "sql": "REPLACE(peril, 'hail', '')", "nullable": True},
    }
    made = contract(derived=derived)
    rows = claims(40, note="2000-01-01")
    for row, text in ((3, "never"), (17, ""), (18, "1999-13-01")):
        rows[row]["note"] = text
    rows[0] |= {"count": "0", "peril": "hail"}
    cleaned = clean_claims(*cells(rows), made)
    assert cleaned.bad.rows() == [(line, "born", "born: cannot be made from this row") for line in (5, 19, 20)]
    assert cleaned.good.select("born", "share", "word").rows()[:2] == [
        (date(2000, 1, 1), None, None),
        (date(2000, 1, 1), 6.25, "theft"),
    ]


def test_no_rows() -> None:
    """No rows are no rows, of the right columns."""
    cleaned = clean_claims(*cells([]), MOTOR)
    assert (cleaned.good.height, cleaned.bad.height) == (0, 0)
    assert cleaned.good.columns == ["file_line", "claim_id", "event_time", "is_fraud", *MOTOR.stored]


def test_bounds_on_dates() -> None:
    """Dates and datetimes are held to bounds that are dates."""
    bound = contract(
        columns={
            "lost_on": Column(dtype="date", min=date(2024, 1, 1)).model_dump(exclude_defaults=True),
            "seen_at": Column(dtype="datetime", max=date(2024, 12, 31), nullable=True).model_dump(
                exclude_defaults=True
            ),
        }
    )
    assert _value("lost_on", "2023-12-31", bound) == "!below 2024-01-01"
    assert _value("seen_at", "2025-01-01 10:00:00", bound) == "!above 2024-12-31"


def test_outcomes() -> None:
    """An outcome has a claim, a verdict and the days it was made and known; its source may be missing."""
    good = {"claim": "c1", "verdict": "Y", "decided": "2024-03-01", "known": "2024-03-02", "by": "court"}
    rows = [good, good | {"by": ""}, good | {"verdict": "?"}, good | {"known": "soon"}, good | {"claim": "x" * 300}]
    cleaned = clean_outcomes(*cells(rows, good), with_outcomes())
    march = datetime(2024, 3, 1, tzinfo=UTC)
    assert cleaned.good.rows() == [
        (2, "c1", True, march, march.replace(day=2), "court"),
        (3, "c1", True, march, march.replace(day=2), "file"),
    ]
    assert cleaned.bad["reason"].to_list() == [
        "label: neither fraud nor not fraud",
        "known_at: not a datetime",
        "claim_id: longer than 255 bytes",
    ]


def test_outcomes_without_more() -> None:
    """An outcome that does not say when it was known was known as long after its decision as the contract says."""
    short = with_outcomes()
    assert short.outcomes is not None
    told = short.outcomes.model_copy(update={"known_at": None, "source": None, "delay_days": 7})
    short = short.model_copy(update={"outcomes": told})
    row = {"claim": "c1", "verdict": "N", "decided": "2024-03-01"}
    cleaned = clean_outcomes(*cells([row], row), short)
    march = datetime(2024, 3, 1, tzinfo=UTC)
    assert cleaned.good.rows() == [(2, "c1", False, march, march + timedelta(days=7), "file")]
