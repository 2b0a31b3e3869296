"""An ssh agent of img's own, with the system's programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from img.agents import Agents
from img.errors import UsageError

SLOW = """#!/usr/bin/python3
import os, socket, sys, time
place = sys.argv[sys.argv.index("-a") + 1]
with socket.socket(socket.AF_UNIX) as early:
    early.bind(place)
    time.sleep(0.7)
os.unlink(place)
os.execv({agent!r}, [{agent!r}, *sys.argv[1:]])
"""
"""An agent on a busy machine: its socket is there, and nobody listens yet."""


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = str(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def test_an_agent_that_is_slow_is_waited_for(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ssh-agent"
    program.parent.mkdir()
    program.write_text(SLOW.format(agent="/usr/bin/ssh-agent"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    agents = Agents()
    try:
        env = {**os.environ, "SSH_AUTH_SOCK": agents.socket("default", [key])}
        listed = subprocess.run(["ssh-add", "-l"], env=env, capture_output=True, text=True, check=True)
        assert "ED25519" in listed.stdout
    finally:
        agents.close()


def test_what_is_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("shibboleth")
    agents = Agents()
    try:
        with pytest.raises(UsageError, match="not a private key"):
            agents.socket("default", [str(tmp_path / "word")])
    finally:
        agents.close()
