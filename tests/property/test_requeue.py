"""What holds for every book: it does not matter whether the contract was right from the start or mended later."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.etl.requeue import requeue
from shared.contract import Contract
from shared.database import Database
from tests.etl_factory import Etl
from tests.factories import CLAIM, contract, csv_text, emptied

HAIL = ("theft", "hail", "flood")
JULY = datetime(2024, 7, 1, tzinfo=UTC)


def _load(folder: Path, postgres: str, files: list[list[dict[str, str]]], first: Contract, then: Contract) -> list[Any]:
    """Load files under a contract and requeue them under another; the current claims, and what holds of their fraud."""
    folder.mkdir()
    url = emptied(postgres, "test_requeue_property")
    with Database(url, "motor") as database:
        etl = Etl(folder, database, first, url)
        for number, rows in enumerate(files):
            etl.load(f"{number}.csv", csv_text(rows))
        etl.contract = then
        etl.at(JULY)
        requeue(etl.job)
        (account,) = etl.rows(
            "SELECT (SELECT count(*) FROM claims_quarantine) AS kept, sum(quarantined)::int AS told, "
            "sum(rows_in - rows_out)::int AS out FROM ingest_files"
        )
        assert len(set(account)) == 1
        return [
            etl.rows("SELECT claim_id, amount, peril FROM claims WHERE superseded_at IS NULL ORDER BY 1"),
            etl.rows("SELECT claim_id, is_fraud FROM outcomes_as_of('infinity') ORDER BY 1"),
        ]


@pytest.mark.parametrize("seed", range(4))
def test_as_if_the_contract_had_always_been_so(tmp_path: Path, postgres: str, seed: int) -> None:
    """Files loaded too strictly and then requeued come to the same current claims and outcomes as loaded at once."""
    draw = random.Random(seed)
    files = [
        [
            CLAIM
            | {"claim": f"c{number}", "peril": draw.choice(["theft", "hail", "flood"]), "fraud": draw.choice("YN")}
            | {"amount": draw.choice(["1", "2", "dear"] if draw.random() < 0.5 else ["3"])}
            for number in draw.sample(range(30), 20)
        ]
        for _ in range(4)
    ]
    lenient = contract(file={"reject_limit": 0.6}, columns={"peril": {"dtype": "category", "levels": HAIL}})
    strict = contract(file={"reject_limit": draw.choice([0.2, 0.6])})
    found = [_load(tmp_path / str(n), postgres, files, first, lenient) for n, first in enumerate((lenient, strict))]
    assert found[0] == found[1]
    assert found[0][0]
