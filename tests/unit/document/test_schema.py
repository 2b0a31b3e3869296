"""The shipped schema is the model's; it takes the examples, and refuses what the reader refuses."""

import json
import random
import tomllib
from importlib.resources import files

import jsonschema
import pytest
import yaml
from tests.documents.apps import APPS
from tests.documents.lowering import document
from tests.unit.document.test_mutated import mutated

from img.errors import FrontendError
from img_frontends.document.schema import schema, text

VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_it_is_the_shipped_one() -> None:
    shipped = files("img_frontends.document").joinpath("img.schema.json").read_text(encoding="utf-8")
    assert shipped == text(), "write it anew: img schema > frontends/img_frontends/document/img.schema.json"
    VALIDATOR.check_schema(schema())


@pytest.mark.parametrize("name", APPS)
def test_examples(name: str) -> None:
    VALIDATOR.validate(yaml.safe_load(APPS[name].yaml))
    VALIDATOR.validate(tomllib.loads(APPS[name].toml))


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "a", "step": []},
        {"from": ["a"]},
        {"from": "a", "steps": [{"run": "x", "user": "y"}]},
        {"from": "a", "steps": [{}]},
        {"from": "a", "steps": [{"copy": {"paths": "a"}}]},
        {"from": "a", "steps": [{"run": {"command": "x", "network": "nome"}}]},
        {"stages": {"a": {"from": "b"}}, "from": "a"},
        {"stages": {"A": {"from": "b"}}},
        {"from": "a", "healthcheck": {"command": "x", "interval": "soon"}},
    ],
    ids=json.dumps,
)
def test_refused(wrong: object) -> None:
    assert not VALIDATOR.is_valid(wrong)


def test_what_is_read_is_valid() -> None:
    """An editor must not mark what img takes."""
    taken = 0
    for name, app in APPS.items():
        chance = random.Random(name)
        for _ in range(60):
            source = mutated(app.yaml.replace("BASE", "base"), chance)
            try:
                document(source)
            except FrontendError:
                continue
            taken += 1
            assert VALIDATOR.is_valid(yaml.safe_load(source)), source
    assert taken > 20
