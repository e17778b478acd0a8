"""What every request passes, and every answer bears."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from console.api.app import create_app
from console.api.guard import HEADERS, LARGEST_BODY
from tests.console.conftest import Book
from tests.factories import ROOT

HERE, SECRET = "http://127.0.0.1:8400", "XSECRET"


@pytest.fixture(scope="module")
def app(bare: Book, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """Give the application with a page, and with a route that fails."""
    web = tmp_path_factory.mktemp("web")
    (web / "assets").mkdir()
    (web / "index.html").write_text("<!doctype html>")
    (web / "assets" / "a.js").write_text("1")
    made = create_app(bare.settings(), web)

    async def fails(request: Request) -> None:
        raise RuntimeError(f"{SECRET} {await request.body()!r}")

    made.router.add_api_route("/api/fails", fails, methods=["GET", "POST"])
    made.router.routes.insert(0, made.router.routes.pop())
    return made


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    # As a server would have it: an exception that reached it is one that was not answered.
    with TestClient(app, base_url=HERE) as made:
        yield made


ANSWERS = {
    "a page": ("GET", "/worklist", 200),
    "a file": ("GET", "/assets/a.js", 200),
    "a file that is not there": ("GET", "/assets/b.js", 404),
    "a file elsewhere": ("GET", "/assets/..%2f..%2f..%2fetc/passwd", 404),
    "health": ("GET", "/healthz", 200),
    "nobody": ("GET", "/api/session", 401),
    "no such thing": ("GET", "/api/nothing", 404),
    "no such version": ("GET", "/v1/nothing", 404),
    "no such way": ("PUT", "/api/session", 405),
    "a failure": ("GET", "/api/fails", 500),
    "no JSON": ("POST", "/api/session", 422),
    "a page by another way": ("POST", "/worklist", 405),
}


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS.values(), ids=ANSWERS)
def test_every_answer_bears_the_headers(client: TestClient, method: str, path: str, status: int) -> None:
    """Pages, files and errors of every kind say what a browser may do with them, and not what serves them."""
    answer = client.request(method, path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "server" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers  # not over http
    assert (answer.headers.get("Cache-Control") == "no-store") == path.startswith(("/api/", "/v1/"))
    if status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_the_policy_is_strict() -> None:
    """Scripts and styles are ours alone, none inline or by eval, nobody frames a page, and no form leads elsewhere."""
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "*" not in str(policy)


def test_a_failure_tells_nothing(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the answer nor the log has a word of what was given; the log has the place."""
    with caplog.at_level(logging.INFO, "claimsight"):
        answer = client.post(f"/api/fails?who={SECRET}", content=SECRET)
    assert (answer.status_code, SECRET in answer.text, "Traceback" in answer.text) == (500, False, False)
    facts = [record.facts for record in caplog.records if hasattr(record, "facts")]
    assert SECRET not in json.dumps(facts) + caplog.text
    assert facts[0]["error"] == "RuntimeError"
    assert f"{Path(__file__).name}:" in facts[0]["at"][-1]


def test_a_line_a_request(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """Each request leaves one line: method, route, status, milliseconds and login; not what stands in the address."""
    with caplog.at_level(logging.INFO, "claimsight"):
        client.get(f"/api/session/oidc?to=/{SECRET}")
        client.put(f"/api/people/{SECRET}/roles", json={"roles": [SECRET]})
        client.get(f"/assets/{SECRET}")
    facts = [record.facts for record in caplog.records if hasattr(record, "facts")]
    assert [(line["method"], line["route"], line["status"], line["login"]) for line in facts] == [
        ("GET", "/api/session/oidc", 404, None),
        ("PUT", "/api/people/{person_id}/roles", 401, None),
        ("GET", None, 404, None),
    ]
    assert all(line["milliseconds"] > 0 for line in facts)
    assert SECRET not in json.dumps(facts)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8400", "[", "", "127.0.0.1@evil"]
)
def test_another_host(client: TestClient, host: str) -> None:
    """Who has a browser come by another name, as by rebinding a name of theirs, gets nothing."""
    for path in ("/api/session", "/", "/v1/model"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["detail"]) == (421, f"the console is at {HERE}")
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": HERE}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": HERE}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": HERE}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": HERE}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://127.0.0.1:9999"}, True),
        ({"Origin": f"{HERE}.evil.example"}, True),
    ],
)
def test_another_site(client: TestClient, headers: dict[str, str], refused: bool) -> None:
    """What another site has a browser send is refused, a sign-in too; what says nothing of it comes from no browser."""
    answer = client.post("/api/session", json={"login": "nobody", "password": "x"}, headers=headers)
    assert answer.status_code == (403 if refused else 401)


@pytest.mark.parametrize("told", [True, False], ids=["as told", "in parts"])
def test_a_body_that_is_too_large(client: TestClient, told: bool) -> None:
    """More than a megabyte is refused before it is read, or where it is read when nobody told how much it is."""
    sent = b" " * (LARGEST_BODY + 1)
    parts = (sent[at : at + 65_536] for at in range(0, len(sent), 65_536))
    answer = client.post("/api/session", content=sent if told else parts, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_a_value_that_cannot_be_kept(client: TestClient) -> None:
    """A character that Postgres keeps in no text is the sender's mistake, and no failure of ours."""
    assert client.get("/api/session/oidc/callback?state=a%00b").status_code == 404  # no provider here
    assert client.get("/api/session", headers={"Cookie": "claimsight=a%00b"}).status_code == 401


def test_as_a_process(bare: Book) -> None:
    """Served for real, no answer names what serves it, and the log is one JSON object a line, from start to end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = bare.environment() | {"CLAIMSIGHT_DATABASE_URL": bare.console_url, "CLAIMSIGHT_PORT": str(port)}
    served = subprocess.Popen(
        [sys.executable, "-m", "console.api"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=9)) as client:
            answers = [client.get(path) for path in ("/healthz", f"/api/session?who={SECRET}", "/api/nothing")]
    finally:
        served.terminate()
        said, _ = served.communicate(timeout=30)
    assert [answer.status_code for answer in answers] == [200, 401, 404]
    assert not [answer for answer in answers if "server" in answer.headers]
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["status"] for line in lines if line["message"] == "request"] == [200, 401, 404]
    assert SECRET not in said
