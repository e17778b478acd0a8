"""What goes wrong, told as RFC 9457 has it: ``application/problem+json``, one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from shared.logs import log

ERROR = 40
MISTAKES: Mapping[str, str] = {
    "missing": "is missing",
    "too_short": "needs at least {min_length}",
    "string_too_short": "has fewer than {min_length} characters",
    "string_too_long": "has more than {max_length} characters",
    "string_pattern_mismatch": "is empty, or holds a character that it may not",
    "literal_error": "is none of {expected}",
}
"""What is wrong in words for people, by what pydantic calls it; what it says of the rest will do."""


class ProblemError(Exception):
    """An answer that is not what was asked for.

    Parameters
    ----------
    status : int
        Of HTTP, 400 to 599.
    detail : str
        A sentence for whoever asked; never a value of a claim.
    errors : sequence of mapping
        Of a body: ``field`` and ``message``, one each mistake.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, headers


def answer(
    status: int, detail: str, errors: Sequence[Mapping[str, str]] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Write a problem as the body of an answer."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail} | ({"errors": list(errors)} if errors else {})
    return JSONResponse(body, status, dict(headers or {}), media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Let every failure of a request end in such an answer."""

    @app.exception_handler(ProblemError)
    async def _problem(_: Request, problem: ProblemError) -> JSONResponse:
        return answer(problem.status, problem.detail, problem.errors, problem.headers)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without what was given: it may be a person's.
        told = [{"field": ".".join(map(str, item["loc"][1:])), "message": mistake(item)} for item in error.errors()]
        return answer(422, "what was sent is not as it should be", told)

    @app.exception_handler(psycopg.errors.RaiseException)
    @app.exception_handler(psycopg.errors.InvalidParameterValue)
    async def _refused(_: Request, error: psycopg.Error) -> JSONResponse:
        return answer(409, _said(error))

    @app.exception_handler(psycopg.DataError)
    async def _unfit(_: Request, __: psycopg.DataError) -> JSONResponse:
        # Such as a character that Postgres keeps in no text. Its message may hold what was given.
        return answer(422, "what was sent holds a value that cannot be kept")

    @app.exception_handler(psycopg.errors.InsufficientPrivilege)
    async def _forbidden(_: Request, error: psycopg.Error) -> JSONResponse:
        return answer(403, _said(error))

    @app.exception_handler(PoolTimeout)
    @app.exception_handler(psycopg.OperationalError)
    async def _unreachable(_: Request, error: Exception) -> JSONResponse:
        log(ERROR, "the database does not answer", reason=type(error).__name__)
        return answer(503, "the database does not answer; try again in a moment", headers={"Retry-After": "5"})


def mistake(found: Mapping[str, Any]) -> str:
    """Say what is wrong with a field, without what was given.

    >>> mistake({"type": "too_short", "msg": "Frozenset should have ...", "ctx": {"min_length": 1}})
    'needs at least 1'
    >>> mistake({"type": "int_type", "msg": "Input should be a valid integer"})
    'Input should be a valid integer'
    """
    words = MISTAKES.get(found["type"])
    return str(found["msg"]) if words is None else words.format_map(found.get("ctx", {}))


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or "the database refuses it"
