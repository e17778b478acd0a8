"""Etl under fire: whatever is killed when, every row ends up in one place once, and the ledger says so."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.local import embedded
from tests.factories import MOTOR, claims, csv_text, drop, environment, finish, run_etl, start_etl
from tests.photos_factory import jpeg
from tests.postgres_relay import Moment, relay, through

FILES, ROWS = 4, 25_000
BAD_EVERY = 100


def _fill_drop(folder: Path, files: int = FILES, rows: int = ROWS) -> None:
    """Drop files in which one row in a hundred breaks the contract and one in a hundred has too few fields."""
    for file in range(files):
        lines = csv_text(claims(rows)).replace("\nc", f"\nf{file}-").splitlines()
        for line in range(1, rows, BAD_EVERY):
            lines[line] = lines[line].replace("12.5", "dear")
            lines[line + 1] = lines[line + 1].rsplit(",", 1)[0]
        drop(folder, f"{file}.csv", "\n".join(lines))


def _assert_exact(database_url: str, files: int = FILES, rows: int = ROWS) -> None:
    """Hold tables and both ledgers against what was dropped."""
    bad = 2 * (rows // BAD_EVERY)
    with psycopg.connect(database_url) as connection:

        def one(query: str) -> tuple[object, ...]:
            row = connection.execute(query).fetchone()
            assert row is not None
            return row

        expected = (files * (rows - bad), files * bad)
        assert one("SELECT count(*), count(DISTINCT claim_id) FROM motor.claims") == (expected[0], expected[0])
        assert one("SELECT count(*) FROM motor.outcomes") == (expected[0],)
        assert one("SELECT count(*), count(DISTINCT (file_id, file_line)) FROM motor.claims_quarantine") == (
            expected[1],
            expected[1],
        )
        assert one("SELECT count(*), sum(rows_out), sum(quarantined) FROM motor.ingest_files") == (files, *expected)
        false = (
            "SELECT count(*) FROM motor.ingest_files f WHERE rows_out <> "
            "(SELECT count(*) FROM motor.claims c WHERE c.file_id = f.file_id) OR quarantined <> "
            "(SELECT count(*) FROM motor.claims_quarantine q WHERE q.file_id = f.file_id)"
        )
        assert one(false) == (0,)
        assert one("SELECT sum(rows_out), sum(quarantined), sum(rows_in) FROM claimsight.job_runs") == (
            *expected,
            files * rows,
        )
        assert one("SELECT count(*) FROM claimsight.job_runs WHERE rows_in <> rows_out + quarantined") == (0,)
        assert one("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") == (0,)


def _statuses(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT status FROM claimsight.job_runs ORDER BY run_id")]


@pytest.fixture
def data() -> Iterator[Path]:
    """Folder for a Postgres of one test's own."""
    with tempfile.TemporaryDirectory(prefix="claimsight-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "postgres"


# Of a small COPY all is sent, and the answer fails to come; a large one cannot even be sent.
@pytest.mark.parametrize(("phase", "rows"), [("COPY claims", 100), ("COPY claims", 60_000), ("ledger", 100)])
def test_sigterm_while_the_database_is_silent(tmp_path: Path, database_url: str, phase: str, rows: int) -> None:
    """Told to stop while the database does not answer, etl leaves with 143 within five seconds; nothing is loaded."""
    drop(tmp_path, "a.csv", csv_text(claims(rows, note="n" * 300)))
    socket = f"{conninfo_to_dict(database_url)['host']}/.s.PGSQL.5432"
    with relay(socket) as (passing, port):
        passing.hold_at(Moment(phase, 1))
        process = start_etl(environment(tmp_path, through(database_url, port)))
        assert passing.reached.wait(30)
        process.send_signal(signal.SIGTERM)
        code, log = finish(process, timeout=5)
        assert (code, log[-1]["status"]) == (143, "stopped")
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT count(*) FROM motor.claims").fetchone() == (0,)
    code, log = run_etl(environment(tmp_path, database_url))
    assert (code, log[-1]["rows_out"]) == (0, rows)


def test_two_at_once(tmp_path: Path, database_url: str) -> None:
    """Of two etl at once one works; the other waits a little, says so and leaves with 0."""
    _fill_drop(tmp_path)
    settings = environment(tmp_path, database_url)
    processes = [start_etl(settings), start_etl(settings)]
    ended = [finish(process) for process in processes]
    assert [code for code, _ in ended] == [0, 0]
    messages = {log[-1]["message"] for _, log in ended}
    # Where the one is done before the other has waited enough, that finds nothing left.
    others = {"another etl of motor is at work; nothing done", "no new files; nothing to do"}
    assert len(messages) == 2
    assert messages - others == {f"{FILES} files loaded"}
    _assert_exact(database_url)


def test_what_the_database_refuses(tmp_path: Path, data: Path) -> None:
    """Wrong password and unknown database are the settings' fault, an unreachable server is not; each in one line."""
    with embedded.postgres(data) as served:
        with psycopg.connect(served, autocommit=True) as connection:
            connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
            (rules,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            Path(rules).write_text("local all guarded scram-sha-256\n" + Path(rules).read_text())
            connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        for url, code, word in (
            (make_conninfo(served, user="guarded", password="wrong"), 78, "authentication failed"),
            (make_conninfo(served, dbname="nowhere"), 78, "does not exist"),
            ("postgresql://me:secret@127.0.0.1:1/claims", 75, "refused"),
            ("secret, not a URL", 78, "CLAIMSIGHT_DATABASE_URL"),
        ):
            ended, log = run_etl(environment(tmp_path, url))
            assert ended == code
            assert word in log[-1]["message"]
            assert "\n" not in log[-1]["message"]
            assert not any("secret" in str(line) or "traceback" in line for line in log)


def test_what_the_settings_get_wrong(tmp_path: Path, database_url: str) -> None:
    """A drop that is not there, or a contract with mistakes, is one line that names them and 78."""
    settings = environment(tmp_path, database_url)
    code, log = run_etl(settings | {"CLAIMSIGHT_DROP": str(tmp_path / "nowhere")})
    assert (code, "CLAIMSIGHT_DROP" in log[-1]["message"]) == (78, True)
    code, log = run_etl(environment(tmp_path, database_url, MOTOR.replace('"claim"', '"klaim"').replace('"Y"', '"N"')))
    assert code == 78
    assert "roles.id" in log[-1]["message"]
    assert "both fraud and not fraud" in log[-1]["message"]


def test_over_the_reject_limit(tmp_path: Path, database_url: str) -> None:
    """A file over the reject limit is refused with 65 once; later runs skip it, a mended one is loaded."""
    settings = environment(tmp_path, database_url)
    drop(tmp_path, "a.csv", csv_text(claims(4) + claims(1, amount="dear")))
    code, log = run_etl(settings)
    assert (code, "1 of 5 rows" in log[-1]["message"]) == (65, True)
    assert run_etl(settings)[0] == 0
    drop(tmp_path, "a.csv", csv_text(claims(5)))
    assert run_etl(settings)[0] == 0
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM motor.claims").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM motor.claims_quarantine").fetchone() == (0,)
    assert _statuses(database_url) == ["failed", "done", "done"]


def test_killed_amid_photos(tmp_path: Path, database_url: str) -> None:
    """However often etl is killed or stopped amid photos, each ends in one place once, and no child outlives it."""
    settings = environment(tmp_path, database_url, f"photos = true\n{MOTOR}") | {"PYTHONPATH": str(tmp_path)}
    for number in range(300):
        content = jpeg(number % 30) if number % 10 else b"no photo"
        drop(tmp_path, f"c{number // 2}/{number}.jpg", content, "photos")
    killed_amid = 0
    for seed in range(6):
        process = start_etl(settings)
        while process.poll() is None and not _decoders(tmp_path):
            time.sleep(0.01)
        time.sleep(random.Random(seed).uniform(0.0, 0.3))
        killed_amid += process.poll() is None
        process.send_signal(signal.SIGTERM if seed % 2 else signal.SIGKILL)
        process.communicate(timeout=5)
    assert killed_amid
    code, log = finish(start_etl(settings))
    assert (code, log[-1]["status"]) == (0, "done")
    with psycopg.connect(database_url) as connection:
        for query, expected in (
            ("SELECT count(*), count(DISTINCT file_id) FROM motor.claim_photos", (270, 270)),
            ("SELECT count(*), count(DISTINCT file_id) FROM motor.claims_quarantine", (30, 30)),
            ("SELECT count(*), sum(rows_out), sum(quarantined) FROM motor.ingest_files", (300, 270, 30)),
            ("SELECT sum(rows_in), sum(rows_out), sum(quarantined) FROM claimsight.job_runs", (300, 270, 30)),
            ("SELECT count(*), count(DISTINCT picture_id) FROM motor.pictures", (27, 27)),
        ):
            assert connection.execute(query).fetchone() == expected
    for _ in range(100):
        if not _decoders(tmp_path):
            break
        time.sleep(0.1)
    assert _decoders(tmp_path) == []


def _decoders(folder: Path) -> list[str]:
    """Processes that decode photos for an etl with this folder on its path."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may be gone by now, or another user's
            environ = (process / "environ").read_bytes()
            if b"jobs.etl.decode" in (process / "cmdline").read_bytes() and bytes(folder) in environ:
                found.append(process.name)
    return found
