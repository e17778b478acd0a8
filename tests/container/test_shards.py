"""Score in its image, by four containers at once: every claim once, whichever of them is killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from docker.models.containers import Container
from psycopg.conninfo import make_conninfo

from tests import claims_factory, models_factory
from tests.container.conftest import PLACE, Engine, Place, furnished, until
from tests.models_factory import Line
from tests.shards_factory import BATCH, CLAIMS, LEDGER, ONCE, SHARDS, SLOW, STAGE, WRITTEN, scored

PATIENCE = 120
"""Seconds for four containers to start, also beside other work."""


@dataclass(frozen=True)
class Shared:
    """A line, and where containers find it."""

    engine: Engine
    line: Line
    place: Place

    def start(self, *options: str) -> Container:
        return self.engine.start("score", "-c", STAGE, *options, place=self.place, entrypoint=["python"])

    def closing(self, running: Container) -> dict[str, Any]:
        ended = self.engine.finish(running)
        assert ended.code == 0, ended.text
        return ended.closing


@pytest.fixture
def shared(engine: Engine, postgres: str, tmp_path: Path) -> Iterator[Shared]:
    """Claims and a champion whose files stand in a folder that containers see."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE shared")
    url = make_conninfo(postgres, dbname="shared")
    with furnished(engine, tmp_path, url, claims_factory.GARAGE) as place:
        line = scored(url, tmp_path)
        line.rows(f"UPDATE models SET artifact_uri = replace(artifact_uri, '{tmp_path}', '{PLACE}')")
        clock = {"CLAIMSIGHT_AS_OF": models_factory.FIRST.isoformat()}
        yield Shared(engine, line, Place(place.folder, url, {**place.environment, **clock}))


def test_four_containers_one_killed(shared: Shared) -> None:
    """Four containers score side by side and one is killed amid its batches; another ends its work, each claim once."""
    line, place = shared.line, shared.place
    line.rows(SLOW.format(seconds=0.5))
    with place.locked("garage.predictions"):
        running = [shared.start("--shard", f"{shard}/{SHARDS}") for shard in range(SHARDS)]
        until(lambda: line.rows("SELECT count(*) FROM pg_locks WHERE NOT granted")[0]["count"] == SHARDS, PATIENCE)
    until(lambda: bool(line.rows(WRITTEN)), PATIENCE)
    running[2].kill()
    assert shared.engine.finish(running[2]).code == 137
    for shard in (0, 1, 3):
        assert shared.closing(running[shard])["message"].endswith("claims scored by model 1")
    (before,) = line.rows(ONCE)
    assert BATCH <= before["scores"] == before["once"] < before["claims"] == CLAIMS

    assert shared.closing(shared.start())["rows_out"] == CLAIMS - before["scores"]
    assert line.rows(ONCE) == [{"claims": CLAIMS, "scores": CLAIMS, "once": CLAIMS}]
    ledger = [(row["shard"], row["status"]) for row in line.rows(LEDGER)]
    assert sorted(ledger[:SHARDS]) == [("0/4", "done"), ("1/4", "done"), ("2/4", "killed"), ("3/4", "done")]
    assert ledger[SHARDS:] == [("0/1", "done")]
    assert sum(row["rows_out"] for row in line.rows(LEDGER)) == CLAIMS
