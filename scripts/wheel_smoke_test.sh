#!/usr/bin/env bash
# Builds the wheel, installs it in an empty environment made with the project's own Python, and imports every package.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || echo "$PWD/.uv/bin/uv")
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

"$uv" build --quiet --wheel --out-dir "$room/dist" --python "$PWD/.venv/bin/python"
"$uv" venv --quiet --python "$PWD/.venv/bin/python" "$room/venv"
"$uv" pip install --quiet --python "$room/venv/bin/python" "$room"/dist/*.whl

# from an empty folder, so that nothing of the checkout can be imported by accident
cd "$room"
"$room/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import datasets
import headway
import headway.report
import headway_datasets
import headway_envs
import headway_policies

for package in (headway, headway_datasets, headway_envs, headway_policies):
    assert "site-packages" in package.__file__, package.__file__
    assert (Path(package.__file__).parent / "py.typed").exists(), package
assert hasattr(datasets, "load_dataset"), "datasets must be Hugging Face's"
assert list(Path(headway.report.__file__).parent.glob("*.j2")), "the report's template is not in the wheel"
PYTHON
"$room/venv/bin/headway" --help >/dev/null
"$room/venv/bin/headway" tasks
echo "wheel: builds, installs in an empty environment and imports"
