"""What of a contract contradicts what else it says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from typing import NamedTuple

import polars as pl

from shared.contract import RESERVED, Contract
from shared.contract_parts import POLARS_DTYPES, Column
from shared.offered import composed
from shared.past import past_of

Key = tuple[str, ...]
"""Path of a key in the document."""
MEANT = "; did you mean"


class Mistake(NamedTuple):
    """What is wrong, and where."""

    key: Key
    says: str


class ContradictionsError(ValueError):
    """Parts of a contract contradict each other."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(f"{'.'.join(key)}: {says}" for key, says in mistakes))
        self.mistakes = mistakes


def meant(name: str, known: Collection[str]) -> str:
    """Ask whether a name is meant that is known, if one is close."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"{MEANT} '{close[0]}'?" if close else ""


def contradictions(contract: Contract) -> list[Mistake]:
    """Hold the parts of a contract against each other."""
    return [
        *_role_mistakes(contract),
        *_label_mistakes(contract),
        *_column_mistakes(contract),
        *_reference_mistakes(contract),
        *_pull_mistakes(contract),
        *_derived_mistakes(contract),
    ]


def _unknown(key: Key, name: str, known: Collection[str]) -> Mistake:
    return Mistake(key, f"no column '{name}'{meant(name, known)}")


def _role_mistakes(contract: Contract) -> Iterator[Mistake]:
    roles, known = contract.roles, contract.known
    for role in ("id", "event_time", "label", "amount", "claimant", "kind"):
        name = getattr(roles, role)
        if name is not None and name not in known:
            yield _unknown(("roles", role), name, known)
    lists = [(role, name) for role in ("sensitive", "pii", "ignore", "entities") for name in getattr(roles, role)]
    yield from (_unknown(("roles", role), name, known) for role, name in lists if name not in known)
    if roles.event_time in known and known[roles.event_time].dtype not in ("date", "datetime"):
        yield Mistake(("roles", "event_time"), f"'{roles.event_time}' must be a date or a datetime")
    if roles.amount in known and known[roles.amount].dtype not in ("integer", "number"):
        yield Mistake(("roles", "amount"), f"'{roles.amount}' must be an integer or a number")
    for role, name in (("id", roles.id), ("event_time", roles.event_time)):
        if name in roles.ignore or (name in known and known[name].nullable):
            yield Mistake(
                ("roles", role), f"'{name}' identifies or dates a claim, so it is neither ignored nor nullable"
            )
    for role in ("event_time", "label", "amount"):
        if (name := getattr(roles, role)) in roles.pii:
            yield Mistake(("roles", role), f"'{name}' is personal, and stored as a pseudonym that tells nothing")
    if roles.claimant in known and (roles.claimant not in contract.columns or roles.claimant not in roles.pii):
        yield Mistake(("roles", "claimant"), f"'{roles.claimant}' must be a column of the claims file that pii names")
    learnt = {*known, *past_of(contract), *composed(contract, contract.stored)}
    for name in contract.features.allow:
        if name not in learnt:
            yield Mistake(("features", "allow", name), f"no column or feature '{name}'{meant(name, learnt)}")
    yield from _past_mistakes(contract)


def _past_mistakes(contract: Contract) -> Iterator[Mistake]:
    roles, known = contract.roles, contract.known
    for role, names in (("entities", roles.entities), ("kind", (roles.kind,) if roles.kind else ())):
        for name in names:
            if name in (roles.id, roles.label):
                yield Mistake(("roles", role), f"'{name}' is the {'id' if name == roles.id else 'label'}")
            elif name in known and not _names(contract, name):
                wanted = "a category, a text, or a whole number without a unit"
                yield Mistake(("roles", role), f"'{name}' must be {wanted}: claims are grouped by it")
    for name in sorted({name for name in roles.entities if roles.entities.count(name) > 1}):
        yield Mistake(("roles", "entities"), f"'{name}' stands there twice")
    if contract.review.alert_amount is not None and roles.amount is None:
        yield Mistake(("review", "alert_amount"), "goes with roles.amount, which names the column of the amount")
    if roles.kind and roles.amount is None:
        yield Mistake(("roles", "kind"), "goes with roles.amount: amounts are compared with those of the same kind")
    for name in sorted(past_of(contract).keys() & (known.keys() - RESERVED)):
        yield Mistake(("columns", name), "the name is that of what is told of the past; rename the column")


def _names(contract: Contract, name: str) -> bool:
    """Whether a column names something, so that claims can be grouped by it."""
    dtype = contract.dtype(name)
    return dtype in ("category", "text") or (dtype == "integer" and not contract.known[name].unit)


def _label_mistakes(contract: Contract) -> Iterator[Mistake]:
    roles, columns = contract.roles, contract.columns
    if roles.label and contract.outcomes:
        yield Mistake(("outcomes",), "give either roles.label with a [label] table or [outcomes], not both")
    elif roles.label and contract.label is None:
        yield Mistake(("roles", "label"), "needs a [label] table that says which values mean fraud and which do not")
    elif contract.label and roles.label is None:
        yield Mistake(("label",), "goes with roles.label, which names the column")
    if roles.label in contract.known and (
        roles.label not in columns or roles.label in (roles.id, roles.event_time, roles.claimant)
    ):
        yield Mistake(("roles", "label"), f"'{roles.label}' must be a column of the file that plays no other part")
    if contract.outcomes and roles.id is None:
        yield Mistake(("outcomes",), "are joined to claims by their id: name it in roles.id")
    if contract.photos and roles.id is None:
        yield Mistake(("photos",), "are joined to claims by their id: name it in roles.id")
    told = {"label": contract.label, "outcomes": contract.outcomes}
    for key, part in told.items():
        if part and (both := sorted({*part.fraud} & {*part.not_fraud})):
            yield Mistake((key, "fraud"), f"{', '.join(map(repr, both))} means both fraud and not fraud")


def _column_mistakes(contract: Contract) -> Iterator[Mistake]:
    roles = contract.roles
    owners = {"claim_id": roles.id, "event_time": roles.event_time, "is_fraud": roles.label}
    for name, column in contract.columns.items():
        if name in RESERVED and owners.get(name) != name:
            says = f"the name is Claimsight's own; rename the column and give source = '{name}'"
            yield Mistake(("columns", name), says)
        yield from _one_column(("columns", name), name, column)
    yield from _read_twice(("columns",), contract.columns)
    if contract.columns.keys() == {roles.label}:
        yield Mistake(("columns",), "hold the label and nothing else; name what is known of the claims, too")


def _one_column(key: Key, name: str, column: Column) -> Iterator[Mistake]:
    yield from _name_mistakes(key, name)
    if column.levels and column.dtype not in ("category", "text"):
        yield Mistake((*key, "levels"), "only for category and text")
    if column.ordered and not column.levels:
        yield Mistake((*key, "ordered"), "give the levels in their order")
    if column.format and column.dtype not in ("date", "datetime"):
        yield Mistake((*key, "format"), "only for date and datetime")
    bounds = [bound for bound in (column.min, column.max) if bound is not None]
    wanted = {"integer": float, "number": float, "date": date, "datetime": date}.get(column.dtype)
    if bounds and (wanted is None or not all(isinstance(bound, wanted) for bound in bounds)):
        yield Mistake((*key, "max" if column.min is None else "min"), f"does not fit dtype {column.dtype}")
    elif len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator]  # both are of the wanted type
        yield Mistake((*key, "min"), "is above max")


def _read_twice(key: Key, columns: Mapping[str, Column]) -> Iterator[Mistake]:
    first: dict[str, str] = {}
    for name, column in columns.items():
        header = column.source or name
        if header in first:
            yield Mistake((*key, name), f"reads '{header}', as '{first[header]}' does")
        first.setdefault(header, name)


def _name_mistakes(key: Key, name: str) -> Iterator[Mistake]:
    # Postgres cuts longer names off, and Polars takes ^...$ and * for patterns.
    if len(name.encode()) > 59 or not re.fullmatch(r"[^\s\"\x00-\x1f*^][^\"\x00-\x1f*]*", name):
        rule = "has 1 to 59 bytes, no quotation mark, asterisk or line break, and does not begin with ^"
        yield Mistake(key, f"a column name {rule}")


def _reference_mistakes(contract: Contract) -> Iterator[Mistake]:
    taken = {*contract.columns, *RESERVED}
    for table, reference in contract.reference.items():
        key = ("reference", table)
        if reference.key not in contract.columns:
            yield _unknown((*key, "key"), reference.key, contract.columns)
        for name, column in reference.columns.items():
            at = (*key, "columns", name)
            if name in taken:
                yield Mistake(at, f"the name is taken; rename the column and give source = '{column.source or name}'")
            yield from _one_column(at, name, column)
        yield from _read_twice((*key, "columns"), reference.columns)
        taken |= reference.columns.keys()
    joined = {name for reference in contract.reference.values() for name in reference.columns}
    for role in ("id", "event_time"):
        if (name := getattr(contract.roles, role)) in joined:
            yield Mistake(("roles", role), f"'{name}' comes from a reference table; name a column of the claims")


def _pull_mistakes(contract: Contract) -> Iterator[Mistake]:
    feeds = ["claims", *(f"reference/{name}" for name in contract.reference)]
    feeds += ["outcomes"] if contract.outcomes else []
    for name, pull in contract.pull.items():
        key = ("pull", name)
        if pull.feed not in feeds:
            says = f"this contract has no feed '{pull.feed}', only {', '.join(feeds)}"
            yield Mistake((*key, "feed"), says + meant(pull.feed, feeds))
        if (pull.table is None) == (pull.query is None):
            yield Mistake(key, "give either table or query")
        if pull.table is not None and not re.fullmatch(r'[^".\x00-\x1f]{1,63}\.[^".\x00-\x1f]{1,63}', pull.table):
            yield Mistake((*key, "table"), "should be schema.table")
        if pull.query is not None and not re.match(r"\s*(select|with)\b", pull.query, re.IGNORECASE):
            yield Mistake((*key, "query"), "should be one SELECT")


def _derived_mistakes(contract: Contract) -> Iterator[Mistake]:
    owners = {"claim_id": contract.roles.id, "event_time": contract.roles.event_time}
    inputs = {name: column for name, column in contract.known.items() if name not in contract.derived}
    no_rows = pl.DataFrame(schema={name: POLARS_DTYPES[column.dtype] for name, column in inputs.items()})
    for name, derived in contract.derived.items():
        key: Key = ("derived", name)
        joined = any(name in reference.columns for reference in contract.reference.values())
        if name in contract.columns or joined or (name in RESERVED and owners.get(name) != name):
            yield Mistake(key, "the name is taken")
        yield from _name_mistakes(key, name)
        try:
            value = pl.sql_expr(derived.sql)
            unknown = sorted(set(value.meta.root_names()) - inputs.keys())
            yield from (_unknown((*key, "sql"), column, inputs) for column in unknown)
            if not unknown and no_rows.select(value.cast(POLARS_DTYPES[derived.dtype], strict=False)).height:
                yield Mistake((*key, "sql"), "must give one value a row")
            personal = set(contract.roles.pii) & set(value.meta.root_names())
            if personal and name in (contract.roles.event_time, contract.roles.amount):
                yield Mistake((*key, "sql"), f"reads '{min(personal)}', which is personal: it would be a pseudonym too")
            if contract.roles.label in value.meta.root_names():
                yield Mistake((*key, "sql"), f"reads the label '{contract.roles.label}'")
        except pl.exceptions.PolarsError as error:
            yield Mistake((*key, "sql"), str(error).splitlines()[0])
