"""Signing in and out."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from console.api.people import Person, cookie_name, hashed, signed_in, store_of
from console.api.problems import ProblemError

router = APIRouter(prefix="/api/session")
HASHER = PasswordHasher()
NOBODY = HASHER.hash(secrets.token_hex())
"""Held against the password where nobody has the login, so that it takes as long."""


class Credentials(BaseModel):
    """What a local user signs in with."""

    login: Annotated[str, Field(min_length=1, max_length=128)]
    password: Annotated[str, Field(min_length=1, max_length=1024)]


@router.post("")
async def sign_in(given: Credentials, request: Request, response: Response) -> dict[str, Any]:
    """Open a session for a local user."""
    store, settings = store_of(request), request.app.state.settings
    found = await store.rows(
        "SELECT person_id, login, name, roles, password_hash FROM people WHERE login = %s AND disabled_at IS NULL",
        [given.login],
    )
    stored = found[0]["password_hash"] if found else None
    try:
        HASHER.verify(stored or NOBODY, given.password)
    except VerificationError:
        stored = None
    if stored is None:
        raise ProblemError(401, "no such login, or another password")
    token, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    await store.rows(
        "INSERT INTO sessions (token_hash, person_id, csrf_token, expires_at) "
        "VALUES (%s, %s, %s, clock_timestamp() + %s)",
        [hashed(token), found[0]["person_id"], csrf_token, settings.session_length],
    )
    response.set_cookie(
        cookie_name(settings.secure),
        token,
        max_age=int(settings.session_length.total_seconds()),
        httponly=True,
        secure=settings.secure,
        samesite="lax",
        path="/",
    )
    return told(Person(found[0]["login"], found[0]["name"], frozenset(found[0]["roles"]), csrf_token), request)


@router.get("")
async def whoami(person: Annotated[Person, Depends(signed_in)], request: Request) -> dict[str, Any]:
    """Tell who is signed in, what they may do, and on which line of business."""
    return told(person, request)


@router.delete("", status_code=204)
async def sign_out(_: Annotated[Person, Depends(signed_in)], request: Request, response: Response) -> None:
    """End the session."""
    settings = request.app.state.settings
    name = cookie_name(settings.secure)
    await store_of(request).rows("DELETE FROM sessions WHERE token_hash = %s", [hashed(request.cookies[name])])
    response.delete_cookie(name, path="/", secure=settings.secure, httponly=True, samesite="lax")


def told(person: Person, request: Request) -> dict[str, Any]:
    """Write what a page needs to know of its person and its line."""
    contract = request.app.state.contract
    return {
        "login": person.login,
        "name": person.name,
        "roles": sorted(person.roles),
        "permissions": person.permissions,
        "csrf_token": person.csrf_token,
        "line": {"name": contract.name, "title": contract.title},
        "as_of": request.app.state.settings.now().isoformat(),
    }
