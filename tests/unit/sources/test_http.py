"""The source http against a real server on loopback."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.peers.servers import free_port
from tests.peers.web import UNIX, Web
from tests.unit.sources.conftest import Host

from img.digest import sha256
from img.errors import Cancelled, SourceError, UsageError
from img.ir.nodes import Source
from img_plugins.registry import network
from img_plugins.sources import download
from img_plugins.sources.http import HttpSource

BODY = b"x" * 300_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are short."""
    monkeypatch.setattr(network.Network, "wait", lambda self, attempt, after=None: None)


def only(host: Host, source: Source) -> Path:
    """The one file that the source yields."""
    (path,) = Path(HttpSource(host).fetch(source).path).iterdir()
    return path


def test_the_file_its_name_mode_and_time(host: Host, web: Web) -> None:
    path = only(host, Source("http", web.put("/dir/file.txt", BODY)))
    status = path.stat()
    assert (path.name, path.read_bytes()) == ("file.txt", BODY)
    assert (status.st_mode & 0o7777, int(status.st_mtime)) == (0o600, UNIX)


def test_without_a_date_it_is_of_1970(host: Host, web: Web) -> None:
    source = Source("http", web.put("/a", BODY, plain=True))
    assert only(host, source).stat().st_mtime == 0
    assert HttpSource(host).modified(source) is None


@pytest.mark.parametrize(
    ("path", "header", "attr", "name"),
    [
        ("/dir/a.txt", "", "", "a.txt"),
        ("/a%20b", "", "", "a b"),
        ("/a?x=/y", "", "", "a"),
        ("/", "", "", "__unnamed__"),
        ("/dir/", "", "", "__unnamed__"),
        ("/%2Fetc", "", "", "etc"),
        ("/a", 'attachment; filename="b.tar"', "", "b.tar"),
        ("/a", "attachment; filename*=UTF-8''%e2%82%ac.txt", "", "€.txt"),
        ("/a", 'attachment; filename="../../b"', "", "b"),
        ("/a", 'attachment; filename=".."', "", "a"),
        ("/a", "inline", "", "a"),
        ("/a", 'attachment; filename="b"', "c", "c"),
    ],
)
def test_names(host: Host, web: Web, path: str, header: str, attr: str, name: str) -> None:
    web.put(path.partition("?")[0], b"1", headers={"Content-Disposition": header} if header else {})
    attrs: tuple[tuple[str, str], ...] = (("filename", attr),) if attr else ()
    assert only(host, Source("http", web.url + path, attrs)).name == name


def test_an_unchanged_file_is_not_sent_again(new_host: Callable[[], Host], web: Web) -> None:
    source = Source("http", web.put("/a", BODY))
    first = HttpSource(new_host()).pin(source)
    assert HttpSource(new_host()).pin(source) == first
    assert web.asked == [("/a", 200), ("/a", 304)]
    web.put("/a", b"other")
    assert HttpSource(new_host()).pin(source) != first
    assert web.asked[-1] == ("/a", 200)


def test_once_a_session(host: Host, web: Web) -> None:
    source, plugin = Source("http", web.put("/a", BODY)), HttpSource(host)
    folders = {plugin.fetch(source).path for _ in range(3)}
    assert (len(folders), len(web.asked)) == (1, 1)


def test_a_known_checksum_is_not_asked_for(new_host: Callable[[], Host], web: Web) -> None:
    source = Source("http", web.put("/a", BODY), (("checksum", sha256(BODY)),))
    first = HttpSource(new_host()).pin(source)
    web.files.clear()
    host = new_host()
    assert HttpSource(host).pin(source) == first
    assert only(host, source).read_bytes() == BODY
    assert len(web.asked) == 1


def test_a_blob_that_is_gone_is_fetched_again(new_host: Callable[[], Host], web: Web) -> None:
    source = Source("http", web.put("/a", BODY))
    host = new_host()
    HttpSource(host).pin(source)
    host.store.blobs.remove(sha256(BODY))
    assert only(new_host(), source).read_bytes() == BODY
    assert web.asked == [("/a", 200), ("/a", 200)]


def test_the_pin_is_over_content_name_and_time(host: Host, web: Web) -> None:
    plugin = HttpSource(host)
    one = plugin.pin(Source("http", web.put("/a", BODY)))
    assert plugin.pin(Source("http", web.put("/dir/a", BODY))).key == one.key
    assert plugin.pin(Source("http", web.put("/b", BODY))).key != one.key
    assert plugin.pin(Source("http", web.put("/dir2/a", BODY, plain=True))).key != one.key


def test_a_wrong_checksum(host: Host, web: Web) -> None:
    wanted = sha256(b"other")
    with pytest.raises(SourceError, match=f"has the checksum {sha256(BODY)}, not {wanted}"):
        HttpSource(host).pin(Source("http", web.put("/a", BODY), (("checksum", wanted),)))


@pytest.mark.parametrize(
    "attrs", [(("checksum", "sha256:12"),), (("checksum", "md5:1"),), (("filename", "a/b"),), (("filename", ".."),)]
)
def test_wrong_attributes(host: Host, web: Web, attrs: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(UsageError):
        HttpSource(host).pin(Source("http", web.put("/a", BODY), attrs))
    assert web.asked == []


@pytest.mark.parametrize("url", ["ftp://x/y", "http://", "http:///a", "/etc/passwd", "file:///etc/passwd"])
def test_only_http(host: Host, url: str) -> None:
    with pytest.raises(UsageError, match="not an http URL"):
        HttpSource(host).pin(Source("http", url))


def test_redirects(host: Host, web: Web) -> None:
    web.put("/end", BODY)
    url = web.put("/a.txt", b"", redirect="/end")
    assert only(host, Source("http", url)).name == "a.txt"
    with pytest.raises(SourceError, match="redirects more than 10 times"):
        HttpSource(host).pin(Source("http", web.put("/loop", b"", redirect="/loop?again")))
    with pytest.raises(SourceError, match="redirects to nowhere"):
        HttpSource(host).pin(Source("http", web.put("/file", b"", redirect="file:///etc/passwd")))


def test_a_login_stays_with_its_host_and_out_of_words(host: Host, web: Web) -> None:
    login = "Basic " + base64.b64encode(b"me:p w").decode()
    url = web.put("/a", BODY, login=login).replace("http://", "http://me:p%20w@")
    source = Source("http", url)
    assert only(host, source).read_bytes() == BODY
    assert "p%20w" not in HttpSource(host).pin(source).words
    away = web.put("/away", b"", redirect=web.url.replace("127.0.0.1", "localhost") + "/a")
    with pytest.raises(SourceError, match="answered 401") as caught:
        HttpSource(host).pin(Source("http", away.replace("http://", "http://me:p%20w@")))
    assert "p%20w" not in str(caught.value)
    assert "Authorization" not in web.headers[-1]


def test_failures_are_tried_again(host: Host, web: Web) -> None:
    assert only(host, Source("http", web.put("/a", BODY, failures=3))).read_bytes() == BODY
    assert only(host, Source("http", web.put("/b", BODY, failures=2, short=7))).read_bytes() == BODY


def test_a_truncated_body_is_an_error(host: Host, web: Web) -> None:
    with pytest.raises(SourceError, match="can't download .*/a"):
        HttpSource(host).pin(Source("http", web.put("/a", BODY, short=7, always=True)))
    assert not host.store.blobs.has(sha256(BODY[:-7]))


def test_a_server_that_always_fails(host: Host, web: Web) -> None:
    with pytest.raises(SourceError, match="the server answered 503"):
        HttpSource(host).pin(Source("http", web.put("/a", BODY, failures=99)))
    assert len(web.asked) == download.TRIES


def test_not_there(host: Host, web: Web) -> None:
    with pytest.raises(SourceError, match="answered 404"):
        HttpSource(host).pin(Source("http", f"{web.url}/nope"))
    assert len(web.asked) == 1


def test_nobody_listens(host: Host) -> None:
    with pytest.raises(SourceError, match=r"can't reach 127\.0\.0\.1: .*refused"):
        HttpSource(host).pin(Source("http", f"http://127.0.0.1:{free_port()}/a"))


def test_cancelling_wakes_a_stalled_download(host: Host, web: Web) -> None:
    url = web.put("/a", BODY, stall=30)
    threading.Timer(0.5, host.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        HttpSource(host).pin(Source("http", url))
    assert time.monotonic() - started < 10
