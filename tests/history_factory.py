"""Small books with a past: claims, corrections and outcomes by the day, and the plainest way to tell their past."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from shared.claims import read_claims
from shared.contract import Contract
from shared.database import Database
from shared.past import entities, past_of
from shared.usual import Usual

START = datetime(2023, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)


def line(name: str = "motor", *, dated: bool = True) -> Contract:
    """Build a contract whose claims have a claimant, a garage, a kind and an amount."""
    columns = {
        "claim_id": {"dtype": "text"},
        "happened": {"dtype": "datetime"},
        "claimant": {"dtype": "text"},
        "garage": {"dtype": "category", "nullable": True},
        "phone": {"dtype": "text", "nullable": True},
        "kind": {"dtype": "category"},
        "amount": {"dtype": "number"},
    }
    roles = {
        "id": "claim_id",
        "amount": "amount",
        "claimant": "claimant",
        "pii": ["claimant", "phone"],
        "entities": ["claimant", "garage", "phone"],
        "kind": "kind",
    }
    if dated:
        roles["event_time"] = "happened"
    return Contract.model_validate(
        {"name": name, "title": "Claims with a past", "roles": roles, "outcomes": {}, "columns": columns}
    )


@dataclass
class Book:
    """Claims in the tables, with days counted from the first of January 2023."""

    database: Database
    contract: Contract
    lines: int = 0

    @staticmethod
    def moment(day: float) -> datetime:
        """Moment of a day."""
        return START + day * DAY

    def claim(self, claim_id: str, day: float, **values: Any) -> None:
        """Add a claim, known since its event."""
        self._version(claim_id, 1, day, day, values)

    def correct(self, claim_id: str, day: float, known: float, **values: Any) -> None:
        """Supersede a claim's version."""
        revision = self.database.rows(
            "UPDATE claims SET superseded_at = %s WHERE claim_id = %s AND superseded_at IS NULL RETURNING revision",
            [self.moment(known), claim_id],
        )[0]["revision"]
        self._version(claim_id, revision + 1, day, known, values)

    def outcome(self, claim_id: str, known: float, *, is_fraud: bool | None) -> None:
        """Add a decision; None takes back what stood."""
        self.database.rows(
            "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) VALUES (%s, %s, %s, %s, 'test')",
            [claim_id, is_fraud, self.moment(known), self.moment(known)],
        )

    def read(self, as_of: float = 1000) -> pl.DataFrame:
        """Read the claims with their past, as of a day."""
        return read_claims(self.database, self.contract, "", {"as_of": self.moment(as_of)})

    def looked_up(self, as_of: float, asked: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The past of some claims by point queries, by claim and column; each has the columns of the contract."""
        moment = self.moment(as_of)
        days = self.database.rows("SELECT * FROM daily_sums(%s)", [moment])
        usual = Usual.of((row["day"], row["kind"], row["one"], row["other"]) for row in days)
        names = {f"e{place}": entity for place, entity in enumerate(entities(self.contract))}
        told: list[dict[str, Any]] = [
            {
                "place": place,
                "claim_id": claim["claim_id"],
                "event_time": claim["event_time"],
                "claimant": claim["claimant"],
                **{name: claim[entity] for name, entity in names.items()},
                **usual.before(claim["event_time"].date(), claim["kind"]),
            }
            for place, claim in enumerate(asked)
        ]
        found = self._past_of(moment, told)
        moved = [
            claim | usual.before(row["at"].date(), asked[row["place"]]["kind"])
            for claim, row in zip(told, found, strict=True)
        ]
        found = self._past_of(moment, moved)
        return {
            asked[row["place"]]["claim_id"]: dict(zip(past_of(self.contract), row["past"], strict=True))
            for row in found
        }

    def _past_of(self, moment: datetime, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.database.rows(
            "SELECT * FROM past_of_claims(%s, %s) ORDER BY place", [moment, json.dumps(told, default=str)]
        )

    def past(self, *columns: str, as_of: float = 1000) -> dict[str, tuple[Any, ...]]:
        """Some columns of the past, by claim."""
        return {row[0]: row[1:] for row in self.read(as_of).select("claim_id", *columns).iter_rows()}

    def _version(self, claim_id: str, revision: int, day: float, known: float, values: Mapping[str, Any]) -> None:
        told = {"claimant": "p", "garage": "g", "phone": "1", "kind": "hail", "amount": 1.0} | values
        self.lines += 1
        self.database.rows(
            "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, "
            f"{', '.join(told)}) VALUES (%s, %s, %s, %s, 1, %s{', %s' * len(told)})",
            [claim_id, revision, self.moment(day), self.moment(known), self.lines, *told.values()],
        )


@dataclass(frozen=True)
class Version:
    """One version of a claim; moments count in days."""

    claim: str
    revision: int
    event: float
    known: float
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """An outcome; None takes back what stood."""

    claim: str
    known: float
    is_fraud: bool | None


def plainly(versions: list[Version], decisions: list[Decision], as_of: float) -> dict[str, dict[str, Any]]:
    """Tell the past of every claim that is visible, one by one, from the definitions alone.

    Returns
    -------
    dict
        By claim, what `shared.past.past_of` of :func:`line` names.
    """
    told = {}
    first = {v.claim: v for v in versions if v.revision == 1 and v.known <= as_of}
    current: dict[str, Version] = {}
    for v in sorted(versions, key=lambda v: v.revision):
        if v.known <= as_of:
            current[v.claim] = v
    for claim, version in current.items():
        at = min(version.event, first[claim].event)
        others = [v for v in first.values() if v.event < at]
        ours: dict[str, Any] = {}
        for entity in ("claimant", "garage", "phone"):
            ours |= _of_entity(entity, version.values, others, _known(first, decisions, at, as_of), at)
        peers = [
            v.values["amount"]
            for v in first.values()
            if v.values["kind"] == version.values["kind"] and v.values["amount"] > 0
            and math.floor(at) - 365 <= math.floor(v.event) < math.floor(at)
        ]  # fmt: skip
        logs = [math.log(amount) for amount in peers]
        ours["kind: usual amount"] = math.exp(sum(logs) / len(logs)) if len(logs) >= 10 else None
        told[claim] = ours
    return told


def _known(
    first: Mapping[str, Version], decisions: list[Decision], at: float, as_of: float
) -> list[tuple[Version, bool, bool]]:
    """Claims whose outcome was known before a moment: the outcome, and whether that was known on a day before."""
    found = []
    for claim, version in first.items():
        seen = [d for d in decisions if d.claim == claim and d.known <= as_of]
        before = [d for d in seen if max(d.known, version.event) < at]
        on_earlier_days = [d for d in seen if math.floor(max(d.known, version.event)) < math.floor(at)]
        for told, usual in ((before, False), (on_earlier_days, True)):
            stands = max(told, key=lambda d: d.known).is_fraud if told else None
            if stands is not None:
                found.append((version, stands, usual))
    return found


def _of_entity(
    entity: str, values: Mapping[str, Any], others: list[Version], known: list[tuple[Version, bool, bool]], at: float
) -> dict[str, Any]:
    names = (
        "claims in the 90 days before, up to 5", "days since the claim before, up to 90",
        "share of fraud known before, times the usual",
    )  # fmt: skip
    value = values[entity]
    told: dict[str, Any] = dict.fromkeys(f"{entity}: {name}" for name in names)
    if entity == "phone":
        told["phone: other claimants before"] = None
    if value is None:
        return told
    same = [v for v in others if v.values[entity] == value]
    outcomes = [is_fraud for v, is_fraud, usual in known if not usual and v.values[entity] == value]
    usually = [is_fraud for _, is_fraud, usual in known if usual]
    usual = sum(usually) / len(usually) if usually else 0.0
    lately = [v.event for v in same if v.event >= at - 90]
    told[f"{entity}: claims in the 90 days before, up to 5"] = min(5, len(lately))
    told[f"{entity}: days since the claim before, up to 90"] = at - max(lately) if lately else None
    beyond = sum(outcomes) / usual if usual else 0.0
    told[f"{entity}: share of fraud known before, times the usual"] = (beyond + 10) / (len(outcomes) + 10)
    if entity == "phone":
        told["phone: other claimants before"] = min(
            10, len({v.values["claimant"] for v in same} - {values["claimant"]})
        )
    return told
