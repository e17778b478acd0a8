"""What train finds in the database before it learns."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.train.__main__ import work
from shared.database import Database
from tests.etl_factory import Etl
from tests.factories import claims, contract, csv_text, emptied


@pytest.mark.parametrize("label", [True, False], ids=["labelled", "unlabelled"])
def test_claims_after_the_clock_are_told(label: bool, tmp_path: Path, postgres: str) -> None:
    """Where every claim is dated after the clock, that is said, and neither outcomes nor claims are called missing."""
    without = {} if label else {"roles": {"label": None}, "label": None}
    url = emptied(postgres, "test_snapshot")
    with Database(url, "motor") as database:
        etl = Etl(tmp_path, database, contract(**without), url)
        etl.load("a.csv", csv_text(claims(3, lost_on="2033-02-03")))
        told = "no model: all 3 claims are dated after the clock, 2024-06-01: 2033-02-03 to 2033-02-03"
        assert work(etl.job).startswith(told)
        assert "the format of lost_on" in work(etl.job)
        etl.at(datetime(2033, 6, 1, tzinfo=UTC))
        assert "after the clock" not in (work(etl.job) if label else "")
