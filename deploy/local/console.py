"""Serve the console beside the results of ``make run``: ``make console``.

It works on the same embedded Postgres, which runs while either of the two needs it, as a login that may do no more than
the console on AWS. The first user may see and do everything; the password stands in ``.claimsight/console.password``.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from psycopg.conninfo import make_conninfo

from deploy.local import embedded
from deploy.local.run import DEMO, HOME
from shared.arguments import Parser
from shared.bootstrap import login
from shared.contract import Contract, load
from shared.database import Database
from shared.errors import ClaimsightError, ConfigError
from shared.grants import role
from shared.settings import variable

PORT = 8400
FIRST = ("first", "First user", "investigator", "data_scientist", "auditor", "admin")
"""Login, name and roles."""


def main() -> int:
    """Run from the command line; see ``--help``."""
    parser = Parser(prog="make console", description=__doc__.splitlines()[0])
    parser.add_argument("--contract", type=Path, default=DEMO, help="contract of the claims (default: the demo book's)")
    parser.add_argument("--port", type=int, default=PORT, help="port on loopback (default: %(default)s)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        contract = load(given.contract)
        summary = HOME / "summaries" / f"{contract.name}.json"
        if not summary.exists():
            raise ConfigError(f"{summary}: not there; run `make run` on this contract first")
        key = HOME / "pseudonym.key"
        with embedded.postgres(HOME / "postgres") as url:
            settings = {
                "contract": str(given.contract),
                "database_url": _let_in(url, contract),
                "events": str(HOME / "events.jsonl"),
                "artifacts": str(HOME / "artifacts"),
                "public_url": f"http://127.0.0.1:{given.port}",
                "port": str(given.port),
                # The demo book's days are past: its worklist is looked at as of its last one.
                **({"as_of": json.loads(summary.read_text())["as_of"]} if contract.name == "demo" else {}),
                **({"pseudonym_key": key.read_text()} if key.exists() else {}),
            }
            environment = os.environ | {variable(field): value for field, value in settings.items()}
            password = _first_user(environment)
            print(f"Claimsight's console: {settings['public_url']}")
            print(f"First user: {FIRST[0]}, password {password} (Ctrl-C ends it)", flush=True)
            return subprocess.run([sys.executable, "-m", "console.api"], env=environment, check=False).returncode
    except ClaimsightError as error:
        for problem in error.problems:
            print(f"claimsight: {problem}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 130


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _let_in(url: str, contract: Contract) -> str:
    """Have a login that is in the console's role and in no other; its connection string."""
    name = login("console")
    with Database(url, contract.name) as database:
        database.prepare(contract)
        if not database.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]):
            database.rows(f"CREATE ROLE {name} LOGIN IN ROLE {role('console')}")
    return make_conninfo(url, user=name)


def _first_user(environment: dict[str, str]) -> str:
    """Have somebody who can sign in, whose password is made once."""
    file = HOME / "console.password"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
            written.write(secrets.token_urlsafe(12))
    password = file.read_text()
    made = subprocess.run(
        [sys.executable, "-m", "console.api.add_person", *FIRST],
        env=environment,
        input=password + "\n",
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise ConfigError("the first user could not be made; the line above says why")
    return password


if __name__ == "__main__":
    sys.exit(main())
