"""Reading JSON lines, Parquet and gzip: told by content, every cell as text, no row lost."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from jobs.etl import gzip_stream, json_rows, parquet_rows, read
from jobs.etl.read import UnreadableFileError
from shared.clean import clean_claims
from shared.contract_parts import File
from tests.factories import CLAIM, contract

FILE = File()


def _read(path: Path, wanted: list[str], file: File = FILE) -> tuple[list[dict[str, str]], list[tuple[int, str, str]]]:
    """Rows as text, with their number as ``#``, and broken lines."""
    names = read.header(path, file, wanted)
    rows, broken = [], []
    for batch in read.batches(path, file, names):
        for line, row in zip(batch.lines, batch.cells.iter_rows(named=True), strict=True):
            rows.append({"#": str(line)} | {name: cell.decode("utf-8", "replace") for name, cell in row.items()})
        broken += batch.broken.iter_rows()
    return rows, broken


def _json(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file that a test writes; the suffix says nothing."""
    return tmp_path / "file.dat"


def test_values_of_json_are_as_written(path: Path) -> None:
    """Numbers keep their digits, nested values their text; null and what is missing are empty."""
    _json(
        path,
        '\ufeff{"a": 1.10, "b": "x", "c": true}',
        "",
        '{"a": 12345678901234567890123, "b": null, "d": {"e": [1.0, "\\u00e9"]}}\r',
        '{"b": "", "a": 1e400, "c": [ ]}',
    )
    rows, broken = _read(path, ["b"])
    assert rows == [
        {"#": "1", "b": "x", "a": "1.10", "c": "true", "d": ""},
        {"#": "2", "b": "", "a": "12345678901234567890123", "c": "", "d": '{"e": [1.0, "\\u00e9"]}'},
        {"#": "3", "b": "", "a": "1e400", "c": "[ ]", "d": ""},
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1]", "not a JSON object"),
        ("7", "not a JSON object"),
        ('{"a": }', "not JSON: Expecting value at character 7"),
        ('{"a": 1} x', "not JSON: Extra data at character 10"),
        ('{"a": NaN}', "not JSON: NaN"),
        ('{"a": -Infinity}', "not JSON: -Infinity"),
        ('{"a": 1, "a": 2}', "an object names a key twice"),
        ('{"a": {"b": 1, "b": 2}}', "an object names a key twice"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"\\ud800": 1}', "a key is not text"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    ],
)
def test_lines_that_are_no_objects(path: Path, line: str | bytes, reason: str) -> None:
    """A line that is no object is set aside with the reason, and the next ones are read."""
    rows, broken = _read(_json(path, '{"a": 1}', line, '{"a": 3}'), ["a"])
    assert [(row["#"], row["a"]) for row in rows] == [("1", "1"), ("3", "3")]
    assert [(number, why) for number, why, _ in broken] == [(2, reason)]


def test_a_cell_of_json_that_is_no_text_is_its_rows_fault(path: Path) -> None:
    """Half a surrogate pair spoils its own cell only."""
    names = read.header(_json(path, '{"a": "\\ud800", "b": "y"}', '{"a": "x"}', ""), FILE, ["a"])
    (batch,) = read.batches(path, FILE, names)
    assert batch.cells.rows() == [(b"\xed\xa0\x80", b"y"), (b"x", b"")]


def test_keys_that_turn_up_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are columns of the batch that has them, so that a raw row is whole; too many are refused."""
    monkeypatch.setattr(json_rows, "MOST_BROKEN", 1)
    monkeypatch.setattr(json_rows, "MOST_KEYS", 2)
    rows, broken = _read(_json(path, '{"a": 1}', '{"a": 2, "b": 3}', '{"a": 1, "c": 1, "d": 1}'), ["a"])
    assert rows == [{"#": "1", "a": "1"}, {"#": "2", "a": "2", "b": "3"}]
    assert broken == [(3, "with it there are more than 2 different keys", '{"a": 1, "c": 1, "d": 1}')]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"a": 1},\n{"a": 2}]', "one JSON array: send JSON lines"),
        ("[]", "one JSON array"),
        ('{\n"a": 1\n}', "none of the first lines is a JSON object"),
        ('{"b": 1}\n{}', "none of the first objects has a"),
    ],
)
def test_json_that_is_no_json_lines(path: Path, content: str, words: str) -> None:
    """JSON of another shape is refused in a sentence, and all of its lines can be set aside."""
    with pytest.raises(UnreadableFileError, match=words) as refusal:
        _read(_json(path, content), ["a"])
    assert refusal.value.has_lines
    lines = pl.concat(read.physical_lines(path, FILE))
    assert lines.rows() == list(enumerate(content.split("\n"), 1))


@pytest.mark.parametrize("content", [b"a,b\n1,x\n2\n", b'{"a": 1, "b": "x"}\n{"a"\n'])
def test_gzip(path: Path, content: bytes) -> None:
    """A packed file, of one part or several, reads as it would plain."""
    path.write_bytes(content)
    plain = _read(path, ["a"])
    path.write_bytes(gzip.compress(content[:5]) + gzip.compress(content[5:]))
    assert _read(path, ["a"]) == plain


@pytest.mark.parametrize("fault", ["cut off", "damaged"])
def test_a_gzip_that_cannot_be_unpacked(path: Path, fault: str) -> None:
    """The file is refused; what could be unpacked can be set aside line by line."""
    content = "a,b\n" + "".join(f"{number},{number * 7919 % 104729}\n" for number in range(200_000))
    packed = gzip.compress(content.encode())
    path.write_bytes(packed[: len(packed) // 2] if fault == "cut off" else packed[:-8] + bytes(8))
    with pytest.raises(UnreadableFileError, match=fault) as refusal:
        _read(path, ["a"])
    assert refusal.value.has_lines
    lines = pl.concat(read.physical_lines(path, FILE))["raw"].to_list()
    assert "\n".join(lines) == content[4 : 4 + len("\n".join(lines))]
    assert len(lines) == 200_000 if fault == "damaged" else 50_000 < len(lines) < 150_000


def test_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gzip that unpacks to far more than claims would is given up."""
    monkeypatch.setattr(gzip_stream, "ALWAYS_BYTES", 1 << 20)
    stream = gzip_stream.Unpacked(io.BytesIO(gzip.compress(bytes(32 << 20))))
    with pytest.raises(UnreadableFileError, match="more than 250 times its size") as refusal:
        stream.read(64 << 20)
    assert not refusal.value.has_lines


TYPED = pl.DataFrame(
    {
        "claim": ["c1", None],
        "lost_on": [datetime(2024, 2, 3), datetime(2024, 2, 4)],
        "amount": [Decimal("12.50"), Decimal("0.10")],
        "peril": pl.Series(["theft", "hail"], dtype=pl.Categorical),
        "note": pl.Series([b"caf\xc3\xa9", b"\xff"], dtype=pl.Binary),
        "count": [3.0, None],
        "seen_at": pl.Series([datetime(2024, 2, 4, 10, 0, 0, 5000, tzinfo=UTC), None]).dt.convert_time_zone(
            "Asia/Tokyo"
        ),
        "hurt": [True, False],
        "fraud": ["N", "Y"],
        "tags": [["x", 'y"'], None],
        "who": [{"name": "é", "born": date(2000, 1, 1), "raw": b"\x01"}, {"name": None, "born": None, "raw": None}],
        "share": pl.Series([0.1, float("nan")], dtype=pl.Float32),
    }
)


def test_cells_of_parquet_are_text_that_the_cast_reads_back(path: Path) -> None:
    """Each type has one text; a whole number is one even as a float, and midnight is a date."""
    TYPED.write_parquet(path)
    rows, broken = _read(path, [*CLAIM])
    assert rows[0] == {
        "#": "1",
        "claim": "c1",
        "lost_on": "2024-02-03",
        "amount": "12.50",
        "peril": "theft",
        "note": "café",
        "count": "3",
        "seen_at": "2024-02-04T10:00:00.005+00:00",
        "hurt": "true",
        "fraud": "N",
        "tags": '["x", "y\\""]',
        "who": json.dumps({"name": "é", "born": "2000-01-01", "raw": "\x01"}, ensure_ascii=False),
        "share": "0.1",
    }
    assert (rows[1]["claim"], rows[1]["tags"], rows[1]["share"], broken) == ("", "", "NaN", [])
    (batch,) = read.batches(path, FILE, TYPED.columns)
    cleaned = clean_claims(batch.lines, batch.cells, contract())
    assert cleaned.bad["reason"].to_list() == ["claim: missing; note: not UTF-8"]
    assert cleaned.good.select("amount", "count", "seen_at", "hurt").rows() == [
        (12.5, 3, datetime(2024, 2, 4, 10, 0, 0, 5000, tzinfo=UTC), True)
    ]


def test_parquet_is_read_by_the_slice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is cut, each row comes once and in its place, across row groups."""
    pl.DataFrame({"a": range(1000), "b": ["x" * 50] * 1000}).write_parquet(path, row_group_size=300)
    monkeypatch.setattr(parquet_rows, "FIRST_ROWS", 7)
    monkeypatch.setattr(parquet_rows, "SLICE_BYTES", 5000)
    batches = list(read.batches(path, FILE, ["a", "b"]))
    assert max(batch.cells.height for batch in batches) < 200
    assert [line for batch in batches for line in batch.lines] == list(range(1, 1001))
    assert [int(cell) for batch in batches for cell in batch.cells["a"]] == list(range(1000))


def test_a_parquet_file_with_many_columns(path: Path) -> None:
    """Ten thousand columns come in batches of few rows."""
    pl.DataFrame({f"c{number}": [1] * 300 for number in range(10_000)}).write_parquet(path)
    batches = list(read.batches(path, FILE, read.header(path, FILE, ["c7"])))
    assert [batch.cells.shape for batch in batches] == [(200, 10_000), (100, 10_000)]


def test_a_parquet_file_that_lacks_a_column(path: Path) -> None:
    """It is refused, and its rows can be set aside."""
    pl.DataFrame({"a": [1, 2]}).write_parquet(path)
    with pytest.raises(UnreadableFileError, match="lacks b") as refusal:
        read.header(path, FILE, ["a", "b"])
    assert refusal.value.has_lines
    assert pl.concat(read.physical_lines(path, FILE)).rows() == [(1, '{"a":"1"}'), (2, '{"a":"2"}')]


def test_a_damaged_parquet_file(path: Path) -> None:
    """It is refused in a sentence, wherever the damage is."""
    frame = pl.DataFrame({"a": range(20_000), "b": [str(number * 7919) for number in range(20_000)]})
    frame.write_parquet(path)
    content = path.read_bytes()
    for damaged in (content[:-100], content[:2000], content[:4] + b"\xff" * 3000 + content[3004:]):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableFileError, match="the Parquet file is damaged") as refusal:
            list(read.batches(path, FILE, read.header(path, FILE, ["a"])))
        assert not refusal.value.has_lines


@pytest.mark.parametrize(
    ("quote", "content", "cells"),
    [("'", b"a,b\n'1,2',x\"\n", (b"1,2", b'x"')), ("", b'a,b\n"1,x"\n', (b'"1', b'x"'))],
)
def test_another_quote(path: Path, quote: str, content: bytes, cells: tuple[bytes, ...]) -> None:
    """Another character quotes, or none does."""
    path.write_bytes(content)
    file = File.model_validate({"quote": quote})
    (batch,) = read.batches(path, file, read.header(path, file, ["a"]))
    assert batch.cells.rows() == [cells]
