"""Apply a file's sound rows: those that stand in ``staging`` become claims, outcomes or rows of a reference table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.clean import outcome_columns, reference_key
from shared.contract import Contract, headers
from shared.database import Database, quoted, reference_table

Kind = Literal["claims", "outcomes", "reference"]
LABEL_SOURCE = "claims file"
"""Source of an outcome that stands in the claims file itself."""
DECISION = ("claim_id", "decided_at", "known_at", "source")
"""Columns that tell decisions apart. Of one that is told differently what was told last counts."""


@dataclass(frozen=True)
class Feed:
    """What the files of one folder of the drop hold; ``name`` is that of a reference table."""

    kind: Kind
    name: str = ""

    @property
    def folder(self) -> str:
        """Where its files lie, below the line of business."""
        return f"{self.kind}/{self.name}".rstrip("/")

    @property
    def table(self) -> str:
        """Table that its rows end in."""
        return reference_table(self.name) if self.name else self.kind

    @property
    def key(self) -> str:
        """Column that names what a row speaks of."""
        return "key" if self.name else "claim_id"

    def content(self, contract: Contract) -> list[str]:
        """Columns that make two rows of one key the same or not."""
        match self.kind:
            case "outcomes":
                return ["is_fraud", "decided_at", "known_at", "source"]
            case "reference":
                return list(contract.reference[self.name].columns)
            case "claims":
                return ["event_time", *(name for name in contract.stored if name not in ("claim_id", "event_time"))]

    def headers(self, contract: Contract) -> list[str]:
        """Headers that its files must have."""
        match self.kind:
            case "outcomes":
                assert contract.outcomes is not None
                return list(headers(outcome_columns(contract.outcomes)).values())
            case "reference":
                reference = contract.reference[self.name]
                key = reference_key(reference, contract.columns)
                return [str(key.source), *headers(reference.columns).values()]
            case "claims":
                return list(contract.sources.values())


def feeds(contract: Contract) -> list[Feed]:
    """Feeds of a line of business, those that claims are joined to first."""
    tables = [Feed("reference", name) for name in contract.reference]
    return [*tables, Feed("claims"), *([Feed("outcomes")] if contract.outcomes else [])]


@dataclass(frozen=True)
class Content:
    """One content of a file in the ledger, the earlier ones whose rows it takes over, and the clock."""

    file_id: int
    earlier: list[int]
    as_of: datetime

    @property
    def values(self) -> dict[str, Any]:
        """Parameters of the statements below."""
        return vars(self)


def same(feed: Feed, contract: Contract) -> str:
    """Condition under which a stored row ``c`` says the same as a staged row ``s``, its label included."""
    # Where no column dates a claim, its time is that of the load.
    dated = contract.roles.event_time is not None
    names = [quoted(name) for name in feed.content(contract) if dated or name != "event_time"]
    pairs = " AND ".join(f"c.{name} IS NOT DISTINCT FROM s.{name}" for name in names)
    if feed.kind != "claims":
        return pairs
    # By c's id, so that it is looked up for the claims found only.
    told = f"FROM outcomes o WHERE o.claim_id = c.claim_id AND o.source = '{LABEL_SOURCE}'"
    # The label that counts is the latest; but of a version that another file has corrected since, any that was told.
    return (
        f"{pairs} AND (s.is_fraud IS NULL "
        f"OR s.is_fraud = (SELECT o.is_fraud {told} ORDER BY o.outcome_id DESC LIMIT 1) "
        f"OR (c.superseded_at IS NOT NULL AND s.is_fraud IN (SELECT o.is_fraud {told})))"
    )


def told_last(among: str = "true") -> str:
    """Condition under which a stored outcome ``c`` is the last word on its decision, among such ``l`` as are named."""
    pairs = " AND ".join(f"l.{name} = c.{name}" for name in DECISION)
    return f"NOT EXISTS (SELECT FROM outcomes l WHERE {pairs} AND l.outcome_id > c.outcome_id AND {among})"


def store(database: Database, feed: Feed, contract: Contract, content: Content) -> None:
    """Move staged rows to where they belong."""
    if content.earlier or feed.kind == "outcomes":
        _keep_unchanged(database, feed, contract, content)
    match feed.kind:
        case "claims":
            _insert_claims(database, contract, content.values)
        case "outcomes":
            _insert_outcomes(database, content.values)
        case "reference":
            _insert_reference(database, feed, contract, content.values)


def _keep_unchanged(database: Database, feed: Feed, contract: Contract, content: Content) -> None:
    """Rows that the file's earlier content had brought already stay as they are, and now count as this content's.

    So does what another file has corrected since: saying the same again does not undo the correction. Outcomes are
    never withdrawn: one that the file had left out is still the one that stood.
    """
    own = "c.file_id = ANY(%(earlier)s)"
    if feed.kind == "outcomes":
        own = f"({told_last()} OR {own} AND {told_last('l.file_id = ANY(%(earlier)s)')})"
    database.rows(
        f"WITH kept AS (UPDATE {feed.table} c SET file_id = %(file_id)s, file_line = s.file_line FROM staging s "
        f"WHERE c.{feed.key} = s.{feed.key} AND {own} AND {same(feed, contract)} "
        "RETURNING s.file_line) DELETE FROM staging s USING kept WHERE s.file_line = kept.file_line",
        content.values,
    )


def _insert_claims(database: Database, contract: Contract, values: dict[str, Any]) -> None:
    """A changed claim is superseded by its new version; one that its file no longer holds is withdrawn."""
    database.rows(
        "UPDATE claims c SET superseded_at = greatest(%(as_of)s, c.known_at) WHERE c.superseded_at IS NULL "
        "AND (c.file_id = ANY(%(earlier)s) OR EXISTS (SELECT FROM staging s WHERE s.claim_id = c.claim_id))",
        values,
    )
    columns = ", ".join(quoted(name) for name in Feed("claims").content(contract) if name != "event_time")
    database.rows(
        "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line"
        f"{', ' + columns if columns else ''}) "
        "SELECT s.claim_id, coalesce(p.revision, 0) + 1, s.event_time, "
        "CASE WHEN p.revision IS NULL THEN s.event_time ELSE greatest(%(as_of)s, s.event_time, p.known_at) END, "
        f"%(file_id)s, s.file_line{', ' + columns if columns else ''} FROM staging s "
        "LEFT JOIN (SELECT DISTINCT ON (c.claim_id) c.claim_id, c.revision, c.known_at FROM claims c "
        "WHERE c.claim_id IN (SELECT claim_id FROM staging) ORDER BY c.claim_id, c.revision DESC) p "
        "ON p.claim_id = s.claim_id ORDER BY s.claim_id",
        values,
    )
    if contract.label is not None:
        # A label is known after its delay; one that changed is known when the change was loaded.
        database.rows(
            "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source, file_id, file_line) "
            "SELECT s.claim_id, s.is_fraud, s.event_time + %(delay)s, "
            "CASE WHEN o.known_at IS NULL THEN s.event_time + %(delay)s ELSE greatest(%(as_of)s, o.known_at) END, "
            "%(source)s, %(file_id)s, s.file_line FROM staging s LEFT JOIN "
            "(SELECT DISTINCT ON (o.claim_id) o.claim_id, o.known_at, o.is_fraud FROM outcomes o "
            "WHERE o.source = %(source)s AND o.claim_id IN (SELECT claim_id FROM staging) "
            "ORDER BY o.claim_id, o.outcome_id DESC) o ON o.claim_id = s.claim_id "
            "WHERE s.is_fraud IS NOT NULL AND s.is_fraud IS DISTINCT FROM o.is_fraud ORDER BY s.claim_id",
            values | {"delay": contract.label.delay, "source": LABEL_SOURCE},
        )


def _insert_outcomes(database: Database, values: dict[str, Any]) -> None:
    database.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source, file_id, file_line) "
        "SELECT claim_id, is_fraud, decided_at, known_at, source, %(file_id)s, file_line FROM staging",
        values,
    )


def _insert_reference(database: Database, feed: Feed, contract: Contract, values: dict[str, Any]) -> None:
    """What a table's newest file says of a key holds; claims that are loaded already keep what they were told."""
    database.rows(f"DELETE FROM {feed.table} WHERE file_id = ANY(%(earlier)s)", values)
    columns = ["file_line", *map(quoted, feed.content(contract))]
    told = ", ".join(f"{name} = excluded.{name}" for name in ["file_id", *columns])
    database.rows(
        f"INSERT INTO {feed.table} (key, file_id, {', '.join(columns)}) "
        f"SELECT key, %(file_id)s, {', '.join(columns)} FROM staging ON CONFLICT (key) DO UPDATE SET {told}",
        values,
    )
