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

from console.api.accounts import note
from console.api.passwords import faults, hash_now
from console.api.people import ROLES
from console.api.sessions import end_all
from console.api.settings import from_environment
from console.api.store import Store, fetch
from shared.arguments import Parser
from shared.contract import load
from shared.errors import ClaimsightError, ConfigError, ExitCode


async def add_person(store: Store, login: str, name: str, roles: Sequence[str], password: str) -> None:
    """Make or change a local user.

    Raises
    ------
    ConfigError
        The login is of one who signs in by a provider.
    """
    async with store.transaction() as connection:
        made = await fetch(
            connection,
            "INSERT INTO people (login, name, roles, password_hash) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (login) DO UPDATE SET name = excluded.name, roles = excluded.roles, "
            "password_hash = excluded.password_hash, one_time_until = NULL, disabled_at = NULL "
            "WHERE people.issuer IS NULL RETURNING person_id",
            [login, name, list(roles), hash_now(password)],
        )
        if not made:
            raise ConfigError(f"{login} signs in by the sign-in provider, and has no password here")
        await end_all(connection, made[0]["person_id"])
        await note(connection, None, "person_added", login, {"roles": sorted(roles), "by": "command line"})


async def _add(given: argparse.Namespace, password: str) -> None:
    settings = from_environment()
    async with Store(settings.database_url.get_secret_value(), load(settings.contract).name) as store:
        await add_person(store, given.login, given.name, given.roles, password)


def main() -> int:
    """Run from the command line."""
    parser = Parser(prog="python -m console.api.add_person", description=__doc__.splitlines()[0])
    parser.add_argument("login")
    parser.add_argument("name")
    parser.add_argument("roles", nargs="+", choices=ROLES, metavar="role", help=", ".join(ROLES))
    given = parser.parse_args()
    password = sys.stdin.readline().rstrip("\n")
    if found := faults(password, given.login):
        print(f"claimsight: the password, on stdin, {', '.join(found)}", file=sys.stderr)
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
