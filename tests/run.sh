#!/bin/sh
# Set up, then run every test. Arguments go to pytest. With CI=true also lint, types and import contracts.
#
# img is installed as a wheel into a virtual environment that every user can read: some tests run as an ordinary user.
set -eu
cd "$(dirname "$0")/.."
sh tests/setup.sh
venv=${IMG_TEST_VENV:-/var/tmp/img-test-venv}
stamp=$(sha256sum < pyproject.toml)
umask 022
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install -q --no-compile '.[test,lint,docs]'  # most of it is never imported
    echo "$stamp" > "$venv/stamp"
fi
# what builds wheels is in the environment already: nothing is fetched
"$venv/bin/pip" install -q --no-deps --force-reinstall --no-build-isolation . ./contrib/img-example-plugin
if [ "${CI:-}" = true ] && [ $# = 0 ]; then
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
    "$venv/bin/lint-imports"
    NO_MKDOCS_2_WARNING=1 "$venv/bin/mkdocs" build --strict
fi
if [ $# != 0 ]; then
    exec "$venv/bin/python" -m pytest "$@"
fi
exec "$venv/bin/python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder
