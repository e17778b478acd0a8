"""Claims of 33 columns and their outcomes, generated in Postgres: what is fraud depends on some of the columns."""

from __future__ import annotations

from pathlib import Path

import psycopg

from shared.contract import load
from shared.database import Database

CATEGORIES, LEVELS = 15, 12
DAYS = 1500
"""Over which the claims are spread evenly."""

_COUNTS = [f"count_{place}" for place in range(8)]
_AMOUNTS = [f"amount_{place}" for place in range(4)]
_KINDS = [f"kind_{place}" for place in range(CATEGORIES)]
DATES = ("lost_on", "reported_on", "insured_from")
CONTRACT = "\n".join(
    [
        'name = "bench"\ntitle = "Bench"\n[roles]\nid = "claim_id"\nevent_time = "lost_on"\nignore = ["note"]',
        "[outcomes]\n[columns]",
        *(f'{name} = {{ dtype = "text" }}' for name in ("claim_id", "note")),
        *(f'{name} = {{ dtype = "date" }}' for name in DATES),
        *(f'{name} = {{ dtype = "integer", unit = "each" }}' for name in _COUNTS),
        *(f'{name} = {{ dtype = "number" }}' for name in _AMOUNTS),
        *(f'{name} = {{ dtype = "category" }}' for name in _KINDS),
        'hurt = { dtype = "boolean", nullable = true }',
    ]
)


def fill(url: str, contract: Path, count: int) -> None:
    """Make the tables, and so many claims with their outcomes."""
    with Database(url, "bench") as database:
        database.prepare(load(contract))
    level = f"'level ' || floor({LEVELS} * random())::int"
    columns = {
        "claim_id": "'c' || n",
        "note": "'note ' || n",
        "lost_on": "day",
        "reported_on": "day + floor(30 * random())::int",
        "insured_from": "day - floor(2000 * random() ^ 2)::int",
        **dict.fromkeys(_COUNTS, "floor(100 * random())::int"),
        **dict.fromkeys(_AMOUNTS, "round(exp(7 + 2 * random() - random())::numeric, 2)"),
        **dict.fromkeys(_KINDS, level),
        "hurt": "CASE WHEN random() < 0.3 THEN NULL ELSE random() < 0.2 END",
    }
    days = (
        f"SELECT n, date '2020-01-01' + (n * {DAYS} / {count})::int AS day FROM generate_series(1, {count}::bigint) n"
    )
    risk = (
        "0.8 * ln(amount_0 / 1000) + (kind_0 = 'level 3')::int + 1.2 * (kind_1 = 'level 7' AND count_0 > 60)::int "
        "+ 0.8 * (lost_on - insured_from < 90)::int + 0.5 * coalesce(hurt, false)::int - 3.5"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            "INSERT INTO bench.claims (revision, event_time, known_at, file_id, file_line, "
            f"{', '.join(columns)}) SELECT 1, day, day, 1, n, {', '.join(columns.values())} FROM ({days}) d"
        )
        connection.execute(
            "INSERT INTO bench.outcomes (claim_id, is_fraud, decided_at, known_at, source) "
            f"SELECT claim_id, random() < 1 / (1 + exp(-({risk}))), lost_on, lost_on, 'bench' FROM bench.claims"
        )
        connection.execute("VACUUM ANALYZE bench.claims, bench.outcomes")


def day_of(url: str, place: int) -> str:
    """Day of the claim at a place, of all in the order of their events."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT event_time::date FROM bench.claims ORDER BY event_time OFFSET %s LIMIT 1", [place]
        ).fetchone()
    assert found is not None
    return str(found[0])
