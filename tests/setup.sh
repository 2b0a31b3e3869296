#!/bin/sh
# Everything the tests need from the system: Debian packages and an ordinary user with a subuid range.
# Safe to run again. Starts nothing: servers are started, and stopped, by the tests themselves.
set -eu

if [ "$(id -u)" != 0 ]; then
    echo "tests/setup.sh must run as root: it installs packages and adds the user imgtest" >&2
    exit 1
fi

packages="attr buildah busybox-static bzip2 ca-certificates containerd crun docker-registry docker.io gcc git libc6-dev
mmdebstrap openssh-client openssl passt podman procps python3-venv runc skopeo slirp4netns uidmap umoci xz-utils zstd"

command -v npm > /dev/null || packages="$packages npm"

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
done
if [ -n "$missing" ]; then
    guard=/usr/sbin/policy-rc.d
    if [ ! -e "$guard" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$guard"
        chmod 755 "$guard"
        trap 'rm -f "$guard"' EXIT
    fi
    apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi

# as udev leaves it: user-mode networks of ordinary users take it
if [ -c /dev/net/tun ]; then
    chmod 666 /dev/net/tun
fi

id imgtest >/dev/null 2>&1 || useradd --create-home imgtest
for kind in uid gid; do
    if ! grep -q "^imgtest:" "/etc/sub$kind"; then
        echo "imgtest:200000:65536" >> "/etc/sub$kind"
    fi
done
