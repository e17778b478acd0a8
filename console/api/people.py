"""Who uses the console, and who of them may do what."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request

from console.api.guard import UNSAFE, note_login
from console.api.problems import ProblemError
from console.api.rates import REQUESTS, Rates
from console.api.sessions import cookie_of, hashed
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


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in.

    Attributes
    ----------
    is_local : bool
        Whether they sign in with a password that is kept here.
    must_choose_password : bool
        Whether it is one that was handed over: until they choose one of their own they may do nothing else.
    """

    login: str
    name: str
    roles: frozenset[Role]
    csrf_token: str
    person_id: int = 0
    is_local: bool = True
    must_choose_password: bool = False

    def may(self, permission: Permission) -> bool:
        """Whether one of the roles allows it."""
        return not self.must_choose_password and bool(self.roles & PERMISSIONS[permission])

    @property
    def permissions(self) -> list[Permission]:
        """All that the roles allow."""
        return [permission for permission in PERMISSIONS if self.may(permission)]


def store_of(request: Request) -> Store:
    """Give the sessions on the database."""
    store: Store = request.app.state.store
    return store


def rates_of(request: Request) -> Rates:
    """Give the counts of tries."""
    rates: Rates = request.app.state.rates
    return rates


async def signed_in(request: Request) -> Person:
    """Find who sends a request.

    Raises
    ------
    ProblemError
        401: nobody is signed in. 403: it changes something and lacks the token of its session. 429: too many.
    """
    settings, token = request.app.state.settings, cookie_of(request)
    found = token and await store_of(request).rows(
        "SELECT person_id, login, name, roles, csrf_token, password_hash IS NOT NULL AS is_local, "
        "one_time_until IS NOT NULL AS one_time, seen_at < clock_timestamp() - interval '1 minute' AS unseen "
        "FROM sessions JOIN people USING (person_id) WHERE token_hash = %s AND disabled_at IS NULL "
        "AND expires_at > clock_timestamp() AND seen_at > clock_timestamp() - %s AND (issuer IS NOT NULL OR %s)",
        [hashed(token), settings.session_idle, settings.has_local_users],
    )
    if not found:
        raise ProblemError(401, "sign in first")
    row = found[0]
    note_login(request, row["login"])
    await rates_of(request).spend(REQUESTS, hashed(token).hex())
    if row["unseen"]:
        await store_of(request).rows(
            "UPDATE sessions SET seen_at = clock_timestamp() WHERE token_hash = %s", [hashed(token)]
        )
    given = request.headers.get("x-csrf-token", "")
    if request.method in UNSAFE and not hmac.compare_digest(given.encode(), row["csrf_token"].encode()):
        raise ProblemError(403, "the page is out of date; load it again")
    return Person(
        row["login"],
        row["name"],
        frozenset(row["roles"]),
        row["csrf_token"],
        row["person_id"],
        row["is_local"],
        row["one_time"],
    )


def may(permission: Permission) -> Callable[[Person], Awaitable[Person]]:
    """Make the dependency by which a route lets in who may do a thing: ``Depends(may("decide"))``."""

    async def allowed(person: Annotated[Person, Depends(signed_in)]) -> Person:
        if person.must_choose_password:
            raise ProblemError(403, "choose a password of your own first")
        if not person.may(permission):
            raise ProblemError(403, f"your roles do not include it: {permission.replace('_', ' ')}")
        return person

    allowed.permission = permission  # type: ignore[attr-defined] # so that a test can see what a route asks for
    return allowed
