"""A provider of identities on loopback, with keys of its own, that also issues what nobody should take."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "claimsight console", "a secret: of tests"
Claims = dict[str, Any]


@dataclass
class OidcProvider:
    """What it knows and how it signs; change what it does by changing its attributes.

    Attributes
    ----------
    mint : callable
        Makes an ID token of claims.
    person : dict
        Claims of who signs in next.
    asked : list
        Paths that were asked for.
    """

    issuer: str
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}))
    person: Claims = field(default_factory=dict)
    mint: Callable[[Claims], str] = lambda claims: ""
    described: Claims = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Sign as one should."""
        self.mint = self.signed

    def signed(self, claims: Claims, key: RSAKey | None = None, **header: str) -> str:
        """Sign an ID token."""
        key = key or self.key
        header = {"alg": "RS256", "kid": key.kid, **header}
        return jwt.encode(header, claims, key, algorithms=[header["alg"]])

    def unsigned(self, claims: Claims, signature: Callable[[bytes], bytes] = lambda _: b"", **header: str) -> str:
        """Put together a token by hand."""
        text = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(claims).encode())}"
        return f"{text}.{_part(signature(text.encode()))}"

    def claims(self, nonce: str) -> Claims:
        """Tell of the person who signs in."""
        now = int(time.time())
        standing = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce}
        return standing | self.person

    def answer(self, method: str, path: str, given: dict[str, str], authorization: str) -> tuple[int, Claims | str]:
        """Answer a request: a status and an object, or an address to go to."""
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            ours = {"issuer": self.issuer} | {name: self.issuer + end for name, end in ends.items()}
            return 200, ours | self.described
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False), {"kty": "oct", "k": "c2VjcmV0", "kid": "2"}]}
        if path == "/authorize" and given["response_type"] == "code" and given["code_challenge_method"] == "S256":
            code = secrets.token_urlsafe()
            self.codes[code] = given
            return 303, f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}"
        if (path, method) == ("/token", "POST"):
            begun = self.codes.pop(given["code"], {})
            client, _, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            if (
                (unquote(client), unquote(secret)) == (CLIENT_ID, CLIENT_SECRET)
                and begun.get("code_challenge") == _part(sha256(given["code_verifier"].encode()).digest())
                and begun["redirect_uri"] == given["redirect_uri"]
            ):
                return 200, {
                    "access_token": "x",
                    "token_type": "Bearer",
                    "id_token": self.mint(self.claims(begun["nonce"])),
                }
            return 400, {"error": "invalid_grant"}
        return 404, {}


def _part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


@contextmanager
def oidc_provider(host: str = "127.0.0.1") -> Iterator[OidcProvider]:
    """Serve one while the block runs, by a name of this machine: other than the console's, it is another site."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode())))

        def _answer(self, form: dict[str, str]) -> None:
            parts = urlsplit(self.path)
            given = form | dict(parse_qsl(parts.query))
            status, told = made.answer(self.command, parts.path, given, self.headers.get("Authorization", ""))
            body = b"" if isinstance(told, str) else json.dumps(told).encode()
            self.send_response(status)
            if isinstance(told, str):
                self.send_header("Location", told)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made = OidcProvider(f"http://{host}:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
