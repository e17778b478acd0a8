"""Sessions of people who are signed in, and the cookies that browsers hold for them."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Literal

from fastapi import Request, Response

from console.api.store import Connection, fetch

Cookie = Literal["claimsight", "claimsight-browser", "claimsight-oidc"]
SESSION: Cookie = "claimsight"
BROWSER: Cookie = "claimsight-browser"
OIDC: Cookie = "claimsight-oidc"
BROWSER_KEPT = timedelta(days=90)


def cookie_name(secure: bool, cookie: Cookie = SESSION) -> str:
    """Name of a cookie; the prefix has browsers take it over https only, and for this host alone."""
    return f"__Host-{cookie}" if secure else cookie


def cookie_of(request: Request, cookie: Cookie = SESSION) -> str:
    """Give what a request's cookie holds; nothing if it has none."""
    return request.cookies.get(cookie_name(request.app.state.settings.secure, cookie), "")


def set_cookie(
    request: Request,
    response: Response,
    cookie: Cookie,
    value: str,
    kept: timedelta,
    same_site: Literal["strict", "lax"] = "strict",
) -> None:
    """Hand a cookie to the browser that no script reads and no other site's page has it send."""
    secure = request.app.state.settings.secure
    response.set_cookie(
        cookie_name(secure, cookie),
        value,
        max_age=int(kept.total_seconds()),
        httponly=True,
        secure=secure,
        samesite=same_site,
        path="/",
    )


def drop_cookie(request: Request, response: Response, cookie: Cookie) -> None:
    """Have the browser forget a cookie."""
    secure = request.app.state.settings.secure
    response.delete_cookie(cookie_name(secure, cookie), path="/", secure=secure, httponly=True, samesite="strict")


def hashed(token: str) -> bytes:
    """What is stored of a token; it has 256 random bits, so that a plain hash will do."""
    return sha256(token.encode()).digest()


async def begin(connection: Connection, request: Request, response: Response, person_id: int) -> str:
    """Open a session; what this browser held before is of no use any more, and neither is what has run out.

    Returns
    -------
    str
        The token that its requests bear which change something.
    """
    settings = request.app.state.settings
    await fetch(
        connection,
        "DELETE FROM sessions WHERE token_hash = %s OR expires_at <= clock_timestamp() "
        "OR seen_at <= clock_timestamp() - %s",
        [hashed(cookie_of(request)), settings.session_idle],
    )
    token, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    await fetch(
        connection,
        "INSERT INTO sessions (token_hash, person_id, csrf_token, expires_at) "
        "VALUES (%s, %s, %s, clock_timestamp() + %s)",
        [hashed(token), person_id, csrf_token, settings.session_length],
    )
    await fetch(connection, "UPDATE people SET signed_in_at = clock_timestamp() WHERE person_id = %s", [person_id])
    set_cookie(request, response, SESSION, token, settings.session_length)
    return csrf_token


async def end_all(connection: Connection, person_id: int) -> None:
    """Sign a person out, wherever they are signed in."""
    await fetch(connection, "DELETE FROM sessions WHERE person_id = %s", [person_id])


def known_browser(request: Request, password_hash: str | None) -> str | None:
    """Name a browser that somebody has signed in with by this password; None if it is none.

    Its cookie is a random name, signed with what is stored of the password: so it goes with the password, and nothing
    has to be kept. After "device cookies" in OWASP's guide against password guessing.
    """
    name, _, signature = cookie_of(request, BROWSER).partition(".")
    if password_hash and name and hmac.compare_digest(signature.encode(), _signature(name, password_hash).encode()):
        return name
    return None


def remember_browser(request: Request, response: Response, password_hash: str) -> None:
    """Let a browser be known by its next sign-in."""
    name = known_browser(request, password_hash) or secrets.token_urlsafe(16)
    set_cookie(request, response, BROWSER, f"{name}.{_signature(name, password_hash)}", BROWSER_KEPT)


def _signature(name: str, password_hash: str) -> str:
    return hmac.new(password_hash.encode(), name.encode(), sha256).hexdigest()
