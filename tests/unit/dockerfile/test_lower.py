"""From Dockerfiles to graphs: stages, bases, triggers, contexts, and problems that are told together."""

from __future__ import annotations

import pytest
from tests.unit.dockerfile.lowering import CONTEXT, DIGEST, Resolver, image, problems, target

from img.errors import FrontendError, NotFound
from img.ir.nodes import Copy, Exec, Mkdir, Scratch, Source
from img.ir.walk import chain, topological
from img.oci.reference import Reference
from img.ports import BaseImage


def test_layers_and_history_agree() -> None:
    made = target("FROM base\nENV a=b\nRUN x\nWORKDIR /w\nCOPY a b\nCMD c")
    named = [entry for entry in made.config["history"][1:] if not entry.get("empty_layer")]
    assert len(made.layers) == len(named) == 3
    assert [type(node) for node in chain(made.root)] == [Source, Exec, Mkdir, Copy]
    assert made.base_layers == 1


def test_only_the_stages_that_are_needed() -> None:
    made = target("FROM base AS a\nRUN a\nFROM nothing AS b\nRUN b\nFROM scratch\nCOPY --from=a /x /x")
    assert [node.argv[-1] for node in topological([made.root]) if isinstance(node, Exec)] == ["a"]


def test_targets_go_by_name_in_any_case() -> None:
    text = "FROM base AS One\nRUN 1\nFROM base AS two\nRUN 2"
    assert target(text).root.argv[-1] == "2"  # type: ignore[attr-defined]
    assert target(text, target="ONE").root.argv[-1] == "1"  # type: ignore[attr-defined]
    for name, hint in (("0", "stages: one, two"), ("tow", "did you mean two?")):
        (error,) = problems(text, target=name)
        assert error.message == f"target stage {name!r} could not be found"
        assert error.hint == hint


def test_stages_are_looked_up_backwards() -> None:
    made = target("FROM base AS a\nRUN 1\nFROM A AS a\nRUN 2\nFROM a\nRUN 3")
    assert [node.argv[-1] for node in chain(made.root)[1:]] == ["1", "2", "3"]  # type: ignore[attr-defined]


def test_scratch() -> None:
    made = target("FROM scratch\nCOPY a /")
    assert isinstance(made.root, Copy)
    assert isinstance(made.root.base, Scratch)
    assert made.config["config"]["WorkingDir"] == "/"
    assert (made.config["os"], made.config["architecture"]) == ("linux", "amd64")


def test_a_workdir_is_a_layer_unless_it_is_the_root() -> None:
    made = target("FROM base\nUSER u:g\nWORKDIR /a/b\nWORKDIR /a/b\nWORKDIR /")
    first, second = chain(made.root)[1:]
    assert isinstance(first, Mkdir)
    assert (first.path, first.owner, first.mode) == ("/a/b", "u:g", 0o755)
    assert isinstance(second, Mkdir)
    assert len(made.layers) == 2


# --- notes ----------------------------------------------------------------------------------------------------------


def test_titles_are_numbered_within_the_stage() -> None:
    made = target("FROM base AS one\nRUN a\nENV x=y\nRUN b")
    assert [node.notes.title for node in chain(made.root)] == [
        "[one 1/3] FROM base",
        "[one 2/3] RUN a",
        "[one 3/3] RUN b",
    ]
    titles = [node.notes.title for node in chain(target("FROM scratch\nCOPY a /\nWORKDIR /x").root)]
    assert titles == ["", "[stage-0 1/2] COPY a /", "[stage-0 2/2] WORKDIR /x"]
    titles = [node.notes.title for node in chain(target("FROM base AS a\nRUN a\nFROM a AS b\nRUN b").root)]
    assert titles == ["[a 1/2] FROM base", "[a 2/2] RUN a", "[b 1/1] RUN b"]


def test_every_node_says_its_stage() -> None:
    text = "FROM base AS a\nRUN <<E\n#!/bin/sh\nE\nFROM base\nWORKDIR /x\nCOPY --link --from=a / /\nADD b https://x/c <<E /\nE"
    nodes = topological([target(text).root])
    groups = {node.notes.group for node in nodes if not isinstance(node, Scratch) and node != CONTEXT and node.inputs}
    assert groups == {"a", "1"}


# --- contexts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "pattern"), [("Dockerfile", "*.x"), ("other/Dockerfile", "*.o"), ("", "*.o")])
def test_ignore_files(path: str, pattern: str) -> None:
    files = {".dockerignore": b"*.o\n", "Dockerfile.dockerignore": b"*.x\n"}
    made = target("FROM scratch\nCOPY . /", Resolver(files=files), options={"path": path})
    assert made.root.source.attrs == (("ignore", pattern),)  # type: ignore[attr-defined]


def test_a_context_that_is_an_image() -> None:
    other = Source("docker-image", "docker.io/library/other@" + DIGEST)
    resolver = Resolver(named={"base": BaseImage(other, image({"User": "u"}), 3)})
    for name in ("base", "base:latest", "docker.io/library/base"):
        made = target(f"FROM {name}\nRUN x", resolver, contexts={"base": "docker-image://other"})
        assert made.root.root == other  # type: ignore[attr-defined]
        assert (made.root.user, made.base_layers) == ("u", 3)  # type: ignore[attr-defined]
    assert target("FROM base:1\nRUN x", resolver, contexts={"base": ""}).root.root != other  # type: ignore[attr-defined]


def test_a_context_takes_the_place_of_a_stage() -> None:
    resolver = Resolver(named={"deps": Source("local", "deps")})
    text = "FROM nowhere AS deps\nRUN never\nFROM scratch\nCOPY --from=deps a /"
    made = target(text, resolver, contexts={"deps": "dir"})
    assert isinstance(made.root, Copy)
    copied = made.root.source
    assert isinstance(copied, Copy)
    assert copied.source == Source("local", "deps")


def test_files_as_a_base_are_a_layer() -> None:
    resolver = Resolver(named={"files": Source("local", "files")})
    made = target("FROM files\nRUN x", resolver, contexts={"files": "dir"})
    below = made.root.root  # type: ignore[attr-defined]
    assert isinstance(below, Copy)
    assert made.layers == (below.digest, made.root.digest)
    assert made.base_layers == 0
    assert [entry["created_by"] for entry in made.config["history"]] == ["FROM files", "RUN /bin/sh -c x # buildkit"]


def test_no_context_is_called_scratch_or_context() -> None:
    resolver = Resolver(named={"scratch": Source("local", "x"), "context": Source("local", "x")})
    assert isinstance(target("FROM scratch\nCOPY a /", resolver, contexts={"scratch": "x"}).root.base, Scratch)  # type: ignore[attr-defined]


# --- triggers -------------------------------------------------------------------------------------------------------


def test_triggers_of_a_base_run_first_and_are_gone() -> None:
    made = target("FROM base\nRUN own", Resolver({"OnBuild": ["COPY . /src", "RUN trigger", "ENV A=1"]}))
    assert [type(node) for node in chain(made.root)] == [Source, Copy, Exec, Exec]
    assert "OnBuild" not in made.config["config"]
    assert [node.notes.title for node in chain(made.root)[1:]] == [
        "[stage-0 2/4] ONBUILD COPY . /src",
        "[stage-0 3/4] ONBUILD RUN trigger",
        "[stage-0 4/4] RUN own",
    ]
    assert dict(made.root.env)["A"] == "1"  # type: ignore[attr-defined]


def test_triggers_of_a_stage_run_in_its_children_only() -> None:
    text = "FROM base AS a\nONBUILD RUN t\nRUN a\nFROM a AS b\nRUN b\nFROM b\nRUN c"
    made = target(text)
    assert [node.argv[-1] for node in chain(made.root)[1:]] == ["a", "t", "b", "c"]  # type: ignore[attr-defined]
    assert target(text, target="a").config["config"]["OnBuild"] == ["RUN t"]
    assert "OnBuild" not in target(text, target="b").config["config"]


def test_triggers_name_stages_of_the_file_they_run_in() -> None:
    resolver = Resolver({"OnBuild": ["COPY --from=src /a /", "RUN --mount=from=src,target=/m x", "RUN <<E\n1\nE"]})
    made = target("FROM scratch AS src\nCOPY a /\nFROM base", resolver)
    copy, mounted, heredoc = chain(made.root)[1:]
    assert isinstance(copy, Copy)
    assert isinstance(copy.source, Copy)
    assert mounted.mounts[0].node == copy.source  # type: ignore[attr-defined]
    assert heredoc.argv[-1] == "1\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("RUN a\nRUN b", "an ONBUILD trigger must be one instruction"),
        ("NOPE", "unknown instruction: NOPE"),
        ("RUN --network=x y", "--network can't be 'x'"),
    ],
)
def test_wrong_triggers(trigger: str, message: str) -> None:
    (error,) = problems("FROM base", Resolver({"OnBuild": [trigger]}))
    assert error.message == message


# --- problems -------------------------------------------------------------------------------------------------------


def test_problems_of_all_stages_are_told_together() -> None:
    text = (
        "FROM base AS a\nEXPOSE x\nRUN ok\nSTOPSIGNAL y\n"
        "FROM base\nCOPY --from=a / /\nWORKDIR $NONE\nCOPY --from=9 / /\nUSER ${U:?u}"
    )
    found = problems(text)
    assert [error.place.line for error in found if error.place] == [2, 4, 7, 8, 9]


def test_problems_of_syntax_are_told_wherever_they_are() -> None:
    text = (
        "FROM base AS unused\nRUN --network=x y\nSHELL x\nHEALTHCHECK NOPE\nONBUILD FROM y\nCOPY a\n"
        'RUN --mount=typ=x y\nVOLUME [""]\nRUN --mount=type=$T y\nFROM base'
    )
    assert [error.place.line for error in problems(text) if error.place] == [2, 3, 4, 5, 6, 7, 8]


def test_problems_of_stages_that_are_not_needed_are_not_told() -> None:
    target("FROM base AS unused\nEXPOSE x\nCOPY --from=9 / /\nFROM base\nRUN x")


def test_a_problem_of_a_stage_used_twice_is_told_once() -> None:
    text = "FROM $NONE AS a\nFROM base\nCOPY --from=a / /\nCOPY --from=a / /"
    assert [error.message for error in problems(text)] == ["base name ($NONE) should not be blank"]


def test_an_image_that_is_not_there_beside_other_problems() -> None:
    found = problems("FROM base AS a\nEXPOSE x\nFROM nothing\nCOPY --from=a / /\nFROM a\nCOPY --from=nothing / /")
    assert [error.message.partition(":")[0] for error in found] == ["invalid port 'x'", "there is no nothing"]
    with pytest.raises(NotFound) as caught:
        target("FROM nothing")
    assert str(caught.value.place) == "Dockerfile:1:6"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN x", "no build stage in current context"),
        ("ARG x=1", "the file has no FROM"),
        ("FROM base AS 1x", "invalid stage name '1x'"),
        ("FROM a b", "FROM takes an image, or an image AS a name"),
        ("FROM $NONE", "base name ($NONE) should not be blank"),
        ("FROM base\nENV A=${B:?needed\nRUN x", "ENV: a } is missing"),
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


class _Strict(Resolver):
    """Names are read as the engine reads them."""

    def image(self, ref: str, platform: str) -> BaseImage:
        Reference.parse(ref)
        return super().image(ref, platform)


@pytest.mark.parametrize("text", ["FROM base\nFROM Up/Case", "FROM base\nCOPY --from=Up/Case a b"])
def test_a_name_that_is_not_well_formed_is_the_files_mistake(text: str) -> None:
    with pytest.raises(FrontendError, match="invalid image name 'Up/Case'") as caught:
        target(text, _Strict())
    assert caught.value.exit_code == 1
    assert caught.value.place is not None
    assert caught.value.place.line == 2


@pytest.mark.parametrize("more", ["FROM s{below} AS s{n}\nENV a{n}=b", "FROM base AS s{n}\nCOPY --from=s{below} /a /b"])
def test_stages_that_stand_on_each_other_do_not_nest(more: str) -> None:
    text = "FROM base AS s0\n" + "\n".join(more.format(n=n, below=n - 1) for n in range(1, 2000))
    assert len(target(text).config["history"]) in (2000, 2)


def test_only_needed_stages_of_many() -> None:
    text = "FROM nothing AS a\nFROM nothing AS b\nRUN x\n" + "FROM base\n" * 100 + "FROM base AS c\nFROM c"
    assert target(text).base_layers == 1
