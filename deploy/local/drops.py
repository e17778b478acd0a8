"""What is dropped when: the steps of a local run, and how far an earlier one came."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deploy.local.simulate import BookError, simulate
from shared.errors import ConfigError, DataError

CLAIMS, WEEKS, SEED = 26_000, 104, 7
PHOTOS = 0.02
"""Share of the demo's claims whose photos are there."""
KINDS = ("claims", "outcomes", "reference", "photos")
"""Folders of a line of business in the drop."""
START = date(2024, 1, 1)
WEEKLY = 12
"""Last weeks of the book that arrive one by one; those before them are there already when the team starts."""


@dataclass(frozen=True)
class Step:
    """A moment of the clock, and the files that are in the drop by then but not at the step before."""

    as_of: datetime
    files: tuple[tuple[Path, Path], ...]

    def drop(self) -> None:
        """Put the files into the drop; each appears whole or not at all."""
        for source, target in self.files:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            shutil.copyfile(source, part)
            os.replace(part, target)


@dataclass(frozen=True)
class Plan:
    """Steps that remain; ``since`` is the clock of the one before them."""

    steps: tuple[Step, ...]
    since: datetime
    done: Callable[[Step], None] = lambda _step: None

    @property
    def as_of(self) -> datetime:
        """The clock when all steps are done."""
        return self.steps[-1].as_of


def plan_files(data: Path | None, line: str, drop: Path, as_of: datetime) -> Plan:
    """Plan to drop a file (or a folder's ``claims/``, ``outcomes/`` and so on) at once.

    Raises
    ------
    DataError
        There is nothing to drop.
    """
    target = drop / line
    if data is None:
        if not any(target.rglob("*")):
            raise ConfigError(f"no claims for contract '{line}' yet; name them: DATA=claims.csv")
        files: list[tuple[Path, Path]] = []
    elif data.is_dir():
        files = [
            (file, target / kind / file.relative_to(data / kind))
            for kind in KINDS
            for file in sorted((data / kind).rglob("*"))
            if file.is_file()
        ]
        if not files:
            raise DataError(f"{data}: no file below {', '.join(f'{kind}/' for kind in KINDS)} in it")
    elif data.is_file():
        files = [(data, target / "claims" / data.name)]
    else:
        raise DataError(f"{data}: no such file; name a CSV file, or a folder with claims/ and outcomes/")
    changed = tuple((source, place) for source, place in files if not _same(source, place))
    # Every schedule is due: all stages look whether there is something to do.
    return Plan((Step(as_of, changed),), datetime(1970, 1, 1, tzinfo=UTC))


def plan_book(home: Path, claims: int, weeks: int, seed: int, drift: str = "") -> Plan:
    """Generate the demo book, unless it is there, and plan its weeks.

    Raises
    ------
    ConfigError
        Another book was begun here, or there is none as asked.
    """
    asked = {"claims": claims, "weeks": weeks, "seed": seed, "drift": drift}
    book, state = home / "book", home / "book.json"
    begun = json.loads(state.read_text()) if state.exists() else None
    if begun is not None and begun["asked"] != asked:
        told = " ".join(f"{key.upper()}={value}" for key, value in begun["asked"].items())
        raise ConfigError(f"{home} holds the book of {told}; ask for that one, or run make clean first")
    if begun is None:
        shutil.rmtree(book, ignore_errors=True)
        try:
            simulate(book, claims, weeks, seed, START, photos=PHOTOS, drift=drift)
        except BookError as error:
            raise ConfigError(str(error)) from None
        begun = {"asked": asked, "as_of": None}
        _write(state, begun)
    reached = datetime.fromisoformat(begun["as_of"]) if begun["as_of"] else datetime(1970, 1, 1, tzinfo=UTC)
    every = _steps(book, home / "drop" / "demo")
    remaining = tuple(step for step in every if step.as_of > reached)

    def done(step: Step) -> None:
        _write(state, begun | {"as_of": step.as_of.isoformat()})

    # Nothing remains: look once more whether every stage agrees.
    last = (Step(every[-1].as_of, ()),)
    since = reached if remaining else datetime(1970, 1, 1, tzinfo=UTC)
    return Plan(remaining or last, since, done)


def _steps(book: Path, drop: Path) -> list[Step]:
    by_day: dict[str, list[tuple[Path, Path]]] = {}
    for file in sorted(book.glob("*/*.csv")):
        files = [file, *(_photos(book, file) if file.parent.name == "claims" else ())]
        by_day.setdefault(file.stem[-10:], []).extend((each, drop / each.relative_to(book)) for each in files)
    days = sorted(by_day)
    archive = max(len(days) - WEEKLY, 1)
    steps = [_step(days[archive - 1], [pair for day in days[:archive] for pair in by_day[day]])]
    return steps + [_step(day, by_day[day]) for day in days[archive:]]


def _photos(book: Path, claims: Path) -> Iterator[Path]:
    """Photos of a week's claims."""
    for claim_id in re.findall(rb"^C\d+", claims.read_bytes(), re.MULTILINE):
        yield from sorted((book / "photos" / claim_id.decode()).glob("*"))


def _step(day: str, files: list[tuple[Path, Path]]) -> Step:
    # At noon of the day of the drop: what was decided by then is known.
    return Step(datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=12), tuple(files))


def _same(source: Path, place: Path) -> bool:
    return (
        place.is_file() and place.stat().st_size == source.stat().st_size and place.read_bytes() == source.read_bytes()
    )


def _write(state: Path, content: dict[str, object]) -> None:
    part = state.with_name(state.name + ".part")
    part.write_text(json.dumps(content))
    os.replace(part, state)
