"""Who uses the console: added, changed and shut out by administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from console.api import accounts
from console.api.passwords import one_time
from console.api.people import Person, Role, may, store_of
from console.api.problems import ProblemError
from console.api.routes.session import Login, passwords_of

router = APIRouter(prefix="/api/people")
Administrator = Annotated[Person, Depends(may("manage"))]
PersonId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Roles = Annotated[frozenset[Role], Field(min_length=1)]


class NewPerson(BaseModel):
    """Somebody who is to sign in with a password."""

    login: Login
    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\p{C}]*\S[^\p{C}]*$")]
    roles: Roles


class NewRoles(BaseModel):
    """What a person is to be."""

    roles: Roles


@router.get("")
async def everyone(_: Administrator, request: Request) -> dict[str, list[dict[str, Any]]]:
    """List all people, by name."""
    async with store_of(request).transaction() as connection:
        return {"people": await accounts.everyone(connection)}


@router.post("", status_code=201)
async def add(given: NewPerson, by: Administrator, request: Request) -> dict[str, Any]:
    """Add a local user; the answer alone holds the password, which is good for choosing another within three days."""
    if not request.app.state.settings.has_local_users:
        raise ProblemError(409, "people come from the sign-in provider here; put them in a group there")
    password = one_time()
    stored = await passwords_of(request).stored(password)
    async with store_of(request).transaction() as connection:
        person_id = await accounts.add(connection, by.login, given.login, given.name, given.roles, stored)
    return {"person_id": person_id, "login": given.login, "password": password}


@router.put("/{person_id}/roles", status_code=204)
async def set_roles(person_id: PersonId, given: NewRoles, by: Administrator, request: Request) -> None:
    """Give a local user other roles; they have to sign in again."""
    async with store_of(request).transaction() as connection:
        await accounts.set_roles(connection, by.login, person_id, given.roles)


@router.post("/{person_id}/disable", status_code=204)
async def disable(person_id: PersonId, by: Administrator, request: Request) -> None:
    """Shut a person out, at once."""
    async with store_of(request).transaction() as connection:
        await accounts.set_disabled(connection, by.login, person_id, disabled=True)


@router.post("/{person_id}/enable", status_code=204)
async def enable(person_id: PersonId, by: Administrator, request: Request) -> None:
    """Let a person in again."""
    async with store_of(request).transaction() as connection:
        await accounts.set_disabled(connection, by.login, person_id, disabled=False)


@router.post("/{person_id}/password")
async def reset_password(person_id: PersonId, by: Administrator, request: Request) -> dict[str, Any]:
    """Give a local user a password to choose another by; the answer alone holds it."""
    password = one_time()
    stored = await passwords_of(request).stored(password)
    async with store_of(request).transaction() as connection:
        await accounts.reset_password(connection, by.login, person_id, stored)
    return {"password": password}
