"""The Dockerfiles that people write, as documents and back: the same images."""

import pytest
from tests.documents.lowering import definition, document, images
from tests.unit.dockerfile import corpus
from tests.unit.dockerfile.lowering import BASE, Resolver, image

from img.ports import BaseImage
from img_frontends.document.convert import written
from img_frontends.document.from_dockerfile import from_dockerfile

REFUSED = ("heredoc-quoted-name", "empty-values")
"""Files for the parser alone, which no build takes."""


class Every(Resolver):
    """Knows every image."""

    def image(self, ref: str, platform: str) -> BaseImage:
        return BaseImage(BASE, image({"Env": ["PATH=/bin", f"FROM={ref}"]}), 1)


def made(text: str, kind: str) -> object:
    return images(definition(text, kind, Every(), allow=frozenset({"device"})))


@pytest.mark.parametrize("form", ["yaml", "toml"])
@pytest.mark.parametrize("name", [name for name in corpus.files() if name not in REFUSED])
def test_there_and_back(name: str, form: str) -> None:
    text = corpus.files()[name]
    wanted = made(text, "dockerfile")
    there = written(from_dockerfile(text.encode(), "Dockerfile"), form)
    assert made(there, form) == wanted, there
    back = written(document(there, form), "dockerfile")
    assert made(back, "dockerfile") == wanted, back
