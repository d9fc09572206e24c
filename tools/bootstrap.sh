#!/bin/sh
# Make .venv from requirements-dev.lock on a machine that has python3 >= 3.11 with pip, and nothing else.
#
# `pip install --target` is exempt from PEP 668 ("externally managed environment"), so uv can be had
# without root and without python3-venv; uv then makes the virtual environment without ensurepip.
# `bootstrap.sh lock` resolves the lock file again instead.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

fail() { echo "set-up: $1" >&2; exit 1; }

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$PYTHON is not Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11"
"$PYTHON" -m pip --version >/dev/null 2>&1 ||
    fail "$PYTHON has no pip; install it (Debian: apt-get install python3-pip) or name another: make PYTHON=..."

if [ ! -x .tools/bin/uv ]; then
    echo "set-up: fetching the installer into .tools/"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
        --root-user-action=ignore --target .tools uv || fail "pip could not fetch uv; is the package index reachable?"
fi
UV=.tools/bin/uv

if [ "${1:-}" = lock ]; then
    # --universal: one file for every platform and Python; --no-annotate --no-header: no path of this machine in it.
    exec "$UV" pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
        --python-version 3.11 --group dev pyproject.toml -o requirements-dev.lock
fi

[ -x .venv/bin/python ] || "$UV" venv --quiet --python "$("$PYTHON" -c 'import sys; print(sys.executable)')" .venv
echo "set-up: installing into .venv/"
"$UV" pip sync --quiet --python .venv/bin/python --require-hashes requirements-dev.lock
# The project itself: a link and its entry points; its dependencies are all locked above.
"$UV" pip install --quiet --python .venv/bin/python --no-deps -e .
