"""Reading CSV: no file makes it lose a row."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from jobs.etl import csv_rows, read
from jobs.etl.read import UnreadableFileError
from shared.contract_parts import File

COMMA = File()


def _read(path: Path, content: bytes, file: File = COMMA) -> tuple[dict[int, tuple[bytes, ...]], dict[int, str]]:
    """Rows and broken lines by their number."""
    path.write_bytes(content)
    names = read.header(path, file, [])
    batches = list(read.batches(path, file, names))
    rows = {
        line: row for batch in batches for line, row in zip(batch.lines.to_list(), batch.cells.iter_rows(), strict=True)
    }
    broken = [line for batch in batches for line in batch.broken.select("file_line", "raw").iter_rows()]
    assert len(rows) == sum(batch.cells.height for batch in batches)
    return rows, dict(broken)


def _refusal(path: Path, content: bytes, file: File = COMMA) -> UnreadableFileError:
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError) as raised:
        read.header(path, file, ["claim", "lost_on", "amount"])
    return raised.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file that a test writes."""
    return tmp_path / "file.csv"


@pytest.mark.parametrize(
    ("content", "rows", "broken"),
    [
        (b"a,b\n", {}, {}),
        (b"a,b\n1,x", {2: (b"1", b"x")}, {}),
        (b"\xef\xbb\xbfa,b\r\n1,x\r\n\r\n2,y\r\n", {2: (b"1", b"x"), 3: (b"2", b"y")}, {}),
        (b"a,b\r1,x\r2,y", {2: (b"1", b"x"), 3: (b"2", b"y")}, {}),
        (b"\n  \na,b\n \t \n1,x\n\n", {2: (b"1", b"x")}, {}),
        (b'a,b\n1,"x\r\ny, ""z"""\n2,y\n', {2: (b"1", b'x\r\ny, "z"'), 3: (b"2", b"y")}, {}),
        (b'"a\nb",c\n1,x\n', {2: (b"1", b"x")}, {}),
        (b"a,b\n1\n1,x,y\n2,y\n", {4: (b"2", b"y")}, {2: "1", 3: "1,x,y"}),
        (b"a,b\n1,x\n2", {2: (b"1", b"x")}, {3: "2"}),
        (b'a,b\n1,x\n2,"y', {2: (b"1", b"x")}, {3: '2,"y'}),
        (b'a,b\n1,5" pipe\n2,"y"\n', {2: (b"1", b'5" pipe'), 3: (b"2", b"y")}, {}),
        (b'a,b\n1,"x" y\n2,y\n', {3: (b"2", b"y")}, {2: '1,"x" y'}),
        (b"a,b\n,\n1,x\n", {2: (b"", b""), 3: (b"1", b"x")}, {}),
        (b"a,b\n1,x\xff\n2\xff\n", {2: (b"1", b"x\xff")}, {3: "2\\xff"}),
        (b"a,b\n1,x\x00y\n2,y\n", {2: (b"1", b"x\x00y"), 3: (b"2", b"y")}, {}),
        (b"a\n1\n\n2\n", {2: (b"1",), 3: (b"2",)}, {}),
    ],
)
def test_rows(path: Path, content: bytes, rows: dict[int, tuple[bytes, ...]], broken: dict[int, str]) -> None:
    """Rows come with their cells and numbers, lines that are no rows as they are, blank lines not at all."""
    assert _read(path, content) == (rows, broken)


@pytest.mark.parametrize("later", ['3,z\n4,"u"\n', "3,z\n4,u\n", '3,z\n4,"u\n5,v\n', '3,""\n4,u\n', '3,",u"\n4,"u"\n'])
def test_a_quote_that_is_never_closed(path: Path, later: str) -> None:
    """An unclosed quote costs its own row; no good row after it is swallowed."""
    rows, broken = _read(path, f'a,b\n1,x\n2,"y\n{later}'.encode())
    assert broken[3] == '2,"y'
    assert {2, 4}.issubset(rows)
    assert len(rows) + len(broken) == 2 + later.count("\n")


def test_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block of the file ends makes no difference."""
    content = b'a,b\r\n1,"x ""q"" \r\n y"\r\n2\r\n\r\n3,"z"\r\n4,"never closed\r\n5,w\r\n'
    whole = _read(path, content)
    for size in range(1, 20):
        monkeypatch.setattr(csv_rows, "BLOCK_BYTES", size)
        assert _read(path, content) == whole


def test_a_row_that_is_too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row beyond the longest is set aside in pieces, and reading goes on."""
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", 8)
    monkeypatch.setattr(csv_rows, "LONGEST_ROW", 32)
    rows, broken = _read(path, b"a,b\n1,x\n" + b"y" * 100 + b"\n2,z\n")
    assert b"".join(cell for row in rows.values() for cell in row) == b"1x2z"
    assert "".join(broken.values()) == "y" * 100


def test_a_very_long_cell(path: Path) -> None:
    """A cell longer than a block is read whole."""
    rows, broken = _read(path, b"a,b\n1," + b"x" * (9 << 20) + b"\n2,y\n")
    assert (len(rows[2][1]), rows[3], broken) == (9 << 20, (b"2", b"y"), {})


def test_odd_headers(path: Path) -> None:
    """A header may hold anything that names a column once."""
    names = ["file_line", "*", "^a$", "100 %", "capital-gains", "größe", 'a "b"', "", "f0", "line\nbreak"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    path.write_text(f"{header}\n{','.join('0123456789')}\n")
    assert read.header(path, COMMA, ["*"]) == names
    (batch,) = read.batches(path, COMMA, names)
    assert batch.cells.columns == names
    raw = read.raw_rows(batch.lines, batch.cells)
    assert '"^a$":"2"' in raw["raw"][0]


def test_raw_keeps_what_is_no_text() -> None:
    """A raw row is JSON that Postgres can store, whatever bytes its cells hold."""
    cells = pl.DataFrame({"a": [b"\xff", b"x\x00"], "b": [b"y", b"z"]})
    assert read.raw_rows(pl.Series([2, 3]), cells)["raw"].to_list() == [
        '{"a": "\\\\xff", "b": "y"}',
        '{"a": "x\\\\x00", "b": "z"}',
    ]
    assert "\x00" not in read.raw_rows(pl.Series([3]), cells[1:])["raw"][0]


def test_latin_1(path: Path) -> None:
    """Cells and header of a Latin-1 file come as UTF-8."""
    file = File(encoding="latin-1", delimiter=";")
    rows, _ = _read(path, "größe;b\nä;é\n".encode("latin-1"), file)
    assert rows[2] == ("ä".encode(), "é".encode())
    assert read.header(path, file, ["größe"]) == ["größe", "b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "packed twice or binary"),
        (gzip.compress(gzip.compress(b"claim,lost_on,amount\n", mtime=0), mtime=0), "packed twice or binary"),
        (b"PAR1\x15\x04", "the Parquet file is damaged"),
        ("claim,lost_on,amount\n1,2,3\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_no_text(path: Path, content: bytes, words: str) -> None:
    """A file that is no text is refused by what it is, and has no lines to set aside."""
    refusal = _refusal(path, content)
    assert words in str(refusal)
    assert not refusal.has_lines


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"claim,lost_on\n", "the header lacks amount"),
        (b"claim;lost_on;amount\n", "looks separated by ';', the contract says ','"),
        (b"claim,lost_on,amount,amount\n", "the header names twice: 'amount'"),
        (b"claim,lost_on,amount,,\n", "the header names twice: ''"),
        (b"claim,lost_on,amount,pr\xe4mie\n", "the header is not utf-8 text"),
        (b'claim,lost_on,"amount\n' + b"x" * 200_000, "the header cannot be read"),
    ],
)
def test_headers_that_do_not_fit(path: Path, content: bytes, words: str) -> None:
    """A header that lacks a column, repeats one or is garbled is refused; its lines can be set aside."""
    refusal = _refusal(path, content)
    assert words in str(refusal)
    assert refusal.has_lines


@pytest.mark.parametrize("content", [b",,\n", b'"\n"', b'""\n,\n'])
def test_a_header_of_no_names(path: Path, content: bytes) -> None:
    """A file of nothing but delimiters and quotes has no header, whatever is wanted of it."""
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="the header names no column"):
        read.header(path, COMMA, [])


def test_a_bad_byte_below_the_header_is_a_rows_fault(path: Path) -> None:
    """Bytes that are no UTF-8, or are NUL, in the first rows do not spoil the header."""
    path.write_bytes(b"claim,lost_on\n\xff,\x00\n")
    assert read.header(path, COMMA, ["claim"]) == ["claim", "lost_on"]


def test_lines_of_a_file_that_cannot_be_read(path: Path) -> None:
    """Each physical line below the first is told, blank ones are not."""
    path.write_bytes(b'x;y\r\n1;"2\r\n\r\n3\xff\x00')
    lines = pl.concat(read.physical_lines(path, COMMA))
    assert lines.rows() == [(2, '1;"2'), (3, "3\\xff\\x00")]
