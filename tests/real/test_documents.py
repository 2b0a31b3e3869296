"""Five apps on real bases, each as a Dockerfile, in YAML, in TOML and as a program, built from nothing: one image digest.
Converted with ``img convert`` to each other form they stay that image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import img
from tests.documents.apps import APPS, App
from tests.documents.programs import PROGRAMS
from tests.peers import builders, flatten

pytestmark = pytest.mark.real

FILES = {"dockerfile": "Dockerfile", "yaml": "img.yaml", "toml": "img.toml"}
EPOCH = "SOURCE_DATE_EPOCH=1700000000"
OUTPUT = "type=image,name=app:1,rewrite-timestamp=true"
IGNORED = ".dockerignore\nDockerfile\nimg.*\n"


def context(app: App, work: Path, form: str, text: str) -> Path:
    """A folder with the app's files and one build file."""
    folder = work / f"{form}-{len(list(work.iterdir()))}"
    for name, content in {**app.files, FILES[form]: text, ".dockerignore": IGNORED}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def digest(app: App, work: Path, form: str, text: str) -> str:
    """The digest of the app's image, built in a store of its own."""
    folder = context(app, work, form, text)
    facts = work / f"{folder.name}.json"
    given = [word for name, value in app.args.items() for word in ("--build-arg", f"{name}={value}")]
    words = ["build", "--build-arg", EPOCH, *given, "-o", OUTPUT, "--metadata-file", str(facts), str(folder)]
    done = builders.img(*words, root=work / f"{folder.name}-store")
    assert done.returncode == 0, done.stderr[-3000:]
    found: str = json.loads(facts.read_text())["containerimage.digest"]
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", APPS)
def test_one_digest(name: str, busybox: str, debian: str, work: Path) -> None:
    app = APPS[name]
    base = debian if name == "script" else busybox
    texts = {form: getattr(app, form).replace("BASE", base) for form in FILES}
    wanted = digest(app, work, "dockerfile", texts["dockerfile"])
    assert wanted.startswith("sha256:")
    for form in ("yaml", "toml"):
        assert digest(app, work, form, texts[form]) == wanted, form
        folder = context(app, work, "dockerfile", texts["dockerfile"])
        there = builders.img("convert", "--to", form, str(folder / "Dockerfile"), root=work / "store")
        assert there.returncode == 0, there.stderr
        assert digest(app, work, form, there.stdout) == wanted, there.stdout
    output = img.output("image", name="app:1", rewrite_timestamp=True)
    made = img.build(PROGRAMS[name](base, folder), root=work / "program-store", epoch=1700000000, outputs=output)
    assert made.digest == wanted


@pytest.mark.timeout(300)
def test_steps_that_no_dockerfile_has(busybox: str, work: Path) -> None:
    text = f"""\
from: {busybox}
steps:
  - mkdir: {{path: /srv/deep, owner: "5:6", mode: "0750"}}
  - link: {{path: /srv/link, target: deep}}
  - write: {{path: /srv/gone, text: x}}
  - remove: /srv/gon?
  - remove: {{path: /srv/never, missing-ok: true}}
  - run: test -L /srv/link && test ! -e /srv/gone && ls -ld /srv/deep > /seen
"""
    folder = context(App("", "", "", {}), work, "yaml", text)
    layout = work / "layout"
    done = builders.img("build", "-o", f"type=oci,tar=false,dest={layout}", str(folder), root=work / "store")
    assert done.returncode == 0, done.stderr[-3000:]
    found = flatten.flatten(f"oci:{layout}", work / "flat")
    assert found.files["srv/deep"].mode & 0o7777 == 0o750
    assert (found.files["srv/deep"].uid, found.files["srv/deep"].gid) == (5, 6)
    assert "srv/link" in found.files
    assert "srv/gone" not in found.files
    again = builders.img("build", "--progress", "json", str(folder), root=work / "store")
    assert again.returncode == 0 and builders.ran(again) == []


def test_a_project(busybox: str, work: Path) -> None:
    """The table tool.img of a pyproject.toml is a build file, and mistakes in it have the place there."""
    text = f'[project]\nname = "x"\n\n[tool.img]\nfrom = "{busybox}"\nstepz = []\n'
    (work / "pyproject.toml").write_text(text)
    done = builders.img("build", "-f", str(work / "pyproject.toml"), str(work), root=work / "store")
    assert done.returncode == 1
    assert "pyproject.toml:6:1\n" in done.stderr
    assert "tool.img.stepz: unknown key 'stepz'" in done.stderr
    assert "did you mean steps?" in done.stderr


def test_bake_makes_what_is_shared_once(busybox: str, work: Path) -> None:
    text = f"""\
stages:
  base: {{from: {busybox}, steps: [{{run: echo shared > /shared}}]}}
  one: {{from: base, arg: [N=0], steps: [{{run: echo $N > /n}}]}}
  two: {{from: base, steps: [{{run: cat /shared > /two}}]}}
targets:
  first: {{stage: one, args: {{N: 1}}, tags: "first:1"}}
  second: {{stage: two, tags: "second:1"}}
"""
    (work / "img.yaml").write_text(text)
    build = "{context: ., dockerfile: img.yaml, target: two}"
    compose = f"services:\n  a:\n    image: third:1\n    build: {build}\n  b: {{image: x}}\n"
    (work / "compose.yaml").write_text(compose)
    store = work / "store"
    shown = builders.img("bake", "--print", "--set", "first.args.N=7", "first", root=store, cwd=work)
    assert json.loads(shown.stdout)["target"]["first"]["args"] == {"N": "7"}, shown.stderr
    done = builders.img("bake", "--progress", "json", root=store, cwd=work)
    assert done.returncode == 0, done.stderr[-3000:]
    ran = [title for title in builders.ran(done) if title.startswith("RUN")]
    assert sorted(ran) == ["RUN cat /shared > /two", "RUN echo $N > /n", "RUN echo shared > /shared"]
    again = builders.img("bake", "-f", "compose.yaml", "--progress", "json", root=store, cwd=work)
    assert again.returncode == 0 and builders.ran(again) == [], again.stderr[-3000:]
    listed = builders.img("ls", root=store).stdout
    assert all(name in listed for name in ("first", "second", "third"))
    refused = builders.img("bake", "-f", "docker-bake.hcl", root=store, cwd=work)
    assert refused.returncode == 2 and "--print > docker-bake.json" in refused.stderr
