"""The page of models: what it tells is what the database and the report hold; a rollback is one, for all stages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from deploy.local.report.drift import gather_drift
from shared.database import Database
from tests.console.champions import COPY, ENTRY, OLDER, let_an_older_champion_have_stood
from tests.console.conftest import AS_OF, Book, SignIn


@pytest.fixture(scope="module", name="two")
def _two(book: Book) -> Book:
    """Let a champion have stood before the book's own, which has scored nothing."""
    let_an_older_champion_have_stood(book)
    return book


def test_what_a_model_showed(two: Book, sign_in: SignIn) -> None:
    """Figures are those of its verdict, rates have intervals about them, and every feature's share is told."""
    told = sign_in("investigator").get("/api/model/1").json()
    (entry,) = two.rows("SELECT metrics, gates, threshold FROM model_history WHERE model_version = 1")
    assert told["gates"] == entry["gates"]
    assert told["threshold"] == entry["threshold"]
    for name in ("ranking", "capacity", "calibration", "curve", "caveat"):
        assert told[name] == entry["metrics"][name], name
    assert [row["frauds"] for row in told["tenths"]] == [row["frauds"] for row in entry["metrics"]["deciles"]]
    for row in told["tenths"]:
        assert row["low"] <= row["rate"] <= row["high"]
        assert row["lift_low"] <= row["lift"] <= row["lift_high"]
    top = told["tenths"][0]["lift"]
    assert top == pytest.approx(entry["metrics"]["ranking"]["lift_top_decile"]["value"])
    assert {row["feature"] for row in told["importance"]} == entry["metrics"]["importance"].keys()
    assert sum(row["share"] for row in told["importance"]) == pytest.approx(1)
    assert {row["column"] for row in told["fairness"]} == set(told["sensitive"])
    for mine, theirs in zip(told["fairness"], entry["metrics"]["fairness"], strict=True):
        assert mine["demographic_parity"] == theirs["demographic_parity"]
        for group in mine["groups"]:
            assert group["flagged"][0] <= group["flagged_share"] <= group["flagged"][1]


def test_drift_is_the_reports(two: Book, sign_in: SignIn) -> None:
    """The heat map and the verdicts are those of the report."""
    told = sign_in("auditor").get("/api/model/drift").json()
    with Database(two.url, "demo") as database:
        reported = gather_drift(database, {"model_version": 1, "metrics": {"ranking": {}}}, AS_OF)
    assert told["version"] == reported["version"] == 1
    assert [row["feature"] for row in told["shifts"]["features"]] == [
        row["feature"] for row in reported["shifts"]["features"]
    ]
    for mine, theirs in zip(told["shifts"]["features"], reported["shifts"]["features"], strict=True):
        assert mine["cells"] == [cell and cell["ratio"] for cell in theirs["cells"]]
    assert [row["verdict"] for row in told["verdicts"]] == [row["verdict"] for row in reported["verdicts"]]
    assert told["shifts"]["verdicts"][-1] == told["verdicts"][0]["verdict"]


def test_a_card_runs_nothing(two: Book, sign_in: SignIn) -> None:
    """A card has a policy of its own, by which it runs nothing and is framed by the console alone."""
    client = sign_in("investigator")
    answer = client.get("/api/model/1/card")
    (card,) = two.rows("SELECT html FROM model_cards WHERE model_version = 1")
    assert answer.text == card["html"]
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy.split("; ")
    assert "script-src" not in policy
    assert client.get(f"/api/model/{OLDER}/card").status_code == 404
    assert client.get("/api/model/99").status_code == 404


HISTORIES: list[tuple[list[tuple[str, int]], list[int]]] = [
    ([], []),
    ([("judged", 1)], [1]),
    ([("judged", 1), ("judged", 4), ("rollback", 1)], [1]),
    ([("judged", 1), ("judged", 2), ("judged", 3), ("rollback", 2), ("rollback", 1)], [1]),
    ([("judged", 1), ("judged", 2), ("rollback", 1), ("judged", 3)], [1, 3]),
    ([("judged", 1), ("judged", 2), ("override", 1), ("rollback", 2)], [1, 2]),
    ([("judged", 1), ("judged", 2), ("override", 1), ("judged", 3), ("rollback", 1)], [1, 2, 1]),
    ([("judged", 2), ("rollback", 1)], [2, 1]),
]


@pytest.mark.parametrize(("entries", "led"), HISTORIES)
def test_which_champions_led_to_the_present_one(two: Book, entries: list[tuple[str, int]], led: list[int]) -> None:
    """Going back takes off what it went back from, up to the last time that the model stood; others are added."""
    with psycopg.connect(two.url, options="-c search_path=demo,claimsight") as connection:
        connection.execute("SET session_replication_role = replica")  # passes the trigger over that lets nobody delete
        present = connection.execute("SELECT max(model_version) FROM models").fetchall()[0][0]
        for version in range(present + 1, 5):
            connection.execute(COPY.encode(), [version])
        for place, (action, version) in enumerate(entries):
            connection.execute(ENTRY.encode(), [version, AS_OF + timedelta(days=place + 1), action])
        connection.execute("DELETE FROM model_history WHERE as_of <= %s", [AS_OF])
        found = connection.execute("SELECT succession_as_of('infinity')").fetchall()
        connection.rollback()
    assert found == [(led,)]


def rollback(client: Any, standing: int = 1, reason: str = "flags every hail claim") -> Any:
    return client.post("/api/model/rollback", json={"standing": standing, "reason": reason})


def test_who_may_not_go_back(two: Book, sign_in: SignIn) -> None:
    """Other roles are refused, by the API and, where somebody gets round that, by the database."""
    for role in ("investigator", "auditor", "admin"):
        assert rollback(sign_in(role, login=f"the-{role}")).status_code == 403
    with psycopg.connect(two.console_url, autocommit=True) as connection:
        for nobody in ("the-investigator", "nobody"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT demo.console_rollback(%s, 1, 'because I can', %s)", [nobody, AS_OF])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO demo.model_history DEFAULT VALUES")
    assert two.rows("SELECT 1 FROM model_history WHERE action = 'rollback'") == []


def test_a_rollback_needs_a_reason_and_the_champion_that_stands(sign_in: SignIn) -> None:
    """A reason without letters, or a champion that does not stand, changes nothing; each is said in a sentence."""
    ada = sign_in("data_scientist", login="ada")
    assert rollback(ada, reason="no").status_code == 422
    punctuated = rollback(ada, reason="......")
    assert (punctuated.status_code, "say why" in punctuated.json()["detail"]) == (409, True)
    other = rollback(ada, standing=OLDER)
    assert (other.status_code, other.json()["detail"]) == (409, "model 2 is not the champion any more; look again")
    assert ada.get("/api/model").json()["live"]["model_version"] == 1


def test_while_evaluate_is_at_work(two: Book, sign_in: SignIn) -> None:
    """No rollback comes between a verdict's look at the champion and its entry."""
    ada = sign_in("data_scientist", login="ada")
    with psycopg.connect(two.url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('claimsight:evaluate:demo:0/1', 0))")
        answer = rollback(ada)
    assert answer.status_code == 409
    assert "at this moment" in answer.json()["detail"]


def test_a_champion_that_cannot_be_read(two: Book, sign_in: SignIn) -> None:
    """Nobody goes back to a model whose files are gone, or are others: score would stand still."""
    (kept,) = two.rows("SELECT artifact_uri FROM models WHERE model_version = %s", [OLDER])
    set_uri = "UPDATE models SET artifact_uri = %s WHERE model_version = %s"
    two.rows(set_uri, ["file:///nowhere", OLDER])
    answer = rollback(sign_in("data_scientist", login="ada"))
    two.rows(set_uri, [kept["artifact_uri"], OLDER])
    assert answer.status_code == 409
    assert "/nowhere" in answer.json()["detail"]
    other = "UPDATE models SET files_sha256 = %s WHERE model_version = %s"
    two.rows(other, ["0" * 64, OLDER])
    answer = rollback(sign_in("data_scientist", login="ada"))
    two.rows(other, [None, OLDER])
    assert answer.status_code == 409
    assert "SHA256SUMS is not as it was written" in answer.json()["detail"]
    assert two.rows("SELECT 1 FROM model_history WHERE action = 'rollback'") == []


@pytest.fixture(scope="module", name="gone_back")
def _gone_back(two: Book, sign_in: SignIn) -> Iterator[list[Any]]:
    """Two who go back at once; the answers, the better first."""
    clients = [sign_in("data_scientist", login=login) for login in ("ada", "ben")]
    with ThreadPoolExecutor(2) as pool:
        yield sorted(pool.map(rollback, clients), key=lambda answer: answer.status_code)


def test_of_two_at_once_one_goes_back(two: Book, gone_back: list[Any], sign_in: SignIn) -> None:
    """One is done and the other is told to look again; the entry bears who and why, and so does the access log."""
    assert [answer.status_code for answer in gone_back] == [200, 409]
    assert gone_back[0].json() == {"version": OLDER, "told": True}
    (entry,) = two.rows("SELECT * FROM model_history WHERE action = 'rollback'")
    assert (entry["from_version"], entry["to_version"], entry["alias"], entry["run_id"]) == (1, OLDER, "champion", None)
    assert (entry["actor"] in ("ada", "ben"), entry["reason"]) == (True, "flags every hail claim")
    (logged,) = two.rows("SELECT person, purpose, detail FROM access_log WHERE action = 'rollback'")
    assert logged == {
        "person": entry["actor"], "purpose": entry["reason"], "detail": {"from": 1, "to": OLDER},
    }  # fmt: skip
    events = [json.loads(line) for line in (two.folder / "events.jsonl").read_text().splitlines()]
    assert events[-1] == {"event": "ModelPromoted", "line": "demo", "detail": {"model_version": OLDER}}
    told = sign_in("admin").get("/api/model").json()
    assert (told["live"]["model_version"], told["before"]) == (OLDER, [])
    assert [entry["action"] for entry in told["history"]] == ["rollback", "judged", "judged"]


def test_the_stages_follow_a_rollback(two: Book, gone_back: list[Any]) -> None:
    """Evaluate's history tells of it, and the next score scores what the model that holds now has not."""
    assert gone_back
    history = two.run("evaluate", "--history").splitlines()
    assert "rollback" in history[3]
    assert history[3].endswith("flags every hail claim")
    two.run("score")
    scored = two.rows(
        "SELECT count(*) AS n FROM predictions WHERE model_version = %s AND variant = 'champion'", [OLDER]
    )
    claims = two.rows("SELECT count(*) AS n FROM claims_as_of(%s)", [AS_OF])
    assert scored[0]["n"] > 0.99 * claims[0]["n"]
    two.run("evaluate")
