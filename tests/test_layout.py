"""The top-level folders share names with other distributions, so they must never become packages themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_import_datasets_is_hugging_face_from_the_repository_root():
    code = "import datasets; print(datasets.__file__); datasets.Dataset"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "site-packages" in found.stdout


@pytest.mark.parametrize("folder", ["progress", "datasets", "envs", "policies", "tests"])
def test_a_container_folder_is_no_package(folder):
    assert not (ROOT / folder / "__init__.py").exists(), f"{folder}/__init__.py would shadow another distribution"
