"""Hand open, flagged claims to the case system of the insurer: JSON lines or CSV, with reasons in words."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from shared import storage
from shared.access import log_access
from shared.arguments import Detail, Option, text
from shared.errors import ConfigError, TransientError
from shared.job import Job
from shared.settings import S3Prefix
from shared.spreadsheets import harmless

FORMATS = ("jsonl", "csv")
STDOUT = "-"
S3 = "s3://"
ROWS_AT_ONCE = 5_000
"""Claims that stand in memory at once."""
REASONS = 3
FEED = """
DECLARE feed CURSOR FOR
SELECT claim_id, week, rank_in_week, event_time, fraud_probability, amount, expected_loss, model_version, arm,
       scored_as_of, reasons, in_words(reasons) AS words
FROM worklist_as_of(%(as_of)s)
WHERE flagged AND scored_as_of >= (SELECT fed_from(coalesce(%(since)s::timestamptz, '-infinity')))
ORDER BY week, rank_in_week
"""
COLUMNS = (
    *("claim_id", "week", "rank_in_week", "event_time", "fraud_probability", "amount", "expected_loss"),
    *("model_version", "arm", "scored_as_of", "reasons"),
)
WORDS = tuple(f"reason_{place}" for place in range(1, REASONS + 1))


def export(job: Job, place: str, since: datetime | None, actor: str, purpose: str, **form: str | None) -> str:
    """Write the claims that are flagged, decide, and have no outcome yet, by week and rank.

    The file or object appears whole or not at all. It is entered into ``access_log`` before anyone can read it. No
    column that is personal, sensitive or ignored is in it, nor a reason that rests on one.

    Parameters
    ----------
    place : str
        A file, ``s3://bucket/key``, or ``-`` for the standard output.
    since : datetime or None
        Only claims that were scored then or later, or by a run that was under way then.
    **form : {'jsonl', 'csv'} or None
        Under the name ``as``, which Python keeps for itself; None goes by the file's ending, and is ``jsonl`` for the
        standard output.

    Raises
    ------
    ConfigError
        The place cannot be written, or its ending tells no format.
    TransientError
        Whoever reads the standard output has gone; S3 cannot be reached.
    """
    written_as = _format(place, form["as"])
    with _spool(place) as (file, publish):
        claims, versions = _write(job, file, written_as, since)
        file.flush()
        told = {"actor": actor, "place": place, "format": written_as, "since": since, "claims": claims}
        (live,) = job.database.rows("SELECT champion_as_of(%s) AS version", [job.as_of])
        log_access(job, "export", purpose, live["version"], told | {"model_versions": versions})
        publish()
    where = "standard output" if place == STDOUT else place
    if live["version"] is None:
        return f"no champion yet, so no claim is flagged: {where} holds none"
    return (
        f"{claims:,} flagged claims written to {where}" if claims else f"no open claim is flagged: {where} holds none"
    )


def _format(place: str, told: str | None) -> str:
    form = told or ("jsonl" if place == STDOUT else Path(place).suffix.removeprefix("."))
    if form not in FORMATS:
        raise ConfigError(f"--export {place}: its ending tells no format; end it in .jsonl or .csv, or add --as csv")
    return form


@contextmanager
def _spool(place: str) -> Iterator[tuple[IO[str], Any]]:
    """Give a temporary file, and what makes it the one that was asked for."""
    if place == STDOUT:
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
            yield file, lambda: _pour(file)
        return
    if place.startswith(S3):
        folder, name = _object(place)
        with tempfile.TemporaryFile() as spool, TextIOWrapper(spool, encoding="utf-8", newline="") as file:
            yield file, lambda: _send(spool, folder, name)
        return
    path = Path(os.path.realpath(place))  # unlike `Path.resolve` it bears links that lead in a circle
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if not path.parent.is_dir():
            raise ConfigError(f"--export {place}: there is no folder {path.parent}; make it, or name another place")
        if path.exists() and not path.is_file():
            raise ConfigError(f"--export {place}: that is no file; name one")
        file = beside.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigError(f"--export {place}: {error.strerror}; name another place") from error
    try:
        with file:
            yield file, lambda: beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _object(place: str) -> tuple[S3Prefix, str]:
    """Read where an object is to be: what it lies below, and its name."""
    above, _, name = place.rpartition("/")
    try:
        if name:
            return S3Prefix.of(above), name
    except ValueError:
        pass
    raise ConfigError(f"--export {place}: that is no object in S3; write s3://bucket/exports/line/name.csv")


def _send(spool: IO[bytes], folder: S3Prefix, name: str) -> None:
    spool.seek(0)
    storage.write(folder, name, spool)


def _pour(file: IO[str]) -> None:
    file.seek(0)
    try:
        shutil.copyfileobj(file, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer has to go somewhere
        raise TransientError("--export -: whoever read it has gone; start it again") from error


def _write(job: Job, file: IO[str], form: str, since: datetime | None) -> tuple[int, list[int]]:
    """Write the claims; how many, and of which models."""
    claims, versions = 0, set[int]()
    if form == "csv":
        csv.writer(file, lineterminator="\n").writerow([*COLUMNS, *WORDS])
    for rows in _batches(job, since):
        file.write("".join(map(in_csv if form == "csv" else in_json, rows)))
        claims += len(rows)
        versions |= {row["model_version"] for row in rows}
    return claims, sorted(versions)


def _batches(job: Job, since: datetime | None) -> Iterator[list[dict[str, Any]]]:
    database = job.database
    with database.transaction():
        database.rows(FEED, {"as_of": job.as_of, "since": since})
        while rows := database.rows(f"FETCH {ROWS_AT_ONCE} FROM feed"):
            yield rows


def in_json(row: dict[str, Any]) -> str:
    """One line of JSON; dates in ISO 8601, ``reasons_in_words`` beside the reasons."""
    told = {name: row[name] for name in COLUMNS} | {"reasons_in_words": row["words"] or []}
    return json.dumps(told, ensure_ascii=False, default=lambda moment: moment.isoformat()) + "\n"


def in_csv(row: dict[str, Any]) -> str:
    """One record of CSV; reasons as JSON in one cell, and in words in one each."""
    cells = {name: _cell(row[name]) for name in COLUMNS}
    words = [harmless(word) for word in row["words"] or []]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([*cells.values(), *(words + [""] * REASONS)[:REASONS]])
    return text.getvalue()


def _cell(value: Any) -> Any:
    match value:
        case str():
            return harmless(value)
        case list():
            return json.dumps(value, ensure_ascii=False)
        case datetime():
            return value.isoformat()
    return value


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError("a moment is written as 2024-03-31 or 2024-03-31T06:00:00+00:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _form(value: str) -> str:
    if value not in FORMATS:
        raise argparse.ArgumentTypeError(f"is {' or '.join(FORMATS)}")
    return value


def _purpose(value: str) -> str:
    if sum(map(str.isalnum, value)) < 5:
        raise argparse.ArgumentTypeError("say for what purpose, in at least five letters: it is kept beside your name")
    return value.strip()


EXPORT = Option(
    "--export",
    "PLACE",
    "write the open flagged claims with their reasons to a file or object (.jsonl, .csv), or - for the standard output",
    export,
    (
        Detail("--as", "FORMAT", "jsonl or csv, where the file's ending does not tell", _form),
        Detail("--since", "MOMENT", "only claims that were scored then or later, or by a run under way then", _moment),
        Detail("--actor", "NAME", "who exports", text, required=True),
        Detail("--purpose", "WHY", "what it is for", _purpose, required=True),
    ),
    parse=text,
    looks=True,
)
