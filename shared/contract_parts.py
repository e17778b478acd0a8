"""What a contract tells of the sender's data: files, columns, outcomes, and tables that claims are joined to."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

DType = Literal["integer", "number", "category", "text", "boolean", "date", "datetime"]

POLARS_DTYPES: dict[DType, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "category": pl.String(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us", "UTC"),
}

POSTGRES_TYPES: dict[DType, str] = {
    "integer": "bigint",
    "number": "double precision",
    "category": "text",
    "text": "text",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamptz",
}

Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A table of the contract: frozen, and without keys that it does not know."""

    # What stands below a key is its description in the JSON schema, for editors to show.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class File(Part):
    """How the sender writes a file; whether it is CSV, JSON lines or Parquet, or packed by gzip, is seen from it."""

    delimiter: Annotated[str, Field(pattern=r"^[\t -~]$")] = ","
    """Character between two fields of a CSV file."""
    quote: Literal['"', "'", ""] = '"'
    """Character around a field that holds a delimiter; empty where none plays that part."""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    """Encoding of a CSV file."""
    na_values: tuple[str, ...] = ()
    """Words that mean "unknown" in every column; an empty cell always does."""
    reject_limit: Share = 0.1
    """Share of a file's rows that may break the contract before the whole file goes to quarantine."""
    quarantine_days: Annotated[int, Field(ge=1)] = 90
    """Days after which a row in quarantine loses its content; where it stood and what was wrong with it stay."""


class Label(Part):
    """The outcome, where it stands in the claims file itself."""

    fraud: tuple[str, ...] = ("1",)
    """Words for fraud."""
    not_fraud: tuple[str, ...] = ("0",)
    """Words for no fraud."""
    delay_days: Annotated[int, Field(ge=0)] = 0
    """Days from the event until the outcome is known."""

    @property
    def delay(self) -> timedelta:
        """Time from a claim's event to the day its label is known."""
        return timedelta(days=self.delay_days)


class Outcomes(Part):
    """The outcome, where it comes later in files of its own: one row a decision.

    An outcome is known when its ``known_at`` column says, or else ``delay_days`` after the decision. That should be no
    less than the sender takes to send it, or a replay sees it before anyone could.
    """

    id: str = "claim_id"
    """Header of the claim's id."""
    label: str = "is_fraud"
    """Header of the outcome."""
    decided_at: str = "decided_at"
    """Header of the time of the decision."""
    known_at: str | None = None
    """Header of the time at which the outcome was known."""
    delay_days: Annotated[int, Field(ge=0)] = 0
    """Where no column says: days from the decision until it was known, at least as long as it takes to send."""
    source: str | None = None
    """Header of who decided."""
    fraud: tuple[str, ...] = ("Y",)
    """Words for fraud."""
    not_fraud: tuple[str, ...] = ("N",)
    """Words for no fraud."""


class Column(Part):
    """One column of the sender's file."""

    dtype: DType
    """What its cells are."""
    source: str | None = None
    """Header in the file, where the column shall have another name."""
    nullable: bool = False
    """Whether a cell may be empty or unknown."""
    na_values: tuple[str, ...] = ()
    """Words that mean "unknown" in this column."""
    min: float | date | None = None
    """Smallest value that is kept."""
    max: float | date | None = None
    """Largest value that is kept."""
    levels: tuple[str, ...] = ()
    """All that a category may be; without them anything goes."""
    ordered: bool = False
    """Whether the levels stand in their order, from first to last."""
    format: str | None = None
    """Of a date or datetime that is not ISO 8601, as in strftime."""
    unit: str = ""
    """Unit, such as EUR; a whole number with a unit is an amount, not an identifier."""
    meaning: str = ""
    """In words."""


class Reference(Part):
    """A table that claims are joined to by a key, in files of its own, such as agents or policies."""

    key: str
    """Column of the claims that is looked up."""
    id: str | None = None
    """Header of the key in the table's files; the key's own where none is given."""
    required: bool = False
    """Whether a claim whose key is not in the table goes to quarantine; else what the table would tell is unknown."""
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    """What the table adds to a claim."""


class Pull(Part):
    """A table or query of a Postgres database of the business, pulled on every run by a column that grows."""

    feed: str = "claims"
    """What its rows are: `claims`, `outcomes`, or `reference/NAME`."""
    table: str | None = None
    """Table or view, as `schema.table`; or give a query."""
    query: str | None = None
    """One SELECT whose columns have the names that a file's header would have."""
    watermark: Annotated[str, Field(min_length=1)]
    """Column that grows whenever a row is written or changed: a timestamp, or a whole number from a sequence."""
    overlap: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """How far below the watermark each pull looks again: minutes of a timestamp (60 where not given), or units of a
    number (10,000)."""


class Derived(Part):
    """A column made from others by a Polars SQL expression."""

    dtype: DType
    """What its values are."""
    sql: str
    """Expression over the columns of the file and of reference tables, evaluated row by row."""
    nullable: bool = False
    """Whether a row from which it cannot be made is kept."""
    unit: str = ""
    """Unit, such as EUR."""
    meaning: str = ""
    """In words."""

    @property
    def inputs(self) -> set[str]:
        """Columns that it reads; none where its SQL cannot be parsed, as it may be until all mistakes are told."""
        try:
            return set(pl.sql_expr(self.sql).meta.root_names())
        except pl.exceptions.PolarsError:
            return set()
