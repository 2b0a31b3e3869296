"""The instructions that only change the image's configuration: each is one function on a `StageState`.

Words and history texts are BuildKit's, so that images can be compared (config.md has the fields).
"""

from __future__ import annotations

from collections.abc import Callable

from img.errors import FrontendError
from img_frontends.dockerfile.state import StageState
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.words import Words, duration, go_duration, ports, quoted

SIGNALS = frozenset(
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP "
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX".split(" ")
)


def _env(state: StageState, i: Instruction, words: Words) -> None:
    pairs = []
    for (name, value), word in zip(i.pairs, i.words, strict=True):
        pairs.append((words.one(name, word.offset), words.one(value or "", word.offset + len(name) + 1)))
    for name, value in pairs:
        state.env[name] = value
    state.config["Env"] = [f"{name}={value}" for name, value in state.env.items()]
    state.note("ENV " + " ".join(f"{name}={value}" for name, value in pairs))


def _label(state: StageState, i: Instruction, words: Words) -> None:
    labels = state.config.setdefault("Labels", {}) or {}
    shown = []
    for (name, value), word in zip(i.pairs, i.words, strict=True):
        key, text = words.one(name, word.offset), words.one(value or "", word.offset + len(name) + 1)
        labels[key] = text
        shown.append(f"{key}={text}")
    state.config["Labels"] = labels
    state.note("LABEL " + " ".join(shown))


def _arg(state: StageState, i: Instruction, words: Words) -> None:
    shown = []
    for (name, value), word in zip(i.pairs, i.words, strict=True):
        key = words.one(name, word.offset)
        default = None if value is None else words.one(value, word.offset + len(name) + 1)
        state.declare(key, default)
        shown.append(key if default is None else f"{key}={default}")
    state.note("ARG " + " ".join(shown))


def _command(state: StageState, i: Instruction, words: Words) -> None:
    if i.exec:
        argv = list(i.values)
    else:
        argv = [*state.shell, i.text] if i.text else []
    if i.keyword == "CMD":
        state.config["Cmd"] = argv
        state.set_cmd = True
    else:
        state.config["Entrypoint"] = argv or None
        if not state.set_cmd:
            state.config.pop("Cmd", None)
    state.note(f"{i.keyword} {quoted(argv)}")


def _user(state: StageState, i: Instruction, words: Words) -> None:
    state.config["User"] = state.user = words.one(i.text, i.words[0].offset)
    state.note(f"USER {state.user}")


def _expose(state: StageState, i: Instruction, words: Words) -> None:
    found = state.config.get("ExposedPorts") or {}
    named: list[str] = []
    for word in i.words:
        for text in words.one(word.text, word.offset).split():
            numbers = ports(text)
            if numbers is None:
                hint = "e.g. 80, 80/udp or 8000-8010"
                raise FrontendError(f"invalid port {text!r}", hint=hint, place=i.line.place(word.offset))
            named.extend(numbers)
    found.update({name: {} for name in sorted(named)})
    state.config["ExposedPorts"] = found
    state.note(f"EXPOSE map[{' '.join(f'{name}:{{}}' for name in sorted(set(named)))}]")


def _volume(state: StageState, i: Instruction, words: Words) -> None:
    names = [words.one(word.text, word.offset) for word in i.words]
    if not all(name.strip() for name in names):
        raise FrontendError("VOLUME specified can not be an empty string", place=i.line.whole)
    volumes = state.config.get("Volumes") or {}
    volumes.update({name: {} for name in names})
    state.config["Volumes"] = volumes
    state.note(f"VOLUME [{' '.join(names)}]")


def _stopsignal(state: StageState, i: Instruction, words: Words) -> None:
    text = words.one(i.text, i.words[0].offset)
    name = text.upper().removeprefix("SIG").partition("+")[0].partition("-")[0]
    if not (text.isdigit() and 0 < int(text) < 65) and name not in SIGNALS:
        place = i.line.place(i.words[0].offset)
        raise FrontendError(f"invalid signal {text!r}", hint="a name like SIGTERM, or a number", place=place)
    state.config["StopSignal"] = text
    state.note(f"STOPSIGNAL {text}")


def _shell(state: StageState, i: Instruction, words: Words) -> None:
    if not i.exec or not i.words:
        raise FrontendError("SHELL takes a JSON array", hint='e.g. SHELL ["/bin/bash", "-c"]', place=i.line.whole)
    state.shell = i.values
    state.config["Shell"] = list(i.values)
    state.note(f"SHELL [{' '.join(i.values)}]")


def _maintainer(state: StageState, i: Instruction, words: Words) -> None:
    state.image["author"] = i.text
    state.note(f"MAINTAINER {i.text}")


def _onbuild(state: StageState, i: Instruction, words: Words) -> None:
    inner = i.text.split(None, 1)[0].upper()
    if inner in ("ONBUILD", "FROM", "MAINTAINER"):
        raise FrontendError(f"{inner} isn't allowed as an ONBUILD trigger", place=i.line.whole)
    from img_frontends.dockerfile.reader import KEYWORDS

    if inner not in KEYWORDS:
        raise FrontendError(f"unknown instruction: {inner}", place=i.line.whole)
    text = i.text
    for heredoc in i.heredocs:
        text += f"\n{heredoc.body}{heredoc.name}"
    state.config["OnBuild"] = [*(state.config.get("OnBuild") or []), text]


def _healthcheck(state: StageState, i: Instruction, words: Words) -> None:
    kind, _, rest = i.text.partition(" ")
    kind, rest = kind.upper(), rest.strip()
    if kind == "NONE":
        state.config["Healthcheck"] = {"Test": ["NONE"]}
        state.note('HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" \'\\x00\'}')
        return
    if kind != "CMD" or not rest:
        raise FrontendError("HEALTHCHECK is NONE, or CMD with a command", place=i.line.whole)
    check: dict[str, object] = {"Test": _test(rest)}
    times: dict[str, int] = {}
    for flag, key in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ):
        text = i.flag(flag)
        if text is None:
            continue
        nanoseconds = duration(text)
        if nanoseconds is None or 0 < nanoseconds < 10**6:
            place = i.line.place(next(f.offset for f in i.flags if f.name == flag))
            raise FrontendError(f"--{flag}={text} is no duration", hint="e.g. 30s or 1m30s, at least 1ms", place=place)
        times[key] = nanoseconds
        if nanoseconds:
            check[key] = nanoseconds
    retries = i.flag("retries")
    if retries is not None:
        if not retries.isdigit():
            raise FrontendError(f"--retries={retries} is no number", place=i.line.whole)
        if int(retries):
            check["Retries"] = int(retries)
    state.config["Healthcheck"] = check
    shown = " ".join(
        f'"{go_duration(times.get(key, 0))}"' for key in ("Interval", "Timeout", "StartPeriod", "StartInterval")
    )
    test = check["Test"]
    assert isinstance(test, list)
    number = int(retries or 0)
    state.note(f"HEALTHCHECK &{{{quoted(test)} {shown} '\\x{number:02x}'}}")


def _test(rest: str) -> list[str]:
    import json

    if rest.startswith("["):
        try:
            argv = json.loads(rest)
            if isinstance(argv, list) and all(isinstance(item, str) for item in argv):
                return ["CMD", *argv]
        except ValueError:
            pass
    return ["CMD-SHELL", rest]


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
