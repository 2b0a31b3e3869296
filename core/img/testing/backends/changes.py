"""What a process did to its root is what the result has: no more, no less."""

from __future__ import annotations

import os

from img.ir.nodes import Copy, Source
from img.testing.backends.bench import BASE, Bench, sh
from img.testing.backends.files import ODD


class ChangeCases:
    """Changes that a RUN makes."""

    def test_nothing_done_is_nothing_changed(self, bench: Bench) -> None:
        assert bench.made(sh("true")) == {}

    def test_owners_and_modes(self, bench: Bench) -> None:
        node = sh(
            "mkdir -m 2750 /d; touch /d/f; chown 33:44 /d/f; chmod 4711 /d/f; chown -h 1:2 /d; mkdir -m 1777 /open;"
            "touch /far; chown 65533:65532 /far; ln -s nowhere /l; chown -h 7:8 /l; chmod 600 /etc/passwd"
        )
        made = bench.made(node)
        assert made["/d"][:4] == ("dir", 0o2750, 1, 2)
        assert made["/d/f"][:4] == ("file", 0o4711, 33, 44)
        assert made["/open"].mode == 0o1777
        assert made["/far"][2:4] == (65533, 65532)
        assert made["/l"][2:4] == (7, 8)
        assert made["/etc/passwd"].mode == 0o600 and made["/etc/passwd"].data

    def test_times(self, bench: Bench) -> None:
        made = bench.made(sh("touch -d @1000 /f; mkdir /d; touch /d/x; touch -d @2000 /d"))
        assert (made["/f"].mtime, made["/d"].mtime) == (1000, 2000)

    def test_names(self, bench: Bench) -> None:
        script = "".join(f'printf %s "$N{number}" > "/odd/$N{number}";' for number in range(len(ODD)))
        env = {f"N{number}": name for number, name in enumerate(ODD)}
        made = bench.made(sh("mkdir /odd; printf x > /odd/$(printf 'a\\377b');" + script, env=env))
        assert {name: made[f"/odd/{name}"].data.decode() for name in ODD} == {name: name for name in ODD}
        assert made[os.fsdecode(b"/odd/a\xffb")].data == b"x"

    def test_hard_links(self, bench: Bench) -> None:
        lower = sh("mkdir /h; echo 1 > /h/a; ln /h/a /h/b; echo alone > /h/c")
        made = bench.made(lower)
        assert made["/h/a"].name == made["/h/b"].name != made["/h/c"].name
        upper = bench.made(sh("ln /h/c /h/d; rm /h/b; echo more >> /h/d", lower))
        assert upper["/h/c"].name == upper["/h/d"].name and upper["/h/d"].data == b"alone\nmore\n"
        assert "/h/b" not in upper and upper["/h/a"].data == b"1\n"

    def test_devices_and_pipes(self, bench: Bench) -> None:
        """Where the machine lets nobody make devices, the step is told so: it never gets something else."""
        node = sh("mkfifo -m 640 /fifo; mknod /null c 1 3 && echo made; mknod -m 600 /disk b 7 1 || true")
        made, printed = bench.made(node), bench.output(node, no_cache=True)
        assert (made["/fifo"].kind, made["/fifo"].mode) == ("fifo", 0o640)
        if "made" in printed:
            assert (made["/null"].kind, made["/null"].device) == ("char", (1, 3))
            assert (made["/disk"].kind, made["/disk"].device, made["/disk"].mode) == ("block", (7, 1), 0o600)
        else:
            assert not {"/null", "/disk"} & set(made)

    def test_attributes_stay_with_a_file_that_is_changed(self, bench: Bench) -> None:
        from img.testing.backends.files import _archive

        (bench.context("attributes") / "a.tar").write_bytes(_archive())
        lower = Copy(BASE, Source("local", "attributes"), ("a.tar",), "/un/", unpack=True)
        made = bench.made(sh("chmod 755 /un/d/f", lower))
        assert made["/un/d/f"].mode == 0o755
        assert "xattrs" not in bench.abilities or made["/un/d/f"].xattrs["user.note"] == "value"

    def test_deletes(self, bench: Bench) -> None:
        lower = sh("mkdir -p /t/deep/er; echo 1 > /t/f; echo 2 > /t/deep/f; echo 3 > /t/deep/er/f; touch /t/g")
        gone = bench.made(sh("rm -r /t", lower))
        assert not [path for path in gone if path.startswith("/t")]
        part = bench.made(sh("rm /t/f; rm -r /t/deep/er", lower))
        assert {path for path in part if path.startswith("/t")} == {"/t", "/t/deep", "/t/deep/f", "/t/g"}
        back = bench.made(sh("echo back > /t/f", sh("rm /t/f", lower)))
        assert back["/t/f"].data == b"back\n"

    def test_folders_made_anew_hide_what_was_there(self, bench: Bench) -> None:
        lower = sh("mkdir -p /t/deep; echo 1 > /t/f; echo 2 > /t/deep/f; mkdir /u; touch /u/old")
        node = sh("rm -r /t; mkdir -p /t/deep; echo new > /t/deep/g; mv /u /v; mkdir /u; touch /u/young", lower)
        made = bench.made(node)
        assert {path for path in made if path.startswith("/t/")} == {"/t/deep", "/t/deep/g"}
        assert {"/u/young", "/v/old"} <= set(made) and not {"/u/old", "/v/young"} & set(made)
        again = bench.made(sh("touch /u/later", node))
        assert {"/u/later", "/u/young"} <= set(again) and "/u/old" not in again

    def test_one_kind_in_the_place_of_another(self, bench: Bench) -> None:
        lower = sh("mkdir /a; touch /a/x; echo f > /b; ln -s /etc /c")
        made = bench.made(sh("rm -r /a; echo file > /a; rm /b; mkdir /b; touch /b/y; rm /c; mkdir /c", lower))
        assert (made["/a"].kind, made["/b"].kind, made["/c"].kind) == ("file", "dir", "dir")
        assert "/a/x" not in made and "/b/y" in made

    def test_what_is_written_through_a_link_is_where_it_leads(self, bench: Bench) -> None:
        made = bench.made(sh("ln -s /etc /conf; echo more >> /conf/group; touch /conf/new; cd /conf && touch rel"))
        assert made["/conf"].kind == "symlink"
        assert {"/etc/new", "/etc/rel"} <= set(made) and made["/etc/group"].data.endswith(b"more\n")
