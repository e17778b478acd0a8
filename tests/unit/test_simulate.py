"""The generated book: its files, its truth and its dirt."""

from __future__ import annotations

import csv
import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from deploy.local import simulate as simulation
from deploy.local.book import COLUMNS, MECHANISMS, create_world, draw_week, weekly_counts
from deploy.local.dirt import KINDS, csv_bytes
from deploy.local.simulate import Book, BookError, main, simulate

START = date(2024, 1, 1)
CLAIMS, WEEKS = 26_000, 104


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
        pl.read_csv(path, schema=schema).with_columns(drop=pl.lit(_drop_date(path)))
        for path in sorted((folder / "outcomes").iterdir())
    )


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    """Draw a clean book of the same size, typed, with its truth beside it."""
    counts = weekly_counts(CLAIMS, WEEKS, START)
    world = create_world(7, START, int(counts[0]))
    firsts = np.cumsum(counts) - counts
    weeks = [draw_week(world, week, int(counts[week]), int(firsts[week]), dirty=0.0) for week in range(WEEKS)]
    rows = pl.read_csv(csv_bytes(pl.concat(week.rows for week in weeks)))
    return rows.join(pl.concat(week.truth for week in weeks), on="claim_id").with_columns(pl.col("is_fraud") == "Y")


def _drop_date(path: Path) -> date:
    return date.fromisoformat(path.stem.split("-", 1)[1])


def _read_rows(path: Path) -> list[list[str]]:
    """All cells of a claims file but its header; Latin-1 reads any byte."""
    with path.open(encoding="latin-1", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    return rows


def _all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _average_precision(fraud: pl.Series, score: pl.Series) -> float:
    """Mean over the frauds of the precision at their rank; as scikit-learn's where no scores tie."""
    ranked = fraud.gather(score.arg_sort(descending=True))
    return (ranked.cum_sum() / pl.int_range(1, len(ranked) + 1, eager=True)).filter(ranked).mean()


def _area_under_curve(fraud: pl.Series, score: pl.Series) -> float:
    """Chance that a fraud scores above an honest claim, ties halved: Mann and Whitney's U."""
    frauds = fraud.sum()
    return (score.rank().filter(fraud).mean() - (frauds + 1) / 2) / (len(fraud) - frauds)


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Two runs with the same arguments write the same files byte for byte, also over one another."""
    simulate(tmp_path / "a", 300, 6, 5, START, dirty=0.2)
    simulate(tmp_path / "b", 300, 6, 5, START, dirty=0.2)
    first = _all_bytes(tmp_path / "a")
    assert first == _all_bytes(tmp_path / "b")
    simulate(tmp_path / "b", 300, 6, 5, START, dirty=0.2)
    assert first == _all_bytes(tmp_path / "b")


def test_another_seed_gives_another_book(tmp_path: Path) -> None:
    """A different seed changes the claims of every week."""
    simulate(tmp_path / "a", 300, 6, 5, START)
    simulate(tmp_path / "b", 300, 6, 6, START)
    first, second = _all_bytes(tmp_path / "a"), _all_bytes(tmp_path / "b")
    assert all(first[name] != second[name] for name in first if name.startswith("claims"))


def test_longer_book_begins_like_the_shorter(tmp_path: Path) -> None:
    """More weeks leave the bytes of the earlier weeks as they were."""
    counts = weekly_counts(600, 30, START)
    simulate(tmp_path / "long", 600, 30, 5, START, dirty=0.1)
    simulate(tmp_path / "short", int(counts[:17].sum()), 17, 5, START, dirty=0.1)
    long, short = _all_bytes(tmp_path / "long"), _all_bytes(tmp_path / "short")
    assert long["truth.csv"].startswith(short.pop("truth.csv"))
    assert len(short) == 34
    assert all(long[name] == content for name, content in short.items())


def test_counts_add_up(folder: Path, book: Book, truth: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """The files hold the claims asked for plus the repeated rows, and the summary says what the files hold."""
    rows = [row for path in (folder / "claims").iterdir() for row in _read_rows(path)]
    files = list(_all_bytes(folder))
    repeated = len(rows) - len(set(map(tuple, rows)))
    assert repeated > 0
    assert len(rows) == CLAIMS + repeated
    assert book == Book(CLAIMS, book.dirty, len(outcomes), int(truth["is_fraud"].sum()), len(files))
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
            assert _drop_date(path) - timedelta(days=7) <= date.fromisoformat(row["reported_on"]) < _drop_date(path)
            if re.fullmatch(r"\d{4}-\d\d-\d\d", row["loss_on"]) and not row["loss_on"].endswith("-02-31"):
                assert row["policy_start"] <= row["loss_on"] <= row["reported_on"]


def test_outcomes_come_weeks_after_the_report(folder: Path, outcomes: pl.DataFrame, truth: pl.DataFrame) -> None:
    """Each outcome is of a known claim, decided 2 to 12 weeks after its report and dropped in the week after that."""
    reported = {
        row[0]: date.fromisoformat(row[3]) for path in (folder / "claims").iterdir() for row in _read_rows(path)
    }
    days = [(when - reported[claim]).days for claim, when in outcomes.select("claim_id", "decided_at").iter_rows()]
    assert min(days) == 14
    assert max(days) == 84
    late = (outcomes["drop"] - outcomes["decided_at"]).dt.total_days()
    assert late.is_between(1, 7).all()
    assert outcomes["claim_id"].is_unique().all()
    assert outcomes["claim_id"].is_in(truth["claim_id"].implode()).all()
    assert outcomes["source"].unique().to_list() == ["siu"]


def test_investigators_choose_and_err(outcomes: pl.DataFrame, truth: pl.DataFrame) -> None:
    """Three claims in ten are investigated, richer in fraud than the rest, and about 2 % are decided wrongly."""
    mature = truth.head(CLAIMS * (WEEKS - 13) // WEEKS)  # decided before the last week, all of them
    decided = mature.join(outcomes, on="claim_id", suffix="_found")
    assert len(decided) / len(mature) == pytest.approx(0.30, abs=0.01)
    assert 1.5 < decided["is_fraud"].mean() / mature["is_fraud"].mean() < 3.0
    wrong = decided["is_fraud"] != (decided["is_fraud_found"] == "Y")
    assert wrong.mean() == pytest.approx(0.02, abs=0.006)


def test_prevalence_and_attainable_score(truth: pl.DataFrame) -> None:
    """About one claim in 25 is a fraud, and the best ranking of the claims is good and far from perfect."""
    assert 0.03 < truth["is_fraud"].mean() < 0.05
    assert 0.35 < _average_precision(truth["is_fraud"], truth["fraud_probability"]) < 0.55


def test_probabilities_are_calibrated(truth: pl.DataFrame) -> None:
    """In each bin of fraud probability, the share of frauds is the mean probability up to chance."""
    bins = (
        truth.sort("fraud_probability")
        .group_by(pl.int_range(pl.len()) // 1300)
        .agg(
            share=pl.col("is_fraud").mean(),
            mean=pl.col("fraud_probability").mean(),
            error=(pl.col("fraud_probability") * (1 - pl.col("fraud_probability"))).sum().sqrt() / pl.len(),
        )
    )
    assert len(bins) >= 20
    assert ((bins["share"] - bins["mean"]).abs() < 4 * bins["error"]).all()


def test_mechanisms_label_the_frauds(truth: pl.DataFrame) -> None:
    """Every fraud has a mechanism, every mechanism has its frauds, and an honest claim has none."""
    assert set(truth.filter("is_fraud")["mechanism"]) == {*MECHANISMS, "opportunist"}
    assert set(truth.filter(~pl.col("is_fraud"))["mechanism"]) == {"none"}


def test_no_level_gives_fraud_away(clean: pl.DataFrame) -> None:
    """No level of any column with at least 20 claims is fraud in more than 45 % of them."""
    for column in COLUMNS:
        levels = clean.group_by(column).agg(pl.len(), pl.col("is_fraud").mean()).filter(pl.col("len") >= 20)
        assert levels.is_empty() or levels["is_fraud"].max() < 0.45, column


def test_no_column_decides_alone(clean: pl.DataFrame) -> None:
    """Each column by itself, the age of the policy among them, ranks the claims far worse than the truth does."""
    fraud = clean["is_fraud"]
    tenure = (pl.col("loss_on").str.to_date() - pl.col("policy_start").str.to_date()).dt.total_days()
    claims = clean.select(*COLUMNS[6:], tenure=tenure)
    areas = {}
    for column in claims:
        score = column if column.dtype.is_numeric() else clean.select(pl.mean("is_fraud").over(column.name)).to_series()
        area = _area_under_curve(fraud, score)
        areas[column.name] = max(area, 1 - area)
    assert len(areas) == 18
    assert max(areas.values()) < 0.8, areas
    assert _area_under_curve(fraud, clean["fraud_probability"]) > 0.85


def test_sex_causes_no_fraud(clean: pl.DataFrame) -> None:
    """Both sexes have the same fraud probability up to chance."""
    women, men = (clean.filter(pl.col("sex") == sex)["fraud_probability"] for sex in ("F", "M"))
    error = (women.var() / len(women) + men.var() / len(men)) ** 0.5
    assert abs(women.mean() - men.mean()) < 4 * error


def test_policy_stays_the_same_policy(clean: pl.DataFrame) -> None:
    """A policy that comes back with another claim has the same holder, start, sex, region, channel and agent."""
    fixed = ("claimant_id", "policy_start", "sex", "region", "channel", "agent_id", "deductible")
    assert clean["policy_id"].n_unique() < len(clean)
    assert clean.select("policy_id", *fixed).unique().height == clean["policy_id"].n_unique()


def test_amounts_grow_and_claims_grow(clean: pl.DataFrame) -> None:
    """The second year has about 5 % more claims than the first, and larger ones."""
    years = (
        clean.group_by(pl.col("reported_on").str.head(4))
        .agg(pl.len(), pl.col("amount").log().mean())
        .sort("reported_on")
    )
    assert years["len"][1] / years["len"][0] == pytest.approx(1.05, abs=0.02)
    assert years["amount"][1] > years["amount"][0]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1])
def test_dirty_share(share: float) -> None:
    """The share of dirty rows is the one asked for, up to chance."""
    rows = draw_week(create_world(3, START, 20_000), 0, 20_000, 0, share).rows
    assert rows["kind"].count() == pytest.approx(20_000 * share, abs=4 * (20_000 * share) ** 0.5)


def test_book_has_about_one_dirty_row_in_a_hundred(book: Book) -> None:
    """By default one row in a hundred is dirty."""
    assert book.dirty == pytest.approx(CLAIMS / 100, rel=0.3)


@pytest.fixture(scope="module")
def spoilt() -> dict[str, list[dict[str, str]]]:
    """By kind of dirt, the rows of a very dirty file, each a dict; cells too many are under None."""
    rows = draw_week(create_world(3, START, 500), 0, 500, 0, dirty=0.8).rows
    read = csv.DictReader(csv_bytes(rows).decode("latin-1").splitlines())
    found: dict[str, list[dict[str, str]]] = {}
    for kind, row in zip(rows["kind"].fill_null("clean"), read, strict=True):
        found.setdefault(kind, []).append(row)
    return found


@pytest.mark.parametrize(
    ("kind", "column", "pattern"),
    [
        ("impossible_date", "loss_on", r"202\d-02-31"),
        ("other_date_format", "loss_on", r"\d\d/\d\d/202\d"),
        ("negative_amount", "amount", r"-\d+\.\d\d"),
        ("text_amount", "amount", r"\d+,\d\d EUR"),
        ("unknown_peril", "peril", "earthquake"),
        ("missing_claim_id", "claim_id", ""),
        ("missing_amount", "amount", ""),
        ("impossible_age", "driver_age", "240"),
        ("field_too_few", "hour", "None"),
        ("field_too_many", None, r"\['0'\]"),
        ("invalid_utf8", "region", "[a-z]+\xe9"),
    ],
)
def test_dirt_is_what_its_kind_says(
    spoilt: dict[str, list[dict[str, str]]], kind: str, column: str | None, pattern: str
) -> None:
    """Each kind of dirt spoils its own cell."""
    assert all(re.fullmatch(pattern, str(row[column])) for row in spoilt[kind])


def test_every_kind_of_dirt_occurs(spoilt: dict[str, list[dict[str, str]]]) -> None:
    """A very dirty file has rows of all kinds, and clean ones without any fault."""
    assert set(spoilt) == {*KINDS, "clean"}
    for row in spoilt["clean"]:
        assert None not in row
        assert None not in row.values()
        assert re.fullmatch(r"C\d{10}", row["claim_id"])
        assert date.fromisoformat(row["loss_on"]) <= date.fromisoformat(row["reported_on"])
        assert float(row["amount"]) > 0
        assert row["region"].isascii()


def test_repeated_rows_repeat_a_row_of_their_file(spoilt: dict[str, list[dict[str, str]]]) -> None:
    """A repeated row is the exact copy of a clean row of the same file."""
    assert all(row in spoilt["clean"] for row in spoilt["duplicate"])


def test_invalid_byte_is_no_utf8() -> None:
    """A file with a row of that kind cannot be decoded as UTF-8."""
    rows = draw_week(create_world(3, START, 500), 0, 500, 0, dirty=0.8).rows
    with pytest.raises(UnicodeDecodeError):
        csv_bytes(rows).decode()


def test_dirt_changes_nothing_else() -> None:
    """The share of dirt changes neither truth nor outcomes of the claims that keep their id."""
    world = create_world(3, START, 500)
    pure, soiled = draw_week(world, 4, 500, 0, dirty=0.0), draw_week(world, 4, 500, 0, dirty=0.5)
    kept = pl.col("claim_id").is_in(soiled.truth["claim_id"].implode())
    assert len(soiled.truth) < 500
    assert pure.truth.filter(kept).equals(soiled.truth)
    assert pure.outcomes.filter(kept).equals(soiled.outcomes)


def test_smallest_book(tmp_path: Path) -> None:
    """One claim in one week is a book, even if it is all dirt."""
    for share in (0.0, 1.0):
        book = simulate(tmp_path, 1, 1, 0, START, dirty=share)
        assert (book.claims, book.dirty, book.outcomes, book.files) == (1, int(share), 0, 3)


def test_failure_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails on the way leaves whole files only, and no truth."""
    written = []

    def fail_on_third(rows: pl.DataFrame) -> bytes:
        written.append(rows)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return csv_bytes(rows)

    monkeypatch.setattr(simulation, "csv_bytes", fail_on_third)
    with pytest.raises(OSError, match="No space left"):
        simulate(tmp_path, 300, 6, 5, START)
    assert set(_all_bytes(tmp_path)) == {
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
    usage, *rest = capsys.readouterr().err.split("error: ")
    assert usage.startswith("usage:")
    assert len(rest) == 1
    assert message in rest[0]
    assert rest[0].count("\n") == 1
    assert not (tmp_path / "book").exists()


def test_all_wrong_arguments_are_named_at_once(tmp_path: Path) -> None:
    """Several wrong arguments are refused in one go."""
    with pytest.raises(BookError, match=r"weeks.*seed.*Monday"):
        simulate(tmp_path, 10, 0, -1, date(2024, 1, 3))


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
    before = _all_bytes(tmp_path)
    with pytest.raises(BookError, match=r"claims-2024-02-05\.csv: empty it first"):
        simulate(tmp_path, 50, 4, 1, START)
    assert before == _all_bytes(tmp_path)


def test_summary_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run prints one line with its counts."""
    main(["--out", str(tmp_path), "--claims", "200", "--weeks", "4"])
    printed = capsys.readouterr().out
    assert re.fullmatch(
        r"generated 200 claims \(\d+ frauds\), \d+ dirty rows and \d+ outcomes in 9 files, in .+\n", printed
    )
