"""Images and registries from a program, with credentials by argument."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import img
from img.errors import ImgError, Unauthorized, UsageError
from img.testing.registry import MemoryRegistry, serving


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    with serving(MemoryRegistry(user="me", password="word", auth="token")) as running:
        yield running


def test_the_life_of_an_image(registry: MemoryRegistry, tmp_path: Path) -> None:
    app = img.scratch().write("/hello", "hello").label({"a": "<b>"}).cmd(["/hello"])
    first, second = tmp_path / "one", tmp_path / "two"
    name = f"{registry.host}/team/app:1"
    login = {registry.host: ("me", "word")}
    digest = img.build(app, root=first, tag=name).digest
    with pytest.raises(Unauthorized):
        img.push(name, root=first)
    with pytest.raises(Unauthorized):
        img.push(name, root=first, credentials={registry.host: ("me", "wrong")})
    assert img.push(name, root=first, credentials=login) == digest
    seen: list[object] = []

    class Watch:
        def handle(self, event: object) -> None:
            seen.append(event)

        def close(self) -> None:
            seen.append("closed")

    assert img.pull(name, root=second, credentials=login, observers=[Watch()]) == digest
    assert seen[-1] == "closed"
    assert img.tag(name, "mine", root=second) == "docker.io/library/mine:latest"
    found = img.inspect("mine", root=second)
    assert (found.cmd, found.labels, found.digest) == (("/hello",), {"a": "<b>"}, digest)
    assert "&lt;b&gt;" in found._repr_html_() and "<b>" not in found._repr_html_()
    scoped = {f"{registry.host}/team": ("me", "word"), registry.host: ("me", "wrong")}
    assert img.inspect(f"docker://{name}", root=tmp_path / "three", credentials=scoped).digest == digest
    assert img.copy("mine", f"oci:{tmp_path}/layout:x", root=second) == digest
    assert (
        img.copy(f"oci:{tmp_path}/layout:x", f"docker://{registry.host}/a/b", root=second, credentials=login) == digest
    )
    assert img.remove("mine", root=second) == ("docker.io/library/mine:latest",)
    assert [one.name for one in img.stored(root=second)] == [name]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"bWU6d29yZA" not in kept


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the name is text, not None"):
        img.inspect(None, root=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there is no option 'platforms'"):
        img.tag("a", "b", platforms="x")  # type: ignore[call-arg]
    with pytest.raises(ImgError, match="nothing"):
        img.inspect("nothing", root=tmp_path)


def test_the_surroundings_of_the_command_line(tmp_path: Path) -> None:
    found = img.environment({"HOME": str(tmp_path), "IMG_NETWORK": "none", "HTTPS_PROXY": "http://p"})
    assert found["network"] == "none" and found["https_proxy"] == "http://p"
    assert found["auth_file"] == f"{tmp_path}/.docker/config.json"
