"""The process of a step: who it is, what it sees, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from img.errors import ImgError, StepFailed
from img.ir.values import Confinement, Device, Limit, Network, Security
from img.testing.backends.bench import BASE, Bench, run, sh
from img.testing.backends.here import listening

ARGUMENT = 128 << 10
"""Bytes of the longest argument or variable that Linux takes, with its zero byte (execve(2): MAX_ARG_STRLEN)."""

SHELLS = {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_"}
"""Variables that every step has, or that the shell makes."""


class ProcessCases:
    """Identity, environment, arguments, network, confinement, and the end."""

    def test_root(self, bench: Bench) -> None:
        said = bench.output(sh("id -u; id -g; umask; pwd; echo $HOME"))
        assert said.split() == ["0", "0", "0022", "/", "/root"]

    @pytest.mark.parametrize(
        ("user", "wanted"),
        [
            ("www", "33 33 33,44 /var"),
            ("www:extra", "33 44 44 /var"),
            ("33", "33 33 33,44 /var"),
            ("33:7", "33 7 7 /var"),
            ("4242", "4242 0 0 /"),
            ("root:www", "0 33 33 /root"),
        ],
    )
    def test_as_a_user(self, bench: Bench, user: str, wanted: str) -> None:
        said = bench.output(sh("echo $(id -u) $(id -g) $(id -G | tr ' ' ,) $HOME", user=user)).split()
        number, group, groups, home = wanted.split()
        assert said[:2] == [number, group]
        assert set(said[2].split(",")) == set(groups.split(","))
        assert said[3] == home

    def test_a_user_can_do_what_a_user_can(self, bench: Bench) -> None:
        made = bench.made(sh("! touch /etc/refused; ! chown 0 /tmp; ! rm /etc/passwd; touch /tmp/mine", user="www"))
        assert made["/tmp/mine"][2:4] == (33, 33)
        assert "/etc/refused" not in made

    @pytest.mark.parametrize("user", ["nobody-is-called-this", "www:no-such-group"])
    def test_a_user_that_is_not_there(self, bench: Bench, user: str) -> None:
        with pytest.raises(ImgError, match=user.rpartition(":")[2]):
            bench.build(sh("true", user=user))

    def test_the_environment_is_what_was_said(self, bench: Bench) -> None:
        env = {
            "EMPTY": "",
            "SPACES": " a  b ",
            "LINES": "one\ntwo",
            "EQUALS": "a=b=c",
            "WORD": "grüß",
            "DOLLAR": "$HOME",
        }
        script = "; ".join(f'printf "%s|" "${name}"' for name in env) + "; env"
        *values, listed = bench.output(sh(script, env=env)).split("|")
        assert values == list(env.values())
        names = {line.partition("=")[0] for line in listed.splitlines()}
        assert names - set(env) - SHELLS <= {"two"}  # the second line of a value

    def test_the_working_folder(self, bench: Bench) -> None:
        made = bench.made(sh("pwd > where; touch here", cwd="/made/by it"))
        assert made["/made/by it/where"].data == b"/made/by it\n"
        assert "/made/by it/here" in made

    def test_arguments_arrive_as_they_are(self, bench: Bench) -> None:
        words = ["a b", "", "*", "$HOME", "ü", "\n", "-n", '"', "\\"]
        assert bench.output(run(["/bin/sh", "-c", 'printf "[%s]" "$@"', "sh", *words])) == "".join(
            f"[{w}]" for w in words
        )

    def test_the_program_is_looked_for_in_path(self, bench: Bench) -> None:
        node = sh("mkdir /own; printf '#!/bin/sh\\necho mine' > /own/tool; chmod 755 /own/tool")
        assert bench.output(run(["tool"], node, env={"PATH": "/nowhere:/own:/bin"})) == "mine\n"

    @pytest.mark.parametrize(("argv", "status"), [(["/no/such"], 127), (["no-such"], 127), (["/etc/passwd"], 126)])
    def test_a_program_that_cannot_be_started(self, bench: Bench, argv: list[str], status: int) -> None:
        with pytest.raises(StepFailed, match=argv[0]) as failed:
            bench.build(run(argv))
        assert failed.value.status == status

    @pytest.mark.parametrize("status", [1, 2, 77, 126, 255])
    def test_exit_codes(self, bench: Bench, status: int) -> None:
        with pytest.raises(StepFailed) as failed:
            bench.build(sh(f"echo last words; exit {status}"))
        assert failed.value.status == status
        assert "last words" in "\n".join(failed.value.tail)

    @pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("TERM", 15), ("SEGV", 11)])
    def test_signals(self, bench: Bench, name: str, number: int) -> None:
        with pytest.raises(StepFailed) as failed:
            bench.build(sh(f"sh -c 'kill -{name} $$'; exit $?"))
        assert failed.value.status == 128 + number

    def test_nothing_comes_from_stdin(self, bench: Bench) -> None:
        assert bench.output(sh("cat; read x; echo $?-$x")) == "1-\n"

    def test_no_descriptor_is_inherited(self, bench: Bench) -> None:
        said = bench.output(
            sh("test -d /proc/self/fd || exec echo 0 1 2; for f in /proc/self/fd/*; do echo ${f##*/}; done")
        )
        assert {int(word) for word in said.split()} <= {0, 1, 2, 3}  # 3: the shell reads the folder

    def test_the_usual_devices(self, bench: Bench) -> None:
        assert (
            bench.output(sh("echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 9 /dev/urandom | wc -c"))
            == "3\n9\n"
        )

    @pytest.mark.parametrize("user", ["root", "www"])
    def test_its_streams_by_their_names(self, bench: Bench, user: str) -> None:
        if "proc" in bench.abilities:
            seen = bench.build(
                sh("echo out > /dev/stdout; echo err > /dev/stderr; echo on >> /proc/self/fd/1", user=user)
            )
            assert seen.output() == b"out\non\n" and seen.output("stderr") == b"err\n"

    def test_what_runs_on_behind_is_ended(self, bench: Bench) -> None:
        """And is not waited for, though it holds the step's output open."""
        assert bench.output(sh("(setsid sleep 1000 &); sleep 1000 & echo done")) == "done\n"

    # --- sizes -----------------------------------------------------------------------------------------------

    def test_an_argument_of_the_greatest_length(self, bench: Bench) -> None:
        long = "x" * (ARGUMENT - 1)
        assert bench.output(run(["/bin/sh", "-c", "echo ${#1} ${#LONG}", "sh", long], env={"LONG": long[5:]})) == (
            f"{len(long)} {len(long) - 5}\n"
        )

    @pytest.mark.parametrize("where", ["argv", "env"])
    def test_one_byte_more_is_told_of(self, bench: Bench, where: str) -> None:
        long = "x" * ARGUMENT
        node = run(["/bin/true", long]) if where == "argv" else run(["/bin/true"], env={"LONG": long[5:]})
        with pytest.raises(StepFailed, match="too long"):
            bench.build(node)

    def test_more_than_fits_at_all_is_told_of(self, bench: Bench) -> None:
        words = ["w" * 100_000] * 70  # a third of the stack's limit, which runtimes leave at 8 MiB or more
        with pytest.raises(StepFailed, match="too long"):
            bench.build(run(["/bin/true", *words]))

    def test_arguments_and_variables_near_the_limit_of_all(self, bench: Bench) -> None:
        env = {f"V{number}": "v" * 15_000 for number in range(60)}
        words = ["w" * 5_000] * 150
        said = bench.output(run(["/bin/sh", "-c", "echo $# ${#V59} $(expr length $150)", "sh", *words], env=env))
        assert said.split()[:2] == ["150", "15000"]

    # --- confinement -----------------------------------------------------------------------------------------

    def test_without_network(self, bench: Bench) -> None:
        with listening(b"hello") as port:
            script = f"nc -w 3 127.0.0.1 {port} < /dev/null; test -d /proc/self && ls /sys/class/net"
            node = sh(script, confinement=Confinement(network=Network.NONE))
            with bench.given("network.none", node) as able:
                if able:
                    assert bench.output(node) == "lo\n"

    def test_the_network_of_the_machine(self, bench: Bench) -> None:
        with listening(b"hello") as port:
            node = sh(f"nc -w 10 127.0.0.1 {port} < /dev/null", confinement=Confinement(network=Network.HOST))
            with bench.given("network.host", node) as able:
                if able:
                    assert bench.output(node) == "hello"

    def test_loopback_without_network(self, bench: Bench) -> None:
        script = "(echo inside | nc -l -p 4242 &); sleep 0.3; nc -w 5 127.0.0.1 4242 < /dev/null"
        node = sh(script, confinement=Confinement(network=Network.NONE))
        with bench.given("network.none", node) as able:
            if able:
                assert bench.output(node) == "inside\n"

    def test_confined_and_not(self, bench: Bench) -> None:
        mounting = "mount -t tmpfs none /mnt 2> /dev/null && echo mounted || echo refused"
        assert bench.output(sh(mounting)) == "refused\n"
        node = sh(mounting, confinement=Confinement(security=Security.INSECURE))
        with bench.given("security.insecure", node) as able:
            if able:
                assert bench.output(node) == "mounted\n"

    def test_host_name(self, bench: Bench) -> None:
        node = sh("hostname", confinement=Confinement(hostname="conforming"))
        with bench.given("hostname", node) as able:
            if able:
                assert bench.output(node) == "conforming\n"

    def test_hosts(self, bench: Bench) -> None:
        node = sh(
            "grep -w one.test /etc/hosts | tr '\\t' ' '; echo x > /f",
            confinement=Confinement(hosts=(("one.test", "10.9.8.7"),)),
        )
        with bench.given("hosts", node) as able:
            if able:
                assert bench.output(node).split() == ["10.9.8.7", "one.test"]
                assert set(bench.made(node)) == {"/f"}

    def test_limits(self, bench: Bench) -> None:
        node = sh("ulimit -Sn; ulimit -Hn", confinement=Confinement(limits=(Limit("nofile", 100, 200),)))
        with bench.given("rlimits", node) as able:
            if able:
                assert bench.output(node).split() == ["100", "200"]

    def test_shared_memory(self, bench: Bench) -> None:
        node = sh("head -c 70000000 /dev/zero > /dev/shm/x && echo fits", confinement=Confinement(shm_size=80 << 20))
        with bench.given("shm_size", node) as able:
            if able:
                assert bench.output(node) == "fits\n"

    def test_devices(self, bench: Bench) -> None:
        node_of_null = {"path": "/dev/conforming", "hostPath": "/dev/null", "permissions": "rw"}
        edits = {"deviceNodes": [node_of_null], "env": ["CONFORMING=yes"]}
        document = {
            "cdiVersion": "0.6.0",
            "kind": "example.com/null",
            "devices": [{"name": "one", "containerEdits": edits}],
        }
        folder = Path(bench.session.engine.settings["cdi"])
        bench.session.engine.settings["allow"] = "device"
        (folder / "conforming.json").write_text(json.dumps(document))
        script = (
            "test -c /dev/conforming && echo x > /dev/conforming && wc -c < /dev/conforming; echo $CONFORMING; touch /f"
        )
        node = sh(script, BASE, devices=(Device("example.com/null=one", True),))
        with bench.given("devices", node) as able:
            if able:
                assert bench.output(node).split() == ["0", "yes"]
                assert set(bench.made(node)) == {"/f"}
        optional = sh("test -e /dev/none; echo $?", BASE, devices=(Device("example.com/nothing=here"),))
        assert bench.output(optional) == "1\n"
