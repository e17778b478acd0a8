"""The API for other systems: who is let in, what is refused and how, what is kept, and what it tells of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from console.api.add_person import add_person
from console.api.keys import create_key, list_keys, revoke_key
from console.api.problems import ProblemError
from console.api.settings import from_environment
from tests.console.systems import Api, serving
from tests.scored_factory import CONTRACT, Scored, fleet, scored

CLAIMS, FILES = fleet(300)
CLAIM = CLAIMS[-1]


@pytest.fixture(scope="module", name="line")
def _line(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE test_v1")
        yield scored(make_conninfo(postgres, dbname="test_v1"), tmp_path_factory.mktemp("v1"), CONTRACT, FILES)
        connection.execute("DROP DATABASE test_v1 WITH (FORCE)")


@pytest.fixture(scope="module", name="api")
def _api(line: Scored) -> Iterator[Api]:
    settings = line.environment() | {"CLAIMSIGHT_DATABASE_URL": line.console_url}
    with serving(from_environment(settings)) as api:
        yield api


def new(number: int, **cells: Any) -> dict[str, Any]:
    """A claim that nobody has stored."""
    return CLAIM | {"Claim No.": f"new {number}"} | cells


def test_every_mistake_is_told_by_its_field(api: Api) -> None:
    """A claim that breaks the contract in several cells is told of each, by the sender's header, and of no value."""
    broken = new(1, **{"Claim No.": "", "amount": "secret1", "peril": "secret2", "insured_on": "secret3"})
    answer = api.system("score").post("/v1/score", json=broken)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert sorted(answer.json()["errors"], key=lambda error: error["field"]) == [
        {"field": "Claim No.", "message": "missing"},
        {"field": "amount", "message": "not a number"},
        {"field": "insured_on", "message": "not a date of the form %d.%m.%Y"},
        {"field": "peril", "message": "not one of the levels"},
    ]
    assert "secret" not in answer.text


def test_a_number_counts_as_it_is_written(api: Api) -> None:
    """Numbers, text that is a number, and booleans are the cells that a file would hold; 1.0 is no whole number."""
    system = api.system("score")
    plain = system.post("/v1/score", json=new(2, branch=3, hurt=True)).json()
    assert system.post("/v1/score", json=new(2, branch="3", hurt="yes")).json() == plain
    fault = {"field": "branch", "message": "not an integer"}
    assert system.post("/v1/score", json=new(2, branch=3.0)).json()["errors"] == [fault]


def test_a_claim_that_is_scored_leaves_an_entry_and_nothing_else(api: Api, line: Scored) -> None:
    """The log names the system, the claim and the model; no table of claims or scores grows."""
    query = "SELECT (SELECT count(*) FROM claims) AS c, (SELECT count(*) FROM predictions) AS p"
    before = line.rows(query)
    assert api.system("score", system="claims-desk").post("/v1/score", json=new(3)).status_code == 200
    (entry,) = line.rows("SELECT * FROM access_log WHERE subject = 'new 3'")
    assert (entry["action"], entry["person"], entry["who"], entry["model_version"]) == (
        "api_score",
        "claims-desk",
        "test_scored",
        1,
    )
    assert line.rows(query) == before


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"a": NaN}', "application/json", 422),
        (b"[1]", "application/json", 422),
        (b'"claim"', "application/json", 422),
        (b'{"a": 1, "a": 2}', "application/json", 422),
        (b"[" * 60_000, "application/json", 400),
        (b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "application/json", 400),
        (b'{"a": "' + b"x" * 70_000 + b'"}', "application/json", 413),
        (b"a=1", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
        (json.dumps(new(4, who="\ud800")).encode(), "application/json", 422),
        (json.dumps(new(4, who="\x00")).encode(), "application/json", 422),
        (json.dumps(new(4, branch=10**400)).encode(), "application/json", 422),
        (json.dumps(new(4, garage="g" * 60_000)).encode(), "application/json", 200),
    ],
)
def test_whatever_is_sent(api: Api, body: bytes, kind: str, status: int) -> None:
    """What cannot be read is refused in a sentence, and what can be read is scored."""
    answer = api.system("score").post("/v1/score", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["detail"]


def test_keys(api: Api) -> None:
    """No key, a wrong one, one without the scope and one that was revoked open nothing; a list shows no key."""
    assert api.client.post("/v1/score", json=CLAIM).status_code == 401
    wrong = {"Authorization": "Bearer cs_wrong"}
    answer = api.client.post("/v1/score", json=CLAIM, headers=wrong)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    for method, place in (("POST", "score"), ("POST", "check"), ("GET", "alerts"), ("GET", "decisions")):
        assert api.system("model").request(method, f"/v1/{place}").status_code == 403
    assert api.system("alerts").get("/v1/model").status_code == 403
    ending = api.system("model", system="ending")
    (listed, *_) = api.call(list_keys, api.app.state.store)
    assert (listed["system"], listed["scopes"], listed["revoked_at"]) == ("ending", ["model"], None)
    assert ending.headers["Authorization"].removeprefix("Bearer ") not in str(listed)
    assert api.call(revoke_key, api.app.state.store, listed["key_id"], "ada")
    assert not api.call(revoke_key, api.app.state.store, listed["key_id"], "ada")
    assert ending.get("/v1/model").status_code == 401


@pytest.mark.parametrize(
    ("system", "scopes", "status"),
    [("ada", ["score"], 409), ("Claims Core", ["score"], 422), ("x", [], 422), ("x", ["everything"], 422)],
)
def test_keys_that_are_not_made(api: Api, system: str, scopes: list[Any], status: int) -> None:
    """None bears the name of a person, a name that no log should hold, or scopes that there are not."""
    api.call(add_person, api.app.state.store, "ada", "Ada", ["admin"], "a password for tests")
    with pytest.raises(ProblemError) as refused:
        api.call(create_key, api.app.state.store, system, scopes, "ada")
    assert refused.value.status == status


def test_the_database_itself_asks_for_the_key(api: Api, line: Scored) -> None:
    """With the console's own login nothing is read for a key that lacks the scope, nor without a ticket of its own."""
    api.key("model", system="weak")
    (key,) = line.rows("SELECT key_id FROM api_keys WHERE system = 'weak'")
    with psycopg.connect(line.console_url, autocommit=True, options="-c search_path=fleet") as connection:
        for query in (
            f"SELECT api_ask({key['key_id']}, 'weak', 'alerts')",
            f"""SELECT api_past(now(), 1, '[{{"key": {key["key_id"]}, "system": "weak", "claim_id": "c1"}}]')""",
            f"SELECT api_decide({key['key_id']}, 'weak', now(), 'c1', true, NULL)",
            "SELECT api_alerts('weak', 1, now(), NULL, NULL, NULL, 10)",
            "SELECT past_of_claims(now(), '[{}]')",
            "SELECT * FROM api_answers",
            "SELECT * FROM claims",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)  # type: ignore[arg-type]


def test_too_often(line: Scored) -> None:
    """Beyond its rate a key is told to wait, and others are not."""
    settings = line.environment() | {"CLAIMSIGHT_DATABASE_URL": line.console_url, "CLAIMSIGHT_API_RATE": "3/hour"}
    with serving(from_environment(settings)) as api:
        eager, other = api.system("model"), api.system("model")
        assert [eager.get("/v1/model").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert eager.get("/v1/model").headers["Retry-After"]
        assert other.get("/v1/model").status_code == 200


def test_a_request_that_is_sent_again(api: Api, line: Scored) -> None:
    """With the same Idempotency-Key it is answered as before and done once; with another body it is refused."""
    system, headers = api.system(), {"Idempotency-Key": "d-1"}
    body = {"claim_id": CLAIMS[40]["Claim No."], "decision": "fraud"}
    first, again = (system.post("/v1/decisions", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    other = system.post("/v1/decisions", json=body | {"decision": "not_fraud"}, headers=headers)
    assert other.status_code == 409
    query = "SELECT count(*) AS n FROM outcomes WHERE source = 'claims-core' AND claim_id = %s"
    assert line.rows(query, [body["claim_id"]]) == [{"n": 1}]
    assert api.system().post("/v1/decisions", json=body, headers=headers).status_code == 201  # another key's own name
    for bad in ("", "a b", "x" * 256):
        assert system.post("/v1/score", json=new(5), headers={"Idempotency-Key": bad}).status_code == 400
    refused = {"Idempotency-Key": "s-1"}
    assert system.post("/v1/score", json=new(5, amount="x"), headers=refused).status_code == 422
    assert system.post("/v1/score", json=new(5), headers=refused).status_code == 200  # what failed is not kept


def test_alerts_page_by_page(api: Api, line: Scored) -> None:
    """All open flagged claims come once, in order, with their reasons; what is decided is no longer among them."""
    system, found, cursor = api.system("alerts", "decisions"), list[dict[str, Any]](), None
    while True:
        told = system.get("/v1/alerts", params={"limit": 7} | ({"cursor": cursor} if cursor else {})).json()
        found += told["alerts"]
        cursor = told["next"]
        if cursor is None:
            break
    wanted = line.rows("SELECT * FROM worklist_as_of('2025-01-01') WHERE flagged ORDER BY claim_id")
    assert [alert["claim_id"] for alert in found] == [row["claim_id"] for row in wanted]
    assert all(alert["reasons_in_words"] for alert in found)
    assert all(reason["feature"] != "sex" for alert in found for reason in alert["reasons"])
    assert system.get("/v1/alerts", params={"since": "2025-06-01"}).json() == {"alerts": [], "next": None}
    run = "UPDATE job_runs SET ended_at = started_at + interval '1 day' WHERE stage = 'score'"
    line.rows(run)  # so that it was under way
    amid = system.get("/v1/alerts", params={"since": "2025-01-02", "limit": 1000}).json()["alerts"]
    assert amid == found
    assert system.get("/v1/alerts", params={"since": "2025-01-02T00:00:01"}).json()["alerts"] == []
    assert system.get("/v1/alerts", params={"cursor": "Zm9v"}).status_code == 422
    decided = {"claim_id": found[0]["claim_id"], "decision": "not_fraud"}
    assert system.post("/v1/decisions", json=decided).status_code == 201
    rest = system.get("/v1/alerts", params={"limit": 1000}).json()["alerts"]
    assert [alert["claim_id"] for alert in rest] == [alert["claim_id"] for alert in found[1:]]
    (entry,) = line.rows("SELECT detail FROM access_log WHERE action = 'api_alerts' AND ticket IS NOT NULL "
                         "ORDER BY entry_id DESC LIMIT 1")  # fmt: skip
    assert entry["detail"] == {"rows": len(rest)}


def test_decisions(api: Api, line: Scored) -> None:
    """A decision becomes an outcome of the system, known from now on; garbage does not."""
    system, claim = api.system("decisions", system="siu"), CLAIMS[50]["Claim No."]
    told = system.post("/v1/decisions", json={"claim_id": claim, "decision": "fraud", "decided_at": "2024-12-30"})
    assert told.status_code == 201
    (row,) = line.rows("SELECT * FROM outcomes WHERE source = 'siu'")
    assert (row["claim_id"], row["is_fraud"], row["actor"], row["file_id"]) == (claim, True, "siu", None)
    assert row["known_at"].isoformat() == "2025-01-01T00:00:00+00:00"
    listed = system.get("/v1/decisions", params={"limit": 1000}).json()["decisions"]
    assert told.json() in listed
    for body, status in (
        ({"claim_id": "nobody's", "decision": "fraud"}, 404),
        ({"claim_id": claim, "decision": "fraud", "decided_at": "2026-01-01"}, 422),
        ({"claim_id": claim, "decision": "perhaps"}, 422),
        ({"claim_id": claim, "decision": "fraud", "why": "x"}, 422),
        ({"claim_id": "a\x00b", "decision": "fraud"}, 422),
        ({"decision": "fraud"}, 422),
    ):
        assert system.post("/v1/decisions", json=body).status_code == status, body


def test_decisions_of_a_late_file_are_new(api: Api, line: Scored) -> None:
    """Who asks for what came since is told of a decision entered since, though it was known long before."""
    system = api.system("decisions")

    def told(since: str) -> set[int]:
        params = {"since": since, "limit": 1000}
        return {row["decision_id"] for row in system.get("/v1/decisions", params=params).json()["decisions"]}

    line.rows("UPDATE outcomes SET entered_at = '2025-03-01'")
    line.rows("UPDATE job_runs SET started_at = '2025-02-01', ended_at = '2025-03-02' WHERE stage = 'etl'")
    first = "outcome_id = (SELECT min(outcome_id) FROM outcomes)"
    (late,) = line.rows(f"UPDATE outcomes SET entered_at = '2025-04-01' WHERE {first} RETURNING outcome_id, known_at")
    assert late["known_at"].year < 2025
    assert told("2025-03-31") == {late["outcome_id"]}
    assert told("2025-04-01T00:00:59") == {late["outcome_id"]}  # it may have been seen a while after it was entered
    assert told("2025-04-01T00:01:01") == set()
    everything = {
        row["outcome_id"] for row in line.rows("SELECT outcome_id FROM outcomes WHERE known_at <= '2025-01-01'")
    }
    assert told("2025-03-01T12:00:00") == everything  # etl was loading them then


def test_a_release_is_checked(api: Api) -> None:
    """Claims that the batch scored come out the same by the way of single ones."""
    assert api.system("check").post("/v1/check").json() == {
        "compared": 20,
        "largest_difference": 0.0,
        "model_version": 1,
        "image_digest": "none",
    }


def test_a_new_champion_is_noticed(api: Api, line: Scored) -> None:
    """Once it is promoted, it scores within seconds; one that cannot be read leaves the one before at work."""
    system = api.system("score", "model")
    assert system.post("/v1/score", json=new(6)).json()["model_version"] == 1
    line.promote(2, rounds=5)
    until = time.monotonic() + 20
    while system.post("/v1/score", json=new(6)).json()["model_version"] == 1:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert system.get("/v1/model").json()["model_version"] == 2
    (line.folder / "model-2" / "model.json").rename(line.folder / "model-2" / "gone.json")
    assert system.post("/v1/score", json=new(6)).json()["model_version"] == 2
    line.rows(
        "INSERT INTO model_history (model_version, alias, actor, reason, threshold, metrics, gates, as_of, run_id, "
        "action) SELECT 1, 'champion', 'test', 'back', threshold, metrics, gates, as_of, run_id, 'rollback' "
        "FROM model_history WHERE model_version = 1"
    )
    until = time.monotonic() + 20
    while system.post("/v1/score", json=new(6)).json()["model_version"] == 2:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_champion_whose_files_are_not_those_registered(line: Scored) -> None:
    """A console that starts says which file of the champion was changed, and serves on."""
    file = line.folder / "model-1" / "trees-0.json"
    kept = file.read_text()
    file.write_text(kept.replace("-", "", 1))
    with serving(from_environment(line.environment() | {"CLAIMSIGHT_DATABASE_URL": line.console_url})) as api:
        answer = api.system().post("/v1/score", json=CLAIM)
        assert answer.status_code == 503
        assert "trees-0.json is not as it was written" in answer.json()["detail"]
        assert api.system().get("/v1/model").status_code == 200
    file.write_text(kept)


def test_no_champion_and_a_stop(line: Scored) -> None:
    """Before any promotion, and while drift has stopped scoring, a claim is refused in a sentence that says so."""
    settings = line.environment() | {"CLAIMSIGHT_DATABASE_URL": line.console_url}
    with serving(from_environment(settings | {"CLAIMSIGHT_AS_OF": "2024-06-01"})) as early:
        answer = early.system().post("/v1/score", json=CLAIM)
        assert (answer.status_code, "no model has been promoted" in answer.json()["detail"]) == (503, True)
        assert early.system().get("/v1/model").status_code == 503
    line.rows(
        "INSERT INTO stops (action, model_version, window_end, actor, reason, as_of, run_id) "
        "SELECT 'stop', 1, as_of, 'drift', 'amount is empty', as_of, run_id FROM models WHERE model_version = 1"
    )
    with serving(from_environment(settings)) as stopped:
        answer = stopped.system().post("/v1/score", json=CLAIM)
        assert (answer.status_code, "amount is empty" in answer.json()["detail"]) == (503, True)
