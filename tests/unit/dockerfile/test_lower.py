"""From Dockerfiles to graphs, configurations and histories, with a resolver that knows one image."""

from __future__ import annotations

import pytest

from img.errors import FrontendError, NotFound
from img.ir.definition import Advice, Target
from img.ir.nodes import Copy, Exec, Mkdir, Scratch, Source, Write
from img.ir.values import Bind, CacheDir, Network, Sharing, Tmpfs
from img.ir.walk import chain, topological
from img.ports import BaseImage, FrontendRequest
from img_frontends.dockerfile.lower import lower

BASE = Source("docker-image", "docker.io/library/base:1@sha256:" + "1" * 64, (("platform", "linux/amd64"),))


class Resolver:
    def __init__(self, config: dict[str, object] | None = None, files: dict[str, bytes] | None = None) -> None:
        self._config = config or {"Env": ["PATH=/bin", "B=base"], "Cmd": ["sh"]}
        self._files = files or {}

    def image(self, ref: str, platform: str) -> BaseImage:
        if not ref.startswith("base"):
            raise NotFound(f"there is no {ref}")
        image = {
            "architecture": "amd64",
            "os": "linux",
            "config": self._config,
            "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "base"}],
        }
        return BaseImage(BASE, image, 1)

    def context_file(self, path: str) -> bytes | None:
        return self._files.get(path)


def target(text: str, resolver: Resolver | None = None, **how: object) -> Target:
    request = FrontendRequest("Dockerfile", text.encode(), build_platform="linux/amd64", **how)  # type: ignore[arg-type]
    return lower(request, resolver or Resolver()).targets[0]


def config(text: str, **how: object) -> dict[str, object]:
    return target(f"FROM base\n{text}", **how).config["config"]  # type: ignore[no-any-return]


def history(text: str, **how: object) -> list[str]:
    return [entry["created_by"] for entry in target(f"FROM base\n{text}", **how).config["history"][1:]]


CONFIG = [
    ("ENV A=1", "Env", ["PATH=/bin", "B=base", "A=1"]),
    ("ENV B=2", "Env", ["PATH=/bin", "B=2"]),
    ("ENV A=$B", "Env", ["PATH=/bin", "B=base", "A=base"]),
    ("ENV A=1 C=$A", "Env", ["PATH=/bin", "B=base", "A=1", "C="]),
    ("ARG A=1\nENV C=$A", "Env", ["PATH=/bin", "B=base", "C=1"]),
    ("CMD a b", "Cmd", ["/bin/sh", "-c", "a b"]),
    ('CMD ["a", "b"]', "Cmd", ["a", "b"]),
    ("CMD a\nCMD b", "Cmd", ["/bin/sh", "-c", "b"]),
    ('ENTRYPOINT ["x"]', "Entrypoint", ["x"]),
    ('ENTRYPOINT ["x"]', "Cmd", None),
    ('CMD a\nENTRYPOINT ["x"]', "Cmd", ["/bin/sh", "-c", "a"]),
    ('SHELL ["/bin/bash", "-c"]\nCMD a', "Cmd", ["/bin/bash", "-c", "a"]),
    ("USER a:b", "User", "a:b"),
    ("WORKDIR /a\nWORKDIR b\nWORKDIR ../c", "WorkingDir", "/a/c"),
    ("WORKDIR $B", "WorkingDir", "/base"),
    ("EXPOSE 80 81/udp 90-91", "ExposedPorts", {"80/tcp": {}, "81/udp": {}, "90/tcp": {}, "91/tcp": {}}),
    ('VOLUME /a\nVOLUME ["/b c"]', "Volumes", {"/a": {}, "/b c": {}}),
    ("STOPSIGNAL SIGINT", "StopSignal", "SIGINT"),
    ("LABEL a=b 'c d'=\"e f\"", "Labels", {"a": "b", "c d": "e f"}),
    ("HEALTHCHECK NONE", "Healthcheck", {"Test": ["NONE"]}),
    ("HEALTHCHECK CMD x y", "Healthcheck", {"Test": ["CMD-SHELL", "x y"]}),
    (
        'HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD ["x"]',
        "Healthcheck",
        {"Test": ["CMD", "x"], "Interval": 90 * 10**9, "Timeout": 5 * 10**8, "Retries": 3},
    ),
    ("ONBUILD RUN x", "OnBuild", ["RUN x"]),
]


@pytest.mark.parametrize(("text", "key", "value"), CONFIG)
def test_config(text: str, key: str, value: object) -> None:
    assert config(text).get(key) == value


HISTORY = [
    ("RUN make  all", "RUN /bin/sh -c make  all # buildkit"),
    ('RUN ["a", "b"]', "RUN a b # buildkit"),
    ("ARG X=1\nRUN a", "RUN |1 X=1 /bin/sh -c a # buildkit"),
    ("COPY a b /c/", "COPY a b /c/ # buildkit"),
    ("COPY --chown=1:2 --chmod=644 a /c", "COPY --chown=1:2 --chmod=644 a /c # buildkit"),
    ("ADD a /c", "ADD a /c # buildkit"),
    ("WORKDIR x", "WORKDIR /x # buildkit"),
    ('ENV A="1 2" C=3', "ENV A=1 2 C=3 # buildkit"),
    ('CMD ["a", "b"]', 'CMD ["a" "b"] # buildkit'),
    ("EXPOSE 81 80", "EXPOSE map[80/tcp:{} 81/tcp:{}] # buildkit"),
    ("VOLUME /a /b", "VOLUME [/a /b] # buildkit"),
    ("USER x", "USER x # buildkit"),
]


@pytest.mark.parametrize(("text", "words"), HISTORY)
def test_history(text: str, words: str) -> None:
    assert history(text)[-1] == words


def test_layers_and_history_agree() -> None:
    made = target("FROM base\nENV a=b\nRUN x\nWORKDIR /w\nCOPY a b\nCMD c")
    named = [entry for entry in made.config["history"][1:] if not entry.get("empty_layer")]
    assert len(made.layers) == len(named) == 3
    assert [type(node) for node in chain(made.root)] == [Source, Exec, Mkdir, Copy]
    assert made.base_layers == 1


def test_only_the_stages_that_are_needed() -> None:
    made = target("FROM base AS a\nRUN a\nFROM nothing AS b\nRUN b\nFROM scratch\nCOPY --from=a /x /x")
    assert [node.argv[-1] for node in topological([made.root]) if isinstance(node, Exec)] == ["a"]


@pytest.mark.parametrize("name", ["a", "A", "0"])
def test_stages_by_name_and_number(name: str) -> None:
    made = target(f"FROM base AS a\nRUN a\nFROM scratch\nCOPY --from={name} /x /x")
    assert isinstance(made.root, Copy)
    assert isinstance(made.root.source, Exec)
    assert made.root.keep_owner


def test_a_stage_from_a_stage_goes_on_where_it_ended() -> None:
    made = target("FROM base AS a\nARG X=1\nENV E=$X\nWORKDIR /w\nFROM a\nRUN pwd $X")
    assert isinstance(made.root, Exec)
    assert made.root.cwd == "/w"
    assert dict(made.root.env)["E"] == "1"
    assert "X" not in dict(made.root.env)
    assert len(made.layers) == 2


def test_arguments() -> None:
    text = "ARG V=1\nARG W=${V}2\nFROM base:$W AS s\nARG V\nARG N\nARG D=d\nRUN x"
    env = dict(target(text, args={"N": "n"}).root.env)  # type: ignore[attr-defined]
    assert (env["V"], env["N"], env["D"]) == ("1", "n", "d")
    assert dict(target(text, args={"V": "9", "D": "8"}).root.env)["D"] == "8"  # type: ignore[attr-defined]


def test_env_wins_over_arg() -> None:
    env = dict(target("FROM base\nARG B=arg\nRUN x").root.env)  # type: ignore[attr-defined]
    assert env["B"] == "base"


def test_proxies_reach_the_process_but_not_the_key() -> None:
    plain, proxied = target("FROM base\nRUN x"), target("FROM base\nRUN x", args={"http_proxy": "p"})
    assert plain.root == proxied.root
    assert proxied.root.proxies == (("http_proxy", "p"),)  # type: ignore[attr-defined]


def test_unused_arguments_are_told() -> None:
    request = FrontendRequest("Dockerfile", b"FROM base\nRUN x", args={"NOPE": "1"})
    assert lower(request, Resolver()).warnings == (Advice("one or more build-args [NOPE] were not consumed"),)


def test_platform_arguments() -> None:
    env = dict(target("FROM base\nARG TARGETARCH\nARG BUILDPLATFORM\nRUN x").root.env)  # type: ignore[attr-defined]
    assert (env["TARGETARCH"], env["BUILDPLATFORM"]) == ("amd64", "linux/amd64")


def test_mounts() -> None:
    text = (
        "FROM base AS a\nFROM base\nWORKDIR /w\nRUN --network=none --mount=type=cache,target=c,sharing=locked,mode=0700 "
        "--mount=from=a,source=/s,target=/t --mount=type=tmpfs,target=/m,size=64m --mount=target=/ctx,source=sub x"
    )
    root = target(text).root
    assert isinstance(root, Exec)
    assert root.confinement.network is Network.NONE
    cache, bind, tmpfs, context = root.mounts
    assert cache == CacheDir("/w/c", "/w/c", Sharing.LOCKED, 0o700)
    assert bind == Bind(BASE, "/t", "/s", True)
    assert tmpfs == Tmpfs("/m", 64 << 20)
    assert isinstance(context, Bind)
    assert isinstance(context.node, Copy)
    assert context.node.paths == ("sub",)


def test_heredocs() -> None:
    root = target("FROM base\nRUN <<EOF\na\nb\nEOF").root
    assert isinstance(root, Exec)
    assert root.argv == ("/bin/sh", "-c", "a\nb\n")
    made = target("FROM base\nENV A=1\nCOPY <<one <<'two' /d/\n$A\none\n$A\ntwo")
    second, first = made.root, made.root.base  # type: ignore[attr-defined]
    assert isinstance(second, Write)
    assert (first.path, first.data) == ("/d/one", b"1\n")
    assert (second.path, second.data) == ("/d/two", b"$A\n")
    assert made.layers == (second.digest,)


def test_ignore_files() -> None:
    files = {".dockerignore": b"*.o\n", "Dockerfile.dockerignore": b"*.x\n"}
    made = target("FROM scratch\nCOPY . /", Resolver(files=files), options={"path": "Dockerfile"})
    assert made.root.source.attrs == (("ignore", "*.x"),)  # type: ignore[attr-defined]


def test_triggers_of_a_base_run_first_and_are_gone() -> None:
    made = target("FROM base\nRUN own", Resolver({"OnBuild": ["COPY . /src", "RUN trigger"]}))
    assert [type(node) for node in chain(made.root)] == [Source, Copy, Exec, Exec]
    assert "OnBuild" not in made.config["config"]


def test_scratch() -> None:
    made = target("FROM scratch\nCOPY a /")
    assert isinstance(made.root, Copy)
    assert isinstance(made.root.base, Scratch)
    assert made.config["config"]["WorkingDir"] == "/"


def test_titles_are_numbered_within_the_stage() -> None:
    made = target("FROM base AS one\nRUN a\nENV x=y\nRUN b")
    assert [node.notes.title for node in chain(made.root)] == [
        "[one 1/3] FROM base",
        "[one 2/3] RUN a",
        "[one 3/3] RUN b",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN x", "no build stage in current context"),
        ("FROM base AS 1x", "invalid stage name '1x'"),
        ("FROM a b", "FROM takes an image, or an image AS a name"),
        ("FROM $NONE", "base name ($NONE) should not be blank"),
        ("FROM base\nCOPY --from=5 a b", "there is no stage 5"),
        ("FROM base\nCOPY --from=$x a b", "variable expansion is not supported for --from"),
        ("FROM base\nCOPY a", "COPY requires at least a source and a destination"),
        ("FROM base\nEXPOSE x", "invalid port 'x'"),
        ("FROM base\nSTOPSIGNAL NOPE", "invalid signal 'NOPE'"),
        ("FROM base\nSHELL x", "SHELL takes a JSON array"),
        ("FROM base\nONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM base\nHEALTHCHECK --interval=1x CMD a", "--interval=1x is no duration"),
        ("FROM base\nRUN --mount=type=cache x", "a cache mount needs a target"),
        ("FROM base\nRUN --mount=type=cach,target=/x x", "unsupported mount type 'cach'"),
        ("FROM base\nRUN --mount=type=tmpfs,target=/x,idd=1 x", "a tmpfs mount has no option 'idd'"),
        ("FROM base\nRUN --network=maybe x", "--network can't be 'maybe'"),
        ("FROM base\nADD http://x/y /", "ADD from the network is not supported yet"),
        ("FROM base\nENV A=${B:?needed\nRUN x", "ENV: a } is missing"),
        ("FROM base\nUSER ${NONE:?set it}", "USER: NONE: set it"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(FrontendError) as caught:
        target(text)
    assert caught.value.message == message
    assert caught.value.place is not None


def test_a_long_file_stays_linear() -> None:
    """Ten times the lines take about ten times the time, not a hundred."""
    import time

    def seconds(lines: int) -> float:
        text = "FROM base\n" + "".join(f"RUN step {n} && \\\n  more\n" for n in range(lines // 2))
        started = time.process_time()
        target(text)
        return time.process_time() - started

    seconds(100)
    short = min(seconds(400) for _ in range(3))
    assert seconds(4000) < 30 * short
