"""Sign-in by a provider of identities: OpenID Connect, authorization code with PKCE."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from console.api.problems import ProblemError
from console.api.settings import ConsoleSettings
from shared.logs import log

CALLBACK = "/api/session/oidc/callback"
SCOPE = "openid profile email"
ALGORITHMS = ("RS256", "PS256", "ES256")
"""By which an ID token may be signed: with keys of which only the half that checks is published."""
LEEWAY = 60
"""Seconds by which the provider's clock may be off."""
KEPT, KEPT_AT_LEAST = 3600.0, 60.0
"""Seconds after which the provider's description and keys are read anew, and before which a token with another key does
not have them read again."""
TIMEOUT = 5.0
LOGINS = ("preferred_username", "email", "cognito:username", "sub")
"""Claims that a login is made of: the first that is there and holds one."""
ERROR, WARNING = 40, 30


class IdentityError(Exception):
    """An ID token is not what it should be; the text says what of it, and no value."""


@dataclass(frozen=True)
class Identity:
    """Who somebody is, as a provider says.

    Attributes
    ----------
    subject : str
        The provider's name for them, for good.
    groups : frozenset
        Groups that they are in there.
    """

    issuer: str
    subject: str
    login: str
    name: str
    groups: frozenset[str]


def challenge(verifier: str) -> str:
    """Write a PKCE verifier as its challenge, by S256.

    >>> challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")  # RFC 7636, appendix B
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def verified(token: str, keys: KeySet, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """Check an ID token as OpenID Connect Core 1.0, section 3.1.3.7, has it; its claims.

    Raises
    ------
    IdentityError
        It is signed by nobody, by somebody else or in a way that is not allowed, or is another issuer's, or for another
        client, sign-in or time.
    joserfc.errors.InvalidKeyIdError
        It is signed with a key that is not among these.
    """
    registry = jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        registry.validate(claims)
    except InvalidKeyIdError:
        raise
    except (JoseError, ValueError) as error:
        raise IdentityError(f"{type(error).__name__}: {getattr(error, 'claim', None) or 'token'}") from error
    # A token for several clients says which of them asked for it.
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise IdentityError("InvalidClaimError: azp")
    return claims


def identity_of(claims: Mapping[str, Any], groups_claim: str) -> Identity:
    """Read who somebody is from the claims of an ID token that was checked.

    >>> identity_of({"iss": "https://id", "sub": "7", "email": "anna@example", "groups": "a"}, "groups").groups
    frozenset({'a'})
    """
    logins = [claims[name] for name in LOGINS if _is_login(claims.get(name))]
    if not logins:
        raise IdentityError("no claim holds a login")
    name, groups = claims.get("name"), claims.get(groups_claim, [])
    return Identity(
        claims["iss"],
        claims["sub"],
        logins[0],
        name[:200] if isinstance(name, str) and name.isprintable() and name.strip() else logins[0],
        frozenset(group for group in ([groups] if isinstance(groups, str) else groups) if isinstance(group, str)),
    )


def _is_login(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 128 and value.isprintable() and " " not in value


class Provider:
    """The provider of identities that the settings name."""

    def __init__(self, settings: ConsoleSettings, http: httpx.AsyncClient) -> None:
        if settings.oidc_issuer is None or settings.oidc_client_id is None:
            raise ValueError("the settings name no provider")
        self._issuer, self._client_id, self._secret = (
            settings.oidc_issuer,
            settings.oidc_client_id,
            settings.oidc_client_secret,
        )
        self._groups_claim, self._callback = settings.oidc_roles_claim, settings.public_url + CALLBACK
        self._http, self._document, self._keys, self._read_at = http, dict[str, Any](), KeySet([]), -KEPT

    async def address(self, state: str, nonce: str, verifier: str) -> str:
        """Address at the provider that a browser is sent to."""
        await self._look()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._callback,
            "scope": SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        address = str(self._document["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def identity(self, code: str, verifier: str, nonce: str) -> Identity:
        """Exchange the code that a browser came back with for who sits before it.

        Raises
        ------
        ProblemError
            403: the provider does not take the code, or what it says of the person does not hold. 503: it is silent.
        """
        await self._look()
        token = await self._token(code, verifier)
        try:
            return identity_of(await self._verified(token, nonce), self._groups_claim)
        except (IdentityError, InvalidKeyIdError) as error:
            log(WARNING, "an ID token is refused", reason=str(error) if isinstance(error, IdentityError) else "kid")
            raise ProblemError(403, "the sign-in provider's answer does not hold; sign in again") from error

    async def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            return verified(token, self._keys, self._issuer, self._client_id, nonce)
        except InvalidKeyIdError:
            # The provider may have begun to sign with another key.
            await self._look(KEPT_AT_LEAST)
            return verified(token, self._keys, self._issuer, self._client_id, nonce)

    async def _token(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "code_verifier": verifier,
            "client_id": self._client_id,
        }
        authorization = None
        if self._secret:
            secret = self._secret.get_secret_value()
            ways = self._document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if "client_secret_basic" in ways:
                # RFC 6749, section 2.3.1, has both parts encoded as in a form.
                authorization = httpx.BasicAuth(quote(self._client_id, safe=""), quote(secret, safe=""))
            else:
                form["client_secret"] = secret
        answer = await self._ask("POST", str(self._document["token_endpoint"]), data=form, auth=authorization)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProblemError(403, "the sign-in provider does not take the code; sign in again")
        return token

    async def _look(self, kept: float = KEPT) -> None:
        """Read the provider's description and keys, where what was read is old."""
        if time.monotonic() - self._read_at < kept:
            return
        document = await self._ask("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        scheme = self._issuer.partition(":")[0]
        # Whoever serves another issuer's description could have tokens of theirs taken here.
        if document.get("issuer") != self._issuer or not all(
            str(document.get(name, "")).startswith(f"{scheme}://") for name in needed
        ):
            log(ERROR, "the sign-in provider's description is not one of the issuer in the settings")
            raise ProblemError(503, "the sign-in provider is not set up as it should be; ask an administrator")
        keys = (await self._ask("GET", document["jwks_uri"])).get("keys", [])
        self._document, self._keys = document, KeySet.import_key_set({"keys": list(_for_signing(keys))})
        self._read_at = time.monotonic()

    async def _ask(self, method: str, address: str, **sent: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, address, headers={"Accept": "application/json"}, **sent)
            told = answer.json() if answer.status_code < 500 else None
        except (httpx.HTTPError, ValueError) as error:
            log(ERROR, "the sign-in provider does not answer", reason=type(error).__name__)
            told = None
        if not isinstance(told, dict):
            raise ProblemError(503, "the sign-in provider does not answer; try again", headers={"Retry-After": "5"})
        return told


def _for_signing(keys: Iterable[dict[str, Any]]) -> Iterable[Any]:
    """Leave out keys that no allowed signature is checked with; a shared secret is never published."""
    return (key for key in keys if key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig")
