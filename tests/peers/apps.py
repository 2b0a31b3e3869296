"""Applications that tests and benchmarks build: each function fills a context folder and returns it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def c_program(folder: Path, debian: str, busybox: str) -> Path:
    (folder / "hello.c").write_text('#include <stdio.h>\nint main(void) { puts("hello from c"); return 0; }\n')
    (folder / "Dockerfile").write_text(
        f"""FROM {debian} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY hello.c .
RUN gcc -static -O2 -o hello hello.c

FROM {busybox}
COPY --from=build /src/hello /bin/hello
CMD ["/bin/hello"]
"""
    )
    return folder


def python_app(folder: Path, debian: str, busybox: str) -> Path:
    """pip needs the machine's own settings if it has any: they go into the context, and from there to /etc."""
    config = Path("/etc/pip.conf")
    certificate = os.environ.get("PIP_CERT") or "/etc/ssl/certs/ca-certificates.crt"
    lines = [line for line in config.read_text().splitlines() if "file:" not in line] if config.exists() else []
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")
    shutil.copy(certificate, folder / "ca.crt")
    (folder / "app.py").write_text("import itsdangerous\nprint('hello from python', itsdangerous.__name__)\n")
    (folder / "requirements.txt").write_text("itsdangerous\n")
    (folder / "Dockerfile").write_text(
        f"""FROM {debian}
RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal python3-pip
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
WORKDIR /app
COPY requirements.txt .
RUN pip3 install --break-system-packages --no-cache-dir --no-compile -r requirements.txt
COPY app.py .
CMD ["python3", "app.py"]
"""
    )
    return folder


def files_only(folder: Path, debian: str, busybox: str) -> Path:
    tree = folder / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "plain").write_text("plain")
    os.link(tree / "plain", tree / "sub" / "hard")
    (tree / "soft").symlink_to("plain")
    (tree / "dangling").symlink_to("/nowhere/at/all")
    (tree / "setuid").write_text("x")
    (tree / "setuid").chmod(0o4755)
    (tree / "empty").mkdir()
    (tree / "sub").chmod(0o2775)
    os.setxattr(tree / "plain", "user.note", b"value")
    with open(os.fsencode(tree) + b"/not-utf8-\xff\xfe", "w") as out:
        out.write("odd name")
    (tree / ("long" * 40)).mkdir()
    (tree / ("long" * 40) / ("name" * 40)).write_text("long")
    subprocess.run(["tar", "czf", folder / "archive.tar.gz", "-C", tree, "."], check=True)
    (folder / "Dockerfile").write_text(
        "FROM scratch\nCOPY tree /copied\nCOPY tree/plain tree/soft /files/\nADD archive.tar.gz /added/\n"
        "COPY --chown=7:8 --chmod=640 tree/plain /owned\nCOPY tree/*id /wild/\n"
    )
    return folder
