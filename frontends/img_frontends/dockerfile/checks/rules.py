"""The rules as data. Names, and what they find, are BuildKit's (frontend/dockerfile/linter); the sentences are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from img_frontends.dockerfile.checks import casing, forms, images, variables
from img_frontends.dockerfile.checks.subject import Finding, Scene, Subject
from img_frontends.dockerfile.tree import Instruction

EXPLAINED = "https://docs.docker.com/go/dockerfile/rule/"

OverFile = Callable[[Subject], Iterator[Finding]]
OverInstruction = Callable[[Subject, Instruction], Iterator[Finding]]
OverScene = Callable[[Subject, Instruction, Scene], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Exactly one of `file`, `each` and `scene` looks for it."""

    name: str
    sentence: str
    """What it demands, and why."""
    detail: str
    """The message of a finding: a format string over its words."""
    page: str = ""
    """The last part of its address below `EXPLAINED`; empty if it has none there."""
    file: OverFile | None = None
    """Looks at the file as a whole."""
    each: OverInstruction | None = None
    """Looks at each instruction of `keywords`, in every stage."""
    scene: OverScene | None = None
    """Looks at each instruction of `keywords` in the stages that are needed, with what is known there."""
    keywords: tuple[str, ...] = ()
    experimental: bool = False
    """Off unless asked for."""

    @property
    def url(self) -> str:
        """Where the rule is explained; empty if nowhere but in our own reference."""
        return f"{EXPLAINED}{self.page}/" if self.page else ""


_ALL = (
    Rule(
        "StageNameCasing",
        "Stage names are written in lower case, which tells them from keywords",
        "the stage name '{name}' is not in lower case",
        "stage-name-casing",
        file=casing.stage_name,
    ),
    Rule(
        "FromAsCasing",
        "AS is written in the same case as the FROM it belongs to",
        "'{as}' is not in the case of '{from}'",
        "from-as-casing",
        file=casing.from_as,
    ),
    Rule(
        "NoEmptyContinuation",
        "A continued instruction has no empty lines in it: newer readers may take them for its end",
        "an empty line stands between continued lines",
        "no-empty-continuation",
        file=forms.empty_continuation,
    ),
    Rule(
        "ConsistentInstructionCasing",
        "All instructions of a file are written in the same case, upper or lower",
        "'{keyword}' is not in the case of most instructions ({case})",
        "consistent-instruction-casing",
        file=casing.instruction,
    ),
    Rule(
        "DuplicateStageName",
        "Each stage has a name of its own: of two, only the later can be referred to",
        "an earlier stage has the name '{name}' too",
        "duplicate-stage-name",
        file=forms.duplicate_stage,
    ),
    Rule(
        "ReservedStageName",
        "No stage is named like a word that already means something as a base or source",
        "'{name}' already means something to FROM and COPY: give the stage another name",
        "reserved-stage-name",
        file=forms.reserved_stage,
    ),
    Rule(
        "JSONArgsRecommended",
        "CMD and ENTRYPOINT are JSON arrays: in the shell form the program is a child of a shell and gets no signals",
        "{keyword} in the shell form: signals go to a shell, not to the program; write it as a JSON array",
        "json-args-recommended",
        scene=forms.shell_form,
        keywords=("CMD", "ENTRYPOINT"),
    ),
    Rule(
        "MaintainerDeprecated",
        "The author of an image is said by a label, not by MAINTAINER",
        "MAINTAINER is deprecated: use LABEL org.opencontainers.image.authors=…",
        "maintainer-deprecated",
        each=forms.maintainer,
        keywords=("MAINTAINER",),
    ),
    Rule(
        "UndefinedArgInFrom",
        "FROM uses only arguments that are declared before the first FROM",
        "FROM uses the argument '{name}', which is not declared before the first FROM{near}",
        "undefined-arg-in-from",
        file=variables.undeclared_in_from,
    ),
    Rule(
        "WorkdirRelativePath",
        "The first WORKDIR is absolute: where a relative one leads depends on the base image",
        "the working directory '{path}' is relative to what the base image has",
        "workdir-relative-path",
        scene=forms.relative_workdir,
        keywords=("WORKDIR",),
    ),
    Rule(
        "UndefinedVar",
        "Variables are set before they are used: an unset one is empty text",
        "the variable '${name}' is not set here{near}",
        "undefined-var",
        scene=variables.undefined,
        keywords=variables.EXPANDED,
    ),
    Rule(
        "MultipleInstructionsDisallowed",
        "CMD, ENTRYPOINT and HEALTHCHECK come once in a stage: only the last one counts",
        "a later {keyword} of the stage takes the place of this one",
        "multiple-instructions-disallowed",
        file=forms.repeated,
    ),
    Rule(
        "LegacyKeyValueFormat",
        "ENV and LABEL are written name=value, not name value",
        "{keyword} name value is the old form: write {keyword} name=value",
        "legacy-key-value-format",
        each=forms.legacy_pair,
        keywords=("ENV", "LABEL"),
    ),
    Rule(
        "InvalidBaseImagePlatform",
        "A base image is of the platform that the stage is built for",
        "the base image {image} is for {found}, and the stage is built for {wanted}",
        file=images.wrong_platform,
    ),
    Rule(
        "RedundantTargetPlatform",
        "FROM does not ask for the target platform, which it gets anyway",
        "--platform={variable} is what FROM does anyway",
        "redundant-target-platform",
        file=images.redundant_platform,
    ),
    Rule(
        "SecretsUsedInArgOrEnv",
        "Secrets are mounted, not put into ARG or ENV: those stay in the image",
        "{keyword} '{name}' sounds like a secret, and would stay in the image: mount it with RUN --mount=type=secret",
        "secrets-used-in-arg-or-env",
        scene=forms.secret_name,
        keywords=("ARG", "ENV"),
    ),
    Rule(
        "InvalidDefaultArgInFrom",
        "The file can be built without arguments: defaults of global ARGs give valid image names",
        "without build arguments {base} is no image name: give its ARG a default",
        "invalid-default-arg-in-from",
        file=variables.bad_default,
    ),
    Rule(
        "FromPlatformFlagConstDisallowed",
        "FROM does not fix one platform, which keeps the file from being built for others",
        "--platform={platform} is fixed: the file can't be built for other platforms",
        "from-platform-flag-const-disallowed",
        file=images.constant_platform,
    ),
    Rule(
        "CopyIgnoredFile",
        "COPY and ADD name nothing that the ignore file keeps out of the context",
        "{keyword} names '{path}', which the ignore file leaves out of the context",
        "copy-ignored-file",
        scene=images.ignored_file,
        keywords=("ADD", "COPY"),
    ),
    Rule(
        "InvalidDefinitionDescription",
        "The comment above a stage or an argument begins with its name, and so describes it to --call=outline",
        "the comment above {keyword} does not begin with '# {name} '",
        "invalid-definition-description",
        file=forms.description,
        experimental=True,
    ),
    Rule(
        "ExposeProtoCasing",
        "The protocol of EXPOSE is written in lower case",
        "the protocol of '{port}' is not in lower case",
        "expose-proto-casing",
        each=casing.protocol,
        keywords=("EXPOSE",),
    ),
    Rule(
        "ExposeInvalidFormat",
        "EXPOSE names ports of the container, not addresses or ports of a host",
        "'{port}' has an address or a port of the host, which EXPOSE does not use",
        "expose-invalid-format",
        scene=forms.host_port,
        keywords=("EXPOSE",),
    ),
)

RULES = {rule.name: rule for rule in _ALL}
