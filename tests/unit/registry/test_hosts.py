"""Which servers stand behind a name: registries.toml, registries.conf, certs.d."""

from __future__ import annotations

from pathlib import Path

import pytest

from img.errors import UsageError
from img.oci.reference import Reference
from img_plugins.registry.hosts.choose import Hosts, is_loopback, matched
from img_plugins.registry.hosts.model import Endpoint, Fallback

D = "sha256:" + "0" * 64


class Machine:
    """A machine's configuration folders."""

    def __init__(self, root: Path) -> None:
        self.etc, self.home, self.root = root / "etc", root / "home/.config", root
        self.settings = {"etc": str(self.etc), "config_home": str(self.home)}

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def conf(self, text: str) -> None:
        self.write(self.etc / "containers/registries.conf", text)

    def own(self, text: str) -> None:
        self.write(self.home / "img/registries.toml", text)

    def hosts(self, **more: str) -> Hosts:
        return Hosts.of({**self.settings, **more})

    def places(self, name: str, **more: str) -> list[str]:
        return [f"{e.host}/{e.repository}" for e in self.endpoints(name, **more)]

    def endpoints(self, name: str, **more: str) -> tuple[Endpoint, ...]:
        return self.hosts(**more).endpoints(Reference.parse(name))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_any_file_a_name_is_asked_where_it_says(machine: Machine) -> None:
    (only,) = machine.endpoints("alpine")
    assert (only.host, only.address, only.repository) == ("docker.io", "registry-1.docker.io", "library/alpine")
    assert only.schemes == ("https",)
    assert only.trust.verify
    assert not only.mirror


def test_loopback_speaks_http_and_is_not_verified_unless_an_authority_is_given(machine: Machine) -> None:
    (only,) = machine.endpoints("localhost:5000/x")
    assert (only.schemes, only.trust.verify) == (("http", "https"), False)
    machine.write(machine.etc / "docker/certs.d/localhost:5000/ca.crt", "x")
    (only,) = machine.endpoints("localhost:5000/x")
    assert (only.schemes, only.trust.verify) == (("https",), True)


MIRRORS = """
unqualified-search-registries = ["docker.io", "quay.io"]
[[registry]]
prefix = "docker.io"
location = "hub.corp:5000/proxied"
insecure = true
[[registry.mirror]]
location = "m1.corp/hub"
[[registry.mirror]]
location = "m2.corp"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "m3.corp"
pull-from-mirror = "tag-only"
"""


def test_mirrors_come_first_and_the_registry_last(machine: Machine) -> None:
    machine.conf(MIRRORS)
    by_tag = machine.endpoints("alpine")
    assert [(e.host, e.repository) for e in by_tag] == [
        ("m1.corp", "hub/library/alpine"),
        ("m3.corp", "library/alpine"),
        ("hub.corp:5000", "proxied/library/alpine"),
    ]
    assert [e.schemes for e in by_tag] == [("https",), ("https",), ("https", "http")]
    assert [e.fallback for e in by_tag] == [Fallback.ON_ERROR, Fallback.ON_ERROR, Fallback.NEVER]
    assert [e.mirror for e in by_tag] == [True, True, False]
    assert [e.host for e in machine.endpoints(f"alpine@{D}")] == ["m1.corp", "m2.corp", "hub.corp:5000"]
    blobs = machine.hosts().endpoints(Reference.parse("alpine"), "any")
    assert [e.host for e in blobs] == ["m1.corp", "m2.corp", "m3.corp", "hub.corp:5000"]


def test_a_push_goes_where_the_name_says(machine: Machine) -> None:
    machine.conf(MIRRORS)
    pushed = machine.hosts().endpoint(Reference.parse("alpine"))
    assert (pushed.host, pushed.schemes, pushed.mirror) == ("docker.io", ("https",), False)


def test_mirrors_by_digest_only(machine: Machine) -> None:
    machine.conf(
        '[[registry]]\nlocation = "a.b"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.b"\n'
    )
    assert machine.places("a.b/x") == ["a.b/x"]
    assert machine.places(f"a.b/x@{D}") == ["m.b/x", "a.b/x"]


PREFIXES = [
    ("docker.io", "docker.io/library/x", 9),
    ("docker.io/library", "docker.io/library/x", 17),
    ("docker.io/lib", "docker.io/library/x", None),
    ("docker.i", "docker.io/library/x", None),
    ("a.b/x", "a.b/x", 5),
    ("*.example.com", "sub.example.com/x", 15),
    ("*.example.com", "a.sub.example.com/x", 17),
    ("*.example.com", "example.com/x", None),
    ("*.example.com", "badexample.com/x", None),
    ("*.example.com", "sub.example.com:5000/x", 15),
    ("*.example.com", "other.net/sub.example.com", None),
    ("*.example.com/team", "sub.example.com/team/x", 20),
    ("*.example.com/team", "sub.example.com/teams/x", None),
]


@pytest.mark.parametrize(("prefix", "name", "expected"), PREFIXES)
def test_prefixes(prefix: str, name: str, expected: int | None) -> None:
    assert matched(prefix, name) == expected


def test_the_longest_prefix_wins(machine: Machine) -> None:
    machine.conf(
        '[[registry]]\nprefix = "a.b"\nlocation = "one"\n[[registry]]\nprefix = "a.b/team"\nlocation = "two.c/t"\n'
        '[[registry]]\nprefix = "*.b"\nlocation = "three"\n'
    )
    assert machine.places("a.b/team/x") == ["two.c/t/x"]
    assert machine.places("a.b/teams/x") == ["one/teams/x"]
    assert machine.places("z.b/x") == ["three/x"]


def test_a_wildcard_without_location_keeps_the_name(machine: Machine) -> None:
    machine.conf('[[registry]]\nprefix = "*.corp"\ninsecure = true\n')
    (only,) = machine.endpoints("r.corp:5000/x")
    assert (only.host, only.schemes) == ("r.corp:5000", ("https", "http"))
    assert machine.hosts().endpoint(Reference.parse("r.corp:5000/x")).insecure


def test_blocked(machine: Machine) -> None:
    machine.conf('[[registry]]\nlocation = "a.b/bad"\nblocked = true\n')
    with pytest.raises(UsageError, match=r"the registry a\.b/bad is blocked by .*registries\.conf"):
        machine.endpoints("a.b/bad/x")
    with pytest.raises(UsageError, match="is blocked"):
        machine.hosts().endpoint(Reference.parse("a.b/bad/x"))
    assert machine.places("a.b/good") == ["a.b/good"]


def rule(location: str) -> str:
    return f'[[registry]]\nprefix = "a.b"\nlocation = "{location}"\n'


def test_which_files_count(machine: Machine) -> None:
    """As podman opens them: the named file or the user's or the system's, then the drop-ins."""
    machine.conf(rule("system"))
    assert machine.places("a.b/x") == ["system/x"]
    machine.write(machine.etc / "containers/registries.conf.d/10.conf", rule("system-d10"))
    machine.write(machine.etc / "containers/registries.conf.d/20.conf", rule("system-d20"))
    machine.write(machine.etc / "containers/registries.conf.d/30.other", rule("ignored"))
    assert machine.places("a.b/x") == ["system-d20/x"]
    named = machine.write(machine.root / "named.conf", rule("named") + rule("z").replace("a.b", "z.b"))
    assert machine.places("z.b/x", registries_conf=str(named)) == ["z/x"]
    assert machine.places("a.b/x", registries_conf=str(named)) == ["system-d20/x"]
    machine.write(machine.home / "containers/registries.conf", rule("user"))
    assert machine.places("a.b/x") == ["user/x"]
    assert machine.places("a.b/x", registries_conf=str(named)) == ["system-d20/x"]
    machine.write(machine.home / "containers/registries.conf.d/1.conf", rule("user-d"))
    assert machine.places("a.b/x") == ["user-d/x"]
    assert machine.places("a.b/x", registries_conf=str(named)) == ["user-d/x"]
    assert [Path(file).name for file in machine.hosts().files] == ["registries.conf", "1.conf"]


def test_our_own_file_goes_before_containers(machine: Machine) -> None:
    machine.conf(rule("theirs"))
    machine.own('[registry."a.b"]\nlocation = "ours/sub"\nfallback = "never"\nmirrors = ["m.b"]\n')
    first, last = machine.endpoints("a.b/x")
    assert (first.host, first.fallback) == ("m.b", Fallback.NEVER)
    assert f"{last.host}/{last.repository}" == "ours/sub/x"


def test_settings_of_a_host(machine: Machine) -> None:
    machine.write(machine.home / "img/corp.pem", "x")
    machine.own(
        '[registry."docker.io"]\nmirrors = ["m.b:5000/hub", {location = "n.b", pull = "digest-only"}]\n'
        '[host."m.b:5000"]\nca = ["corp.pem"]\nproxy = "http://p:8080"\n'
        '[host."plain.b"]\nplain-http = true\n[host."bad.b"]\ninsecure = true\n'
        '[host."localhost:1"]\ninsecure = false\n'
    )
    first = machine.endpoints("alpine")[0]
    assert (first.host, first.repository, first.fallback) == ("m.b:5000", "hub/library/alpine", Fallback.ON_404)
    assert first.trust.ca == (str(machine.home / "img/corp.pem"),)
    assert first.proxy == "http://p:8080"
    assert machine.endpoints("plain.b/x")[0].schemes == ("http",)
    assert machine.endpoints("bad.b/x")[0].schemes == ("https", "http")
    assert machine.endpoints("localhost:1/x")[0].schemes == ("https",)
    assert machine.endpoints("c.d/x", insecure_registries="c.d")[0].insecure
    assert machine.endpoints("localhost:1/x", insecure_registries="localhost:1")[0].schemes == ("https", "http")


def test_certificates(machine: Machine) -> None:
    for name in ("ca.crt", "me.cert", "me.key", "notes.txt"):
        machine.write(machine.etc / f"docker/certs.d/a.b:5000/{name}", "x")
    trust = machine.endpoints("a.b:5000/x")[0].trust
    folder = machine.etc / "docker/certs.d/a.b:5000"
    assert trust.ca == (str(folder / "ca.crt"),)
    assert (trust.cert, trust.key) == (str(folder / "me.cert"), str(folder / "me.key"))
    machine.write(machine.home / "containers/certs.d/a.b:5000/mine.crt", "x")
    assert machine.endpoints("a.b:5000/x")[0].trust.ca == (str(machine.home / "containers/certs.d/a.b:5000/mine.crt"),)
    machine.write(machine.etc / "containers/certs.d/half.b/me.cert", "x")
    with pytest.raises(UsageError, match=r"me\.cert has no me\.key beside it"):
        machine.endpoints("half.b/x")


WRONG = [
    ("[registries.search]\nregistries = ['a']\n", "is in version 1 of its format"),
    ("[[registry]]\ninsecure = true\n", "has neither prefix nor location"),
    ("[[registry]]\nlocation = 'https://a.b'\n", "has a scheme"),
    ("[[registry]]\nlocation = 'a b'\n", "is not HOST"),
    ("[[registry]]\nlocation = 1\n", "is not text"),
    ("[[registry]]\nlocation = 'a'\ninsecure = 'yes'\n", "is neither true nor false"),
    ("[[registry]]\nlocation = 'a'\n[[registry.mirror]]\n", "is not HOST"),
    ("[[registry]]\nlocation = 'a'\n[[registry.mirror]]\nlocation='m'\npull-from-mirror='no'\n", "can't be 'no'"),
    (
        "[[registry]]\nlocation = 'a'\nmirror-by-digest-only = true\n"
        "[[registry.mirror]]\nlocation='m'\npull-from-mirror='all'\n",
        "exclude each other",
    ),
    ("registry = 1\n", "is not a list"),
    ("registry = [1]\n", "is not a table"),
    ("unqualified-search-registries = 1\n", "is not a list of texts"),
    ("= broken", "is not TOML"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_registries_conf(machine: Machine, text: str, message: str) -> None:
    machine.conf(text)
    with pytest.raises(UsageError, match=message) as caught:
        machine.hosts()
    assert str(machine.etc / "containers/registries.conf") in caught.value.message


OURS_WRONG = [
    ("[registries]\n", "has no key 'registries'"),
    ('[registry."a.b"]\nmirror = ["x"]\n', "has no key 'mirror'"),
    ('[registry."a.b"]\nfallback = "sometimes"\n', "can't be 'sometimes'"),
    ('[registry."a.b"]\nmirrors = [{}]\n', "is not HOST"),
    ('[host."a.b"]\nclient-cert = "x"\n', "belong together"),
    ('[host."a.b"]\nca = ["missing.pem"]\n', "names missing.pem, which is not a file"),
    ('[host."a.b"]\nproxy = "socks5://user:hush@p"\n', "is not an http:// or https:// URL"),
    ("host = 1\n", "is not a table of tables"),
]


@pytest.mark.parametrize(("text", "message"), OURS_WRONG)
def test_wrong_registries_toml(machine: Machine, text: str, message: str) -> None:
    machine.own(text)
    with pytest.raises(UsageError, match=message) as caught:
        machine.hosts()
    assert "hush" not in caught.value.message


def test_files_that_are_named_must_be_there(machine: Machine) -> None:
    with pytest.raises(UsageError, match="CONTAINERS_REGISTRIES_CONF names /nowhere"):
        machine.hosts(registries_conf="/nowhere")
    with pytest.raises(UsageError, match="IMG_REGISTRIES names /nowhere"):
        machine.hosts(registries="/nowhere")
    assert machine.hosts(registries_conf="/dev/null").rules == ()


def test_loopback() -> None:
    for host in ("localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"):
        assert is_loopback(host)
    for host in ("example.com", "10.0.0.1:5000", "localhost.example.com"):
        assert not is_loopback(host)
