"""Signing in and out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from console.api import accounts, sessions
from console.api.passwords import Passwords, faults, needs_rehash
from console.api.people import Person, rates_of, signed_in, store_of
from console.api.problems import ProblemError
from console.api.rates import FROM_ADDRESS, OF_BROWSER, OF_LOGIN, address_of

router = APIRouter(prefix="/api/session")
Login = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\s\p{C}]+$")]
Password = Annotated[str, Field(min_length=1, max_length=1024)]


class Credentials(BaseModel):
    """What a local user signs in with."""

    login: Login
    password: Password


class NewPassword(BaseModel):
    """A password of one's own, beside the one that it takes the place of."""

    current: Password
    new: Password


@router.get("/ways")
async def ways(request: Request) -> dict[str, bool]:
    """Tell how one can sign in."""
    state = request.app.state
    return {"password": state.settings.has_local_users, "provider": state.provider is not None}


@router.post("")
async def sign_in(given: Credentials, request: Request, response: Response) -> dict[str, Any]:
    """Open a session for a local user."""
    store, rates = store_of(request), rates_of(request)
    if not request.app.state.settings.has_local_users:
        raise ProblemError(403, "nobody signs in by a password here; use the sign-in provider")
    found = await store.rows(
        "SELECT person_id, login, name, roles, password_hash, one_time_until IS NOT NULL AS one_time FROM people "
        "WHERE login = %s AND disabled_at IS NULL AND coalesce(one_time_until > clock_timestamp(), true)",
        [given.login],
    )
    stored: str | None = found[0]["password_hash"] if found else None
    if browser := sessions.known_browser(request, stored):
        await rates.spend(OF_BROWSER, browser)
    else:
        await rates.spend(FROM_ADDRESS, address_of(request))
        await rates.spend(OF_LOGIN, given.login)
    if not await passwords_of(request).fits(stored, given.password) or stored is None:
        raise ProblemError(401, "no such login, or another password")
    if needs_rehash(stored):
        stored, former = await passwords_of(request).stored(given.password), stored
        await store.rows("UPDATE people SET password_hash = %s WHERE password_hash = %s", [stored, former])
    row = found[0]
    async with store.transaction() as connection:
        csrf_token = await sessions.begin(connection, request, response, row["person_id"])
        await accounts.note(connection, row["login"], "signed_in", row["login"], {"by": "password"})
    sessions.remember_browser(request, response, stored)
    await rates.forgive(*((OF_BROWSER, browser) if browser else (OF_LOGIN, given.login)))
    roles = frozenset(row["roles"])
    return told(Person(row["login"], row["name"], roles, csrf_token, must_choose_password=row["one_time"]), request)


@router.get("")
async def whoami(person: Annotated[Person, Depends(signed_in)], request: Request) -> dict[str, Any]:
    """Tell who is signed in, what they may do, and on which line of business."""
    return told(person, request)


@router.delete("", status_code=204)
async def sign_out(_: Annotated[Person, Depends(signed_in)], request: Request, response: Response) -> None:
    """End the session."""
    token = sessions.cookie_of(request)
    await store_of(request).rows("DELETE FROM sessions WHERE token_hash = %s", [sessions.hashed(token)])
    sessions.drop_cookie(request, response, sessions.SESSION)


@router.post("/password")
async def change_password(
    given: NewPassword, person: Annotated[Person, Depends(signed_in)], request: Request, response: Response
) -> dict[str, Any]:
    """Set a password of one's own; whoever is signed in as oneself elsewhere is so no longer."""
    if not person.is_local:
        raise ProblemError(409, "you sign in by the sign-in provider; change your password there")
    store, passwords = store_of(request), passwords_of(request)
    await rates_of(request).spend(OF_BROWSER, f"change of {person.login}")
    rows = await store.rows("SELECT password_hash FROM people WHERE person_id = %s", [person.person_id])
    if not await passwords.fits(rows[0]["password_hash"], given.current):
        raise ProblemError(422, "the present password is another")
    found = faults(given.new, person.login) + (["is the present one"] if given.new == given.current else [])
    if found:
        raise ProblemError(422, f"the new password {' and '.join(found)}")
    stored = await passwords.stored(given.new)
    async with store.transaction() as connection:
        await accounts.choose_password(connection, person.login, person.person_id, stored)
        csrf_token = await sessions.begin(connection, request, response, person.person_id)
    sessions.remember_browser(request, response, stored)
    return told(Person(person.login, person.name, person.roles, csrf_token), request)


def passwords_of(request: Request) -> Passwords:
    """Give what reckons passwords."""
    passwords: Passwords = request.app.state.passwords
    return passwords


def told(person: Person, request: Request) -> dict[str, Any]:
    """Write what a page needs to know of its person and its line."""
    contract = request.app.state.contract
    return {
        "login": person.login,
        "name": person.name,
        "roles": sorted(person.roles),
        "permissions": person.permissions,
        "is_local": person.is_local,
        "must_choose_password": person.must_choose_password,
        "csrf_token": person.csrf_token,
        "line": {"name": contract.name, "title": contract.title},
        "as_of": request.app.state.settings.now().isoformat(),
    }
