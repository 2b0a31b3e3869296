"""``--secret`` and ``--ssh``: docker's rules, and errors that show no value."""

from __future__ import annotations

import pytest

from img.errors import UsageError
from img.secrets import SecretSource
from img_cli.secrets import parse_secrets, parse_ssh

ENV = {"TOKEN": "from-env", "other": "two", "SSH_AUTH_SOCK": "/run/agent"}


@pytest.mark.parametrize(
    ("word", "id", "kind", "source"),
    [
        ("id=a,src=f", "a", "file", "f"),
        ("id=a,source=f", "a", "file", "f"),
        ("id=a,type=file,src=f", "a", "file", "f"),
        ("type=file,id=TOKEN", "TOKEN", "file", "TOKEN"),
        ("id=a", "a", "file", "a"),
        ("id=TOKEN", "TOKEN", "value", "from-env"),
        ("id=a,env=TOKEN", "a", "value", "from-env"),
        ("id=a,type=env,env=other", "a", "value", "two"),
        ("id=a,type=env,src=other", "a", "value", "two"),
        ("id=other,type=env", "other", "value", "two"),
        ("ID=a,SRC=f", "a", "file", "f"),
        ('id=a,"src=with,comma"', "a", "file", "with,comma"),
        ("id=a,src=k=v", "a", "file", "k=v"),
        ("id=a,type=command,src=pass show x", "a", "command", "pass show x"),
        ('id=a,type=command,"src=echo a,b"', "a", "command", "echo a,b"),
    ],
)
def test_secrets(word: str, id: str, kind: str, source: str) -> None:
    (found,) = parse_secrets([word], ENV).items()
    assert found == (id, SecretSource(kind, source))  # type: ignore[arg-type]


def test_the_last_of_one_id_counts() -> None:
    assert parse_secrets(["id=a,src=1", "id=a,src=2"], {}) == {"a": SecretSource("file", "2")}
    assert parse_secrets([], ENV) == {}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "--secret (empty) has no id"),
        ("src=hush", "--secret src=… has no id"),
        ("hush", "a --secret has a field that is not name=value"),
        ("id=a,hush", "a --secret has a field that is not name=value"),
        ("id=a,sorce=hush", "a --secret has no option 'sorce'"),
        ("id=a,type=files", "--secret id=a can't be of type 'files'"),
        ("id=a,src=x,env=TOKEN", "--secret id=a has a file and a variable"),
        ("id=a,type=file,env=TOKEN", "--secret id=a is a file, but env names a variable"),
        ("id=a,env=NOPE", "--secret id=a takes the variable NOPE, which is not set"),
        ("id=NOPE,type=env", "--secret id=NOPE takes the variable NOPE, which is not set"),
        ("id=a,type=command", "--secret id=a is a command, so it needs src=COMMAND and nothing else"),
        ("id=a,type=command,env=TOKEN", "--secret id=a is a command, so it needs src=COMMAND and nothing else"),
        ('id=a,"src=x', "a --secret is not well quoted: unexpected end of data"),
    ],
)
def test_secrets_that_are_wrong(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_secrets([word], ENV)
    assert str(caught.value) == message
    assert "hush" not in str(caught.value) + caught.value.hint
    assert "from-env" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("word", "id", "paths"),
    [
        ("default", "default", ("/run/agent",)),
        ("git", "git", ("/run/agent",)),
        ("default=/a/sock", "default", ("/a/sock",)),
        ("=/a/sock", "default", ("/a/sock",)),
        ("deploy=k1,k2", "deploy", ("k1", "k2")),
        ("deploy=a=b", "deploy", ("a=b",)),
    ],
)
def test_ssh(word: str, id: str, paths: tuple[str, ...]) -> None:
    assert parse_ssh([word], ENV) == {id: paths}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "--ssh is empty"),
        ("x=", "--ssh x= names no socket and no key"),
        ("default", "--ssh default takes the running ssh agent, but SSH_AUTH_SOCK is not set"),
    ],
)
def test_ssh_that_is_wrong(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_ssh([word], {})
    assert str(caught.value) == message


def test_a_source_shows_no_value() -> None:
    assert "hush" not in repr(SecretSource("value", "hush"))
