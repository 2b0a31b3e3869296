"""Dockerfile, YAML and TOML that say the same are the same image: nodes, configuration and histories."""

import pytest
from tests.documents.apps import APPS
from tests.documents.lowering import definition, images


@pytest.mark.parametrize("kind", ["yaml", "toml"])
@pytest.mark.parametrize("name", APPS)
def test_one_image(name: str, kind: str) -> None:
    app = APPS[name]
    how = {"args": {**app.args, "SOURCE_DATE_EPOCH": "1700000000"}}
    wanted = images(definition(app.dockerfile.replace("BASE", "base"), "dockerfile", **how))
    assert images(definition(getattr(app, kind).replace("BASE", "base"), kind, **how)) == wanted
