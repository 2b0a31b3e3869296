"""Addresses, keys and what mmdebstrap is told; a real build is in tests/real/test_contrib.py of img."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from img.digest import sha256
from img.errors import SourceError, UsageError
from img.ir.nodes import Source
from img.ports import Folder
from img_debian import address, make
from img_debian.source import DebianSource, architecture_of

RELEASE = (
    b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: %s\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\n-----\n"
)


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("bookworm", "bookworm"),
        ("bookworm?include=bb,aa,bb", "bookworm?include=aa,bb"),
        ("bookworm?include=aa&variant=minbase&components=main", "bookworm?include=aa"),
        ("bookworm?pockets=security,updates", "bookworm"),
        ("bookworm?pockets=none", "bookworm?pockets=none"),
        ("sid?pockets=none", "sid"),
        ("trixie?variant=apt&include=g++", "trixie?include=g++&variant=apt"),
        ("bookworm?include=python3=3.11.2-1%2Bb1", "bookworm?include=python3=3.11.2-1+b1"),
        ("bookworm?mirror=http://here/debian/", "bookworm?mirror=http://here/debian"),
    ],
)
def test_one_meaning_is_one_address(text: str, canonical: str) -> None:
    found = address.parse(text)
    assert found.canonical == canonical
    assert address.parse(found.canonical) == found


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "names no suite"),
        ("Bookworm", "names no suite"),
        ("bookworm?includes=a", "there is no option 'includes'"),
        ("bookworm?include=a&include=b", "include is given twice"),
        ("bookworm?include", "options are written name=value"),
        ("bookworm?include=a;rm", "'a;rm' is not the name of a package"),
        ("bookworm?include=--mode", "'--mode' is not the name of a package"),
        ("bookworm?variant=custom", "variant can't be 'custom'"),
        ("bookworm?components=universe", "components can't be 'universe'"),
        ("bookworm?pockets=backports", "pockets can't be 'backports'"),
        ("bookworm?date=2024-01-01", "is no time of the snapshot archive"),
        ("bookworm?date=20240101T000000Z&mirror=http://x/y", "exclude each other"),
        ("bookworm?mirror=ftp://x/y", "is not the URL of a mirror"),
        ("bookworm?mirror=http://x/y%20[trusted=yes]", "is not the URL of a mirror"),
        ("bookworm?mirror=http://me:secret@x/y", "a mirror with a user or a password in it can't be used"),
    ],
)
def test_wrong_addresses(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        address.parse(text)
    assert message in caught.value.message
    assert "secret" not in caught.value.message + caught.value.hint


def test_parts_of_the_archive() -> None:
    found = address.parse("bookworm").archives("http://m/debian", "http://s/security")
    assert found == [
        ("http://m/debian", "bookworm"),
        ("http://m/debian", "bookworm-updates"),
        ("http://s/security", "bookworm-security"),
    ]
    old = address.parse("bookworm?date=20240101T000000Z").archives("http://m/debian", "http://s/security")
    assert old[0] == ("http://snapshot.debian.org/archive/debian/20240101T000000Z", "bookworm")
    assert old[2] == ("http://snapshot.debian.org/archive/debian-security/20240101T000000Z", "bookworm-security")


@pytest.mark.parametrize("platform, name", [("linux/amd64", "amd64"), ("linux/arm/v7", "armhf"), ("linux/386", "i386")])
def test_architectures(platform: str, name: str) -> None:
    assert architecture_of(platform) == name


def test_a_platform_that_debian_does_not_have() -> None:
    with pytest.raises(UsageError, match="Debian has no linux/loong64"):
        architecture_of("linux/loong64")


# --- pins -----------------------------------------------------------------------------------------------------------


class World:
    """A host whose archive is a dict of bytes by URL, and whose store remembers."""

    def __init__(self, tmp_path: Path, **settings: str) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.settings = {"path": os.environ["PATH"], **settings}
        self.layers: set[str] = set()
        self._folder = tmp_path
        pins: Any = type("Drawer", (dict,), {"set": dict.__setitem__})()
        self.store = SimpleNamespace(pins=pins, layers=SimpleNamespace(available=self.layers.__contains__))
        for suite in ("bookworm", "bookworm-updates", "bookworm-security"):
            self.publish(suite, b"1")

    def publish(self, suite: str, text: bytes) -> None:
        mirror = "debian-security" if suite.endswith("security") else "debian"
        self.files[f"http://deb.debian.org/{mirror}/dists/{suite}/InRelease"] = RELEASE % text

    def load(self, kind: str, name: str) -> World:
        assert (kind, name) == ("source", "http")
        return self

    def fetch(self, source: Source) -> Folder:
        self.asked.append(source.ref)
        if source.ref not in self.files:
            raise SourceError("404")
        folder = self._folder / str(len(self.asked))
        folder.mkdir()
        (folder / "InRelease").write_bytes(self.files[source.ref])
        return Folder(str(folder))


def source_of(world: World) -> DebianSource:
    host: Any = world
    return DebianSource(host)


def test_the_key_is_what_the_archive_signed(tmp_path: Path) -> None:
    world = World(tmp_path)
    source = source_of(world)
    image = source.resolve("bookworm?include=bb,aa", "linux/amd64")
    assert dict(image.source.attrs)["release"].split(",")[0] == sha256(RELEASE % b"1")
    assert dict(image.source.attrs)["date"] == "1783764997"
    assert image.source.is_image and image.layers == 1
    assert image.config["history"][0]["created"] == "2026-07-11T10:16:37Z"
    assert source.resolve("bookworm?include=aa,bb", "linux/amd64").source == image.source
    keys = {source.pin(source.resolve(text, "linux/amd64").source).key for text in ("bookworm", "bookworm?variant=apt")}
    world.publish("bookworm-security", b"2")
    keys.add(source_of(world).pin(source_of(world).resolve("bookworm", "linux/amd64").source).key)
    keys.add(source.pin(source.resolve("bookworm", "linux/arm64").source).key)
    assert len(keys) == 4


def test_what_the_store_has_is_used_until_it_is_told_to_pull(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = source_of(world).resolve("bookworm", "linux/amd64").source
    world.store.pins[f"deb layer {source_of(world).pin(first).key}"] = "sha256:x"
    world.publish("bookworm", b"2")
    assert source_of(world).resolve("bookworm", "linux/amd64").source != first, "the layer is gone"
    world.publish("bookworm", b"1")
    world.layers.add("sha256:x")
    assert source_of(world).resolve("bookworm", "linux/amd64").source == first
    asked = len(world.asked)
    world.publish("bookworm", b"2")
    assert source_of(world).resolve("bookworm", "linux/amd64").source == first
    assert len(world.asked) == asked
    world.settings["pull"] = "always"
    assert source_of(world).resolve("bookworm", "linux/amd64").source != first


@pytest.mark.parametrize("settings", [{"offline": "true"}, {"pull": "never"}])
def test_nobody_is_asked_when_nobody_may_be(tmp_path: Path, settings: dict[str, str]) -> None:
    world = World(tmp_path, **settings)
    with pytest.raises(SourceError, match="the store has no deb://bookworm for linux/amd64"):
        source_of(world).resolve("bookworm", "linux/amd64")
    assert world.asked == []


def test_a_mirror_that_is_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.files.clear()
    with pytest.raises(SourceError) as caught:
        source_of(world).resolve("bookworm", "linux/amd64")
    assert caught.value.message == "the archive's bookworm can't be had: 404"
    assert "IMG_DEBIAN_MIRROR" in caught.value.hint
    world = World(tmp_path / "other", debian_mirror="http://me:secret@host/debian")
    with pytest.raises(UsageError) as refused:
        source_of(world).resolve("bookworm", "linux/amd64")
    assert "secret" not in refused.value.message


# --- mmdebstrap -----------------------------------------------------------------------------------------------------


def order(text: str) -> make.Order:
    wanted = address.parse(text)
    return make.Order(
        wanted, "amd64", tuple(wanted.archives("http://local/debian", "http://local/sec")), frozenset(), 0
    )


def test_a_mirror_of_the_settings_is_not_in_the_image() -> None:
    assert "local" not in make.sources(order("bookworm"))
    assert "URIs: http://deb.debian.org/debian\nSuites: bookworm\n" in make.sources(order("bookworm"))
    assert "URIs: http://own/debian\n" in make.sources(order("bookworm?mirror=http://own/debian"))
    assert "Check-Valid-Until: no" in make.sources(order("bookworm?date=20240101T000000Z"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    host: Any = SimpleNamespace(settings={"path": str(tmp_path)}, sandbox=SimpleNamespace(rung="none"))
    with pytest.raises(SourceError, match="needs the program mmdebstrap") as caught:
        make.command(host, order("bookworm"))
    assert "apt-get install mmdebstrap" in caught.value.hint
    program = tmp_path / "mmdebstrap"
    program.write_text("")
    program.chmod(0o755)
    host.settings["debian_keyring"] = str(tmp_path / "none.gpg")
    with pytest.raises(SourceError, match=r"there is no keyring .*none\.gpg"):
        make.command(host, order("bookworm"))


def test_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host: Any = SimpleNamespace(settings={"path": str(tmp_path)}, sandbox=SimpleNamespace(rung="userns"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert make.mode(host) == "root"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert make.mode(host) == "unshare"
    host.sandbox.rung = "none"
    with pytest.raises(SourceError, match="packages can't be installed here") as caught:
        make.mode(host)
    assert "fakechroot" in caught.value.hint
    for name in ("fakechroot", "fakeroot"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    assert make.mode(host) == "fakechroot"


@pytest.mark.parametrize(
    "line, message",
    [
        ("E: Unable to locate package pyhton3", "bookworm has no package pyhton3"),
        ("E: Version '9' for 'bash' was not found", "bookworm has no version 9 of bash"),
        (
            "W: GPG error: … NO_PUBKEY 648ACFD622F3D138",
            "the archive's signature does not hold: NO_PUBKEY 648ACFD622F3D138",
        ),
        ("E: something else", "mmdebstrap failed: E: something else"),
    ],
)
def test_failures_in_words(line: str, message: str) -> None:
    error = make.failed(order("bookworm"), ["I: automatically chosen mode: root", line, "E: apt-get failed"])
    assert message in error.message
