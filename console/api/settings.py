"""Where the console's things are: one frozen object, built once from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from shared.settings import Common, built

WEB = Path(__file__).parents[1] / "web" / "dist"


class ConsoleSettings(Common):
    """Settings of the console; ``.env.example`` explains each variable.

    Attributes
    ----------
    as_of : datetime or None
        A clock that stands still, for a replay; None for the clock on the wall.
    public_url : str
        Where browsers reach it, without a slash at the end. Over https its cookies are sent by nothing else.
    api_rate : str
        Requests that are taken of one key of the API, by each process.
    """

    as_of: AwareDatetime | None = None
    public_url: str = "http://127.0.0.1:8400"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    session_hours: Annotated[int, Field(ge=1, le=168)] = 12
    pseudonym_key: SecretStr | None = None
    api_rate: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}/(second|minute|hour)$")] = "100/second"

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise PydanticCustomError("address", "is not https://host")
        return value.rstrip("/")

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over https."""
        return self.public_url.startswith("https://")

    @property
    def session_length(self) -> timedelta:
        """How long someone stays signed in."""
        return timedelta(hours=self.session_hours)

    def now(self) -> datetime:
        """Give the clock by which claims and outcomes are known."""
        return self.as_of or datetime.now(UTC)


def from_environment(environment: Mapping[str, str] = os.environ) -> ConsoleSettings:
    """Build the settings; see :func:`shared.settings.built`."""
    return built(ConsoleSettings, environment)
