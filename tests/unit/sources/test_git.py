"""The source git against real repositories: by path, by git daemon, by HTTP smart and dumb."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.peers import repositories
from tests.peers.repositories import WHEN, commit, git
from tests.unit.sources.conftest import Host

from img.errors import Cancelled, SourceError, UsageError
from img.ir.nodes import Source
from img_plugins.sources.git import GitSource
from img_plugins.sources.git_program import Remote


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Two commits on main, a branch, tags, files of every kind git knows."""
    folder = tmp_path / "served" / "repo.git"
    commit(folder, {"a": "1", "run.sh": "#!/bin/sh\n", "sub/b": "2"})
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("sub/b")
    commit(folder, {}, "modes")
    git(folder, "tag", "-a", "v1", "-m", "one")
    git(folder, "checkout", "-q", "-b", "other")
    commit(folder, {"a": "other"}, when=WHEN + 100)
    git(folder, "checkout", "-q", "main")
    commit(folder, {"a": "3"}, when=WHEN + 200)
    return folder


@pytest.fixture(params=["path", "daemon", "smart", "dumb"])
def served(request: pytest.FixtureRequest, repo: Path) -> Iterator[str]:
    """The repository's address, four ways."""
    base = repo.parent
    if request.param == "path":
        yield str(repo)
    elif request.param == "daemon":
        with repositories.daemon(base) as url:
            yield f"{url}/repo.git"
    elif request.param == "smart":
        with repositories.web(base) as web:
            yield f"{web.url}/repo.git"
    else:
        git(repo, "update-server-info")
        with repositories.web(base, smart=False) as web:
            yield f"{web.url}/repo.git/.git"


def source(url: object, **attrs: str) -> Source:
    return Source("git", str(url), tuple(sorted(attrs.items())))


def files(folder: str) -> dict[str, str]:
    """Path → text, or a link's target, of everything below."""
    found: dict[str, str] = {}
    for here, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(here) / name
            key = str(path.relative_to(folder))
            if path.is_symlink():
                found[key] = f"-> {path.readlink()}"
            elif path.is_file():
                found[key] = path.read_text()
    return found


def test_every_way_to_name_a_commit(host: Host, repo: Path, served: str) -> None:
    plugin = GitSource(host)
    commits = {name: git(repo, "rev-parse", f"{name}^{{commit}}") for name in ("main", "other", "v1", "v1~1")}
    asked = {
        "": commits["main"],
        "main": commits["main"],
        "other": commits["other"],
        "refs/heads/other": commits["other"],
        "heads/other": commits["other"],
        "v1": commits["v1"],
        "refs/tags/v1": commits["v1"],
        commits["other"]: commits["other"],
        commits["other"][:9]: commits["other"],
        commits["v1~1"]: commits["v1~1"],
    }
    for ref, wanted in asked.items():
        found = plugin.fetch(source(served, **({"ref": ref} if ref else {})))
        assert plugin.pin(source(served, **({"ref": ref} if ref else {}))).words == f"{served}#{wanted}", ref
        assert files(found.path)["a"] == git(repo, "show", f"{wanted}:a"), ref


def test_modes_times_and_links(host: Host, repo: Path) -> None:
    folder = Path(GitSource(host).fetch(source(repo, ref="v1")).path)
    assert files(str(folder)) == {"a": "1", "run.sh": "#!/bin/sh\n", "sub/b": "2", "link": "-> sub/b"}
    modes = {name: (folder / name).stat().st_mode & 0o7777 for name in ("a", "run.sh", "sub")}
    assert modes == {"a": 0o644, "run.sh": 0o755, "sub": 0o755}
    assert {int((folder / name).lstat().st_mtime) for name in ("", "a", "sub", "sub/b", "link")} == {WHEN}
    assert GitSource(host).modified(source(repo, ref="other")) == WHEN + 100


def test_only_the_commit_is_fetched(host: Host, repo: Path, tmp_path: Path) -> None:
    with repositories.web(repo.parent) as web:
        GitSource(host).fetch(source(f"{web.url}/repo.git"))
    (bare,) = (tmp_path / "store" / "sources" / "git").iterdir()
    assert git(bare, "rev-list", "--all").split() == [git(repo, "rev-parse", "main")]


def test_a_checkout_is_made_once(new_host: Callable[[], Host], repo: Path) -> None:
    one = GitSource(new_host()).fetch(source(repo))
    assert GitSource(new_host()).fetch(source(repo)) == one
    commit(repo, {"a": "4"})
    two = GitSource(new_host()).fetch(source(repo))
    assert (files(one.path)["a"], files(two.path)["a"]) == ("3", "4")


def test_a_whole_commit_needs_no_network_the_second_time(new_host: Callable[[], Host], repo: Path) -> None:
    at = source(repo, ref=git(repo, "rev-parse", "main"))
    one = GitSource(new_host()).fetch(at)
    repo.rename(repo.with_name("gone"))
    plugin = GitSource(new_host())
    assert (plugin.fetch(at), plugin.modified(at)) == (one, WHEN + 200)


def test_the_pin(host: Host, repo: Path) -> None:
    plugin = GitSource(host)
    main = git(repo, "rev-parse", "main")
    pins = [
        plugin.pin(source(repo, **attrs)).key
        for attrs in ({}, {"subdir": "sub"}, {"keepgitdir": "true"}, {"submodules": "false"}, {"ref": "other"})
    ]
    assert len(set(pins)) == len(pins)
    assert plugin.pin(source(repo, ref=main)).key == pins[0]


@pytest.mark.parametrize(
    ("subdir", "words"),
    [
        ("..", "leads out"),
        ("../../etc", "leads out"),
        ("out", "leads out"),
        ("nope", "has no folder 'nope'"),
        ("a", "has no folder 'a'"),
    ],
)
def test_a_subdir_stays_inside(host: Host, repo: Path, subdir: str, words: str) -> None:
    (repo / "out").symlink_to("/etc")
    commit(repo, {})
    with pytest.raises(SourceError, match=words):
        GitSource(host).fetch(source(repo, subdir=subdir))


@pytest.mark.parametrize("subdir", ["sub", "/sub", "sub/", "./sub"])
def test_a_subdir(host: Host, repo: Path, subdir: str) -> None:
    assert files(GitSource(host).fetch(source(repo, subdir=subdir)).path) == {"b": "2"}


def test_a_checksum(host: Host, repo: Path) -> None:
    plugin, main = GitSource(host), git(repo, "rev-parse", "main")
    plugin.pin(source(repo, ref="main", checksum=main))
    plugin.pin(source(repo, ref="main", checksum=main[:7]))
    with pytest.raises(SourceError, match=f"main of .* is the commit {main}, not 0123456"):
        plugin.pin(source(repo, ref="main", checksum="0123456"))


def test_what_is_not_there(host: Host, repo: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no branch, tag or commit 'mian'") as caught:
        GitSource(host).pin(source(repo, ref="mian"))
    assert caught.value.hint == "did you mean main?"
    with pytest.raises(SourceError, match=f"has no commit {'0' * 40}"):
        GitSource(host).fetch(source(repo, ref="0" * 40))
    with pytest.raises(SourceError, match="can't fetch the git repository"):
        GitSource(host).pin(source(tmp_path / "nothing.git"))
    git(tmp_path, "init", "-q", "empty.git")
    with pytest.raises(SourceError, match="has no commit yet"):
        GitSource(host).pin(source(tmp_path / "empty.git"))


@pytest.mark.parametrize("ref", ["--upload-pack=x", "a b", "a..b^{}", "a:b", "*", "a\nb"])
def test_a_ref_is_never_an_option(host: Host, repo: Path, ref: str) -> None:
    with pytest.raises(SourceError, match="can't be a ref"):
        GitSource(host).pin(source(repo, ref=ref))


@pytest.mark.parametrize(
    "url", ["ext::sh -c x", "--upload-pack=x", "ftp://x/y", "relative/path", "ssh://-oProxyCommand=x/y", "a@b:"]
)
def test_an_address_is_never_something_else(host: Host, url: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a git repository"):
        GitSource(host).pin(source(url))


def test_keeping_the_git_folder(host: Host, repo: Path, new_host: Callable[[], Host]) -> None:
    folder = Path(GitSource(host).fetch(source(repo, ref="other", keepgitdir="true")).path)
    assert git(folder, "rev-parse", "HEAD") == git(repo, "rev-parse", "other")
    assert git(folder, "symbolic-ref", "HEAD") == "refs/heads/other"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "config", "remote.origin.url") == str(repo)
    inner = Path(GitSource(host).fetch(source(repo, ref="other", keepgitdir="true", subdir="sub")).path)
    assert not (inner.parent / ".git").exists()


@pytest.fixture
def nested(tmp_path: Path, repo: Path) -> Path:
    """A repository with a submodule that has one itself, by relative URLs."""
    base = repo.parent
    commit(base / "leaf.git", {"leaf": "l"})
    commit(base / "middle.git", {"middle": "m"})
    git(base / "middle.git", "submodule", "add", "-q", str(base / "leaf.git"), "leaf")
    git(base / "middle.git", "config", "-f", ".gitmodules", "submodule.leaf.url", "../leaf.git")
    commit(base / "middle.git", {})
    git(repo, "submodule", "add", "-q", str(base / "middle.git"), "sub/middle")
    git(repo, "config", "-f", ".gitmodules", "submodule.sub/middle.url", "../middle.git")
    commit(repo, {})
    return repo


def test_submodules(host: Host, nested: Path) -> None:
    found = files(GitSource(host).fetch(source(nested)).path)
    assert (found["sub/middle/middle"], found["sub/middle/leaf/leaf"]) == ("m", "l")
    assert not any(name.endswith(".git") for name in found)
    without = GitSource(host).fetch(source(nested, submodules="false"))
    assert "sub/middle/middle" not in files(without.path)
    with repositories.web(nested.parent) as web:
        assert files(GitSource(host).fetch(source(f"{web.url}/repo.git")).path) == found


@pytest.mark.parametrize("url", ["PATH", "file://PATH", "ext::sh -c touch% /tmp/img-pwned", "--upload-pack=x"])
def test_submodules_of_remotes_reach_no_files(host: Host, nested: Path, url: str) -> None:
    git(
        nested,
        "config",
        "-f",
        ".gitmodules",
        "submodule.sub/middle.url",
        url.replace("PATH", str(nested.parent / "middle.git")),
    )
    commit(nested, {})
    with repositories.web(nested.parent) as web, pytest.raises(SourceError, match="is not fetched"):
        GitSource(host).fetch(source(f"{web.url}/repo.git"))
    assert not Path("/tmp/img-pwned").exists()


def test_hooks_and_configuration_do_nothing(
    host: Host, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[core]\n\tfsmonitor = "touch {mark}"\n\tautocrlf = true\n[filter "f"]\n\tsmudge = "touch {mark}; cat"\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.autocrlf=true'")
    commit(repo, {".gitattributes": "* filter=f\n", "new": "line\n"})
    assert Path(GitSource(host).fetch(source(repo)).path, "new").read_bytes() == b"line\n"
    assert not mark.exists()


@pytest.mark.parametrize(
    ("secrets", "works"),
    [
        ({"GIT_AUTH_TOKEN": b"s3cret\n"}, True),
        ({"GIT_AUTH_TOKEN.HOST": b"s3cret"}, True),
        ({"GIT_AUTH_TOKEN": b"wr0ng", "GIT_AUTH_TOKEN.HOST": b"s3cret"}, True),
        ({"GIT_AUTH_HEADER": b"basic " + base64.b64encode(b"x-access-token:s3cret")}, True),
        ({"GIT_AUTH_TOKEN": b"wr0ng"}, False),
        ({"GIT_AUTH_TOKEN.elsewhere": b"s3cret"}, False),
        ({}, False),
    ],
)
def test_logins(host: Host, repo: Path, secrets: dict[str, bytes], works: bool) -> None:
    with repositories.web(repo.parent) as web:
        name = web.url.removeprefix("http://")
        host.given_secrets = {key.replace("HOST", name): value for key, value in secrets.items()}
        web.login = "basic " + base64.b64encode(b"x-access-token:s3cret").decode()
        if works:
            assert files(GitSource(host).fetch(source(f"{web.url}/repo.git")).path)["a"] == "3"
            return
        with pytest.raises(SourceError, match="can't fetch the git repository") as caught:
            GitSource(host).fetch(source(f"{web.url}/repo.git"))
    assert "--secret id=GIT_AUTH_TOKEN" in caught.value.hint
    assert "wr0ng" not in f"{caught.value.message}{caught.value.hint}"


def test_a_general_secret_is_not_shown_to_submodules_elsewhere(host: Host, nested: Path, tmp_path: Path) -> None:
    with repositories.web(nested.parent) as here, repositories.web(nested.parent) as there:
        url = f"{there.url}/middle.git"
        git(nested, "config", "-f", ".gitmodules", "submodule.sub/middle.url", url)
        commit(nested, {})
        host.given_secrets = {"GIT_AUTH_TOKEN": b"s3cret"}
        GitSource(host).fetch(source(f"{here.url}/repo.git"))
        assert all(login for path, login in here.asked if "/repo.git" in path)
        assert there.asked
        assert not any(login for _, login in there.asked)


def test_a_login_in_the_url_is_nowhere_to_be_seen(host: Host, repo: Path, tmp_path: Path) -> None:
    with repositories.web(repo.parent) as web:
        web.login = "Basic " + base64.b64encode(b"me:s3cret").decode()
        url = web.url.replace("http://", "http://me:s3cret@")
        plugin = GitSource(host)
        folder = plugin.fetch(source(f"{url}/repo.git", keepgitdir="true"))
        assert "s3cret" not in plugin.pin(source(f"{url}/repo.git")).words
        with pytest.raises(SourceError) as caught:
            plugin.fetch(source(f"{url}/nope.git"))
        assert "s3cret" not in caught.value.message
    kept = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"s3cret" in path.read_bytes()]
    assert "s3cret" not in folder.name


def test_a_missing_git_says_what_to_install(host: Host, repo: Path, tmp_path: Path) -> None:
    host.settings["path"] = str(tmp_path)
    with pytest.raises(SourceError, match="git is not installed") as caught:
        GitSource(host).pin(source(repo))
    assert "apt-get install git" in caught.value.hint


def test_cancelling_ends_git(host: Host) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Timer(0.5, host.cancel).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            GitSource(host).pin(source(f"git://127.0.0.1:{silent.getsockname()[1]}/x"))
    assert time.monotonic() - started < 10


def test_two_at_once(new_host: Callable[[], Host], repo: Path) -> None:
    found: list[str] = []
    hosts = [new_host() for _ in range(4)]
    threads = [threading.Thread(target=lambda h=h: found.append(GitSource(h).fetch(source(repo)).path)) for h in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("url", "home"),
    [("https://u:p@h:8/x.git", "h:8"), ("git@h:x.git", ""), ("ssh://git@h/x", "h"), ("/path", "")],
)
def test_remotes(url: str, home: str) -> None:
    assert Remote.of(url).home == home
