"""From an image's name to the endpoints that are asked for it, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from img.errors import UsageError
from img.oci.reference import Reference
from img_plugins.registry.hosts import certs, containers_conf, own
from img_plugins.registry.hosts.model import (
    HTTP,
    HTTPS,
    Endpoint,
    Fallback,
    HostSettings,
    Location,
    Mirror,
    Pull,
    Rule,
    Trust,
)

EVERY = "*"
"""In ``insecure_registries``: whatever host it is."""

By = Literal["tag", "digest", "any"]
"""What something is asked for by. ``any``: a blob, whose bytes prove themselves wherever they come from."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Everything the configuration says of registries."""

    rules: tuple[Rule, ...] = ()
    """Of two with the same prefix the first counts."""
    hosts: Mapping[str, HostSettings] = field(default_factory=dict)
    certs_folders: tuple[Path, ...] = ()
    files: tuple[str, ...] = ()
    """The configuration files that were read."""
    insecure: frozenset[str] = frozenset()
    """Hosts that the command line calls insecure."""

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Hosts:
        """Read the files that the settings ``registries``, ``more_registries`` (stands above it), ``registries_conf``,
        ``config_home`` and ``etc`` name; ``insecure_registries`` has hosts, or `EVERY`. Raises `UsageError` naming the
        file and what is wrong in it."""
        etc = Path(settings.get("etc") or "/etc")
        home = Path(settings["config_home"]) if settings.get("config_home") else None
        named = settings.get("registries", "")
        ours = (
            [Path(named)] if named else [*([home / "img/registries.toml"] if home else []), etc / "img/registries.toml"]
        )
        if named and not ours[0].exists():
            raise UsageError(f"IMG_REGISTRIES names {named}, which is not there", hint="unset it, or make the file")
        more = settings.get("more_registries", "")
        mine = own.load([*([Path(more)] if more else []), *ours])
        user = home / "containers" if home else None
        theirs = containers_conf.files(settings.get("registries_conf", ""), etc / "containers", user)
        folders = [home / "containers/certs.d", home / "docker/certs.d"] if home else []
        return cls(
            (*mine.rules.values(), *containers_conf.rules(theirs)),
            mine.hosts,
            (*folders, etc / "containers/certs.d", etc / "docker/certs.d"),
            (*mine.files, *map(str, theirs)),
            frozenset(filter(None, settings.get("insecure_registries", "").split(","))),
        )

    def rule(self, reference: Reference) -> Rule | None:
        """The rule with the longest prefix that `reference` lies under."""
        name = _name(reference)
        best: Rule | None = None
        for rule in self.rules:
            if matched(rule.prefix, name) is not None and (best is None or len(rule.prefix) > len(best.prefix)):
                best = rule
        return best

    def endpoints(self, reference: Reference, by: By | None = None) -> tuple[Endpoint, ...]:
        """Where to pull `reference` from, in the order to be tried: mirrors, then the registry itself. `by` is what the
        name has (a digest, else a tag) unless it is given. Raises `UsageError` if its registry is blocked."""
        asked: By = by or ("digest" if reference.digest else "tag")
        rule = self.rule(reference)
        if rule is None:
            return (self.endpoint(reference),)
        self._check(rule, reference)
        mirrors = [self._rewritten(rule, str(m.location), reference, m) for m in _mirrors(rule, asked)]
        last = self._rewritten(rule, rule.location, reference)
        return (*(m for m in mirrors if m.host != last.host or m.repository != last.repository), last)

    def endpoint(self, reference: Reference) -> Endpoint:
        """The registry that the name itself says: what is pushed to, and logged in to. Raises `UsageError` if it is
        blocked."""
        rule = self.rule(reference)
        if rule is None:
            return self.server(reference.registry, reference.repository)
        self._check(rule, reference)
        insecure = rule.insecure and Location.parse(rule.location or _name(reference)).host == reference.registry
        return self.server(reference.registry, reference.repository, insecure)

    def server(self, host: str, repository: str = "", insecure: bool = False) -> Endpoint:
        """One host with its transport settings: ours, else those of ``certs.d``, else its nature."""
        given = self.hosts.get(host, HostSettings())
        found = certs.trust(self.certs_folders, host) or Trust()
        if given.ca or given.cert:
            found = Trust(given.ca or found.ca, given.cert or found.cert, given.key or found.key)
        unsafe = not self.insecure.isdisjoint((host, EVERY)) or (
            given.insecure if given.insecure is not None else insecure
        )
        schemes: tuple[str, ...] = (HTTPS,)
        if given.plain_http:
            schemes = (HTTP,)
        elif unsafe:
            schemes = (HTTPS, HTTP)
        elif is_loopback(host) and found == Trust() and given.insecure is None and given.plain_http is None:
            schemes, unsafe = (HTTP, HTTPS), True
        trust = replace(found, verify=not unsafe)
        return Endpoint(host, repository, schemes, trust, given.proxy, file=given.file)

    def _check(self, rule: Rule, reference: Reference) -> None:
        if rule.blocked:
            raise UsageError(
                f"{reference.familiar}: the registry {rule.prefix} is blocked by {rule.file}",
                hint="use another image, or take away the line 'blocked' there",
            )

    def _rewritten(self, rule: Rule, location: str, reference: Reference, mirror: Mirror | None = None) -> Endpoint:
        name = _name(reference)
        if location:
            name = location + name[matched(rule.prefix, name) or 0 :]
        place = Location.parse(name)
        endpoint = self.server(place.host, place.path, mirror.insecure if mirror else rule.insecure)
        return replace(
            endpoint,
            mirror=mirror is not None,
            fallback=rule.fallback if mirror else Fallback.NEVER,
            file=rule.file,
        )


def _name(reference: Reference) -> str:
    return f"{reference.registry}/{reference.repository}"


def _mirrors(rule: Rule, by: By) -> list[Mirror]:
    """The mirrors that are asked; for blobs all, those that serve digests first."""
    if by == "any":
        return sorted(rule.mirrors, key=lambda mirror: mirror.pull is Pull.TAG)
    other = Pull.TAG if by == "digest" else Pull.DIGEST
    return [mirror for mirror in rule.mirrors if mirror.pull is not other]


def matched(prefix: str, name: str) -> int | None:
    """How many characters of `name` (``HOST/REPOSITORY``) `prefix` covers; None if it does not lie under it."""
    if prefix.startswith("*."):
        host, _, _ = name.partition("/")
        domain, slash, path = prefix[1:].partition("/")
        bare = host.partition(":")[0]
        end = len(host) if host.endswith(domain) else len(bare) if bare.endswith(domain) else 0
        if end <= len(domain):
            return None
        if not slash:
            return end
        rest = matched(path, name[len(host) + 1 :]) if end == len(host) else None
        return None if rest is None else end + 1 + rest
    if name == prefix or (name.startswith(prefix) and name[len(prefix)] in "/:@"):
        return len(prefix)
    return None


def is_loopback(host: str) -> bool:
    """Whether `host` (with or without a port) is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
