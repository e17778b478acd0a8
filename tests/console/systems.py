"""The API as another system uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi.testclient import TestClient

from console.api.app import create_app
from console.api.keys import SCOPES, Scope, create_key
from console.api.settings import ConsoleSettings


@dataclass(frozen=True)
class Api:
    """The application at work, and ways to have keys."""

    client: TestClient

    @property
    def app(self) -> Any:
        return self.client.app

    def call(self, function: Any, *arguments: Any) -> Any:
        """Call a coroutine where the application runs."""
        assert self.client.portal is not None
        return self.client.portal.call(function, *arguments)

    def key(self, *scopes: Scope, system: str = "claims-core") -> str:
        """Make a key, by default one that is good for everything."""
        made: tuple[int, str] = self.call(create_key, self.app.state.store, system, scopes or SCOPES, "ada")
        return made[1]

    def system(self, *scopes: Scope, system: str = "claims-core") -> TestClient:
        """Make a client that sends a key."""
        client = TestClient(self.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        client.portal = self.client.portal
        client.headers["Authorization"] = f"Bearer {self.key(*scopes, system=system)}"
        return client


@contextmanager
def serving(settings: ConsoleSettings) -> Iterator[Api]:
    """Have the application run in this process."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield Api(client)
