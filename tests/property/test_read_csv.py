"""CSV by the block is CSV line by line."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.etl import csv_lines, csv_rows
from shared.contract_parts import File

NAMES = ["a", "b", "c"]
Rows = tuple[list[tuple[int, tuple[bytes, ...]]], list[tuple[int, str, str]]]

pieces = st.sampled_from(
    [
        b",",
        b";",
        b"\t",
        b'"',
        b'""',
        b"'",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"x",
        b"\xff",
        b"\xc3\xa9",
        b"\x00",
        b"\xef\xbb\xbf",
    ]
)
fields = st.sampled_from(
    [
        b"",
        b"x",
        b'"x"',
        b'"x,y"',
        b'"x\ny"',
        b'"x ""y"""',
        b'""',
        b'"x',
        b'x"',
        b'5" x',
        b"'x,y'",
        b"\xffx",
        b" ",
        b'"\r"',
    ]
)
rows = st.lists(fields, min_size=1, max_size=4).map(b",".join)
lines = st.lists(st.tuples(rows, st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])).map(b"".join), max_size=20).map(
    b"".join
)


def _read(content: bytes, file: File, names: list[str]) -> Rows:
    batches = list(csv_rows.batches(io.BytesIO(content), file, names))
    good = [row for batch in batches for row in zip(batch.lines, batch.cells.iter_rows(), strict=True)]
    return good, [row for batch in batches for row in batch.broken.iter_rows()]


def _line_by_line(content: bytes, file: File, names: list[str]) -> Rows:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "_sound", lambda block, start, stop, file: (start, True))
        return _read(content, file, names)


@settings(deadline=None, max_examples=400)
@given(
    lines | st.lists(pieces, max_size=40).map(b"".join),
    st.sampled_from([1, 2, 3, 8, 40, 1000]),
    st.sampled_from([1, 8, 1000]),
    st.sampled_from([File(), File(), File(quote="'"), File(quote=""), File(delimiter="\t"), File(delimiter=" ")]),
    st.integers(1, 3),
)
def test_blocks_are_read_as_lines_are(content: bytes, block: int, window: int, file: File, width: int) -> None:
    """Rows, cells, numbers, broken lines and reasons are those of the careful reader, whatever the bytes."""
    content = file.delimiter.join(NAMES[:width]).encode() + b"\n" + content
    whole = _line_by_line(content, file, NAMES[:width])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK_BYTES", block)
        patch.setattr(csv_rows, "WINDOW_BYTES", window)
        patch.setattr(csv_rows, "CAREFUL_BYTES", 1)
        assert _read(content, file, NAMES[:width]) == whole


@pytest.mark.parametrize("most", [1, 3])
def test_many_broken_lines(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lines are broken, a batch holds few of them."""
    content = b"a,b\n" + b'1,x\n2\n3,"y"z\n\n' * 20
    whole = _line_by_line(content, File(), ["a", "b"])
    for module in (csv_rows, csv_lines):
        monkeypatch.setattr(module, "MOST_BROKEN", most)
    batches = list(csv_rows.batches(io.BytesIO(content), File(), ["a", "b"]))
    assert max(batch.broken.height for batch in batches) <= most + 1
    assert _read(content, File(), ["a", "b"]) == whole
