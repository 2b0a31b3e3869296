"""What a step writes arrives whole and in order."""

from __future__ import annotations

import hashlib

import pytest

from img.errors import StepFailed
from img.testing.backends.bench import Bench, sh

MEGABYTES = 10


class OutputCases:
    """Bytes of stdout and stderr."""

    def test_ten_megabytes_on_both_streams(self, bench: Bench) -> None:
        """At once, in one line each, without an end of line."""
        size = MEGABYTES << 20
        node = sh(f"yes out | tr -d '\\n' | head -c {size} & yes err | tr -d '\\n' | head -c {size} >&2; wait")
        seen = bench.build(node)
        if "logs.whole" not in bench.abilities:
            assert seen.output().startswith(b"outout") and seen.output("stderr").startswith(b"errerr")
            return
        for stream, word in (("stdout", b"out"), ("stderr", b"err")):
            wanted = (word * (size // 3 + 1))[:size]
            assert hashlib.sha256(seen.output(stream)).digest() == hashlib.sha256(wanted).digest(), stream

    def test_every_line_in_its_order(self, bench: Bench) -> None:
        said = bench.output(sh("seq 1 30000"))
        assert said.split() == [str(number) for number in range(1, 30001)]

    def test_order_between_the_streams(self, bench: Bench) -> None:
        """What was written before something else was, is seen before it, if there was time to see it."""
        seen = bench.build(sh("for i in 1 2 3 4; do echo o$i; sleep 0.1; echo e$i >&2; sleep 0.1; done"))
        assert b"".join(log.data for log in seen.logs).split() == [
            b"o1",
            b"e1",
            b"o2",
            b"e2",
            b"o3",
            b"e3",
            b"o4",
            b"e4",
        ]

    @pytest.mark.parametrize(
        ("script", "wanted"),
        [
            ("printf 'no end'", b"no end"),
            ("printf '\\377\\376 \\303\\n'", b"\xff\xfe \xc3\n"),
            ("printf 'a\\0b\\n'", b"a\0b\n"),
            ("printf 'one\\r\\ntwo\\rthree\\033[1mfour'", b"one\r\ntwo\rthree\x1b[1mfour"),
            ("echo -n", b""),
        ],
        ids=["no end of line", "not UTF-8", "zero byte", "control characters", "nothing"],
    )
    def test_bytes(self, bench: Bench, script: str, wanted: bytes) -> None:
        assert bench.build(sh(script)).output() == wanted

    def test_what_a_failed_step_said(self, bench: Bench) -> None:
        with pytest.raises(StepFailed) as failed:
            bench.build(sh("seq 1 1000; sleep 0.2; echo the reason >&2; printf 'and no end' >&2; exit 4"))
        assert failed.value.tail[-2:] == ("the reason", "and no end")
        assert failed.value.status == 4
