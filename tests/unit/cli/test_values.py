"""Values of options: outputs, annotations, limits, hosts, sizes, pairs, secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from img.errors import UsageError
from img.ir.values import Limit
from img_cli import options
from img_cli.commands.build import said
from img_cli.commands.request import confinement, hidden, pairs, size
from img_cli.context import check_stacking
from img_cli.outputs import outputs, parse_annotations, parse_output


def test_outputs() -> None:
    assert parse_output("type=oci,dest=a.tar") == {"type": "oci", "dest": "a.tar"}
    assert parse_output('type=image,"name=a,b"') == {"type": "image", "name": "a,b"}
    assert parse_output("folder") == {"type": "local", "dest": "folder"}


def given(**options_: object) -> dict[str, object]:
    return {**options.DEFAULTS, "context": ".", **options_}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ()),
        ({"push": True, "tag": ["h/a"]}, ({"type": "registry"},)),
        ({"push": True, "load": True, "tag": ["h/a"]}, ({"type": "registry"}, {"type": "image"})),
        ({"load": True, "tag": ["a"]}, ({"type": "image"},)),
        ({"iidfile": "f"}, ({"type": "image"},)),
        ({"iidfile": "f", "tag": ["a"]}, ()),
        ({"output": ["type=oci", "out"]}, ({"type": "oci", "dest": "-"}, {"type": "local", "dest": "out"})),
    ],
)
def test_short_words_for_outputs(asked: dict[str, object], found: tuple[dict[str, str], ...]) -> None:
    assert outputs(given(**asked)) == found


def test_an_output_is_a_folder_or_has_names() -> None:
    with pytest.raises(UsageError, match="'nonsense' is not name=value"):
        parse_output("nonsense,x")


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("h/a:1, b:2 sha256:1", True),
        ("b:2 sha256:1", True),
        ("b:2 sha256:2", False),
        ("h/a:1 sha256:1 to the registry", False),
        ("out.tar sha256:1", False),
        ("out", False),
    ],
)
def test_only_what_the_store_has_is_said_already(line: str, known: bool) -> None:
    images = [("h/a:1", "sha256:1"), ("docker.io/library/b:2", "sha256:1")]
    assert said(line, images) == known


@pytest.mark.parametrize(("name", "words"), [("auto", ""), ("native", "--backend native does nothing here")])
def test_how_layers_were_stacked_once(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_stacking(name)
    assert words in capsys.readouterr().err
    with pytest.raises(UsageError, match="x is not a valid snapshots backend"):
        check_stacking("x")


def test_annotations_of_every_level() -> None:
    words = ["a=b", "index:c=d=e", "manifest,manifest-descriptor:f=", "manifest[linux/arm64]:org.x=y", "http://k=v"]
    assert parse_annotations(words) == {
        "annotation-manifest.a": "b",
        "annotation-index.c": "d=e",
        "annotation-manifest.f": "",
        "annotation-manifest-descriptor.f": "",
        "annotation-manifest[linux/arm64].org.x": "y",
        "annotation-manifest.http://k": "v",
    }


def test_what_every_step_gets() -> None:
    found = confinement(given(add_host=["a:1.2.3.4", "b=::1"], ulimit=["nofile=10:20", "core=-1"], shm_size="1.5g"))
    assert found.hosts == (("a", "1.2.3.4"), ("b", "::1"))
    assert found.limits == (Limit("nofile", 10, 20), Limit("core", -1, -1))
    assert found.shm_size == 3 << 29


@pytest.mark.parametrize(
    "asked",
    [
        {"add_host": ["a"]},
        {"add_host": ["a:b"]},
        {"add_host": ["a:host-gateway"]},
        {"ulimit": ["x=1"]},
        {"ulimit": ["nofile=2:1"]},
        {"ulimit": ["nofile"]},
        {"shm_size": "many"},
    ],
)
def test_what_no_step_can_get(asked: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        confinement(given(**asked))


def test_sizes_are_powers_of_1024() -> None:
    assert [size(text, "--x") for text in ("", "5", "5b", "2k", "2KB", "1m", "1gib")] == [
        0,
        5,
        5,
        2048,
        2048,
        1 << 20,
        1 << 30,
    ]


def test_pairs_are_text() -> None:
    with pytest.raises(UsageError, match="the value of --label a is not UTF-8"):
        pairs(["a=\udcff"], "--label")


def test_pairs_take_values_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG_TEST_SET", "1")
    monkeypatch.delenv("IMG_TEST_UNSET", raising=False)
    assert pairs(["A=b", "IMG_TEST_SET", "IMG_TEST_UNSET"], "--build-arg", True) == {"A": "b", "IMG_TEST_SET": "1"}


@pytest.mark.parametrize(("secret", "ssh"), [(["id=a,src=nope"], []), ([], ["a=nope"])])
def test_hidden_files_must_be_there(tmp_path: Path, secret: list[str], ssh: list[str]) -> None:
    with pytest.raises(UsageError, match="nope: No such file or directory"):
        hidden({"secret": secret, "ssh": ssh})
