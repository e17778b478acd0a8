"""Where the console's things are: one frozen object, built once from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from console.api.people import ROLES, Role
from shared.errors import ConfigError
from shared.settings import Common, built, variable

WEB = Path(__file__).parents[1] / "web" / "dist"
GROUPS: Mapping[str, Role] = {f"claimsight-{role.replace('_', '-')}": role for role in ROLES}
"""Role by group of an identity provider, where the settings name no other groups."""


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
    proxies : str
        Networks of the load balancers before it, with commas between them: those alone say whose a request is.
    check_key : SecretStr or None
        The key by which the check of a new console asks it to score known claims again; it is let in at the start.
    oidc_roles : Mapping
        Role by group of the identity provider.
    """

    as_of: AwareDatetime | None = None
    public_url: str = "http://127.0.0.1:8400"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8400
    proxies: str = ""
    session_hours: Annotated[int, Field(ge=1, le=168)] = 12
    session_idle_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_roles_claim: str = "cognito:groups"
    oidc_roles: Mapping[str, Role] = GROUPS
    local_users: bool | None = None
    pseudonym_key: SecretStr | None = None
    check_key: SecretStr | None = None
    api_rate: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}/(second|minute|hour)$")] = "100/second"

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise PydanticCustomError("address", "is not https://host")
        return value.rstrip("/")

    @field_validator("proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        try:
            return ",".join(str(ip_network(part.strip())) for part in value.split(","))
        except ValueError:
            raise PydanticCustomError("networks", "is not 10.0.0.0/16,...") from None

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        if not parts.hostname or parts.query or not (parts.scheme == "https" or _on_loopback(parts.hostname)):
            raise PydanticCustomError("issuer", "is not https://host/...")
        return value

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _groups(cls, value: str) -> dict[str, str]:
        pairs = [pair.strip().rpartition("=") for pair in value.split(",")]
        if not all(group and role in ROLES for group, _, role in pairs):
            raise PydanticCustomError("groups", f"is not group=role,... with roles of {', '.join(ROLES)}")
        return {group: role for group, _, role in pairs}

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over https."""
        return self.public_url.startswith("https://")

    @property
    def has_local_users(self) -> bool:
        """Whether people sign in by a password that is kept here: unless told otherwise, where there is no provider."""
        return self.oidc_issuer is None if self.local_users is None else self.local_users

    @property
    def session_length(self) -> timedelta:
        """How long someone stays signed in at the most."""
        return timedelta(hours=self.session_hours)

    @property
    def session_idle(self) -> timedelta:
        """How long someone stays signed in who does nothing."""
        return timedelta(minutes=self.session_idle_minutes)

    def now(self) -> datetime:
        """Give the clock by which claims and outcomes are known."""
        return self.as_of or datetime.now(UTC)


def from_environment(environment: Mapping[str, str] = os.environ) -> ConsoleSettings:
    """Build the settings; see :func:`shared.settings.built`.

    Raises
    ------
    ConfigError
        Also where nobody could sign in.
    """
    settings = built(ConsoleSettings, environment)
    if settings.oidc_issuer and not settings.oidc_client_id:
        raise ConfigError(
            f"{variable('oidc_client_id')} is not set, and {variable('oidc_issuer')} is; see .env.example"
        )
    if not settings.oidc_issuer and not settings.has_local_users:
        raise ConfigError(
            f"{variable('local_users')} is off, and {variable('oidc_issuer')} is not set: nobody could sign in"
        )
    return settings


def _on_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
