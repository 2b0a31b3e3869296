"""model → YAML → model, model → TOML → model and model → JSON → model are identities, comments too where they go."""

import json
from dataclasses import replace

import jsonschema
from hypothesis import HealthCheck, Phase, given, settings
from tests.documents.lowering import document
from tests.unit.document.strategies import documents

from img_frontends.document.convert import written
from img_frontends.document.model import Document
from img_frontends.document.plain import plain
from img_frontends.document.schema import schema

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
LONG = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
VALIDATOR = jsonschema.Draft202012Validator(schema())


@LONG
@given(documents())
def test_yaml(made: Document) -> None:
    text = written(made, "yaml")
    assert document(text, "yaml") == made, text


@LONG
@given(documents())
def test_toml(made: Document) -> None:
    text = written(made, "toml")
    assert document(text, "toml") == made, text


@LONG
@given(documents())
def test_json_and_schema(made: Document) -> None:
    """What can be written keeps to the schema. JSON has no comments."""
    text = written(made, "json")
    assert json.loads(text) == plain(made)
    VALIDATOR.validate(json.loads(text))
    stages = tuple(
        (name, replace(stage, comments=(), steps=tuple(replace(step, comments=()) for step in stage.steps)))
        for name, stage in made.stages
    )
    assert document(text, "yaml", "img.json") == replace(made, comments=(), stages=stages), text
