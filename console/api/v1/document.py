"""What the API says of itself: its OpenAPI document, with the claim as the contract has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.contract import Contract
from shared.contract_parts import Column

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence that says what to do; never a value of a claim."},
        "errors": {
            "type": "array",
            "description": "Each mistake of what was sent, by itself.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_MEANINGS: Mapping[int, str] = {
    400: "It cannot be read.",
    401: "The key is none, or is revoked.",
    403: "The key is not good for it.",
    404: "There is no such claim.",
    409: "The Idempotency-Key came with another request.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    422: "It is not as it should be; `errors` names each mistake.",
    429: "Too many requests.",
    503: "It cannot be done now; try again later.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses of a route that are problems."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": _MEANINGS[status], "content": content} for status in (401, 403, *statuses, 429, 503)
    }


IDEMPOTENT: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A name for this request: sent again within a day, it is answered as the first time.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }
    ]
}


def body(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a route that reads its body by itself takes."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": dict(schema)}}}}


def claim_schema(contract: Contract) -> dict[str, Any]:
    """Describe a claim as the contract has it, by the sender's headers.

    Each cell may be written as text, as in a file. What the contract does not name is passed over; the label is not
    asked for.
    """
    columns = {contract.sources[name]: column for name, column in contract.columns.items()}
    label = contract.roles.label
    required = [
        contract.sources[name] for name, column in contract.columns.items() if not column.nullable and name != label
    ]
    return {
        "type": "object",
        "title": contract.title,
        "required": required,
        "properties": {header: _cell(column) for header, column in columns.items()},
    }


_TYPES: Mapping[str, list[str]] = {
    "integer": ["integer", "string"],
    "number": ["number", "string"],
    "boolean": ["boolean", "string"],
}


def _cell(column: Column) -> dict[str, Any]:
    types = [*_TYPES.get(column.dtype, ["string"]), *(["null"] if column.nullable else [])]
    told: dict[str, Any] = {"type": types}
    parts = [column.meaning, f"in {column.unit}" if column.unit else ""]
    if column.levels:
        parts.append(f"one of: {', '.join(column.levels)}")
    if column.dtype in ("date", "datetime"):
        parts.append(f"a {column.dtype}, {'as ' + column.format if column.format else 'ISO 8601'}")
    if isinstance(column.min, int | float):
        told["minimum"] = column.min
    if isinstance(column.max, int | float):
        told["maximum"] = column.max
    if description := "; ".join(filter(None, parts)):
        told["description"] = description
    return told


def describe(app: FastAPI) -> None:
    """Have the application tell its document with what routes refer to."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                servers=[{"url": "/v1"}],
            )
            made["components"]["schemas"]["Problem"] = PROBLEM
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
