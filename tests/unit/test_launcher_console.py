"""The check of a new console."""

# ruff: noqa: N802, N803 - methods and parameters have AWS's names

from __future__ import annotations

import io
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.launcher import console
from tests.aws_world import Refused, World

DOMAIN, KEY, DIGEST = "claims.example.com", "known-to-both", "sha256:" + "0a" * 32
VARIABLES = {
    "LOAD_BALANCER": "app/claimsight-dev-console/50dc6c495c0c9188",
    "DOMAIN": DOMAIN,
    "PORT": "8443",
    "IMAGE_DIGEST": DIGEST,
    "CHECK_KEY": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:check-key",
    "PROBE": "claimsight-dev-console-probe",
}
ANSWER = {"image_digest": DIGEST, "model_version": 3, "compared": 20, "largest_difference": 9e-7}


class Account(World):
    """A world with a load balancer, a key and a probe that answers as told."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses = ["10.64.0.5", "10.64.1.5"]
        self.said: dict[str, Any] = dict(ANSWER)
        self.crashes = False
        self.reports: list[str] = []

    def DescribeNetworkInterfaces(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:
        assert Filters == [{"Name": "description", "Values": [f"ELB {VARIABLES['LOAD_BALANCER']}"]}]
        return {"NetworkInterfaces": [{"PrivateIpAddress": address} for address in self.addresses]}

    def GetSecretValue(self, SecretId: str) -> dict[str, Any]:
        assert SecretId == VARIABLES["CHECK_KEY"]
        return {"SecretString": KEY}

    def Invoke(self, FunctionName: str, **_: object) -> dict[str, Any]:
        assert FunctionName == VARIABLES["PROBE"]
        if self.refusals and (refusal := self.refusals.pop(0)):
            assert isinstance(refusal, Refused)
            raise refusal
        error = {"FunctionError": "Unhandled"} if self.crashes else {}
        return {"Payload": io.BytesIO(json.dumps(self.said).encode()), **error}

    def PutLifecycleEventHookExecutionStatus(self, status: str, **_: object) -> None:
        self.reports.append(status)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account()
    monkeypatch.setattr(boto3, "client", lambda service, **_: account.client(service))
    monkeypatch.setattr(console, "POLL", 0.0)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return account


def _handle() -> dict[str, Any]:
    return console.handle({"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "h-1"}, None)


def test_a_console_that_scores_as_the_batch_did_gets_people(account: Account) -> None:
    """Where no probability differs by more than the tolerance CodeDeploy is told to go on."""
    assert _handle() == {"status": "Succeeded", "problems": []}
    assert account.reports == ["Succeeded"]
    (asked,) = account.called("Invoke")
    assert json.loads(asked["Payload"]) == {
        "address": "10.64.0.5",
        "port": 8443,
        "domain": DOMAIN,
        "image_digest": DIGEST,
        "key": KEY,
    }


@pytest.mark.parametrize("difference", [2e-6, 1.0, float("nan")])
def test_one_claim_scored_otherwise_fails_the_deployment(account: Account, difference: float) -> None:
    """A single probability that differs, or is none, is enough."""
    account.said["largest_difference"] = difference
    answer = _handle()
    assert (answer["status"], account.reports) == ("Failed", ["Failed"])
    assert answer["problems"][0].startswith("of 20 claims one is scored otherwise than by the batch")


def test_what_no_model_has_scored_cannot_differ(account: Account) -> None:
    """A place without a champion, or one that has scored nothing yet, can still get a console."""
    account.said = {"image_digest": DIGEST, "model_version": None, "compared": 0, "largest_difference": None}
    assert _handle()["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"said": {"problem": "the console does not answer"}}, "the console does not answer"),
        ({"said": {"errorMessage": "timed out"}, "crashes": True}, "the probe crashed: timed out"),
        ({"said": {"model_version": 3}}, "KeyError"),
        ({"said": {"model_version": 3, "compared": 20, "largest_difference": None}}, "TypeError"),
        ({"addresses": []}, "has no address"),
        ({"refusals": [Refused("TooManyRequestsException")]}, "TooManyRequestsException"),
    ],
)
def test_no_answer_is_a_failure(account: Account, change: dict[str, Any], problem: str) -> None:
    """Whatever keeps the console from being checked fails the deployment, which would wait an hour for an answer."""
    vars(account).update(change)
    answer = _handle()
    assert (answer["status"], account.reports) == ("Failed", ["Failed"])
    assert problem in answer["problems"][0]


def test_a_probe_that_was_put_aside_is_waited_for(account: Account) -> None:
    """Lambda takes a function that nobody called for weeks out of the VPC; the first calls then fail."""
    account.refusals = [Refused("ResourceConflictException"), Refused("ResourceNotReadyException")]
    assert _handle()["status"] == "Succeeded"
    assert len(account.called("Invoke")) == 3


def test_by_hand_nobody_is_told(account: Account) -> None:
    """Without a deployment the answer is the result, and CodeDeploy is not asked."""
    assert console.handle({}, None) == {"status": "Succeeded", "problems": []}
    assert account.reports == []


class Served(BaseHTTPRequestHandler):
    """Answers with the next of the server's answers, and the last of them for ever; remembers what it was asked."""

    def do_POST(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        answers = self.server.answers  # type: ignore[attr-defined]
        status, said = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said if isinstance(said, bytes) else json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key, and a certificate of the console's domain signed with it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, DOMAIN)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "console.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def served(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A console behind TLS, on loopback."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.asked, server.answers = [], [(200, ANSWER)]
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(console, "POLL", 0.0)
    yield server
    server.shutdown()
    server.server_close()


def _ask(server: Any, **changes: Any) -> dict[str, Any]:
    question = {
        "address": "127.0.0.1",
        "port": server.server_port,
        "domain": DOMAIN,
        "image_digest": DIGEST,
        "key": KEY,
    }
    return console.ask(question | changes, None)


def test_the_probe_asks_as_the_check(served: Any) -> None:
    """It connects to an address, for the domain, and shows the check's key."""
    assert _ask(served) == served.answers[0][1]
    ((path, headers),) = served.asked
    assert (path, headers["Host"], headers["Authorization"]) == (console.PATH, DOMAIN, f"Bearer {KEY}")


@pytest.mark.parametrize(
    "before",
    [(503, b""), (200, b"<html>"), (200, []), (200, {}), (200, ANSWER | {"image_digest": "sha256:other"})],
)
def test_the_probe_waits_for_the_new_console(served: Any, before: tuple[int, Any]) -> None:
    """A listener takes seconds to lead elsewhere: errors, and the console that served before, are no answer yet."""
    served.answers.insert(0, before)
    assert _ask(served) == ANSWER
    assert len(served.asked) == 2


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((500, b"claimant: A. Person"), "the console answers /v1/check with 500"),
        ((200, {"image_digest": "sha256:other"}), "another console answers"),
        ((200, b"<html>"), "JSONDecodeError"),
    ],
)
def test_the_probe_gives_up(
    served: Any, answer: tuple[int, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lasts is told, without what the console said, which may be of a person."""
    monkeypatch.setattr(console, "PATIENCE", 0.0)
    served.answers = [answer]
    told = _ask(served)["problem"]
    assert problem in told
    assert "Person" not in told


def test_the_probe_trusts_no_other_domain(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of another domain is refused before the key is sent."""
    monkeypatch.setattr(console, "PATIENCE", 0.0)
    assert "CERTIFICATE_VERIFY_FAILED" in _ask(served, domain="other.example.com")["problem"]
    assert served.asked == []


def test_a_console_that_is_away_is_told(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing listens the check ends, and says so."""
    monkeypatch.setattr(console, "PATIENCE", 0.0)
    assert "ConnectionRefusedError" in _ask(served, port=1)["problem"]
