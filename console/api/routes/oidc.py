"""Signing in by the provider of identities."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from html import escape
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from console.api import accounts, sessions
from console.api.oidc import CALLBACK, Provider
from console.api.people import rates_of, store_of
from console.api.problems import ProblemError
from console.api.rates import FROM_ADDRESS, address_of
from console.api.store import fetch

router = APIRouter()
UNDER_WAY = timedelta(minutes=10)
"""How long somebody may take at the provider."""
HERE = r"^/([\x21-\x2e\x30-\x5b\x5d-\x7e][\x21-\x7e]*)?$"
"""A page of ours: a browser takes what begins with two slashes, of either kind, for another host."""


@router.get(CALLBACK.removesuffix("/callback"))
async def begin(request: Request, to: Annotated[str, Query(pattern=HERE, max_length=500)] = "/") -> Response:
    """Send the browser to the provider; afterwards it comes to the page ``to``."""
    try:
        await rates_of(request).spend(FROM_ADDRESS, address_of(request))
        state, browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(4))
        response = RedirectResponse(await _provider(request).address(state, nonce, verifier), 303)
    except ProblemError as problem:
        return _page(problem)
    async with store_of(request).transaction() as connection:
        await fetch(connection, "DELETE FROM oidc_requests WHERE expires_at <= clock_timestamp()")
        await fetch(
            connection,
            "INSERT INTO oidc_requests (state_hash, browser_hash, nonce, code_verifier, goes_to, expires_at) "
            "VALUES (%s, %s, %s, %s, %s, clock_timestamp() + %s)",
            [sessions.hashed(state), sessions.hashed(browser), nonce, verifier, to, UNDER_WAY],
        )
    # The provider's page leads back here, so that one that is sent between our own pages alone would be missing.
    sessions.set_cookie(request, response, sessions.OIDC, browser, UNDER_WAY, "lax")
    return response


@router.get(CALLBACK)
async def come_back(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4096)] = "",
) -> Response:
    """Open a session for whom the provider sent back."""
    try:
        response = await _session(request, state, code)
    except ProblemError as problem:
        response = _page(problem)
    sessions.drop_cookie(request, response, sessions.OIDC)
    return response


async def _session(request: Request, state: str, code: str) -> Response:
    provider, store = _provider(request), store_of(request)
    # What is found is gone: a state is good once.
    found = await store.rows(
        "DELETE FROM oidc_requests WHERE state_hash = %s "
        "RETURNING browser_hash, nonce, code_verifier, goes_to, expires_at > clock_timestamp() AS fresh",
        [sessions.hashed(state)],
    )
    browser = sessions.hashed(sessions.cookie_of(request, sessions.OIDC))
    if not found or not found[0]["fresh"] or not hmac.compare_digest(found[0]["browser_hash"], browser):
        raise ProblemError(403, "this sign-in was not begun in this browser, or is over; sign in again")
    if not code:
        raise ProblemError(403, "the sign-in provider did not sign you in; try again")
    identity = await provider.identity(code, found[0]["code_verifier"], found[0]["nonce"])
    given = request.app.state.settings.oidc_roles
    roles = {given[group] for group in identity.groups if group in given}
    response = RedirectResponse(found[0]["goes_to"], 303)
    async with store.transaction() as connection:
        person = await accounts.of_provider(connection, identity, roles)
        if person is not None:
            await sessions.begin(connection, request, response, person["person_id"])
            await accounts.note(
                connection, person["login"], "signed_in", person["login"], {"by": "the sign-in provider"}
            )
    if person is None:
        raise ProblemError(403, "you have no role in Claimsight, or your login is disabled; ask an administrator")
    return response


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise ProblemError(404, "there is no sign-in provider; sign in with login and password")
    return provider


def _page(problem: ProblemError) -> Response:
    """Tell a problem to a person: their browser shows what comes here as a page."""
    sentence = escape(problem.detail[:1].upper() + problem.detail[1:])
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark"><title>Not signed in · Claimsight</title>'
        f'<main><h1>Not signed in</h1><p>{sentence}.</p><p><a href="/">Back to Claimsight</a></p></main>',
        problem.status,
        dict(problem.headers or {}),
    )
