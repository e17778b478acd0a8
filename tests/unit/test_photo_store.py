"""Photos in the tables: each file in one place once, and which pictures were used before."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from jobs.etl import decode, photo_store
from jobs.etl.__main__ import work
from jobs.etl.decode import Decoder, Decoders
from jobs.etl.photos import UnfitPhotoError
from shared.claims import read_claims
from shared.database import Database
from shared.errors import TransientError
from shared.features import features_of, values
from shared.job import Job
from shared.storage import Dropped
from tests.factories import AS_OF, CLAIM, contract, csv_text, drop, emptied, job, settings
from tests.photos_factory import encoded, jpeg, png, scene

MOTOR = contract(photos=True)


class Etl:
    """A drop, its tables, and etl on them."""

    def __init__(self, folder: Path, database: Database, url: str) -> None:
        self.folder, self.database, self.url = folder, database, url
        database.prepare(MOTOR)
        self.job = self.at(AS_OF)

    def at(self, as_of: datetime) -> Job:
        """Start another run, at another time."""
        self.job = job(self.database, MOTOR, settings(self.folder, self.url, CLAIMSIGHT_AS_OF=as_of.isoformat()))
        return self.job

    def drop(self, photos: dict[str, bytes]) -> None:
        """Drop photos by their path below ``photos/``."""
        for path, content in photos.items():
            drop(self.folder, path, content, "photos")

    def claims(self, **days: str) -> None:
        """Drop a file of claims, each with the day of its loss."""
        rows = [CLAIM | {"claim": claim, "lost_on": day} for claim, day in days.items()]
        drop(self.folder, f"{len(days)}-{min(days)}.csv", csv_text(rows))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query; its rows as tuples."""
        return [tuple(row.values()) for row in self.database.rows(query)]

    def photos(self) -> list[tuple[Any, ...]]:
        """Photos by claim and name, with the digest of the original."""
        found = self.rows("SELECT claim_id, name, sha256 FROM claim_photos ORDER BY claim_id, name")
        return [(claim, name, bytes(digest)) for claim, name, digest in found]

    def reused(self, as_of: datetime = AS_OF) -> dict[str, int]:
        """Pictures of each claim that another had shown, as a stage would read them."""
        claims = read_claims(self.database, MOTOR, "", {"as_of": as_of}, order="c.claim_id DESC")
        assert claims["claim_id"].is_sorted(descending=True)
        return dict(claims.select("claim_id", "photos_reused").iter_rows())


@pytest.fixture
def etl(tmp_path: Path, postgres: str) -> Iterator[Etl]:
    """Set up a line that has photos."""
    url = emptied(postgres, "test_photos")
    (tmp_path / "drop").mkdir()
    with Database(url, "motor") as database:
        yield Etl(tmp_path, database, url)


def test_photos_become_rows(etl: Etl, caplog: pytest.LogCaptureFixture) -> None:
    """Sound photos are stored with their digest, others in quarantine with a note; both stand in the ledger; exit 0."""
    good, bad = jpeg(1), b"not a photo"
    etl.claims(c1="2024-02-03")
    etl.drop({"c1/front left.jpg": good, "c1/a/ö.png": encoded(scene(2), "PNG"), "never/x.jpg": jpeg(3)})
    etl.drop({"c1/bad.jpg": bad, "lost.jpg": good})
    with caplog.at_level("INFO", "claimsight"):
        assert work(etl.job) == "6 files loaded"
        assert work(etl.job) == "no new files; nothing to do"
    assert [row[:2] for row in etl.photos()] == [("c1", "a/ö.png"), ("c1", "front left.jpg"), ("never", "x.jpg")]
    assert etl.photos()[1][2] == sha256(good).digest()
    assert etl.rows("SELECT width, height, known_at FROM claim_photos WHERE claim_id = 'never'") == [(320, 240, None)]
    notes = etl.rows("SELECT reason, raw FROM claims_quarantine ORDER BY reason")
    assert [reason for reason, _ in notes] == [
        "lies in no claim's folder; drop it at photos/<claim id>/<name>",
        "no JPEG, PNG or WebP",
    ]
    assert json.loads(notes[1][1]) == {"bytes": len(bad), "sha256": sha256(bad).hexdigest()}
    ledger = "SELECT status, sum(rows_in) a, sum(rows_out) b, sum(quarantined) c FROM ingest_files"
    assert etl.rows(f"{ledger} WHERE kind = 'photos' GROUP BY status ORDER BY status") == [
        ("loaded", 3, 3, 0),
        ("rejected", 2, 0, 2),
    ]
    assert etl.rows("SELECT rows_in, rows_out, quarantined FROM job_runs") == [(6, 4, 2)]
    told = {record.message: vars(record)["facts"] for record in caplog.records}
    assert (told["photos loaded"]["rows_out"], told["photos loaded"]["quarantined"]) == (3, 2)
    waiting = told["photos wait for claims that never came"]
    assert (waiting["photos"], waiting["claims"]) == (1, 1)


def test_a_line_without_photos_leaves_them_alone(etl: Etl) -> None:
    """Where the contract does not speak of photos, none is read and none is a feature."""
    etl.drop({"c1/a.jpg": jpeg(1)})
    plain = contract()
    without = job(etl.database, plain, etl.job.settings)
    assert work(without) == "no new files; nothing to do"
    claims = read_claims(etl.database, plain, "", {"as_of": AS_OF})
    assert "photos_reused" not in claims.columns
    assert "photos_reused" not in [feature.name for feature in features_of(plain)]


def test_a_changed_photo_takes_the_place_of_the_old(etl: Etl) -> None:
    """It is known from when it was loaded; a broken change is quarantined and replaces nothing; the mended one does."""
    etl.drop({"c1/a.jpg": jpeg(1)})
    work(etl.job)
    july = datetime(2024, 7, 1, tzinfo=UTC)
    for content, digest, known_at, quarantined in (
        (jpeg(1)[:-900], sha256(jpeg(1)).digest(), None, 1),
        (b"worse", sha256(jpeg(1)).digest(), None, 1),
        (jpeg(2), sha256(jpeg(2)).digest(), july, 0),
    ):
        etl.drop({"c1/a.jpg": content})
        work(etl.at(july))
        assert etl.photos() == [("c1", "a.jpg", digest)]
        assert etl.rows("SELECT known_at FROM claim_photos") == [(known_at,)]
        assert etl.rows("SELECT count(*) FROM claims_quarantine") == [(quarantined,)]
    assert etl.rows("SELECT count(*) FROM pictures") == [(1,)]
    statuses = etl.rows("SELECT status FROM ingest_files ORDER BY file_id")
    assert statuses == [("replaced",), ("replaced",), ("replaced",), ("loaded",)]


def test_photos_used_before(etl: Etl) -> None:
    """A picture counts for the claims after the first that showed it, and for both of one day; once a claim."""
    etl.claims(a="2024-02-01", b="2024-03-01", c="2024-04-01", d="2024-04-01", e="2024-05-01")
    smaller = encoded(scene(1).resize((200, 150)), "WEBP", quality=70)
    etl.drop({"b/1.jpg": smaller, "b/2.jpg": smaller, "b/3.jpg": jpeg(3), "a/1.jpg": jpeg(1), "a/2.jpg": jpeg(1)})
    etl.drop({"c/1.jpg": jpeg(4), "d/1.jpg": jpeg(4), "e/1.jpg": jpeg(1), "e/2.jpg": jpeg(3), "e/3.jpg": jpeg(9)})
    work(etl.job)
    assert etl.reused() == {"a": 0, "b": 1, "c": 1, "d": 1, "e": 2}
    assert etl.reused(datetime(2024, 3, 15, tzinfo=UTC)) == {"a": 0, "b": 1}
    claims = read_claims(etl.database, MOTOR, "", {"as_of": AS_OF})
    (feature,) = [feature for feature in features_of(MOTOR) if feature.name == "photos_reused"]
    assert values(claims, [feature])["photos_reused"].sum() == 5


def test_a_photo_that_comes_before_its_claim_waits(etl: Etl) -> None:
    """It counts as soon as its claim is there, and from then on."""
    etl.drop({"a/1.jpg": jpeg(1), "b/1.jpg": jpeg(1)})
    work(etl.job)
    assert etl.reused() == {}
    etl.claims(a="2024-02-01", b="2024-03-01")
    work(etl.job)
    assert etl.reused() == {"a": 0, "b": 1}


def test_a_replaced_photo_is_not_known_before(etl: Etl) -> None:
    """Nobody who looks back at a day before a photo was changed sees what it became."""
    etl.claims(a="2024-02-01", b="2024-03-01")
    etl.drop({"a/1.jpg": jpeg(1), "b/1.jpg": jpeg(2)})
    work(etl.job)
    july = datetime(2024, 7, 1, tzinfo=UTC)
    etl.drop({"b/1.jpg": jpeg(1)})
    work(etl.at(july))
    assert (etl.reused(AS_OF), etl.reused(july)) == ({"a": 0, "b": 0}, {"a": 0, "b": 1})


def test_plain_pictures_are_the_same_only_if_their_files_are(etl: Etl) -> None:
    """A wall of one colour says nothing of another wall."""
    white, wall = png(40, 40), png(41, 40)
    etl.claims(a="2024-02-01", b="2024-03-01", c="2024-04-01")
    etl.drop({"a/1.png": white, "b/1.png": wall, "c/1.png": white})
    work(etl.job)
    assert etl.reused() == {"a": 0, "b": 0, "c": 1}


@pytest.mark.parametrize("flipped", [0, 1, 4, 7, 8])
def test_fingerprints_meet_up_to_seven_bits(etl: Etl, flipped: int) -> None:
    """However the bits in which two fingerprints differ are spread, they meet if they are seven at most."""
    first = -0x0123456789ABCDF0
    spread = (0, 17, 33, 49, 5, 63, 40, 21)
    other = first
    for bit in spread[:flipped]:
        other ^= (1 << bit) if bit < 63 else -(1 << 63)
    picture = photo_store._picture(etl.database, b"1", first)
    assert (photo_store._picture(etl.database, b"2", other) == picture) is (flipped <= 7)


def test_more_photos_than_a_batch(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies between two batches keeps the first; the next run takes the rest, none twice."""
    monkeypatch.setattr(photo_store, "BATCH", 3)
    monkeypatch.setattr(photo_store, "LISTED", 2)
    etl.drop({f"c{number}/a.jpg": jpeg(number) for number in range(8)})
    keep, calls = photo_store._keep, list[int]()

    def die(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 5:
            raise TransientError("gone")
        keep(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(photo_store, "_keep", die)
        with pytest.raises(TransientError):
            work(etl.job)
    assert len(etl.photos()) == 3
    assert work(etl.at(AS_OF)) == "5 files loaded"
    assert len(etl.photos()) == 8
    assert etl.rows("SELECT sum(rows_in) FROM job_runs") == [(8,)]


def test_a_photo_that_goes_while_it_is_read(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is taken away or written to after it was listed is a passing failure, and nothing of it is stored."""
    etl.drop({"c1/a.jpg": jpeg(1)})
    listing = photo_store.storage.listing

    def then_changed(*arguments: Any) -> list[Dropped]:
        files = listing(*arguments)
        for file in files:
            etag = file.etag
            assert etag
            file.path.write_bytes(jpeg(2) + b"\0")
        return files

    monkeypatch.setattr(photo_store.storage, "listing", then_changed)
    with pytest.raises(TransientError, match="changed while it was read"):
        work(etl.job)
    assert etl.photos() == etl.rows("SELECT 1 FROM ingest_files") == []


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    """Start one child that decodes."""
    found = Decoder()
    yield found
    found.close()


def test_a_child_that_dies_is_replaced(decoder: Decoder) -> None:
    """What kills a decoder is refused, and the next photo finds a new one."""
    child = decoder._start()
    child.send_signal(signal.SIGSTOP)
    threading.Timer(0.3, child.send_signal, [signal.SIGSEGV]).start()
    threading.Timer(0.4, child.send_signal, [signal.SIGCONT]).start()
    with pytest.raises(UnfitPhotoError, match="makes the decoder crash"):
        decoder.decode(jpeg(1))
    assert decoder.decode(jpeg(1)).width == 320
    assert child.poll() == -signal.SIGSEGV


def test_a_child_that_hangs_is_ended(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo on which a decoder hangs is given up, and the next finds a new one."""
    monkeypatch.setattr(decode, "WALL_SECONDS", 0.3)
    decoder._start().send_signal(signal.SIGSTOP)
    with pytest.raises(UnfitPhotoError, match="takes more than"):
        decoder.decode(jpeg(1))
    monkeypatch.setattr(decode, "WALL_SECONDS", 30)
    assert decoder.decode(jpeg(1)).width == 320


def test_a_child_that_cannot_start_blames_no_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where decoders do not start at all, that is a fault of ours and not of the photos."""
    monkeypatch.setattr(decode.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="does not start: exit code 1"):
        Decoder().decode(jpeg(1))


def test_a_child_knows_no_secret(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, and so no password, reaches the process that decodes."""
    monkeypatch.setenv("CLAIMSIGHT_DATABASE_URL", "postgresql://me:secret@host/claims")
    environment = Path(f"/proc/{decoder._start().pid}/environ").read_bytes()
    assert b"PYTHONPATH" in environment
    assert b"secret" not in environment


def test_a_picture_that_takes_too_much_memory(decoder: Decoder) -> None:
    """A picture within the limit of pixels that takes too much memory is refused, and its decoder goes on."""
    wide = b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\x6f\x1b\0" * 2 + b"\0" * 8  # 7,024 by 7,024
    for content in (wide, encoded(scene(1, 100, 100).resize((7000, 7000)), "WEBP", method=0, quality=1)):
        with pytest.raises(UnfitPhotoError):
            decoder.decode(content)
    assert decoder.decode(jpeg(1)).width == 320


def test_leaving_ends_all_children_at_once() -> None:
    """Told to stop while photos hang, the pool is gone in a moment."""
    children = []

    def hang(decoder: Decoder) -> object:
        children.append(decoder._start())
        children[-1].send_signal(signal.SIGSTOP)
        return decoder.decode(jpeg(1))

    started = time.monotonic()
    with Decoders(2) as decoders:
        futures = [decoders.submit(hang) for _ in range(2)]
        while len(children) < 2:
            time.sleep(0.01)
    assert time.monotonic() - started < 5
    assert all(future.done() for future in futures)
    assert all(child.poll() is not None for child in children)
