"""Keys of other systems: made and revoked by administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from console.api import accounts
from console.api.keys import SCOPES, Scope, create_key, list_keys, revoke_key
from console.api.people import Person, may, store_of
from console.api.problems import ProblemError

router = APIRouter(prefix="/api/keys")
Administrator = Annotated[Person, Depends(may("manage"))]


class NewKey(BaseModel):
    """A system that is to use the API, and for what."""

    system: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]


@router.get("")
async def keys(_: Administrator, request: Request) -> dict[str, Any]:
    """List all keys, the newest first, and what a key can be for."""
    return {"keys": await list_keys(store_of(request)), "scopes": SCOPES}


@router.post("", status_code=201)
async def create(given: NewKey, by: Administrator, request: Request) -> dict[str, Any]:
    """Make a key; the answer alone holds it, and there is none before the log says who made it."""
    store = store_of(request)
    key_id, secret = await create_key(store, given.system, sorted(given.scopes), by.login)
    async with store.transaction() as connection:
        detail = {"key_id": key_id, "scopes": sorted(given.scopes)}
        await accounts.note(connection, by.login, "key_created", given.system, detail)
    return {"key_id": key_id, "system": given.system, "key": secret}


@router.post("/{key_id}/revoke", status_code=204)
async def revoke(key_id: Annotated[int, Path(ge=1, le=2**63 - 1)], by: Administrator, request: Request) -> None:
    """End a key for good."""
    store = store_of(request)
    if not await revoke_key(store, key_id, by.login):
        raise ProblemError(404, "there is no such key, or it is revoked already")
    async with store.transaction() as connection:
        await accounts.note(connection, by.login, "key_revoked", str(key_id))
