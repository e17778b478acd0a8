"""How claims are read: one SELECT list and its dtypes, for every stage that looks at them."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from typing import Any

import polars as pl

from shared.contract import Contract
from shared.contract_parts import POLARS_DTYPES, DType
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
    columns: Collection[str] | None = None,
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
    columns : collection of str, optional
        Those of :func:`columns_of` that are wanted; all by default. ``claim_id`` and the extra ones come in any case.

    Returns
    -------
    polars.DataFrame
        ``claim_id``, the extra columns, and those of :func:`columns_of`.
    """
    query, dtypes = _query(database, contract, rest, parameters, extra or {}, columns)
    return database.frame(f"{query} ORDER BY {order}", dtypes, parameters)


def claim_batches(
    database: Database,
    contract: Contract,
    rest: str,
    parameters: dict[str, Any],
    extra: Extra,
    size: int,
    columns: Collection[str] | None = None,
) -> Generator[pl.DataFrame]:
    """Read claims as :func:`read_claims` does, but in no order, and in one pass some at a time.

    Their past is made once for all of them, before the first is asked for. What comes from then on is left out. Until
    the last of them the session can do nothing else.
    """
    query, dtypes = _query(database, contract, rest, parameters, extra, columns)
    return database.batches(query, dtypes, parameters, size)


def no_claims(contract: Contract) -> pl.DataFrame:
    """Give no claims, with all columns that :func:`read_claims` gives without extra ones."""
    return pl.DataFrame(schema={name: POLARS_DTYPES[dtype] for name, dtype in columns_of(contract).items()})


def columns_of(contract: Contract) -> dict[str, DType]:
    """Name and dtype of all that claims can be read with: their own columns, and those of their past."""
    own: dict[str, DType] = {"claim_id": "text", "event_time": "datetime"}
    return own | {name: dtype for name, dtype in contract.stored.items() if name not in own} | past_of(contract)


def _query(
    database: Database,
    contract: Contract,
    rest: str,
    parameters: dict[str, Any],
    extra: Extra,
    columns: Collection[str] | None,
) -> tuple[str, dict[str, DType]]:
    """Write the query, and make the past that it joins."""
    there = columns_of(contract)
    wanted = there if columns is None else {name: dtype for name, dtype in there.items() if name in columns}
    past = {name: f"h.h{place}" for place, name in enumerate(past_of(contract))}
    dtypes: dict[str, DType] = {"claim_id": "text", **{name: dtype for name, (_, dtype) in extra.items()}}
    selected = ["c.claim_id", *(f"{expression} AS {name}" for name, (expression, _) in extra.items())]
    for name, dtype in wanted.items():
        if name not in dtypes:
            dtypes[name] = dtype
            selected.append(past.get(name, f"c.{quoted(name)}"))
    joined = ""
    if not past.keys().isdisjoint(wanted):
        remember(database, contract, rest, parameters)
        joined = "JOIN history h USING (claim_id) "
    return f"SELECT {', '.join(selected)} FROM claims_as_of(%(as_of)s) c {joined}{rest}", dtypes
