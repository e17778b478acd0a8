"""The contract: one TOML file that turns Claimsight on any claims table.

It says what the columns are, which part each plays, what counts as fraud, and what the business asks of a model. Where
things are stands in the settings; what the model believes stands beside the functions that fit it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from shared.contract_parts import Column, Derived, DType, File, Label, Outcomes, Part, Pull, Reference, Share
from shared.errors import ConfigError

PHOTOS_REUSED = "photos_reused"
"""Column that is read with the claims of a line that has photos; see :func:`shared.claims.read_claims`."""
RESERVED = frozenset(
    {"claim_id", "event_time", "is_fraud", "revision", "known_at", "superseded_at", "file_id", "file_line"}
    | {PHOTOS_REUSED}
    | {"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"}
)
"""Columns that Claimsight or Postgres keeps of claims; a contract uses the first three for their roles only."""


class Roles(Part):
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
    entities: tuple[str, ...] = ()
    """Columns that name who or what has a history, such as claimant, garage or agent; claims are counted by them."""
    kind: str | None = None
    """What sort of claim, such as the peril: an amount is compared with those of earlier claims of the same kind."""
    sensitive: tuple[str, ...] = ()
    """Columns to watch for bias."""
    pii: tuple[str, ...] = ()
    """Personal columns: stored as pseudonyms, never learnt from, nor anything derived from them."""
    ignore: tuple[str, ...] = ()
    """Columns never learnt from."""


class Features(Part):
    """What train may look at beyond its own rules."""

    allow: dict[str, Annotated[str, Field(min_length=10)]] = Field(default={})
    """Columns, or features as train names them, let in though it suspects them, each with the reason."""


class Gates(Part):
    """What a challenger must show on the judged window before it is promoted."""

    min_frauds: Annotated[int, Field(ge=1)] = 20
    """Frauds that the judged window must hold."""
    min_recall_at_20_percent: Share = 0.2
    """Share of the frauds among the fifth of claims ranked highest; 0.2 is chance."""
    min_lift_top_decile_low: Annotated[float, Field(ge=0)] = 1.5
    """Lower 95 % bound of the lift in the top decile; 1 is chance."""
    max_average_precision_loss: Share = 0.05
    """How far below the champion's its average precision may lie on the same claims; the lower 95 % bound counts."""
    max_calibration_error: Annotated[float, Field(gt=0)] = 0.7
    """Of |log(expected frauds / actual frauds)|; 0.7 is a factor of two."""
    max_calibration_error_by_decile: Annotated[float, Field(gt=0)] = 0.5
    """Of |expected - actual| frauds, summed over the deciles, as a share of all frauds; the lower 95 % bound counts."""
    max_demographic_parity_difference: Share = 0.15
    """Between the shares flagged of two groups of a sensitive column; the lower 95 % bound counts."""
    max_equal_opportunity_difference: Share = 0.2
    """Between the shares of their frauds that are flagged; the lower 95 % bound counts."""
    min_importance_correlation: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Rank correlation of how much each shared feature weighs with what it weighs in the champion; 0 is chance."""
    max_milliseconds: Annotated[float, Field(gt=0)] = 2000.0
    """To score 1,000 claims."""
    max_megabytes: Annotated[float, Field(gt=0)] = 200.0
    """Of the model's files."""


class Review(Part):
    """What the investigators can do, and what it costs."""

    capacity_per_week: Annotated[int, Field(ge=1)] = 10
    """Claims that investigators can look at; sets the threshold from which claims are flagged."""
    cost: Annotated[float, Field(ge=0)] = 300.0
    """Of one investigation."""
    alert_amount: Annotated[float, Field(gt=0)] | None = None
    """Amount above which a claim that is flagged for the first time is told of at once; without it none is."""


class Challenger(Part):
    """What a refused challenger may do beside the champion, until it is promoted or a newer one comes."""

    shadow: bool = True
    """Whether it scores what the champion scores, for comparison; nobody looks at those claims for it."""
    share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the claimants of whose claims it decides, unless it was refused for harm that it would do."""
    margin: Annotated[float, Field(gt=0, le=1)] = 0.25
    """How many more frauds, as a share, must be found before a change of models is worth it; 0.25 is a quarter."""


class Training(Part):
    """When there is something new to learn, and how much of it is kept back to judge."""

    judged_share: Annotated[float, Field(gt=0, lt=0.9)] = 0.25
    """Latest share of the claims with an outcome that judges, more to hold 100 frauds; without dates a random one."""
    min_new_outcomes: Annotated[int, Field(ge=1)] = 1000
    """Outcomes that must have come since the last training for the next."""
    trials: Annotated[int, Field(ge=1, le=1000)] = 32
    """Models that a search tries at most; fewer where few frauds could tell them apart."""
    search_minutes: Annotated[float, Field(gt=0)] = 60
    """Time after which a search tries nothing new; a model made so need not come out the same again."""


class Drift(Part):
    """When a shift is worth a word, and when it is worth a new model."""

    window_days: Annotated[int, Field(ge=7, multiple_of=7)] = 28
    """Length of a window: whole weeks."""
    false_alarm_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Share of the windows without any change in which something is called one: 0.05 is one in twenty."""
    least_shift: Annotated[float, Field(gt=0)] = 0.05
    """Shift of a column that matters at all, on the scale of the population stability index."""
    min_claims: Annotated[int, Field(ge=1)] = 100
    """Claims that a window needs to be measured."""


class Contract(Part):
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
    reference: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Reference] = Field(default={})
    """Tables that claims are joined to, by name."""
    pull: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Pull] = Field(default={})
    """What is pulled from a database, by name."""
    derived: dict[str, Derived] = Field(default={})
    """Columns made from others, by name."""
    photos: bool = False
    """Whether photos come, below ``photos/<claim id>/``: those that another claim has shown are a feature."""
    features: Features = Features()
    gates: Gates = Gates()
    review: Review = Review()
    challenger: Challenger = Challenger()
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
        from shared.contradictions import ContradictionsError, contradictions

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
        return self.made_from(self.roles.pii)

    def made_from(self, columns: Collection[str]) -> set[str]:
        """Some columns, and derived ones that read any of them."""
        return {*columns, *(name for name, derived in self.derived.items() if not derived.inputs.isdisjoint(columns))}

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
