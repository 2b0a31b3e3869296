"""From a build file to its Definition, remembered.

Lowering the same file with the same arguments gives the same graph as long as what the frontend asked on the way (the
bases' configurations, the ignore file) has the same answers. So the graph is kept with the questions and the digests of
their answers; a later build asks them again, which is cheap, and skips the frontend.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from img.digest import Encodable, digest_of, sha256
from img.engine import Engine
from img.errors import FileError, ImgError
from img.ir import wire
from img.ir.definition import Definition
from img.ir.nodes import Source
from img.ports import BaseImage, FrontendRequest

LIMIT = 4 << 20
"""Bytes of the largest file a frontend may read from a context."""


class Answers:
    """The `Resolver` of one load; keeps what was asked and the digest of what was answered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.asked: list[list[str]] = []

    def image(self, ref: str, platform: str) -> BaseImage:
        found: BaseImage = self._engine.load("source", "docker-image").resolve(ref, platform)
        known: list[Encodable] = [found.source.digest, json.dumps(found.config, sort_keys=True)]
        self.asked.append(["image", ref, platform, digest_of(known)])
        return found

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        data = read_inside(self._engine.context(context), path)
        self.asked.append(["file", path, context, "" if data is None else sha256(data)])
        return data

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        self.asked.append(["named", name, platform, ""])
        return None

    def modified(self, context: str) -> int | None:
        self.asked.append(["modified", context, "", ""])
        return None

    def repeat(self, question: list[str]) -> bool:
        """Whether `question`, one of an earlier load's `asked`, has the same answer now."""
        kind, subject, detail, answer = question
        if kind == "image":
            self.image(subject, detail)
        elif kind == "named":
            self.named(subject, detail)
        elif kind == "modified":
            self.modified(subject)
        else:
            self.context_file(subject, detail)
        return self.asked[-1][3] == answer


def make_definition(engine: Engine, frontend: str, request: FrontendRequest) -> Definition:
    """The Definition of `request`, from the store if a frontend made it before. Raises what the frontend raises."""
    key = _key(engine, frontend, request)
    known = engine.store.plans.get(key)
    if known is not None:
        recalled = _recall(engine, known)
        if recalled is not None:
            return recalled
    answers = Answers(engine)
    definition: Definition = engine.load("frontend", frontend).load(request, answers)
    document = {"asked": answers.asked, "stream": wire.dump(definition)}
    engine.store.plans.set(key, json.dumps(document))
    return definition


def _recall(engine: Engine, text: str) -> Definition | None:
    try:
        document: Any = json.loads(text)
        answers = Answers(engine)
        if all(answers.repeat(question) for question in document["asked"]):
            return wire.load(document["stream"])
    except (ValueError, KeyError):
        return None
    except ImgError:
        return None  # the frontend will ask again, and say where in the file it stands
    return None


def _key(engine: Engine, frontend: str, request: FrontendRequest) -> str:
    offer = next(item for item in engine.registry.offers("frontend") if item[0].name == frontend)
    return digest_of(
        {
            "frontend": [frontend, offer[1], engine.registry.distributions().get(offer[1], "")],
            "code": _stamp(offer[0].target),
            "file": [request.file, request.text],
            "args": dict(request.args),
            "target": request.target,
            "platforms": [*request.platforms, "on", request.build_platform],
            "labels": dict(request.labels),
            "contexts": dict(request.contexts),
            "confinement": repr(request.confinement),
            "allow": [*sorted(request.allow)],
            "options": dict(request.options),
        }
    )


def _stamp(target: str) -> str:
    """Something that changes when the frontend's code does: needed where code is edited in place."""
    import importlib.util

    spec = importlib.util.find_spec(target.partition(":")[0].rpartition(".")[0])
    places = list(spec.submodule_search_locations or ()) if spec else []
    newest = 0
    for place in places:
        for folder, _, names in os.walk(place):
            files = (os.path.join(folder, name) for name in names if name.endswith((".py", ".lark")))
            newest = max([newest, *(os.stat(file).st_mtime_ns for file in files)])
    return str(newest)


def read_inside(root: Path, path: str) -> bytes | None:
    """A small regular file below `root`, None if there is none. Raises `FileError` if it is large, or lies outside."""
    found = Path(os.path.realpath(root / path.lstrip("/")))
    if not found.is_relative_to(os.path.realpath(root)):
        raise FileError(f"{path} leads out of the context", hint="put the file itself into the context")
    try:
        status = found.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > LIMIT:
            raise FileError(f"{path} has {status.st_size} bytes, more than the {LIMIT} allowed")
        return found.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}", hint="check its owner and mode") from error
