"""Mounts of a step: what is in them, what becomes of it, and that no trace of them is left in the result."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from img.errors import ImgError
from img.ir.nodes import Exec, Node
from img.ir.values import Bind, CacheDir, Mount, Secret, Sharing, Ssh, Tmpfs
from img.secrets import SecretSource
from img.testing.backends.bench import BASE, Bench, sh

WORD = "a word that nobody else says"


def mounted(script: str, *mounts: Mount, root: Node = BASE, **how: Any) -> Exec:
    return sh(script, root, mounts=mounts, **how)


class MountCases:
    """Bind, cache, secret, ssh, tmpfs."""

    # --- bind ------------------------------------------------------------------------------------------------

    def test_files_of_another_step(self, bench: Bench) -> None:
        other = sh("mkdir -p /out/deep; echo one > /out/a; echo two > /out/deep/b; chown 33:44 /out/a")
        script = "cat /m/a /m/deep/b /one; stat -c %u:%g /m/a; ! touch /m/new 2> /dev/null; touch /made"
        node = mounted(script, Bind(other, "/m", "/out"), Bind(other, "/one", "/out/a"))
        with bench.given("mount.bind", node) as able:
            if able:
                assert bench.output(node).split() == ["one", "two", "one", "33:44"]
                assert set(bench.made(node)) == {"/made"}

    def test_what_is_written_to_another_step_is_gone(self, bench: Bench) -> None:
        other = sh("mkdir /out; echo one > /out/a")
        first = mounted("echo more >> /m/a; cat /m/a; rm /m/a", Bind(other, "/m", "/out", readonly=False))
        again = mounted("cat /m/a", Bind(other, "/m", "/out"), root=first)
        with bench.given("mount.bind", again) as able:
            if able:
                assert bench.output(again).split() == ["one", "more", "one"]
                assert bench.made(other)["/out/a"].data == b"one\n"

    def test_what_is_below_a_mount_stays(self, bench: Bench) -> None:
        lower, other = sh("mkdir /full; echo kept > /full/kept"), sh("mkdir /out; touch /out/other")
        node = mounted("ls /full; touch /after", Bind(other, "/full", "/out"), root=lower)
        with bench.given("mount.bind", node) as able:
            if able:
                assert bench.output(node) == "other\n"
                made = bench.made(node)
                assert made["/full/kept"].data == b"kept\n" and "/full/other" not in made

    def test_a_path_that_is_not_there(self, bench: Bench) -> None:
        if "mount.bind" in bench.abilities:
            with pytest.raises(ImgError, match="nowhere"):
                bench.build(mounted("true", Bind(BASE, "/m", "/nowhere")))

    # --- cache -----------------------------------------------------------------------------------------------

    def test_a_cache_outlives_the_step_and_is_not_in_the_result(self, bench: Bench) -> None:
        first = mounted("echo kept > /c/f; chown 33 /c/f", CacheDir("kept", "/c"))
        second = mounted("cat /c/f; stat -c %u /c/f; touch /made", CacheDir("kept", "/c"), root=first)
        with bench.given("mount.cache", second) as able:
            if able:
                assert bench.output(second).split() == ["kept", "33"]
                assert bench.output(second, no_cache=True).split() == ["kept", "33"]
                assert set(bench.made(second)) == {"/made"}

    def test_caches_are_told_apart_by_their_names(self, bench: Bench) -> None:
        first = mounted("touch /c/one", CacheDir("name-one", "/c"))
        node = mounted("ls -A /c; echo end", CacheDir("name-two", "/c"), root=first)
        with bench.given("mount.cache", node) as able:
            if able:
                assert bench.output(node) == "end\n"

    def test_a_new_cache(self, bench: Bench) -> None:
        start = sh("mkdir /s; echo start > /s/f")
        script = "stat -c '%a %u %g' /c; cat /d/f; touch /c/mine"
        mounts = (CacheDir("owned", "/c", mode=0o750, uid=33, gid=44), CacheDir("begun", "/d", node=start, path="/s"))
        node = mounted(script, *mounts, user="www")
        with bench.given("mount.cache", node) as able:
            if able:
                assert bench.output(node).split() == ["750", "33", "44", "start"]

    def test_a_cache_that_is_only_read(self, bench: Bench) -> None:
        first = mounted("echo kept > /c/f", CacheDir("read", "/c"))
        script = "cat /c/f; touch /c/new 2> /dev/null; true"
        second = mounted(script, CacheDir("read", "/c", readonly=True), root=first)
        third = mounted("ls /c", CacheDir("read", "/c"), root=second)
        with bench.given("mount.cache", third) as able:
            if able:
                assert bench.output(third).split() == ["kept", "f"]

    def test_a_locked_cache_has_one_user_at_a_time(self, bench: Bench) -> None:
        script = "mkdir /c/inside || exit 9; sleep 0.4; rmdir /c/inside; echo %d"
        nodes = [mounted(script % n, CacheDir("locked", "/c", Sharing.LOCKED)) for n in range(3)]
        with bench.given("mount.cache", nodes[0]) as able:
            if able:
                assert sorted(bench.build(*nodes, no_cache=True).output().split()) == [b"0", b"1", b"2"]

    def test_a_private_cache_has_a_twin_for_the_second_user(self, bench: Bench) -> None:
        script = "mkdir /c/inside || exit 9; sleep 0.7; rmdir /c/inside; echo %d"
        nodes = [mounted(script % n, CacheDir("private", "/c", Sharing.PRIVATE)) for n in range(3)]
        with bench.given("mount.cache", nodes[0]) as able:
            if able:
                assert sorted(bench.build(*nodes, no_cache=True).output().split()) == [b"0", b"1", b"2"]

    def test_a_shared_cache_has_all_users_at_once(self, bench: Bench) -> None:
        """Each waits for the other's file."""
        script = "touch /c/%d; for i in $(seq 150); do test -e /c/%d && exec echo met; sleep 0.1; done; exit 9"
        nodes = [mounted(script % (n, 1 - n), CacheDir("shared", "/c")) for n in range(2)]
        if "mount.cache" not in bench.abilities:
            return
        if "mount.cache.live" in bench.abilities:
            assert bench.build(*nodes).output().split() == [b"met", b"met"]
            return
        alone = [mounted(f"sleep 0.3; touch /c/{n}", CacheDir("alone", "/c")) for n in range(2)]
        bench.build(*alone)
        left = bench.output(mounted("ls /c", CacheDir("alone", "/c"))).split()
        assert set(left) <= {"0", "1"} and left

    # --- secret ----------------------------------------------------------------------------------------------

    def test_a_secret_is_seen_and_left_nowhere(self, bench: Bench) -> None:
        script = "stat -c '%a %u %g' /run/secrets/word; wc -c < /run/secrets/word; touch /tmp/made"
        node = mounted(script, Secret("word", "/run/secrets/word", "", 0o440, 33, 44, required=True), user="www")
        given = {"word": SecretSource("value", WORD)}
        with bench.given("mount.secret", node, secrets=given) as able:
            if able:
                seen = bench.build(node, secrets=given)
                assert seen.output().decode().split() == ["440", "33", "44", str(len(WORD))]
                assert WORD not in repr(seen.events)
                assert set(bench.made(node, secrets=given)) == {"/tmp/made"}
                assert not _holding(bench.place / "store", WORD.encode())

    def test_a_secret_in_a_variable(self, bench: Bench) -> None:
        script = 'test "$WORD" = "$(cat /run/secrets/word)" && echo ${#WORD}; touch /made'
        node = mounted(script, Secret("word", "/run/secrets/word", "WORD", required=True))
        given = {"word": SecretSource("value", WORD)}
        with bench.given("mount.secret.env", node, secrets=given) as able:
            if able:
                seen = bench.build(node, secrets=given)
                assert seen.output().decode() == f"{len(WORD)}\n"
                assert WORD not in repr(seen.events)
                assert set(bench.made(node, secrets=given)) == {"/made"}
                assert not _holding(bench.place / "store", WORD.encode())

    def test_a_secret_that_the_build_was_not_given(self, bench: Bench) -> None:
        if "mount.secret" not in bench.abilities:
            return
        assert bench.output(mounted("test -e /s; echo $?", Secret("none", "/s"))) == "1\n"
        with pytest.raises(ImgError, match="none"):
            bench.build(mounted("true", Secret("none", "/s", required=True)))

    # --- ssh -------------------------------------------------------------------------------------------------

    def test_an_agent(self, bench: Bench) -> None:
        script = 'test -S "$SSH_AUTH_SOCK" && stat -c "%a %u %g" $SSH_AUTH_SOCK; touch /tmp/made'
        node = mounted(script, Ssh("default", "/run/agent", 0o600, 33, 44, required=True), user="www")
        with _agent(bench.place / "agent") as path:
            given = {"default": (path,)}
            with bench.given("mount.ssh", node, ssh=given) as able:
                if able:
                    assert bench.output(node, ssh=given).split() == ["600", "33", "44"]
                    assert set(bench.made(node, ssh=given)) == {"/tmp/made"}

    def test_an_agent_that_the_build_was_not_given(self, bench: Bench) -> None:
        if "mount.ssh" in bench.abilities:
            with pytest.raises(ImgError, match="other"):
                bench.build(mounted("true", Ssh("other", "/run/agent", required=True)))

    # --- tmpfs -----------------------------------------------------------------------------------------------

    def test_a_folder_in_memory(self, bench: Bench) -> None:
        script = "ls -A /t/deep; stat -c %a /t/deep; echo x > /t/deep/f; cat /t/deep/f; touch /tmp/made"
        node = mounted(script, Tmpfs("/t/deep"), user="www")
        with bench.given("mount.tmpfs", node) as able:
            if able:
                assert bench.output(node).split() == ["1777", "x"]
                assert {path for path in bench.made(node) if path not in ("/tmp", "/t", "/t/deep")} == {"/tmp/made"}

    def test_a_folder_in_memory_with_a_limit(self, bench: Bench) -> None:
        script = (
            "head -c 60000 /dev/zero > /t/f && echo fits; head -c 200000 /dev/zero > /t/g 2> /dev/null || echo full"
        )
        node = mounted(script, Tmpfs("/t", 131_072))
        with bench.given("mount.tmpfs.size", node) as able:
            if able:
                assert bench.output(node).split() == ["fits", "full"]

    # --- together --------------------------------------------------------------------------------------------

    def test_mounts_in_each_other(self, bench: Bench) -> None:
        other = sh("mkdir -p /out/in; echo bound > /out/f; echo hidden > /out/in/f")
        mounts = (Bind(other, "/m", "/out"), CacheDir("inner", "/m/in"), Tmpfs("/m/in/t"))
        node = mounted("cat /m/f; ls -A /m/in; echo x > /m/in/t/f; touch /m/in/kept /made", *mounts)
        missing = [name for name in ("mount.bind", "mount.cache", "mount.tmpfs") if name not in bench.abilities]
        if not missing:
            assert bench.output(node).split() == ["bound", "t"]
            assert set(bench.made(node)) == {"/made"}


@contextmanager
def _agent(path: Path) -> Iterator[str]:
    """Something that listens, in the place of an agent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        try:
            yield str(path)
        finally:
            path.unlink()


def _holding(folder: Path, word: bytes) -> list[str]:
    """Files below a folder that hold the word."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink() and word in path.read_bytes():
                found.append(str(path))
        except OSError:
            continue
    return found
