"""Signing in by a provider of identities, and by tokens that no provider should have issued."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey

from console.api.app import create_app
from console.api.oidc import Provider
from console.api.rates import Rates
from tests.console.conftest import PASSWORD, Book
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Claims, OidcProvider, oidc_provider

HOME = "http://127.0.0.1"
ANNA = {"sub": "7", "email": "anna@insurer.example", "name": "Anna", "cognito:groups": ["claimsight-investigator", "x"]}


@pytest.fixture(scope="module")
def served() -> Iterator[OidcProvider]:
    with oidc_provider() as made:
        yield made


@pytest.fixture
def provider(served: OidcProvider) -> OidcProvider:
    """Give the provider as it should be, with Anna before it."""
    served.mint, served.person, served.described = served.signed, dict(ANNA), {}
    return served


@pytest.fixture(scope="module")
def first(bare: Book, served: OidcProvider) -> Iterator[TestClient]:
    settings = bare.settings(
        CLAIMSIGHT_OIDC_ISSUER=served.issuer,
        CLAIMSIGHT_OIDC_CLIENT_ID=CLIENT_ID,
        CLAIMSIGHT_OIDC_CLIENT_SECRET=CLIENT_SECRET,
    )
    with TestClient(create_app(settings), base_url=HOME) as made:
        yield made


@pytest.fixture
def browser(first: TestClient) -> TestClient:
    """Give a browser that holds no cookie, at an address from which nobody signed in."""
    first.app.state.rates = Rates()  # type: ignore[attr-defined]
    return another(first)


def another(first: TestClient) -> TestClient:
    client = TestClient(first.app, base_url=HOME, follow_redirects=False)
    client.portal = first.portal
    return client


def sent_to(browser: TestClient, **asked: str) -> str:
    """Begin a sign-in; where the provider is asked."""
    begun = browser.get("/api/session/oidc", params=asked)
    assert begun.status_code == 303, begun.text
    return begun.headers["Location"]


def sent_back(address: str) -> str:
    """Let the provider do its part; the path that it sends the browser back to."""
    return "?".join(urlsplit(httpx.get(address).headers["Location"])[2:4:1])


def sign_in(browser: TestClient, **asked: str) -> httpx.Response:
    return browser.get(sent_back(sent_to(browser, **asked)))


def test_a_person_of_the_provider(browser: TestClient, provider: OidcProvider, bare: Book) -> None:
    """Who the provider vouches for is made, with the roles of their groups, and comes to the page they were on."""
    came = sign_in(browser, to="/claims/C1?tab=photos")
    assert (came.status_code, came.headers["Location"]) == (303, "/claims/C1?tab=photos")
    told = browser.get("/api/session").json()
    assert (told["login"], told["name"], told["roles"]) == (ANNA["email"], "Anna", ["investigator"])
    assert not told["is_local"]
    assert "claimsight-oidc" not in browser.cookies
    entries = bare.rows("SELECT action, person FROM access_log WHERE person = %s ORDER BY entry_id", [ANNA["email"]])
    assert [entry["action"] for entry in entries][:2] == ["person_added", "signed_in"]


def test_the_request_is_proven(browser: TestClient, provider: OidcProvider) -> None:
    """The provider gets a challenge, a state and a nonce, each of its own for each sign-in, and never the secret."""
    asked = [parse_qs(urlsplit(sent_to(browser)).query) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[0][name][0]) == 43
        assert asked[0][name] != asked[1][name]
    assert asked[0]["redirect_uri"] == ["http://127.0.0.1:8400/api/session/oidc/callback"]
    assert CLIENT_SECRET not in str(asked)


def test_roles_are_those_of_the_last_sign_in(browser: TestClient, provider: OidcProvider, first: TestClient) -> None:
    """Another group is another role, at once and everywhere; the login stays that of the first time."""
    sign_in(browser)
    elsewhere = another(first)
    provider.person |= {"cognito:groups": "claimsight-auditor", "email": "anna.new@insurer.example", "name": "Anna B"}
    sign_in(elsewhere)
    told = elsewhere.get("/api/session").json()
    assert (told["login"], told["name"], told["roles"]) == (ANNA["email"], "Anna B", ["auditor"])
    assert browser.get("/api/session").status_code == 401


@pytest.mark.parametrize("groups", [[], ["claimsight"], ["admin"], [1, None], "", {"claimsight-admin": True}])
def test_without_a_role(browser: TestClient, provider: OidcProvider, bare: Book, groups: object) -> None:
    """Whom no group gives a role is told so in a sentence, and is not made."""
    provider.person |= {"cognito:groups": groups, "sub": "nobody", "email": "nobody@insurer.example"}
    if groups == {"claimsight-admin": True}:
        provider.person["cognito:groups"] = {"x": True}
    came = sign_in(browser)
    assert came.status_code == 403
    assert "you have no role in Claimsight" in came.text.replace("You", "you")
    assert came.headers["Content-Type"].startswith("text/html")
    assert browser.get("/api/session").status_code == 401
    assert bare.rows("SELECT 1 FROM people WHERE subject = 'nobody'") == []


def test_who_loses_the_last_role_is_signed_out(browser: TestClient, provider: OidcProvider, first: TestClient) -> None:
    """Without a group nothing is left, not even the session that was open."""
    sign_in(browser)
    assert browser.get("/api/session").status_code == 200
    provider.person |= {"cognito:groups": []}
    assert sign_in(another(first)).status_code == 403
    assert browser.get("/api/session").status_code == 401


def test_who_is_disabled_stays_out(browser: TestClient, provider: OidcProvider, bare: Book) -> None:
    """The provider's word does not let in whom an administrator shut out."""
    sign_in(browser)
    bare.rows("UPDATE people SET disabled_at = now() WHERE login = %s", [ANNA["email"]])
    assert browser.get("/api/session").status_code == 401
    assert sign_in(browser).status_code == 403
    bare.rows("UPDATE people SET disabled_at = NULL WHERE login = %s", [ANNA["email"]])


def test_nobody_takes_another_persons_login(browser: TestClient, provider: OidcProvider, bare: Book) -> None:
    """A login that somebody has here is not had by calling oneself so at the provider."""
    bare.rows("INSERT INTO people (login, name, roles, password_hash) VALUES ('first', 'First', '{admin}', 'x')")
    provider.person |= {"sub": "thief", "preferred_username": "first"}
    came = sign_in(browser)
    assert (came.status_code, "another person" in came.text) == (403, True)
    assert bare.rows("SELECT issuer, roles FROM people WHERE login = 'first'") == [{"issuer": None, "roles": ["admin"]}]


def changed(**others: object) -> Callable[[OidcProvider], Callable[[Claims], str]]:
    """Sign claims of which some are others; None for one that is left out."""

    def of(provider: OidcProvider) -> Callable[[Claims], str]:
        return lambda claims: provider.signed({k: v for k, v in (claims | others).items() if v is not None})

    return of


def by_public_key(provider: OidcProvider) -> Callable[[Claims], str]:
    """Sign with what is published, as if it were a secret."""
    secret = provider.key.as_pem(private=False)
    return lambda claims: provider.unsigned(
        claims, lambda text: hmac.digest(secret, text, "sha256"), alg="HS256", kid="1", typ="JWT"
    )


OTHER = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})
UNKNOWN = RSAKey.generate_key(2048, {"kid": "9", "use": "sig"})
REFUSED: dict[str, Callable[[OidcProvider], Callable[[Claims], str]]] = {
    "another's signature": lambda provider: lambda claims: provider.signed(claims, OTHER),
    "a signature cut off": lambda provider: lambda claims: provider.signed(claims).rpartition(".")[0] + ".",
    "a claim changed afterwards": lambda provider: (
        lambda claims: ".".join(
            [provider.signed(claims).split(".")[0], provider.signed(claims | {"sub": "1"}).split(".")[1], "AAAA"]
        )
    ),
    "an unknown key": lambda provider: lambda claims: provider.signed(claims, UNKNOWN),
    "a key in the token": lambda provider: (
        lambda claims: provider.signed(claims, UNKNOWN, jwk=UNKNOWN.as_dict(private=False))
    ),  # type: ignore[arg-type]
    "alg none": lambda provider: lambda claims: provider.unsigned(claims, alg="none", typ="JWT"),
    "alg None": lambda provider: lambda claims: provider.unsigned(claims, alg="None", kid="1"),
    "HS256 by the public key": by_public_key,
    "HS256 by a published secret": lambda provider: (
        lambda claims: provider.unsigned(
            claims, lambda text: hmac.digest(b"secret", text, "sha256"), alg="HS256", kid="2"
        )
    ),
    "RS512, which nobody asked for": lambda provider: lambda claims: provider.signed(claims, alg="RS512"),
    "another issuer": changed(iss="https://elsewhere.example"),
    "another audience": changed(aud="another client"),
    "several audiences, for none of them": changed(aud=[CLIENT_ID, "another client"]),
    "another client's": changed(azp="another client"),
    "another nonce": changed(nonce="another"),
    "no nonce": changed(nonce=None),
    "no subject": changed(sub=None),
    "a number as subject": changed(sub=7),
    "no audience": changed(aud=None),
    "over": changed(exp=int(time.time()) - 120),
    "never over": changed(exp=None),
    "over when it likes": changed(exp="later"),
    "of tomorrow": changed(iat=int(time.time()) + 86_400),
    "not valid yet": changed(nbf=int(time.time()) + 86_400),
    "no token": lambda _: lambda _: "x",
    "no claims": lambda provider: lambda _: provider.unsigned([], alg="RS256", kid="1"),  # type: ignore[arg-type]
    "nobody's name": changed(sub="a b", email=None, preferred_username="\n"),
}


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
def test_tokens_that_do_not_hold(
    browser: TestClient, provider: OidcProvider, token: Callable[[OidcProvider], Callable[[Claims], str]]
) -> None:
    """An ID token that is not the provider's, for this console, this sign-in and this moment opens no session."""
    provider.mint = token(provider)
    came = sign_in(browser)
    assert (came.status_code, "does not hold" in came.text) == (403, True)
    assert "claimsight" not in browser.cookies
    assert browser.get("/api/session").status_code == 401


def test_a_state_is_good_once(browser: TestClient, provider: OidcProvider) -> None:
    """Who plays a return again is refused, in the same browser and with its cookie."""
    address = sent_to(browser)
    cookies = dict(browser.cookies)
    back = sent_back(address)
    assert browser.get(back).status_code == 303
    browser.cookies.clear()
    again = browser.get(back, cookies=cookies)
    assert (again.status_code, "is over" in again.text) == (403, True)


def test_a_return_in_another_browser(browser: TestClient, provider: OidcProvider, first: TestClient) -> None:
    """Nobody is signed in as another by being sent a link: a return counts where the sign-in was begun."""
    back = sent_back(sent_to(browser))
    victim = another(first)
    sent_to(victim)
    assert victim.get(back).status_code == 403
    assert victim.get("/api/session").status_code == 401


def test_a_code_of_another_sign_in(browser: TestClient, provider: OidcProvider, first: TestClient) -> None:
    """A code that was got for another sign-in is of no use: the provider holds it to its challenge."""
    stolen = parse_qs(urlsplit(sent_back(sent_to(another(first)))).query)["code"][0]
    state = parse_qs(urlsplit(sent_to(browser)).query)["state"][0]
    came = browser.get("/api/session/oidc/callback", params={"state": state, "code": stolen})
    assert (came.status_code, "does not take the code" in came.text) == (403, True)


@pytest.mark.parametrize("query", ["", "?state=x&code=y", "?error=access_denied", "?state=&code="])
def test_a_return_that_nobody_began(browser: TestClient, provider: OidcProvider, query: str) -> None:
    """A return by itself is refused with a sentence on a page."""
    came = browser.get(f"/api/session/oidc/callback{query}")
    assert (came.status_code, "sign in again" in came.text) == (403, True)


def test_a_sign_in_that_the_provider_refuses(browser: TestClient, provider: OidcProvider) -> None:
    """What the provider answers in place of a code is not shown, only that it did."""
    state = parse_qs(urlsplit(sent_to(browser)).query)["state"][0]
    came = browser.get("/api/session/oidc/callback", params={"state": state, "error": "<b>denied</b>"})
    assert came.status_code == 403
    assert "denied" not in came.text


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/a\r\nX: y"]
)
def test_where_one_goes_afterwards_is_here(browser: TestClient, provider: OidcProvider, to: str) -> None:
    """Nobody is led to another site by way of the sign-in."""
    assert browser.get("/api/session/oidc", params={"to": to}).status_code == 422


def test_a_new_key_is_found(
    browser: TestClient, provider: OidcProvider, first: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the provider begins to sign with another key it is read, and read no more often than once a minute."""
    sign_in(browser)
    before = provider.key
    provider.key = RSAKey.generate_key(2048, {"kid": "3", "use": "sig"})
    try:
        asked = provider.asked.count("/keys")
        assert sign_in(browser).status_code == 403
        assert provider.asked.count("/keys") == asked
        known: Provider = first.app.state.provider  # type: ignore[attr-defined]
        monkeypatch.setattr(known, "_read_at", time.monotonic() - 61)
        assert sign_in(browser).status_code == 303
        assert provider.asked.count("/keys") == asked + 1
    finally:
        provider.key = before
        first.app.state.provider._read_at = -3600.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "described",
    [{"issuer": "https://evil.example"}, {"token_endpoint": None}, {"jwks_uri": "file:///etc/passwd"}],
    ids=["another issuer's", "without an end", "of another kind"],
)
def test_a_description_that_does_not_hold(
    browser: TestClient, provider: OidcProvider, first: TestClient, described: Claims
) -> None:
    """A provider that describes itself as another is not asked who somebody is."""
    provider.described = described
    first.app.state.provider._read_at = -3600.0  # type: ignore[attr-defined]
    assert browser.get("/api/session/oidc").status_code == 503
    provider.described = {}


def test_passwords_are_off_beside_a_provider(browser: TestClient, provider: OidcProvider, bare: Book) -> None:
    """Where a provider is set, nobody signs in by a password or stays signed in by one, unless the settings say so."""
    assert browser.get("/api/session/ways").json() == {"password": False, "provider": True}
    refused = browser.post("/api/session", json={"login": "first", "password": PASSWORD})
    assert (refused.status_code, "sign-in provider" in refused.text) == (403, True)
    settings = bare.settings(
        CLAIMSIGHT_OIDC_ISSUER=provider.issuer, CLAIMSIGHT_OIDC_CLIENT_ID="x", CLAIMSIGHT_LOCAL_USERS="on"
    )
    assert settings.has_local_users


def test_a_provider_that_is_silent(bare: Book) -> None:
    """Where the provider does not answer, the page says so and to try again."""
    settings = bare.settings(CLAIMSIGHT_OIDC_ISSUER="http://127.0.0.1:9", CLAIMSIGHT_OIDC_CLIENT_ID="x")
    with TestClient(create_app(settings), base_url=HOME) as client:
        came = client.get("/api/session/oidc")
    assert (came.status_code, came.headers["Retry-After"]) == (503, "5")
