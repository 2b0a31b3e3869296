"""The instructions that only change the image's configuration: each is one function on a `StageState`.

Words and history texts are BuildKit's, so that images can be compared (config.md has the fields).
"""

from __future__ import annotations

from collections.abc import Callable

from img.errors import FrontendError
from img_frontends.dockerfile.health import read_health
from img_frontends.dockerfile.ports import exposed
from img_frontends.dockerfile.state import StageState
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.words import Words, quoted

SIGNALS = frozenset(
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP "
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX".split(" ")
) | {*(f"RTMIN+{n}" for n in range(1, 16)), *(f"RTMAX-{n}" for n in range(1, 15))}


def _env(state: StageState, i: Instruction, words: Words) -> None:
    pairs = _pairs(i, words)
    for name, value in pairs:
        state.set_env(name, value)
    state.note("ENV " + " ".join(f"{name}={value}" for name, value in pairs))


def _label(state: StageState, i: Instruction, words: Words) -> None:
    pairs = _pairs(i, words)
    state.config["Labels"] = {**(state.config.get("Labels") or {}), **dict(pairs)}
    state.note("LABEL " + " ".join(f"{name}={value}" for name, value in pairs))


def _pairs(i: Instruction, words: Words) -> list[tuple[str, str]]:
    """Names and values, all expanded with what held before the instruction."""
    return [
        (words.one(name, word.offset), words.one(value or "", word.offset + len(name) + 1))
        for (name, value), word in zip(i.pairs, i.words, strict=True)
    ]


def _arg(state: StageState, i: Instruction, words: Words) -> None:
    """Each argument of one ARG sees those before it. A default that is not needed is not even expanded."""
    shown = []
    for (name, default), word in zip(i.pairs, i.words, strict=True):
        value, given = state.argument(name)
        if default is not None and not given:
            value = words.one(default, word.offset + len(name) + 1)
        state.declare(name, value)
        shown.append(name if value is None else f"{name}={value}")
    state.note("ARG " + " ".join(shown))


def _command(state: StageState, i: Instruction, words: Words) -> None:
    argv = list(i.values) if i.exec else [*state.shell, i.text]
    key = "Cmd" if i.keyword == "CMD" else "Entrypoint"
    if argv:
        state.config[key] = argv
    else:
        state.config.pop(key, None)
    if i.keyword == "CMD":
        state.config["ArgsEscaped"] = state.set_cmd = True
    elif not state.set_cmd:
        state.config.pop("Cmd", None)
    state.note(f"{i.keyword} {quoted(argv)}")


def _user(state: StageState, i: Instruction, words: Words) -> None:
    state.config["User"] = state.user = words.one(i.text, i.words[0].offset)
    state.note(f"USER {state.user}")


def _expose(state: StageState, i: Instruction, words: Words) -> None:
    named: list[str] = []
    for word in sorted(i.words, key=lambda word: word.text):
        for text in words.several(word.text, word.offset):
            try:
                named.extend(exposed(text))
            except ValueError as error:
                hint = "e.g. 80, 80/udp or 8000-8010"
                place = i.line.place(word.offset)
                raise FrontendError(f"invalid port {text!r}: {error}", hint=hint, place=place) from None
    state.config["ExposedPorts"] = {**(state.config.get("ExposedPorts") or {}), **{name: {} for name in named}}
    state.note(f"EXPOSE [{' '.join(named)}]")


def _volume(state: StageState, i: Instruction, words: Words) -> None:
    names = [words.one(word.text, word.offset) for word in i.words]
    if not all(name.strip() for name in names):
        raise FrontendError("VOLUME specified can not be an empty string", place=i.line.whole)
    state.config["Volumes"] = {**(state.config.get("Volumes") or {}), **{name: {} for name in names}}
    state.note(f"VOLUME [{' '.join(names)}]")


def _stopsignal(state: StageState, i: Instruction, words: Words) -> None:
    text = words.one(i.text, i.words[0].offset)
    place = i.line.place(i.words[0].offset)
    if state.platform.startswith("windows"):
        raise FrontendError("STOPSIGNAL means nothing on windows", hint="leave it out", place=place)
    number = text.isascii() and text.isdigit() and int(text) > 0
    if not number and text.upper().removeprefix("SIG") not in SIGNALS:
        raise FrontendError(f"invalid signal {text!r}", hint="a name like SIGTERM, or a number", place=place)
    state.config["StopSignal"] = text
    state.note(f"STOPSIGNAL {text}")


def _shell(state: StageState, i: Instruction, words: Words) -> None:
    state.shell = i.values
    state.config["Shell"] = list(i.values)
    state.note(f"SHELL [{' '.join(i.values)}]")


def _maintainer(state: StageState, i: Instruction, words: Words) -> None:
    state.image["author"] = i.text
    state.note(f"MAINTAINER {i.text}")


def _onbuild(state: StageState, i: Instruction, words: Words) -> None:
    """The trigger as it stands, with the bodies of its heredocs inline. It has no entry in the history."""
    text = i.text + "".join(f"\n{heredoc.written}{heredoc.name}" for heredoc in i.heredocs)
    state.config["OnBuild"] = [*(state.config.get("OnBuild") or []), text]


def _healthcheck(state: StageState, i: Instruction, words: Words) -> None:
    health = read_health(i)
    state.config["Healthcheck"] = health.config()
    state.note(f"HEALTHCHECK {health.told()}")


METADATA: dict[str, Callable[[StageState, Instruction, Words], None]] = {
    "ARG": _arg,
    "CMD": _command,
    "ENTRYPOINT": _command,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
}
