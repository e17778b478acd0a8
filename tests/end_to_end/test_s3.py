"""The drop in S3: a real one on this machine, and one on which things go wrong."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import urllib3
from botocore.parsers import ResponseParserError

from shared import aws, storage
from shared.errors import ConfigError, TransientError
from shared.settings import S3Prefix
from shared.storage import Dropped
from tests.factories import claims, csv_text, environment, finish, run_etl, start_etl
from tests.factories import drop as drop_file
from tests.s3 import S3, SECRET, Fault, FaultyS3, Request

MANY, PAGE = 130, 50
Reach = Callable[[S3], None]


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    """Let storage in this process talk to an S3, with less patience than in earnest."""

    def to(s3: S3) -> None:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
        aws.client.cache_clear()

    monkeypatch.setattr(aws, "ATTEMPTS", 2)
    yield to
    aws.client.cache_clear()


@pytest.fixture
def drop(s3: S3, reach: Reach) -> S3Prefix:
    """Make an empty drop."""
    reach(s3)
    return S3Prefix(s3.bucket(), "drop")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go: this process has more tests that make some."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def _read(file: Dropped) -> bytes:
    with file.local() as path:
        return path.read_bytes()


def test_what_is_listed_and_read(s3: S3, drop: S3Prefix, scratch: Path) -> None:
    """Any key can be read, by its path below the drop; folders, hidden and unfinished ones are left out."""
    uris = {
        "a b.csv": "a b.csv",
        "a+b.csv": "a+b.csv",
        "100%25.csv": "100%25.csv",
        "ü/é.csv": "ü/é.csv",
        "x\ny\x01.csv": r"x\ny\x01.csv",
        "../../../etc/z.csv": "../../../etc/z.csv",
        "//q.csv": "//q.csv",
    }
    for key in [*uris, "sub/", ".hidden.csv", "sub/b.csv.part", ".."]:
        s3.put(drop.bucket, f"drop/m/claims/{key}", key)
    for elsewhere in ("drop/m/claims-old/c.csv", "m/claims/d.csv", "drop2/m/claims/e.csv"):
        s3.put(drop.bucket, elsewhere, "x")
    files = storage.listing(drop, "m/claims")
    assert [file.uri for file in files] == sorted(f"m/claims/{uri}" for uri in uris.values())
    assert {file.uri: _read(file).decode() for file in files} == {f"m/claims/{uri}": key for key, uri in uris.items()}
    assert not list(scratch.iterdir())


def test_the_whole_bucket(s3: S3, drop: S3Prefix) -> None:
    """A drop without a prefix is the bucket."""
    s3.put(drop.bucket, "m/claims/a.csv", "x")
    assert [file.uri for file in storage.listing(S3Prefix(drop.bucket, ""), "m/claims")] == ["m/claims/a.csv"]


def test_more_than_a_page_of_small_files(s3: S3, drop: S3Prefix) -> None:
    """More objects than a page holds come each once and in order, and no more of them than a few lie on the disk."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put(drop.bucket, f"drop/m/claims/{n:05}.csv", f"{n}"), range(MANY)))
    aws.client("s3").meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": PAGE}
    )
    files = storage.listing(drop, "m/claims")
    lying = 0
    with storage.fetched(files) as coming:
        for number, file in enumerate(coming):
            with file.local() as path:
                assert (file.uri, path.read_text()) == (f"m/claims/{number:05}.csv", str(number))
                lying = max(lying, sum(1 for _ in path.parent.iterdir()))
    assert number == MANY - 1
    assert 1 < lying <= storage.AHEAD_FILES
    assert not path.parent.exists()


def test_a_large_file_lies_alone(s3: S3, drop: S3Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files ahead keep to their share of the disk, and a file larger than that is fetched by itself."""
    sizes = [10, 10, 500, 10, 60, 60, 10]
    for number, size in enumerate(sizes):
        s3.put(drop.bucket, f"drop/m/{number}", b"x" * size)
    monkeypatch.setattr(storage, "AHEAD_BYTES", 100)
    with storage.fetched(storage.listing(drop, "m")) as files:
        for file, size in zip(files, sizes, strict=True):
            with file.local() as path:
                time.sleep(0.05)
                lying = [found.stat().st_size for found in path.parent.iterdir()]
                assert len(path.read_bytes()) == size
                assert lying == [500] if size == 500 else sum(lying) <= 100


def test_an_object_that_changes(s3: S3, drop: S3Prefix) -> None:
    """An object replaced or taken away since it was listed is a passing failure, fetched ahead or not."""
    for name in "abc":
        s3.put(drop.bucket, f"drop/m/{name}", "old")
    files = storage.listing(drop, "m")
    s3.put(drop.bucket, "drop/m/a", "new")
    s3.client.delete_object(Bucket=drop.bucket, Key="drop/m/b")
    with storage.fetched(files) as coming:
        for file, word in zip(coming, ("m/a changed", "m/b was taken away"), strict=False):
            with pytest.raises(TransientError, match=word):
                _read(file)
    with pytest.raises(TransientError, match="m/a changed"):
        _read(files[0])
    assert _read(files[2]) == b"old"


def test_the_etag_is_the_objects_own(s3: S3, drop: S3Prefix) -> None:
    """The same content has the same etag, another content another; nothing is fetched to tell."""
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        s3.put(drop.bucket, f"drop/m/{name}", content)
    one, same, other = (file.etag for file in storage.listing(drop, "m"))
    assert one == same != other
    assert '"' not in one


def test_no_such_bucket(drop: S3Prefix) -> None:
    """A bucket that is not there is the settings' fault, whether it is looked at or listed."""
    nowhere = S3Prefix("test-nowhere", "drop")
    for look in (lambda: storage.check(nowhere), lambda: storage.listing(nowhere, "m")):
        with pytest.raises(ConfigError, match="s3://test-nowhere/drop: no such bucket; look at CLAIMSIGHT_DROP"):
            look()
    storage.check(drop)


@pytest.mark.parametrize(
    ("fault", "request_"),
    [(fault, on) for fault in ("500", "503", "reset", "truncated", "slow") for on in ("object", "listing")]
    + [("shortened", "object")],
)
def test_a_passing_fault(
    s3: S3, faulty_s3: FaultyS3, drop: S3Prefix, reach: Reach, fault: Fault, request_: Request
) -> None:
    """What goes wrong is tried again, and the content is whole."""
    content = bytes(range(256)) * 1000
    s3.put(drop.bucket, "drop/m/a", content)
    reach(faulty_s3)
    faulty_s3.inject(fault, 1, request_)
    (file,) = storage.listing(drop, "m")
    assert _read(file) == content
    assert faulty_s3.left() == 0


@pytest.mark.parametrize("fault", ["500", "503", "reset", "truncated", "slow"])
def test_a_lasting_fault(
    s3: S3,
    faulty_s3: FaultyS3,
    drop: S3Prefix,
    reach: Reach,
    fault: Fault,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What goes on going wrong is a passing failure in one line without secrets."""
    s3.put(drop.bucket, "drop/m/a", "x" * 1000)
    (file,) = storage.listing(drop, "m")
    monkeypatch.setattr(aws, "READ_SECONDS", 0.2)
    reach(faulty_s3)
    for request in ("object", "listing"):
        faulty_s3.inject(fault, 50, request)
    with caplog.at_level(logging.INFO):
        for look in (lambda: _read(file), lambda: storage.listing(drop, "m"), lambda: storage.check(drop)):
            with pytest.raises(TransientError) as caught:
                look()
            assert len(str(caught.value).splitlines()) == 1
            assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("AccessDenied", "s3:ListBucket"),
        ("ExpiredToken", "credentials"),
        ("SignatureDoesNotMatch", "credentials"),
    ],
)
def test_a_refusal(s3: S3, faulty_s3: FaultyS3, drop: S3Prefix, reach: Reach, fault: Fault, word: str) -> None:
    """What S3 does not allow is the settings' fault, in one line that says what to do and repeats none of its words."""
    s3.put(drop.bucket, "drop/m/a", "x")
    (file,) = storage.listing(drop, "m")
    reach(faulty_s3)
    for request in ("object", "listing"):
        faulty_s3.inject(fault, 1, request)
    for look in (lambda: _read(file), lambda: storage.check(drop)):
        with pytest.raises(ConfigError, match=word) as caught:
            look()
        assert len(str(caught.value).splitlines()) == 1
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("error", [urllib3.exceptions.SSLError("bad record mac"), ResponseParserError("no XML")])
def test_other_ways_to_fail(drop: S3Prefix, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """What breaks below boto3, or answers and is no S3, is a passing failure too."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(aws.client("s3"), "list_objects_v2", fail)
    with pytest.raises(TransientError, match=f"cannot be reached .{type(error).__name__}"):
        storage.check(drop)


def test_nobody_there(drop: S3Prefix, reach: Reach) -> None:
    """An endpoint that does not answer is a passing failure."""
    reach(S3("http://127.0.0.1:1"))
    with pytest.raises(TransientError, match="cannot be reached"):
        storage.check(drop)


def test_etl_from_s3(tmp_path: Path, database_url: str, s3: S3, faulty_s3: FaultyS3) -> None:
    """Etl loads a drop in S3 as it does a folder, over some faults; again it finds nothing new, changed it replaces."""
    bucket = s3.bucket()
    for number in range(5):
        text = csv_text(claims(20)).replace("\nc", f"\nf{number}-")
        s3.put(bucket, f"the drop/motor/claims/{number} + %.csv", text)
    settings = environment(tmp_path, database_url) | faulty_s3.environment
    settings["CLAIMSIGHT_DROP"] = f"s3://{bucket}/the drop/"
    for fault in ("500", "503", "truncated"):
        faulty_s3.inject(fault)
    code, log = run_etl(settings)
    assert (code, log[-1]["message"], log[-1]["rows_out"]) == (0, "5 files loaded", 100)
    assert faulty_s3.left() == 0
    code, log = run_etl(settings)
    assert (code, log[-1]["message"]) == (0, "no new files; nothing to do")
    s3.put(bucket, "the drop/motor/claims/0 + %.csv", csv_text(claims(10)))
    assert run_etl(settings)[0] == 0
    with psycopg.connect(database_url) as connection:
        query = "SELECT count(*) FROM motor.claims WHERE superseded_at IS NULL"
        assert connection.execute(query).fetchone() == (90,)
        loaded = connection.execute("SELECT uri FROM motor.ingest_files WHERE status = 'loaded' ORDER BY uri")
        assert [uri for (uri,) in loaded] == [f"motor/claims/{number} + %.csv" for number in range(5)]
    code, log = run_etl(settings | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert code == 75
    assert not any(SECRET in str(line) or "traceback" in line for line in log)


def test_a_drop_that_moves_to_s3(tmp_path: Path, database_url: str, s3: S3) -> None:
    """The files of a folder, found again in a bucket by other ETags, change no row."""
    bucket, text = s3.bucket(), csv_text(claims(20))
    drop_file(tmp_path, "a.csv", text)
    s3.put(bucket, "motor/claims/a.csv", text)
    settings = environment(tmp_path, database_url) | s3.environment
    for place in (settings["CLAIMSIGHT_DROP"], f"s3://{bucket}"):
        code, log = run_etl(settings | {"CLAIMSIGHT_DROP": place})
        assert (code, log[-1]["message"]) == (0, "1 files loaded")
    with psycopg.connect(database_url) as connection:
        query = "SELECT count(*), max(revision), count(superseded_at) FROM motor.claims"
        assert connection.execute(query).fetchone() == (20, 1, 0)
        uris = connection.execute("SELECT uri, status FROM motor.ingest_files ORDER BY file_id").fetchall()
    assert uris == [("motor/claims/a.csv", "replaced"), ("motor/claims/a.csv", "loaded")]


def test_sigterm_while_s3_is_slow(tmp_path: Path, database_url: str, s3: S3, faulty_s3: FaultyS3) -> None:
    """Told to stop while it waits for S3, etl leaves with 143 within five seconds, and nothing on the disk."""
    bucket = s3.bucket()
    for number in range(40):
        s3.put(bucket, f"motor/claims/{number}.csv", csv_text(claims(1)))
    settings = environment(tmp_path, database_url) | faulty_s3.environment
    (tmp_path / "scratch").mkdir()
    faulty_s3.inject("slow", 40)
    process = start_etl(settings | {"CLAIMSIGHT_DROP": f"s3://{bucket}", "TMPDIR": str(tmp_path / "scratch")})
    while faulty_s3.left() == 40 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code, log = finish(process, timeout=5)
    assert (code, log[-1]["status"]) == (143, "stopped")
    assert not list((tmp_path / "scratch").iterdir())


def test_check_looks_at_the_drop(tmp_path: Path, database_url: str, s3: S3) -> None:
    """``--check`` fails with the settings' code where the drop cannot be listed."""
    settings = environment(tmp_path, database_url) | s3.environment
    assert run_etl(settings, "--check")[0] == 0
    assert run_etl(settings | {"CLAIMSIGHT_DROP": f"s3://{s3.bucket()}"}, "--check")[0] == 0
    code, log = run_etl(settings | {"CLAIMSIGHT_DROP": "s3://test-nowhere"}, "--check")
    assert (code, "no such bucket" in log[-1]["message"]) == (78, True)
