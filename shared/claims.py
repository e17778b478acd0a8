"""How claims are read: one SELECT list and its dtypes, for every stage that looks at them."""

from __future__ import annotations

from typing import Any

import polars as pl

from shared.contract import Contract, DType
from shared.database import Database, quoted


def read_claims(
    database: Database,
    contract: Contract,
    source: str,
    parameters: dict[str, Any],
    extra: dict[str, tuple[str, DType]] | None = None,
) -> pl.DataFrame:
    """Read claims with all that the contract stores of them.

    Parameters
    ----------
    source : str
        All of the query from ``FROM`` on, in which the claims are named ``c``.
    parameters : dict
        Of the query.
    extra : dict, optional
        More columns: SQL expression and dtype by name.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``event_time``, the extra columns, and the stored ones; rows in the query's order.
    """
    extra = extra or {}
    dtypes: dict[str, DType] = {"claim_id": "text", "event_time": "datetime"}
    dtypes |= {name: dtype for name, (_, dtype) in extra.items()}
    selected = ["c.claim_id", "c.event_time", *(f"{expression} AS {name}" for name, (expression, _) in extra.items())]
    for name, dtype in contract.stored.items():
        if name not in dtypes:
            dtypes[name] = dtype
            selected.append(f"c.{quoted(name)}")
    return database.frame(f"SELECT {', '.join(selected)} {source}", dtypes, parameters)
