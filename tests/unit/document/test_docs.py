"""The reference is the model's, and the examples of the tutorial build."""

import re
from pathlib import Path

import pytest
from tests.documents.lowering import document
from tests.unit.document.reference import MARK, PAGE, tables

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial"
EXAMPLES = re.findall(r"^( *)```yaml\n(.*?)^ *```", (TUTORIAL / "yaml.md").read_text(encoding="utf-8"), re.M | re.S)


def test_the_reference_is_the_models() -> None:
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2] == "\n" + tables()


@pytest.mark.parametrize(("indent", "text"), EXAMPLES)
def test_an_example_is_a_document(indent: str, text: str) -> None:
    assert document("".join(row.removeprefix(indent) for row in text.splitlines(True))).stages


def test_ten_lines() -> None:
    text = (TUTORIAL / "yaml-example" / "img.yaml").read_text(encoding="utf-8")
    assert text == EXAMPLES[0][1]
    assert text.count("\n") == 10
