"""What img's own plugins offer. Imports nothing heavy: it is read whenever offers are listed."""

from __future__ import annotations

from collections.abc import Iterable

from img.plugin.mark import hookimpl
from img.plugin.offers import Offer, Setting

img_contract = 1
_ = "img_plugins."


@hookimpl
def img_offers() -> Iterable[Offer]:
    return [
        Offer(
            "backend",
            "chroot",
            "namespaces and overlayfs, nothing to install",
            _ + "backends.chroot.backend:ChrootBackend",
        ),
        Offer("backend", "runc", "containers of runc, crun or youki", _ + "backends.runc.backend:RuncBackend"),
        Offer("backend", "containerd", "tasks of containerd", _ + "backends.containerd.backend:ContainerdBackend"),
        Offer("backend", "buildkit", "whole builds on a BuildKit", _ + "backends.buildkit.backend:BuildkitBackend"),
        Offer("source", "local", "a folder of this machine", _ + "sources.local:LocalSource"),
        Offer(
            "source",
            "docker-image",
            "images of registries and of the store",
            _ + "sources.docker_image:DockerImageSource",
        ),
        Offer("source", "stored", "images of the store", _ + "sources.docker_image:StoredImageSource"),
        Offer("source", "oci-layout", "images of an OCI layout", _ + "sources.oci_layout:OciLayoutSource"),
        Offer("source", "http", "a file of an http or https URL", _ + "sources.http:HttpSource"),
        Offer("source", "git", "a commit of a git repository", _ + "sources.git:GitSource"),
        Offer("exporter", "image", "into the store, under a name", _ + "exporters.image:ImageExporter"),
        Offer("exporter", "registry", "pushed to a registry", _ + "exporters.registry:RegistryExporter"),
        Offer("exporter", "oci", "an OCI image layout, as tar or folder", _ + "exporters.oci:OciExporter"),
        Offer("exporter", "docker", "an archive that docker load takes", _ + "exporters.oci:DockerExporter"),
        Offer(
            "exporter",
            "containerd",
            "into containerd, for ctr and kubelets",
            _ + "exporters.containerd.exporter:ContainerdExporter",
        ),
        Offer("exporter", "tar", "the root filesystem as a tar", _ + "exporters.tar:TarExporter"),
        Offer("exporter", "local", "the root filesystem as a folder", _ + "exporters.local:LocalExporter"),
        Offer("exporter", "buildkit", "an exporter of BuildKit's own", _ + "backends.buildkit.own:OwnExporter"),
        Offer("registry", "distribution", "registries, and who may use them", _ + "registry.access:Registries"),
        Offer("cache", "registry", "results of steps under a name of a registry", _ + "caches.registry:RegistryCache"),
        Offer("cache", "local", "results of steps in a folder", _ + "caches.local:LocalCache"),
        Offer("cache", "s3", "results of steps in a bucket", _ + "caches.s3:S3Cache"),
        Offer("cache", "inline", "results of steps in the image itself", _ + "caches.inline:InlineCache"),
        Offer("reporter", "plain", "lines of text", _ + "reporters.plain:PlainReporter"),
        Offer("reporter", "tty", "a live display", _ + "reporters.tty:TtyReporter"),
        Offer("reporter", "json", "one JSON object an event", _ + "reporters.json:JsonReporter"),
        Offer("reporter", "quiet", "nothing but warnings", _ + "reporters.quiet:QuietReporter"),
    ]


@hookimpl
def img_settings() -> Iterable[Setting]:
    return [
        Setting("network", "the network of steps that do not say: host, none or sandbox", "IMG_NETWORK", "host"),
        Setting("steps", "how many steps run at once", "IMG_STEPS", "64"),
        Setting("cache_deadline", "seconds that a remote cache is waited for", "IMG_CACHE_DEADLINE", "5"),
        Setting("pull", "when to ask the registry for a base: missing, always or never", "IMG_PULL", "missing"),
        Setting("store_max", "the size that builds keep the store below, e.g. 20g", "IMG_STORE_MAX", ""),
        Setting("offline", "true: ask no registry and no server, whatever the build wants", "IMG_OFFLINE", "false"),
        Setting(
            "cgroup_parent", "the cgroup that steps run in, below every cgroup filesystem", "IMG_CGROUP_PARENT", ""
        ),
        Setting("registries", "the file that says how registries are reached: registries.toml", "IMG_REGISTRIES"),
        Setting("runtime", "the OCI runtime of the backend runc, by name or path", "IMG_RUNTIME", ""),
        Setting(
            "containerd_address",
            "the socket of containerd",
            "IMG_CONTAINERD_ADDRESS CONTAINERD_ADDRESS",
            "/run/containerd/containerd.sock",
        ),
        Setting("containerd_namespace", "containerd's namespace for the backend", "IMG_CONTAINERD_NAMESPACE", "img"),
        Setting("buildkit_address", "where the backend buildkit is (else BUILDKIT_HOST)", "IMG_BUILDKIT_ADDRESS"),
        Setting("buildkit_tls_ca", "who signed the certificate of a tcp:// BuildKit", "IMG_BUILDKIT_TLS_CA"),
        Setting("buildkit_tls_cert", "our certificate for a tcp:// BuildKit", "IMG_BUILDKIT_TLS_CERT"),
        Setting("buildkit_tls_key", "the key of that certificate", "IMG_BUILDKIT_TLS_KEY"),
        Setting("buildkit_tls_name", "the name in the BuildKit's certificate", "IMG_BUILDKIT_TLS_NAME"),
        Setting("cdi", "folders with device specifications (CDI), parted by :", "IMG_CDI", "/etc/cdi:/var/run/cdi"),
    ]
