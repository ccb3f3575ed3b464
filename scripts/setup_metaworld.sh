#!/usr/bin/env bash
# Makes .venv-metaworld: Headway with Meta-World, which pins an old MuJoCo. It never touches .venv, because a MuJoCo
# switched in place is corrupted. Safe to run again: it only does what is missing or out of date.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }

stamp=.venv-metaworld/.headway-setup
if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ .python-version -nt "$stamp" ]; then
    scripts/setup.sh # finds or installs uv, and the Python that both environments share
    uv=$(command -v uv || echo "$PWD/.uv/bin/uv")
    UV_PROJECT_ENVIRONMENT=.venv-metaworld "$uv" sync --extra metaworld --quiet --no-progress --python .venv/bin/python \
        || fail "the Meta-World environment could not be made; see the lines above"
    touch "$stamp"
    echo "setup: .venv-metaworld is ready; use .venv-metaworld/bin/headway for the metaworld/ tasks"
fi
