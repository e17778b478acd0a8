"""The dirt of the generated book."""

from __future__ import annotations

import csv
import re
from datetime import date

import polars as pl
import pytest

from deploy.local.simulate.book import draw_week
from deploy.local.simulate.dirt import KINDS, csv_bytes
from deploy.local.simulate.world import create_world
from tests.book_factory import START


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1])
def test_dirty_share(share: float) -> None:
    """The share of dirty rows is the one asked for, up to chance."""
    rows = draw_week(create_world(3, START, 20_000), 0, 20_000, 0, share).rows
    assert rows["kind"].count() == pytest.approx(20_000 * share, abs=4 * (20_000 * share) ** 0.5)


@pytest.fixture(scope="module")
def spoilt() -> dict[str, list[dict[str, str]]]:
    """By kind of dirt, the rows of a very dirty file, each a dict; cells too many are under None."""
    rows = draw_week(create_world(3, START, 500), 0, 500, 0, dirty=0.8).rows
    read = csv.DictReader(csv_bytes(rows).decode("latin-1").splitlines())
    found: dict[str, list[dict[str, str]]] = {}
    for kind, row in zip(rows["kind"].fill_null("clean"), read, strict=True):
        found.setdefault(kind, []).append(row)
    return found


@pytest.mark.parametrize(
    ("kind", "column", "pattern"),
    [
        ("impossible_date", "loss_on", r"202\d-02-31"),
        ("other_date_format", "loss_on", r"\d\d/\d\d/202\d"),
        ("negative_amount", "amount", r"-\d+\.\d\d"),
        ("text_amount", "amount", r"\d+,\d\d EUR"),
        ("unknown_peril", "peril", "earthquake"),
        ("missing_claim_id", "claim_id", ""),
        ("missing_amount", "amount", ""),
        ("impossible_age", "driver_age", "240"),
        ("missing_report", "reported_on", ""),
        ("time_for_hour", "hour", r"\d+:30"),
        ("field_too_few", "hour", "None"),
        ("field_too_many", None, r"\['0'\]"),
        ("invalid_utf8", "region", "[a-z]+\xe9"),
    ],
)
def test_dirt_is_what_its_kind_says(
    spoilt: dict[str, list[dict[str, str]]], kind: str, column: str | None, pattern: str
) -> None:
    """Each kind of dirt spoils its own cell."""
    assert all(re.fullmatch(pattern, str(row[column])) for row in spoilt[kind])


def test_every_kind_of_dirt_occurs(spoilt: dict[str, list[dict[str, str]]]) -> None:
    """A very dirty file has rows of all kinds, and clean ones without any fault."""
    assert set(spoilt) == {*KINDS, "clean"}
    for row in spoilt["clean"]:
        assert None not in row
        assert None not in row.values()
        assert re.fullmatch(r"C\d{10}", row["claim_id"])
        assert date.fromisoformat(row["loss_on"]) <= date.fromisoformat(row["reported_on"])
        assert float(row["amount"]) > 0
        assert row["region"].isascii()


def test_repeated_rows_repeat_a_row_of_their_file(spoilt: dict[str, list[dict[str, str]]]) -> None:
    """A repeated row is the exact copy of a clean row of the same file."""
    assert all(row in spoilt["clean"] for row in spoilt["duplicate"])


def test_invalid_byte_is_no_utf8() -> None:
    """A file with a row of that kind cannot be decoded as UTF-8."""
    rows = draw_week(create_world(3, START, 500), 0, 500, 0, dirty=0.8).rows
    with pytest.raises(UnicodeDecodeError):
        csv_bytes(rows).decode()


def test_dirt_changes_nothing_else() -> None:
    """The share of dirt changes neither truth nor outcomes of the claims that keep their id."""
    world = create_world(3, START, 500)
    pure, soiled = draw_week(world, 4, 500, 0, dirty=0.0), draw_week(world, 4, 500, 0, dirty=0.5)
    kept = pl.col("claim_id").is_in(soiled.truth["claim_id"].implode())
    assert len(soiled.truth) < 500
    assert pure.truth.filter(kept).equals(soiled.truth)
    assert pure.outcomes.filter(kept).equals(soiled.outcomes)
