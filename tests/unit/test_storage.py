"""The drop as a local folder, and what is the same for one in S3."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared import aws, storage
from shared.errors import ConfigError, TransientError
from shared.settings import S3Prefix
from tests.factories import ROOT


def _put(drop: Path, name: str, content: bytes = b"x") -> Path:
    path = drop / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_finished_files_below_the_prefix_by_uri(tmp_path: Path) -> None:
    """Hidden and unfinished files, and those of a prefix that only begins alike, are left out; the rest is in order."""
    for name in (
        "m/claims/b/1.csv",
        "m/claims/b-1.csv",
        "m/claims/.a.csv",
        "m/claims/c.csv.part",
        "m/claims-old/d.csv",
    ):
        _put(tmp_path, name)
    assert [file.uri for file in storage.listing(tmp_path, "m/claims")] == ["m/claims/b-1.csv", "m/claims/b/1.csv"]


def test_names_of_strangers(tmp_path: Path) -> None:
    """A name keeps what can be printed; the rest is escaped, no two names become one, and the file can be read."""
    names = [b"a b+%20.csv", "ü.csv".encode(), b"x\ny.csv", b"x\\ny.csv", b"\xff.csv"]
    for name in names:
        _put(tmp_path, "m/" + os.fsdecode(name), name)
    found = {file.uri: file for file in storage.listing(tmp_path, "m")}
    assert set(found) == {"m/a b+%20.csv", "m/ü.csv", r"m/x\ny.csv", r"m/x\\ny.csv", r"m/\udcff.csv"}
    with found[r"m/x\ny.csv"].local() as path:
        assert path.read_bytes() == b"x\ny.csv"


def test_etag_is_the_content(tmp_path: Path) -> None:
    """The etag is the SHA-256 of the content, whatever its name."""
    _put(tmp_path, "m/a.csv", b"same")
    _put(tmp_path, "m/b.csv", b"same")
    assert {file.etag for file in storage.listing(tmp_path, "m")} == {hashlib.sha256(b"same").hexdigest()}


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """A file that is written to, or taken away, while it is read is a passing failure."""
    path = _put(tmp_path, "m/a.csv")
    (file,) = storage.listing(tmp_path, "m")
    with pytest.raises(TransientError, match=r"m/a\.csv changed while it was read"), file.local():
        path.write_bytes(b"longer")
    with pytest.raises(TransientError, match=r"m/a\.csv changed while it was read"), file.local() as lent:
        path.unlink()
        lent.read_bytes()


def test_no_such_folder(tmp_path: Path) -> None:
    """A drop that is not there is the settings' fault, whether it is looked at or listed; an absent prefix is none."""
    assert storage.listing(tmp_path, "nothing") == []
    storage.check(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        storage.check(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no such folder"):
        storage.listing(tmp_path / "nowhere", "m")


def test_files_of_a_folder_need_no_fetching(tmp_path: Path) -> None:
    """A folder's files are read where they are, in their order."""
    paths = [_put(tmp_path, f"m/{name}") for name in "abc"]
    with storage.fetched(storage.listing(tmp_path, "m")) as files:
        for file, expected in zip(files, paths, strict=True):
            with file.local() as path:
                assert path == expected


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({}, "NoCredentialsError"),
        ({"AWS_PROFILE": "nobody"}, "ProfileNotFound"),
        ({"AWS_ENDPOINT_URL": "not a URL"}, "AWS_ENDPOINT_URL"),
        ({"AWS_ACCESS_KEY_ID": "key"}, "PartialCredentialsError"),
    ],
)
def test_what_the_environment_gets_wrong(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], word: str) -> None:
    """Missing credentials, an unknown profile, an endpoint that is no URL: each one line that names it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    nothing = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    for name, value in ({"AWS_SHARED_CREDENTIALS_FILE": os.devnull} | nothing | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    aws.client.cache_clear()
    with pytest.raises(ConfigError, match=word) as caught:
        storage.check(S3Prefix("claims", "drop"))
    aws.client.cache_clear()
    assert len(str(caught.value).splitlines()) == 1


def test_boto3_is_imported_for_s3_only(tmp_path: Path) -> None:
    """Who works on a folder does not wait for boto3."""
    code = (
        "import sys; from pathlib import Path; from shared import storage; "
        f"storage.listing(Path({str(tmp_path)!r}), 'm'); sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
