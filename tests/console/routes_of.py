"""Every route of the application, with what it asks of whoever sends a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount

from console.api.people import signed_in

NUMBER = "9007199254740993"
"""In place of a path's parameter: neither a person nor a claim."""


@dataclass(frozen=True)
class Way:
    """A method of a route.

    Attributes
    ----------
    permission : str or None
        What it asks for; "signed in" for one that asks for no more.
    """

    method: str
    path: str
    permission: str | None

    @property
    def name(self) -> str:
        """Method and path, as a test names it."""
        return f"{self.method} {self.path}"

    @property
    def address(self) -> str:
        """Path of a request."""
        return re.sub(r"\{[^}]*\}", NUMBER, self.path)


def ways(app: FastAPI) -> list[Way]:
    """Every method of every route, those of applications below included."""
    return list(_ways(app.routes, ""))


def _ways(routes: Iterable[BaseRoute], prefix: str) -> Iterator[Way]:
    for route in routes:
        if isinstance(route, APIRoute):
            permission = next(_permissions(route.dependant), None)
            for method in sorted(route.methods):
                yield Way(method, prefix + route.path, permission)
        elif isinstance(route, Mount):
            yield from _ways(route.routes, prefix + route.path)
        elif router := getattr(route, "original_router", None):
            yield from _ways(router.routes, prefix)
        elif (path := getattr(route, "path", None)) is not None:
            yield Way("GET", prefix + path, None)


def _permissions(dependant: Dependant) -> Iterator[str]:
    for below in dependant.dependencies:
        if permission := getattr(below.call, "permission", None):
            yield permission
        elif below.call is signed_in:
            yield "signed in"
        else:
            yield from _permissions(below)
