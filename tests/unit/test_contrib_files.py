"""The files of contrib/ that are no packages: CI templates, completions, the entry of the schema catalogue."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from img_frontends.hooks import named

CONTRIB = Path(__file__).parents[2] / "contrib"
TOOL = Path(sys.executable).parent / "img"
RUNGS = ("overlay", "userns", "one-id", "copy", "assemble")


def environment(**more: str) -> dict[str, str]:
    return {"PATH": f"{TOOL.parent}:{os.environ['PATH']}", "HOME": os.devnull, "IMG_DISABLE_PLUGINS": "x", **more}


# --- completions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shell", "file"), [("bash", "img.bash"), ("zsh", "_img"), ("fish", "img.fish")])
def test_a_completion_is_the_programs(shell: str, file: str) -> None:
    done = subprocess.run([TOOL], env=environment(_IMG_COMPLETE=f"source_{shell}"), capture_output=True, check=True)
    assert done.stdout == (CONTRIB / "completions" / file).read_bytes(), "run: sh contrib/completions/generate.sh"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("img bu", {"build"}),
        ("img build --cache-mount-", {"--cache-mount-from", "--cache-mount-to"}),
        ("img registry ", {"check"}),
    ],
)
def test_a_real_bash_completes(words: str, wanted: set[str]) -> None:
    """As bash calls the function that the file registers for `img`."""
    program = (
        'source "$1"; COMP_LINE=$2; read -ra COMP_WORDS <<< "$2"; [[ $2 == *" " ]] && COMP_WORDS+=("")\n'
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); function=$(complete -p img | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\n"
        '"$function" img; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    argv = ["bash", "-c", program, "bash", str(CONTRIB / "completions" / "img.bash"), words]
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == wanted, done.stderr


# --- the schema catalogue -------------------------------------------------------------------------------------------


def test_the_catalogue_names_the_files_that_are_documents() -> None:
    (entry,) = json.loads((CONTRIB / "schema" / "catalog.json").read_text())["schemas"]
    for name in (
        "img.yaml",
        "img.yml",
        "img.toml",
        "app.img.yaml",
        "app.img.yml",
        "app.img.toml",
        "a.yaml",
        "img.json",
    ):
        matched = any(fnmatch.fnmatchcase(name, pattern) for pattern in entry["fileMatch"])
        assert matched == (named(name) in ("yaml", "toml")), name
    assert set(entry) == {"name", "description", "fileMatch", "url"}
    assert entry["url"].endswith(f"/{entry['name']}.json")


# --- CI templates ---------------------------------------------------------------------------------------------------


def loaded(name: str) -> Any:
    return yaml.safe_load((CONTRIB / "ci" / name).read_text())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--builtin-schema", "vendor.github-workflows", "github.yml"],
        ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", "gitlab-ci.yml"],
    ],
    ids=["github", "gitlab"],
)
def test_a_template_keeps_its_systems_schema(arguments: list[str]) -> None:
    done = CliRunner().invoke(check_jsonschema, [*arguments[:-1], str(CONTRIB / "ci" / arguments[-1])])
    assert done.exit_code == 0, done.output


def test_jobs_for_each_rung_differ_in_what_they_may_do_alone() -> None:
    plain = []
    contexts = {}
    for rung in RUNGS:
        job = loaded(f"kubernetes-{rung}.yaml")
        spec = job["spec"]["template"]["spec"]
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
        (container,) = spec["containers"]
        contexts[rung] = container.pop("securityContext")
        assert spec.pop("hostUsers", True) == (rung not in ("userns", "one-id")), "procMount wants it so"
        plain.append(job)
    assert all(job == plain[0] for job in plain)
    mounts = {mount["name"] for mount in plain[0]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in plain[0]["spec"]["template"]["spec"]["volumes"]}
    assert contexts["overlay"] == {"privileged": True}
    assert contexts["userns"]["allowPrivilegeEscalation"] and not contexts["one-id"]["allowPrivilegeEscalation"]
    assert contexts["copy"]["runAsUser"] == 0 and "SYS_ADMIN" not in contexts["copy"]["capabilities"]["add"]
    assert contexts["assemble"]["runAsNonRoot"] and contexts["assemble"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_task_of_tekton_uses_what_it_declares() -> None:
    task = loaded("tekton-task.yaml")
    assert (task["apiVersion"], task["kind"]) == ("tekton.dev/v1", "Task")
    text = (CONTRIB / "ci" / "tekton-task.yaml").read_text()
    spec = task["spec"]
    for kind, suffix in (("params", ""), ("results", ".path")):
        for one in spec[kind]:
            assert f"$({kind}.{one['name']}{suffix})" in text
    assert "$(" not in spec["steps"][0]["script"], "a parameter in a script is code"


def test_every_template_is_in_the_readme() -> None:
    text = (CONTRIB / "ci" / "README.md").read_text()
    files = {path.name for path in (CONTRIB / "ci").iterdir()} - {"README.md"}
    assert files == {name for name in files if f"`{name}`" in text}
