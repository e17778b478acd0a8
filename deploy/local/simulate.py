"""Generate a motor book as weekly drop files, to try Claimsight on without anybody's data.

**The book is generated**: no row describes a real person, policy, garage or claim, and a result on it says nothing
about a real book. What is in it, and why, stands in `deploy.local.book`.

::

    python -m deploy.local.simulate --out DIR --claims 26000 --weeks 104 --seed 7 --start 2024-01-01

writes into DIR

- ``claims/claims-YYYY-MM-DD.csv``: the claims reported in the seven days before that Monday, dirty rows among them;
- ``outcomes/outcomes-YYYY-MM-DD.csv``: the investigations decided in those seven days (``claim_id``, ``is_fraud`` as Y
  or N, ``decided_at``, ``source``); those decided after the last week are not written;
- ``truth.csv``: ``claim_id``, ``fraud_probability``, ``is_fraud``, ``mechanism``. It lies beside the drop folders, for
  no stage to read: the ranking by ``fraud_probability`` is the best that any model can attain.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

import polars as pl

from deploy.local.book import DIRTY_SHARE, create_world, draw_week, weekly_counts
from deploy.local.dirt import csv_bytes

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
    files : int
        Files written.
    """

    claims: int
    dirty: int
    outcomes: int
    frauds: int
    files: int

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"generated {self.claims} claims ({self.frauds} frauds), {self.dirty} dirty rows and "
            f"{self.outcomes} outcomes in {self.files} files"
        )


def simulate(out: Path, claims: int, weeks: int, seed: int, start: date, dirty: float = DIRTY_SHARE) -> Book:
    """Generate a motor book and write it week by week.

    The same arguments give the same bytes. A longer book begins with the bytes of a shorter one if it has as many
    claims in the weeks they share. Memory holds one week and the outcomes not yet decided.

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
    _refuse_arguments(claims, weeks, seed, start, dirty)
    drops = [start + _WEEK * (week + 1) for week in range(weeks)]
    _prepare(out, drops)

    counts = weekly_counts(claims, weeks, start)
    world = create_world(seed, start, int(counts[0]))
    first_number = dirty_rows = written = frauds = 0
    pending: list[pl.DataFrame] = []
    with _replacing(out / "truth.csv") as truth_file:
        for week, (drop, count) in enumerate(zip(drops, counts.tolist(), strict=True)):
            drawn = draw_week(world, week, count, first_number, dirty)
            opened = pl.concat([*pending, drawn.outcomes])
            decided = opened.filter(pl.col("decided_at") < drop).sort("decided_at", "claim_id")
            pending = [opened.filter(pl.col("decided_at") >= drop)]
            with _replacing(out / _claims_name(drop)) as file:
                file.write(csv_bytes(drawn.rows))
            with _replacing(out / _outcomes_name(drop)) as file:
                decided.write_csv(file)
            drawn.truth.write_csv(truth_file, include_header=week == 0, float_precision=6)
            first_number += count
            dirty_rows += drawn.rows["kind"].count()
            written += len(decided)
            frauds += int((drawn.truth["is_fraud"] == "Y").sum())
    return Book(claims, dirty_rows, written, frauds, files=2 * weeks + 1)


def main(arguments: list[str] | None = None) -> None:
    """Generate a book as the command line says and print one line about it.

    Parameters
    ----------
    arguments : list of str, optional
        The command line without the program's name; ``sys.argv`` by default.

    Raises
    ------
    SystemExit
        With 2, and one line on stderr, if the arguments are wrong.
    """
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.simulate",
        description="Generate a motor book as weekly drop files. No row describes a real person, policy or claim.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument("--claims", type=int, default=26_000, help="claims in all (%(default)s)")
    parser.add_argument("--weeks", type=int, default=104, help="weeks in all (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same bytes (%(default)s)")
    parser.add_argument("--start", type=date.fromisoformat, default="2024-01-01", help="a Monday (%(default)s)")
    parser.add_argument("--dirty", type=float, default=DIRTY_SHARE, help="share of dirty rows (%(default)s)")
    asked = parser.parse_args(arguments)
    try:
        book = simulate(**vars(asked))
    except BookError as error:
        parser.error(str(error))
    print(f"{book}, in {asked.out}")


def _refuse_arguments(claims: int, weeks: int, seed: int, start: date, dirty: float) -> None:
    """Raise BookError that names everything wrong with the arguments at once."""
    problems = []
    if weeks < 1:
        problems.append(f"weeks must be at least 1, not {weeks}")
    elif claims < weeks:
        problems.append(f"claims must be at least one a week: {claims} claims do not fill {weeks} weeks")
    if seed < 0:
        problems.append(f"seed must be at least 0, not {seed}")
    if not 0 <= dirty <= 1:
        problems.append(f"dirty must be a share from 0 to 1, not {dirty}")
    if start.weekday() != 0:
        problems.append(f"start must be a Monday, and {start} is none")
    if weeks > (_LAST_START - start) / _WEEK:
        problems.append(f"{weeks} weeks from {start} end after the last year a date can hold")
    if problems:
        raise BookError("; ".join(problems))


def _prepare(out: Path, drops: list[date]) -> None:
    """Create the folders; refuse those that cannot be written to, or that would end up with two books in them."""
    expected = {out / name(drop) for drop in drops for name in (_claims_name, _outcomes_name)}
    try:
        for folder in (out / "claims", out / "outcomes"):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            if strangers := sorted(set(folder.glob(f"{folder.name}-*.csv")) - expected):
                raise BookError(f"{folder} holds files of another book, such as {strangers[0].name}: empty it first")
    except OSError as error:
        raise BookError(f"cannot write to {out}: {error.strerror}") from error


def _claims_name(drop: date) -> str:
    return f"claims/claims-{drop}.csv"


def _outcomes_name(drop: date) -> str:
    return f"outcomes/outcomes-{drop}.csv"


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


if __name__ == "__main__":
    main()
