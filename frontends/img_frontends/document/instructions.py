"""Each step of a document as the instruction it corresponds to: what a Dockerfile can say goes the very same way from
here on, so that both give one image, histories and all (docs/decisions/0016-steps-are-instructions.md)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

from img.errors import FrontendError, Place
from img_frontends.dockerfile.reader import Heredoc
from img_frontends.dockerfile.tree import Instruction
from img_frontends.document import model
from img_frontends.document.placed import Sheet
from img_frontends.document.words import word

DELIMITER = "EOF"
"""What here-documents are called that have no name in the document."""
KEYWORDS = {
    "workdir": "WORKDIR",
    "user": "USER",
    "env": "ENV",
    "labels": "LABEL",
    "arg": "ARG",
    "shell": "SHELL",
    "expose": "EXPOSE",
    "volumes": "VOLUME",
    "stopsignal": "STOPSIGNAL",
    "healthcheck": "HEALTHCHECK",
    "entrypoint": "ENTRYPOINT",
    "cmd": "CMD",
    "onbuild": "ONBUILD",
    "maintainer": "MAINTAINER",
}


def at(one: Any, *names: str) -> Place:
    """Where a part of a record stands, by the first of `names` that does; else the whole."""
    places = one.at
    for name in (*names, ""):
        if name in places:
            found: Place = places[name]
            return found
    return Place("", 1)


def of_step(step: model.Step) -> list[Instruction]:
    """The instructions of a step: one, but for several triggers. Raises `FrontendError`."""
    place = at(step)
    act = step.act
    if isinstance(act, model.Setting):
        return of_setting(act, at(act) if act.at else place, step.comments)
    return [_ACTS[type(act)](act, place, step.comments)]


def of_setting(setting: model.Setting, place: Place, comments: tuple[str, ...] = ()) -> list[Instruction]:
    """The instructions of a setting."""
    if setting.name == "onbuild":
        return [
            _text("ONBUILD", text.strip(), at(setting, f"value.{number}", "value"), comments if number == 0 else ())
            for number, text in enumerate(setting.value)
        ]
    return [_setting(setting, place, comments)]


def of_from(name: str, stage: model.Stage) -> Instruction:
    """The FROM of a stage."""
    sheet = Sheet("FROM", at(stage, "from"))
    if stage.platform:
        sheet.flag("platform", word(stage.platform), at(stage, "platform"))
    sheet.word(word(stage.base), at(stage, "from"))
    if name:
        sheet.word("AS")
        sheet.word(name, at(stage))
    return sheet.done(comments=stage.comments)


def of_arg(name: str, arg: model.Arg, comments: tuple[str, ...] = ()) -> Instruction:
    """The ARG of an argument of the file."""
    sheet = Sheet("ARG", at(arg))
    sheet.pair(name, None if arg.default is None else word(arg.default), at(arg, "default"))
    return sheet.done(comments=comments)


# --- settings ------------------------------------------------------------------------------------------------------


def _text(keyword: str, text: str, place: Place, comments: tuple[str, ...]) -> Instruction:
    sheet = Sheet(keyword, place)
    if text:
        sheet.word(text)
    return sheet.done(comments=comments)


def _setting(one: model.Setting, place: Place, comments: tuple[str, ...]) -> Instruction:
    name, value, keyword = one.name, one.value, KEYWORDS[one.name]
    sheet = Sheet(keyword, place)
    if name in ("workdir", "user", "stopsignal"):
        sheet.word(word(value), at(one, "value"))
    elif name in ("env", "labels", "arg"):
        for each, text in value:
            shown = each if name != "labels" or re.fullmatch(r"[\w.-]+", each) else word(each)
            sheet.pair(shown, None if text is None else word(text), at(one, f"value.{each}", "value"))
    elif name in ("entrypoint", "cmd"):
        return _command(sheet, value, at(one, "value"), comments)
    elif name == "healthcheck":
        return _health(sheet, value, comments)
    elif name == "maintainer":
        sheet.word(value, at(one, "value"))
    else:
        exec = name in ("shell", "volumes")
        for number, text in enumerate(value):
            shown = text if exec and name == "shell" else word(text)
            sheet.word(shown, at(one, f"value.{number}", "value"))
        return sheet.done(name == "shell", comments=comments)
    return sheet.done(comments=comments)


def _command(sheet: Sheet, value: str | tuple[str, ...], place: Place, comments: tuple[str, ...]) -> Instruction:
    if isinstance(value, tuple):
        for text in value:
            sheet.word(text, place)
        return sheet.done(True, comments=comments)
    if value.strip():
        sheet.word(value.strip(), place)
    return sheet.done(comments=comments)


def _health(sheet: Sheet, health: model.Health, comments: tuple[str, ...]) -> Instruction:
    command = health.command
    times = ("interval", "timeout", "start-period", "start-interval")
    for name in times:
        if value := getattr(health, name.replace("-", "_")):
            sheet.flag(name, value, at(health, name))
    if health.retries is not None:
        sheet.flag("retries", str(health.retries), at(health, "retries"))
    if command == "none":
        sheet.word("NONE", at(health, "command"))
        return sheet.done(comments=comments)
    import json

    shown = command.strip() if isinstance(command, str) else json.dumps(list(command), ensure_ascii=False)
    sheet.word(f"CMD {shown}", at(health, "command"))
    return sheet.done(comments=comments)


# --- acts ------------------------------------------------------------------------------------------------------------


def _run(run: model.Run, place: Place, comments: tuple[str, ...]) -> Instruction:
    sheet = Sheet("RUN", place)
    for number, mount in enumerate(run.mounts):
        sheet.flag("mount", _mount(mount), at(mount) if mount.at else at(run, f"mounts.{number}"))
    for name in ("network", "security"):
        if value := getattr(run, name):
            sheet.flag(name, value, at(run, name))
    for device in run.devices:
        sheet.flag("device", device.name + (",required" if device.required else ""), at(device))
    where = at(run, "command")
    if isinstance(run.command, tuple):
        return _command(sheet, run.command, where, comments)
    text = run.command
    if text.startswith("#!"):
        name = run.name or delimiter(text)
        body = text if text.endswith("\n") else f"{text}\n"
        sheet.word(f"<<{name}", where)
        return sheet.done(False, (Heredoc(name, body, True, False, written=body),), comments)
    if run.name:
        hint = "leave out name, or begin the script with e.g. #!/bin/sh"
        raise FrontendError("only a script that begins with #! has a name", hint=hint, place=at(run, "name"))
    if text.strip():
        sheet.word(text if "\n" in text.strip() or text.endswith("\n") else text.strip(), where)
    return sheet.done(comments=comments)


def delimiter(text: str) -> str:
    """A delimiter that no line of the text is."""
    rows, number, name = set(text.split("\n")), 1, DELIMITER
    while name in rows:
        number += 1
        name = f"{DELIMITER}{number}"
    return name


_MOUNT = {"origin": "from"}


def _mount(mount: model.Mount) -> str:
    """The options of a mount as ``RUN --mount`` has them."""
    from img_frontends.document.kinds import keys

    kind = {record.type: name for name, record, _ in model.MOUNTS.choices}[type(mount)]  # type: ignore[union-attr]
    fields = [f"type={kind}"]
    for one in keys(type(mount)):
        value = getattr(mount, one.attribute)
        if value in ("", False):
            continue
        if one.name == "writable":
            fields.append("readwrite")
        elif value is True:
            fields.append(one.name)
        else:
            fields.append(f"{one.name}={value if one.name == 'from' else word(value)}")
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(fields)
    return out.getvalue()


def _copy(copy: model.Copy | model.Add, place: Place, comments: tuple[str, ...]) -> Instruction:
    sheet = Sheet("COPY" if isinstance(copy, model.Copy) else "ADD", place)
    if isinstance(copy, model.Copy) and copy.origin:
        if copy.origin.isdigit():
            hint = "name the stage"
            raise FrontendError("stages have no numbers in a document", hint=hint, place=at(copy, "from"))
        sheet.flag("from", copy.origin, at(copy, "from"))
    for name, flag in (("owner", "chown"), ("mode", "chmod"), ("checksum", "checksum")):
        if value := getattr(copy, name, ""):
            sheet.flag(flag, word(value), at(copy, name))
    for name in ("link", "parents"):
        if getattr(copy, name, False):
            sheet.flag(name, None, at(copy, name))
    for name, flag in (("keep_git_dir", "keep-git-dir"), ("unpack", "unpack")):
        value = getattr(copy, name, None)
        if value is not None:
            sheet.flag(flag, "true" if value else "false", at(copy, flag))
    for number, text in enumerate(copy.exclude):
        sheet.flag("exclude", text, at(copy, f"exclude.{number}", "exclude"))
    if not copy.paths and not copy.inline:
        raise FrontendError("it copies nothing", hint="give it paths, or inline files", place=at(copy))
    heredocs = []
    for inline in copy.inline:
        shown = inline.name if inline.expand else f'"{inline.name}"'
        sheet.word(f"<<{shown}", at(inline))
        heredocs.append(Heredoc(inline.name, inline.text, inline.expand, False, written=inline.text))
    for number, path in enumerate(copy.paths):
        sheet.word(word(path), at(copy, f"paths.{number}", "paths"))
    sheet.word(word(copy.to), at(copy, "to"))
    return sheet.done(False, tuple(heredocs), comments)


def _write(write: model.Write, place: Place, comments: tuple[str, ...]) -> Instruction:
    sheet = Sheet("COPY", place)
    for name, flag in (("owner", "chown"), ("mode", "chmod")):
        if value := getattr(write, name):
            sheet.flag(flag, word(value), at(write, name))
    if write.path.endswith("/"):
        hint = "name the file, or use copy with inline"
        raise FrontendError(f"{write.path} is a folder", hint=hint, place=at(write, "path"))
    name = delimiter(write.text)
    sheet.word(f"<<{name}" if write.expand else f'<<"{name}"', at(write, "text"))
    sheet.word(word(write.path), at(write, "path"))
    return sheet.done(False, (Heredoc(name, write.text, write.expand, False, written=write.text),), comments)


def _mkdir(mkdir: model.Mkdir, place: Place, comments: tuple[str, ...]) -> Instruction:
    sheet = Sheet("MKDIR", place)
    for name, flag in (("owner", "chown"), ("mode", "chmod")):
        if value := getattr(mkdir, name):
            sheet.flag(flag, word(value), at(mkdir, name))
    sheet.word(word(mkdir.path), at(mkdir, "path"))
    return sheet.done(comments=comments)


def _remove(remove: model.Remove, place: Place, comments: tuple[str, ...]) -> Instruction:
    sheet = Sheet("REMOVE", place)
    if remove.missing_ok:
        sheet.flag("missing-ok", None, at(remove, "missing-ok"))
    sheet.word(word(remove.path), at(remove, "path"))
    return sheet.done(comments=comments)


def _link(link: model.Link, place: Place, comments: tuple[str, ...]) -> Instruction:
    sheet = Sheet("LINK", place)
    if link.owner:
        sheet.flag("chown", word(link.owner), at(link, "owner"))
    sheet.word(word(link.path), at(link, "path"))
    sheet.word(word(link.target), at(link, "target"))
    return sheet.done(comments=comments)


_ACTS: dict[type[Any], Callable[[Any, Place, tuple[str, ...]], Instruction]] = {
    model.Run: _run,
    model.Copy: _copy,
    model.Add: _copy,
    model.Write: _write,
    model.Mkdir: _mkdir,
    model.Remove: _remove,
    model.Link: _link,
}
