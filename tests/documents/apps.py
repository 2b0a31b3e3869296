"""Five apps, each written as a Dockerfile, in YAML and in TOML: one image. They stand on the bases of the real tests."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class App(NamedTuple):
    """One app; `files` are its context."""

    dockerfile: str
    yaml: str
    toml: str
    files: dict[str, str]
    args: Mapping[str, str] = MappingProxyType({})


SCRIPT = App(
    """\
FROM BASE
WORKDIR /app
COPY requirements.txt ./
RUN cat requirements.txt > installed
COPY . .
CMD ["sh", "app.sh"]
""",
    """\
from: BASE
workdir: /app
steps:
  - copy: [requirements.txt, ./]
  - run: cat requirements.txt > installed
  - copy: [., .]
cmd: [sh, app.sh]
""",
    """\
from = "BASE"
workdir = "/app"
steps = [
    { copy = ["requirements.txt", "./"] },
    { run = "cat requirements.txt > installed" },
    { copy = [".", "."] },
]
cmd = ["sh", "app.sh"]
""",
    {"requirements.txt": "one\n", "app.sh": "echo hello\n"},
)

STAGES = App(
    """\
ARG GREETING=hello
FROM BASE AS build
ARG GREETING
ENV WHERE="/out dir" PLAIN=yes
RUN mkdir -p "$WHERE" && echo "$GREETING" > "$WHERE/app"
FROM BASE AS final
COPY --from=build --chown=1000:1000 --chmod=0755 ["/out dir/app", "/usr/local/bin/app"]
USER 1000
EXPOSE 8080 53/udp
LABEL org.example.title="An app" version=1
HEALTHCHECK --interval=30s --retries=2 CMD test -e /usr/local/bin/app
ENTRYPOINT ["/usr/local/bin/app"]
""",
    """\
args:
  GREETING: hello
stages:
  build:
    from: BASE
    arg: GREETING
    env: {WHERE: /out dir, PLAIN: "yes"}
    steps:
      - run: mkdir -p "$WHERE" && echo "$GREETING" > "$WHERE/app"
  final:
    from: BASE
    steps:
      - copy:
          from: build
          paths: /out dir/app
          to: /usr/local/bin/app
          owner: 1000:1000
          mode: 0755
    user: 1000
    expose: [8080, 53/udp]
    labels: {org.example.title: An app, version: 1}
    healthcheck: {command: test -e /usr/local/bin/app, interval: 30s, retries: 2}
    entrypoint: [/usr/local/bin/app]
""",
    """\
[args]
GREETING = "hello"

[stages.build]
from = "BASE"
arg = "GREETING"
env = { WHERE = "/out dir", PLAIN = "yes" }

[[stages.build.steps]]
run = 'mkdir -p "$WHERE" && echo "$GREETING" > "$WHERE/app"'

[stages.final]
from = "BASE"
user = "1000"
expose = [8080, "53/udp"]
labels = { "org.example.title" = "An app", version = 1 }
healthcheck = { command = "test -e /usr/local/bin/app", interval = "30s", retries = 2 }
entrypoint = ["/usr/local/bin/app"]

[[stages.final.steps]]
[stages.final.steps.copy]
from = "build"
paths = ["/out dir/app"]
to = "/usr/local/bin/app"
owner = "1000:1000"
mode = "0755"
""",
    {},
)

MOUNTS = App(
    """\
FROM BASE AS tools
RUN echo tool > /tool
FROM BASE
RUN --mount=type=cache,target=/cache,sharing=locked --mount=type=bind,from=tools,source=/tool,target=/mnt/tool \\
    --mount=type=tmpfs,target=/scratch --network=none \\
    cat /mnt/tool > /made && echo kept > /cache/kept
RUN --mount=type=bind,source=src,target=/src,readwrite ["cp", "/src/a", "/a"]
VOLUME /data
STOPSIGNAL SIGINT
CMD cat /made
""",
    """\
stages:
  app:
    from: BASE
    steps:
      - run:
          command: cat /mnt/tool > /made && echo kept > /cache/kept
          mounts:
            - cache: {target: /cache, sharing: locked}
            - bind: {from: tools, source: /tool, target: /mnt/tool}
            - tmpfs: /scratch
          network: none
      - run:
          command: [cp, /src/a, /a]
          mounts:
            - bind: {source: src, target: /src, writable: true}
    volumes: /data
    stopsignal: SIGINT
    cmd: cat /made
  tools:
    from: BASE
    steps:
      - run: echo tool > /tool
default: app
""",
    """\
default = "app"

[stages.tools]
from = "BASE"
steps = [{ run = "echo tool > /tool" }]

[stages.app]
from = "BASE"
volumes = ["/data"]
stopsignal = "SIGINT"
cmd = "cat /made"

[[stages.app.steps]]
[stages.app.steps.run]
command = "cat /mnt/tool > /made && echo kept > /cache/kept"
network = "none"
mounts = [
    { cache = { target = "/cache", sharing = "locked" } },
    { bind = { from = "tools", source = "/tool", target = "/mnt/tool" } },
    { tmpfs = "/scratch" },
]

[[stages.app.steps]]
[stages.app.steps.run]
command = ["cp", "/src/a", "/a"]
mounts = [{ bind = { source = "src", target = "/src", writable = true } }]
""",
    {"src/a": "bytes\n"},
)

WRITTEN = App(
    """\
FROM BASE
SHELL ["/bin/sh", "-ec"]
ENV A=1
COPY <<"EOF" /etc/app.conf
price = $5
EOF
COPY --chmod=0600 <<EOF /etc/expanded
a is $A
EOF
RUN <<EOF
echo one > /one
echo two > /two
EOF
RUN <<EOF
#!/bin/sh
echo three > /three
EOF
ENV QUOTED="say \\"hi\\"" DOLLAR=\\$HOME BACK='a\\b'
ADD --link archive.txt /opt/
""",
    """\
from: BASE
shell: [/bin/sh, -ec]
env: {A: 1}
steps:
  - write:
      path: /etc/app.conf
      text: |
        price = $5
  - write:
      path: /etc/expanded
      mode: "0600"
      expand: true
      text: |
        a is $A
  - run: |
      echo one > /one
      echo two > /two
  - run: |
      #!/bin/sh
      echo three > /three
  - env:
      QUOTED: say "hi"
      DOLLAR: \\$HOME
      BACK: a\\b
  - add: {paths: archive.txt, to: /opt/, link: true}
""",
    """\
from = "BASE"
shell = ["/bin/sh", "-ec"]
env.A = 1
steps = [
    { write = { path = "/etc/app.conf", text = "price = $5\\n" } },
    { write = { path = "/etc/expanded", mode = "0600", expand = true, text = "a is $A\\n" } },
    { run = "echo one > /one\\necho two > /two\\n" },
    { run = "#!/bin/sh\\necho three > /three\\n" },
    { env = { QUOTED = 'say "hi"', DOLLAR = '\\$HOME', BACK = 'a\\b' } },
    { add = { paths = ["archive.txt"], to = "/opt/", link = true } },
]
""",
    {"archive.txt": "not a tar\n"},
)

CHOSEN = App(
    """\
ARG FLAVOUR=small
ARG NAME="${FLAVOUR}-app"
FROM BASE AS small
FROM small AS chosen
ARG NAME
ARG EXTRA=none
RUN echo "$NAME $EXTRA" > /name
ONBUILD RUN echo triggered
MAINTAINER Someone <someone@example.org>
""",
    """\
args:
  FLAVOUR: {type: choice, choices: [small, large], default: small}
  NAME: ${FLAVOUR}-app
stages:
  small:
    from: BASE
  chosen:
    from: small
    steps:
      - arg: NAME
      - arg: {EXTRA: none}
      - run: echo "$NAME $EXTRA" > /name
      - run: echo never
        when: {FLAVOUR: large}
    onbuild: RUN echo triggered
    maintainer: Someone <someone@example.org>
""",
    """\
[args]
FLAVOUR = { type = "choice", choices = ["small", "large"], default = "small" }
NAME = "${FLAVOUR}-app"

[stages.small]
from = "BASE"

[stages.chosen]
from = "small"
onbuild = "RUN echo triggered"
maintainer = "Someone <someone@example.org>"
steps = [
    { arg = "NAME" },
    { arg = { EXTRA = "none" } },
    { run = 'echo "$NAME $EXTRA" > /name' },
    { run = "echo never", when = { FLAVOUR = "large" } },
]
""",
    {},
    {"EXTRA": "more"},
)
APPS = {"script": SCRIPT, "stages": STAGES, "mounts": MOUNTS, "written": WRITTEN, "chosen": CHOSEN}
