"""discover reads files of any make, and refuses what is no table in one clear line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from jobs.etl.discover import sample
from jobs.etl.discover.command import discover
from shared.contract import load
from shared.errors import DataError

ROWS = [{"claim_id": f"C{number}", "amount": f"{number}.5", "note": f"Grün {number}"} for number in range(50)]


def csv_text(delimiter: str = ",", mark: str = "") -> str:
    lines = [[*ROWS[0]], *([*row.values()] for row in ROWS)]
    return "".join(delimiter.join(f"{mark}{cell}{mark}" for cell in line) + "\r\n" for line in lines)


@pytest.mark.parametrize("delimiter", [*",;\t|:^~", "#"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    """Whatever one character stands between the fields is found."""
    path = tmp_path / "x.csv"
    path.write_text(csv_text(delimiter))
    taken = sample.take(path)
    assert taken.file.delimiter == delimiter
    assert taken.cells.shape == (50, 3)


def test_space_as_delimiter(tmp_path: Path) -> None:
    """A space divides fields where nothing else does."""
    path = tmp_path / "x.csv"
    path.write_text(csv_text(" ").replace("Grün ", "Grün"))
    assert sample.take(path).file.delimiter == " "


@pytest.mark.parametrize(
    ("encoding", "told"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("latin-1", "latin-1"), ("cp1252", "latin-1")]
)
def test_encodings(tmp_path: Path, encoding: str, told: str) -> None:
    """UTF-8 with or without its mark, and Latin-1, are told apart."""
    path = tmp_path / "x.csv"
    path.write_bytes(csv_text().encode(encoding))
    taken = sample.take(path)
    assert taken.file.encoding == told
    assert taken.cells.columns == [*ROWS[0]]
    assert taken.cells["note"][3].decode() == "Grün 3"


def test_some_lines_are_not_utf8(tmp_path: Path) -> None:
    """A few garbled lines do not make the file Latin-1; that their rows will be set aside is said."""
    path = tmp_path / "x.csv"
    path.write_bytes(csv_text().encode() + "C50,1,grün\r\n".encode("latin-1"))
    taken = sample.take(path)
    assert taken.file.encoding == "utf-8"
    assert "1 lines are not UTF-8" in taken.notes[0]


def test_one_column(tmp_path: Path) -> None:
    """The commas of a single column's text divide nothing."""
    path = tmp_path / "x.csv"
    path.write_text("note\n" + "".join(f"well, it was {number}\n" for number in range(50)))
    assert sample.take(path).cells.shape == (50, 1)


def test_a_large_file_is_sampled_from_start_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large file rows of every part are read, whole ones only, and its size is told within some percent."""
    monkeypatch.setattr(sample, "WHOLE_BYTES", 100_000)
    monkeypatch.setattr(sample, "BLOCK_BYTES", 1000)
    path = tmp_path / "x.csv"
    path.write_text("claim_id,amount\n" + "".join(f"{number},{number}.5\n" for number in range(100_000, 200_000)))
    taken = sample.take(path)
    ids = taken.cells["claim_id"].cast(pl.String).cast(pl.Int64)
    assert not taken.whole
    assert taken.rows == pytest.approx(100_000, rel=0.02)
    assert (ids.min(), ids.max()) == (100_000, 199_999)
    assert ids.n_unique() == len(ids)
    assert ids.diff().max() < 4_000  # type: ignore[operator]
    assert sample.count_distinct(taken, "claim_id") == (100_000, 100_000)


def test_an_id_is_held_against_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that differs in the sample, but not in the file, is no id; what rests on the sample says so."""
    monkeypatch.setattr(sample, "WHOLE_BYTES", 100_000)
    monkeypatch.setattr(sample, "BLOCK_BYTES", 1000)
    numbers = [number % 50_000 if number % 997 > 100 else 0 for number in range(100_000)]
    path = tmp_path / "x.csv"
    path.write_text("claim_no,amount\n" + "".join(f"{number},{row % 90}.5\n" for row, number in enumerate(numbers)))
    discover(path, "line", tmp_path)
    assert load(tmp_path / "line.toml").roles.id is None
    assert "in the sample" in (tmp_path / "line.toml").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"a,b,c\n", "no row"),
        (bytes(range(256)) * 20, "not text"),
        (b"PK\x03\x04" + bytes(100), "Excel or zip"),
        (b"%PDF-1.7", "PDF"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"sep=;\na;b\n1;2\n", "sep="),
        (b"a,a,b\n1,2,3\n", "twice: 'a'"),
        (b"".join(b"%d,2024-01-02,%d.5,x\n" % (number, number) for number in range(50)), "no header"),
        (b"7,7,Smith\n" * 20, "no header"),
        (b"Report of 2024\n\na,b,c\n" + b"1,2,3\n" * 20, "no header of the 3 columns"),
        (gzip.compress(b"a,b\n1,2\n" * 1000)[:-9], "damaged|packed"),
        (b"PAR1" + bytes(50), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_table(tmp_path: Path, content: bytes, said: str) -> None:
    """A file that no contract can describe is refused in one line that says what it is."""
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as refused:
        sample.take(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("kind", ["csv.gz", "jsonl", "jsonl.gz", "parquet", "single quotes"])
def test_formats(tmp_path: Path, kind: str) -> None:
    """JSON lines, Parquet, gzip and fields in single quotes come to the same contract as plain CSV."""
    plain, path = tmp_path / "plain.csv", tmp_path / "x"
    plain.write_text(csv_text())
    lines = "\n".join(json.dumps(row | {"amount": float(row["amount"])}) for row in ROWS).encode()
    match kind:
        case "csv.gz":
            path.write_bytes(gzip.compress(plain.read_bytes()))
        case "jsonl":
            path.write_bytes(lines)
        case "jsonl.gz":
            path.write_bytes(gzip.compress(lines))
        case "parquet":
            pl.DataFrame(ROWS).with_columns(pl.col("amount").cast(pl.Float64)).write_parquet(path)
        case _:
            path.write_text(csv_text(mark="'"))
    for file, name in ((plain, "one"), (path, "two")):
        assert "keep 50 of these 50" in discover(file, name, tmp_path)
    one, two = load(tmp_path / "one.toml"), load(tmp_path / "two.toml")
    assert (one.roles, one.columns) == (two.roles, two.columns)


@pytest.mark.parametrize("kind", ["csv.gz", "jsonl", "parquet"])
def test_large_files_of_other_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Of these, too, a sample is taken from start to end."""
    monkeypatch.setattr(sample, "WHOLE_BYTES", 100_000)
    monkeypatch.setattr(sample, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(sample, "WHOLE_CELLS", 20_000)
    table, path = pl.DataFrame({"claim_id": range(100_000), "amount": [0.5] * 100_000}), tmp_path / "x"
    match kind:
        case "csv.gz":
            path.write_bytes(gzip.compress(table.write_csv().encode()))
        case "jsonl":
            table.write_ndjson(path)
        case _:
            table.write_parquet(path)
    taken = sample.take(path)
    ids = taken.cells["claim_id"].cast(pl.String).cast(pl.Int64)
    assert not taken.whole
    assert taken.rows == pytest.approx(100_000, rel=0.05)
    assert ids.min() == 0
    assert ids.max() > 95_000  # type: ignore[operator]
    assert ids.n_unique() == len(ids)
