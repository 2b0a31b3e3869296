"""Which frontend a file asks for."""

from __future__ import annotations

import pytest

from img_frontends.hooks import img_detect_frontend


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"FROM x\n", "dockerfile"),
        (b"", "dockerfile"),
        (b"# syntax=docker/dockerfile:1\nFROM x\n", "dockerfile"),
        (b"# syntax = docker.io/docker/dockerfile:1.7-labs@sha256:aa\n", "dockerfile"),
        (b"#syntax=docker/dockerfile-upstream:master\n", "dockerfile"),
        (b"# SYNTAX=dockerfile.v0\n", "dockerfile"),
        (b"# syntax=yaml\n", "yaml"),
        (b"# syntax=registry.example.com/frontend:2\n", "registry.example.com/frontend:2"),
        (b"// syntax=mine\n", "mine"),
        (b'{"syntax": "mine"}', "mine"),
        (b"#!/usr/bin/env img\n# syntax=mine\n", "mine"),
        (b"FROM x\n# syntax=mine\n", "dockerfile"),
    ],
)
def test_the_syntax_names_the_frontend(head: bytes, name: str) -> None:
    assert img_detect_frontend(file="Dockerfile", head=head) == name
