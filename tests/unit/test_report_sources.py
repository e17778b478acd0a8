"""The report's part on sources: freshness, rows by day, what senders changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local.report.sources import gather_sources
from deploy.local.report.write import LONGEST, write_report
from deploy.local.summary import collect
from shared.database import Database
from tests.etl_factory import Etl
from tests.factories import AS_OF, CLAIM, claims, contract, csv_text, emptied

JULY = datetime(2024, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def etl(tmp_path: Path, postgres: str) -> Iterator[Etl]:
    """Set up a line with an open category."""
    url = emptied(postgres, "test_report_sources")
    with Database(url, "motor") as database:
        yield Etl(tmp_path, database, contract(columns={"peril": {"dtype": "category"}}), url)


def _page(etl: Etl, as_of: datetime) -> str:
    summary = collect(etl.database, etl.contract, as_of, None)
    write_report(etl.folder / "report", etl.database, etl.contract, summary, as_of)
    return (etl.folder / "report" / "motor" / "data.html").read_text()


def test_nothing_yet(etl: Etl) -> None:
    """Without files there is nothing to say."""
    assert gather_sources(etl.database, AS_OF) == {"feeds": [], "days": [], "changes": []}
    assert "Freshness" not in _page(etl, AS_OF)


def test_freshness_days_and_changes(etl: Etl) -> None:
    """By the clock: the age of each source's newest file and event, what each day brought, and what was new."""
    etl.load("a.csv", csv_text([*claims(19), CLAIM | {"claim": "x", "amount": "dear"}]))
    etl.at(JULY)
    etl.load("b.csv", csv_text([CLAIM | {"claim": "y", "peril": "<fire>"}]))
    etl.load("c.csv", csv_text(claims(2, amount="dear")))
    sources = gather_sources(etl.database, JULY)
    (feed,) = sources["feeds"]
    assert (feed["feed"], feed["files"], feed["rejected"], feed["rows_in"], feed["rows_out"]) == (
        "claims",
        3,
        1,
        23,
        20,
    )
    assert (feed["file_age"], feed["event_age"]) == ("under an hour", "149 days")
    assert [(row["day"], row["files"], row["rejected"], row["quarantined"]) for row in sources["days"]] == [
        ("2024-07-01", 2, 1, 2),
        ("2024-06-01", 1, 0, 1),
    ]
    page = _page(etl, JULY)
    assert "column &#39;peril&#39; has a level never seen: &#39;&lt;fire&gt;&#39;" in page
    assert "dear" not in page


def test_the_clock_set_back(etl: Etl) -> None:
    """What was not read by then is not told, and a source without a loaded file was never fresh."""
    etl.load("a.csv", csv_text(claims(2, amount="dear")))
    etl.at(JULY)
    etl.load("b.csv", csv_text(claims(2)))
    (feed,) = gather_sources(etl.database, AS_OF)["feeds"]
    assert (feed["files"], feed["file_age"], feed["event_age"]) == (1, "never", "119 days")
    assert "never" in _page(etl, AS_OF)


def test_long_lists_are_cut(etl: Etl) -> None:
    """Of many changes the latest are shown, with a note how many more there are."""
    etl.load("a.csv", csv_text(claims(1)))
    etl.database.rows("UPDATE ingest_files SET changes = ARRAY(SELECT 'change ' || n FROM generate_series(1, 50) n)")
    page = _page(etl, AS_OF)
    assert f"And {50 - LONGEST} more changes." in page
    assert "change 20<" in page
    assert "change 21<" not in page
