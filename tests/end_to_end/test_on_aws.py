"""What stages need of AWS beside the drop: files of models in S3, MLflow in Postgres, events on a bus."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared import artifacts, aws, events, sums
from shared.champion import folder_of
from shared.errors import ConfigError, ModelError, TransientError
from shared.registry import Registered, Registry, TrackedTrial
from shared.settings import EventBus, S3Prefix
from tests.factories import ROOT
from tests.s3 import S3

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _reach(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    aws.client.cache_clear()
    yield
    artifacts.release()
    aws.client.cache_clear()


@pytest.fixture
def place(s3: S3) -> S3Prefix:
    """Make a place for models."""
    return S3Prefix(s3.bucket(), "models")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write files such as a model has."""
    folder = tmp_path / "model"
    (folder / "more").mkdir(parents=True)
    (folder / "model.json").write_text('{"format": 1}')
    (folder / "more" / "trees.json").write_text("[]")
    sums.write(folder)
    return folder


def _tracking(database_url: str) -> str:
    """SQLAlchemy's word for a libpq connection string that names a socket."""
    words = dict(word.split("=", 1) for word in database_url.split())
    return f"postgresql+psycopg://{words['user']}@/{words['dbname']}?host={words['host']}"


def _register(uri: str, place: S3Prefix, model: Path) -> Registered:
    trial = TrackedTrial("logistic", {"C": 1.0}, {"average_precision": [0.5, 0.6]})
    registry = Registry(uri, place, "motor")
    return registry.register(model, [trial], {"C": 1.0}, {"frauds": 3}, {}, {}, 0, "challenger", AS_OF)


def test_models_in_s3_and_mlflow_in_postgres(place: S3Prefix, model: Path, database_url: str) -> None:
    """MLflow keeps runs and versions in Postgres by way of psycopg 3, and a model's files come back from S3."""
    uri = _tracking(database_url)
    first, second = _register(uri, place, model), _register(uri, place, model)
    assert (first.version, second.version) == (1, 2)
    assert first.artifact_uri.startswith(f"{place}/motor/{first.run_id}/")
    Registry(uri, place, "motor").mirror({"champion": 2, "challenger": None})
    folder = folder_of(second.artifact_uri, second.files_sha256)
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
        path.relative_to(model).as_posix(): path.read_bytes() for path in model.rglob("*") if path.is_file()
    }
    assert folder_of(second.artifact_uri, second.files_sha256) == folder
    artifacts.release()
    assert not folder.exists()


def test_mlflow_s_tables_are_made_by_two_at_once(database_url: str) -> None:
    """Two stages that find MLflow's database empty at the same moment both go on."""
    code = f"from shared.registry import Registry; Registry({_tracking(database_url)!r}, Path('x'), 'motor')"
    command = [sys.executable, "-c", f"from pathlib import Path; {code}"]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in started:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("model.json", b'{"format": 2}', "model.json is not as it was written"),
        ("more/trees.json", None, "more/trees.json is not there"),
        ("SHA256SUMS", None, "its files are not there"),
        ("SHA256SUMS", b"0  ../../elsewhere", "elsewhere is not there"),
        ("large.json", bytes(2000), "takes 0 MiB, more than"),
    ],
)
def test_a_model_that_is_not_as_it_was_written(
    s3: S3,
    place: S3Prefix,
    model: Path,
    name: str,
    content: bytes | None,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files that are gone, changed or too large are no model; the error says which and what to do."""
    monkeypatch.setattr(artifacts, "MOST_BYTES", 1000)
    artifacts.keep(model, place)
    if content is None:
        s3.client.delete_object(Bucket=place.bucket, Key=place.key(name))
    else:
        s3.put(place.bucket, place.key(name), content)
    with pytest.raises(ModelError, match=word):
        artifacts.fetch(place, None)


def test_what_lies_beside_a_model_is_not_read(s3: S3, place: S3Prefix, model: Path) -> None:
    """A file that was laid beside those of a model is not fetched."""
    artifacts.keep(model, place)
    s3.put(place.bucket, place.key("model.pkl"), "x")
    assert not (artifacts.fetch(place, None) / "model.pkl").exists()


def test_s3_that_is_not_there(place: S3Prefix, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without S3 a model can neither be kept nor fetched: a passing failure."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    aws.client.cache_clear()
    for attempt in (lambda: artifacts.keep(model, place), lambda: artifacts.fetch(place, None)):
        with pytest.raises(TransientError, match="S3 cannot be reached"):
            attempt()


def test_an_event_on_a_bus() -> None:
    """An event is put with its name as detail type and the line in its detail; a bus that is not there is refused."""
    bus, put = EventBus("claims"), list[dict[str, str]]()
    with pytest.raises(ConfigError, match=r"eventbridge://claims: EventBridge refuses .ResourceNotFoundException"):
        events.check(bus)
    there = aws.client("events")
    there.create_event_bus(Name=bus.name)
    events.check(bus)
    there.meta.events.register(
        "provide-client-params.events.PutEvents", lambda params, **_: put.extend(params["Entries"])
    )
    events.put(bus, "ClaimsLoaded", "motor", {"files": 2, "until": AS_OF})
    (entry,) = put
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == ("claims", "claimsight", "ClaimsLoaded")
    assert json.loads(entry["Detail"]) == {"line": "motor", "files": 2, "until": str(AS_OF)}


@pytest.mark.parametrize(("code", "kind"), [("InternalFailure", TransientError), ("AccessDenied", ConfigError)])
def test_an_event_that_is_not_taken(code: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus that takes a request and not its event fails as one that refuses the request."""
    answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "no"}]}
    monkeypatch.setattr(aws.client("events"), "put_events", lambda **_: answer)
    with pytest.raises(kind, match=f"ClaimsLoaded was not taken .{code}"):
        events.put(EventBus("claims"), "ClaimsLoaded", "motor", {})


def test_a_bus_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus that cannot be reached is a passing failure."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    aws.client.cache_clear()
    with pytest.raises(TransientError, match="EventBridge cannot be reached"):
        events.put(EventBus("claims"), "ClaimsLoaded", "motor", {})
