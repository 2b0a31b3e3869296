"""The tutorial's program runs, and the reference has every name."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import img
from img.api.building import Build
from img.api.options import BuildOptions
from img.ir import mounting

DOCS = Path(__file__).parents[3] / "docs"
PROGRAM = DOCS / "tutorial" / "python-example" / "build.py"


def test_the_program_of_the_tutorial_serves_its_site(tmp_path: Path) -> None:
    text = PROGRAM.read_text()
    assert text in (DOCS / "tutorial" / "python.md").read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 24
    shutil.copytree(PROGRAM.parent, tmp_path / "example")
    store, names = tmp_path / "store", tmp_path / "names"
    base = img.scratch().copy(img.local("/bin", ignore=[]), "busybox", to="/bin/busybox").env(PATH="/bin")
    base = base.run(["/bin/busybox", "--install", "/bin"])
    img.build(base, root=store, tag="busybox:1.36")
    argv = [sys.executable, str(tmp_path / "example" / "build.py")]
    env = {"IMG_ROOT": str(store), "HOME": str(names), "PYTHONPATH": ":".join(filter(None, sys.path))}
    first = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.partition(":")[0] for line in first[:2]] == ["WORKDIR /site", "COPY *.txt ./"] and len(first) == 5
    again = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    assert again == first[-1:]
    found = img.inspect("site:1", root=store)
    assert found.user == "1000" and found.digest == again[0]
    serve = f"{' '.join(found.cmd[:1] + found.cmd[2:])} && wget -qO- http://127.0.0.1:8000/about.html > /tmp/seen"
    served = img.image("site:1").user("0").run(f"mkdir -p /tmp && {serve}", network="none")
    img.build(served, root=store, outputs=img.output("local", tmp_path / "out"))
    assert (tmp_path / "out" / "tmp" / "seen").read_text() == "<h1>About</h1>\n<p>Each page is one text file.</p>\n"


def test_the_reference_has_every_name() -> None:
    text = (DOCS / "reference" / "python.md").read_text()
    words = set(re.findall(r"[a-z_]+", text, re.I))
    plugins = {"hookimpl", "Offer", "Setting"}
    assert (
        set(img.__all__) - plugins - {"Files", "ImgError", "Options", "StepOutcome", "StoredImage", "__version__"}
        <= words
    )
    for kind in (img.State, Build, img.ImageInfo):
        public = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
        hidden = {
            "base",
            "operations",
            "contexts",
            "lower",
            "definition",
            "entrypoint",
            "user",
            "workdir",
            "size",
            "name",
        }
        assert public - hidden <= words, public - words
    assert set(BuildOptions.__annotations__) <= words
    made = {thing for thing in vars(mounting).values() if inspect.isfunction(thing)}
    ours = {one.__name__ for one in made if one.__module__ == mounting.__name__ and not one.__name__.startswith("_")}
    assert ours <= words
