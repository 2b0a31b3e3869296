"""Where credentials are found, kept and forgotten."""

from __future__ import annotations

import base64
import json
import os
import threading
from pathlib import Path

import pytest

from img.errors import RegistryError, UsageError
from img.events import Event, Warning
from img.session import Session
from img_plugins.registry import keep
from img_plugins.registry.auth import IDENTITY, Secret
from img_plugins.registry.credentials import Credentials, from_files

HELPER = """#!/bin/sh
# A credential helper that keeps one file per server. The secret arrives on standard input only.
cd {folder} || exit 9
read -r line
case $1 in
get) name=$(printf %s "$line" | tr /: __)
    [ -f "$name" ] || {{ echo "credentials not found in native keychain"; exit 1; }}
    cat "$name" ;;
store) server=$(printf %s "$line" | sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/')
    printf %s "$line" > "$(printf %s "$server" | tr /: __)" ;;
erase) name=$(printf %s "$line" | tr /: __); [ -f "$name" ] || {{ echo "not found"; exit 1; }}; rm "$name" ;;
esac
"""


def encoded(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, document: object) -> str:
    path.write_text(json.dumps(document))
    return str(path)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``docker-credential-box`` on the PATH; returns the folder it keeps things in."""
    folder = tmp_path / "box"
    folder.mkdir()
    program = tmp_path / "docker-credential-box"
    program.write_text(HELPER.format(folder=folder))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return folder


FILES = [
    ({"a.b": encoded("u", "p")}, "a.b", "x", Secret("u", "p")),
    ({"https://a.b": encoded("u", "p")}, "a.b", "x", Secret("u", "p")),
    ({"https://a.b/v1/": encoded("u", "p:q")}, "a.b", "", Secret("u", "p:q")),
    ({"https://index.docker.io/v1/": encoded("u", "p")}, "docker.io", "library/x", Secret("u", "p")),
    ({"a.b": {"identitytoken": "t", **encoded("u", "")}}, "a.b", "x", Secret(IDENTITY, "t")),
    ({"a.b": {"username": "u", "password": "p"}}, "a.b", "x", Secret("u", "p")),
    ({"a.b:5000": encoded("u", "p")}, "a.b", "x", None),
    ({"a.b": {}}, "a.b", "x", None),
    ({"a.b": {"auth": "%%%"}}, "a.b", "x", None),
    ({"a.b": 1}, "a.b", "x", None),
    ({"a.b": encoded("u", "host"), "a.b/team": encoded("u", "team")}, "a.b", "team/x", Secret("u", "team")),
    ({"a.b/team": encoded("u", "t"), "a.b/team/x": encoded("u", "x")}, "a.b", "team/x", Secret("u", "x")),
    ({"a.b/team": encoded("u", "t")}, "a.b", "teams/x", None),
    ({"docker.io/library": encoded("u", "t")}, "docker.io", "library/x", Secret("u", "t")),
]


@pytest.mark.parametrize(("auths", "host", "repository", "expected"), FILES)
def test_files(tmp_path: Path, auths: object, host: str, repository: str, expected: Secret | None) -> None:
    file = write(tmp_path / "config.json", {"auths": auths})
    assert from_files([file], host, repository)[0] == expected


def test_the_first_file_that_has_any_counts(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    one = write(tmp_path / "one.json", {"auths": {"z.b": encoded("u", "z")}})
    two = write(tmp_path / "two.json", {"auths": {"a.b": encoded("u", "two"), "z.b": encoded("u", "no")}})
    files = ["/nowhere", str(broken), one, two]
    assert from_files(files, "a.b")[0] == Secret("u", "two")
    secret, words, _ = from_files(files, "z.b")
    assert secret == Secret("u", "z")
    assert words == f"{one}, under z.b"


def test_helpers(tmp_path: Path, helper: Path) -> None:
    (helper / "a.b").write_text('{"ServerURL": "a.b", "Username": "h", "Secret": "from helper"}')
    (helper / "https___index.docker.io_v1_").write_text('{"Username": "<token>", "Secret": "id"}')
    file = write(tmp_path / "c.json", {"credHelpers": {"a.b": "box"}, "auths": {"c.d": encoded("u", "p")}})
    assert from_files([file], "a.b", "x")[0] == Secret("h", "from helper")
    assert from_files([file], "docker.io")[0] is None
    for_all = write(tmp_path / "s.json", {"credsStore": "box", "auths": {"c.d": encoded("u", "p")}})
    assert from_files([for_all], "docker.io")[0] == Secret(IDENTITY, "id")
    assert from_files([for_all], "c.d")[0] == Secret("u", "p")


def test_a_helper_that_does_not_work_is_told_and_passed_over(tmp_path: Path) -> None:
    file = write(tmp_path / "c.json", {"credsStore": "missing-one"})
    secret, words, _ = from_files([file], "a.b")
    assert secret is None
    assert "docker-credential-missing-one is not installed" in words
    file = write(tmp_path / "c.json", {"credsStore": "../evil"})
    assert "is not the name of a credential helper" in from_files([file], "a.b")[1]


SERVERS = [
    ("", ("docker.io", "")),
    ("https://index.docker.io/v1/", ("docker.io", "")),
    ("docker.io", ("docker.io", "")),
    ("https://a.b:5000", ("a.b:5000", "")),
    ("http://a.b/v2/", ("a.b", "")),
    ("a.b/team/", ("a.b", "team")),
]


@pytest.mark.parametrize(("text", "expected"), SERVERS)
def test_servers(text: str, expected: tuple[str, str]) -> None:
    assert keep.server_of(text) == expected


def test_a_secret_is_kept_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "new/config.json"
    assert keep.keep(path, "a.b", "", Secret("u", "p")) == str(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keep.keep(path, "docker.io", "", Secret("u", "hub")) == str(path)
    keep.keep(path, "a.b", "team", Secret(IDENTITY, "t"))
    assert set(json.loads(path.read_text())["auths"]) == {"a.b", "a.b/team", "https://index.docker.io/v1/"}
    assert from_files([str(path)], "docker.io", "library/x")[0] == Secret("u", "hub")
    assert from_files([str(path)], "a.b", "team/x")[0] == Secret(IDENTITY, "t")
    assert keep.forget(path, "docker.io", "")
    assert not keep.forget(path, "docker.io", "")
    assert keep.forget(path, "a.b", "team")
    assert from_files([str(path)], "a.b", "team/x")[0] == Secret("u", "p")


def test_what_else_is_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    before = {"HttpHeaders": {"X": "y"}, "auths": {"z": encoded("u", "p")}, "currentContext": "c"}
    write(path, before)
    path.chmod(0o644)
    keep.keep(path, "a.b", "", Secret("u", "p"))
    assert keep.forget(path, "a.b", "")
    assert json.loads(path.read_text()) == before
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["config.json"]


def test_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "config.json"
    link.symlink_to("real/config.json")
    keep.keep(link, "a.b", "", Secret("u", "p"))
    assert link.is_symlink()
    assert from_files([str(tmp_path / "real/config.json")], "a.b")[0] == Secret("u", "p")


def test_with_a_helper_the_file_holds_no_secret(tmp_path: Path, helper: Path) -> None:
    path = tmp_path / "config.json"
    write(path, {"credsStore": "box"})
    assert keep.keep(path, "a.b", "", Secret("u", "hush")) == "docker-credential-box"
    assert "hush" not in path.read_text()
    assert json.loads(path.read_text())["auths"] == {"a.b": {}}
    assert from_files([str(path)], "a.b")[0] == Secret("u", "hush")
    assert keep.forget(path, "a.b", "")
    assert os.listdir(helper) == []
    assert not keep.forget(path, "a.b", "")


def test_files_that_can_not_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text, message in (
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"auths": 1}', "auths is not an object"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            keep.keep(path, "a.b", "", Secret("u", "p"))
        assert path.read_text() == text
    write(path, {"credsStore": "missing-one"})
    with pytest.raises(RegistryError, match="docker-credential-missing-one is not installed") as caught:
        keep.keep(path, "a.b", "", Secret("u", "hush"))
    assert "hush" not in caught.value.message


def test_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    threads = [
        threading.Thread(target=keep.keep, args=(path, f"h{number}.b", "", Secret("u", "p"))) for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(path.read_text())["auths"]) == 16


def test_what_can_not_be_asked_is_told_once(tmp_path: Path) -> None:
    broken, names = tmp_path / "broken", tmp_path / "names"
    broken.write_text("{")
    names.write_text('{"credsStore": "nosuch"}')
    (tmp_path / "empty").write_text("")
    found = from_files([str(broken), str(tmp_path / "empty"), str(tmp_path / "none"), str(names)], "a.b")
    assert found.secret is None
    assert found.trouble == (f"{broken}: it is not JSON", f"{names}: docker-credential-nosuch is not installed")
    with Session(tmp_path / "s", {"auth_file": str(broken)}) as session:
        told: list[Event] = []
        session.engine.sink = told.append
        credentials = Credentials(session.engine)
        assert credentials("a.b") is credentials("c.d")
    assert credentials.find("a.b")[0] is None
    assert [event.message for event in told if isinstance(event, Warning)] == [
        f"credentials are looked for without {broken}: it is not JSON"
    ]


def test_trying_credentials_where_nobody_answers(tmp_path: Path) -> None:
    with Session(tmp_path / "s", {}) as session, pytest.raises(RegistryError, match="can't reach the registry"):
        session.engine.load("registry", "distribution").login("127.0.0.1:1", "u", "p")
