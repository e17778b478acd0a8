"""The files of the generated book, and how it is asked for."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from deploy.local.simulate import Book, BookError, simulate
from deploy.local.simulate import book as booking
from deploy.local.simulate import write as writing
from deploy.local.simulate.__main__ import main
from deploy.local.simulate.book import weekly_counts
from deploy.local.simulate.claims import COLUMNS
from deploy.local.simulate.dirt import csv_bytes
from tests.book_factory import CLAIMS, START, WEEKS, all_bytes, drop_date
from tests.factories import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the folder of the book that most tests read."""
    return tmp_path_factory.mktemp("book")


@pytest.fixture(scope="module")
def book(folder: Path) -> Book:
    """Generate the book that most tests read."""
    return simulate(folder, CLAIMS, WEEKS, 7, START)


@pytest.fixture(scope="module")
def truth(folder: Path, book: Book) -> pl.DataFrame:
    """Read the truth, labels as booleans."""
    return pl.read_csv(folder / "truth.csv").with_columns(pl.col("is_fraud") == "Y")


@pytest.fixture(scope="module")
def outcomes(folder: Path, book: Book) -> pl.DataFrame:
    """Read all outcomes, with the date of their file as ``drop``."""
    schema = {"claim_id": pl.String, "is_fraud": pl.String, "decided_at": pl.Date, "source": pl.String}
    return pl.concat(
        pl.read_csv(path, schema=schema).with_columns(drop=pl.lit(drop_date(path)))
        for path in sorted((folder / "outcomes").iterdir())
    )


def _read_rows(path: Path) -> list[list[str]]:
    """All cells of a claims file but its header; Latin-1 reads any byte."""
    with path.open(encoding="latin-1", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    return rows


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Two runs with the same arguments write the same files byte for byte, also over one another."""
    simulate(tmp_path / "a", 300, 6, 5, START, dirty=0.2)
    simulate(tmp_path / "b", 300, 6, 5, START, dirty=0.2)
    first = all_bytes(tmp_path / "a")
    assert first == all_bytes(tmp_path / "b")
    simulate(tmp_path / "b", 300, 6, 5, START, dirty=0.2)
    assert first == all_bytes(tmp_path / "b")


def test_threads_do_not_change_the_bytes(tmp_path: Path) -> None:
    """One thread and three write the same files."""
    books = []
    for threads in ("1", "3"):
        command = [sys.executable, "-m", "deploy.local.simulate", "--out", tmp_path / threads, "--claims", "5000"]
        environment = os.environ | {"POLARS_MAX_THREADS": threads, "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, "--weeks", "2", "--photos", "0.01"], env=environment, check=True, capture_output=True)
        books.append(all_bytes(tmp_path / threads))
    assert books[0] == books[1]


def test_large_week_is_drawn_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week beyond the largest part is one file all the same: a header, rising ids, all of the week's days."""
    monkeypatch.setattr(booking, "LARGEST_PART", 300)
    simulate(tmp_path, 1000, 1, 7, START, dirty=0.0)
    claims = pl.read_csv(tmp_path / "claims" / "claims-2024-01-08.csv")
    assert claims["claim_id"].to_list() == [f"C{number:010}" for number in range(1000)]
    assert claims["reported_on"].is_sorted()
    assert claims["reported_on"].n_unique() == 7
    assert len(pl.read_csv(tmp_path / "truth.csv")) == 1000


def test_stopped_run_leaves_no_partial_file(tmp_path: Path) -> None:
    """A generation that is told to stop ends at once and leaves whole files only."""
    command = [sys.executable, "-m", "deploy.local.simulate", "--out", tmp_path, "--claims", "5000000"]
    running = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        while not list((tmp_path / "claims").glob("claims-*.csv")):
            assert running.poll() is None
            time.sleep(0.05)
        running.terminate()
        assert running.wait(30) == 143
    finally:
        running.kill()
    names = {name.rpartition("/")[2] for name in all_bytes(tmp_path)}
    assert names
    assert all(name.startswith(("claims-", "outcomes-")) for name in names)


def test_another_seed_gives_another_book(tmp_path: Path) -> None:
    """A different seed changes the claims of every week."""
    simulate(tmp_path / "a", 300, 6, 5, START)
    simulate(tmp_path / "b", 300, 6, 6, START)
    first, second = all_bytes(tmp_path / "a"), all_bytes(tmp_path / "b")
    assert all(first[name] != second[name] for name in first if name.startswith("claims"))


def test_longer_book_begins_like_the_shorter(tmp_path: Path) -> None:
    """More weeks leave the bytes of the earlier weeks as they were."""
    counts = weekly_counts(600, 30, START)
    simulate(tmp_path / "long", 600, 30, 5, START, dirty=0.1)
    simulate(tmp_path / "short", int(counts[:17].sum()), 17, 5, START, dirty=0.1)
    long, short = all_bytes(tmp_path / "long"), all_bytes(tmp_path / "short")
    assert long["truth.csv"].startswith(short.pop("truth.csv"))
    assert len(short) == 34
    assert all(long[name] == content for name, content in short.items())


def test_counts_add_up(folder: Path, book: Book, truth: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """The files hold the claims asked for plus the repeated rows, and the summary says what the files hold."""
    rows = [row for path in (folder / "claims").iterdir() for row in _read_rows(path)]
    files = list(all_bytes(folder))
    repeated = len(rows) - len(set(map(tuple, rows)))
    assert repeated > 0
    assert len(rows) == CLAIMS + repeated
    assert book == Book(CLAIMS, book.dirty, len(outcomes), int(truth["is_fraud"].sum()), 0, len(files))
    assert len(files) == 2 * WEEKS + 1
    assert truth["claim_id"].is_unique().all()
    assert CLAIMS - len(truth) == sum(row[0] == "" for row in rows)


def test_truth_is_not_among_the_drops(folder: Path, book: Book) -> None:
    """The drop folders hold the weekly files, named by the Monday after their week, and nothing else."""
    mondays = [START + timedelta(days=7 * (week + 1)) for week in range(WEEKS)]
    for kind in ("claims", "outcomes"):
        assert sorted(path.name for path in (folder / kind).iterdir()) == [f"{kind}-{day}.csv" for day in mondays]
    assert {path.name for path in folder.iterdir()} == {"claims", "outcomes", "truth.csv"}


def test_claims_are_reported_in_the_week_before_their_drop(folder: Path, book: Book) -> None:
    """A file holds the claims reported in the seven days before its date, after their loss and their policy's start."""
    for path in (folder / "claims").iterdir():
        for row in map(lambda cells: dict(zip(COLUMNS, cells, strict=False)), _read_rows(path)):
            if not row["reported_on"]:
                continue
            assert drop_date(path) - timedelta(days=7) <= date.fromisoformat(row["reported_on"]) < drop_date(path)
            if re.fullmatch(r"\d{4}-\d\d-\d\d", row["loss_on"]) and not row["loss_on"].endswith("-02-31"):
                assert row["policy_start"] <= row["loss_on"] <= row["reported_on"]


def test_outcomes_come_weeks_after_the_report(folder: Path, outcomes: pl.DataFrame, truth: pl.DataFrame) -> None:
    """Each outcome is of a known claim, decided 2 to 16 weeks after its report and dropped in the week after that."""
    rows = [row for path in (folder / "claims").iterdir() for row in _read_rows(path)]
    reported = {row[0]: date.fromisoformat(row[4]) for row in rows if row[4]}
    decided = outcomes.filter(pl.col("claim_id").is_in(list(reported)))
    days = [(when - reported[claim]).days for claim, when in decided.select("claim_id", "decided_at").iter_rows()]
    assert min(days) == 14
    assert max(days) == 112
    late = (outcomes["drop"] - outcomes["decided_at"]).dt.total_days()
    assert late.is_between(1, 7).all()
    assert outcomes["claim_id"].is_unique().all()
    assert outcomes["claim_id"].is_in(truth["claim_id"].implode()).all()
    assert outcomes["source"].unique().to_list() == ["siu"]


def test_investigators_choose_and_err(outcomes: pl.DataFrame, truth: pl.DataFrame) -> None:
    """Three claims in ten are investigated, richer in fraud than the rest, and about 2 % are decided wrongly."""
    mature = truth.head(CLAIMS * (WEEKS - 17) // WEEKS)  # decided before the last week, all of them
    decided = mature.join(outcomes, on="claim_id", suffix="_found")
    assert len(decided) / len(mature) == pytest.approx(0.30, abs=0.01)
    assert 1.5 < decided["is_fraud"].mean() / mature["is_fraud"].mean() < 3.0
    wrong = decided["is_fraud"] != (decided["is_fraud_found"] == "Y")
    assert wrong.mean() == pytest.approx(0.02, abs=0.006)


def test_book_has_about_one_dirty_row_in_a_hundred(book: Book) -> None:
    """By default one row in a hundred is dirty."""
    assert book.dirty == pytest.approx(CLAIMS / 100, rel=0.3)


def test_smallest_book(tmp_path: Path) -> None:
    """One claim in one week is a book, even if it is all dirt."""
    for share in (0.0, 1.0):
        book = simulate(tmp_path, 1, 1, 0, START, dirty=share)
        assert (book.claims, book.dirty, book.outcomes, book.files) == (1, int(share), 0, 3)


def test_failure_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails on the way leaves whole files only, and no truth."""
    written = []

    def fail_on_third(rows: pl.DataFrame, *, header: bool) -> bytes:
        written.append(rows)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return csv_bytes(rows, header=header)

    monkeypatch.setattr(writing, "csv_bytes", fail_on_third)
    with pytest.raises(OSError, match="No space left"):
        simulate(tmp_path, 300, 6, 5, START)
    assert set(all_bytes(tmp_path)) == {
        f"{kind}/{kind}-2024-01-{day}.csv" for kind in ("claims", "outcomes") for day in ("08", "15")
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--claims", "9", "--weeks", "10"], "9 claims do not fill 10 weeks"),
        (["--weeks", "0"], "weeks must be at least 1, not 0"),
        (["--seed", "-1"], "seed must be at least 0"),
        (["--dirty", "1.5"], "dirty must be a share from 0 to 1"),
        (["--dirty", "nan"], "dirty must be a share from 0 to 1"),
        (["--photos", "-0.1"], "photos must be a share from 0 to 1"),
        (["--drift", "covariate"], "drift 'covariate' is not like covariate@60"),
        (["--drift", "units@-3"], "drift 'units@-3' is not like covariate@60"),
        (["--drift", "weather@60"], "drift 'weather' is none of covariate, concept, nulls, units, delay, selection"),
        (["--drift", "units@105"], "drift 'units@105' is not in weeks 1 to 104"),
        (["--drift", "units@0"], "drift 'units@0' is not in weeks 1 to 104"),
        (["--drift", "units@5,units@9"], "drift 'units' is asked for twice"),
        (["--start", "2024-01-02"], "start must be a Monday"),
        (["--start", "2024-02-31"], "argument --start"),
        (["--claims", "900000", "--weeks", "900000"], "end after the last year"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong arguments end with exit code 2 and one line that says why, before anything is written."""
    with pytest.raises(SystemExit) as refusal:
        main(["--out", str(tmp_path / "book"), *arguments])
    assert refusal.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "book").exists()


def test_all_wrong_arguments_are_named_at_once(tmp_path: Path) -> None:
    """Several wrong arguments are refused in one go."""
    with pytest.raises(BookError, match=r"weeks.*seed.*dirty.*photos.*Monday.*storm.*units"):
        simulate(tmp_path, 10, 0, -1, date(2024, 1, 3), 2.0, 2.0, "storm@1 units")


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that cannot be written to ends with exit code 2 and a line that names it."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SystemExit) as refusal:
        main(["--out", str(tmp_path / "file" / "book")])
    assert refusal.value.code == 2
    assert f"cannot write to {tmp_path / 'file' / 'book'}: Not a directory" in capsys.readouterr().err


def test_two_books_are_not_mixed(tmp_path: Path) -> None:
    """A folder with weeks that the new book would not overwrite is refused and left as it was."""
    simulate(tmp_path, 50, 5, 1, START)
    before = all_bytes(tmp_path)
    with pytest.raises(BookError, match=r"claims-2024-02-05\.csv: empty it first"):
        simulate(tmp_path, 50, 4, 1, START)
    assert before == all_bytes(tmp_path)


def test_summary_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run prints one line with its counts."""
    main(["--out", str(tmp_path), "--claims", "200", "--weeks", "4"])
    printed = capsys.readouterr().out
    assert re.fullmatch(
        r"generated 200 claims \(\d+ frauds\), \d+ dirty rows and \d+ outcomes in 9 files, in .+\n", printed
    )
