"""What instructions make of an image's configuration and history."""

from __future__ import annotations

import pytest
from tests.unit.dockerfile.lowering import Resolver, config, history, problems, target

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CONFIG = [
    ("ENV A=1", "Env", ["PATH=/bin", "B=base", "A=1"]),
    ("ENV B=2", "Env", ["PATH=/bin", "B=2"]),
    ("ENV A=$B", "Env", ["PATH=/bin", "B=base", "A=base"]),
    ("ENV A=1 C=$A", "Env", ["PATH=/bin", "B=base", "A=1", "C="]),
    ("ENV A b  c", "Env", ["PATH=/bin", "B=base", "A=b  c"]),
    ("ENV $B=1", "Env", ["PATH=/bin", "B=base", "base=1"]),
    ("ARG A=1\nENV C=$A", "Env", ["PATH=/bin", "B=base", "C=1"]),
    ("ARG B=arg", "Env", ["PATH=/bin", "B=base"]),
    ("CMD a b", "Cmd", ["/bin/sh", "-c", "a b"]),
    ('CMD ["a", "b"]', "Cmd", ["a", "b"]),
    ("CMD a\nCMD b", "Cmd", ["/bin/sh", "-c", "b"]),
    ("CMD []", "Cmd", None),
    ("CMD $B", "Cmd", ["/bin/sh", "-c", "$B"]),
    ("CMD a", "ArgsEscaped", True),
    ("ENTRYPOINT a", "ArgsEscaped", None),
    ('ENTRYPOINT ["x"]', "Entrypoint", ["x"]),
    ("ENTRYPOINT x y", "Entrypoint", ["/bin/sh", "-c", "x y"]),
    ("ENTRYPOINT []", "Entrypoint", None),
    ('ENTRYPOINT ["x"]', "Cmd", None),
    ("ENTRYPOINT []", "Cmd", None),
    ('CMD a\nENTRYPOINT ["x"]', "Cmd", ["/bin/sh", "-c", "a"]),
    ('ENTRYPOINT ["x"]\nCMD a', "Cmd", ["/bin/sh", "-c", "a"]),
    ('SHELL ["/bin/bash", "-c"]\nCMD a', "Cmd", ["/bin/bash", "-c", "a"]),
    ('SHELL ["/bin/bash", "-c"]', "Shell", ["/bin/bash", "-c"]),
    ("USER a:b", "User", "a:b"),
    ("USER $B", "User", "base"),
    ("WORKDIR /a\nWORKDIR b\nWORKDIR ../c", "WorkingDir", "/a/c"),
    ("WORKDIR $B", "WorkingDir", "/base"),
    ("WORKDIR a//b/../c/", "WorkingDir", "/a/c"),
    ("WORKDIR /a b", "WorkingDir", "/a b"),
    ("WORKDIR ..", "WorkingDir", "/"),
    ("EXPOSE 80 81/udp 90-91", "ExposedPorts", {"80/tcp": {}, "81/udp": {}, "90/tcp": {}, "91/tcp": {}}),
    ("EXPOSE 80\nEXPOSE 81/SCTP", "ExposedPorts", {"80/tcp": {}, "81/sctp": {}}),
    ("EXPOSE 8080:80", "ExposedPorts", {"80/tcp": {}}),
    ("EXPOSE 127.0.0.1:5:6/udp [::1]:7:8", "ExposedPorts", {"6/udp": {}, "8/tcp": {}}),
    ("EXPOSE 1000-1001:80-81", "ExposedPorts", {"80/tcp": {}, "81/tcp": {}}),
    ("EXPOSE 1000-1009:80", "ExposedPorts", {"80/tcp": {}}),
    ('ENV P="1 2"\nEXPOSE $P', "ExposedPorts", {"1/tcp": {}, "2/tcp": {}}),
    ('VOLUME /a\nVOLUME ["/b c"]', "Volumes", {"/a": {}, "/b c": {}}),
    ("VOLUME a /$B/", "Volumes", {"a": {}, "/base/": {}}),
    ("STOPSIGNAL SIGINT", "StopSignal", "SIGINT"),
    ("STOPSIGNAL sigterm", "StopSignal", "sigterm"),
    ("STOPSIGNAL TERM", "StopSignal", "TERM"),
    ("STOPSIGNAL 99", "StopSignal", "99"),
    ("STOPSIGNAL RTMIN+3", "StopSignal", "RTMIN+3"),
    ("STOPSIGNAL SIGRTMAX-14", "StopSignal", "SIGRTMAX-14"),
    ("ENV S=9\nSTOPSIGNAL $S", "StopSignal", "9"),
    ("LABEL a=b 'c d'=\"e f\"", "Labels", {"a": "b", "c d": "e f"}),
    ("LABEL a b c", "Labels", {"a": "b c"}),
    ('LABEL $B=1 "$B b"=2', "Labels", {"base": "1", "base b": "2"}),
    ("HEALTHCHECK NONE", "Healthcheck", {"Test": ["NONE"]}),
    ("HEALTHCHECK CMD x y", "Healthcheck", {"Test": ["CMD-SHELL", "x y"]}),
    ("HEALTHCHECK cmd x", "Healthcheck", {"Test": ["CMD-SHELL", "x"]}),
    ("HEALTHCHECK CMD $B", "Healthcheck", {"Test": ["CMD-SHELL", "$B"]}),
    ("HEALTHCHECK CMD [x]", "Healthcheck", {"Test": ["CMD-SHELL", "[x]"]}),
    ("HEALTHCHECK --interval=0 --retries=0 CMD x", "Healthcheck", {"Test": ["CMD-SHELL", "x"]}),
    (
        'HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1h --start-interval=1ms --retries=3 CMD ["x"]',
        "Healthcheck",
        {
            "Test": ["CMD", "x"],
            "Interval": 90 * 10**9,
            "Timeout": 5 * 10**8,
            "StartPeriod": 3600 * 10**9,
            "StartInterval": 10**6,
            "Retries": 3,
        },
    ),
    ("HEALTHCHECK CMD a\nHEALTHCHECK CMD b", "Healthcheck", {"Test": ["CMD-SHELL", "b"]}),
    ("ONBUILD RUN x", "OnBuild", ["RUN x"]),
    ("ONBUILD run x\nONBUILD COPY a b", "OnBuild", ["run x", "COPY a b"]),
    ("ONBUILD RUN <<EOF\na\nEOF", "OnBuild", ["RUN <<EOF\na\nEOF"]),
    ("ONBUILD RUN $B", "OnBuild", ["RUN $B"]),
]


@pytest.mark.parametrize(("text", "key", "value"), CONFIG)
def test_config(text: str, key: str, value: object) -> None:
    assert config(text).get(key) == value


HISTORY = [
    ("RUN make  all", "RUN /bin/sh -c make  all # buildkit"),
    ('RUN ["a", "b"]', "RUN a b # buildkit"),
    ("ARG X=1\nRUN a", "RUN |1 X=1 /bin/sh -c a # buildkit"),
    ("ARG X\nARG Y=2\nRUN a", "RUN |2 X= Y=2 /bin/sh -c a # buildkit"),
    ("ARG X=1\nARG X=2\nRUN a", "RUN |1 X=2 /bin/sh -c a # buildkit"),
    ("ARG X=1\nENV X=2\nRUN a", "RUN |1 X=2 /bin/sh -c a # buildkit"),
    ("RUN <<EOF\na\nb\nEOF", "RUN /bin/sh -c a\nb\n # buildkit"),
    ("RUN --network=none --mount=type=tmpfs,target=/t a", "RUN /bin/sh -c a # buildkit"),
    ("COPY a b /c/", "COPY a b /c/ # buildkit"),
    ("COPY --chown=1:2 --chmod=644 a /c", "COPY --chown=1:2 --chmod=644 a /c # buildkit"),
    ("COPY --chmod=644 --chown=1:2 --parents a /c", "COPY --parents --chown=1:2 --chmod=644 a /c # buildkit"),
    ("COPY --link --exclude=x a /c", "COPY a /c # buildkit"),
    ("COPY --from=base a /c", "COPY a /c # buildkit"),
    ('COPY ["a b", "/c"]', "COPY a b /c # buildkit"),
    ("COPY $B /c", "COPY base /c # buildkit"),
    ("COPY <<one b <<'two' /d/\none\ntwo", "COPY b <<one <<two /d/ # buildkit"),
    ("ADD a /c", "ADD a /c # buildkit"),
    ("ADD --checksum=sha256:" + "0" * 64 + " http://x/y /c", "ADD http://x/y /c # buildkit"),
    ("WORKDIR x", "WORKDIR /x"),
    ("WORKDIR /", "WORKDIR /"),
    ('ENV A="1 2" C=3', "ENV A=1 2 C=3"),
    ("ENV A 1 2", "ENV A=1 2"),
    ('LABEL q="a b" r=1', "LABEL q=a b r=1"),
    ("ARG X", "ARG X"),
    ("ARG X=$B Y Z=2", "ARG X=base Y Z=2"),
    ('CMD ["a", "b"]', 'CMD ["a" "b"]'),
    ("CMD a b", 'CMD ["/bin/sh" "-c" "a b"]'),
    ('ENTRYPOINT ["a\\"b"]', 'ENTRYPOINT ["a\\"b"]'),
    ("EXPOSE 81 80 9-10/udp", "EXPOSE [80/tcp 81/tcp 9/udp 10/udp]"),
    ("VOLUME /a /b", "VOLUME [/a /b]"),
    ("USER x", "USER x"),
    ("STOPSIGNAL TERM", "STOPSIGNAL TERM"),
    ('SHELL ["/bin/a", "-c"]', "SHELL [/bin/a -c]"),
    ("MAINTAINER me <a@b>", "MAINTAINER me <a@b>"),
    (
        "HEALTHCHECK --interval=90s --retries=2 CMD true x",
        'HEALTHCHECK &{["CMD-SHELL" "true x"] "1m30s" "0s" "0s" "0s" \'\\x02\'}',
    ),
    (
        "HEALTHCHECK NONE",
        'HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" \'\\x00\'}',
    ),
]


@pytest.mark.parametrize(("text", "words"), HISTORY)
def test_history(text: str, words: str) -> None:
    assert history(text)[-1] == words


def test_history_shows_the_values_that_a_build_was_given() -> None:
    assert history("ARG X=1\nRUN a", args={"X": "9"}) == ["ARG X=9", "RUN |1 X=9 /bin/sh -c a # buildkit"]


def test_triggers_have_no_history() -> None:
    assert history("ONBUILD RUN x\nUSER y") == ["USER y"]


def test_entries_say_who_wrote_them_and_whether_they_have_a_layer() -> None:
    made = target("FROM base\nENV a=b\nRUN x\nWORKDIR /w\nWORKDIR /\nCOPY a b\nCMD c")
    entries = made.config["history"][1:]
    assert {entry["comment"] for entry in entries} == {"buildkit.dockerfile.v0"}
    assert [bool(entry.get("empty_layer")) for entry in entries] == [True, False, False, True, False, True]
    assert len(made.layers) == 3
    assert made.base_layers == 1
    assert made.config["history"][0] == {"created": "2020-01-01T00:00:00Z", "created_by": "base"}


def test_path_is_always_set() -> None:
    assert config("", Resolver({"Env": ["A=1"]}))["Env"] == ["A=1", PATH]
    assert target("FROM scratch\nCOPY a /").config["config"] == {"Env": [PATH], "WorkingDir": "/"}


def test_labels_of_the_base_and_of_the_build() -> None:
    resolver = Resolver({"Labels": {"a": "base", "b": "base", "c": "base"}})
    found = config("LABEL b=file c=file", resolver, labels={"c": "build", "d": "build"})["Labels"]
    assert found == {"a": "base", "b": "file", "c": "build", "d": "build"}


def test_the_base_is_not_changed() -> None:
    inherited = {"Labels": {"a": "1"}, "Volumes": {"/v": {}}, "ExposedPorts": {"1/tcp": {}}, "Env": ["A=1"]}
    config("LABEL b=2\nVOLUME /w\nEXPOSE 2\nENV B=2", Resolver(inherited))
    assert inherited == {"Labels": {"a": "1"}, "Volumes": {"/v": {}}, "ExposedPorts": {"1/tcp": {}}, "Env": ["A=1"]}


def test_what_a_stage_inherits() -> None:
    resolver = Resolver({"Shell": ["/bin/bash", "-c"], "User": "u", "WorkingDir": "srv"})
    found = target("FROM base\nWORKDIR x\nRUN y", resolver)
    assert found.root.argv == ("/bin/bash", "-c", "y")  # type: ignore[attr-defined]
    assert found.root.cwd == "/srv/x"  # type: ignore[attr-defined]
    assert found.root.user == "u"  # type: ignore[attr-defined]
    assert found.root.root.owner == "u"  # type: ignore[attr-defined]


def test_an_entrypoint_takes_the_command_of_the_stage_below_away() -> None:
    made = target("FROM base AS a\nCMD x\nFROM a\nENTRYPOINT y")
    assert "Cmd" not in made.config["config"]


def test_maintainer_is_the_author() -> None:
    assert target("FROM base\nMAINTAINER me").config["author"] == "me"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EXPOSE x", "invalid port 'x'"),
        ("EXPOSE 0-70000", "invalid port '0-70000'"),
        ("EXPOSE 9-8", "invalid port '9-8': the range 9-8 runs backwards"),
        ("EXPOSE 80/http", "invalid port '80/http': the protocol is one of tcp, udp, sctp, not 'http'"),
        ("EXPOSE /tcp", "invalid port '/tcp': it has no port"),
        ("EXPOSE a:1:2", "invalid port 'a:1:2': 'a' is no IP address"),
        ("EXPOSE 1-3:5-6", "invalid port '1-3:5-6': the ranges 1-3 and 5-6 are not of one length"),
        ("STOPSIGNAL NOPE", "invalid signal 'NOPE'"),
        ("STOPSIGNAL 0", "invalid signal '0'"),
        ("SHELL x", "SHELL takes a JSON array"),
        ("SHELL []", "SHELL requires at least one argument"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("VOLUME a $NONE", "VOLUME specified can not be an empty string"),
        ("WORKDIR $NONE", "WORKDIR needs a path"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("ONBUILD ONBUILD RUN x", "ONBUILD can't be chained"),
        ("ONBUILD RUNN x", "unknown instruction: RUNN"),
        ("HEALTHCHECK --interval=1x CMD a", "--interval=1x is no duration"),
        ("HEALTHCHECK --timeout=1us CMD a", "--timeout=1us is less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD a", "--retries=-1 is no number"),
        ("HEALTHCHECK CMD", "HEALTHCHECK CMD has no command"),
        ("HEALTHCHECK CMD []", "HEALTHCHECK CMD has no command"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK RUN x", "unknown type 'RUN' of HEALTHCHECK"),
        ("USER ${NONE:?set it}", "USER: NONE: set it"),
    ],
)
def test_errors(text: str, message: str) -> None:
    (error,) = problems(f"FROM base\n{text}")
    assert error.message.startswith(message)
    assert error.place is not None
    assert error.place.line == 2


def test_problems_of_every_kind_are_told_together() -> None:
    text = "FROM a b\nRUNN x\nHEALTHCHECK FOO\nENV a\nCOPY --chmod=9 a b\nONBUILD FROM x\nSHELL x"
    assert [error.place and error.place.line for error in problems(text)] == [2, 3, 4, 6, 7]
    text = "FROM a b\nFROM a AS\nFROM a AS 1x\nSHELL x\nFROM a XX b"
    assert [error.place and error.place.line for error in problems(text)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "text", ["ENV a=\udcff", "LABEL a=\udcff", "ARG a=\udcff", "WORKDIR /\udcff", 'CMD ["\udcff"]']
)
def test_a_configuration_is_text(text: str) -> None:
    (error,) = problems(f"FROM base\n{text}")
    assert error.message == f"{text.split()[0]} has a byte that is no UTF-8 (0xff)"
    assert error.place is not None
    assert (error.place.line, error.place.column) == (2, text.index("\udcff") + 1)


def test_a_command_is_bytes_and_its_history_is_text() -> None:
    image = target("FROM base\nRUN echo \udcff")
    assert image.root.argv[-1] == "echo \udcff"  # type: ignore[attr-defined]
    assert image.root.notes.title == "[stage-0 2/2] RUN echo \ufffd"
    assert image.config["history"][-1]["created_by"] == "RUN /bin/sh -c echo \ufffd # buildkit"


@pytest.mark.parametrize("text", ["RUN echo a\0b", "ENV a=x\0", "COPY a\0 b", "COPY <<A /a\n\0\nA"])
def test_a_zero_byte_is_no_text(text: str) -> None:
    (error,) = problems(f"FROM base\n{text}")
    assert error.message == f"{text.split()[0]} has a NUL byte"
    assert error.place is not None
    assert error.place.line == 2


def test_names_of_the_environment_keep_their_place() -> None:
    base = Resolver({"Env": ["A=1", "PATH=/bin", "A=2"]})
    made = config("FROM base AS x\nENV B=3\nENV A=4 C=5\nFROM x\nENV C=6 B=7", base)
    assert made["Env"] == ["A=4", "PATH=/bin", "B=7", "C=6"]
    assert config("FROM base\nENV a=b\nENV b=c a=d\nENV c=$a")["Env"][2:] == ["a=d", "b=c", "c=d"]
