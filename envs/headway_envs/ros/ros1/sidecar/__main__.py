"""Run by path. The folder is taken out of sight first: its modules must not stand in for others of the same name."""

import sys

sys.path.pop(0)

import importlib.util
from pathlib import Path

_NAME = "headway_ros1_sidecar"
_FOLDER = Path(__file__).resolve().parent
_SPEC = importlib.util.spec_from_file_location(
    _NAME, _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
)
assert _SPEC is not None
sys.modules[_NAME] = importlib.util.module_from_spec(_SPEC)
importlib.import_module(f"{_NAME}.node").main()
