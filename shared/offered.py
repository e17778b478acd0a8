"""Names of features that several columns make, for those who need no values: to reckon these takes NumPy."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

from shared.contract import Contract
from shared.past import usual_amount


def composed(contract: Contract, columns: Collection[str]) -> list[str]:
    """Names that features made from some columns may have, beside these themselves.

    :func:`shared.features.features_of` makes the features, and of many dates not every pair.
    """
    roles = contract.roles
    dated = [name for name in columns if contract.dtype(name) in ("date", "datetime")]
    dates = [name for name in dated if name != roles.event_time]
    named = [*(f"days from {name}" for name in dates), *(f"weekday of {name}" for name in dated)]
    named += [f"days from {one} to {other}" for one, other in combinations(dates, 2)]
    if usual_amount(contract) and {roles.amount, roles.kind} <= {*columns}:
        named.append(f"{roles.amount}, times the usual of its {roles.kind}")
    return named
