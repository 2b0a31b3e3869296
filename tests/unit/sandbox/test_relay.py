"""The relay between a step and an ssh agent, and secrets as the engine reads them."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from img.errors import Cancelled, UsageError
from img.secrets import LIMIT, SecretSource, read_secret
from img_plugins.worker.relay import FRAME, Relay, allowed


def text(value: bytes) -> bytes:
    return struct.pack("!I", len(value)) + value


@pytest.mark.parametrize(
    ("request_", "passes"),
    [
        (b"\x0b", True),
        (b"\x0d" + text(b"key") + text(b"data") + b"\0\0\0\0", True),
        (b"\x1b" + text(b"session-bind@openssh.com") + b"rest", True),
        (b"\x1b" + text(b"query"), True),
        (b"\x1b" + text(b"other@example.com"), False),
        (b"\x1b", False),
        (b"", False),
        *[(bytes([number]) + text(b"x"), False) for number in (1, 9, 17, 18, 19, 20, 21, 22, 23, 25, 26, 255)],
    ],
)
def test_only_reading_passes(request_: bytes, passes: bool) -> None:
    assert allowed(request_) is passes


class Agent:
    """A socket that echoes each message with its type turned into 12."""

    def __init__(self, path: Path) -> None:
        self.seen: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                while head := connection.recv(4):
                    body = connection.recv(struct.unpack("!I", head)[0])
                    self.seen.append(body)
                    connection.sendall(text(b"\x0c" + body[1:]))


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder whose path is longer than a socket's address may be."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    return folder


def ask(path: Path, *messages: bytes) -> list[bytes]:
    folder = os.open(path.parent, os.O_PATH)
    replies = []
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        for message in messages:
            client.sendall(text(message))
            head = client.recv(4)
            replies.append(client.recv(struct.unpack("!I", head)[0]) if head else b"")
    return replies


def test_it_answers_for_what_it_does_not_pass(tmp_path: Path, deep: Path) -> None:
    before = threading.enumerate()  # relays of other tests are theirs to end
    agent = Agent(tmp_path / "agent")
    relay = Relay(str(deep / "relay"), str(tmp_path / "agent"))
    assert ask(deep / "relay", b"\x0b", b"\x13", b"\x0dxyz") == [b"\x0c", b"\x05", b"\x0cxyz"]
    assert agent.seen == [b"\x0b", b"\x0dxyz"]
    relay.close()
    with pytest.raises(OSError):
        ask(deep / "relay", b"\x0b")
    assert [thread for thread in threading.enumerate() if thread.name == "ssh" and thread not in before] == []


def test_a_message_that_is_too_long_ends_the_conversation(tmp_path: Path) -> None:
    Agent(tmp_path / "agent")
    relay = Relay(str(tmp_path / "relay"), str(tmp_path / "agent"))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(tmp_path / "relay"))
        client.sendall(struct.pack("!I", FRAME + 1))
        assert client.recv(1) == b""
    relay.close()


def test_no_agent_behind_it(tmp_path: Path) -> None:
    relay = Relay(str(tmp_path / "relay"), str(tmp_path / "nothing"))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(tmp_path / "relay"))
        assert client.recv(1) == b""
    relay.close()


def keep(callback: Callable[[], None]) -> Callable[[], None]:
    return lambda: None


def test_where_secrets_come_from(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0bytes\n")
    assert read_secret("s", SecretSource("file", str(tmp_path / "f")), keep) == b"\0bytes\n"
    assert read_secret("s", SecretSource("value", "v\udcff"), keep) == b"v\xff"
    assert read_secret("s", SecretSource("command", "printf 'a b'; echo hush >&2"), keep) == b"a b"
    assert len(read_secret("s", SecretSource("command", f"head -c {LIMIT} /dev/zero"), keep)) == LIMIT
    with pytest.raises(UsageError, match="larger than 500 KiB"):
        read_secret("s", SecretSource("command", "cat /dev/zero"), keep)
    with pytest.raises(UsageError, match="exit code 7") as caught:
        read_secret("s", SecretSource("command", "echo hush; exit 7"), keep)
    assert "hush" not in str(caught.value) + caught.value.hint


def test_a_command_is_killed_with_the_build() -> None:
    def soon(callback: Callable[[], None]) -> Callable[[], None]:
        timer = threading.Timer(0.2, callback)
        timer.start()
        return timer.cancel

    with pytest.raises(Cancelled):
        read_secret("s", SecretSource("command", "exec sleep 60"), soon)
