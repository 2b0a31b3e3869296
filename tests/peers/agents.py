"""Keys and a real ssh-agent for steps that are given one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from img_plugins.worker.relay import Relay
from tests.peers import builders


def make_keys(folder: Path) -> Path:
    """Keys named one, two and, behind a pass phrase, locked; everybody may read them."""
    folder.mkdir()
    for name, phrase in (("one", ""), ("two", ""), ("locked", "pass")):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-C", f"key-{name}", "-f", str(folder / name)]
        subprocess.run(argv, check=True)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@contextmanager
def running(key: Path) -> Iterator[Path]:
    """The socket of an ssh-agent with one key, owned by whoever asks (see `served`)."""
    folder = Path(tempfile.mkdtemp(prefix="agent-", dir="/tmp"))
    place = folder / "sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
    try:
        while not place.exists():
            time.sleep(0.01)
        key.chmod(0o600)
        subprocess.run(["ssh-add", "-q", str(key)], env={"SSH_AUTH_SOCK": str(place)}, check=True)
        yield place
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@contextmanager
def served(agent: Path, user: bool) -> Iterator[str]:
    """Give a test's agent to the ordinary user by way of a relay, as agents serve their own user only."""
    if not user:
        yield str(agent)
        return
    place = f"{agent.parent}/for-user"
    relay = Relay(place, str(agent))
    try:
        agent.parent.chmod(0o755)
        shutil.chown(place, builders.USER, builders.USER)
        yield place
    finally:
        relay.close()
