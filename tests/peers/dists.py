"""Distributions as an installer leaves them: a package and its dist-info folder, in a folder for sys.path."""

from __future__ import annotations

from pathlib import Path

HOOKS = """\
import img

img_contract = {contract}

@img.hookimpl
def img_offers():
    return [img.Offer("{kind}", "{name}", "a stranger's", "{package}.thing:Thing")]
"""


def install(folder: Path, name: str, files: dict[str, str], version: str = "1.0") -> Path:
    """A distribution with one plugin: its hooks module is ``hooks`` of the package, whose name is the distribution's with
    underscores. `files` are the package's, by name."""
    package = name.replace("-", "_")
    place = folder / package
    place.mkdir(parents=True, exist_ok=True)
    for file, text in {"__init__.py": "", **files}.items():
        (place / file).write_text(text)
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[img]\n{package} = {package}.hooks\n")
    return folder


def hooks(package: str, kind: str = "exporter", name: str = "strange", contract: object = 1) -> str:
    """A hooks module with one offer: ``Thing`` of the module ``thing``."""
    return HOOKS.format(package=package, kind=kind, name=name, contract=contract)
