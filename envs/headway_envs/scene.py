"""Scenes as MuJoCo models: a robot, the table, and what a task puts on it."""

from functools import cache
from pathlib import Path

from headway_envs.rendering import mujoco

_FOLDER = Path(__file__).parent / "scenes"


def scene_spec(robot_id: str, scene: str | None = None) -> mujoco.MjSpec:
    """A robot and, unless None, a task's scene (a file's name without `.xml`), ready to be changed and compiled."""
    parts = ("common", robot_id) if scene is None else ("common", robot_id, scene)
    text = "".join(f'<include file="{part}.xml"/>' for part in parts)
    return mujoco.MjSpec.from_string(f"<mujoco>{text}</mujoco>", include=_files())


def compile_scene(robot_id: str, scene: str | None = None) -> mujoco.MjModel:
    """The same, compiled as it is."""
    return scene_spec(robot_id, scene).compile()


@cache
def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _FOLDER.glob("*.xml")}
