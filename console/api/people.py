"""Who uses the console, and who of them may do what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

from fastapi import Depends, Request

from console.api.problems import ProblemError
from console.api.store import Store

Role = Literal["investigator", "data_scientist", "auditor", "admin"]
ROLES: tuple[Role, ...] = ("investigator", "data_scientist", "auditor", "admin")
Permission = Literal["see_claims", "decide", "see_models", "rollback", "see_operations", "see_audit", "manage"]
PERMISSIONS: Mapping[Permission, frozenset[Role]] = {
    "see_claims": frozenset({"investigator", "auditor"}),
    "decide": frozenset({"investigator"}),
    "see_models": frozenset(ROLES),
    "rollback": frozenset({"data_scientist"}),
    "see_operations": frozenset({"data_scientist", "auditor", "admin"}),
    "see_audit": frozenset({"auditor"}),
    "manage": frozenset({"admin"}),
}
"""Roles that may do a thing; a person may have several roles."""
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    login: str
    name: str
    roles: frozenset[Role]
    csrf_token: str

    def may(self, permission: Permission) -> bool:
        """Whether one of the roles allows it."""
        return bool(self.roles & PERMISSIONS[permission])

    @property
    def permissions(self) -> list[Permission]:
        """All that the roles allow."""
        return [permission for permission in PERMISSIONS if self.may(permission)]


def cookie_name(secure: bool) -> str:
    """Name of the session's cookie; the prefix has browsers take it over https only, and for this host alone."""
    return "__Host-claimsight" if secure else "claimsight"


def hashed(token: str) -> bytes:
    """What is stored of a session's token; it has 256 random bits, so that a plain hash will do."""
    return sha256(token.encode()).digest()


def store_of(request: Request) -> Store:
    """Give the sessions on the database."""
    store: Store = request.app.state.store
    return store


async def signed_in(request: Request) -> Person:
    """Find who sends a request.

    Raises
    ------
    ProblemError
        401: nobody is signed in. 403: it changes something and lacks the token of its session.
    """
    token = request.cookies.get(cookie_name(request.app.state.settings.secure), "")
    found = await store_of(request).rows(
        "UPDATE sessions s SET seen_at = clock_timestamp() FROM people p WHERE s.token_hash = %s "
        "AND p.person_id = s.person_id AND p.disabled_at IS NULL AND s.expires_at > clock_timestamp() "
        "RETURNING p.login, p.name, p.roles, s.csrf_token",
        [hashed(token)],
    )
    if not found:
        raise ProblemError(401, "sign in first")
    person = Person(found[0]["login"], found[0]["name"], frozenset(found[0]["roles"]), found[0]["csrf_token"])
    if request.method in UNSAFE and request.headers.get("x-csrf-token") != person.csrf_token:
        raise ProblemError(403, "the page is out of date; load it again")
    return person


def may(permission: Permission) -> Callable[[Person], Awaitable[Person]]:
    """Make the dependency by which a route lets in who may do a thing: ``Depends(may("decide"))``."""

    async def allowed(person: Annotated[Person, Depends(signed_in)]) -> Person:
        if not person.may(permission):
            raise ProblemError(403, f"your roles do not include it: {permission.replace('_', ' ')}")
        return person

    return allowed
