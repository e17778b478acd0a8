"""Drops drawn by lot, and what must become of each row: worked out by plain rules, and not by etl's code."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from tests.factories import CLAIM, MOTOR
from tests.photos_factory import jpeg

REFERENCE = """
[reference.agents]
key = "note"
id = "agent"
columns.town = { dtype = "category" }
columns.since = { dtype = "date", nullable = true }
"""
OUTCOMES = """
[outcomes]
id = "claim"
label = "verdict"
decided_at = "decided"
known_at = "known"
source = "by"
"""
FRAUD = 'fraud = { dtype = "category", nullable = true }'
AGENTS = [f"A{number}" for number in range(20)]
REJECT_LIMIT = 0.1
QUARANTINE = "claims_quarantine"


@dataclass(frozen=True)
class Row:
    """Cells as they are dropped; `wrong` if one breaks the contract, `cut` if the line is no row at all."""

    cells: tuple[str, ...]
    wrong: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Table:
    """The content of a file."""

    kind: str
    columns: tuple[str, ...]
    rows: Sequence[Row]

    def written(self, name: str) -> bytes:
        """Write it as the ending of its name says."""
        if ".jsonl" in name:
            lines = [json.dumps(dict(zip(self.columns, row.cells, strict=True))) for row in self.rows]
            lines = [line[:-1] if row.cut else line for line, row in zip(lines, self.rows, strict=True)]
        else:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(row.cells[:-1] if row.cut else row.cells for row in self.rows)
            lines = text.getvalue().splitlines()
        content = "".join(f"{line}\n" for line in lines).encode()
        return gzip.compress(content, mtime=0) if name.endswith(".gz") else content


@dataclass(frozen=True)
class Book:
    """A contract, and what senders drop on one day and the next: a later content of a uri replaces the earlier."""

    contract: str
    days: tuple[dict[str, Table], dict[str, Table]]
    photos: dict[str, bytes]


def draw_book(draw: Random, large: float = 0.01, most_rows: int = 1000) -> Book:
    """Draw claims files of any format with dirty and repeated rows, one over the limit, and what belongs to them.

    With a probability of `large` one file has more rows than etl reads at once.
    """
    labelled, referenced = draw.random() < 0.5, draw.random() < 0.4
    tables = [
        _claims(draw, f"c{number}", draw.randint(100, most_rows), labelled) for number in range(draw.randint(2, 4))
    ]
    if draw.random() < large:
        tables[0] = _claims(draw, "c0", 130_000, labelled)
    tables = [tables[0], *(_with_rows_of(draw, table, tables[0]) for table in tables[1:])]
    first = {_uri(draw, number): table for number, table in enumerate(tables)}
    first[_uri(draw, 8)] = _claims(draw, "r", draw.randint(50, 300), labelled, wrong=0.3)
    changed, mended = draw.choice(list(first)[:-1]), list(first)[-1]
    second = {
        changed: _changed(draw, first[changed]),
        mended: _claims(draw, "r", 60, labelled),
        _uri(draw, 9): _with_rows_of(draw, _claims(draw, "n", draw.randint(100, most_rows), labelled), tables[-1]),
    }
    if not labelled:
        decided = _outcomes(draw, tables[0])
        first["motor/outcomes/a.csv"] = decided
        grown = [_turned(row) if draw.random() < 0.2 else row for row in decided.rows[20:]]
        second["motor/outcomes/a.csv"] = replace(decided, rows=[*grown, *_outcomes(draw, tables[1]).rows])
        second["motor/outcomes/b.csv"] = replace(decided, rows=[*_outcomes(draw, tables[0]).rows, *decided.rows[:40]])
    if referenced:
        first["motor/reference/agents/agents.csv"] = _agents(draw)
        second["motor/reference/agents/agents.csv"] = _agents(draw)
    photos = {}
    if draw.random() < 0.15:
        photos = {f"motor/photos/c0-{n}/{n}.jpg": jpeg(n % 4) if n % 5 else b"no photo" for n in range(8)}
    return Book(_contract(labelled, referenced, bool(photos)), (first, second), photos)


def _contract(labelled: bool, referenced: bool, photos: bool) -> str:
    text = MOTOR
    if not labelled:
        roles, columns = MOTOR.replace('label = "fraud"\n', "").replace(FRAUD, "").split("[label]")
        text = roles + OUTCOMES + "\n[columns]" + columns.split("[columns]")[1]
    return ("photos = true\n" if photos else "") + text + (REFERENCE if referenced else "")


def _uri(draw: Random, number: int) -> str:
    return f"motor/claims/{number}.{draw.choice(['csv', 'csv', 'csv', 'csv.gz', 'jsonl', 'jsonl.gz'])}"


def _claims(draw: Random, prefix: str, count: int, labelled: bool, wrong: float = 0.03) -> Table:
    columns = tuple(name for name in CLAIM if labelled or name != "fraud")
    rows: list[Row] = []
    for number in range(count):
        row = Row(
            (
                f"{prefix}-{number}",
                str(date(2023, 1, 1) + timedelta(days=draw.randrange(400))),
                _amount(draw),
                draw.choice(["theft", "hail"]),
                draw.choice(AGENTS),
                draw.choice(["?", "", "1", "2"]),
                "2024-02-04 10:00:00",
                draw.choice(["yes", "no", ""]),
                draw.choice("YNNN"),
            )[: len(columns)]
        )
        if draw.random() < 0.02 and not (before := draw.choice(rows or [row])).wrong:
            row = Row((before.cells[0], *row.cells[1:])) if draw.random() < 0.5 else before
        rows.append(_dirty(draw, row) if draw.random() < wrong else row)
    return Table("claims", columns, rows)


def _amount(draw: Random) -> str:
    return str(draw.randrange(1, 4000) / 4)


def _dirty(draw: Random, row: Row) -> Row:
    if draw.random() < 0.3:
        return replace(row, cut=True)
    place, cell = draw.choice([(0, ""), (1, "2024-02-30"), (2, "dear"), (2, "-1"), (3, "flood"), (5, "many")])
    return Row((*row.cells[:place], cell, *row.cells[place + 1 :]), wrong=True)


def _corrected(draw: Random, row: Row) -> Row:
    return row if row.wrong or row.cut else Row((*row.cells[:2], _amount(draw), *row.cells[3:]))


def _with_rows_of(draw: Random, table: Table, other: Table) -> Table:
    """Add some rows of another file, a part of them corrected."""
    more = [_corrected(draw, row) if draw.random() < 0.5 else row for row in draw.sample(list(other.rows), 30)]
    rows = [*table.rows, *more]
    draw.shuffle(rows)
    return replace(table, rows=rows)


def _changed(draw: Random, table: Table) -> Table:
    """Take some rows away and correct others."""
    kept = [row for row in table.rows if draw.random() < 0.9]
    return replace(table, rows=[_corrected(draw, row) if draw.random() < 0.1 else row for row in kept])


def _outcomes(draw: Random, table: Table) -> Table:
    rows = []
    for claim in draw.sample(list(table.rows), 80):
        decided = date(2024, 3, 1) + timedelta(days=draw.randrange(30))
        cells = (claim.cells[0] or "c", draw.choice("YN"), str(decided), str(decided + timedelta(days=2)), "team")
        rows += [Row(cells)] * (2 if draw.random() < 0.02 else 1)
        if draw.random() < 0.02:
            place, cell = draw.choice([(1, "maybe"), (2, "2999-01-01")])
            rows[-1] = Row((*cells[:place], cell, *cells[place + 1 :]), wrong=True)
        elif draw.random() < 0.05:
            rows += [_turned(rows[-1]), rows[-1]][: draw.randint(1, 2)]
    return Table("outcomes", ("claim", "verdict", "decided", "known", "by"), rows)


def _turned(row: Row) -> Row:
    """Say the opposite of a decision."""
    turned = {"Y": "N", "N": "Y"}.get(row.cells[1], row.cells[1])
    return replace(row, cells=(row.cells[0], turned, *row.cells[2:]))


def _agents(draw: Random) -> Table:
    rows = [Row((agent, draw.choice(["Ulm", "Bonn"]), "2020-03-01")) for agent in AGENTS[draw.randrange(4) :]]
    return Table(
        "reference", ("agent", "town", "since"), [*rows, Row((AGENTS[-1], "Ulm", "soon"), wrong=True), rows[0]]
    )


def _decision(cells: tuple[str, ...]) -> tuple[str, ...]:
    return (cells[0], *cells[2:])


@dataclass
class Expected:
    """What must stand where after files were loaded, in the order of their uris, reference tables first."""

    fates: dict[str, dict[int, str]] = field(default_factory=dict)
    """By uri of a file's latest content and line: the table that the row stands in."""
    amounts: dict[tuple[str, int], tuple[str, float]] = field(default_factory=dict)
    """By uri and line of each file's latest content that was loaded: claim and amount of what stands in ``claims``."""
    _versions: dict[str, list[tuple[tuple[str, ...], str, bool]]] = field(default_factory=dict)
    """Of each claim: what was said of it, by which file, and whether it still holds."""
    _told: dict[tuple[str, ...], tuple[str, str]] = field(default_factory=dict)
    """Of each decision: what was told last, and by which file."""
    _decided: dict[str, dict[tuple[str, ...], str]] = field(default_factory=dict)
    """By uri of an outcomes file: what its latest content said of which decisions."""
    _agents: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def load(self, files: dict[str, Table]) -> None:
        """Work out what becomes of a day's files."""
        for kind in ("reference", "claims", "outcomes"):
            for uri in sorted(uri for uri, table in files.items() if table.kind == kind):
                self._load(uri, files[uri])

    def _load(self, uri: str, table: Table) -> None:
        first = 1 if ".jsonl" in uri else 2  # a CSV header is line 1
        good: dict[int, tuple[str, ...]] = {}
        seen: set[tuple[str, ...] | str] = set()
        sound = {line: row.cells for line, row in enumerate(table.rows, first) if not (row.wrong or row.cut)}
        corrected = 0
        for line, cells in sound.items():
            key = cells if table.kind == "outcomes" else cells[0]
            if table.kind == "outcomes" and any(
                later > line and _decision(other) == _decision(cells) and other != cells
                for later, other in sound.items()
            ):
                corrected += 1
            elif key not in seen:
                seen.add(key)
                good[line] = cells
        lines = range(first, first + len(table.rows))
        if len(lines) - len(good) - corrected > REJECT_LIMIT * len(lines):
            good = {}
        elif table.kind == "claims":
            good = self._claims(uri, good)
            self.amounts = {key: told for key, told in self.amounts.items() if key[0] != uri}
            self.amounts |= {(uri, line): (cells[0], float(cells[2])) for line, cells in good.items()}
        elif table.kind == "outcomes":
            good = self._outcomes(uri, good)
        else:
            self._agents = {cells[0]: cells[1:] for cells in good.values()}
        home = "reference_agents" if table.kind == "reference" else table.kind
        self.fates[uri] = {line: home if line in good else QUARANTINE for line in lines}

    def _outcomes(self, uri: str, good: dict[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
        """Rows that say something new of a decision, or what this file was the last to say or has said before."""
        brought: dict[int, tuple[str, ...]] = {}
        before = self._decided.get(uri, {})
        for line, cells in good.items():
            verdict, last = cells[1], self._told.get(_decision(cells))
            if last and last[0] == verdict and last[1] != uri:
                continue
            brought[line] = cells
            if (last and last[0] == verdict) or before.get(_decision(cells)) == verdict:
                continue
            self._told[_decision(cells)] = verdict, uri
        self._decided[uri] = {_decision(cells): cells[1] for cells in brought.values()}
        return brought

    def _claims(self, uri: str, good: dict[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
        """Rows that become a version of their claim, or are one that this file had told before."""
        brought: dict[int, tuple[str, ...]] = {}
        kept: set[str] = set()
        for line, cells in good.items():
            # "?" means what an empty cell means.
            said = (*cells[:5], cells[5].replace("?", ""), *cells[6:], *self._agents.get(cells[4], ()))
            versions = self._versions.setdefault(cells[0], [])
            if any(holds and other != uri and known == said for known, other, holds in versions):
                continue
            brought[line] = cells
            kept.add(cells[0])
            if not any(other == uri and known == said for known, other, _ in versions):
                versions[:] = [(known, other, False) for known, other, _ in versions]
                versions.append((said, uri, True))
        for claim, versions in self._versions.items():
            if claim not in kept:
                versions[:] = [(known, other, holds and other != uri) for known, other, holds in versions]
        return brought
