"""Where settings come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from img.errors import UsageError
from img.plugin.offers import Setting
from img_cli.config import config_file, values

KNOWN = (Setting("network", "", "IMG_NETWORK", "host"), Setting("steps", "", "IMG_STEPS", "64"), Setting("x", ""))


def place(folder: Path, text: str) -> dict[str, str]:
    file = folder / "img" / "config.toml"
    file.parent.mkdir()
    file.write_text(text)
    return {"XDG_CONFIG_HOME": str(folder)}


def test_the_environment_wins_over_the_file_and_that_over_the_default(tmp_path: Path) -> None:
    environ = {**place(tmp_path, 'network = "none"\nsteps = 3\n'), "IMG_NETWORK": "default"}
    found = [(value.value, value.origin) for value in values(KNOWN, environ)]
    assert found == [("default", "IMG_NETWORK"), ("3", str(tmp_path / "img/config.toml")), ("", "")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nework = "none"', "'nework' is no setting"),
        ("[steps]\na = 1", "the setting 'steps' takes one value"),
        ("steps", "is not TOML"),
        ("steps = '\xff'", "is not TOML"),
    ],
)
def test_a_bad_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    environ = place(tmp_path, "")
    (tmp_path / "img" / "config.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=message) as caught:
        values(KNOWN, environ)
    assert "config.toml" in str(caught.value.place or caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no settings file"):
        config_file({"IMG_CONFIG": str(tmp_path / "none")})


def test_the_reference_has_every_setting() -> None:
    from img_plugins.hooks import img_settings

    text = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `") and "`IMG_" in line]
    wanted = [
        f"| `{s.name}` | `{s.env}` | {f'`{s.default}` ' if s.default else ''}| {s.help} |" for s in img_settings()
    ]
    assert rows == wanted
