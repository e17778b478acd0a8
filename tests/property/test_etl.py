"""What holds for every file: no row is lost, none is doubled, and nothing bad is stored."""

from __future__ import annotations

import csv
import io
import re
import string
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.etl import csv_rows, json_rows, read
from jobs.etl.read import UnreadableFileError
from shared.clean import clean_claims, clean_outcomes
from shared.contract_parts import POLARS_DTYPES, File
from tests.factories import CLAIM, OUTCOMES, cells, contract, with_outcomes

DERIVED = {
    "share": {"dtype": "number", "sql": "amount / count", "nullable": True},
    "noted": {"dtype": "date", "sql": "DATE(note, '%Y-%m-%d')"},
}
MOTOR = contract(derived=DERIVED)
KNOWN_REASON = re.compile(
    r"\w+: (missing|not UTF-8|not an? \w+|not a finite number|below 0|above 1000000|not one of the levels"
    r"|holds a NUL byte|neither fraud nor not fraud|longer than 255 bytes|cannot be made from this row)"
)

nasty_bytes = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=12).map(str.encode),
    st.sampled_from(
        [b"", b" ", b"\xff", b"\x00", b"?", b"NaN", b"-1e999", b"9" * 30, b"2024-02-30", b"0000-01-01", b"y" * 300]
    ),
)


def _cell(name: str) -> st.SearchStrategy[str | bytes]:
    """Draw the good claim's cell, something like it, or anything."""
    likely = st.sampled_from([CLAIM.get(name, ""), "0", "Y", "2024-02-03", "2024-02-03T10:00:00+01:00", "hail", "true"])
    years = st.dates().map(str)
    return st.one_of(
        st.just(CLAIM.get(name, "")), likely, years, st.integers().map(str), st.floats().map(str), nasty_bytes
    )


claims = st.lists(
    st.fixed_dictionaries({name: _cell(name) for name in CLAIM} | {"note": st.dates().map(str) | _cell("note")})
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the file that every example writes anew."""
    return tmp_path_factory.mktemp("read") / "file.csv"


@settings(deadline=None, max_examples=60)
@given(claims)
def test_each_claim_is_good_or_bad(rows: list[dict[str, str | bytes]]) -> None:
    """Each row comes out once; the good ones keep the contract, the bad ones say why without a cell's text."""
    cleaned = clean_claims(*cells(rows), MOTOR)
    assert sorted([*cleaned.good["file_line"], *cleaned.bad["file_line"]]) == list(range(2, len(rows) + 2))
    for column, reason in cleaned.bad.select("column_name", "reason").iter_rows():
        assert column in MOTOR.columns | MOTOR.derived
        assert all(KNOWN_REASON.fullmatch(part) for part in reason.split("; ")), reason
    good = cleaned.good
    for name, dtype in MOTOR.stored.items():
        column = (MOTOR.columns | MOTOR.derived)[name]
        assert good.schema[name] == POLARS_DTYPES[dtype]
        assert column.nullable or not good[name].has_nulls()
        if dtype == "number":
            assert good[name].is_finite().all()
        if dtype in ("date", "datetime"):
            assert good[name].dt.year().is_between(1, 9999).all()
        if good[name].dtype == pl.String:
            assert not any(value == "" or "\x00" in value for value in good[name].drop_nulls())
    assert good["amount"].is_between(0, 1e6).all()
    assert set(good["peril"]) <= {"theft", "hail"}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.fixed_dictionaries({header: nasty_bytes | _cell("lost_on") for header in OUTCOMES.values()})))
def test_each_outcome_is_good_or_bad(rows: list[dict[str, str | bytes]]) -> None:
    """Each decision comes out once, the good ones with nothing missing."""
    cleaned = clean_outcomes(*cells(rows, OUTCOMES.values()), with_outcomes(file={"na_values": ["?"]}))
    assert sorted([*cleaned.good["file_line"], *cleaned.bad["file_line"]]) == list(range(2, len(rows) + 2))
    assert sum(cleaned.good.null_count().row(0)) == 0


@settings(deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=width, max_size=width)
        )
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 50),
)
def test_csv_there_and_back(
    path: Path, rows: list[list[str]], delimiter: str, ending: str, all_quoted: bool, block: int
) -> None:
    """Whatever a CSV writer writes is read as it was, row by row, wherever the file's blocks end."""
    # Python's writer does not quote a carriage return that is not its line ending; no reader can tell that from one.
    returns = any("\r" in cell or "\n" in cell for row in rows for cell in row)
    # A row of blanks alone is a blank line where the delimiter is itself a blank.
    quoting = csv.QUOTE_ALL if all_quoted or returns or delimiter == "\t" else csv.QUOTE_MINIMAL
    names = [f"c{place}" for place in range(len(rows[0]) if rows else 2)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerows([names, *rows])
    path.write_bytes(text.getvalue().encode())
    file = File(delimiter=delimiter)
    assert read.header(path, file, names) == names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK_BYTES", block)
        batches = list(read.batches(path, file, names))
    assert [tuple(cell.encode() for cell in row) for row in rows] == [
        row for batch in batches for row in batch.cells.iter_rows()
    ]
    assert [line for batch in batches for line in batch.lines] == list(range(2, len(rows) + 2))
    assert sum(batch.broken.height for batch in batches) == 0


@settings(deadline=None)
@given(st.binary(max_size=80) | st.text('ab",;\r\n \t\x00é', max_size=80).map(str.encode), st.integers(1, 30))
@example(b"[[", 1)
@example(b"\x0b\r,", 1)
@example(b"\x01\r\x0b", 1)
def test_garbage_is_read_line_by_line_or_refused(path: Path, content: bytes, block: int) -> None:
    """Any bytes at all are rows, or lines set aside, each once and numbered through, or a file that is refused."""
    path.write_bytes(content)
    file, has_lines = File(), True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK_BYTES", block)
        try:
            names = read.header(path, file, [])
            batches = list(read.batches(path, file, names))
        except UnreadableFileError as error:
            assert str(error)
            has_lines, batches = error.has_lines, []
        numbers = [
            line for batch in batches for line in sorted([*batch.lines.to_list(), *batch.broken["file_line"].to_list()])
        ]
        frames = read.physical_lines(path, file) if has_lines else []
        lines = [line for frame in frames for line in frame["file_line"]]
    first = 1 if json_rows.BEGIN.match(content) else 2  # JSON lines have no header
    assert numbers == list(range(first, len(numbers) + first))
    assert lines == list(range(first, len(lines) + first))
    assert len(numbers) <= len(lines)


@settings(deadline=None)
@given(
    st.lists(st.text(string.ascii_letters + "\u00e9 '%", min_size=1, max_size=8), min_size=1, max_size=12),
    st.integers(0, 11),
    st.sampled_from(["", "text", "te,xt", "t\u00e9"]),
)
def test_one_unclosed_quote(path: Path, notes: list[str], at: int, text: str) -> None:
    """Wherever one quote is left open, only its own row is set aside."""
    rows = [f'{number},"{note}"\n' for number, note in enumerate(notes)]
    rows.insert(min(at, len(rows)), f'99,"{text}\n')
    path.write_bytes(("a,b\n" + "".join(rows)).encode())
    names = read.header(path, File(), [])
    batches = list(read.batches(path, File(), names))
    found = [cell.decode() for batch in batches for cell in batch.cells["b"]]
    assert found == notes
    assert [raw for batch in batches for raw in batch.broken["raw"]] == [f'99,"{text}']
