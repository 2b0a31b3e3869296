"""From a build file to its Definition, remembered.

Lowering the same file with the same arguments gives the same graph as long as what the frontend asked on the way (the
bases' configurations, the ignore file) has the same answers. So the graph is kept with the questions and the digests of
their answers; a later build asks them again, which is cheap, and skips the frontend.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from img.digest import Encodable, digest_of, sha256
from img.engine import Engine
from img.errors import ImgError
from img.ir import wire
from img.ir.definition import Definition
from img.ir.nodes import Exec, Source
from img.ir.walk import topological
from img.ports import BaseImage, FrontendRequest


class Answers:
    """The `Resolver` of one load; keeps what was asked and the digest of what was answered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.asked: list[list[str]] = []

    def image(self, ref: str, platform: str) -> BaseImage:
        found = self._image(ref, platform)
        self.asked.append(["image", ref, platform, _answer(found)])
        return found

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        from img.contexts.reading import read_inside

        data = read_inside(self._engine.context(self._folder(context)), path)
        self.asked.append(["file", path, context, "" if data is None else sha256(data)])
        return data

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        found: BaseImage | Source | None = None
        if self._engine.given:
            from img.contexts import named

            found = named.named(self._engine, name, platform)
        self.asked.append(["named", name, platform, _answer(found)])
        return found

    def modified(self, context: str) -> int | None:
        found = None
        if self._engine.given or self._engine.origins:
            from img.contexts import named

            found = named.modified(self._engine, context)
        self.asked.append(["modified", context, "", "" if found is None else str(found)])
        return found

    def _image(self, ref: str, platform: str) -> BaseImage:
        if "://" in ref:
            from img.contexts import schemes

            return schemes.need_image(self._engine, ref, platform)
        found: BaseImage = self._engine.load("source", "docker-image").resolve(ref, platform)
        return found

    def _folder(self, context: str) -> str:
        if context in self._engine.contexts or not self._engine.given:
            return context
        from img.contexts import named

        return named.need_files(self._engine, context)

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


def _answer(found: BaseImage | Source | None) -> str:
    """The digest of what an image or a named context stands for; empty for nothing."""
    if found is None:
        return ""
    if isinstance(found, Source):
        return found.digest
    known: list[Encodable] = [found.source.digest, json.dumps(found.config, sort_keys=True)]
    return digest_of(known)


def make_definition(
    engine: Engine, frontend: str, request: FrontendRequest, new: Callable[[], None] = lambda: None
) -> Definition:
    """The Definition of `request`, from the store if a frontend made it before; if not, `new` is called before the frontend
    is. Raises what the frontend raises."""
    key = _key(engine, frontend, request)
    known = engine.store.plans.get(key)
    if known is not None:
        recalled = _recall(engine, known)
        if recalled is not None:
            return recalled
    new()
    answers = Answers(engine)
    definition: Definition = engine.load("frontend", frontend).load(request, answers)
    if not _confides(definition):
        document = {"asked": answers.asked, "stream": wire.dump(definition)}
        engine.store.plans.set(key, json.dumps(document))
    return definition


def _confides(definition: Definition) -> bool:
    """Whether a proxy's address in it has a user and a password: those are not written down."""
    nodes = topological([target.root for target in definition.targets])
    return any("@" in address for node in nodes if isinstance(node, Exec) for _, address in node.proxies)


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
    """Something that changes when the frontend's code does, or that of others in its package, on which it may stand: needed
    where code is edited in place."""
    import importlib.util

    spec = importlib.util.find_spec(target.partition(".")[0])
    places = list(spec.submodule_search_locations or ()) if spec else []
    newest = 0
    for place in places:
        for folder, _, names in os.walk(place):
            files = (os.path.join(folder, name) for name in names if name.endswith((".py", ".lark")))
            newest = max([newest, *(os.stat(file).st_mtime_ns for file in files)])
    return str(newest)
