"""Let somebody use the console: ``python -m console.api.add_person LOGIN NAME ROLE [ROLE ...]``, the password on stdin.

For the first administrator; the others are let in by that one on the page for it. Of a login that is there already it
sets name, roles and password, and ends its sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import psycopg

from console.api.people import ROLES
from console.api.routes.session import HASHER
from console.api.settings import from_environment
from console.api.store import Store, fetch
from shared.contract import load
from shared.errors import ClaimsightError, ExitCode

SHORTEST = 12
"""Characters of a password: NIST SP 800-63B-4, 2025, asks for 15 where it stands alone, and for 8 at the least."""


async def add_person(store: Store, login: str, name: str, roles: Sequence[str], password: str) -> None:
    """Make or change a local user."""
    async with store.transaction() as connection:
        made = await fetch(
            connection,
            "INSERT INTO people (login, name, roles, password_hash) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (login) DO UPDATE SET name = excluded.name, roles = excluded.roles, "
            "password_hash = excluded.password_hash, disabled_at = NULL RETURNING person_id",
            [login, name, list(roles), HASHER.hash(password)],
        )
        await fetch(connection, "DELETE FROM sessions WHERE person_id = %s", [made[0]["person_id"]])


async def _add(given: argparse.Namespace, password: str) -> None:
    settings = from_environment()
    async with Store(settings.database_url.get_secret_value(), load(settings.contract).name) as store:
        await add_person(store, given.login, given.name, given.roles, password)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m console.api.add_person", description=__doc__.splitlines()[0])
    parser.add_argument("login")
    parser.add_argument("name")
    parser.add_argument("roles", nargs="+", choices=ROLES, metavar="role", help=", ".join(ROLES))
    given = parser.parse_args()
    password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        print(f"claimsight: a password has at least {SHORTEST} characters; give it on stdin", file=sys.stderr)
        return int(ExitCode.USAGE)
    try:
        asyncio.run(_add(given, password))
    except ClaimsightError as error:
        for problem in error.problems:
            print(f"claimsight: {problem}", file=sys.stderr)
        return int(error.exit_code)
    except psycopg.Error as error:
        print(f"claimsight: database: {' '.join(str(error).split())}", file=sys.stderr)
        return int(ExitCode.TRANSIENT if isinstance(error, psycopg.OperationalError) else ExitCode.CONFIG)
    return 0


if __name__ == "__main__":
    sys.exit(main())
