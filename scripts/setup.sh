#!/usr/bin/env bash
# Makes .venv with everything Headway needs. Safe to run again: it only does what is missing or out of date.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }

find_uv() {
    if command -v uv >/dev/null 2>&1; then command -v uv; return; fi
    if [ ! -x .uv/bin/uv ]; then
        command -v python3 >/dev/null 2>&1 || fail "python3 is missing. Install it: sudo apt-get install -y python3 python3-venv"
        python3 -c 'import venv, ensurepip' 2>/dev/null \
            || fail "python3 has no venv or pip. Install them: sudo apt-get install -y python3-venv"
        rm -rf .uv
        python3 -m venv .uv >&2
        .uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1' >&2 \
            || fail "uv could not be installed from PyPI; see the lines above"
    fi
    echo "$PWD/.uv/bin/uv"
}

check_gl() {
    # MuJoCo draws through EGL; without these libraries it fails deep inside with an AttributeError.
    [ "$(uname -s)" = Linux ] || return 0
    .venv/bin/python scripts/check_gl.py || fail "MuJoCo cannot draw without a GL library. Install it: sudo apt-get install -y libegl1 libegl-mesa0 libgl1-mesa-dri libgl1"
}

stamp=.venv/.headway-setup
if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ .python-version -nt "$stamp" ]; then
    uv=$(find_uv)
    "$uv" sync --extra arm --extra vlm --extra rl --extra ros --extra serve --extra ray --quiet --no-progress --python-preference system \
        || fail "the environment could not be made; see the lines above (Python 3.12 or newer is needed: pyenv install 3.12, or let uv fetch it)"
    check_gl
    touch "$stamp"
    echo "setup: .venv is ready"
fi
