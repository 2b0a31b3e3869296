"""What a type checker tells the users of ``import img``: nothing for right programs, the line for wrong ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

RIGHT = """
from __future__ import annotations
from collections.abc import Sequence
from pathlib import Path
import img
from img import mount

class Watch:
    def handle(self, event: img.events.Event) -> None:
        if isinstance(event, img.events.StepLog):
            data: bytes = event.data
    def close(self) -> None: ...

def app(tools: img.State) -> img.State:
    return (
        img.image("debian").env({"A": "1"}, B="2").workdir("/srv")
        .run("make", mounts=[mount.cache("/c"), mount.bind(img.local(Path(".")), "/src"), mount.secret("token", env="T")])
        .run(["make", "install"], network="none")
        .copy(tools, "/tool", to="/bin/", owner="1:1", mode=0o755, link=True)
        .copy(img.git("https://host/x.git"), to="/git").copy(img.http("https://host/a"), to="/a")
        .write("/f", b"data").expose(80, "53/udp").healthcheck(None).cmd("run")
    )

def main() -> str:
    result: img.BuildResult = img.build(
        app(img.scratch()), tag=["a", "b"], outputs=[img.output("oci", "a.tar", force_compression=True)],
        secrets={"a": "text", "b": b"bytes", "c": Path("file")}, credentials={"host": ("u", "p")}, observers=[Watch()],
        platform=["linux/amd64"], epoch=0,
    )
    steps: Sequence[img.StepOutcome] = result.steps
    return result.digest + steps[0].title

async def later() -> tuple[img.BuildResult, str]:
    with img.start(img.Request(context="."), root="store") as running:
        async for event in running:
            if isinstance(event, img.events.StepDone):
                seconds: float = event.seconds
        for event in running:
            pass
    try:
        return await running, (await img.build_async(app(img.scratch()))).image_id
    except img.errors.StepFailed as error:
        return running.result(5), str(error.status) + error.hint

info: img.ImageInfo = img.inspect("docker://debian", settings=img.environment())
name: str = img.tag("a", "b") + img.push("b") + img.copy("b", "oci:x") + info.env["PATH"]

@img.hookimpl
def img_offers() -> list[img.Offer]:
    return [img.Offer("exporter", "x", "help", "m:a")]
"""

WRONG = """
import img
img.bild(img.scratch())  # E: attr-defined
img.build("Dockerfile")  # E: arg-type
img.build(img.scratch(), tags="x")  # E: call-arg
img.build(img.scratch(), epoch="now")  # E: arg-type
img.build(img.scratch(), secrets={"a": 5})  # E: dict-item
img.scratch().run(5)  # E: arg-type
img.scratch().copy("src", to="/")  # E: arg-type
img.scratch().copy(img.local("."))  # E: call-arg
img.scratch().run("x", mounts=["/cache"])  # E: list-item
img.build(img.scratch()).digst  # E: attr-defined
img.Offer("exporters", "x", "help", "m:a")  # E: arg-type
x: int = img.push("a")  # E: assignment
"""


def checked(folder: Path, text: str) -> tuple[int, str]:
    (folder / "program.py").write_text(text)
    argv = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "program.py"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=280)
    return done.returncode, done.stdout + done.stderr


def test_programs_are_checked(tmp_path: Path) -> None:
    status, told = checked(tmp_path, RIGHT)
    assert (status, told) == (0, "")
    status, told = checked(tmp_path, WRONG)
    found = {(int(line), code) for line, code in re.findall(r"program\.py:(\d+): error: .*\[([\w-]+)\]", told)}
    wanted = {
        (number, line.partition("# E: ")[2]) for number, line in enumerate(WRONG.split("\n"), 1) if "# E: " in line
    }
    assert found == wanted, told
