"""Each mistake: its message, hint, and exact place."""

import pytest
from tests.documents.lowering import problems

CASES = [
    # text, line, column, message, hint
    ("stage: x\n", 1, 1, "stage: unknown key 'stage'", "did you mean stages?"),
    ("from: [a]\n", 1, 7, "from: expected a text, not a list", ""),
    ("from: 3.10\n", 1, 7, "from: 3.10 is a number; the number would lose its form", 'quote it: "3.10"'),
    ("from: base\nsteps: x\n", 2, 8, "steps: expected a list, not 'x'", ""),
    ("from: base\nsteps:\n  - rum: x\n", 3, 5, "steps[0].rum: unknown key 'rum'", "did you mean run?"),
    ("from: base\nsteps:\n  - {}\n", 3, 5, "steps[0]: it says nothing to do", ""),
    ("from: base\nsteps:\n  - run: x\n    user: y\n", 4, 5, "steps[0].user: run and user are two acts", "make two"),
    ("from: base\nsteps:\n  - run: {command: x, network: nome}\n", 3, 32, "it can't be 'nome'; it is one of", "none?"),
    ("from: base\nsteps:\n  - run: {network: none}\n", 3, 10, "steps[0].run: the key command is missing", "script"),
    ("from: base\nsteps:\n  - run: {command: x, name: y}\n", 3, 29, "only a script that begins with #!", "leave out"),
    ("from: base\nsteps:\n  - copy: [a]\n", 3, 11, "steps[0].copy: a list has the sources, and the", "e.g."),
    ("from: base\nsteps:\n  - copy: {paths: a}\n", 3, 11, "steps[0].copy: the key to is missing", ""),
    ("from: base\nsteps:\n  - copy: {to: /a}\n", 3, 11, "it copies nothing", "give it paths"),
    (
        "from: base\nsteps:\n  - copy: {paths: a, to: /a, mode: 644}\n",
        3,
        36,
        "644 is a number; expected a mode",
        "quote",
    ),
    ("from: base\nsteps:\n  - copy: {paths: a, to: /a, mode: 0999}\n", 3, 36, "--chmod", ""),
    ("from: base\nsteps:\n  - copy: {paths: a, to: /a, link: 1}\n", 3, 36, "expected true or false, not '1'", ""),
    (
        "from: base\nsteps:\n  - add: {paths: [a, b], to: /a, checksum: sha256:x}\n",
        3,
        44,
        "--checksum can't be used",
        "",
    ),
    (
        "from: base\nsteps:\n  - copy: {from: 0, paths: a, to: /a}\n",
        3,
        18,
        "stages have no numbers in a document",
        "name",
    ),
    ("from: base\nsteps:\n  - write: {path: /a/, text: x}\n", 3, 19, "/a/ is a folder", "name the file"),
    ("from: base\nsteps:\n  - mkdir: /\n", 3, 12, "mkdir needs a path below /", ""),
    ('from: base\nsteps:\n  - mkdir: {path: /a, mode: "9"}\n', 3, 29, "expected an octal mode", ""),
    ("from: base\nsteps:\n  - link: {path: /a}\n", 3, 11, "the key target is missing", ""),
    ("from: base\nsteps:\n  - remove: [a]\n", 3, 13, "expected a text, not a list", ""),
    ("from: base\nsteps:\n  - env: {}\n", 3, 10, "steps[0].env: the table is empty", "leave the key out"),
    ("from: base\nenv: {A B: c}\n", 2, 7, "'A B' can't be a name here", "no blanks"),
    ("from: base\nenv: {A: }\n", 2, 10, "env.A: expected a text, not nothing", ""),
    ("from: base\narg: 1x\n", 2, 6, "arg: '1x' can't be a name here", "letters"),
    ("from: base\nworkdir: ${\n", 2, 10, "a } is missing", ""),
    ("from: base\nexpose: 70000\n", 2, 9, "invalid port '70000'", "e.g. 80"),
    ("from: base\nexpose: [80, x]\n", 2, 14, "invalid port 'x'", "e.g. 80"),
    ("from: base\nstopsignal: SIGNOPE\n", 2, 13, "invalid signal 'SIGNOPE'", "a name"),
    ("from: base\nhealthcheck: {command: x, interval: soon}\n", 2, 37, "expected a duration, e.g. 30s", ""),
    ("from: base\nhealthcheck: {command: x, retries: -1}\n", 2, 36, "expected a whole number from 0 on, not '-1'", ""),
    ("from: base\nshell: []\n", 2, 8, "shell: the list is empty", ""),
    ("from: base\nonbuild: FROM x\n", 2, 10, "FROM isn't allowed as an ONBUILD trigger", ""),
    ("from: base\nplatform: amd64/linux/x/y\n", 2, 11, "platform", ""),
    ("steps: []\n", 1, 1, "stage of the document starts from nothing", "say from"),
    ("stages: {A: {from: base}}\n", 1, 10, "stages.A: expected a name of lower-case letters", ""),
    ("stages: {a: {from: b}, b: {from: a}}\n", 1, 24, "stage a depends on itself: a → b → a", "one of them"),
    ("stages: {a: {extends: b}, b: {extends: a}}\n", 1, 40, "stage b extends itself", "leave one"),
    (
        "stages: {app: {from: base}, b: {extends: apb}}\n",
        1,
        42,
        "there is no stage 'apb' to extend",
        "did you mean app?",
    ),
    (
        "stages: {a: {from: base}}\ntargets: {t: {stage: b}}\n",
        2,
        22,
        "targets.t.stage: there is no stage 'b'",
        "stages: a",
    ),
    ("stages: {a: {from: base}}\ndefault: b\n", 2, 10, "target stage 'b' could not be found", "targets and stages: a"),
    ("stages: {a: {from: base}}\nfrom: base\n", 2, 1, "a document with stages can't be one itself", "put it into"),
    ("args: {N: {type: number, default: x}}\nfrom: base\n", 1, 35, "args.N: expected a number, not 'x'", ""),
    ("args: {N: {type: boolean, default: 1}}\nfrom: base\n", 1, 36, "args.N: expected true or false", ""),
    ("args: {N: {type: choice, choices: [a, b], default: c}}\nfrom: base\n", 1, 52, "it is one of a, b", "choices"),
    ("args: {N: {type: choice}}\nfrom: base\n", 1, 18, "args.N: a choice has choices", "choices:"),
    ("args: {N: {type: nimber}}\nfrom: base\n", 1, 18, "it is one of string, number, boolean, choice", "number?"),
    ("from: base\nsteps:\n  - run: x\n    when: {NOPE: 1}\n", 4, 18, "when: there is no argument 'NOPE'", "arguments"),
    (
        "from: base\nsteps:\n  - mkdir: /x\n    retry: 2\n",
        4,
        12,
        "only a run, or an add from a URL, has retry",
        "leave it",
    ),
    ("from: base\nsteps:\n  - add: [a, /]\n    retry: 2\n", 4, 12, "only a run, or an add from a URL", "leave it"),
    ("from: base\nsteps:\n  - run: x\n    retry: 99\n", 4, 12, "retry is at most 20", ""),
    ("from: base\nsteps:\n  - copy: [a, b]\n    timeout: 5s\n", 4, 14, "only a run has timeout", ""),
    ("from: base\nsteps:\n  - run: x\n    timeout: 5 years\n", 4, 14, "expected a duration", ""),
    ("from: base\nsteps:\n  - run: x\n    timeout: $T\n", 4, 14, "invalid timeout", "a duration"),
    ("from: base\nsteps:\n  - user: x\n    cache: false\n", 4, 12, "user has no cache", "leave it out"),
    (
        "from: base\nsteps:\n  - write: {path: /a, text: b}\n    resources: {memory: 2g}\n",
        4,
        16,
        "only a run has res",
        "",
    ),
    ("from: base\nsteps:\n  - run: x\n    resources: {memory: 2k}\n", 4, 25, "memory 2k is too little", "6m"),
    ("from: base\nsteps:\n  - run: x\n    resources: {memory: lots}\n", 4, 25, "expected a size", ""),
    ("from: base\nsteps:\n  - run: x\n    resources: {cpus: '0'}\n", 4, 23, "invalid cpus '0'", ""),
    ("from: base\nsteps:\n  - run: x\n    resources: {pid: 3}\n", 4, 17, "pid", "pids"),
    ("from: base\nmatrix: {A: [1]}\n", 2, 9, "a matrix needs a stage with a name", "below stages"),
    ("include: ../x.yaml\n", 1, 10, "../x.yaml is outside of the context", "from the context"),
    ("include: x.yaml\n", 1, 10, "there is no x.yaml in the context", ""),
    ("include: x.txt\n", 1, 10, "x.txt can't be included", ".toml"),
    ("from: base\nfrom: base\n", 2, 1, "the key 'from' is given twice", "line 1"),
    ("from: !!python/name:os.system x\n", 1, 7, "the tag !!python/name:os.system is not taken", "only"),
    ("from: &a [*a]\n", 1, 7, "an alias stands inside of what it stands for", ""),
    ("a: &a {x: 1}\nfrom: base\nenv:\n  <<: *a\n", 4, 3, "merge keys are not taken", "extends"),
    ("from: base\nenv: {A: 0x10}\n", 2, 10, "0x10 is a number in a form that would be lost", "quote it"),
    ("- a\n", 1, 1, "a document is a table of keys, not a list", ""),
    ("from: 'a\n", 2, 1, "no YAML", ""),
    (
        "from: base\nsteps:\n  - run: {command: x, mounts: [{cash: /a}]}\n",
        3,
        33,
        "mounts[0].cash: unknown key",
        "cache?",
    ),
    ("from: base\nsteps:\n  - run: {command: x, mounts: [{cache: {}}]}\n", 3, 40, "the key target is missing", ""),
    (
        "from: base\nsteps:\n  - run: {command: x, mounts: [{tmpfs: {target: /a, size: q}}]}\n",
        3,
        40,
        "size=q is not",
        "",
    ),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), CASES, ids=[case[0][-40:] for case in CASES])
def test_place(text: str, line: int, column: int, message: str, hint: str) -> None:
    error = problems(text)[0]
    assert error.place is not None
    assert (error.place.line, error.place.column) == (line, column), f"{error} at {error.place}"
    assert message in str(error)
    assert hint in error.hint
    assert error.place.text == (text.split("\n")[line - 1] if line <= text.count("\n") else "")


TOML = [
    ('from = "base"\nstep = []\n', 2, 1, "unknown key 'step'"),
    ('from = "base"\nsteps = [\n  { run = "x" },\n  { copy = ["a"] },\n]\n', 4, 12, "steps[1].copy: a list has"),
    ('[stages.a]\nfrom = "base"\n[[stages.a.steps]]\nrun = "x"\n[[stages.a.steps]]\nrun = 1.5\n', 6, 7, "steps[1].run"),
    ('[stages.a]\nfrom = "base"\n[[stages.a.steps]]\n[stages.a.steps.copy]\npath = "x"\n', 5, 1, "copy.path"),
    ('from = "base"\nenv.A.B = 1\n', 2, 5, "env.A: expected a text, not a table"),
    ('from = "base"\nenv = { A = 2020-01-01 }\n', 2, 13, "dates and times are not taken"),
    ('from = "base"\nfrom = "base"\n', 2, 14, "no TOML: cannot overwrite a value"),
    ('from = "base\n', 1, 13, "no TOML"),
    ('from = """\nbase"""\n"us\\u0065r" = []\n', 3, 1, "user: expected a text, not a list"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), TOML)
def test_place_in_toml(text: str, line: int, column: int, message: str) -> None:
    error = problems(text, "toml")[0]
    assert error.place is not None
    assert message in str(error)
    assert error.place.line == line
    if "user" not in message:
        assert error.place.column == column


def test_bombs() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9))
    assert "too large" in str(problems(f"l0: &l0 [x, x]\n{levels}\nfrom: base\n")[0])
    assert "too large" in str(problems("from: " + "[" * 60)[0])
    assert "nesting" in str(problems("from: " + "[" * 50000)[0])
    assert problems("a = " + "[" * 5000 + "]" * 5000, "toml")[0].place
    assert "too large" in str(problems("a = " + "[" * 60 + "]" * 60, "toml")[0])


def test_several_problems_at_once() -> None:
    found = problems("from: base\nstep: 1\nsteps:\n  - rum: x\n  - copy: [a]\nexpose: {}\n")
    assert sorted(error.place.line for error in found if error.place) == [2, 4, 5, 6]
