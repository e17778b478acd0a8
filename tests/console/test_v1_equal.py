"""A claim that is scored now has the probability and the reasons that the batch gives it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from console.api.settings import from_environment
from tests.console.conftest import Book
from tests.console.systems import serving
from tests.factories import ROOT
from tests.scored_factory import CONTRACT, Scored, fleet, scored

SAME = 1e-12


@pytest.fixture(name="own_database")
def _own_database(postgres: str, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"equal_{abs(hash(request.node.name)) % 10**8}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        yield make_conninfo(postgres, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def compare(line: Scored | Book, claims: dict[str, Any], least: int) -> None:
    """Score claims by the API, given by their ids, and hold what comes against what score has stored."""
    told = {"CLAIMSIGHT_DATABASE_URL": line.console_url, "CLAIMSIGHT_API_RATE": "1000000/second"}
    settings = from_environment(line.environment() | told)
    stored = {row["claim_id"]: row for row in line.rows("SELECT * FROM predictions WHERE variant = 'champion'")}
    asked = {claim: body for claim, body in claims.items() if claim in stored}
    assert len(asked) >= least
    explained = 0
    with serving(settings) as api:
        system = api.system("score")
        for claim, body in asked.items():
            answer = system.post("/v1/score", json=body)
            assert answer.status_code == 200, answer.text
            found, wanted = answer.json(), stored[claim]
            assert found["claim_id"] == claim
            assert abs(found["fraud_probability"] - wanted["fraud_probability"]) <= SAME, claim
            assert (found["flagged"], found["model_version"]) == (wanted["flagged"], wanted["model_version"])
            if wanted["reasons"] is not None:
                assert found["reasons"] == wanted["reasons"], claim
                explained += 1
    assert explained


def test_a_line_with_columns_of_every_kind(own_database: str, tmp_path: Path) -> None:
    """With histories of four entities, a reference table, dates of two forms, corrections and pseudonyms: the same."""
    claims, files = fleet()
    line = scored(own_database, tmp_path, CONTRACT, files)
    compare(line, {claim["Claim No."]: claim for claim in claims[:30] + claims[-120:]}, 150)


def test_the_demo_book(book: Book, trained: Book) -> None:
    """With photos that were used before, five entities, and a model as train found it: the same."""
    reused = [row["claim_id"] for row in book.rows("SELECT claim_id FROM photos_reused_as_of('infinity')")]
    flagged = [
        row["claim_id"] for row in book.rows("SELECT claim_id FROM predictions WHERE flagged ORDER BY 1 LIMIT 60")
    ]
    wanted, claims = {*reused[:40], *flagged}, dict[str, Any]()
    assert reused
    for file in sorted(trained.folder.glob("drop/demo/claims/*.csv")):
        for row in csv.DictReader(file.open(encoding="utf-8", errors="replace")):
            if row["claim_id"] in wanted and None not in row:
                claims.setdefault(row["claim_id"], row)
    corrected = {row["claim_id"] for row in book.rows("SELECT claim_id FROM claims WHERE revision > 1")}
    compare(book, {claim: row for claim, row in claims.items() if claim not in corrected}, 60)


def test_real_claims(real_claims: Path, own_database: str, tmp_path: Path) -> None:
    """Vehicle claims of 1994 and 1995, whose date is in pieces and whose label stands in the file: the same."""
    text = (real_claims / "vehicle_claims_1994_1995.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    contract = (ROOT / "contracts" / "vehicle.toml").read_text()
    line = scored(own_database, tmp_path, contract, {"claims/1.csv": text})
    compare(line, {row["PolicyNumber"]: json.loads(json.dumps(row)) for row in rows[-150:]}, 100)
