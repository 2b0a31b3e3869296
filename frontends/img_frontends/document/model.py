"""The document: what a build file in YAML or TOML says, as values. Nothing here knows either language.

Texts are as written: ``$NAME`` and ``${NAME:-word}`` are put in when a stage is made, a backslash before ``$`` or another
backslash keeps it, and quotes mean nothing. Scripts of ``run`` and commands are the shell's and are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from img_frontends.document.kinds import (
    Command,
    Flag,
    Kind,
    Lists,
    Many,
    Named,
    OneOf,
    Pairs,
    Places,
    Record,
    Table,
    Tagged,
    Text,
    Whole,
    key,
    places,
)

TEXT, FLAG = Text(), Flag()
MODE = Text(strict=True, said='a mode, e.g. "0644" or "u+x"')
TIME = Text(r"(0|([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+)", "a duration, e.g. 30s or 1m30s")
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
FILE = r"""[^\s/<>$"'`\\]+"""
STAGE = r"[a-z][a-z0-9_.-]*"

# --- mounts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BindMount:
    """Files of the context, a stage or an image, seen by one step."""

    target: str = key(TEXT, "Where the step sees them.")
    source: str = key(TEXT, "The path that is mounted.", "")
    origin: str = key(TEXT, "A stage, a named context or an image; without it the context.", "", "from")
    writable: bool = key(FLAG, "Writes are allowed, and thrown away.", False)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class CacheMount:
    """A folder that outlives the build."""

    target: str = key(TEXT, "Where the step sees it.")
    id: str = key(TEXT, "Its name; without it the target.", "")
    sharing: str = key(OneOf(("shared", "private", "locked")), "What two steps at a time do.", "")
    origin: str = key(TEXT, "What a new cache starts from: a stage, a named context or an image.", "", "from")
    source: str = key(TEXT, "The path there.", "")
    mode: str = key(MODE, "The mode of a new folder.", "")
    uid: str = key(TEXT, "The owner of a new folder.", "")
    gid: str = key(TEXT, "The group of a new folder.", "")
    readonly: bool = key(FLAG, "The step can't write.", False)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class SecretMount:
    """Bytes of the user, in memory."""

    id: str = key(TEXT, "The name that --secret gives it.")
    target: str = key(TEXT, "The file; without it /run/secrets/ID, or none if there is env.", "")
    env: str = key(TEXT, "The environment variable.", "")
    required: bool = key(FLAG, "The step fails without it.", False)
    mode: str = key(MODE, "The file's mode.", "")
    uid: str = key(TEXT, "The file's owner.", "")
    gid: str = key(TEXT, "The file's group.", "")
    at: Places = places()


@dataclass(frozen=True, slots=True)
class SshMount:
    """The user's ssh agent."""

    id: str = key(TEXT, "The name that --ssh gives it.", "")
    target: str = key(TEXT, "The socket's path.", "")
    required: bool = key(FLAG, "The step fails without it.", False)
    mode: str = key(MODE, "The socket's mode.", "")
    uid: str = key(TEXT, "The socket's owner.", "")
    gid: str = key(TEXT, "The socket's group.", "")
    at: Places = places()


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """A folder in memory."""

    target: str = key(TEXT, "Where the step sees it.")
    size: str = key(TEXT, "Its size, e.g. 64m.", "")
    at: Places = places()


MOUNTS = Tagged(
    (
        ("bind", Record(BindMount, "target"), "Files of the context, a stage or an image."),
        ("cache", Record(CacheMount, "target"), "A folder that outlives the build."),
        ("secret", Record(SecretMount, "id"), "A secret, as a file or a variable."),
        ("ssh", Record(SshMount, "id"), "The user's ssh agent."),
        ("tmpfs", Record(TmpfsMount, "target"), "A folder in memory."),
    )
)
Mount = BindMount | CacheMount | SecretMount | SshMount | TmpfsMount

# --- what steps do -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the machine, by its name in the Container Device Interface."""

    name: str = key(TEXT, "vendor.com/class=name.")
    required: bool = key(FLAG, "The step fails without it.", False)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Run:
    """A program. A text is for the stage's shell; a list is run as it is; a text that begins with ``#!`` is a program."""

    command: str | tuple[str, ...] = key(Command(), "The script, or the words of a program.")
    mounts: tuple[Mount, ...] = key(Many(MOUNTS), "What the step sees beside the stage's files.", ())
    network: str = key(OneOf(("default", "none", "host", "sandbox")), "The network it sees.", "")
    security: str = key(OneOf(("sandbox", "insecure")), "How far it is confined.", "")
    devices: tuple[Device, ...] = key(Many(Record(Device, "name")), "Devices of the machine.", ())
    name: str = key(Text(FILE, "a file name"), "The file name of a script with #!.", "")
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Inline:
    """A file whose content stands in the document."""

    name: str = key(Text(FILE, "a file name"), "The file's name.")
    text: str = key(TEXT, "The content.")
    expand: bool = key(FLAG, "Variables in it are put in.", False)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Copy:
    """Files of the context, of a stage or of an image. As a list: the sources, then the destination."""

    origin: str = key(TEXT, "A stage, a named context or an image; without it the context.", "", "from")
    paths: tuple[str, ...] = key(Many(TEXT, lone=True), "What is copied; wildcards are allowed.", ())
    inline: tuple[Inline, ...] = key(Many(Record(Inline)), "Files that stand in the document.", ())
    to: str = key(TEXT, "The destination; a / at the end says folder.", named=True)
    owner: str = key(TEXT, "user[:group]; without it as the source has it from a stage, else 0:0.", "")
    mode: str = key(MODE, "The mode of what is copied.", "")
    link: bool = key(FLAG, "A layer that does not depend on what is below.", False)
    parents: bool = key(FLAG, "Keep the folders of each path.", False)
    exclude: tuple[str, ...] = key(Many(TEXT, lone=True), "Patterns of what is left out.", ())
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Add:
    """Files of the context, URLs and git repositories; archives are unpacked. As a list: sources, then destination."""

    paths: tuple[str, ...] = key(Many(TEXT, lone=True), "Paths, http(s) URLs and git repositories.", ())
    inline: tuple[Inline, ...] = key(Many(Record(Inline)), "Files that stand in the document.", ())
    to: str = key(TEXT, "The destination; a / at the end says folder.", named=True)
    owner: str = key(TEXT, "user[:group].", "")
    mode: str = key(MODE, "The mode of what is added.", "")
    link: bool = key(FLAG, "A layer that does not depend on what is below.", False)
    checksum: str = key(TEXT, "sha256:… of a download, or a commit.", "")
    keep_git_dir: bool | None = key(FLAG, "Keep .git.", None)
    unpack: bool | None = key(FLAG, "Unpack archives: of the context unless told otherwise, of a URL if told.", None)
    exclude: tuple[str, ...] = key(Many(TEXT, lone=True), "Patterns of what is left out.", ())
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Write:
    """A file with this content."""

    path: str = key(TEXT, "The file.")
    text: str = key(TEXT, "The content.")
    owner: str = key(TEXT, "user[:group].", "")
    mode: str = key(MODE, "The mode.", "")
    expand: bool = key(FLAG, "Variables in the content are put in.", False)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Mkdir:
    """A folder, with those above it."""

    path: str = key(TEXT, "The folder.")
    owner: str = key(TEXT, "user[:group].", "")
    mode: str = key(Text("0?[0-7]{3,4}", 'an octal mode, e.g. "0755"', True), "The mode of a new folder.", "")
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Remove:
    """A file or a folder with all that is in it goes."""

    path: str = key(TEXT, "What goes; wildcards are allowed.")
    missing_ok: bool = key(FLAG, "It need not be there.", False)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: str = key(TEXT, "The link.")
    target: str = key(TEXT, "What it says.")
    owner: str = key(TEXT, "user[:group].", "")
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Health:
    """How to see whether a container is well."""

    command: str | tuple[str, ...] = key(Command(), "The check; a text is for the shell; none switches it off.")
    interval: str = key(TIME, "Time between two checks.", "")
    timeout: str = key(TIME, "How long a check may take.", "")
    start_period: str = key(TIME, "How long failures do not count at first.", "")
    start_interval: str = key(TIME, "Time between two checks in that period.", "")
    retries: int | None = key(Whole(), "How many failures in a row count.", None)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Setting:
    """A step that sets something of the image or of what follows: `name` is one of `SETTINGS`."""

    name: str
    value: Any
    at: Places = places()


BEFORE: tuple[tuple[str, Kind, str], ...] = (
    ("shell", Many(TEXT, least=1), "What runs scripts, e.g. [/bin/bash, -c]."),
    (
        "arg",
        Table(bare=True, listed=True, pattern=VARIABLE),
        "Arguments that steps see; with a default, or the file's.",
    ),
    ("env", Table(), "Environment variables of steps and of the image."),
    ("workdir", TEXT, "The folder that relative paths start from; it is made."),
)
AFTER: tuple[tuple[str, Kind, str], ...] = (
    ("user", TEXT, "user[:group] of the steps after it and of the image."),
    ("expose", Many(TEXT, lone=True, least=1), "Ports, e.g. 80, 53/udp or 8000-8010."),
    ("volumes", Many(TEXT, lone=True, least=1), "Folders that are volumes."),
    ("labels", Table(), "Labels of the image."),
    ("stopsignal", TEXT, "The signal that stops a container."),
    ("healthcheck", Record(Health, "command"), "How to see whether a container is well."),
    ("entrypoint", Command(), "What a container runs."),
    ("cmd", Command(), "What it runs, or the arguments of the entrypoint."),
    ("onbuild", Many(TEXT, lone=True, least=1), "Instructions, as a Dockerfile has them, for builds from this image."),
    ("maintainer", TEXT, "The author (a label is the newer way)."),
)
SETTINGS = Tagged((*BEFORE, *AFTER))
ACTS = Tagged(
    (
        ("run", Record(Run, "command"), "Run a program."),
        ("copy", Record(Copy, listed=True), "Copy files of the context, of a stage or of an image."),
        ("add", Record(Add, listed=True), "Add files, archives, URLs, git repositories."),
        ("write", Record(Write), "Write a file."),
        ("mkdir", Record(Mkdir, "path"), "Make a folder."),
        ("remove", Record(Remove, "path"), "Remove a file or a folder."),
        ("link", Record(Link), "Make a symbolic link."),
        *SETTINGS.choices,
    )
)
Act = Run | Copy | Add | Write | Mkdir | Remove | Link | Setting

# --- steps, stages, documents ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resources:
    """How much a run may use; the tighter of this and what the build says."""

    memory: str = key(Text(r"[0-9]+(\.[0-9]+)?[kKmMgGtT]?i?[bB]?", "a size, e.g. 2g"), "Memory, e.g. 2g.", "")
    cpus: str = key(Text(r"[0-9]+(\.[0-9]+)?", 'a number, e.g. "1.5"'), 'Processors, e.g. "1.5".', "")
    pids: int = key(Whole(), "Processes at one time.", 0)
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Step:
    """One act, and how it is done."""

    act: Act = key(ACTS, "", spread=True)
    when: tuple[tuple[str, tuple[str, ...]], ...] = key(Lists(), "Only if these arguments have these values.", ())
    cache: bool = key(FLAG, "false: done anew in every build.", True)
    retry: int = key(Whole(), "How often a run, or an add from a URL, is tried again when it fails.", 0)
    timeout: str = key(TIME, "How long a run may take.", "")
    resources: Resources | None = key(Record(Resources), "What a run may use.", None)
    comments: tuple[str, ...] = ()
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Stage:
    """A filesystem and the configuration of an image, made step by step."""

    base: str = key(TEXT, "An image, a stage, or scratch.", "", "from")
    platform: str = key(TEXT, "The platform of the base, e.g. $BUILDPLATFORM.", "")
    extends: str = key(TEXT, "A stage whose base, steps and settings this one has first.", "")
    matrix: tuple[tuple[str, tuple[str, ...]], ...] = key(Lists(), "One stage for each combination of these.", ())
    before: tuple[Setting, ...] = key(Tagged(BEFORE), "", (), spread=True)
    steps: tuple[Step, ...] = key(Many(Record(Step)), "What is done, in order.", ())
    after: tuple[Setting, ...] = key(Tagged(AFTER), "", (), spread=True)
    comments: tuple[str, ...] = ()
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument of the build, which --build-arg may give."""

    default: str | None = key(TEXT, "Its value if the build is given none.", None)
    type: str = key(OneOf(("string", "number", "boolean", "choice")), "What its value may be.", "string")
    choices: tuple[str, ...] = key(Many(TEXT), "The values of a choice.", ())
    description: str = key(TEXT, "What it is for.", "")
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Target:
    """Something to build: a stage with its arguments and names."""

    stage: str = key(TEXT, "The stage.")
    args: Pairs = key(Table(pattern=VARIABLE), "Arguments, unless the build is given others.", ())
    tags: tuple[str, ...] = key(Many(TEXT, lone=True), "Names of the image, for img bake.", ())
    platforms: tuple[str, ...] = key(Many(TEXT, lone=True), "Platforms, for img bake.", ())
    labels: Pairs = key(Table(), "Labels, for img bake.", ())
    at: Places = places()


@dataclass(frozen=True, slots=True)
class Document:
    """A build file. Either it has `stages`, or it is one: then that is the stage ``""``."""

    include: tuple[str, ...] = key(Many(TEXT, lone=True), "Documents of the context whose parts are joined.", ())
    args: tuple[tuple[str, Arg], ...] = key(
        Named(Record(Arg, "default"), VARIABLE, "a name of letters, digits and _"), "Arguments of the build.", ()
    )
    stages: tuple[tuple[str, Stage], ...] = key(
        Named(Record(Stage), STAGE, "a name of lower-case letters, digits, - _ and ."), "The stages by name.", ()
    )
    default: str = key(TEXT, "The target or stage that is built if none is named; without it the last stage.", "")
    targets: tuple[tuple[str, Target], ...] = key(
        Named(Record(Target, "stage"), r"[A-Za-z0-9_.-]+", "a name of letters, digits, - _ and ."),
        "What can be built beside the stages themselves.",
        (),
    )
    comments: tuple[str, ...] = ()
    at: Places = places()
