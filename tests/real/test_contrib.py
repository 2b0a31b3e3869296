"""The packages of contrib/ as strangers' wheels in a clean environment: their own tests, a base straight from the Debian
archive, a Python and a Node.js project on it with real packages of their indexes, run by docker; and img without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.peers import builders

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "img-config": ("exporter", "config"),
    "img-debian": ("source", "deb"),
    "img-dots": ("reporter", "dots"),
    "img-node": ("frontend", "node"),
    "img-python": ("frontend", "python"),
}
BASE = "deb://bookworm?variant=apt&include=ca-certificates,nodejs,python3,python3-pip"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


class Bench(NamedTuple):
    """A clean environment with img and the five packages, and a store."""

    venv: Path
    wheels: Path
    store: Path

    def img(self, *words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        variables = {"IMG_ROOT": str(self.store), "PATH": os.environ["PATH"], "HOME": "/root", **(env or {})}
        argv = [str(self.venv / "bin" / "img"), *words]
        return subprocess.run(argv, cwd=cwd, env=variables, capture_output=True, text=True, timeout=400, check=False)

    def pip(self, *words: str) -> None:
        """pip of the tests' own environment, for this one."""
        argv = [sys.executable, "-m", "pip", "-q", f"--python={self.venv}", *words]
        subprocess.run(argv, check=True, capture_output=True)

    def built(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """``img build``, which must succeed; what pip and npm need of this machine goes along as secrets."""
        npmrc = self.store.with_name("npmrc")
        npmrc.write_text(f"cafile={AUTHORITIES}\n//registry.example/:_authToken=hush-hush\n")
        given = ["--secret", f"id=ca-certificates.crt,src={AUTHORITIES}", "--secret", f"id=npmrc,src={npmrc}"]
        done = self.img("build", *given, "--progress", "json", *words, cwd=cwd)
        assert done.returncode == 0, done.stderr[-4000:]
        return done


@pytest.fixture(scope="module")
def bench(ground: Path) -> Iterator[Bench]:
    made = Bench(ground / "contrib-venv", ground / "contrib-wheels", ground / "contrib-store")
    sources = [str(ROOT), *(str(ROOT / "contrib" / name) for name in PACKAGES)]
    argv = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(made.wheels)]
    subprocess.run([*argv, *sources], check=True)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(made.venv)], check=True)
    wheels = sorted(map(str, made.wheels.glob("*.whl")))
    assert len(wheels) == 1 + len(PACKAGES)
    made.pip("install", "--no-compile", "pytest", "uv", *wheels)
    yield made


@pytest.fixture(scope="module")
def base(bench: Bench, ground: Path) -> str:
    """A name in the store: the base with npm in it."""
    folder = ground / "contrib-base"
    folder.mkdir()
    subprocess.run(["npm", "pack", "--silent", "npm@10"], cwd=folder, check=True, capture_output=True)
    link = "ln -s ../lib/package/bin/npm-cli.js /usr/bin/npm"
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nADD npm-*.tgz /usr/lib/\nRUN {link}\n")
    bench.built("-t", "with-npm", ".", cwd=folder)
    return "with-npm"


def ran(bench: Bench, docker_host: str, name: str, work: Path) -> str:
    """What a container of the image prints."""
    archive = work / "image.tar"
    done = bench.img("save", "-o", str(archive), name, cwd=work)
    assert done.returncode == 0, done.stderr
    docker = [builders.DOCKER, "-H", docker_host]
    subprocess.run([*docker, "load", "-q", "-i", str(archive)], check=True, capture_output=True)
    argv = [*docker, "run", "--rm", "--network", "none", name]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def files(bench: Bench, *words: str, work: Path) -> dict[str, bytes]:
    """The first bytes of each file of the image that a build makes, by path."""
    path = work / "root.tar"
    bench.built(*words, "-o", f"type=tar,dest={path}", ".", cwd=work)
    with tarfile.open(path) as archive:
        members = [member for member in archive if not member.isdir()]
        opened = {member.name: archive.extractfile(member) if member.isreg() else None for member in members}
        return {name: b"" if stream is None else stream.read(1 << 16) for name, stream in opened.items()}


def titles(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [title for title in builders.ran(done) if "install" in title or "npm" in title]


def test_they_pass_their_own_tests(bench: Bench, work: Path) -> None:
    folders = [str(ROOT / "contrib" / name / "tests") for name in PACKAGES]
    argv = [str(bench.venv / "bin" / "python"), "-m", "pytest", "-q", "-W", "error", "-c", os.devnull]
    argv += ["-p", "no:cacheprovider", f"--rootdir={work}", "--import-mode=importlib", *folders]
    done = subprocess.run(argv, cwd=work, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    for wheel in bench.wheels.glob("*.whl"):
        names = zipfile.ZipFile(wheel).namelist()
        assert any(name.endswith("/py.typed") for name in names), wheel
        assert not any("tests/" in name for name in names), wheel


def test_a_base_from_the_archive(bench: Bench, base: str, work: Path) -> None:
    """One address is one base, wherever it is written; a second build asks nobody."""
    (work / "img.yaml").write_text(f'from: "{BASE}"\nsteps: [{{run: dpkg --audit}}]\n')
    (work / "Dockerfile").write_text("FROM base\nCOPY --from=base /etc/debian_version /v\n")
    offline = ["--offline", "-o"]
    facts = [work / "1.json", work / "2.json"]
    bench.built(*offline, f"type=config,dest={facts[0]}", "-f", "img.yaml", ".", cwd=work)
    turned = BASE.replace("ca-certificates,nodejs", "nodejs,ca-certificates")
    bench.built(*offline, f"type=config,dest={facts[1]}", "--build-context", f"base={turned}", ".", cwd=work)
    histories = [json.loads(path.read_text())[0]["history"][0] for path in facts]
    assert histories[0] == histories[1] and histories[0]["comment"] == "img-debian"
    refused = bench.img("build", "--build-context", "base=deb://bookworm?includes=x", ".", cwd=work)
    assert refused.returncode == 1 and "Dockerfile:1:6" in refused.stderr, refused.stderr
    assert "there is no option 'includes'" in refused.stderr


def test_what_is_not_of_the_image_is_not_in_it(bench: Bench, base: str, work: Path) -> None:
    (work / "Dockerfile").write_text(f"FROM {BASE}\n")
    found = files(bench, "--offline", work=work)
    assert "etc/debian_version" in found and "usr/bin/node" in found
    assert not {"etc/hostname", "etc/resolv.conf"} & set(found)
    assert [name for name in found if name.startswith("etc/apt/sources.list")] == [
        "etc/apt/sources.list.d/debian.sources"
    ]
    assert not [name for name in found if name.startswith(("dev/", "var/lib/apt/lists/", "var/cache/apt/"))]


def test_a_python_project(bench: Bench, base: str, docker_host: str, work: Path) -> None:
    (work / "hello").mkdir()
    program = "import os, itsdangerous\ndef main(): print('python', itsdangerous.__name__, os.getuid())\n"
    (work / "hello" / "__init__.py").write_text(program)
    (work / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "hello"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["itsdangerous"]\n'
        f'[project.scripts]\nhello = "hello:main"\n[tool.img-python]\nbase = "{BASE}"\n'
    )
    subprocess.run([str(bench.venv / "bin" / "uv"), "lock", "-q", "--native-tls"], cwd=work, check=True)
    first = bench.built("--frontend", "python", "-t", "hello", ".", cwd=work)
    assert len(titles(first)) == 2, titles(first)
    assert ran(bench, docker_host, "hello", work) == "python itsdangerous 10001\n"
    (work / "hello" / "__init__.py").write_text(f"{program}# more\n")
    again = bench.built("-f", "pyproject.toml", ".", cwd=work)
    (project,) = titles(again)
    assert "--prefix /opt/project" in project
    found = files(bench, "-f", "pyproject.toml", work=work)
    assert "opt/venv/bin/hello" in found and "opt/venv/bin/pip" not in found
    assert not [name for name in found if name.startswith(("root/.cache", "tmp/"))]
    codes = [data[4:8] for name, data in found.items() if name.startswith("opt/") and name.endswith(".pyc")]
    assert codes and set(codes) == {b"\1\0\0\0"}, "PEP 552: hashed, not checked"


def test_a_node_project(bench: Bench, base: str, docker_host: str, work: Path) -> None:
    package = {
        "name": "odd",
        "version": "1.0.0",
        "scripts": {"start": "node server.js", "build": "node build.js"},
        "dependencies": {"is-odd": "^3.0.1"},
        "devDependencies": {"is-even": "^1.0.0"},
        "img-node": {"base": BASE, "build-base": base},
    }
    (work / "package.json").write_text(json.dumps(package))
    (work / "server.js").write_text(
        "console.log('node', require('is-odd')(3), require('./made').even, process.getuid())"
    )
    build = "const even = require('is-even')(2); require('fs').writeFileSync('made.json', JSON.stringify({even}))"
    (work / "build.js").write_text(build)
    subprocess.run(["npm", "install", "--package-lock-only"], cwd=work, check=True, capture_output=True)
    first = bench.built("--frontend", "node", "-t", "odd", ".", cwd=work)
    assert sum("npm ci" in title for title in titles(first)) == 2
    assert ran(bench, docker_host, "odd", work) == "node true true 10001\n"
    (work / "server.js").write_text("console.log('other')")
    again = bench.built("-f", "package.json", ".", cwd=work)
    assert titles(again) == ["RUN npm run build && rm -rf node_modules"]
    found = files(bench, "-f", "package.json", work=work)
    assert "app/node_modules/is-odd/package.json" in found
    assert "app/node_modules/is-even/package.json" not in found
    assert not [name for name in found if "npmrc" in name or b"hush-hush" in found[name]]


def test_a_reporter_and_an_exporter(bench: Bench, work: Path) -> None:
    (work / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /a\nENV A=1\n")
    done = bench.img("build", "--progress", "dots", "-o", "type=config,dest=c.json", ".", cwd=work)
    assert done.returncode == 0 and done.stderr.startswith(".\n"), done.stderr
    assert "A=1" in json.loads((work / "c.json").read_text())[0]["config"]["Env"]


def test_img_works_without_each(bench: Bench, work: Path) -> None:
    """Last, since nothing is left."""
    (work / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /a\n")
    for name, (kind, offer) in PACKAGES.items():
        assert [kind, offer] in [line.split()[:2] for line in bench.img("plugins", cwd=work).stdout.splitlines()]
        bench.pip("uninstall", "-y", name)
        listed = bench.img("plugins", cwd=work)
        assert listed.returncode == 0 and name not in listed.stdout, listed.stdout
        done = bench.img("build", "-t", "x", ".", cwd=work)
        assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    (work / "Dockerfile").write_text("FROM deb://bookworm\n")
    gone = bench.img("build", ".", cwd=work)
    assert gone.returncode == 1 and "Dockerfile:1:6" in gone.stderr
    assert "no source named 'deb' is installed that has some" in gone.stderr
    frontend = bench.img("build", "--frontend", "python", ".", cwd=work)
    assert frontend.returncode == 2 and "no frontend named 'python' is installed" in frontend.stderr
