"""What is told of the past of a claim: the columns that are read with it beside its own.

They come from claims that happened before it and from outcomes that were known before it, and from nothing else.
"""

from __future__ import annotations

from shared.contract import PHOTOS_REUSED, Contract
from shared.contract_parts import DType

WINDOW_DAYS = 90
"""How far back claims are counted. Over a year, what is neither rare nor frequent, such as the claims of one agent at
one garage, grew for as long as a book of 14 months had lasted: its model then saw drift in every later week."""
PEERS_DAYS = 365
"""How far back amounts of the same kind are looked at: far enough for a season, not for inflation."""
MOST_CLAIMS = 5
"""Earlier claims that are counted at most: of a garage that has more they tell the season and how the book grows."""
SHARERS = 10
"""Other claimants that are counted at most: it takes few to tell that something is shared."""


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
    """Name and dtype of what is told of an entity: claims, days, rate and claimants, as far as they can be.

    Other claimants are told of what should be one person's own, such as a phone: of an agent they are mere business.
    """
    told: dict[str, tuple[str, DType]] = {
        "claims": (f"{entity}: claims in the {WINDOW_DAYS} days before, up to {MOST_CLAIMS}", "integer"),
        "days": (f"{entity}: days since the claim before, up to {WINDOW_DAYS}", "number"),
    }
    if contract.labelled:
        told["rate"] = (f"{entity}: share of fraud known before, times the usual", "number")
    if contract.roles.claimant not in (None, entity) and entity in contract.personal:
        told["claimants"] = (f"{entity}: other claimants before", "integer")
    return told


def usual_amount(contract: Contract) -> str | None:
    """Column of the usual amount of a claim's kind, or None where the contract does not ask for it."""
    roles = contract.roles
    return f"{roles.kind}: usual {roles.amount}" if roles.event_time and roles.kind and roles.amount else None
