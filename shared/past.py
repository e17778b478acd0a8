"""What is told of the past of a claim: the columns that are read with it beside its own.

They come from claims that happened before it and from outcomes that were known before it, and from nothing else.
"""

from __future__ import annotations

from shared.contract import PHOTOS_REUSED, Contract
from shared.contract_parts import DType

SHARERS = 10
"""Other claimants that are counted at most: who has more is an agent or a garage, and further ones tell the date."""


def past_of(contract: Contract) -> dict[str, DType]:
    """Columns of the past that a contract asks for, by name; where no column dates claims, none but for photos."""
    columns = {name: dtype for entity in entities(contract) for name, dtype in of_entity(contract, entity).values()}
    if usual := usual_amount(contract):
        columns[usual] = "number"
    if contract.photos:
        columns[PHOTOS_REUSED] = "integer"
    return columns


def entities(contract: Contract) -> tuple[str, ...]:
    """Columns whose values have a history."""
    return contract.roles.entities if contract.roles.event_time else ()


def of_entity(contract: Contract, entity: str) -> dict[str, tuple[str, DType]]:
    """Name and dtype of what is told of an entity: claims, days, frauds, rate and claimants, as far as it can be."""
    told: dict[str, tuple[str, DType]] = {
        "claims": (f"{entity}: claims in the year before", "integer"),
        "days": (f"{entity}: days since the claim before", "number"),
    }
    if contract.labelled:
        told["frauds"] = (f"{entity}: frauds known before", "integer")
        told["rate"] = (f"{entity}: share of fraud known before, times the usual", "number")
    if contract.roles.claimant not in (None, entity):
        told["claimants"] = (f"{entity}: other claimants before", "integer")
    return told


def usual_amount(contract: Contract) -> str | None:
    """Column of the usual amount of a claim's kind, or None where the contract does not ask for it."""
    roles = contract.roles
    return f"{roles.kind}: usual {roles.amount}" if roles.event_time and roles.kind and roles.amount else None
