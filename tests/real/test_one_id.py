"""The rung of a single id: an ordinary user without a range, with no_new_privs. Owners, devices, capabilities and identities
are recorded, and the images are those that root builds over an overlay.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import builders
from tests.peers.twelve import EPOCH, manifest

pytestmark = pytest.mark.real

UID = 23456
"""Nobody's: it has no range in /etc/subuid."""

SMALL = {
    "owners": """
        RUN echo a > /a && chown 5:6 /a && chmod 4755 /a && chown 7 /a && chmod 2750 /a && mkfifo /p && chown 3:4 /p
        RUN mknod /block b 7 1 && mknod -m 640 /char c 5 1 && chown 8:9 /char && ls -ln /block /char | cut -c1-38 > /seen
        RUN cp -p /a /c && ln -s nowhere /l && chown -h 9:9 /l && test -c /char && test -b /block && rm /block
        RUN mkdir -p /s/g && chown 0:60 /s/g && chmod 2775 /s/g && mkdir /s/g/sub && echo x > /s/g/sub/f && ln -s f /s/g/l
        RUN touch /f1 && chown 11:11 /f1 && rm /f1 && touch /f2 && mv /f2 /f3 && ln /f3 /f4 && chown 4:4 /f3
        RUN tar cf /t.tar -C / a c l p s f3 f4 && mkdir /u && tar xpf /t.tar -C /u && rm /t.tar && \\
            stat -c '%n %u %g %a' /u/* > /n
        RUN find / -xdev -user 7 | sort > /found && find / -xdev -type l -user 9 | sort >> /found
        RUN chown -R 44:55 /u /s && chmod 0 /c && cat /c && mkdir -m 000 /closed && echo y > /closed/y && rm -r /s/g/sub
    """,
    "links": """
        RUN mkdir /d /e && for i in 1 2 3 4 5 6 7 8 9; do echo $i > /d/$i; ln /d/$i /d/a$i; ln /d/$i /e/b$i; done
        RUN echo more >> /d/1; chmod 600 /d/a2; chown 7:7 /e/b3; mv /d/4 /d/x4; ln /d/5 /d/x5; rm /d/6; touch -d @1000 /d/7; \
            cat /d/1 /d/a1 /d/a2 > /seen; cat /d/8 > /dev/null; ln /d/9 /d/n && mv /d/n /d/8
        RUN tar cf - /d /e | (mkdir /f; cd /f; tar xpf -) && stat -c '%n %h %u %a %s' /f/d/* /f/e/* > /seen2
    """,
    "users": """
        RUN echo 'joe:x:1234:1234::/home/joe:/bin/sh' >> /etc/passwd && echo 'joe:x:1234:' >> /etc/group && \\
            mkdir -p /home/joe && chown joe:joe /home/joe && chmod 1777 /tmp && chmod 700 /root
        RUN su joe -s /bin/sh -c 'id > ~/id; mkdir ~/d; ln -s id ~/l; ! echo no > /etc/x; ! rm /etc/passwd; umask 077; \\
            echo y > ~/private; echo z > /tmp/z; ! chown 0 ~/id' && stat -c '%u:%g %a' /home/joe/private /tmp/z > /seen
        RUN cp /bin/busybox /suid && chown 33:44 /suid && chmod 6755 /suid && ln -s suid /id && \\
            su joe -s /bin/sh -c '/id' > /as && su www -s /bin/sh -c 'id' >> /as
        RUN mkdir /jail && cp /bin/busybox /jail/sh && mkdir /jail/d && \\
            chroot /jail /sh -c 'echo 1 > /d/1' && chown 12:13 /jail/d/1 && stat -c %u /jail/d/1 > /jailed
        USER joe
        RUN id -u > ~/2 && ! touch /root/x && ! rm /etc/passwd && ! chmod 600 /etc/passwd && ! mv /etc/passwd /q && \\
            ! cat /root/nothing && cat /etc/passwd > ~/pw && chmod 640 ~/pw && ! test -w /etc/group && ! rm /jail/d/1
    """,
    "mounts": """
        RUN --mount=type=cache,target=/c,id=two,uid=12,gid=13,mode=0750 stat -c '%u %g %a' /c > /seen && echo 1 > /c/f && \\
            chown 5:6 /c/f && chmod 4711 /c/f && mkdir -p /o && echo 2 > /o/f && chown 21:22 /o /o/f && mknod /o/null c 1 3
        RUN --mount=type=cache,target=/c,id=two,uid=12,gid=13,mode=0750 cp -a /c /d && stat -c '%n %u %g %a' /c/* >> /seen
        RUN --mount=type=secret,id=word,uid=33,gid=44,mode=0440 stat -c '%u %g %a' /run/secrets/word >> /seen
        RUN --mount=type=tmpfs,target=/t touch /t/a && chown 5:5 /t/a && stat -c %u /t/a >> /seen
        FROM base AS last
        COPY --from=two /o /x
        COPY --from=two --chown=3:4 /o/f /y
        RUN --mount=type=bind,from=two,source=/o,target=/m stat -c '%n %u %g %a %F' /m /m/* /x /x/* /y > /seen
    """,
}

LARGE = """
    RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \\
        libcap2-bin dbus sudo && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/aux-cache \\
        /var/cache/apt/*.bin /etc/machine-id /var/lib/dbus/machine-id
    RUN useradd -m -u 4242 ann && install -d -o ann -g ann -m 2750 /srv/ann && cp /bin/true /raw && \\
        setcap cap_net_raw+ep /raw && getcap /raw > /srv/ann/caps && rm -f /var/log/*log && chage -l ann > /srv/ann/age && \\
        dpkg-statoverride --update --add ann root 4750 /bin/true && echo 'ann ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ann
    RUN su ann -c 'sudo id -u > /tmp/1; sudo -u man id -un > /tmp/2; id -Gn > /tmp/3' && rm -rf /run/sudo /var/lib/sudo/ts && \\
        setpriv --reuid=4242 --regid=33 --clear-groups touch /tmp/4 && runuser -u man -- touch /tmp/5
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, ground: Path) -> Iterator[Path]:
    """A folder for the stores of root and of the user, and their images."""
    folder = ground / "one-id"
    folder.mkdir()
    for name in ("context", "root", "user"):
        (folder / name).mkdir(mode=0o755)
    os.chown(folder / "user", UID, UID)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _write(context: Path, name: str, base: str, text: str) -> None:
    lines = "\n".join(line.strip() for line in text.strip().splitlines())
    between = "FROM base AS two\n" if name == "mounts" else ""
    (context / name).write_text(f"FROM {base} AS base\n{between}{lines}\n")
    (context / "word").write_text("shibboleth")


def _arguments(context: Path, name: str, out: Path) -> list[str]:
    output = f"type=oci,rewrite-timestamp=true,dest={out}"
    return ["build", "--secret", f"id=word,src={context}/word", "-f", f"{context}/{name}", "-o", output, str(context)]


def _as_user(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
    env = {**os.environ, "IMG_ROOT": f"{root}/user/store", "HOME": "/nonexistent", "SOURCE_DATE_EPOCH": EPOCH}
    command = [*argv, str(builders.TOOL), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False, timeout=600)


def _both(root: Path, name: str) -> tuple[str, str]:
    """The manifests that the user and root get."""
    context = root / "context"
    done = _as_user(root, *_arguments(context, name, root / "user" / f"{name}.tar"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "a recorder of owners" in done.stderr or "CACHED" in done.stderr
    here = root / "root" / f"{name}.tar"
    done = builders.img(
        *_arguments(context, name, here), root=root / "root" / "store", env={"SOURCE_DATE_EPOCH": EPOCH}
    )
    assert done.returncode == 0, done.stderr
    return manifest(root / "user" / f"{name}.tar"), manifest(here)


@pytest.mark.parametrize("name", SMALL)
def test_the_same_image_as_roots(busybox: str, root: Path, name: str) -> None:
    _write(root / "context", name, busybox, SMALL[name])
    user, here = _both(root, name)
    assert user == here


@pytest.mark.timeout(600)
def test_packages_users_and_capabilities(debian: str, root: Path) -> None:
    """dbus makes a user and gives a setuid program to a group; sudo, su, runuser and setpriv become others."""
    _write(root / "context", "large", debian, LARGE)
    user, here = _both(root, "large")
    assert user == here


def test_no_answer_is_wrong(busybox: str, root: Path) -> None:
    """Every way of asking, from threads and a storm of processes, while names move, with orphans and signals."""
    context = root / "context"
    source = Path(__file__).parents[1] / "peers" / "owners.c"
    argv = ["gcc", "-static", "-O1", "-pthread", "-w", "-o", str(context / "owners"), str(source)]
    subprocess.run(argv, check=True)
    lines = (
        f"FROM {busybox}\nCOPY owners /bin/\nRUN mkdir -m 777 /stress /stress/p && cd /stress && owners < /etc/passwd\n"
    )
    (context / "stress").write_text(lines)
    done = _as_user(root, "build", "--progress", "plain", "-f", f"{context}/stress", str(context))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "wrong 0" in done.stderr + done.stdout


def test_in_a_container_of_an_ordinary_user(docker_host: str, busybox: str, debian: str, root: Path) -> None:
    """no_new_privs, no capability, but user namespaces: the image is root's there too, and the doctor says so."""
    context, there = root / "context", root / "user"
    _write(context, "owners", busybox, SMALL["owners"])
    _, here = _both(root, "owners")
    argv = [builders.DOCKER, "-H", docker_host, "run", "--rm", "--network", "host", "-e", "IMG_ROOT=/out/jail"]
    argv += ["-u", f"{UID}:{UID}", "--cap-drop", "ALL", "-v", f"{there}:/out", "-e", f"SOURCE_DATE_EPOCH={EPOCH}"]
    for option in ("no-new-privileges", "seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        argv += ["--security-opt", option]
    for path in (builders.TOOL.parent.parent, Path("/usr"), context):
        argv += ["-v", f"{path}:{path}:ro"]
    arguments = " ".join(_arguments(context, "owners", Path("/out/jailed.tar")))
    script = f"{builders.TOOL} doctor && {builders.TOOL} {arguments}"
    done = subprocess.run([*argv, debian, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "* one-id: " in done.stdout
    assert manifest(there / "jailed.tar") == here


def test_what_it_can_not_do_is_an_error(busybox: str, root: Path) -> None:
    (root / "context" / "insecure").write_text(f"FROM {busybox}\nRUN --security=insecure true\n")
    arguments = ["build", "--allow", "security.insecure", "-f", f"{root}/context/insecure", f"{root}/context"]
    done = _as_user(root, *arguments)
    assert done.returncode == 1
    assert "(security.insecure), which the backend chroot lacks here: plain copies" in done.stderr
    assert "Traceback" not in done.stderr
