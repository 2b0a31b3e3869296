"""The five apps of `tests.documents.apps` as programs: each takes the base's name and the folder with the app's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import img
from img import State, mount


def script(base: str, folder: Path) -> State:
    here = img.local(folder)
    return (
        img.image(base)
        .workdir("/app")
        .copy(here, "requirements.txt", to="./")
        .run("cat requirements.txt > installed")
        .copy(here, ".", to=".")
        .cmd(["sh", "app.sh"])
    )


def stages(base: str, folder: Path) -> State:
    greeting = "hello"
    build = img.image(base).env({"WHERE": "/out dir", "PLAIN": "yes"}).arg("GREETING", greeting)
    build = build.run('mkdir -p "$WHERE" && echo "$GREETING" > "$WHERE/app"')
    return (
        img.image(base)
        .copy(build, "/out dir/app", to="/usr/local/bin/app", owner="1000:1000", mode=0o755)
        .user("1000")
        .expose(8080, "53/udp")
        .label({"org.example.title": "An app", "version": "1"})
        .healthcheck("test -e /usr/local/bin/app", interval=30, retries=2)
        .entrypoint(["/usr/local/bin/app"])
    )


def mounts(base: str, folder: Path) -> State:
    tools = img.image(base).run("echo tool > /tool")
    return (
        img.image(base)
        .run(
            "cat /mnt/tool > /made && echo kept > /cache/kept",
            mounts=[
                mount.cache("/cache", sharing="locked"),
                mount.bind(tools, "/mnt/tool", path="/tool"),
                mount.tmpfs("/scratch"),
            ],
            network="none",
        )
        .run(["cp", "/src/a", "/a"], mounts=[mount.bind(img.local(folder), "/src", path="/src", writable=True)])
        .volume("/data")
        .stop_signal("SIGINT")
        .cmd("cat /made")
    )


def written(base: str, folder: Path) -> State:
    return (
        img.image(base)
        .shell(["/bin/sh", "-ec"])
        .env(A="1")
        .write("/etc/app.conf", "price = $5\n")
        .write("/etc/expanded", "a is 1\n", mode=0o600)
        .run("echo one > /one\necho two > /two\n")
        .run("#!/bin/sh\necho three > /three\n")
        .env(QUOTED='say "hi"', DOLLAR="$HOME", BACK="a\\b")
        .copy(img.local(folder), "archive.txt", to="/opt/", unpack=True, link=True)
    )


def chosen(base: str, folder: Path) -> State:
    flavour, extra = "small", "more"
    app = img.image(base).arg("NAME", f"{flavour}-app").arg("EXTRA", extra).run('echo "$NAME $EXTRA" > /name')
    return app.onbuild("RUN echo triggered").author("Someone <someone@example.org>")


PROGRAMS: dict[str, Callable[[str, Path], State]] = {
    "script": script,
    "stages": stages,
    "mounts": mounts,
    "written": written,
    "chosen": chosen,
}
