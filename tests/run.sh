#!/bin/sh
# Set up, then run every test. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
sh tests/setup.sh
venv=${IMG_TEST_VENV:-/var/tmp/img-test-venv}
stamp=$(cat pyproject.toml | sha256sum | cut -c1-16)
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp $PWD" ]; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install -q -e '.[test,lint]'
    echo "$stamp $PWD" > "$venv/stamp"
fi
if [ "${CI:-}" = true ] && [ $# = 0 ]; then
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
    "$venv/bin/lint-imports"
fi
exec "$venv/bin/python" -m pytest "$@"
