"""How claims are read: one SELECT list and its dtypes, for every stage that looks at them."""

from __future__ import annotations

from typing import Any

import polars as pl

from shared.contract import PHOTOS_REUSED, Contract, DType
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
        Of the query; ``as_of``, the clock, is among them.
    extra : dict, optional
        More columns: SQL expression and dtype by name.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``event_time``, the extra columns, the stored ones, and, where the line has photos,
        ``photos_reused``: how many of the claim's pictures another claim showed that happened no later. Rows in the
        query's order.
    """
    extra = extra or {}
    dtypes: dict[str, DType] = {"claim_id": "text", "event_time": "datetime"}
    dtypes |= {name: dtype for name, (_, dtype) in extra.items()}
    selected = ["c.claim_id", "c.event_time", *(f"{expression} AS {name}" for name, (expression, _) in extra.items())]
    for name, dtype in contract.stored.items():
        if name not in dtypes:
            dtypes[name] = dtype
            selected.append(f"c.{quoted(name)}")
    claims = database.frame(f"SELECT {', '.join(selected)} {source}", dtypes, parameters)
    return _with_photos_reused(database, claims, parameters) if contract.photos else claims


def _with_photos_reused(database: Database, claims: pl.DataFrame, parameters: dict[str, Any]) -> pl.DataFrame:
    query = "SELECT claim_id, photos_reused FROM photos_reused_as_of(%(as_of)s)"
    reused = database.frame(query, {"claim_id": "text", PHOTOS_REUSED: "integer"}, {"as_of": parameters["as_of"]})
    joined = claims.join(reused, on="claim_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col(PHOTOS_REUSED).fill_null(0))
