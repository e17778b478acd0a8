"""A small demo book, loaded, trained, judged, scored and watched, and the console on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from playwright.sync_api import Browser
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from console.api import passwords
from console.api.add_person import add_person
from console.api.app import create_app
from console.api.people import ROLES
from console.api.rates import Rates
from console.api.settings import ConsoleSettings, from_environment
from deploy.local.simulate.write import simulate
from shared.choreography import STAGES
from shared.contract import load
from shared.database import Database
from shared.grants import role
from tests.factories import ROOT

if TYPE_CHECKING:
    from tests.console.browser import Place

PASSWORD = "a password for tests"
LOGIN = "test_console"
START, CLAIMS, WEEKS, SEED = date(2024, 1, 1), 6000, 52, 7
AS_OF = datetime(2024, 12, 30, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Book:
    """A line of business with results.

    Attributes
    ----------
    url, console_url : str
        Connection strings, of the superuser and of a login that is in the console's role and in no other.
    folder : Path
        Drop, events, artifacts and MLflow's store.
    """

    url: str
    console_url: str
    folder: Path

    def environment(self, as_of: datetime = AS_OF) -> dict[str, str]:
        """Settings of a stage."""
        return {
            "CLAIMSIGHT_CONTRACT": str(self.folder / "demo.toml"),
            "CLAIMSIGHT_DATABASE_URL": self.url,
            "CLAIMSIGHT_DROP": str(self.folder / "drop"),
            "CLAIMSIGHT_EVENTS": str(self.folder / "events.jsonl"),
            "CLAIMSIGHT_ARTIFACTS": str(self.folder / "artifacts"),
            "CLAIMSIGHT_AS_OF": as_of.isoformat(),
            "CLAIMSIGHT_PSEUDONYM_KEY": "for tests only",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
        }

    def run(self, stage: str, *arguments: str, as_of: datetime = AS_OF) -> str:
        """Run a stage as a process; what it wrote."""
        ran = subprocess.run(
            [sys.executable, "-m", f"jobs.{stage}", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **self.environment(as_of)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def settings(self, **others: str) -> ConsoleSettings:
        """Settings of the console; others by their variables."""
        return from_environment(self.environment() | {"CLAIMSIGHT_DATABASE_URL": self.console_url} | others)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Ask the database as its superuser."""
        with psycopg.connect(
            self.url, autocommit=True, row_factory=dict_row, options="-c search_path=demo,claimsight -c timezone=UTC"
        ) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def trained(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Book:
    """Make the book that others are copies of, once a session; change nothing in it."""
    folder = tmp_path_factory.mktemp("console")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE console_book")
    contract = (ROOT / "contracts" / "demo.toml").read_text()
    # The shortest of searches: the pages are to show a model, whichever.
    (folder / "demo.toml").write_text(contract.replace("[training]\n", "[training]\ntrials = 1\n"))
    made = Book(make_conninfo(postgres, dbname="console_book"), "", folder)
    simulate(folder / "drop" / "demo", CLAIMS, WEEKS, SEED, START, photos=0.05)
    for stage in STAGES:
        made.run(stage)
    assert made.rows("SELECT 1 FROM model_history WHERE alias = 'champion'")
    _let_in(made.url)
    return made


def _let_in(url: str) -> None:
    """Have the console's login, which is the whole server's; the line is prepared, so that there are roles."""
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [LOGIN]).fetchall():
            connection.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE {role('console')}")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bare(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """Give a module a line without a claim, for what is not about claims: there in a second."""
    name = f"console_{uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("bare")
    shutil.copy(ROOT / "contracts" / "demo.toml", folder)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        url = make_conninfo(postgres, dbname=name)
        contract = load(folder / "demo.toml")
        with Database(url, contract.name) as database:
            database.prepare(contract)
        _let_in(url)
        yield Book(url, make_conninfo(url, user=LOGIN), folder)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def book(postgres: str, trained: Book, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """Give a module a copy of its own."""
    name = f"console_{uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("copy")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE console_book")  # type: ignore[arg-type]
        for file in ("demo.toml", "mlflow.db", "events.jsonl"):
            shutil.copy(trained.folder / file, folder / file)
        url = make_conninfo(postgres, dbname=name)
        yield Book(url, make_conninfo(url, user=LOGIN), folder)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


SignIn = Callable[..., TestClient]


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Have passwords of tests cost next to nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        patch.setattr(passwords, "NOBODY", passwords.HASHER.hash("nobody"))
        yield


@pytest.fixture(scope="module")
def sign_in(book: Book) -> Iterator[SignIn]:
    """Give ``sign_in("investigator", ..., login="anna")``: a client of somebody with these roles; all by default."""
    app = create_app(book.settings())
    # One loop for all clients: the application's sessions on the database belong to it.
    with TestClient(app, base_url="http://127.0.0.1") as first:

        def signed_in(*roles: str, login: str = "") -> TestClient:
            login = login or "-".join(roles) or "everyone"
            client = TestClient(app, base_url="http://127.0.0.1")
            client.portal = first.portal
            assert first.portal is not None
            app.state.rates = Rates()  # what tests did before is not counted
            first.portal.call(add_person, app.state.store, login, login.title(), roles or ROLES, PASSWORD)
            answer = client.post("/api/session", json={"login": login, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
            return client

        yield signed_in


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Open one browser for all tests: its driver has a loop of its own, and there can be but one."""
    from tests.console.browser import opened

    with opened() as browser:
        yield browser


@pytest.fixture(scope="module")
def place(book: Book, chromium: Browser) -> Iterator[Place]:
    """Serve a module's book on a free port of loopback."""
    from tests.console.browser import Place, served

    with served(book) as address, ExitStack() as left:
        yield Place(address, chromium, book, left)
