"""Where things are: one frozen object, built once from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from shared.errors import ConfigError

PREFIX = "CLAIMSIGHT_"
EVENT_BUS = "eventbridge://"
"""Begins the name of a bus."""
Built = TypeVar("Built", bound=BaseModel)


@dataclass(frozen=True)
class S3Prefix:
    """A place in S3.

    Attributes
    ----------
    prefix : str
        Without slashes at its ends; empty for the whole bucket.
    """

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @classmethod
    def of(cls, uri: str) -> Self:
        """Read ``s3://bucket/prefix``.

        Raises
        ------
        ValueError
            It is none.

        >>> S3Prefix.of("s3://claims/the drop/")
        S3Prefix(bucket='claims', prefix='the drop')
        """
        if found := _S3.fullmatch(uri):
            return cls(found[1], (found[2] or "").strip("/"))
        raise ValueError(f"{uri} is not s3://bucket/prefix")

    def key(self, path: str) -> str:
        """Key of what lies at a path below.

        >>> S3Prefix("claims", "drop").key("a.csv"), S3Prefix("claims", "").key("a.csv")
        ('drop/a.csv', 'a.csv')
        """
        return f"{self.prefix}/{path}" if self.prefix else path

    def below(self, path: str) -> Self:
        """Give the place that lies at a path below.

        >>> str(S3Prefix("claims", "drop").below("demo"))
        's3://claims/drop/demo'
        """
        return replace(self, prefix=self.key(path))


@dataclass(frozen=True)
class EventBus:
    """A bus of Amazon EventBridge."""

    name: str

    def __str__(self) -> str:
        return f"{EVENT_BUS}{self.name}"


class Common(BaseModel):
    """What a stage and the console both are told."""

    model_config = ConfigDict(frozen=True)

    contract: Path
    database_url: SecretStr
    events: Path | EventBus
    artifacts: Path | S3Prefix
    git_sha: str = "unknown"
    image_digest: str = "none"

    @field_validator("drop", "artifacts", mode="before", check_fields=False)
    @classmethod
    def _folder_or_bucket(cls, value: str) -> Path | S3Prefix:
        if "://" not in value:
            return Path(value)
        try:
            return S3Prefix.of(value)
        except ValueError:
            raise PydanticCustomError("place", "is neither a folder nor s3://bucket/prefix") from None

    @field_validator("events", mode="before")
    @classmethod
    def _file_or_bus(cls, value: str) -> Path | EventBus:
        if "://" not in value:
            return Path(value)
        if found := re.fullmatch(f"{EVENT_BUS}([A-Za-z0-9._/-]+)", value):
            return EventBus(found[1])
        raise PydanticCustomError("events", "is neither a file nor eventbridge://bus")

    @field_validator("as_of", mode="before", check_fields=False)
    @classmethod
    def _in_utc(cls, value: str) -> str:
        """Take a moment without a zone, or a bare date, as UTC."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


class Settings(Common):
    """Settings of a stage; ``.env.example`` explains each variable.

    The clock is among them: no stage asks what time it is, and whatever was not known by ``as_of`` is invisible to it.
    Only etl has the database tell it, so that a replay may load what was decided after its clock but not after ours.
    """

    drop: Path | S3Prefix
    source_url: SecretStr | None = None
    mlflow_tracking_uri: str
    as_of: AwareDatetime
    pseudonym_key: SecretStr | None = None
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    dask_scheduler: str | None = None
    metrics: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/#-]{1,255}$")] | None = None

    @field_validator("dask_scheduler")
    @classmethod
    def _scheduler(cls, value: str) -> str:
        if not re.fullmatch(r"(tcp|tls)://.+:\d+", value):
            raise PydanticCustomError("scheduler", "is not tcp://host:port")
        return value


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Build a stage's settings; see :func:`built`."""
    # The one place that looks at the clock on the wall.
    return built(Settings, {variable("as_of"): datetime.now(UTC).isoformat()} | _set(environment))


def built(kind: type[Built], environment: Mapping[str, str]) -> Built:
    """Build settings.

    Parameters
    ----------
    kind : type
        Of the settings.
    environment : Mapping
        ``CLAIMSIGHT_*`` variables and ``MLFLOW_TRACKING_URI``; an empty value counts as absent.

    Raises
    ------
    ConfigError
        Names every variable that is missing or malformed.
    """
    given = _set(environment)
    values = {field: given[variable(field)] for field in kind.model_fields if variable(field) in given}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            *(
                f"{variable(str(item['loc'][0]))} {'is not set' if item['type'] == 'missing' else item['msg']}; "
                "see .env.example"
                for item in error.errors()
            )
        ) from error


def _set(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in environment.items() if value.strip()}


_S3 = re.compile("s3://([A-Za-z0-9._-]{3,63})(/.*)?")


def variable(field: str) -> str:
    """Name of the environment variable behind a field of the settings.

    >>> variable("as_of"), variable("mlflow_tracking_uri")
    ('CLAIMSIGHT_AS_OF', 'MLFLOW_TRACKING_URI')
    """
    return field.upper() if field == "mlflow_tracking_uri" else PREFIX + field.upper()
