"""Words of instructions as docker's BuildKit (20.10) makes them of the same text: quotes, escapes, variables, pairs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from img_frontends.dockerfile.expand import expand
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.reader import read
from tests.peers import builders

pytestmark = pytest.mark.real

HEAD = 'FROM scratch\nARG a=1\nARG empty=\nARG é=accent\nARG _u=under\nARG two="x y"\nARG dollar="\\$a"\n'
VARIABLES = {
    "a": "1",
    "empty": "",
    "é": "accent",
    "_u": "under",
    "two": "x y",
    "dollar": "$a",
}

VALUES = (
    r"""
plain|$a|${a}|x${a}y|$a$a|$a/$empty/$a|$ab|$a-b|$none|${none}|$_u|${é}|$éx|$dollar|$two|{a}|a}b|#|$|a$|$/x|$.|$=
$'a'|$"a"|$(a)|$\a
$1|$1x|$10x|${1}|$0|$@|$*|$#|$?|$-|$!|$$|$$a|$$$a|$*a|${@}|${1:-d}|'$a'|'${a'|"$a"|"a b"|'a b'c|''|""|a''b|"'"|'"'|"'$a'"
'a'"b"c
\$a|\\$a|\a|\'|\"|a\ b|\\|"\$a"|"\n"|"\""|"\\"|"\'"|"a\ b"|'\n'|'\'|${none:-x}|${empty:-x}|${a:-x}|${none:-}|${a:+x}|${empty:+x}
${none:+x}|${a:+}|${none:-$a}|${none:-${none:-deep}}|${none:-a${a}b$a}|${none:-'a'}|${none:-"a"}
${none:-'}'}|${none:-\}}|${none:-a\b}
${none:-a:b}|${none:--x}|${none:-{}|"${none:-x y}"|${a:?no}|a=b|=b|==|'x y'="z"|"it's"|'a"b'|a\"b\'c|"${two}"
'${two}'|[a]|<<x|a<<b
`x`|é→😀
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
"""What stands behind ``LABEL r=``."""

ROWS = [
    "LABEL old a  b",
    'LABEL oldquoted "a b"  c',
    "LABEL oldvariable $a ${none:-x y}",
    "LABEL one=1 two='2 2' three=\"3 \\\n3\" \\\n# comment\n\n four=4\\ 4",
    'LABEL "quoted name"=x \'single\'=y un"quo"ted=z $a=variable',
    "LABEL tab=a\tnext=b",
    "LABEL end=a\\",
    "label lower=x",
]


def expected(text: str) -> dict[str, str]:
    script = read(text.encode(), "Dockerfile")
    labels: dict[str, str] = {}
    for instruction in parse(script):
        if instruction.keyword == "LABEL":
            for name, value in instruction.pairs:
                labels[expand(name, VARIABLES)] = expand(value or "", VARIABLES)
    return labels


def test_labels(docker_host: str, work: Path) -> None:
    text = HEAD + "".join(f"LABEL r{n:03}={value}\n" for n, value in enumerate(VALUES)) + "\n".join(ROWS)
    (work / "Dockerfile").write_text(text)
    env = {**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": docker_host}
    subprocess.run([builders.DOCKER, "build", "-q", "-t", "words", str(work)], env=env, check=True, capture_output=True)
    done = subprocess.run([builders.DOCKER, "inspect", "words"], env=env, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)[0]["Config"]["Labels"]
    assert found == expected(text)
    assert len(found) > 120
