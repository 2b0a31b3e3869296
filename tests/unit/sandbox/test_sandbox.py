"""The helper process, as root and as an ordinary user: what a step sees, and leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from tests.unit.sandbox.stage import Stage

from img.errors import LayerError
from img.sandbox.client import SandboxError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the suite runs as root, and takes on the user itself")


def test_it_says_on_which_rung_it_stands(stage: Stage) -> None:
    assert stage.sandbox.rung == "overlay"


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_exit_codes_and_signals(stage: Stage, script: str, status: int) -> None:
    assert stage.sh(script)[0] == {"status": status}


def test_a_missing_working_folder_is_made(stage: Stage) -> None:
    assert stage.run(["sh", "-c", "test $(pwd) = /no/where && test $(stat -c %a /no/where) = 755"], cwd="/no/where")[
        0
    ] == {"status": 0}


def test_what_cannot_start_says_why(stage: Stage) -> None:
    assert stage.run(["nope"])[0]["failed"][:2] == ["exec", 2]
    assert stage.run(["sh"], cwd="/bin/sh")[0]["failed"][:2] == ["cwd", 20]
    (stage.base / "bin" / "noise").write_bytes(b"\0\1\2")
    (stage.base / "bin" / "noise").chmod(0o755)
    assert stage.run(["noise"])[0]["failed"][:2] == ["exec", 8]
    assert stage.run(["sh"], limits=[["nosuch", 1, 1]])[0]["failed"][0] == "limits"


def test_only_its_changes_are_left(stage: Stage) -> None:
    mounts = [{"kind": "tmpfs", "target": "/scratch/deep", "size": 0}]
    _, _, upper = stage.run(["true"], mounts=mounts)
    assert list(upper.iterdir()) == []
    _, _, upper = stage.sh("echo x > /new; echo y > /scratch/deep/gone", mounts=mounts)
    assert sorted(path.name for path in upper.iterdir()) == ["new"]


def test_who_it_is(stage: Stage) -> None:
    os.chmod(stage.folder / "base", 0o755)

    def open_root(**how: Any) -> str:
        return stage.sh("id -u; id -g; id -G; echo $A; hostname; pwd", env=[["PATH", "/bin"], ["A", "b c"]], **how)[1]

    assert open_root().split() == ["0", "0", "0", "b", "c", "sandbox", "/"]


def test_it_sees_no_other_processes(stage: Stage) -> None:
    names = stage.sh("ls /proc")[1].split()
    assert len([name for name in names if name.isdigit()]) <= 3


def test_no_network_on_request(stage: Stage) -> None:
    out = stage.sh("cat /proc/net/dev", network="none")[1]
    assert "lo:" in out
    assert out.count(":") == 1


def test_devices(stage: Stage) -> None:
    script = "echo x > /dev/null; head -c 4 /dev/urandom > /dev/null; ls /dev; ls /dev/pts; echo y > /dev/shm/z"
    reply, out, _ = stage.sh(script)
    assert reply == {"status": 0}
    assert {"fd", "full", "null", "ptmx", "pts", "random", "shm", "stdin", "tty", "urandom", "zero"} <= set(out.split())


def test_output_is_complete(stage: Stage) -> None:
    _, out, _ = stage.sh("head -c 10000000 /dev/zero")
    assert len(out) == 10_000_000


def test_a_view_of_another_snapshot_is_mounted_and_forgets_what_is_written(stage: Stage) -> None:
    other = stage.folder / "other"
    (other / "d").mkdir(parents=True)
    (other / "d" / "f").write_text("from there")
    work = stage.folder / "view"
    work.mkdir()
    mount = {"kind": "view", "lower": [str(other)], "path": "d", "work": str(work), "target": "/m", "readonly": False}
    reply, out, upper = stage.sh("cat /m/f; echo x > /m/new", mounts=[mount])
    assert (reply, out) == ({"status": 0}, "from there")
    assert not (other / "d" / "new").exists()
    assert list(upper.iterdir()) == []


def test_many_layers(stage: Stage) -> None:
    layers = []
    for number in range(120):
        layer = stage.folder / f"layer-with-a-long-name-{number:04}"
        layer.mkdir()
        (layer / "last").write_text(str(number))
        layers.append(str(layer))
    reply, out, _ = stage.sh("cat /last", lower=[str(stage.base), *layers])
    assert (reply, out) == ({"status": 0}, "119")


def test_one_tree_several_times(stage: Stage) -> None:
    one, two = stage.folder / "one", stage.folder / "two"
    for layer, text in ((one, "1"), (two, "2")):
        layer.mkdir()
        (layer / "f").write_text(text)
    reply, out, _ = stage.sh("cat /f", lower=[str(stage.base), str(one), str(two), str(one), str(one)])
    assert (reply, out) == ({"status": 0}, "1")


def test_64_steps_at_once(stage: Stage) -> None:
    replies: list[Any] = []
    threads = [threading.Thread(target=lambda: replies.append(stage.sh("sleep 0.2")[0])) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [{"status": 0}] * 64


def test_kill_ends_everything(stage: Stage) -> None:
    started = time.monotonic()
    place = stage.folder / "k"
    (place / "upper").mkdir(parents=True)
    (place / "work").mkdir()
    step = {
        "lower": [str(stage.base)],
        "upper": str(place / "upper"),
        "work": str(place / "work"),
        "argv": ["sh", "-c", "sleep 54321 & sleep 54321"],
        "env": [["PATH", "/bin"]],
        "cwd": "/",
        "uid": 0,
        "gid": 0,
        "groups": [],
        "mounts": [],
        "hostname": "x",
    }
    with open(os.devnull, "wb") as null:
        job = stage.sandbox.run(step, null.fileno(), null.fileno())
        threading.Timer(0.3, job.kill).start()
        assert job.wait() == {"status": 137}
    assert time.monotonic() - started < 30
    assert subprocess.run(["pgrep", "-f", "sleep 54321"], capture_output=True, check=False).returncode == 1


def test_errors_of_a_job_come_back_as_themselves(stage: Stage) -> None:
    with pytest.raises(SandboxError, match="ModuleNotFoundError"):
        stage.sandbox.call("img.nowhere:nothing")
    reader, writer = os.pipe()
    os.write(writer, b"noise" * 200)
    os.close(writer)
    try:
        with pytest.raises(LayerError, match="tar"):
            stage.sandbox.call("img.oci.apply:unpack", str(stage.folder), [], fds=(reader,))
    finally:
        os.close(reader)


def test_large_answers(stage: Stage) -> None:
    assert stage.sandbox.call("builtins:list", list(range(300_000))) == list(range(300_000))


def test_a_tree_is_removed_that_its_owner_has_closed() -> None:
    """Folders that can't be listed, entered or changed, as an overlay leaves one behind; and what is not the owner's."""
    program = (
        "import os, sys, tempfile\n"
        "sys.path[:0] = sys.argv[1].split(':')\n"
        "from img.oci.diff import remove_tree\n"
        "d = tempfile.mkdtemp(dir='/var/tmp')\n"
        "os.makedirs(d + '/a/work/work/deep'); os.symlink('/etc', d + '/a/link'); open(d + '/a/work/work/f', 'w').close()\n"
        "os.mkdir(d + '/a/listed'); open(d + '/a/listed/f', 'w').close()\n"
        "for name, mode in (('work/work/deep', 0), ('work/work', 0), ('work', 0o500), ('listed', 0o400), ('', 0o100)):\n"
        "    os.chmod(d + '/a/' + name, mode)\n"
        "remove_tree(d)\n"
        "print(os.path.lexists(d), os.stat('/etc').st_mode & 0o777 == 0o755)\n"
    )
    argv = ["setpriv", "--reuid=imgtest", "--regid=imgtest", "--init-groups", "/usr/bin/python3", "-c", program]
    paths = ":".join(path for path in sys.path if path)
    done = subprocess.run([*argv, paths], capture_output=True, text=True, check=False)
    assert done.stdout == "False True\n", done.stderr


def test_an_ordinary_user_gets_a_range_of_ids() -> None:
    """The same helper, started by an ordinary user: its root is the user, other ids come from /etc/subuid."""
    program = (
        "import json, os, sys, tempfile\n"
        "sys.path[:0] = json.loads(sys.argv[1])\n"
        "from img.sandbox.client import Sandbox\n"
        "s = Sandbox.start(paths=sys.path)\n"
        "d = tempfile.mkdtemp(dir='/var/tmp')\n"
        "s.call('img.oci.diff:remove_tree', d + '/none')\n"
        "print(json.dumps([s.rung, s.call('os:getuid'), open('/proc/self/uid_map').read().split()]))\n"
        "s.call('img.oci.diff:remove_tree', d)\n"
        "s.close()\n"
    )
    paths = [path for path in sys.path if path]
    argv = [
        "setpriv",
        "--reuid=imgtest",
        "--regid=imgtest",
        "--init-groups",
        "/usr/bin/python3",
        "-c",
        program,
        json.dumps(paths),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/", check=False)
    if "Permission denied" in done.stderr or "No module named 'img'" in done.stderr:
        pytest.fail(f"the environment of the tests must be readable for everybody: {done.stderr}")
    rung, uid, _ = json.loads(done.stdout)
    assert (rung, uid) == ("userns", 0)
