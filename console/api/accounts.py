"""People as they are kept: made, changed and shut out, each with an entry in the log."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import psycopg

from console.api.oidc import Identity
from console.api.people import Role
from console.api.problems import ProblemError
from console.api.sessions import end_all
from console.api.store import Connection, fetch

ONE_TIME = timedelta(days=3)
"""How long a password that an administrator hands over lets somebody choose another."""


async def note(
    connection: Connection, person: str | None, action: str, subject: str, detail: dict[str, Any] | None = None
) -> None:
    """Enter what a person did in the log, in the transaction that does it."""
    await fetch(
        connection,
        "SELECT claimsight.console_note(%s, current_schema(), %s, %s, %s)",
        [person, action, subject, json.dumps(detail or {})],
    )


async def everyone(connection: Connection) -> list[dict[str, Any]]:
    """Give all people, by name."""
    return await fetch(
        connection,
        "SELECT person_id, login, name, roles, issuer IS NULL AS is_local, disabled_at, signed_in_at, created_at, "
        "one_time_until FROM people ORDER BY name, login",
    )


async def add(
    connection: Connection, by: str | None, login: str, name: str, roles: Collection[Role], password_hash: str
) -> int:
    """Make a local user, whose password is to be changed.

    Raises
    ------
    ProblemError
        409: somebody has that login.
    """
    made = await fetch(
        connection,
        "INSERT INTO people (login, name, roles, password_hash, one_time_until) "
        "VALUES (%s, %s, %s, %s, clock_timestamp() + %s) ON CONFLICT (login) DO NOTHING RETURNING person_id",
        [login, name, sorted(roles), password_hash, ONE_TIME],
    )
    if not made:
        raise ProblemError(409, "somebody has that login already")
    await note(connection, by, "person_added", login, {"roles": sorted(roles)})
    return int(made[0]["person_id"])


async def set_roles(connection: Connection, by: str, person_id: int, roles: Collection[Role]) -> None:
    """Give a local user other roles, and sign them out.

    Raises
    ------
    ProblemError
        404: there is nobody of that number. 409: the roles are their provider's to give, or the user is `by`.
    """
    person = await _other(connection, by, person_id)
    if person["issuer"]:
        raise ProblemError(409, "the roles come from the sign-in provider's groups; change them there")
    await fetch(connection, "UPDATE people SET roles = %s WHERE person_id = %s", [sorted(roles), person_id])
    await end_all(connection, person_id)
    detail = {"from": sorted(person["roles"]), "to": sorted(roles)}
    await note(connection, by, "roles_changed", person["login"], detail)


async def set_disabled(connection: Connection, by: str, person_id: int, disabled: bool) -> None:
    """Shut a person out, wherever they are signed in, or let them in again.

    Raises
    ------
    ProblemError
        404: there is nobody of that number. 409: it is `by`.
    """
    person = await _other(connection, by, person_id)
    await fetch(
        connection,
        "UPDATE people SET disabled_at = CASE WHEN %s THEN coalesce(disabled_at, clock_timestamp()) END "
        "WHERE person_id = %s",
        [disabled, person_id],
    )
    await end_all(connection, person_id)
    await note(connection, by, "person_disabled" if disabled else "person_enabled", person["login"])


async def reset_password(connection: Connection, by: str, person_id: int, password_hash: str) -> None:
    """Give a local user a password that is to be changed, and sign them out.

    Raises
    ------
    ProblemError
        404: there is nobody of that number. 409: they have no password here, or it is `by`.
    """
    person = await _other(connection, by, person_id)
    if person["issuer"]:
        raise ProblemError(409, "they sign in by the sign-in provider, and have no password here")
    await fetch(
        connection,
        "UPDATE people SET password_hash = %s, one_time_until = clock_timestamp() + %s WHERE person_id = %s",
        [password_hash, ONE_TIME, person_id],
    )
    await end_all(connection, person_id)
    await note(connection, by, "password_reset", person["login"])


async def choose_password(connection: Connection, login: str, person_id: int, password_hash: str) -> None:
    """Set the password that a person chose, and sign them out."""
    await fetch(
        connection,
        "UPDATE people SET password_hash = %s, one_time_until = NULL WHERE person_id = %s",
        [password_hash, person_id],
    )
    await end_all(connection, person_id)
    await note(connection, login, "password_changed", login)


async def of_provider(connection: Connection, identity: Identity, roles: Collection[Role]) -> dict[str, Any] | None:
    """Make or update a person as their provider has them; one whose roles are others is signed out elsewhere.

    Who it is, issuer and subject say. The login is the one of the first sign-in for good, since the log names it.

    Returns
    -------
    dict or None
        None for one who has no role, or is shut out.

    Raises
    ------
    ProblemError
        403: the login is another person's here.
    """
    key = [identity.issuer, identity.subject]
    before = await fetch(
        connection, "SELECT roles, disabled_at FROM people WHERE issuer = %s AND subject = %s FOR UPDATE", key
    )
    if (before and before[0]["disabled_at"]) or not (before or roles):
        return None
    try:
        (person,) = await fetch(
            connection,
            "INSERT INTO people (issuer, subject, login, name, roles) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name, roles = excluded.roles "
            "RETURNING person_id, login",
            [*key, identity.login, identity.name, sorted(roles)],
        )
    except psycopg.errors.UniqueViolation:
        raise ProblemError(403, "your login is another person's here; ask an administrator") from None
    if not before or {*before[0]["roles"]} != {*roles}:
        await end_all(connection, person["person_id"])
        detail = {"roles": sorted(roles), "by": "the sign-in provider"}
        await note(connection, person["login"], "roles_changed" if before else "person_added", person["login"], detail)
    return person if roles else None


async def _other(connection: Connection, by: str, person_id: int) -> dict[str, Any]:
    """Look a person up, for a change by another: so there is always an administrator left."""
    found = await fetch(
        connection, "SELECT login, roles, issuer FROM people WHERE person_id = %s FOR UPDATE", [person_id]
    )
    if not found:
        raise ProblemError(404, "there is no such person")
    if found[0]["login"] == by:
        raise ProblemError(409, "another administrator has to do that for you")
    return found[0]
