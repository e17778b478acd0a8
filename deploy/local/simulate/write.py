"""Write a generated book as weekly drop files.

Into its folder go

- ``claims/claims-YYYY-MM-DD.csv``: the claims reported in the seven days before that Monday, dirty rows among them;
- ``outcomes/outcomes-YYYY-MM-DD.csv``: the investigations decided in those seven days (``claim_id``, ``is_fraud`` as Y
  or N, ``decided_at``, ``source``); those decided after the last week are not written;
- ``photos/<claim_id>/<n>.jpg``: the photos of a share of the claims, as many as each one's column ``photos`` says;
- ``truth.csv``: ``claim_id``, ``fraud_probability``, ``is_fraud``, ``mechanism``, ``photo_from``. It lies beside the
  drop folders, for no stage to read: the ranking by ``fraud_probability`` is the best that any model can attain.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from deploy.local.simulate.book import DIRTY_SHARE, draw_week, parts_of, weekly_counts
from deploy.local.simulate.claims import claim_ids
from deploy.local.simulate.dirt import csv_bytes
from deploy.local.simulate.drift import read_drifts
from deploy.local.simulate.photos import list_photos
from deploy.local.simulate.world import World, create_world

_WEEK = timedelta(days=7)
_LAST_START = date(9990, 1, 1)  # leaves room for the decisions after the last week within what a date can hold


class BookError(ValueError):
    """The book cannot be generated as asked: one line that says what is wrong."""


@dataclass(frozen=True)
class Book:
    """What was generated.

    Parameters
    ----------
    claims : int
        Claims, as asked for; repeated rows not counted.
    dirty : int
        Dirty rows in the claims files, repeated ones included.
    outcomes : int
        Outcomes written.
    frauds : int
        True frauds among the claims of ``truth.csv``, investigated or not.
    photos : int
        Photos written.
    files : int
        Files written, photos not counted.
    """

    claims: int
    dirty: int
    outcomes: int
    frauds: int
    photos: int
    files: int

    def __str__(self) -> str:
        """Say it in one line."""
        photos = f", {self.photos} photos" if self.photos else ""
        return (
            f"generated {self.claims} claims ({self.frauds} frauds), {self.dirty} dirty rows and "
            f"{self.outcomes} outcomes in {self.files} files{photos}"
        )


def simulate(
    out: Path,
    claims: int,
    weeks: int,
    seed: int,
    start: date,
    dirty: float = DIRTY_SHARE,
    photos: float = 0.0,
    drift: str = "",
) -> Book:
    """Generate a motor book and write it week by week.

    The same arguments give the same bytes. A longer book begins with the bytes of a shorter one if it has as many
    claims in the weeks they share. Memory holds a part of a week and the outcomes not yet decided.

    Parameters
    ----------
    out : Path
        Folder to write into; created if it is not there. An earlier book of the same weeks is overwritten.
    claims : int
        Claims in all, at least `weeks`.
    weeks : int
        Number of weeks, at least 1.
    seed : int
        At least 0.
    start : date
        First day of the first week, a Monday. The first files are dropped seven days later.
    dirty : float
        Share of dirty rows in the claims files, 0 to 1.
    photos : float
        Share of the claims whose photos are written, 0 to 1.
    drift : str
        What changes from which week on; see `deploy.local.simulate.drift`.

    Returns
    -------
    Book
        Counts of what was written.

    Raises
    ------
    BookError
        If an argument is out of its range, the folder cannot be written to, or it holds files of another book.
    OSError
        If a file cannot be written once the book is under way.
    """
    drifts, problems = read_drifts(drift, weeks)
    _refuse_arguments(claims, weeks, seed, start, {"dirty": dirty, "photos": photos}, problems)
    drops = [start + _WEEK * (week + 1) for week in range(weeks)]
    counts = weekly_counts(claims, weeks, start).tolist()
    world = create_world(seed, start, counts[0], drifts)
    _prepare(out, drops, world, claims, photos)

    number = dirty_rows = written = frauds = pictures = 0
    pending: list[pl.DataFrame] = []
    with _replacing(out / "truth.csv") as truth_file:
        for week, (drop, count) in enumerate(zip(drops, counts, strict=True)):
            parts = parts_of(count)
            with _replacing(out / _claims_name(drop)) as file:
                for part, (size, first) in enumerate(zip(parts, accumulate(parts, initial=number), strict=False)):
                    drawn = draw_week(world, week, size, first, dirty, photos, (part, len(parts)))
                    pictures += _write_photos(out, seed, drawn.photos)
                    file.write(csv_bytes(drawn.rows, header=part == 0))
                    drawn.truth.write_csv(truth_file, include_header=first == 0, float_precision=6)
                    pending.append(drawn.outcomes)
                    dirty_rows += drawn.rows["kind"].count()
                    frauds += int((drawn.truth["is_fraud"] == "Y").sum())
            opened = pl.concat(pending)
            decided = opened.filter(pl.col("decided_at") < drop).sort("decided_at", "claim_id")
            pending = [opened.filter(pl.col("decided_at") >= drop)]
            with _replacing(out / _outcomes_name(drop)) as file:
                decided.write_csv(file)
            number += count
            written += len(decided)
    return Book(claims, dirty_rows, written, frauds, pictures, files=2 * weeks + 1)


def _refuse_arguments(
    claims: int, weeks: int, seed: int, start: date, shares: dict[str, float], problems: list[str]
) -> None:
    """Raise BookError that names everything wrong with the arguments at once, `problems` among it."""
    found = []
    if weeks < 1:
        found.append(f"weeks must be at least 1, not {weeks}")
    elif claims < weeks:
        found.append(f"claims must be at least one a week: {claims} claims do not fill {weeks} weeks")
    if seed < 0:
        found.append(f"seed must be at least 0, not {seed}")
    found += [
        f"{name} must be a share from 0 to 1, not {share}" for name, share in shares.items() if not 0 <= share <= 1
    ]
    if start.weekday() != 0:
        found.append(f"start must be a Monday, and {start} is none")
    if weeks > (_LAST_START - start) / _WEEK:
        found.append(f"{weeks} weeks from {start} end after the last year a date can hold")
    if found + problems:
        raise BookError("; ".join(found + problems))


def _prepare(out: Path, drops: list[date], world: World, claims: int, photos: float) -> None:
    """Create the folders; refuse those that cannot be written to, or that would end up with two books in them."""
    expected = {out / name(drop) for drop in drops for name in (_claims_name, _outcomes_name)}
    try:
        for folder in (out / "claims", out / "outcomes"):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            if strangers := sorted(set(folder.glob(f"{folder.name}-*.csv")) - expected):
                raise BookError(f"{folder} holds files of another book, such as {strangers[0].name}: empty it first")
        there = set((out / "photos").glob("C*/*.jpg"))
        if there and (strangers := sorted(there - _expected_photos(out, world, claims, photos))):
            name = strangers[0].relative_to(out / "photos")
            raise BookError(f"{out / 'photos'} holds photos of another book, such as {name}: empty it first")
    except OSError as error:
        raise BookError(f"cannot write to {out}: {error.strerror}") from error


def _expected_photos(out: Path, world: World, claims: int, share: float) -> set[Path]:
    number = np.arange(claims)
    listed = list_photos(world, number, np.full(claims, -1), share)
    ids = claim_ids(listed["claim"].to_numpy())
    return {_photo_path(out, claim, name) for claim, name in zip(ids, listed["name"], strict=True)}


def _write_photos(out: Path, seed: int, photos: pl.DataFrame) -> int:
    """Draw and write photos, each whole or not at all; how many."""
    if photos.is_empty():
        return 0
    from deploy.local.simulate.pictures import draw_jpeg

    for claim, name, *what in photos.iter_rows():
        path = _photo_path(out, claim, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path) as file:
            file.write(draw_jpeg(seed, *what))
    return len(photos)


def _claims_name(drop: date) -> str:
    return f"claims/claims-{drop}.csv"


def _outcomes_name(drop: date) -> str:
    return f"outcomes/outcomes-{drop}.csv"


def _photo_path(out: Path, claim: str, name: int) -> Path:
    return out / "photos" / claim / f"{name}.jpg"


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a hidden file beside `path` that takes its place once it is whole, so that no reader sees half of it."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
