"""Cache mounts that survive machines which forget: each store here stands for one."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.peers import builders
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

CACHE = "--mount=type=cache,target=/c"


def build(
    store: Path, context: Path, base: str, command: str, *options: str, user: bool = False
) -> subprocess.CompletedProcess[str]:
    folder = context / f"c{abs(hash((store, command)))}"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN {CACHE} {command}\n")
    if user:
        builders.readable_by_user(folder)
    arguments = ("build", "--progress", "json", "--no-cache", "-o", f"type=tar,dest={folder}/out.tar", *options)
    done = builders.img(*arguments, str(folder), root=store, user=user)
    assert done.returncode == 0, done.stderr
    done.stdout = subprocess.run(
        ["tar", "-xOf", str(folder / "out.tar"), "out"], capture_output=True, text=True, check=False
    ).stdout
    return done


def places(kind: str, registry: Registry, work: Path) -> tuple[str, str]:
    if kind == "registry":
        name = f"type=registry,ref={registry.host}/mounts/{work.name.lower().replace('_', '-').strip('-')}"
        return name, name
    return f"type=local,src={work}/kept", f"type=local,dest={work}/kept"


def flags(kind: str, registry: Registry, work: Path) -> tuple[str, ...]:
    source, dest = places(kind, registry, work)
    return "--cache-mount-from", source, "--cache-mount-to", dest


MAKE = (
    "mkdir -p /c/d && echo one > /c/d/a && chown 7:8 /c/d/a && chmod 4750 /c/d/a && ln -s d/a /c/l "
    "&& ln /c/d/a /c/hard && touch -d @1234567890 /c/d/a && chown 9:9 /c/d && chmod 2770 /c/d && touch '/c/ü x'"
)
SHOW = "cd /c && find . | sort > /out && stat -c '%n %a %u:%g %Y %s' d d/a hard 'ü x' >> /out && readlink l >> /out"


@pytest.mark.parametrize("kind", ["registry", "local"])
@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_another_machine_has_the_same_files(
    kind: str, user: bool, registry: Registry, busybox: str, work: Path
) -> None:
    """Owners, modes, times, links and odd names are kept; deletions too."""
    given = flags(kind, registry, work)
    build(work / "a", work, busybox, MAKE, *given, user=user)
    here = build(work / "a", work, busybox, SHOW, user=user).stdout
    assert "d/a 4750 7:8 1234567890 4" in here
    there = build(work / "b", work, busybox, SHOW, *given[:2], user=user).stdout
    assert there == here
    build(work / "c", work, busybox, "rm -r /c/d && echo two > /c/two", *given, user=user)
    left = build(work / "d", work, busybox, "cd /c && find . | sort > /out", *given[:2], user=user).stdout
    assert left == ".\n./hard\n./l\n./two\n./ü x\n"


def sizes(registry: Registry, work: Path) -> list[int]:
    ref = places("registry", registry, work)[0].partition("ref=")[2]
    argv = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{ref}"]
    raw = subprocess.run(argv, check=True, capture_output=True).stdout
    return [layer["size"] for layer in json.loads(raw)["layers"]]


def test_only_what_is_new_travels(registry: Registry, busybox: str, work: Path) -> None:
    given = flags("registry", registry, work)
    size = 2_000_000
    build(work / "a", work, busybox, f"head -c {size * 3} /dev/urandom > /c/big", *given)
    before = sizes(registry, work)
    build(work / "b", work, busybox, f"head -c {size} /dev/urandom > /c/wheel && ls /c", *given)
    after = sizes(registry, work)
    new = [one for one in after if one not in before]
    assert set(before[1:]) <= set(after)
    assert sum(new) <= 1.1 * size
    posts = len([line for line in registry.requests() if '"POST' in line])
    build(work / "b", work, busybox, "ls /c/wheel", *given)
    assert len([line for line in registry.requests() if '"POST' in line]) == posts, "nothing new, nothing sent"
    assert build(work / "e", work, busybox, "cd /c && wc -c * > /out", *given[:2]).stdout.split()[:4:2] == [
        "6000000",
        "2000000",
    ]


@pytest.mark.parametrize("kind", ["registry", "local"])
def test_writers_at_one_time_both_keep_theirs(kind: str, registry: Registry, busybox: str, work: Path) -> None:
    given = flags(kind, registry, work)

    def write(number: int) -> None:
        build(work / f"w{number}", work, busybox, f"echo {number} > /c/f{number}", *given)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    kept = build(work / "r", work, busybox, "cd /c && ls > /out", *given[:2]).stdout.split()
    assert kept == ["f0", "f1", "f2", "f3"]


def warned(done: subprocess.CompletedProcess[str], words: str) -> bool:
    return any(words in event["message"] for event in builders.events(done) if event.get("event") == "Warning")


def test_a_place_that_is_broken_is_a_warning(registry: Registry, busybox: str, work: Path) -> None:
    """The mount starts empty, the build goes on; to keep in a broken place is an error, unless it is to be ignored."""
    given = flags("local", registry, work)
    build(work / "a", work, busybox, "echo 1 > /c/x", *given)
    index = json.loads((work / "kept/index.json").read_text())["manifests"][0]["digest"][7:]
    pack = json.loads((work / "kept/blobs/sha256" / index).read_text())["layers"][1]
    (work / "kept/blobs/sha256" / pack["digest"][7:]).write_bytes(b"x" * pack["size"])
    done = build(work / "b", work, busybox, "ls /c > /out", *given[:2])
    assert done.stdout == ""
    assert warned(done, "starts empty")
    nowhere = "type=registry,ref=127.0.0.1:1/x"
    both = ("--cache-mount-from", nowhere, "--cache-mount-to", f"{nowhere},ignore-error=true")
    done = build(work / "b", work, busybox, "ls /c", *both)
    assert warned(done, "were not kept")
    (work / "kept/blobs/sha256" / pack["digest"][7:]).unlink()
    build(work / "c", work, busybox, "echo 2 > /c/y", "--cache-mount-to", given[3])
    assert build(work / "d", work, busybox, "ls /c > /out", *given[:2]).stdout == "y\n", "what is lost there is let go"
