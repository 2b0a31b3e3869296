"""Running mmdebstrap: its tar goes straight into the store as a layer.

What of this machine would show in the image is kept out: its name and name servers, apt's configuration, proxies, and the
mirror that a setting names (the image's own sources are the public archive's, or those of the address). What was installed
must come from the very InRelease files that the source is pinned to; their digests are compared afterwards.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import IO, NamedTuple

from img.errors import Cancelled, SourceError, UsageError
from img.events import Progress
from img.oci.compress import Hashing, gzip_chunks
from img.oci.spec import Descriptor
from img.ports import Host
from img_debian.address import Wanted

VERSION = 1
"""Goes into keys: to be raised when the same address and archive give other files."""
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MARK = "img-debian-release"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""Where the keys are in the image."""
PUBLIC = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
CHUNK = 1 << 20

NO_PROGRAM = "install it: apt-get install mmdebstrap debian-archive-keyring"
HOOKS = (
    f'sha256sum "$1"/var/lib/apt/lists/*_InRelease | sed "s/^/{MARK} sha256:/" >&2',
    'rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*',
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*',
    'find "$1"/var/log -type f -delete',
)


class Order(NamedTuple):
    """What to make: the address, Debian's architecture, the archive's parts as (mirror, suite), the digests of their
    InRelease files, and the time of everything in it."""

    wanted: Wanted
    architecture: str
    archives: tuple[tuple[str, str], ...]
    releases: frozenset[str]
    date: int


def layer(host: Host, order: Order) -> str:
    """Make the layer of `order`, put it into the store and return its id. Raises `SourceError`, `Cancelled`."""
    argv = command(host, order)
    scratch = host.store.scratch()
    environment = {
        "PATH": host.settings.get("path") or os.defpath,
        "SOURCE_DATE_EPOCH": str(order.date),
        "LC_ALL": "C.UTF-8",
        "HOME": os.fspath(scratch),
        **{name: host.settings[name] for name in ("http_proxy", "https_proxy", "no_proxy") if host.settings.get(name)},
    }
    if os.geteuid() == 0:  # as a user, others than us must be able to enter it
        environment["TMPDIR"] = os.fspath(scratch)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    forget = host.on_cancel(lambda: _stop(process))
    try:
        with process:
            try:
                run = _Run(host, order, process)
                tar = Hashing(run.chunks())
                digest, size = host.store.blobs.write(gzip_chunks(tar))
            finally:
                _stop(process)
    finally:
        forget()
        host.store.discard(scratch)
    return host.store.layers.add_blob(tar.digest, Descriptor(LAYER, digest, size))


def command(host: Host, order: Order) -> list[str]:
    """The command line. Raises `SourceError` where mmdebstrap, its keys or a way to run it are missing."""
    path = host.settings.get("path")
    program = shutil.which("mmdebstrap", path=path)
    if program is None:
        raise SourceError("deb:// needs the program mmdebstrap, which is not installed", hint=NO_PROGRAM)
    keyring = host.settings.get("debian_keyring") or KEYRING
    if not os.path.isfile(keyring):
        hint = "install debian-archive-keyring, or name the keys with IMG_DEBIAN_KEYRING"
        raise SourceError(f"there is no keyring {keyring} to check the archive's signature with", hint=hint)
    if not re.fullmatch(r"[A-Za-z0-9/._-]+", keyring):
        raise UsageError(f"the keyring's name {keyring!r} has characters that apt can't read", hint="copy it")
    wanted = order.wanted
    argv = [program, f"--mode={mode(host)}", f"--variant={wanted.variant}", f"--architectures={order.architecture}"]
    argv += ["--format=tar", "--skip=output/dev", "--skip=cleanup/apt", "--dpkgopt=force-unsafe-io"]
    argv += ["--aptopt=Acquire::Check-Valid-Until false"] if wanted.date else []
    argv += [f"--include={','.join(wanted.include)}"] if wanted.include else []
    argv += [f"--customize-hook={hook}" for hook in (*HOOKS, _sources_hook(order))]
    lines = [f"deb [signed-by={keyring}] {url} {suite} {' '.join(wanted.components)}" for url, suite in order.archives]
    return [*argv, wanted.suite, "-", *lines]


def mode(host: Host) -> str:
    """Which of mmdebstrap's modes works on the rung that img stands on here. Raises `SourceError` if none does."""
    if os.geteuid() == 0:
        return "root"
    if host.sandbox.rung == "userns":
        return "unshare"
    path = host.settings.get("path")
    if shutil.which("fakechroot", path=path) and shutil.which("fakeroot", path=path):
        return "fakechroot"
    hint = "install fakechroot and fakeroot, or see img doctor for what unlocks user namespaces"
    raise SourceError("packages can't be installed here: there are no ids but one's own to give files to", hint=hint)


def sources(order: Order) -> str:
    """The image's own sources of packages, in deb822. A mirror that only a setting names is not in it."""
    wanted = order.wanted
    found = []
    for url, suite in wanted.archives(*PUBLIC):
        lines = ["Types: deb", f"URIs: {url}", f"Suites: {suite}", f"Components: {' '.join(wanted.components)}"]
        lines += ["Check-Valid-Until: no"] if wanted.date else []
        found.append("\n".join([*lines, f"Signed-By: {KEYRING}"]) + "\n")
    return "\n".join(found)


def _sources_hook(order: Order) -> str:
    text = shlex.quote(sources(order))
    there = '"$1"/etc/apt/sources.list.d'
    return f"if [ -d {there} ]; then printf %s {text} > {there}/debian.sources; fi"


class _Run:
    """A running mmdebstrap: its tar, and what it says meanwhile."""

    def __init__(self, host: Host, order: Order, process: subprocess.Popen[bytes]) -> None:
        self._host = host
        self._order = order
        self._process = process
        self._lines: deque[str] = deque(maxlen=200)
        self._seen: set[str] = set()
        assert process.stderr is not None
        self._reader = threading.Thread(target=self._listen, args=(process.stderr,), name="mmdebstrap", daemon=True)
        self._reader.start()

    def chunks(self) -> Iterator[bytes]:
        """The tar's bytes. Raises `SourceError` at the end if the program failed, or took other packages."""
        assert self._process.stdout is not None
        while data := self._process.stdout.read(CHUNK):
            yield data
        self._reader.join()
        status = self._process.wait()
        if self._host.cancelled:
            raise Cancelled
        if status:
            raise failed(self._order, list(self._lines))
        if self._seen != self._order.releases:
            hint = "the archive was updated just now; build again with --pull"
            raise SourceError(f"the archive's {self._order.wanted.suite} is not what it was pinned to", hint=hint)

    def _listen(self, stream: IO[bytes]) -> None:
        """Keep the last lines, and show each as progress."""
        for number, raw in enumerate(stream):
            line = raw.decode("utf-8", "replace").rstrip()
            if line.startswith(MARK):
                self._seen.add(line.split()[1])
                continue
            self._lines.append(line)
            if line.startswith("I: "):
                name = f"deb://{self._order.wanted.canonical}"
                self._host.emit(Progress("", name, line[3:].split("...")[0], number + 1, 0, time.monotonic()))


REASONS = (
    (r"Unable to locate package (\S+)", "{suite} has no package {1}", "check its name, or add components=…"),
    (r"Version '(.+)' for '(.+)' was not found", "{suite} has no version {1} of {2}", "leave out the version"),
    (
        r"(NO_PUBKEY|not signed|EXPKEYSIG|BADSIG).*",
        "the archive's signature does not hold: {0}",
        "see IMG_DEBIAN_KEYRING",
    ),
    (r"Release file .* is expired", "{0}", "the mirror is stale: name another with IMG_DEBIAN_MIRROR, or a date=…"),
    (r"(?:Temporary failure resolving|Could not connect to|Failed to fetch) .*", "{0}", "see IMG_DEBIAN_MIRROR"),
    (r"No space left on device", "no space is left", "free some: img prune, or another store with IMG_ROOT"),
    (r"needs arch-test|can neither be executed", "{0}", "foreign architectures need qemu-user-static and arch-test"),
)
"""What mmdebstrap and apt say, as (pattern, message, hint)."""


def failed(order: Order, lines: list[str]) -> SourceError:
    """What went wrong, in words, from the last lines that mmdebstrap said."""
    for pattern, message, hint in REASONS:
        for line in lines:
            match = re.search(pattern, line)
            if match:
                words = message.format(match[0], *match.groups(), suite=order.wanted.suite)
                return SourceError(f"deb://{order.wanted.canonical}: {words}", hint=hint)
    told = [line for line in lines if line.startswith(("E:", "W:"))] or lines
    return SourceError(f"deb://{order.wanted.canonical}: mmdebstrap failed: {' / '.join(told[-4:])}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started, if it still runs: it takes its own mounts and files away."""
    if process.poll() is not None:
        return
    for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
            return
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
