"""Keys by which other systems use the API: made and revoked by an administrator, kept as a hash."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic
from typing import Any, Literal

from psycopg.errors import CheckViolation

from console.api.problems import ProblemError
from console.api.store import Store

Scope = Literal["score", "check", "alerts", "decisions", "model"]
SCOPES: tuple[Scope, ...] = ("score", "check", "alerts", "decisions", "model")
PREFIX = "cs_"
"""Begins every key, so that one which was left somewhere is told for what it is."""
REMEMBERED_SECONDS = 5.0
"""For so long at most a key is good after it was revoked."""
MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class Key:
    """A key that is good.

    Attributes
    ----------
    system : str
        Whose it is; the access log names it.
    """

    key_id: int
    system: str
    scopes: frozenset[str]


async def create_key(store: Store, system: str, scopes: Sequence[Scope], by: str) -> tuple[int, str]:
    """Make a key for a system; its number, and the key itself, which is told this once.

    Raises
    ------
    ProblemError
        409: a person has that login, for whom the log would take it. 422: no such name or scopes.
    """
    if await store.rows("SELECT 1 FROM people WHERE login = %s", [system]):
        raise ProblemError(409, "a person signs in by that name; give the system another")
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        made = await store.rows(
            "INSERT INTO api_keys (system, sha256, scopes, created_by) VALUES (%s, %s, %s, %s) RETURNING key_id",
            [system, hashed(secret), sorted(set(scopes)), by],
        )
    except CheckViolation:
        raise ProblemError(
            422, f"a system is named in small letters, digits, dots and dashes, and may some of: {', '.join(SCOPES)}"
        ) from None
    return made[0]["key_id"], secret


async def revoke_key(store: Store, key_id: int, by: str) -> bool:
    """End a key for good; False where there is none that is still good."""
    return bool(
        await store.rows(
            "UPDATE api_keys SET revoked_at = clock_timestamp(), revoked_by = %s "
            "WHERE key_id = %s AND revoked_at IS NULL RETURNING key_id",
            [by, key_id],
        )
    )


async def list_keys(store: Store) -> list[dict[str, Any]]:
    """All keys, the newest first, without what would let anyone use them."""
    return await store.rows(
        "SELECT key_id, system, scopes, created_at, created_by, revoked_at, revoked_by FROM api_keys "
        "ORDER BY key_id DESC"
    )


def hashed(secret: str) -> bytes:
    """What is stored of a key; it has 256 random bits, so that a plain hash will do."""
    return sha256(secret.encode(errors="surrogatepass")).digest()


class Keys:
    """Finds keys; those that were good a moment ago are not looked up again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._good: dict[bytes, tuple[float, Key]] = {}

    async def find(self, secret: str) -> Key | None:
        """Tell whose key it is; None where it is none, or revoked."""
        digest, now = hashed(secret), monotonic()
        until, key = self._good.get(digest, (0.0, None))
        if key is not None and now < until:
            return key
        found = await self._store.rows(
            "SELECT key_id, system, scopes FROM api_keys WHERE sha256 = %s AND revoked_at IS NULL", [digest]
        )
        self._good.pop(digest, None)
        if not found:
            return None
        key = Key(found[0]["key_id"], found[0]["system"], frozenset(found[0]["scopes"]))
        if len(self._good) >= MOST_REMEMBERED:
            self._good.clear()
        self._good[digest] = (now + REMEMBERED_SECONDS, key)
        return key
