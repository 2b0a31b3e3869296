"""Addresses of BuildKits as people write them."""

from __future__ import annotations

import pytest

from img.errors import UsageError
from img_plugins.backends.buildkit import dial
from img_plugins.backends.buildkit.address import Address, address_of, parse


@pytest.mark.parametrize(
    ("text", "kind", "target", "docker"),
    [
        ("unix:///run/buildkit/buildkitd.sock", "unix", "/run/buildkit/buildkitd.sock", False),
        ("tcp://10.0.0.1:1234", "tcp", "10.0.0.1:1234", False),
        ("tcp://[::1]:1234", "tcp", "[::1]:1234", False),
        ("docker://", "unix", "/var/run/docker.sock", True),
        ("docker:///my%20own/docker.sock", "unix", "/my own/docker.sock", True),
        ("docker-container://builder0", "docker-container", "builder0", False),
        ("kube-pod://pod0?namespace=ci", "kube-pod", "pod0", False),
    ],
)
def test_addresses(text: str, kind: str, target: str, docker: bool) -> None:
    found = parse(text)
    assert (found.kind, found.target, found.docker) == (kind, target, docker)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not the address"),
        ("/run/buildkitd.sock", "not the address"),
        ("ssh://host", "not the address"),
        ("unix://run/buildkitd.sock", "three slashes"),
        ("unix://", "three slashes"),
        ("tcp://host", "tcp://HOST:PORT"),
        ("tcp://host:1234/path", "tcp://HOST:PORT"),
        ("tcp://host:port", "not an address"),
        ("tcp://[::1", "not an address"),
        ("docker://host", "docker:///path"),
        ("docker-container://", "e.g."),
        ("docker-container://--privileged", "e.g."),
        ("docker-container://a?user=root", "known: context"),
        ("kube-pod://pod?namespace=--as", "known: context, namespace, container"),
    ],
)
def test_what_is_none_has_a_sentence(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_docker_is_where_docker_host_says() -> None:
    assert parse("docker://", "unix:///a.sock").target == "/a.sock"
    assert parse("docker://", "tcp://host:2375")[1:4] == ("tcp", "host:2375", True)
    with pytest.raises(UsageError, match="DOCKER_HOST=ssh://host"):
        parse("docker://", "ssh://host")


def test_the_setting_comes_before_the_variable_of_others() -> None:
    assert address_of({}) is None
    both = {"buildkit_address": "docker://", "buildkit_host": "tcp://a:1"}
    found = address_of(both)
    assert found is not None and found.docker
    found = address_of({"buildkit_host": "tcp://a:1", "buildkit_tls_ca": "/ca"})
    assert found is not None and found.tls.authority == "/ca"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"buildkit_address": "unix:///a", "buildkit_tls_ca": "/ca"}, "takes no certificates"),
        ({"buildkit_address": "tcp://a:1", "buildkit_tls_cert": "/cert"}, "needs its key"),
        ({"buildkit_address": "tcp://a:1", "buildkit_tls_name": "b"}, "has no effect"),
    ],
)
def test_certificates_that_have_no_effect_are_errors(settings: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        address_of(settings)


def test_programs_get_what_the_address_says() -> None:
    assert dial.command(parse("docker-container://b?context=far")) == (
        ["docker", "--context", "far", "exec", "-i", "b", "buildctl", "dial-stdio"]
    )
    found = dial.command(parse("kube-pod://p?namespace=n&container=c&context=x"))
    options = ["--context=x", "--namespace=n", "exec", "-i", "--container=c"]
    assert found == ["kubectl", *options, "p", "--", "buildctl", "dial-stdio"]


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert dial.program(Address("", "kube-pod", "p")) == "kubectl"
    assert dial.program(Address("", "unix", "/a")) == ""
