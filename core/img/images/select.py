"""Which stored images a filter means, in containerd's words: ``name~=REGEX,target.digest==…``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from img.errors import UsageError
from img.oci.reference import Reference
from img.store.images import Image

FIELDS = ("name", "target.digest", "target.mediatype")
_TERM = re.compile(r"\s*([\w.]+)\s*(==|!=|~=)\s*(.*?)\s*")


class Term(NamedTuple):
    """One comparison."""

    field: str
    operator: str
    value: str


def parse(text: str) -> list[Term]:
    """The comparisons of one filter, all of which must hold, separated by commas. Raises `UsageError`."""
    terms: list[Term] = []
    for part in text.split(","):
        match = _TERM.fullmatch(part)
        if match is None or match[1] not in FIELDS:
            raise UsageError(
                f"{text!r} is not a filter", hint=f"FIELD==VALUE, !=, or ~=REGEX, with FIELD one of {', '.join(FIELDS)}"
            )
        value = match[3].strip("\"'")
        if match[2] == "~=":
            try:
                re.compile(value)
            except re.error as error:
                raise UsageError(f"{value!r} is not a regular expression: {error}") from error
        terms.append(Term(match[1], match[2], value))
    return terms


def matching(images: Sequence[Image], filters: Sequence[str]) -> list[Image]:
    """The images that at least one of `filters` fits; all of them without any. A name is compared whole and as people type
    it."""
    parsed = [parse(text) for text in filters]
    return [image for image in images if not parsed or any(all(_fits(t, image) for t in terms) for terms in parsed)]


def _fits(term: Term, image: Image) -> bool:
    if term.field == "name":
        values = [image.name, Reference.parse(image.name).familiar]
    else:
        values = [image.descriptor.digest if term.field == "target.digest" else image.descriptor.media_type]
    if term.operator == "~=":
        return any(re.search(term.value, value) for value in values)
    equal = term.value in values or (term.field == "name" and f"{term.value}:latest" in values)
    return equal == (term.operator == "==")
