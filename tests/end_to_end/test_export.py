"""The alert feed: what score hands to the case system, and what it tells of a run."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from jobs.score.announce import announce
from jobs.score.export import COLUMNS, WORDS
from shared.database import Database
from shared.errors import ConfigError
from shared.job import Job
from shared.settings import from_environment
from tests.access_factory import GUARDED, MOMENT, SECRETS, STAGE_LOGINS, Place, guarded, open_line
from tests.factories import ROOT, environment
from tests.s3 import S3, SECRET, Fault, FaultyS3

LOGIN = STAGE_LOGINS["score"]
WHO = ("--actor", "Ada", "--purpose", "nightly feed")


@pytest.fixture(scope="module")
def place(postgres: str) -> Iterator[Place]:
    """A line with scores, and a login for each stage."""
    with open_line(postgres, "test_export") as made:
        yield made


def run(
    place: Place, folder: Path, *arguments: str, variables: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """Run score, in a folder, as a login of its role."""
    settings = environment(folder, make_conninfo(place.url, user=LOGIN), GUARDED)
    return subprocess.run(
        [sys.executable, "-m", "jobs.score", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def said(ran: subprocess.CompletedProcess[str], code: int = 0) -> str:
    """The closing line's message."""
    assert ran.returncode == code, ran.stdout + ran.stderr
    return str(json.loads(ran.stderr.splitlines()[-1])["message"])


def test_json_lines_on_the_standard_output(place: Place, tmp_path: Path) -> None:
    """Each open flagged claim is one line and nothing else is; the log goes elsewhere; reasons come in words too."""
    ran = run(place, tmp_path, "--export", "-", *WHO)
    assert said(ran) == "2 flagged claims written to standard output"
    first, second = map(json.loads, ran.stdout.splitlines())
    assert (first["claim_id"], second["claim_id"]) == ("c1", "c3")
    assert {name: first[name] for name in ("week", "rank_in_week", "amount", "model_version", "arm")} == {
        **{"week": "2024-05-06", "rank_in_week": 1, "amount": 731.25, "model_version": 1, "arm": "champion"}
    }
    assert first["fraud_probability"] == pytest.approx(0.8)
    assert [reason["feature"] for reason in first["reasons"]] == ["amount", "weekday of lost_on"]
    assert first["reasons_in_words"][0] == "The amount of 731.25 is high: 3 % of claims of theft have as much."
    assert not [secret for secret in SECRETS if secret in ran.stdout + ran.stderr]


def test_csv(place: Place, tmp_path: Path) -> None:
    """CSV has a header, the same claims in the same order, a column a reason in words; and is the same each time."""
    for name in ("a.csv", "b"):
        said(run(place, tmp_path, "--export", name, *WHO, *(("--as", "csv") if name == "b" else ())))
    content = (tmp_path / "a.csv").read_text()
    assert content == (tmp_path / "b").read_text()
    header, *rows = csv.reader(io.StringIO(content))
    assert header == [*COLUMNS, *WORDS]
    assert [row[0] for row in rows] == ["c1", "c3"]
    assert rows[0][-3:] == [
        *("The amount of 731.25 is high: 3 % of claims of theft have as much.",),
        *("weekday of lost_on = Sunday lowers the probability", ""),
    ]
    assert not [secret for secret in SECRETS if secret in content]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b", "contract.toml", "drop"]


def test_nothing_to_export(place: Place, tmp_path: Path) -> None:
    """With nothing scored since, the file has its header and no row, and the closing line says so."""
    ran = run(place, tmp_path, "--export", "late.csv", "--since", "2024-05-20T00:00:01", *WHO)
    assert said(ran) == "no open claim is flagged: late.csv holds none"
    assert (tmp_path / "late.csv").read_text() == ",".join([*COLUMNS, *WORDS]) + "\n"
    assert said(run(place, tmp_path, "--export", "all.jsonl", "--since", "2024-05-20", *WHO)).startswith("2 flagged")
    early = run(place, tmp_path, "--export", "none.csv", *WHO, variables={"CLAIMSIGHT_AS_OF": "2024-05-01"})
    assert said(early) == "no champion yet, so no claim is flagged: none.csv holds none"


def test_since_amid_a_run(place: Place, tmp_path: Path) -> None:
    """What a run scored that was under way then, or is so still, is told again: it may have come after that feed.

    Its end is told by its own clock: a run of 2024 that is replayed ended in 2024.
    """

    def told(since: str) -> list[str]:
        said(run(place, tmp_path, "--export", "a.jsonl", "--since", since, *WHO))
        return [json.loads(line)["claim_id"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]

    with Database(place.url, "motor") as database:
        try:
            database.rows("UPDATE job_runs SET ended_at = started_at + interval '1 hour' WHERE run_id = 2")
            assert told("2024-05-20T01:00:00") == ["c1", "c3"]
            assert told("2024-05-20T01:00:01") == []
            database.rows("UPDATE job_runs SET status = 'running', ended_at = NULL WHERE run_id = 2")
            assert told("2024-05-21") == ["c1", "c3"]
        finally:
            database.rows("UPDATE job_runs SET status = 'done', ended_at = NULL WHERE run_id = 2")


def test_it_is_logged(place: Place, tmp_path: Path) -> None:
    """Who, what for, where to, how many claims and of which model stands in the log, under the login."""
    before = len(place.log())
    said(run(place, tmp_path, "--export", "a.csv", *WHO))
    assert place.log()[before:] == [(LOGIN, "export", None, 1, "nightly feed", False)]
    detail = place.value("SELECT detail FROM claimsight.access_log ORDER BY entry_id DESC LIMIT 1")
    told = {"actor": "Ada", "place": "a.csv", "format": "csv", "since": None, "claims": 2, "model_versions": [1]}
    assert detail == told


def test_an_object_in_s3(place: Place, tmp_path: Path, s3: S3) -> None:
    """In S3 the same appears as one object, in place of the one before, and nothing is left on this machine."""
    said(run(place, tmp_path, "--export", "a.csv", *WHO))
    bucket = s3.bucket()
    for key in ("exports/motor/a.csv", "b.jsonl", "b.jsonl"):
        ran = run(place, tmp_path, "--export", f"s3://{bucket}/{key}", *WHO, variables=s3.environment)
        assert said(ran) == f"2 flagged claims written to s3://{bucket}/{key}"
    written = {item["Key"] for item in s3.client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert written == {"exports/motor/a.csv", "b.jsonl"}
    body = s3.client.get_object(Bucket=bucket, Key="exports/motor/a.csv")["Body"]
    assert body.read() == (tmp_path / "a.csv").read_bytes()
    detail = place.value("SELECT detail ->> 'place' FROM claimsight.access_log ORDER BY entry_id DESC LIMIT 1")
    assert detail == f"s3://{bucket}/b.jsonl"


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("AccessDenied", 78, "the role needs s3:PutObject there"),
        ("reset", 75, "S3 cannot be reached"),
        ("503", 75, "S3 is not at its best"),
    ],
)
def test_an_s3_that_refuses(
    place: Place, tmp_path: Path, s3: S3, faulty_s3: FaultyS3, fault: Fault, code: int, says: str
) -> None:
    """Where S3 refuses or breaks off, no object appears, and one sentence says why."""
    bucket = s3.bucket()
    faulty_s3.inject(fault, 50)
    ran = run(place, tmp_path, "--export", f"s3://{bucket}/a.csv", *WHO, variables=faulty_s3.environment)
    assert says in said(ran, code)
    assert SECRET not in ran.stdout + ran.stderr
    assert "Contents" not in s3.client.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--export", "s3://b/a.csv", *WHO), 78, "that is no object in S3"),
        (("--export", "s3://claims.csv", *WHO), 78, "that is no object in S3"),
        (("--export", "s3://claims/", "--as", "csv", *WHO), 78, "that is no object in S3"),
        (("--export", "s3://claims/a", *WHO), 78, "its ending tells no format"),
        (("--export", "no/a.csv", *WHO), 78, "there is no folder"),
        (("--export", "drop", *WHO), 78, "its ending tells no format; end it in .jsonl or .csv"),
        (("--export", "drop", "--as", "csv", *WHO), 78, "that is no file"),
        (("--export", "/dev/null", "--as", "csv", *WHO), 78, "that is no file"),
        (("--export", "/proc/a.csv", *WHO), 78, "name another place"),
        (("--export", f"{'a' * 300}.csv", *WHO), 78, "File name too long; name another place"),
        (("--export", f"{'a' * 250}.csv", *WHO), 78, "File name too long; name another place"),
        (("--export", "circle/a.csv", *WHO), 78, "there is no folder"),
        (("--export", "a.csv", "--actor", "J\udcff", "--purpose", "nightly feed"), 2, "argument 4 is not UTF-8"),
        (("--export", "a.xlsx", *WHO), 78, "its ending tells no format"),
        (("--export", "a.csv", "--as", "xlsx", *WHO), 2, "is jsonl or csv"),
        (("--export", "a.csv", "--since", "monday", *WHO), 2, "a moment is written as"),
        (("--export", "a.csv", "--purpose", "feed of"), 2, "--export wants --actor NAME"),
        (("--export", "a.csv", "--actor", "Ada"), 2, "--export wants --purpose WHY"),
        (("--export", "a.csv", "--actor", "Ada", "--purpose", "..."), 2, "say for what purpose"),
        (("--actor", "Ada"), 2, "--actor goes with --export"),
    ],
)
def test_what_cannot_be_exported(
    place: Place, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """Each mistake is one sentence; nothing is written, and nothing logged."""
    before = len(place.log())
    (tmp_path / "circle").symlink_to("circle")
    ran = run(place, tmp_path, *arguments)
    assert ran.returncode == code
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(place.log()) == before
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.csv"))


def test_a_reader_that_goes_away(place: Place, tmp_path: Path) -> None:
    """Piped into something that reads nothing, it ends with 75 and a sentence."""
    settings = environment(tmp_path, make_conninfo(place.url, user=LOGIN), GUARDED)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as gone:
        ran = subprocess.run(
            [sys.executable, "-m", "jobs.score", "--export", "-", *WHO],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **settings},
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "whoever read it has gone" in said(ran, 75)


def events(folder: Path) -> list[dict[str, object]]:
    """Details of what was told."""
    file = folder / "events.jsonl"
    return [json.loads(line)["detail"] for line in file.read_text().splitlines()] if file.exists() else []


def refused(*_: object, **__: object) -> None:
    raise ConfigError("no bus")


def test_what_a_run_tells(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are of the rows that decide, of this run and of one that was killed before; an alert is told of once.

    What could not be put is told by the next run, and what another run is about to tell is left to that.
    """
    url, found = place.url, guarded()
    settings = from_environment(environment(tmp_path, url, GUARDED))
    with Database(url, "motor") as database:
        runs = [
            database.rows(
                "INSERT INTO job_runs (stage, line, shard, status, as_of, rows_out, git_sha, image_digest) "
                "VALUES ('score', 'motor', %s, %s, %s, 1, 'test', 'none') RETURNING run_id",
                [shard, status, MOMENT],
            )[0]["run_id"]
            for shard, status in (("1/4", "killed"), ("0/1", "running"), ("0/1", "running"))
        ]

        def scored(claim: str, run_id: int, variant: str = "champion", arm: str = "champion", version: int = 2) -> None:
            database.rows(
                "INSERT INTO predictions (claim_id, model_version, variant, arm, fraud_probability, flagged, audited, "
                "scored_as_of, run_id) VALUES (%s, %s, %s, %s, 0.9, true, false, %s, %s)",
                [claim, version, variant, arm, MOMENT, run_id],
            )

        def told(run_id: int) -> list[dict[str, object]]:
            announce(Job("score", settings, found, database, run_id), 2)
            return events(tmp_path)

        first = {"model_version": 2, "claims": 4, "flagged": 4, "audited": 0, "alerts": 3}
        try:
            for claim in ("n1", "n2"):
                database.rows(
                    "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount) "
                    "VALUES (%s, 1, '2024-05-06', '2024-05-06', 1, 1, 701)",
                    [claim],
                )
            scored("n1", runs[0])  # by the run that was killed, of a shard
            scored("n2", 2, arm="challenger", version=1)  # for comparison only, by an earlier run
            scored("n2", runs[1])
            scored("c1", runs[1])  # told of when the first model flagged it
            scored("c5", runs[1])  # scored by the first model, which did not flag it
            scored("c3", runs[1], variant="challenger")  # for comparison only
            with pytest.raises(ConfigError), monkeypatch.context() as patched:
                patched.setattr(Job, "put_event", refused)
                told(runs[1])
            with psycopg.connect(url) as beside:  # another run is about to tell of the killed one, and dies
                beside.execute("UPDATE claimsight.job_runs SET told = true WHERE run_id = %s", [runs[0]])
                assert told(runs[2]) == []
                beside.rollback()
            assert told(runs[1]) == [first]
            assert told(runs[1]) == told(runs[2]) == [first]
        finally:
            database.rows("DELETE FROM predictions WHERE model_version = 2 OR claim_id = 'n2'")
            database.rows("DELETE FROM claims WHERE claim_id IN ('n1', 'n2')")
