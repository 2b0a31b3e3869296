"""Proxies as the environment names them."""

from __future__ import annotations

import pytest

from img_plugins.registry.proxies import proxy_for, shown

SETTINGS = {"https_proxy": "http://user:hush@p:8080", "http_proxy": "plain:3128"}

CASES = [
    ("", "https://a.b/v2/", "http://user:hush@p:8080"),
    ("", "http://a.b/", "http://plain:3128"),
    ("", "https://localhost:5000/", ""),
    ("", "https://127.0.0.1:5000/", ""),
    ("a.b", "https://a.b/", ""),
    ("a.b", "https://x.a.b/", ""),
    ("a.b", "https://xa.b/", "http://user:hush@p:8080"),
    (".a.b", "https://a.b/", "http://user:hush@p:8080"),
    (".a.b", "https://x.a.b/", ""),
    ("*.a.b", "https://x.a.b/", ""),
    ("*", "https://a.b/", ""),
    ("z, a.b:5000", "https://a.b:5000/", ""),
    ("a.b:5000", "https://a.b/", "http://user:hush@p:8080"),
    ("10.0.0.0/8", "https://10.1.2.3/", ""),
    ("10.0.0.0/8", "https://11.1.2.3/", "http://user:hush@p:8080"),
    ("10.1.2.3", "https://10.1.2.3/", ""),
]


@pytest.mark.parametrize(("excepted", "url", "expected"), CASES)
def test_proxies(excepted: str, url: str, expected: str) -> None:
    assert proxy_for(url, {**SETTINGS, "no_proxy": excepted}) == expected


def test_what_is_said_of_a_host_goes_first() -> None:
    assert proxy_for("https://a.b/", SETTINGS, "") == ""
    assert proxy_for("https://a.b/", {}, "p:1") == "http://p:1"
    assert proxy_for("https://a.b/", {}) == ""


def test_a_proxys_password_is_not_shown() -> None:
    assert shown("http://user:hush@p:8080") == "http://p:8080"
    assert shown("") == ""
