"""Every way there and back gives the same image; what can't be said is named with its place."""

import pytest
from tests.documents.apps import APPS
from tests.documents.lowering import definition, document, images

from img_frontends.document.convert import written
from img_frontends.document.from_dockerfile import from_dockerfile

FORMS = ("yaml", "toml", "json")


def kind_of(form: str) -> str:
    return "yaml" if form == "json" else form


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", APPS)
def test_a_dockerfile_there_and_back(name: str, form: str) -> None:
    app = APPS[name]
    text = app.dockerfile.replace("BASE", "base")
    how = {"args": {**app.args, "SOURCE_DATE_EPOCH": "1700000000"}}
    wanted = images(definition(text, "dockerfile", **how))
    there = written(from_dockerfile(text.encode(), "Dockerfile"), form)
    assert images(definition(there, kind_of(form), **how)) == wanted
    back = written(document(there, kind_of(form)), "dockerfile")
    assert images(definition(back, "dockerfile", **how)) == wanted
