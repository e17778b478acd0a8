"""The contract: one TOML file that turns Claimsight on any claims table.

It says what the columns are, which part each plays, what counts as fraud, and what the business asks of a model. Where
things are stands in the settings; what the model believes stands beside the functions that fit it.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import date, timedelta
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

RESERVED = frozenset(
    {"claim_id", "event_time", "is_fraud", "revision", "known_at", "superseded_at", "file_id", "file_line"}
    | {"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"}
)
"""Columns that Claimsight or Postgres keeps in ``claims``; a contract uses the first three for their roles only."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Part):
    """How the sender writes a file; ``quote`` is empty where a quotation mark is a character like any other."""

    delimiter: Annotated[str, Field(pattern=r"^[\t -~]$")] = ","
    quote: Literal['"', "'", ""] = '"'
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    na_values: tuple[str, ...] = ()
    reject_limit: Share = 0.1


class Roles(_Part):
    """Which part a column plays."""

    id: str
    event_time: str
    label: str | None = None
    amount: str | None = None
    sensitive: tuple[str, ...] = ()
    pii: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


class Label(_Part):
    """The outcome, where it stands in the claims file itself."""

    fraud: tuple[str, ...] = ("1",)
    not_fraud: tuple[str, ...] = ("0",)
    delay_days: Annotated[int, Field(ge=0)] = 0

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
    label: str = "is_fraud"
    decided_at: str = "decided_at"
    known_at: str | None = None
    delay_days: Annotated[int, Field(ge=0)] = 0
    source: str | None = None
    fraud: tuple[str, ...] = ("Y",)
    not_fraud: tuple[str, ...] = ("N",)


class Column(_Part):
    """One column of the sender's file."""

    dtype: DType
    source: str | None = None
    nullable: bool = False
    na_values: tuple[str, ...] = ()
    min: float | date | None = None
    max: float | date | None = None
    levels: tuple[str, ...] = ()
    ordered: bool = False
    format: str | None = None
    unit: str = ""
    meaning: str = ""


class Derived(_Part):
    """A column made from others by a Polars SQL expression."""

    dtype: DType
    sql: str
    nullable: bool = False
    unit: str = ""
    meaning: str = ""


class Features(_Part):
    """What train may look at beyond its own rules."""

    allow: dict[str, Annotated[str, Field(min_length=10)]] = {}


class Gates(_Part):
    """What a challenger must show on the judged window before it is promoted."""

    min_frauds: Annotated[int, Field(ge=1)] = 20
    min_recall_at_20_percent: Share = 0.2
    min_lift_top_decile_low: Annotated[float, Field(ge=0)] = 1.5
    max_average_precision_loss: Share = 0.02
    max_calibration_error: Annotated[float, Field(gt=0)] = 0.7


class Review(_Part):
    """What the investigators can do, and what it costs."""

    capacity_per_week: Annotated[int, Field(ge=1)] = 10
    cost: Annotated[float, Field(ge=0)] = 300.0


class Training(_Part):
    """When there is something new to learn, and how much of it is kept back to judge."""

    judged_share: Annotated[float, Field(gt=0, lt=0.9)] = 0.25
    min_new_outcomes: Annotated[int, Field(ge=1)] = 1000


class Drift(_Part):
    """When a shift is worth a word, and when it is worth a new model."""

    window_days: Annotated[int, Field(ge=1)] = 28
    watch_psi: Annotated[float, Field(gt=0)] = 0.1
    retrain_psi: Annotated[float, Field(gt=0)] = 0.25
    min_claims: Annotated[int, Field(ge=1)] = 100


class Contract(_Part):
    """What a team says of its claims; see ``docs/contract.md``.

    Build it with :func:`load`, which names every mistake of the file at once.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    title: str
    file: File = File()
    roles: Roles
    label: Label | None = None
    outcomes: Outcomes | None = None
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    derived: dict[str, Derived] = {}
    features: Features = Features()
    gates: Gates = Gates()
    review: Review = Review()
    training: Training = Training()
    drift: Drift = Drift()
    hash: str = ""

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in ("claimsight", "information_schema", "public") or name.startswith("pg_"):
            raise ValueError(f"'{name}' is the name of a schema that is not a line of business; choose another")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Hold the parts against each other; raise one error that lists every contradiction."""
        if problems := [*_role_problems(self), *_column_problems(self), *_derived_problems(self)]:
            raise ValueError("\n".join(problem.replace("\n", "\\n") for problem in problems))
        return self

    @property
    def sources(self) -> dict[str, str]:
        """Header in the sender's file, by column name, in the contract's order."""
        return {name: column.source or name for name, column in self.columns.items()}

    @property
    def stored(self) -> dict[str, DType]:
        """Columns that ``claims`` keeps, with their dtype: all but the label, which is an outcome."""
        every: dict[str, DType] = {name: column.dtype for name, column in (self.columns | self.derived).items()}
        return {name: dtype for name, dtype in every.items() if name != self.roles.label}

    @property
    def personal(self) -> set[str]:
        """Columns called personal, and derived ones that are made from them."""
        personal = set(self.roles.pii)
        made = {name: set(pl.sql_expr(derived.sql).meta.root_names()) for name, derived in self.derived.items()}
        return personal | {name for name, inputs in made.items() if inputs & personal}

    def dtype(self, column: str) -> DType:
        """Dtype of a column of the file or a derived one."""
        return (self.columns | self.derived)[column].dtype


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
        The file cannot be read, is no TOML, or breaks the contract's own rules; every mistake is named.
    """
    try:
        text = path.read_bytes()
        document = tomllib.loads(text.decode())
    except OSError as error:
        raise ConfigError(f"contract {path}: {error.strerror}; name an existing TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"contract {path}: not TOML: {error}") from error
    try:
        return Contract.model_validate(document | {"hash": hashlib.sha256(text).hexdigest()})
    except ValidationError as error:
        raise ConfigError(*(f"contract {path}: {problem}" for problem in _sentences(error))) from error


def _sentences(error: ValidationError) -> list[str]:
    sentences = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        for line in item["msg"].removeprefix("Value error, ").splitlines():
            sentences.append(f"{key}: {line}" if key else line)
    return sentences


def _role_problems(contract: Contract) -> list[str]:
    roles, known = contract.roles, contract.columns | contract.derived
    named = {"id": roles.id, "event_time": roles.event_time, "label": roles.label, "amount": roles.amount}
    problems = [f"roles.{role}: no column '{name}'" for role, name in named.items() if name and name not in known]
    for role in ("sensitive", "pii", "ignore"):
        problems += [f"roles.{role}: no column '{name}'" for name in getattr(roles, role) if name not in known]
    if roles.event_time in known and known[roles.event_time].dtype not in ("date", "datetime"):
        problems.append(f"roles.event_time: '{roles.event_time}' must be a date or a datetime")
    if roles.amount in known and known[roles.amount].dtype not in ("integer", "number"):
        problems.append(f"roles.amount: '{roles.amount}' must be an integer or a number")
    for role, name in (("id", roles.id), ("event_time", roles.event_time)):
        if name in roles.ignore or (name in known and known[name].nullable):
            problems.append(
                f"roles.{role}: '{name}' identifies or dates a claim, so it is neither ignored nor nullable"
            )
    return [*problems, *_label_problems(contract)]


def _label_problems(contract: Contract) -> list[str]:
    roles, known = contract.roles, contract.columns | contract.derived
    problems = []
    if (roles.label is None) == (contract.outcomes is None):
        problems.append("outcomes: give either roles.label (with a [label] table) or an [outcomes] table")
    if roles.label and contract.label is None:
        problems.append("label: missing; say which values mean fraud and which do not")
    if roles.label in contract.derived or roles.label in (roles.id, roles.event_time):
        problems.append(f"roles.label: '{roles.label}' must be a column of the file that plays no other part")
    for key, told in (("label", contract.label), ("outcomes", contract.outcomes)):
        if told and (both := sorted({*told.fraud} & {*told.not_fraud})):
            problems.append(f"{key}: {', '.join(map(repr, both))} means both fraud and not fraud")
    return problems + [f"features.allow: no column '{name}'" for name in contract.features.allow if name not in known]


def _column_problems(contract: Contract) -> list[str]:
    problems = []
    roles = contract.roles
    owners = {"claim_id": roles.id, "event_time": roles.event_time, "is_fraud": roles.label}
    for name, column in contract.columns.items():
        key = f"columns.{name}"
        if name in RESERVED and owners.get(name) != name:
            problems.append(f"{key}: the name is Claimsight's own; rename the column and give source = '{name}'")
        problems += _name_problems(key, name)
        if column.levels and column.dtype not in ("category", "text"):
            problems.append(f"{key}.levels: only for category and text")
        if column.ordered and not column.levels:
            problems.append(f"{key}.ordered: give the levels in their order")
        if column.format and column.dtype not in ("date", "datetime"):
            problems.append(f"{key}.format: only for date and datetime")
        bounds = [bound for bound in (column.min, column.max) if bound is not None]
        wanted = {"integer": float, "number": float, "date": date, "datetime": date}.get(column.dtype)
        if bounds and (wanted is None or not all(isinstance(bound, wanted) for bound in bounds)):
            problems.append(f"{key}: min and max do not fit dtype {column.dtype}")
        elif len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator]  # both are of the wanted type
            problems.append(f"{key}: min is above max")
    headers = list(contract.sources.values())
    problems += [f"columns: two columns read '{name}'" for name in sorted({h for h in headers if headers.count(h) > 1})]
    return problems


def _name_problems(key: str, name: str) -> list[str]:
    # Postgres cuts longer names off, and Polars takes ^...$ and * for patterns.
    if len(name.encode()) > 59 or not re.fullmatch(r"[^\s\"\x00-\x1f*^][^\"\x00-\x1f*]*", name):
        rule = "has 1 to 59 bytes, no quotation mark, asterisk or line break, and does not begin with ^"
        return [f"{key}: a column name {rule}"]
    return []


def _derived_problems(contract: Contract) -> list[str]:
    problems = []
    owners = {"claim_id": contract.roles.id, "event_time": contract.roles.event_time}
    no_rows = pl.DataFrame(schema={name: POLARS_DTYPES[column.dtype] for name, column in contract.columns.items()})
    for name, derived in contract.derived.items():
        key = f"derived.{name}"
        if name in contract.columns or (name in RESERVED and owners.get(name) != name):
            problems.append(f"{key}: the name is taken")
        problems += _name_problems(key, name)
        try:
            value = pl.sql_expr(derived.sql)
            unknown = sorted(set(value.meta.root_names()) - contract.columns.keys())
            problems += [f"{key}.sql: no column '{column}'" for column in unknown]
            if not unknown and no_rows.select(value.cast(POLARS_DTYPES[derived.dtype], strict=False)).height:
                problems.append(f"{key}.sql: must give one value a row")
            if contract.roles.label in value.meta.root_names():
                problems.append(f"{key}.sql: reads the label '{contract.roles.label}'")
        except pl.exceptions.PolarsError as error:
            problems.append(f"{key}.sql: {str(error).splitlines()[0]}")
    return problems
