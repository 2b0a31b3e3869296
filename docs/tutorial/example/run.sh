#!/bin/sh
# Set img up in .venv, make a small base from busybox-static, and build an image from it with a real RUN.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)

if [ ! -x /bin/busybox ]; then
    apt-get update -q && apt-get install -q -y --no-install-recommends busybox-static
fi
python=python3
[ -x /usr/bin/python3.11 ] && python=/usr/bin/python3.11
if [ ! -x "$top/.venv/bin/pip" ] && ! "$python" -m venv "$top/.venv" 2>/dev/null; then
    apt-get update -q && apt-get install -q -y --no-install-recommends python3-venv
    "$python" -m venv --clear "$top/.venv"
fi
"$top/.venv/bin/pip" install -q "$top"
PATH="$top/.venv/bin:$PATH"

work=$(mktemp -d /var/tmp/img-example.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/rootfs/bin" "$work/context"
cp /bin/busybox "$work/rootfs/bin/"
for name in $(/bin/busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "$work/rootfs/bin/$name"
done
tar -czf "$work/context/rootfs.tar.gz" --owner=0 --group=0 -C "$work/rootfs" .
cp "$here/Dockerfile" "$here/greet.sh" "$work/context/"

img build -t example/greet --build-arg WHO=reader "$work/context"
img build -t example/greet --build-arg WHO=reader "$work/context"
img ls
img build -o "$work/result" --build-arg WHO=reader "$work/context"
sh "$work/result/bin/greet"
