"""img against real registries: private authorities, client certificates, passwords, tokens, mirrors, and other tools."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.peers import bases, builders, guarded, proxy, servers
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

USER, PASSWORD = "user", "pass word:%"


class Ground:
    """A folder with a home, a store, certificates, and img as a command in it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.authority = guarded.Authority(folder / "authority")
        self._stack = stack

    def registry(self, name: str, **guard: Any) -> Registry:
        return self._stack.enter_context(guarded.registry(self.folder / name, guarded.Guard(**guard)))

    def tokens(self, lasts: int = 60) -> guarded.TokenServer:
        signer, tls = self.authority.issue("signer"), self.authority.issue("token-server")
        return self._stack.enter_context(guarded.TokenServer(signer, USER, PASSWORD, lasts, tls))

    def trust(self, host: str, client: guarded.Certificate | None = None) -> None:
        folder = self.home / ".config/containers/certs.d" / host
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_bytes(self.authority.cert.read_bytes())
        if client:
            (folder / "client.cert").write_bytes(client.cert.read_bytes())
            (folder / "client.key").write_bytes(client.key.read_bytes())

    def img(self, *arguments: str, given: str = "", store: str = "store") -> subprocess.CompletedProcess[str]:
        env = {"IMG_ROOT": str(self.folder / store), "PATH": os.environ["PATH"], "HOME": str(self.home)}
        argv = [str(builders.TOOL), *arguments]
        return subprocess.run(argv, input=given, capture_output=True, text=True, env=env, check=False, timeout=300)

    def right(self, *arguments: str, given: str = "", store: str = "store") -> str:
        """Standard output of a command that must succeed."""
        done = self.img(*arguments, given=given, store=store)
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout

    def wrong(self, *arguments: str, given: str = "") -> str:
        """Standard error of a command that must fail with one clear error."""
        done = self.img(*arguments, given=given)
        assert done.returncode in (1, 2), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done.stderr + done.stdout

    def build(self, name: str, text: str, *options: str) -> str:
        """The digest of an image built from a Dockerfile, which is a file of the context, too."""
        context = self.folder / f"context-{random.randrange(1 << 30)}"
        context.mkdir()
        (context / "Dockerfile").write_text(text)
        facts = context / "facts.json"
        self.right("build", "--metadata-file", str(facts), "-t", name, *options, str(context))
        digest: str = json.loads(facts.read_text())["containerimage.digest"]
        return digest

    def conf(self, text: str) -> None:
        path = self.home / ".config/containers/registries.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def ground_of(work: Path) -> Iterator[Ground]:
    with ExitStack() as stack:
        yield Ground(work, stack)


def skopeo(*arguments: str) -> str:
    argv = ["skopeo", "--insecure-policy", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_a_private_authority_client_certificates_and_a_password(ground_of: Ground) -> None:
    """What fails says what to do; once done, everything works, and skopeo agrees about the image."""
    ground = ground_of
    client = ground.authority.issue("client", "clientAuth")
    registry = ground.registry(
        "r", tls=ground.authority.issue("server"), clients=ground.authority.cert, users=((USER, PASSWORD),)
    )
    host = registry.host
    own = ground.home / ".config/img/registries.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'[host."{host}"]\ninsecure = false\n')
    said = ground.wrong("registry", "check", host)
    assert "certificate" in said
    assert f"certs.d/{host}/ca.crt" in said
    ground.trust(host)
    assert f"certs.d/{host}/client.cert" in ground.wrong("registry", "check", host)
    ground.trust(host, client)
    assert f"img login {host}" in ground.wrong("registry", "check", host)

    assert "refused the credentials" in ground.wrong("login", "-u", USER, "--password-stdin", host, given="wrong")
    assert not (ground.home / ".docker/config.json").exists()
    assert "Login Succeeded" in ground.right("login", "-u", USER, "--password-stdin", host, given=f"{PASSWORD}\n")
    assert (ground.home / ".docker/config.json").stat().st_mode & 0o777 == 0o600
    report = json.loads(ground.right("registry", "check", "--json", host))
    assert report["ok"] is True

    name = f"{host}/team/x:1"
    digest = ground.build(name, "FROM scratch\nCOPY Dockerfile /\n")
    assert ground.right("push", name).strip() == digest
    assert f"Pulled: {digest}" in ground.right("pull", name, store="other")
    certs = ground.home / ".config/containers/certs.d" / host
    raw = skopeo("inspect", "--cert-dir", str(certs), "--creds", f"{USER}:{PASSWORD}", f"docker://{name}")
    assert json.loads(raw)["Digest"] == digest

    assert "Removing login credentials" in ground.right("logout", host)
    assert f"Not logged in to {host}" in ground.right("logout", host)
    assert "img login" in ground.wrong("push", name)


def test_tokens(ground_of: Ground) -> None:
    """A token server with the same private authority; tokens that end within a second; scopes for a mount."""
    ground = ground_of
    tokens = ground.tokens(lasts=1)
    host = ground.registry("r", tls=ground.authority.issue("server"), tokens=tokens).host
    ground.trust(host)
    assert "refused the credentials" in ground.wrong("login", "-u", USER, "--password-stdin", host, given="no")
    ground.right("login", "-u", USER, "--password-stdin", host, given=PASSWORD)
    first = f"{host}/team/first:1"
    digest = ground.build(first, "FROM scratch\nCOPY Dockerfile /a\nCOPY Dockerfile /b\n")
    assert ground.right("push", first).strip() == digest
    second = f"{host}/other/second:1"
    assert ground.build(second, f"FROM {first}\n") == digest
    assert ground.right("push", second).strip() == digest
    assert any({"repository:team/first:pull", "repository:other/second:pull,push"} <= set(s) for s in tokens.asked)
    log = (ground.folder / "r/registry.log").read_text()
    assert "POST /v2/other/second/blobs/uploads/?mount=" in log
    assert "PUT /v2/other/second/blobs/uploads" not in log
    assert digest in ground.right("pull", "-q", second, store="other")
    ground.right("logout", host)
    assert "gives nothing to strangers" in ground.wrong("pull", second)


def test_through_a_proxy_with_a_password(ground_of: Ground) -> None:
    """TLS through CONNECT; the password is not shown, neither when the proxy refuses it."""
    ground = ground_of
    host = ground.registry("r", tls=ground.authority.issue("server")).host
    ground.trust(host)
    own = ground.home / ".config/img/registries.toml"
    own.parent.mkdir(parents=True)
    with proxy.running("me", "hush-hush") as through:
        own.write_text(f'[host."{host}"]\nproxy = "http://me:hush-hush@{through.host}"\n')
        name = f"{host}/x:1"
        digest = ground.build(name, "FROM scratch\nCOPY Dockerfile /\n")
        assert ground.right("push", name).strip() == digest
        assert {line.rpartition(" ")[0] for line in through.seen} == {f"CONNECT {host}"}
        shown = ground.right("registry", "check", host)
        assert f"http://{through.host}" in shown
        assert "hush-hush" not in shown
        own.write_text(f'[host."{host}"]\nproxy = "http://me:hush-wrong@{through.host}"\n')
        said = ground.wrong("pull", name)
        assert f"can't get through the proxy http://{through.host}" in said
        assert "hush-wrong" not in said
        assert "hush-wrong" not in ground.img("--debug", "pull", name).stderr


def test_insecure_for_one_run(ground_of: Ground) -> None:
    ground = ground_of
    host = ground.registry("r", tls=ground.authority.issue("server")).host
    own = ground.home / ".config/img/registries.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'[host."{host}"]\ninsecure = false\n')
    digest = ground.build(f"{host}/x:1", "FROM scratch\nCOPY Dockerfile /\n")
    assert "can't trust the registry" in ground.wrong("push", f"{host}/x:1")
    assert ground.right("push", "--insecure-registry", f"{host}/x:1").strip() == digest
    assert "can't trust the registry" in ground.wrong("pull", f"{host}/x:1")
    assert ground.right("pull", "-q", "--insecure-registry", f"{host}/x:1", store="other").strip() == digest


def test_docker_hub_from_a_mirror(ground_of: Ground, work: Path) -> None:
    """registries.conf sends docker.io to a plain registry on loopback: FROM alpine works, also with --pull."""
    ground = ground_of
    mirror = ground.registry("mirror")
    folder = bases.layout(work / "base", [bases.busybox_tar()], {"Env": ["PATH=/bin"], "Cmd": ["sh"]})
    bases.push(folder, f"{mirror.host}/hub/library/alpine:latest")
    ground.conf(f'[[registry]]\nprefix = "docker.io"\nlocation = "{mirror.host}/hub"\ninsecure = true\n')
    text = "FROM alpine\nRUN echo made > /made\n"
    digest = ground.build("made", text)
    assert ground.build("made", text, "--pull") == digest
    assert ground.right("pull", "alpine").startswith("Pulling alpine:latest...\nPulled: sha256:")
    heads = [line for line in mirror.requests() if "HEAD /v2/hub/library/alpine/manifests/latest" in line]
    assert heads, "what is known is asked for by HEAD"
    report = json.loads(ground.right("registry", "check", "--json", "alpine"))
    assert [(e["host"], e["repository"]) for e in report["endpoints"]] == [(mirror.host, "hub/library/alpine")]


def test_mirrors_and_the_registry_behind(ground_of: Ground, busybox: str, registry: Registry, work: Path) -> None:
    """A mirror that is empty, one that is down, and the registry; a 403 ends it."""
    ground = ground_of
    empty = ground.registry("empty")
    down = f"127.0.0.1:{servers.free_port()}"
    ground.conf(
        f'[[registry]]\nlocation = "{registry.host}"\n'
        f'[[registry.mirror]]\nlocation = "{down}"\n[[registry.mirror]]\nlocation = "{empty.host}"\n'
    )
    done = ground.img(
        "build", "-q", "-t", "x", "-o", "type=image,name=x", _context(work, f"FROM {busybox}\nRUN true\n")
    )
    assert done.returncode == 0, done.stderr
    assert f"the mirror {down} can't be used" in done.stderr
    assert any("/v2/busybox/manifests/1" in line for line in empty.requests())
    own = ground.home / ".config/img/registries.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'[registry."{registry.host}"]\nmirrors = ["{empty.host}"]\nfallback = "never"\n')
    assert "is not there" in ground.wrong("pull", busybox)
    own.write_text(f'[registry."{registry.host}"]\nmirrors = ["{empty.host}"]\nfallback = "on-404"\n')
    ground.right("pull", busybox)
    own.write_text(f'[registry."{registry.host}"]\nblocked = true\n')
    assert "is blocked by" in ground.wrong("pull", busybox)


def _context(work: Path, text: str) -> str:
    folder = work / "ctx"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(text)
    return str(folder)


def large_base(folder: Path, name: str, size: int = 24 << 20) -> str:
    """A base whose one layer can't be compressed; returns the layer's digest."""
    layout = bases.layout(folder, [bases.tar([("blob", random.Random(7).randbytes(size))])], {"Cmd": ["/x"]})
    bases.push(layout, name)
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_bytes())
    return str(manifest["layers"][0]["digest"])


def test_a_base_whose_files_are_not_needed_is_never_downloaded(
    ground_of: Ground, registry: Registry, work: Path
) -> None:
    """Pushed to its own registry its layers are mounted; to another they are streamed through, not kept."""
    ground = ground_of
    layer = large_base(work / "large", f"{registry.host}/large:1")
    context = _context(work, f'FROM {registry.host}/large:1\nENV A=b\nCMD ["/blob"]\n')
    seen = len(registry.requests())
    mounted = f"{registry.host}/mounted/app:1"
    ground.right("build", "-o", f"type=registry,name={mounted}", context)
    assert not [line for line in registry.requests()[seen:] if f"GET /v2/large/blobs/{layer}" in line]
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{mounted}"))["Layers"][0] == layer
    other = ground.registry("other")
    streamed = f"{other.host}/app:1"
    ground.right("build", "-o", f"type=registry,name={streamed}", context)
    assert not (ground.folder / "store/blobs/sha256" / layer[7:]).exists()
    skopeo("copy", "--src-tls-verify=false", f"docker://{streamed}", f"dir:{work}/copied")
    assert (work / "copied" / layer[7:]).stat().st_size > 20 << 20


def test_other_tools_pull_what_was_pushed(
    ground_of: Ground, registry: Registry, busybox: str, docker_host: str
) -> None:
    """podman, docker, containerd and skopeo; and an index, whole and in part."""
    ground, name = ground_of, f"{registry.host}/shared/tools:1"
    digest = ground.build(name, f"FROM {busybox}\nCOPY Dockerfile /d\n")
    done = ground.img("push", "-q", name)
    assert (done.stdout, done.stderr) == (f"{digest}\n", "")
    root = ground.folder / "podman"
    podman = ["podman", "--root", str(root), "--runroot", str(root / "run"), "--storage-driver", "vfs"]
    subprocess.run([*podman, "pull", "--tls-verify=false", name], check=True, capture_output=True)
    docker = [builders.DOCKER, "-H", docker_host]
    subprocess.run([*docker, "pull", name], check=True, capture_output=True)
    shown = subprocess.run([*docker, "inspect", name], check=True, capture_output=True, text=True).stdout
    assert json.loads(shown)[0]["RepoDigests"] == [f"{registry.host}/shared/tools@{digest}"]

    (ground.folder / "containerd").mkdir()
    with servers.containerd(ground.folder / "containerd") as sock:
        ctr = ["ctr", "-a", sock, "images"]
        subprocess.run([*ctr, "pull", "--plain-http", "--snapshotter", "native", name], check=True, capture_output=True)
        listed = subprocess.run([*ctr, "list"], check=True, capture_output=True, text=True).stdout
        assert digest in listed

    index = f"{registry.host}/shared/index:1"
    folder = str(ground.folder / "index")
    os.mkdir(folder)
    Path(folder, "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /d\n")
    platforms = "linux/amd64,linux/arm64"
    built = ground.right("build", "-q", "-t", index, "--platform", platforms, folder).strip()
    assert ground.right("push", index).strip() == built
    assert ground.right("pull", "-q", index, store="part").strip() == built
    again = f"{registry.host}/shared/again:1"
    ground.right("pull", "-q", "--all-platforms", index, store="whole")
    skopeo(
        "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{index}", f"docker://{again}"
    )
    assert ground.right("pull", "-q", "--platform", "arm64", again, store="arm").strip() == built


def test_an_image_of_dockers_types(ground_of: Ground, registry: Registry, busybox: str) -> None:
    """A schema 2 manifest keeps its digest and its types through a pull and a push."""
    ground, name = ground_of, f"{registry.host}/schema2:1"
    skopeo(
        *("copy", "--format", "v2s2", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *(f"docker://{busybox}", f"docker://{name}"),
    )
    digest = ground.right("pull", "-q", name).strip()
    assert digest == json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"]
    assert ground.right("pull", "-q", f"{registry.host}/schema2@{digest}").strip() == digest
    ground.build(f"{registry.host}/onto:1", f"FROM {name}\nRUN true\n")
    ground.right("push", name)


MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def test_memory_is_bounded(ground_of: Ground, registry: Registry) -> None:
    """A layer of 160 MiB goes out and comes in within 100 MiB of memory."""
    ground, size = ground_of, 160 << 20
    context = ground.folder / "c"
    context.mkdir()
    with (context / "large").open("wb") as out:
        for _ in range(size >> 20):
            out.write(os.urandom(1 << 20))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /\n")
    name = f"{registry.host}/memory:1"
    ground.right("build", "-q", "-t", name, str(context))
    for store, *arguments in (("store", "push", name), ("other", "pull", "-q", name)):
        env = {"IMG_ROOT": str(ground.folder / store), "PATH": os.environ["PATH"], "HOME": str(ground.home)}
        argv = [sys.executable, "-c", MEASURED, str(builders.TOOL), *arguments]
        out = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout
        status, peak = map(int, out.split())
        assert status == 0
        assert peak < 100


def test_nobody_answers(ground_of: Ground) -> None:
    ground = ground_of
    host = f"127.0.0.1:{servers.free_port()}"
    assert f"can't reach the registry {host}" in ground.wrong("pull", f"{host}/x")
    assert "is it running?" in ground.wrong("registry", "check", host)
