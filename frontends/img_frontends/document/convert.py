"""From one way to write a build file to another: ``img convert``."""

from __future__ import annotations

import json
import re

from img.errors import UsageError
from img.ports import FrontendRequest, Report, Resolver
from img_frontends.document.bind import bind
from img_frontends.document.include import Read, above, load
from img_frontends.document.model import Document

_REFUSED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""What JSON takes and YAML, by which it is read, does not."""

FORMS = ("dockerfile", "yaml", "toml", "json")


def convert(request: FrontendRequest, resolver: Resolver, read: Read | None) -> Report:
    """The build file in the form that the option ``to`` names; `read` is None for a Dockerfile. Raises `FrontendError`,
    and `UsageError` for another form."""
    to = request.options.get("to", "")
    if to not in FORMS:
        raise UsageError(f"there is no form {to!r}", hint=f"forms: {', '.join(FORMS)}")
    if read is None:
        from img_frontends.document.from_dockerfile import from_dockerfile

        document = from_dockerfile(request.text, request.file)
    elif to == "dockerfile":
        document = load(request, resolver, read)
    else:
        document = bind(read(request.text, request.file), above(request.file))
    text = written(document, to)
    return Report(text, {"form": to, "text": text})


def written(document: Document, to: str) -> str:
    """A document in one of `FORMS`. Raises `FrontendError` for what that form can't say."""
    if to == "dockerfile":
        from img_frontends.document.to_dockerfile import to_dockerfile

        return to_dockerfile(document)
    if to == "yaml":
        from img_frontends.yaml.write import to_yaml

        return to_yaml(document)
    if to == "toml":
        from img_frontends.toml.write import to_toml

        return to_toml(document)
    from img_frontends.document.plain import plain

    text = json.dumps(plain(document), indent=2, ensure_ascii=False) + "\n"
    return _REFUSED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
