"""Settings: where each one's value comes from. A flag wins over the environment, that over the settings file, that over
the default.

The file is TOML with the settings' names as keys: ``$IMG_CONFIG``, else ``$XDG_CONFIG_HOME/img/config.toml`` (which is
``~/.config/img/config.toml``), else ``/etc/img/config.toml``. It is only read if it is there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from img.errors import Place, UsageError
from img.plugin.offers import Setting


class Value(NamedTuple):
    """A setting's value and where it comes from: the variable, the file, or empty for the default."""

    setting: Setting
    value: str
    origin: str


PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def surroundings(known: Sequence[Setting], environ: Mapping[str, str]) -> dict[str, str]:
    """Every setting's value as the command line uses it, and what the plugins for registries want to know of the
    environment: where credentials and configuration files are, proxies. Raises what `values` raises."""
    settings = values(known, environ)
    found = {value.setting.name: value.value for value in settings}
    get, home = environ.get, environ.get("HOME", "")
    docker = get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")
    runtime = get("XDG_RUNTIME_DIR", "")
    files = [get("REGISTRY_AUTH_FILE", ""), f"{runtime}/containers/auth.json" if runtime else ""]
    files.append(f"{docker}/config.json" if docker else "")
    return {
        **found,
        "given": " ".join(sorted(value.setting.name for value in settings if value.origin)),
        "auth_file": ":".join(file for file in files if file),
        "path": get("PATH", ""),
        "home": home,
        "config_home": get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""),
        "docker_config": docker,
        "registry_auth_file": get("REGISTRY_AUTH_FILE", ""),
        "registries_conf": get("CONTAINERS_REGISTRIES_CONF", ""),
        "buildkit_host": get("BUILDKIT_HOST", ""),
        "docker_host": get("DOCKER_HOST", ""),
        **{name: get(name) or get(name.upper()) or "" for name in PROXIES},
    }


def values(known: Sequence[Setting], environ: Mapping[str, str]) -> list[Value]:
    """Every setting's value. Raises `UsageError` for a file that can't be read, or that sets what nobody knows."""
    file = config_file(environ)
    table = _read(file, known) if file else {}
    found: list[Value] = []
    for setting in known:
        named = next((name for name in setting.env.split() if name in environ), "")
        if named:
            found.append(Value(setting, environ[named], named))
        elif setting.name in table:
            found.append(Value(setting, table[setting.name], file))
        else:
            found.append(Value(setting, setting.default, ""))
    return found


def config_file(environ: Mapping[str, str]) -> str:
    """The settings file in use, empty if there is none. Raises `UsageError` if ``IMG_CONFIG`` names none."""
    if named := environ.get("IMG_CONFIG"):
        if not os.path.isfile(named):
            raise UsageError(f"there is no settings file {named}", hint="IMG_CONFIG names it")
        return named
    home = environ.get("HOME", "")
    config = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    places = ([f"{config}/img/config.toml"] if config else []) + ["/etc/img/config.toml"]
    return next((place for place in places if os.path.isfile(place)), "")


def _read(file: str, known: Sequence[Setting]) -> dict[str, str]:
    import tomllib

    try:
        with open(file, "rb") as stream:
            text = stream.read().decode("utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"can't read the settings file {file}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"the settings file {file} is not TOML: {error}") from error
    names = [setting.name for setting in known]
    found: dict[str, str] = {}
    for name, value in document.items():
        if name not in names or isinstance(value, dict | list):
            raise UsageError(
                f"{name!r} is no setting" if name not in names else f"the setting {name!r} takes one value",
                hint=f"settings: {', '.join(sorted(names))}",
                place=_place(file, text, name),
            )
        found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _place(file: str, text: str, name: str) -> Place | None:
    """The line that sets `name`."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip(" \t['\"").startswith(name):
            return Place(file, number, 1 + len(line) - len(line.lstrip()), number, line)
    return None
