"""Challenges, tokens, and what becomes of them."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from img.errors import RegistryError, Unauthorized
from img_plugins.registry import auth
from img_plugins.registry.auth import IDENTITY, Challenge, Scope, Secret, TokenRequest
from img_plugins.registry.grants import Grants
from img_plugins.registry.hosts.model import Endpoint, Trust

CHALLENGES = [
    ('Basic realm="x"', [("basic", {"realm": "x"})]),
    ('Bearer realm="https://a/t",service="s"', [("bearer", {"realm": "https://a/t", "service": "s"})]),
    (
        'Basic realm="a, b", Bearer realm="https://a"',
        [("basic", {"realm": "a, b"}), ("bearer", {"realm": "https://a"})],
    ),
    ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
    (r'Bearer realm="a\"b", REALM="late"', [("bearer", {"realm": 'a"b'})]),
    ("", []),
    ('realm="lost"', []),
]


@pytest.mark.parametrize(("header", "expected"), CHALLENGES)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(c.scheme, c.parameters) for c in auth.parse(header)] == expected


def bearer(**more: str) -> Challenge:
    return Challenge("bearer", {"realm": "https://t.b/token", "service": "s", **more})


def test_a_get_asks_for_all_scopes() -> None:
    scopes = Scope("a/b", "pull,push", "c/d").texts
    made = auth.token_request(bearer(scope="repository:a/b:pull repository:x:pull"), scopes, Secret("u", "p"), "h")
    assert (made.method, made.body, made.headers) == ("GET", None, {"Authorization": auth.basic(Secret("u", "p"))})
    assert parse_qs(urlsplit(made.url).query) == {
        "service": ["s"],
        "scope": [
            "repository:a/b:pull,push",
            "repository:c/d:pull",
            "repository:a/b:pull",
            "repository:x:pull",
        ],
    }


def test_an_identity_token_is_posted() -> None:
    made = auth.token_request(bearer(), Scope("a").texts, Secret(IDENTITY, "refresh"), "h")
    assert (made.method, made.url) == ("POST", "https://t.b/token")
    assert parse_qs((made.body or b"").decode()) == {
        "service": ["s"],
        "client_id": ["img"],
        "scope": ["repository:a:pull"],
        "grant_type": ["refresh_token"],
        "refresh_token": ["refresh"],
    }


ANSWERS = [
    (401, b"", True, Unauthorized, "refused the credentials"),
    (401, b"", False, Unauthorized, "gives nothing to strangers"),
    (500, b"", True, RegistryError, "gave no token"),
    (200, b"[", True, RegistryError, "gave no token"),
    (200, b"[]", True, RegistryError, "gave no token"),
    (200, b'{"token": 1}', True, RegistryError, "gave no token"),
    (200, b'{"token": "a\\r\\nX: y"}', True, RegistryError, "gave no token"),
]


@pytest.mark.parametrize(("status", "data", "known", "kind", "message"), ANSWERS)
def test_bad_token_answers(status: int, data: bytes, known: bool, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        auth.read_token(status, data, "h", known)


def test_tokens() -> None:
    assert auth.read_token(200, b'{"access_token": "t", "expires_in": 5}', "h") == ("t", 5)
    assert auth.read_token(200, b'{"token": "t", "expires_in": -1}', "h") == ("t", auth.SHORTEST)
    assert auth.insufficient('Bearer realm="x",error="insufficient_scope"')
    assert not auth.insufficient('Bearer realm="x",error="invalid_token"')


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(Secret("user", "hush"))
    assert "hush" not in str((Secret("user", "hush"),))


class Tokens:
    """A token server that counts."""

    def __init__(self, lasts: float = 300, status: int = 200) -> None:
        self.asked: list[TokenRequest] = []
        self.lasts = lasts
        self.status = status

    def __call__(self, request: TokenRequest) -> tuple[int, bytes]:
        self.asked.append(request)
        if request.method == "GET" and self.status != 200:
            return self.status, b""
        return 200, b'{"token": "t%d", "expires_in": %f}' % (len(self.asked), self.lasts)


BEARER = 'Bearer realm="https://t.b/token"'


def test_a_token_that_ran_out_is_not_sent() -> None:
    tokens = Tokens(lasts=0.05)
    grants = Grants(Endpoint("h", "a"), lambda host, repository: None, tokens)
    scope = Scope("a")
    assert grants.header(scope) == ""
    assert grants.answer(BEARER, scope, "")
    assert grants.header(scope) == "Bearer t1"
    time.sleep(0.06)
    assert grants.header(scope) == "Bearer t2"


def test_threads_share_a_new_token() -> None:
    tokens = Tokens()
    grants = Grants(Endpoint("h", "a"), lambda host, repository: None, tokens)
    assert grants.answer(BEARER, Scope("a"), "")
    assert grants.answer(BEARER, Scope("a"), "Bearer old")
    assert len(tokens.asked) == 1
    assert grants.answer(BEARER, Scope("a"), "Bearer t1")
    assert len(tokens.asked) == 2


def test_a_password_is_posted_to_servers_that_know_no_get() -> None:
    tokens = Tokens(status=405)
    grants = Grants(Endpoint("h", "a"), lambda host, repository: Secret("u", "p"), tokens)
    assert grants.answer(BEARER, Scope("a"), "")
    assert [request.method for request in tokens.asked] == ["GET", "POST"]
    assert b"grant_type=password" in (tokens.asked[1].body or b"")


def test_a_password_does_not_go_to_a_token_server_in_plain_http() -> None:
    plain = 'Bearer realm="http://t.b/token"'
    grants = Grants(Endpoint("h", "a"), lambda host, repository: Secret("u", "p"), Tokens())
    with pytest.raises(RegistryError, match="in plain HTTP, which is refused") as caught:
        grants.answer(plain, Scope("a"), "")
    assert "h wants" in caught.value.message
    insecure = Endpoint("h", "a", ("https", "http"), Trust(verify=False))
    assert Grants(insecure, lambda host, repository: Secret("u", "p"), Tokens()).answer(plain, Scope("a"), "")
    assert Grants(Endpoint("h", "a"), lambda host, repository: None, Tokens()).answer(plain, Scope("a"), "")


def test_nothing_to_answer_with() -> None:
    grants = Grants(Endpoint("h", "a"), lambda host, repository: None, Tokens())
    assert not grants.answer('Basic realm="x"', Scope("a"), "")
    assert not grants.answer("Negotiate", Scope("a"), "")
