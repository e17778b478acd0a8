"""What investigators decide comes back as outcomes, and the next model learns from it and says from whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests import claims_factory
from tests.end_to_end.test_stages import Line, furnished

GATES = """\
min_recall_at_20_percent = 0
min_lift_top_decile_low = 0
max_calibration_error = 5
max_calibration_error_by_decile = 5
"""
TEXT = (
    claims_factory.GARAGE.replace("[outcomes]\n", '[outcomes]\nsource = "source"\n')
    .replace("[review]\n", "[training]\ntrials = 1\nmin_new_outcomes = 50\n\n[review]\n")
    .replace("min_lift_top_decile_low = 1.2\n", GATES)
    .replace("capacity_per_week = 3", "capacity_per_week = 6")
    + '\n[pull.decisions]\nfeed = "outcomes"\ntable = "siu.decisions"\nwatermark = "changed"\n'
)
FIRST, LATER = "2023-10-01", "2025-01-01"


@dataclass(frozen=True)
class Team(Line):
    """A line of business with the database of its investigators."""

    folder: Path

    def at(self, moment: str) -> Team:
        """The same line at another moment."""
        return replace(self, environment=self.environment | {"CLAIMSIGHT_AS_OF": moment})

    def decide(self, name: str, claims: list[str], verdict: str, day: str) -> None:
        """Drop a file of decisions, as a case system exports them."""
        file = self.folder / "garage" / "outcomes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{claim},{verdict},{day},investigation" for claim in claims]
        file.write_text("\n".join(["claim_id,is_fraud,decided_at,source", *rows]) + "\n")

    def learnt(self) -> dict[str, tuple[int, int]]:
        """Claims and frauds by source that the newest model learnt from, as its own file says."""
        uri = self.rows("SELECT artifact_uri FROM models ORDER BY model_version DESC LIMIT 1")[0]["artifact_uri"]
        document = json.loads((Path(uri.removeprefix("file://")) / "training.json").read_text())
        return {row["source"]: (row["claims"], row["frauds"]) for row in document["outcomes"]}


@pytest.fixture(scope="module")
def team(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A champion that has scored the claims of a day, and a table of decisions with nothing in it yet."""
    folder = tmp_path_factory.mktemp("feedback")
    made = furnished(postgres, "feedback", folder, TEXT, 1600)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE feedback_source")
    source = make_conninfo(postgres, dbname="feedback_source")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA siu")
        connection.execute(
            "CREATE TABLE siu.decisions (claim_id text, is_fraud text, decided_at timestamptz, source text, "
            "changed timestamptz)"
        )
    settings = made.environment | {"CLAIMSIGHT_SOURCE_URL": source, "CLAIMSIGHT_DROP": str(folder)}
    ready = Team(made.url, settings, folder).at(FIRST)
    for stage in ("train", "evaluate", "score"):
        ready.run(stage)
    yield ready
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE feedback_source WITH (FORCE)")


def test_decisions_reach_the_next_training(team: Team) -> None:
    """Decisions from a file and from a table, one of them corrected, count in the next training under their source."""
    assert team.learnt().keys() == {"test"}
    flagged = [
        row["claim_id"]
        for row in team.rows(f"SELECT claim_id FROM worklist_as_of('{FIRST}') WHERE flagged ORDER BY claim_id")
    ]
    assert len(flagged) >= 4
    first, second, third, last = flagged[:4]
    # Nobody but the investigators says what these were.
    team.rows(f"DELETE FROM outcomes WHERE claim_id IN ('{first}', '{second}', '{third}', '{last}')")
    team.decide("2023-10-08.csv", [first, second], "Y", "2023-10-05")
    with psycopg.connect(team.environment["CLAIMSIGHT_SOURCE_URL"], autocommit=True) as source:
        source.execute(
            "INSERT INTO siu.decisions VALUES (%s, 'Y', '2023-10-06', 'investigation', '2023-10-06'), "
            "(%s, 'N', '2023-10-06', 'litigation', '2023-10-06')",
            [third, last],
        )
        team.at("2023-10-08").run("etl")
        open_ones = team.rows("SELECT claim_id FROM worklist_as_of('2023-10-08') WHERE flagged")
        assert not {first, second, third, last} & {row["claim_id"] for row in open_ones}
        # Corrected later: one by another file, one in the table.
        team.decide("2023-11-05.csv", [second], "N", "2023-11-02")
        source.execute(
            "UPDATE siu.decisions SET is_fraud = 'N', decided_at = '2023-11-03', changed = '2023-11-03' "
            "WHERE claim_id = %s",
            [third],
        )
    later = team.at("2023-11-08")
    later.run("etl")
    decided = later.rows(
        "SELECT claim_id, is_fraud, source FROM outcomes_as_of('2023-11-08') WHERE source <> 'test' ORDER BY claim_id"
    )
    assert {row["claim_id"]: (row["is_fraud"], row["source"]) for row in decided} == {
        first: (True, "investigation"),
        **dict.fromkeys((second, third), (False, "investigation")),
        last: (False, "litigation"),
    }
    before = later.rows("SELECT is_fraud FROM outcomes_as_of('2023-11-01') WHERE source = 'investigation'")
    assert [row["is_fraud"] for row in before] == [True] * 3  # what was known then stays known then
    team.at(LATER).run("train")
    learnt = team.learnt()
    assert learnt["investigation"] == (3, 1)
    assert learnt["litigation"] == (1, 0)
    claims = team.rows("SELECT claims, mlflow_run_id FROM models ORDER BY model_version DESC LIMIT 1")[0]
    assert sum(count for count, _ in learnt.values()) == claims["claims"]
    tags = mlflow.MlflowClient(team.environment["MLFLOW_TRACKING_URI"]).get_run(claims["mlflow_run_id"]).data.tags
    assert json.loads(tags["claimsight.outcomes"]) == {source: count for source, (count, _) in learnt.items()}
    team.at(LATER).run("evaluate")
    card = team.rows("SELECT markdown FROM model_cards ORDER BY model_version DESC LIMIT 1")[0]["markdown"]
    assert "| investigation | 3 | 33.3 % |" in card


def test_scoring_is_logged_and_told(team: Team) -> None:
    """A run that scored has one entry in the log and puts one event; one that scored nothing does neither."""
    run = {row["run_id"] for row in team.rows("SELECT DISTINCT run_id FROM predictions")}
    entry = team.rows("SELECT model_version, run_id, purpose FROM access_log WHERE action = 'score'")
    assert [(row["model_version"], {row["run_id"]}) for row in entry] == [(1, run)]
    counts = team.rows(
        "SELECT count(*) AS claims, count(*) FILTER (WHERE flagged) AS flagged, count(*) FILTER (WHERE audited) "
        "AS audited FROM predictions"
    )
    lines = (team.folder / "events.jsonl").read_text().splitlines()
    told = [json.loads(line)["detail"] for line in lines if "ClaimsScored" in line]
    assert told == [{"model_version": 1, **counts[0], "alerts": 0}]
    team.run("score")
    assert len(team.rows("SELECT 1 FROM access_log WHERE action = 'score'")) == 1
    assert (team.folder / "events.jsonl").read_text().count("ClaimsScored") == 1
