"""The same Dockerfiles in containers that are confined as pods are: the same images to the byte. Over every backend:
`test_twelve`.

Where RUN can't work, the build says why at once, and everything without RUN is built all the same.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import bases, builders, jails, servers, twelve

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

RUNNING = [jail for jail in jails.JAILS if jail.runs]
ASSEMBLING = [jail for jail in jails.JAILS if not jail.runs]


@pytest.fixture(scope="module")
def large(registry: servers.Registry) -> str:
    """A Debian with Python, pip, npm and uidmap."""
    return bases.push_large(registry.host)


@pytest.fixture(scope="module")
def context(debian: str, large: str, ground: Path) -> Path:
    return twelve.context(ground / "twelve", debian, large)


@pytest.fixture(scope="module")
def image(registry: servers.Registry, large: str, ground: Path) -> str:
    return jails.image(ground / "jail", large, f"{registry.host}/jail:1", ground / "jail-store")


@pytest.fixture(scope="module")
def wanted(context: Path, ground: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What chroot makes of them as root on this machine."""
    return twelve.wanted(context, ground / "here", twelve.shared(tmp_path_factory.getbasetemp()))


@pytest.fixture
def store(work: Path) -> Iterator[Path]:
    yield work / "store"
    subprocess.run(["rm", "-rf", str(work / "store")], check=True)


LISTING = (
    "find / -xdev -path /store -prune -o -path {out} -prune -o -path /tmp -prune -o "
    "-printf '%p %y %m %U:%G %s %T@ %C@\\n' 2> /dev/null | sort"
)


@pytest.mark.parametrize("jail", RUNNING, ids=lambda jail: jail.name)
def test_the_same_images(
    jail: jails.Jail, docker_host: str, image: str, context: Path, wanted: dict[str, str], work: Path, store: Path
) -> None:
    """And the container's own files are not touched."""
    out = work / "out"
    out.mkdir()
    listing = LISTING.format(out=out)
    script = f"{listing} > {out}/before\n{twelve.script('img', '', context, out)}\n{listing} > {out}/after"
    done = jails.run(docker_host, jail, image, script, {context: "ro", out: "rw"}, store, timeout=600)
    found = twelve.outcome(done.stdout + done.stderr, out)
    assert found == wanted
    assert all(jail.says in (out / f"{name}.log").read_text() for name in twelve.FILES)
    assert (out / "after").read_text() == (out / "before").read_text()


TOLD = ("apt", "secret", "archive", "users")
"""Those that are tried where RUN can't work."""
TIMED = "TIMEFORMAT='%U %S %R'\n"
PROCESSOR, CLOCK = 1.0, 2.0
"""Seconds that saying no may take: of the processor each time, and by the clock the quickest, as other tests run beside."""

NO_RUN = """
FROM {base} AS base
FROM base
ADD files.tar /added/
COPY --chown=33:44 --chmod=640 word /etc/word
COPY --from=base /etc/passwd /copied
WORKDIR /made
"""


@pytest.mark.parametrize("jail", ASSEMBLING, ids=lambda jail: jail.name)
def test_without_run_it_assembles_and_with_it_says_why(
    jail: jails.Jail, docker_host: str, image: str, debian: str, context: Path, work: Path, store: Path
) -> None:
    out = work / "out"
    out.mkdir()
    file = work / "Dockerfile"
    file.write_text(NO_RUN.format(base=debian))
    output = "-o type=oci,rewrite-timestamp=true,dest="
    arguments = f"--secret id=word,src={context}/word -f {context}"
    script = f"{TIMED}img build {output}{out}/there.tar -f {file} {context} 2>&1 || exit 9\n" + "".join(
        f"{{ time img build {arguments}/{name} {context} > {out}/{name} 2>&1; }} 2> {out}/{name}.time\n"
        for name in TOLD
    )
    done = jails.run(docker_host, jail, image, script, {context: "ro", out: "rw", file: "ro"}, store)
    assert done.returncode == 1, done.stdout + done.stderr
    for name in TOLD:
        said = (out / name).read_text()
        assert "needs a process of its own (run), which the backend chroot lacks here" in said, said
        assert jail.says in said and f"{name}:" in said, said
        assert "Traceback" not in said
    took = [[float(word) for word in (out / f"{name}.time").read_text().split()] for name in TOLD]
    assert all(user + system < PROCESSOR for user, system, _ in took), took
    assert min(clock for _, _, clock in took) < CLOCK, took
    here = work / "here.tar"
    words = ["build", *f"{output}{here}".split(), "-f", str(file), str(context)]
    env = {"SOURCE_DATE_EPOCH": twelve.EPOCH}
    assert builders.img(*words, root=work / "s", env=env).returncode == 0
    assert here.read_bytes() == (out / "there.tar").read_bytes()
