"""Writes the pages of the reference that are made from the program: ``python docs/generate.py``. A test compares them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

HERE = Path(__file__).parent
NOTE = "<!-- made by docs/generate.py -->"


def pages() -> dict[str, str]:
    """Every generated page: its path below docs, and its text."""
    return {
        "reference/options.md": _page("Every command and option", _options()),
        "reference/settings.md": _page("Settings", _settings()),
        "reference/errors.md": _page("Errors", _errors()),
        "reference/plugins.md": _page("What plugins are made of", _plugins()),
        "decisions/index.md": _page("Decisions", _decisions()),
    }


def main() -> None:
    """Write them."""
    for path, text in pages().items():
        (HERE / path).write_text(text, encoding="utf-8")


def _page(title: str, parts: Iterator[str]) -> str:
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


# --- the command line -----------------------------------------------------------------------------------------------


def _options() -> Iterator[str]:
    import typer

    from img_cli.commands.app import app

    yield (
        "What `img COMMAND --help` says. [The command line](cli.md) tells how things work together, "
        "[commands](commands.md) how images are named."
    )
    root: Any = typer.main.get_command(app)
    yield "## img"
    yield _parameters(root)
    yield from _commands(root, "img")


def _commands(group: Any, above: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        path = f"{above} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, path)
            continue
        yield f"## {path}"
        yield inspect.cleandoc(command.help or "")
        if command.params:
            yield _parameters(command)


def _parameters(command: Any) -> str:
    rows: list[tuple[str, ...]] = []
    for one in command.params:
        if getattr(one, "hidden", False):
            continue
        if one.param_type_name == "argument":
            name = f"`{one.metavar or one.name.upper()}`"
        else:
            name = ", ".join(f"`{word}`" for word in sorted((*one.opts, *one.secondary_opts), key=len, reverse=True))
        rows.append((name, one.help or "", _default(one)))
    return _table(("", "", "default"), rows)


def _default(one: Any) -> str:
    value = one.default
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return ""
    return f"`{value}`"


# --- settings, errors -----------------------------------------------------------------------------------------------


def _settings() -> Iterator[str]:
    from img_plugins.hooks import img_settings

    yield (
        "A flag wins over the environment, that over the settings file (TOML, with these names as keys), that over the "
        "default; `img settings` shows each value and where it comes from. Plugins may add more."
    )
    rows = [(f"`{s.name}`", f"`{s.env}`", f"`{s.default}`" if s.default else "", s.help) for s in img_settings()]
    yield _table(("setting", "variable", "default", ""), rows)


def _errors() -> Iterator[str]:
    from img import errors

    yield (
        "Every error is one sentence, where it can with `file:line:column` and the line shown, and a hint. In Python each "
        "is an `img.ImgError` with `message`, `hint`, `place` and `exit_code`; on the command line that is the exit code."
    )
    rows: list[tuple[str, ...]] = []
    for kind, depth in _tree(errors.ImgError, 0):
        rows.append((f"{'– ' * depth}`{kind.__name__}`", str(kind.exit_code), _sentence(kind)))
    yield _table(("class", "exit code", "raised when"), rows)
    yield "An error of img itself, which is none of these, ends with 70; `img --debug …` shows where it happened."


def _tree(kind: type[Any], depth: int) -> Iterator[tuple[type[Any], int]]:
    yield kind, depth
    for below in kind.__subclasses__():
        if below.__module__ == "img.errors":
            yield from _tree(below, depth + 1)


def _decisions() -> Iterator[str]:
    yield "What was decided against the first design, or beyond it, one page each."
    lines = []
    for path in sorted((HERE / "decisions").glob("0*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"* [{title}]({path.name})")
    yield "\n".join(lines)


# --- plugins --------------------------------------------------------------------------------------------------------


def _plugins() -> Iterator[str]:
    from img import ports
    from img.plugin import offers, specs

    yield (
        "A plugin is a package with an entry point in the group `img` that names its hooks module. "
        "[Hooks](hooks.md) tells how they are used; this is what the program says of itself."
    )
    yield "## Hooks"
    for name, function in vars(specs).items():
        if name.startswith("img_"):
            yield f"### `{name}{str(inspect.signature(function)).replace(chr(39), '')}`"
            yield _prose(function)
    for record in (offers.Offer, offers.Setting):
        yield f"## {record.__name__}"
        yield _prose(record)
        yield _table(("field", "type"), [(f"`{name}`", f"`{_type(t)}`") for name, t in record.__annotations__.items()])
    yield "## What is offered as what"
    yield f"Kinds: {', '.join(f'`{kind}`' for kind in get_args(offers.OfferKind))}. `img.ports` has their protocols:"
    for name, protocol in _protocols(ports):
        yield f"### {name}"
        yield _prose(protocol)
        for method, function in vars(protocol).items():
            if inspect.isfunction(function) and not method.startswith("_"):
                signature = (
                    str(inspect.signature(function)).replace("'", "").replace("(self, ", "(").replace("(self)", "()")
                )
                yield f"* `{method}{signature}`: {_inline(function)}"


def _protocols(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, thing in vars(module).items():
        ours = inspect.isclass(thing) and thing.__module__.startswith(module.__name__)
        if ours and getattr(thing, "_is_protocol", False) and not dataclasses.is_dataclass(thing):
            yield name, thing


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__forward_arg__", str(annotation))
    return str(text)


def _prose(thing: Any) -> str:
    """A docstring, in Markdown: double backticks are code there."""
    return inspect.cleandoc(thing.__doc__ or "").replace("``", "`")


def _inline(thing: Any) -> str:
    return " ".join(_prose(thing).split())


def _sentence(thing: Any) -> str:
    return " ".join(_prose(thing).partition("\n\n")[0].split())


if __name__ == "__main__":
    main()
