"""The contract: one TOML file that turns Claimsight on any claims table.

It says what the columns are, which part each plays, what counts as fraud, and what the business asks of a model. Where
things are stands in the settings; what the model believes stands beside the functions that fit it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.errors import ConfigError

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

PHOTOS_REUSED = "photos_reused"
"""Column that is read with the claims of a line that has photos; see :func:`shared.claims.read_claims`."""
RESERVED = frozenset(
    {"claim_id", "event_time", "is_fraud", "revision", "known_at", "superseded_at", "file_id", "file_line"}
    | {PHOTOS_REUSED}
    | {"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"}
)
"""Columns that Claimsight or Postgres keeps of claims; a contract uses the first three for their roles only."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    # What stands below a key is its description in the JSON schema, for editors to show.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class File(_Part):
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


class Roles(_Part):
    """Which part a column plays."""

    id: str | None = None
    """Names the claim; without one, a hash of the row does. Train never learns from it."""
    event_time: str | None = None
    """When the claim happened or was reported, by which time is split; without one the split is at random."""
    label: str | None = None
    """The outcome, where it stands in the claims file."""
    amount: str | None = None
    """Money at stake."""
    claimant: str | None = None
    """Who claims, a personal column of the claims file: the person whom `etl --forget` erases."""
    sensitive: tuple[str, ...] = ()
    """Columns to watch for bias."""
    pii: tuple[str, ...] = ()
    """Personal columns: stored as pseudonyms, never learnt from, nor anything derived from them."""
    ignore: tuple[str, ...] = ()
    """Columns never learnt from."""


class Label(_Part):
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


class Outcomes(_Part):
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


class Column(_Part):
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


class Reference(_Part):
    """A table that claims are joined to by a key, in files of its own, such as agents or policies."""

    key: str
    """Column of the claims that is looked up."""
    id: str | None = None
    """Header of the key in the table's files; the key's own where none is given."""
    required: bool = False
    """Whether a claim whose key is not in the table goes to quarantine; else what the table would tell is unknown."""
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    """What the table adds to a claim."""


class Pull(_Part):
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


class Derived(_Part):
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


class Features(_Part):
    """What train may look at beyond its own rules."""

    allow: dict[str, Annotated[str, Field(min_length=10)]] = {}
    """Columns let in though train suspects them, each with the reason."""


class Gates(_Part):
    """What a challenger must show on the judged window before it is promoted."""

    min_frauds: Annotated[int, Field(ge=1)] = 20
    """Frauds that the judged window must hold."""
    min_recall_at_20_percent: Share = 0.2
    """Share of the frauds among the fifth of claims ranked highest; 0.2 is chance."""
    min_lift_top_decile_low: Annotated[float, Field(ge=0)] = 1.5
    """Lower 95 % bound of the lift in the top decile; 1 is chance."""
    max_average_precision_loss: Share = 0.02
    """How far below the champion's a challenger's average precision may lie on the same claims."""
    max_calibration_error: Annotated[float, Field(gt=0)] = 0.7
    """Of |log(expected frauds / actual frauds)|; 0.7 is a factor of two."""


class Review(_Part):
    """What the investigators can do, and what it costs."""

    capacity_per_week: Annotated[int, Field(ge=1)] = 10
    """Claims that investigators can look at; sets the threshold from which claims are flagged."""
    cost: Annotated[float, Field(ge=0)] = 300.0
    """Of one investigation."""


class Training(_Part):
    """When there is something new to learn, and how much of it is kept back to judge."""

    judged_share: Annotated[float, Field(gt=0, lt=0.9)] = 0.25
    """Latest share of the claims with an outcome that judges, or a random one where no column dates claims; it reaches
    back until it holds 100 frauds, never over half."""
    min_new_outcomes: Annotated[int, Field(ge=1)] = 1000
    """Outcomes that must have come since the last training for the next."""
    trials: Annotated[int, Field(ge=1, le=1000)] = 32
    """Models that a search tries at most; fewer where few frauds could tell them apart."""
    search_minutes: Annotated[float, Field(gt=0)] = 60
    """Time after which a search tries nothing new; a model made so need not come out the same again."""


class Drift(_Part):
    """When a shift is worth a word, and when it is worth a new model."""

    window_days: Annotated[int, Field(ge=1)] = 28
    """Length of a window."""
    watch_psi: Annotated[float, Field(gt=0)] = 0.1
    """Shift of a column, beyond what chance adds, that is worth a word."""
    retrain_psi: Annotated[float, Field(gt=0)] = 0.25
    """Shift of a column, beyond what chance adds, that is worth a new model."""
    min_claims: Annotated[int, Field(ge=1)] = 100
    """Claims that a window needs to be measured."""


class Contract(_Part):
    """What a team says of its claims; see ``docs/contract.md``.

    Build it with :func:`load`, which names every mistake of the file at once.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    """Schema in Postgres and name in MLflow."""
    title: str
    """For people."""
    file: File = File()
    roles: Roles = Roles()
    label: Label | None = None
    outcomes: Outcomes | None = None
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    """Columns of the claims file that matter, by name."""
    reference: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Reference] = {}
    """Tables that claims are joined to, by name."""
    pull: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Pull] = {}
    """What is pulled from a database, by name."""
    derived: dict[str, Derived] = {}
    """Columns made from others, by name."""
    photos: bool = False
    """Whether photos come, below ``photos/<claim id>/``: those that another claim has shown are a feature."""
    features: Features = Features()
    gates: Gates = Gates()
    review: Review = Review()
    training: Training = Training()
    drift: Drift = Drift()
    hash: str = ""
    """SHA-256 of the file."""

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in ("claimsight", "index", "information_schema", "public") or name.startswith("pg_"):
            raise ValueError(f"'{name}' names something else in Postgres or in the report; choose another")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Hold the parts against each other; raise one error that holds every contradiction."""
        from shared.contract_mistakes import ContradictionsError, contradictions

        if found := contradictions(self):
            raise ContradictionsError(found)
        return self

    @property
    def sources(self) -> dict[str, str]:
        """Header in the sender's file, by column name, in the contract's order."""
        return headers(self.columns)

    @property
    def known(self) -> dict[str, Column | Derived]:
        """Every column by name: the claims file's, the reference tables', the derived ones."""
        joined = {name: column for table in self.reference.values() for name, column in table.columns.items()}
        return {**self.columns, **joined, **self.derived}

    @property
    def stored(self) -> dict[str, DType]:
        """Columns that ``claims`` keeps, with their dtype there: all but the label, which is an outcome."""
        return {name: self.dtype(name) for name in self.known if name != self.roles.label}

    @property
    def labelled(self) -> bool:
        """Whether outcomes are to be expected at all."""
        return self.label is not None or self.outcomes is not None

    @cached_property
    def personal(self) -> set[str]:
        """Columns called personal, and derived ones that are made from them: stored as pseudonyms."""
        personal = set(self.roles.pii)
        made = {name: set(pl.sql_expr(derived.sql).meta.root_names()) for name, derived in self.derived.items()}
        return personal | {name for name, inputs in made.items() if inputs & personal}

    def dtype(self, column: str) -> DType:
        """Dtype of a column as it is stored."""
        return "text" if column in self.personal else self.known[column].dtype


def schema() -> dict[str, object]:
    """JSON schema of a contract, by which editors complete and check it; ``docs/contract.schema.json`` holds it."""
    found = Contract.model_json_schema()
    del found["properties"]["hash"]  # computed, not written
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "Claimsight contract"}


def headers(columns: Mapping[str, Column]) -> dict[str, str]:
    """Header in a file, by column name."""
    return {name: column.source or name for name, column in columns.items()}


def load(path: Path) -> Contract:
    """Read a contract and check all of it.

    Parameters
    ----------
    path : Path
        A TOML file.

    Returns
    -------
    Contract
        With ``hash``, the SHA-256 of the file's bytes, as its identity.

    Raises
    ------
    ConfigError
        The file cannot be read, is no TOML, or breaks the contract's own rules; every mistake is named with its line.
    """
    try:
        content = path.read_bytes()
        text = content.decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"contract {path}: {error.strerror}; name an existing TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"contract {path}: not TOML: {error}") from error
    try:
        return Contract.model_validate(document | {"hash": hashlib.sha256(content).hexdigest()})
    except ValidationError as error:
        from shared.contract_mistakes import sentences

        raise ConfigError(*(f"contract {path}{problem}" for problem in sentences(error, document, text))) from error
