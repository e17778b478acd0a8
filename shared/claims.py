"""How claims are read: one SELECT list and its dtypes, for every stage that looks at them."""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping
from typing import Any

import polars as pl

from shared.contract import Contract
from shared.contract_parts import DType
from shared.copied import parsed
from shared.database import Database, quoted
from shared.history import remember
from shared.past import past_of

Extra = Mapping[str, tuple[str, DType]]


def read_claims(
    database: Database,
    contract: Contract,
    rest: str,
    parameters: dict[str, Any],
    extra: Extra | None = None,
    order: str = "c.claim_id",
) -> pl.DataFrame:
    """Read claims with all that the contract stores of them, and with their past.

    Parameters
    ----------
    rest : str
        What follows ``FROM claims_as_of(%(as_of)s) c`` in the query: joins, and then conditions.
    parameters : dict
        Of the query; ``as_of``, the clock, is among them.
    extra : mapping, optional
        More columns: SQL expression and dtype by name.
    order : str
        What the rows are ordered by.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, ``event_time``, the extra columns, the stored ones and those of :func:`shared.past.past_of`.
    """
    if past_of(contract):
        remember(database, contract, rest, parameters)
    query, dtypes = _query(contract, rest, extra or {})
    return database.frame(f"{query} ORDER BY {order}", dtypes, parameters)


def claim_batches(
    database: Database, contract: Contract, rest: str, parameters: dict[str, Any], extra: Extra, size: int
) -> Generator[pl.DataFrame]:
    """Read claims as :func:`read_claims` does, but in no order, and in one pass some at a time.

    Their past is made once for all of them, before the first is asked for. What comes from then on is left out. Until
    the last of them the session can do nothing else.
    """
    if past_of(contract):
        remember(database, contract, rest, parameters)
    query, dtypes = _query(contract, rest, extra)
    return database.batches(query, dtypes, parameters, size)


def no_claims(contract: Contract) -> pl.DataFrame:
    """Give no claims, with all columns that :func:`read_claims` gives without extra ones."""
    _, dtypes = _query(contract, "", {})
    return parsed(io.BytesIO(), dtypes)


def _query(contract: Contract, rest: str, extra: Extra) -> tuple[str, dict[str, DType]]:
    dtypes: dict[str, DType] = {"claim_id": "text", "event_time": "datetime"}
    dtypes |= {name: dtype for name, (_, dtype) in extra.items()}
    selected = ["c.claim_id", "c.event_time", *(f"{expression} AS {name}" for name, (expression, _) in extra.items())]
    for name, dtype in contract.stored.items():
        if name not in dtypes:
            dtypes[name] = dtype
            selected.append(f"c.{quoted(name)}")
    past = past_of(contract)
    selected += [f"h.h{place}" for place in range(len(past))]
    joined = "JOIN history h USING (claim_id) " if past else ""
    return f"SELECT {', '.join(selected)} FROM claims_as_of(%(as_of)s) c {joined}{rest}", dtypes | past
