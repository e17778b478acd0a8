"""What a request brings, within limits; and answers that are kept for when it is sent again."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from console.api.keys import Key
from console.api.people import store_of
from console.api.problems import ProblemError
from shared.json_cells import Row, row_of

MOST_BYTES = 64 << 10
"""Of a body; a claim takes one or two thousand."""
IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
JSON = "application/json"


async def body_of(request: Request) -> bytes:
    """Read a body of JSON.

    Raises
    ------
    ProblemError
        413: it is too large, whatever its header says. 415: it is something else.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ProblemError(415, f"send {JSON}")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise ProblemError(413, f"a body has at most {MOST_BYTES:,} bytes")
    return bytes(content)


def object_of(content: bytes) -> Row:
    """Read one object as etl reads a line of a file.

    Raises
    ------
    ProblemError
        400: it is no JSON. 422: it is no object.
    """
    try:
        return row_of(content.decode())
    except UnicodeDecodeError:
        raise ProblemError(400, "the body is not UTF-8") from None
    except RecursionError:
        raise ProblemError(400, "the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ProblemError(400, f"the body is not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError as error:
        raise ProblemError(422, str(error)) from None


Work = Callable[[], Awaitable[tuple[str, Response]]]
"""Does what was asked; the claim that it concerned, and the answer."""


async def once(request: Request, key: Key, content: bytes, work: Work) -> Response:
    """Answer, and with an ``Idempotency-Key`` answer a repeated request as the first time, for a day.

    Only what succeeded is kept: what failed may be tried again under the same key.

    Raises
    ------
    ProblemError
        400: it is no such key. 409: it came with another request, or the first is still at work.
    """
    name = request.headers.get("idempotency-key")
    if name is None:
        return (await work())[1]
    if not IDEMPOTENCY_KEY.fullmatch(name):
        raise ProblemError(400, "an Idempotency-Key is 1 to 255 printable characters of ASCII, without blanks")
    store, digest = store_of(request), sha256(request.url.path.encode() + b"\n" + content).digest()
    (begun,) = await store.rows("SELECT * FROM api_begin(%s, %s, %s)", [key.key_id, name, digest])
    if not begun["is_same"]:
        raise ProblemError(409, "another request came with this Idempotency-Key; give each one of its own")
    if not begun["is_first"]:
        if begun["status"] is None:
            raise ProblemError(409, "the first request with this Idempotency-Key is still at work")
        return Response(begun["answer"], begun["status"], {"Idempotency-Replayed": "true"}, JSON)
    claim, status, answer = None, None, None
    try:
        claim, response = await work()
        status, answer = response.status_code, bytes(response.body).decode()
    finally:
        await store.rows("SELECT api_finish(%s, %s, %s, %s, %s)", [key.key_id, name, claim, status, answer])
    return response


def told(content: object, status: int = 200) -> JSONResponse:
    """Write an answer."""
    return JSONResponse(content, status)
