"""Personal columns: stored as pseudonyms that join, and nowhere in clear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contract import Contract
from shared.database import Database
from shared.errors import ConfigError
from tests.etl_factory import Etl
from tests.factories import CLAIM, OUTCOMES, claims, contract, csv_text, emptied


@pytest.fixture
def database_url(postgres: str) -> str:
    """Empty this module's database; its connection string."""
    return emptied(postgres, "test_personal")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Connect to it."""
    with Database(database_url, "motor") as database:
        yield database


def _etl(folder: Path, database: Database, url: str, of: Contract) -> Etl:
    return Etl(folder, database, of, url)


def test_the_same_person_has_the_same_pseudonym(tmp_path: Path, database: Database, database_url: str) -> None:
    """Across files a value has one pseudonym, another value another, and none stands in the table in clear."""
    etl = _etl(tmp_path, database, database_url, contract(roles={"pii": ["note"]}))
    etl.load("a.csv", csv_text([CLAIM | {"claim": "c1", "note": "Ann"}, CLAIM | {"claim": "c2", "note": "Bob"}]))
    etl.load("b.csv", csv_text([CLAIM | {"claim": "c3", "note": "Ann"}, CLAIM | {"claim": "c4", "note": ""}]))
    first, second, third, fourth = (row[0] for row in etl.rows("SELECT note FROM claims ORDER BY claim_id"))
    assert first == third != second
    assert fourth is None
    assert not {"Ann", "Bob"} & {first, second}


def test_what_is_made_of_it_is_personal_too(tmp_path: Path, database: Database, database_url: str) -> None:
    """A derived column that reads a personal one is stored as a pseudonym, and so is a personal number."""
    derived = {"loud": {"dtype": "text", "sql": "UPPER(note)"}}
    etl = _etl(tmp_path, database, database_url, contract(roles={"pii": ["note", "count"]}, derived=derived))
    etl.load("a.csv", csv_text(claims(1)))
    ((loud, count),) = etl.rows("SELECT loud, count FROM claims")
    assert len(loud) == len(count) == 32


def test_a_personal_id(tmp_path: Path, database: Database, database_url: str) -> None:
    """Where the id itself is personal, outcomes find their claims by its pseudonym."""
    etl = _etl(
        tmp_path,
        database,
        database_url,
        contract(roles={"label": None, "pii": ["claim"]}, label=None, outcomes=OUTCOMES, columns={"fraud": None}),
    )
    etl.load("a.csv", csv_text(claims(1)))
    told = {"claim": "c1", "verdict": "Y", "decided": "2024-03-01", "known": "2024-03-02", "by": "court"}
    etl.load("o.csv", csv_text([told], OUTCOMES.values()), "outcomes")
    ((claim_id, is_fraud),) = etl.rows("SELECT claim_id, is_fraud FROM claims JOIN outcomes USING (claim_id)")
    assert (len(claim_id), is_fraud) == (32, True)


def test_no_key(tmp_path: Path, database: Database, database_url: str) -> None:
    """Without a key nothing personal is stored, and one sentence says what to do."""
    etl = _etl(tmp_path, database, database_url, contract(roles={"pii": ["note"]}))
    settings = etl.job.settings.model_copy(update={"pseudonym_key": None})
    object.__setattr__(etl.job, "settings", settings)
    with pytest.raises(ConfigError, match=r"CLAIMSIGHT_PSEUDONYM_KEY is not set, .* note; see .env.example"):
        etl.load("a.csv", csv_text(claims(1)))
    assert etl.rows("SELECT 1 FROM claims") == []
